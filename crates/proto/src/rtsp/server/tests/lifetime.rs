//! Timers, and how sessions and connections end.

use super::*;

#[test]
fn vlc_keeps_its_session_alive_by_get_parameter() {
    let (mut server, id) = Server::playing();
    for cseq in 10..13 {
        server.wait(seconds(58));
        let alive = server.ask(&format!(
            "GET_PARAMETER rtsp://h/movie/ RTSP/1.0|CSeq: {cseq}|User-Agent: LibVLC/3.0.21 (LIVE555 Streaming Media v2016.11.28)|Session: {id}"
        ));
        assert_eq!(alive.status, Status::OK);
        assert_eq!(alive.fields.get("Session"), Some(&*format!("{id};timeout=60")));
    }
    assert_eq!(server.seen, []);
}

#[test]
fn any_request_is_a_sign_of_life_whatever_it_is_answered() {
    let (mut server, id) = Server::playing();
    for (request, status) in [
        (format!("OPTIONS rtsp://h/movie RTSP/1.0|CSeq: 3|Session: {id}"), 200),
        (format!("OPTIONS * RTSP/1.0|CSeq: 4|Session: {id};timeout=60"), 200),
        ("OPTIONS * RTSP/1.0|CSeq: 5".to_owned(), 200),
        (format!("SET_PARAMETER * RTSP/1.0|CSeq: 6|Session: {id}|Ping: Pong"), 200),
        (format!("BREW rtsp://h/movie RTSP/1.0|CSeq: 7|Session: {id}"), 501),
    ] {
        server.wait(seconds(59));
        assert_eq!(server.ask(&request).status, Status(status), "{request}");
        assert_eq!(server.deadline, Some(server.now + seconds(60)), "{request}");
    }
    server.seen.retain(|output| !matches!(output, Output::Event(Event::Refused { .. })));
    assert_eq!(server.seen, []);
}

#[test]
fn a_session_without_a_sign_of_life_times_out_and_the_connection_follows() {
    let (mut server, id) = Server::playing();
    assert_eq!(server.deadline, Some(server.now + seconds(60)));
    server.wait(seconds(60));
    let [Output::Event(Event::Ended { session, reason: EndReason::TimedOut })] = server.seen[..]
    else {
        panic!("{:?}", server.seen)
    };
    assert_eq!(session.to_string(), id);
    let late = server.ask(&format!("PLAY rtsp://h/movie/ RTSP/1.0|CSeq: 9|Session: {id}"));
    assert_eq!(late.status, Status::SESSION_NOT_FOUND);
    server.wait(seconds(60));
    assert_eq!(server.seen.last(), Some(&Output::Close));
}

#[test]
fn a_connection_is_closed_soon_after_its_last_session_has_timed_out_in_silence() {
    let (mut server, _) = Server::playing();
    server.wait(seconds(60));
    assert_eq!(server.deadline, Some(server.now + seconds(5)));
    server.wait(seconds(5));
    assert_eq!(server.seen.last(), Some(&Output::Close));
}

#[test]
fn a_sign_of_life_counts_from_when_it_came_and_not_from_when_it_was_noted() {
    let (mut server, id) = Server::playing();
    let session = server.connection.sessions.named(&id).unwrap().id;
    let report = server.now + seconds(20);
    server.now += seconds(50);
    server.connection.handle(server.now, Input::Timer);
    server.connection.sign_of_life(report, session);
    server.drain();
    assert_eq!(server.deadline, Some(report + seconds(60)));
}

#[test]
fn receiver_reports_are_signs_of_life() {
    let (mut server, _) = Server::playing();
    server.wait(seconds(40));
    server.push(&[b'$', 3, 0, 2, 0x81, 0xc9]);
    let [Output::Interleaved { session, track: 1, channel: 3, ref data }] = server.seen[..] else {
        panic!("{:?}", server.seen)
    };
    assert_eq!(&data[..], [0x81, 0xc9]);
    assert_eq!(server.deadline, Some(server.now + seconds(60)));
    server.now += seconds(30);
    server.connection.sign_of_life(server.now, session);
    server.drain();
    assert_eq!(server.deadline, Some(server.now + seconds(60)));
}

#[test]
fn a_silent_connection_is_closed() {
    let mut server = Server::new();
    server.push(b"OPTIONS * RTSP/1.0\r\nCSeq: ");
    assert_eq!(server.deadline, Some(Instant::ZERO + seconds(60)));
    server.wait(seconds(59));
    assert_eq!(server.seen, []);
    server.wait(seconds(1));
    assert_eq!(server.seen, [Output::Close]);
    assert!(!server.connection.wants_input());
    assert_eq!(server.deadline, None);
}

#[test]
fn sessions_end_with_their_connection() {
    let (mut server, _) = Server::playing();
    server.input(Input::Closed);
    let ended = |output: &Output| {
        matches!(output, Output::Event(Event::Ended { reason: EndReason::ConnectionClosed, .. }))
    };
    assert!(ended(&server.seen[0]));
    assert_eq!(server.seen[1..], [Output::Close]);
    server.push(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n");
    assert_eq!(server.seen.len(), 2);
}

#[test]
fn a_pending_question_is_answered_when_the_server_closes() {
    let mut server = Server::new();
    server.answering = false;
    server.push(b"DESCRIBE rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n");
    server.connection.close();
    server.connection.close();
    server.drain();
    assert_eq!(server.responses()[0].status, Status::SERVICE_UNAVAILABLE);
    assert_eq!(server.seen, [Output::Close]);
}

#[test]
fn session_identifiers_depend_on_the_seed_alone() {
    let (_, first) = Server::ready();
    let (_, second) = Server::ready();
    assert_eq!(first, second);
}
