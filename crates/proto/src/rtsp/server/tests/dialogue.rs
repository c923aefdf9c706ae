//! What clients say in order, and what they are answered.

use super::*;

#[test]
fn ffmpeg_plays_over_udp() {
    let mut server = Server::new();
    let agent = "User-Agent: Lavf61.7.100";
    let options = server.ask(&format!("OPTIONS rtsp://h:8554/movie RTSP/1.0|CSeq: 1|{agent}"));
    assert!(options.fields.get("Public").unwrap().contains("GET_PARAMETER"));
    let describe = server.ask(&format!(
        "DESCRIBE rtsp://h:8554/movie RTSP/1.0|Accept: application/sdp|CSeq: 2|{agent}"
    ));
    assert_eq!(describe.fields.get("Content-Base"), Some("rtsp://h:8554/movie/"));
    assert_eq!(describe.fields.get("Content-Type"), Some("application/sdp"));
    assert_eq!(&describe.body[..], b"v=0\r\n");
    let setup = server.ask(&format!(
        "SETUP rtsp://h:8554/movie/trackID=0 RTSP/1.0|Transport: RTP/AVP/UDP;unicast;client_port=26968-26969|CSeq: 3|{agent}"
    ));
    assert_eq!(
        setup.fields.get("Transport"),
        Some("RTP/AVP;unicast;client_port=26968-26969;server_port=6970-6971;ssrc=FEED0001")
    );
    let session = setup.fields.get("Session").unwrap().to_owned();
    let id = session.split(';').next().unwrap();
    assert_eq!(id.len(), 16);
    let play = server.ask(&format!(
        "PLAY rtsp://h:8554/movie/ RTSP/1.0|Range: npt=0.000-|CSeq: 4|{agent}|Session: {id}"
    ));
    assert_eq!(play.fields.get("Range"), Some("npt=0.000-"));
    assert_eq!(
        play.fields.get("RTP-Info"),
        Some("url=rtsp://h:8554/movie/trackID=0;seq=100;rtptime=9000")
    );
    let teardown = server
        .ask(&format!("TEARDOWN rtsp://h:8554/movie/ RTSP/1.0|CSeq: 5|{agent}|Session: {id}"));
    assert_eq!((teardown.status, teardown.fields.get("CSeq")), (Status::OK, Some("5")));
    let Event::Describe { client, .. } = &server.questions[0] else { panic!() };
    assert_eq!(client.user_agent.as_deref(), Some("Lavf61.7.100"));
    assert_eq!(server.seen, []);
}

#[test]
fn gstreamer_plays_pauses_and_seeks_over_tcp() {
    let mut server = Server::new();
    let agent = "User-Agent: GStreamer/1.22.0|Date: Sat, 23 May 2026 08:36:47 GMT";
    server.ask(
        "OPTIONS rtsp://h/movie RTSP/1.0|CSeq: 1|User-Agent: GStreamer/1.22.0\
         |User-Agent: RealMedia Player Version 6.0.9.1235 (linux-2.0-libc6-i386-gcc2.95)\
         |ClientChallenge: 9e26d33f2984236010ef6253fb1887f7|CompanyID: KnKV4M4I/B2FjJ1TToLycw==\
         |GUID: 00000000-0000-0000-0000-000000000000|RegionData: 0\
         |PlayerStarttime: [28/03/2003:22:50:23 00:00]",
    );
    let setup = server.ask(&format!(
        "SETUP rtsp://h/movie/trackID=0 RTSP/1.0|CSeq: 3|{agent}|Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
    ));
    let id = setup.fields.get("Session").unwrap().split(';').next().unwrap().to_owned();
    server.ask(&format!(
        "SETUP rtsp://h/movie/trackID=1 RTSP/1.0|CSeq: 4|{agent}|Transport: RTP/AVP/TCP;unicast;interleaved=2-3|Session: {id}"
    ));
    let play = server
        .ask(&format!("PLAY rtsp://h/movie/ RTSP/1.0|CSeq: 5|{agent}|Range: npt=0-|Session: {id}"));
    assert_eq!(
        play.fields.get("RTP-Info"),
        Some(
            "url=rtsp://h/movie/trackID=0;seq=100;rtptime=9000,url=rtsp://h/movie/trackID=1;seq=101;rtptime=9000"
        )
    );
    let pause =
        server.ask(&format!("PAUSE rtsp://h/movie/ RTSP/1.0|CSeq: 6|{agent}|Session: {id}"));
    assert_eq!(pause.fields.get("Range"), Some("npt=1.500-"));
    server.ask(&format!(
        "PLAY rtsp://h/movie/ RTSP/1.0|CSeq: 7|{agent}|Range: npt=12.5-|Scale: 2.0|Session: {id}"
    ));
    let Some(Event::Play { range, scale, playing, tracks, .. }) = server.questions.last() else {
        panic!()
    };
    assert_eq!(range, &Some(Range::from(Duration::from_millis(12_500))));
    assert_eq!((*scale, *playing, &tracks[..]), (Some(2.0), false, &[0, 1][..]));
    assert_eq!(server.seen, []);
}

#[test]
fn setup_twice_replaces_the_transport_until_the_session_plays() {
    let (mut server, id) = Server::ready();
    let setup = format!(
        "SETUP rtsp://h/movie/trackID=0 RTSP/1.0|CSeq: 3|Session: {id}|Transport: RTP/AVP;unicast;client_port=4000-4001"
    );
    let again = server.ask(&setup);
    assert!(again.fields.get("Transport").unwrap().contains("server_port"));
    server.push(b"$\x00\x00\x00");
    assert_eq!(server.connection.unknown_frames(), 1, "the old channels are free again");
    server.ask(&format!("PLAY rtsp://h/movie RTSP/1.0|CSeq: 4|Session: {id}"));
    let response = server.ask(&setup);
    assert_eq!(response.status, Status::METHOD_NOT_VALID_IN_THIS_STATE);
}

#[test]
fn media_goes_on_exactly_the_channels_that_the_client_asks_for() {
    for (asked, given) in [
        ("interleaved=4-5", "4-5"),
        ("interleaved=9-4", "9-4"),
        ("interleaved=254-255", "254-255"),
        ("interleaved=6", "6-7"),
        ("unicast", "4-5"),
    ] {
        let (mut server, id) = Server::ready();
        let setup = server.ask(&format!(
            "SETUP rtsp://h/movie/trackID=2 RTSP/1.0|CSeq: 3|Session: {id}|Transport: RTP/AVP/TCP;{asked}"
        ));
        let transport = setup.fields.get("Transport").unwrap();
        assert_eq!(
            transport,
            format!("RTP/AVP/TCP;unicast;interleaved={given};ssrc=FEED0001"),
            "{asked}"
        );
    }
}

#[test]
fn a_track_that_is_set_up_anew_may_keep_its_channels() {
    let (mut server, id) = Server::ready();
    let own = server.ask(&format!(
        "SETUP rtsp://h/movie/trackID=0 RTSP/1.0|CSeq: 3|Session: {id}|Transport: RTP/AVP/TCP;interleaved=0-1"
    ));
    assert!(own.fields.get("Transport").unwrap().contains("interleaved=0-1"));
}

#[test]
fn channels_that_cannot_be_had_are_refused_unless_there_is_another_alternative() {
    for asked in ["1-2", "3", "0-1", "7-7", "255", "256-257", "a-b"] {
        let (mut server, id) = Server::ready();
        let setup = format!(
            "SETUP rtsp://h/movie/trackID=2 RTSP/1.0|CSeq: 3|Session: {id}|Transport: RTP/AVP/TCP;interleaved={asked}"
        );
        let refused = server.ask(&setup);
        assert_eq!(refused.status, Status::UNSUPPORTED_TRANSPORT, "{asked}");
        assert!(refused.reason.contains("channels"), "{}", refused.reason);
        let other = server.ask(&format!("{setup},RTP/AVP;unicast;client_port=4000-4001"));
        assert!(other.fields.get("Transport").unwrap().contains("client_port=4000-4001"));
    }
}

#[test]
fn transports_in_several_fields_are_one_list() {
    let mut server = Server::new();
    let setup = server.ask(
        "SETUP rtsp://h/a RTSP/1.0|CSeq: 1|Transport: RTP/AVP;multicast|Transport: RTP/AVP/TCP;interleaved=2-3",
    );
    assert!(setup.fields.get("Transport").unwrap().contains("interleaved=2-3"));
}

#[test]
fn the_content_base_is_the_streams_address_with_a_slash_behind_its_path() {
    for (asked, base) in [
        ("rtsp://h:8554/movie", "rtsp://h:8554/movie/"),
        ("rtsp://h:8554/movie/", "rtsp://h:8554/movie/"),
        ("RTSP://HOST.Example/a%20b/C%C3%A4", "rtsp://HOST.Example/a%20b/C%C3%A4/"),
        ("rtsp://u:p@h/movie", "rtsp://h/movie/"),
        ("rtsp://[2001:db8::1]:554/movie", "rtsp://[2001:db8::1]:554/movie/"),
        ("rtsp://h/movie?x=1&y=2", "rtsp://h/movie/?x=1&y=2"),
        ("rtsp://h/movie?x=1/", "rtsp://h/movie/?x=1"),
        ("rtsp://h/movie/trackID=1", "rtsp://h/movie/"),
        ("rtsp://h", "rtsp://h/"),
    ] {
        let mut server = Server::new();
        let response = server.ask(&format!("DESCRIBE {asked} RTSP/1.0|CSeq: 1"));
        assert_eq!(response.fields.get("Content-Base"), Some(base), "{asked}");
        // However a client joins base and control, the track is found.
        let asked = ControlPath::parse(asked).unwrap();
        let (path, query) = base.split_once('?').unwrap_or((base, ""));
        for joined in [format!("{base}/trackID=1"), format!("{path}trackID=1?{query}")] {
            let control = ControlPath::parse(&joined).unwrap();
            assert_eq!((&control.stream, control.track), (&asked.stream, Some(1)), "{joined}");
        }
    }
}

#[test]
fn pause_takes_one_place_and_one_to_come_leaves_the_session_playing() {
    for (range, at) in
        [("npt=10-", Some(10_000)), ("npt=0:00:10.5", Some(10_500)), ("npt=now-", None)]
    {
        let (mut server, id) = Server::playing();
        let pause = |cseq| {
            format!("PAUSE rtsp://h/movie RTSP/1.0|CSeq: {cseq}|Session: {id}|Range: {range}")
        };
        assert_eq!(server.ask(&pause(3)).status, Status::OK);
        let Some(Event::Pause { at: told, .. }) = server.questions.last() else { panic!() };
        assert_eq!(*told, at.map(Duration::from_millis), "{range}");
        // Paused at once, there is nothing to pause any more.
        let again = server.ask(&pause(4)).status;
        let state = Status::METHOD_NOT_VALID_IN_THIS_STATE;
        assert_eq!(again, if at.is_some() { Status::OK } else { state }, "{range}");
    }
}

#[test]
fn speed_and_scale_are_asked_of_the_driver_and_answered_with_what_it_uses() {
    let (mut server, id) = Server::ready();
    let play = server
        .ask(&format!("PLAY rtsp://h/movie RTSP/1.0|CSeq: 3|Session: {id}|Scale: -1.5|Speed: 2.5"));
    assert_eq!(play.fields.get("Scale"), Some("-1.5"));
    assert_eq!(play.fields.get("Speed"), Some("2.5"));
    let plain = server.ask(&format!("PLAY rtsp://h/movie RTSP/1.0|CSeq: 4|Session: {id}"));
    assert_eq!((plain.fields.get("Scale"), plain.fields.get("Speed")), (None, None));
}

#[test]
fn offered_transports_keep_the_clients_order() {
    let mut server = Server::new();
    server.ask(
        "SETUP rtsp://h/a RTSP/1.0|CSeq: 1|Transport: RTP/AVP;multicast,RTP/AVP/TCP,RTP/AVP/UDP;client_port=4-5;destination=192.0.2.1",
    );
    let Event::Setup { offered, first, control, .. } = &server.questions[0] else { panic!() };
    let channels = Some(ChannelPair { rtp: 0, rtcp: Some(1) });
    assert_eq!(offered[0].interleaved, channels);
    assert_eq!(offered[1], Transport::udp(4));
    assert_eq!(offered.len(), 2);
    assert!(first);
    assert_eq!(control.track, None);
}

#[test]
fn single_tracks_play_and_pause_where_that_is_allowed() {
    let config = Config { single_track_control: true, ..Config::default() };
    let mut server = Server::with(config);
    let id = set_up(&mut server);
    server.ask(&format!("PLAY rtsp://h/movie/trackID=1 RTSP/1.0|CSeq: 3|Session: {id}"));
    let Some(Event::Play { tracks, .. }) = server.questions.last() else { panic!() };
    assert_eq!(tracks, &[1]);
    let both = server.ask(&format!("PLAY rtsp://h/movie RTSP/1.0|CSeq: 4|Session: {id}"));
    assert_eq!(both.status, Status::OK);
    let Some(Event::Play { playing, .. }) = server.questions.last() else { panic!() };
    assert!(playing);
}

#[test]
fn teardown_of_one_track_leaves_the_session_and_of_the_last_ends_it() {
    let (mut server, id) = Server::playing();
    let teardown =
        |track| format!("TEARDOWN rtsp://h/movie/trackID={track} RTSP/1.0|CSeq: 5|Session: {id}");
    let first = server.ask(&teardown(0));
    assert!(first.fields.get("Session").is_some());
    let Some(Event::Teardown { tracks, end: false, .. }) = server.questions.last() else {
        panic!()
    };
    assert_eq!(tracks, &[0]);
    let last = server.ask(&teardown(1));
    assert_eq!((last.status, last.fields.get("Session")), (Status::OK, None));
    let Some(Event::Teardown { end: true, .. }) = server.questions.last() else { panic!() };
    assert_eq!(server.ask(&teardown(1)).status, Status::SESSION_NOT_FOUND);
    assert_eq!(server.seen.len(), 1, "no Ended after TEARDOWN");
}

#[test]
fn a_range_may_name_now() {
    let (mut server, id) = Server::ready();
    server.ask(&format!("PLAY * RTSP/1.0|CSeq: 3|Session: {id};timeout=60|Range: npt=now-"));
    let Some(Event::Play { range, .. }) = server.questions.last() else { panic!() };
    let Some(Range::Npt { start: Some(Npt::Now), end: None }) = range else { panic!() };
}
