//! What is refused, and how.

use super::*;

#[test]
fn answers_to_no_question_are_the_drivers_mistake() {
    let mut server = Server::new();
    server.answering = false;
    server.push(b"DESCRIBE rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n");
    let token = token_of(&server.questions[0]);
    let wrong_kind = server.connection.teardown(token);
    assert_eq!(wrong_kind, Err(Error::NotPending(token)));
    let refusal = Refusal::new(Status::NOT_FOUND, "");
    assert_eq!(server.connection.describe(token, Err(refusal.clone())), Ok(()));
    let again = server.connection.describe(token, Err(refusal));
    assert_eq!(again, Err(Error::NotPending(token)));
}

#[test]
fn a_transport_that_was_not_offered_is_the_drivers_mistake() {
    let mut server = Server::new();
    server.answering = false;
    server.push(
        b"SETUP rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n",
    );
    let token = token_of(&server.questions[0]);
    let chosen = |channel| Chosen { track: 0, transport: Transport::tcp(channel) };
    assert_eq!(server.connection.setup(token, Ok(chosen(4))), Err(Error::NotOffered));
    assert_eq!(server.connection.setup(token, Ok(chosen(0))), Ok(()));
}

#[test]
fn what_the_rules_refuse_is_refused_with_its_status() {
    let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=4-5";
    for (request, status) in [
        ("OPTIONS * RTSP/1.0", 400),
        ("OPTIONS * RTSP/1.0|CSeq: x", 400),
        ("OPTIONS * RTSP/2.0|CSeq: 1", 505),
        ("OPTIONS * RTSP/1.0|CSeq: 1|Require: www.onvif.org/ver20/backchannel", 551),
        ("OPTIONS * RTSP/1.0|CSeq: 1|Session: 12345678", 454),
        ("DESCRIBE rtsp://h/a RTSP/1.0|CSeq: 1|Accept: text/html", 406),
        ("DESCRIBE rtsp://h/../a RTSP/1.0|CSeq: 1", 400),
        ("SETUP rtsp://h/movie/trackID=0 RTSP/1.0|CSeq: 1", 400),
        ("SETUP rtsp://h/movie/trackID=2 RTSP/1.0|CSeq: 1|Session: 1|Transport: RTP/AVP", 454),
        ("SETUP rtsp://h/movie/trackID=2 RTSP/1.0|CSeq: 1|Transport: RTP/AVP;multicast", 461),
        ("SETUP rtsp://h/movie/trackID=2 RTSP/1.0|CSeq: 1|Transport: RTP/AVP;client_port=0-1", 461),
        (
            "SETUP rtsp://h/movie/trackID=2 RTSP/1.0|CSeq: 1|Transport: RTP/AVP;client_port=65535",
            461,
        ),
        (
            "SETUP rtsp://h/movie/trackID=2 RTSP/1.0|CSeq: 1|Transport: RTP/SAVP;client_port=4-5",
            461,
        ),
        ("SETUP rtsp://h/movie/trackID=2 RTSP/1.0|CSeq: 1|Transport: RTP/AVP/TCP;mode=record", 461),
        (
            "SETUP rtsp://h/movie/trackID=2 RTSP/1.0|CSeq: 1|Transport: RTP/AVP;client_port=4-5;destination=203.0.113.9",
            461,
        ),
        ("PLAY rtsp://h/movie RTSP/1.0|CSeq: 1", 454),
        ("PLAY rtsp://h/movie RTSP/1.0|CSeq: 1|Session: FFFF", 454),
        ("PLAY rtsp://h/movie RTSP/1.0|CSeq: 1|Session: ID|Range: npt=9-5", 457),
        ("PLAY rtsp://h/movie RTSP/1.0|CSeq: 1|Session: ID|Range: smpte=0:00:01-", 501),
        ("PLAY rtsp://h/movie RTSP/1.0|CSeq: 1|Session: ID|Range: bytes=0-", 501),
        ("PLAY rtsp://h/movie RTSP/1.0|CSeq: 1|Session: ID|Scale: fast", 400),
        ("PLAY rtsp://h/other RTSP/1.0|CSeq: 1|Session: ID", 404),
        ("PLAY rtsp://h/movie/trackID=0 RTSP/1.0|CSeq: 1|Session: ID", 460),
        ("PLAY rtsp://h/movie/trackID=7 RTSP/1.0|CSeq: 1|Session: ID", 455),
        ("PLAY rtsp://h/movie RTSP/1.0|CSeq: 1|Session: ID|Speed: 0", 400),
        ("PLAY rtsp://h/movie RTSP/1.0|CSeq: 1|Session: ID|Range: clock=19961108T142300Z-", 501),
        ("PLAY rtsp://h/movie RTSP/1.0|CSeq: 1|Session: ID|Range: npt=-", 457),
        ("PLAY rtsp://h/movie RTSP/1.0|CSeq: 1|Session: ID|Range: npt=0-now", 457),
        ("PAUSE rtsp://h/movie RTSP/1.0|CSeq: 1|Session: ID", 455),
        ("TEARDOWN rtsp://h/movie RTSP/1.0|CSeq: 1|Session: FFFF", 454),
        ("ANNOUNCE rtsp://h/movie RTSP/1.0|CSeq: 1", 405),
        ("RECORD rtsp://h/movie RTSP/1.0|CSeq: 1|Session: ID", 405),
        ("REDIRECT rtsp://h/movie RTSP/1.0|CSeq: 1", 405),
        ("play rtsp://h/movie RTSP/1.0|CSeq: 1|Session: ID", 501),
        ("BREW rtsp://h/movie RTSP/1.0|CSeq: 1", 501),
    ] {
        let (mut server, id) = Server::ready();
        let response = server.ask(&request.replace("Session: ID", &format!("Session: {id}")));
        assert_eq!(response.status, Status(status), "{request}");
        let event = server.seen.pop();
        let Some(Output::Event(Event::Refused { status: told, detail, .. })) = event else {
            panic!("{request}: {event:?}")
        };
        assert_eq!(told, Status(status));
        assert!(!detail.is_empty());
        // The connection serves on.
        let next = server.ask(&format!(
            "SETUP rtsp://h/movie/trackID=2 RTSP/1.0|CSeq: 2|Session: {id}|{transport}"
        ));
        assert_eq!(next.status, Status::OK, "{request}");
    }
}

#[test]
fn a_refusal_repeats_cseq_and_names_what_is_allowed() {
    let mut server = Server::new();
    let response = server.ask("RECORD rtsp://h/a RTSP/1.0|CSeq: 77|Timestamp: 1.5");
    assert_eq!(response.fields.get("CSeq"), Some("77"));
    assert_eq!(response.fields.get("Timestamp"), Some("1.5"));
    assert!(response.fields.get("Allow").unwrap().contains("PLAY"));
    assert_eq!(response.fields.get("Public"), response.fields.get("Allow"));
    let response = server.ask("OPTIONS * RTSP/1.0|CSeq: 78|Require: a, b");
    assert_eq!(response.fields.get("Unsupported"), Some("a, b"));
}

#[test]
fn play_before_setup_is_not_valid_in_this_state() {
    let mut server = Server::new();
    let response = server.ask("PLAY rtsp://h/movie RTSP/1.0|CSeq: 1");
    assert_eq!(response.status, Status::METHOD_NOT_VALID_IN_THIS_STATE);
    assert_eq!(response.reason, "Method Not Valid in This State: PLAY before SETUP");
}

#[test]
fn another_streams_setup_does_not_join_a_session() {
    let (mut server, id) = Server::ready();
    let setup = |session: &str| {
        format!("SETUP rtsp://h/b/trackID=0 RTSP/1.0|CSeq: 3|{session}Transport: RTP/AVP/TCP")
    };
    let joined = server.ask(&setup(&format!("Session: {id}|")));
    assert_eq!(joined.status, Status::AGGREGATE_OPERATION_NOT_ALLOWED);
    for _ in 1..session::SESSIONS_MAX {
        let apart = server.ask(&setup(""));
        assert_ne!(apart.fields.get("Session"), Some(&*format!("{id};timeout=60")));
    }
    assert_eq!(server.ask(&setup("")).status, Status::SERVICE_UNAVAILABLE);
}

#[test]
fn parameters_are_not_known() {
    let mut server = Server::new();
    for method in ["GET_PARAMETER", "SET_PARAMETER"] {
        let empty = server.ask(&format!("{method} rtsp://h/a RTSP/1.0|CSeq: 1"));
        assert_eq!(empty.status, Status::OK);
        let text =
            format!("{method} rtsp://h/a RTSP/1.0\r\nCSeq: 2\r\nContent-Length: 3\r\n\r\nfps");
        server.push(text.as_bytes());
        let response = server.responses().remove(0);
        assert_eq!(response.status, Status::PARAMETER_NOT_UNDERSTOOD);
        assert_eq!(response.fields.get("Content-Type"), Some("text/parameters"));
        assert_eq!(&response.body[..], b"fps\r\n", "the name that is not known");
    }
}

#[test]
fn a_place_to_pause_at_is_no_stretch() {
    for range in ["npt=5-10", "npt=-10", "npt=now-10"] {
        let (mut server, id) = Server::playing();
        let pause = format!("PAUSE rtsp://h/movie RTSP/1.0|CSeq: 3|Session: {id}|Range: {range}");
        assert_eq!(server.ask(&pause).status, Status::INVALID_RANGE, "{range}");
    }
}

#[test]
fn a_refused_transport_says_what_stands_against_each_alternative() {
    let mut server = Server::new();
    let refused = server.ask(
        "SETUP rtsp://h/a RTSP/1.0|CSeq: 1|Transport: RTP/AVP;multicast,RTP/AVP;unicast,RTP/AVP/TCP;mode=record",
    );
    assert_eq!(
        refused.reason,
        "Unsupported Transport: multicast is not served; client_port is missing; only the mode PLAY is served"
    );
}
