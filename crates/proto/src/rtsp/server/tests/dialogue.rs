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
fn channels_that_are_taken_are_replaced_by_free_ones() {
    let (mut server, id) = Server::ready();
    let setup = server.ask(&format!(
        "SETUP rtsp://h/movie/trackID=2 RTSP/1.0|CSeq: 3|Session: {id}|Transport: RTP/AVP/TCP;interleaved=1-2"
    ));
    assert_eq!(
        setup.fields.get("Transport"),
        Some("RTP/AVP/TCP;unicast;interleaved=4-5;ssrc=FEED0001")
    );
    let own = server.ask(&format!(
        "SETUP rtsp://h/movie/trackID=0 RTSP/1.0|CSeq: 3|Session: {id}|Transport: RTP/AVP/TCP;interleaved=0-1"
    ));
    assert!(own.fields.get("Transport").unwrap().contains("interleaved=0-1"));
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
