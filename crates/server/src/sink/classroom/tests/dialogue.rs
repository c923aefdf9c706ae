//! Both spellings, in whatever pieces, and what is refused.

use std::time::Duration;

use weir_record::Event;

use super::Room;
use super::client::{Client, handout};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_handouts_client_sets_up_plays_pauses_goes_on_and_leaves() {
    let mut room = Room::new(1, &[9_000; 40]);
    let (host, address) = (room.client.clone(), room.address);
    room.world.run(async move {
        let mut client = Client::connect(&host, address).await;
        let session = client.play().await;
        let first = client.watch_for(500).await;
        assert_eq!(client.ask(&handout("PAUSE", 3, session)).await, (200, 3, session));
        let rest = client.watch_for(10).await;
        let held = first.len() + rest.len();
        assert!(client.watch_for(1_000).await.is_empty(), "a pause holds");
        assert_eq!(client.ask(&handout("PLAY", 4, session)).await, (200, 4, session));
        let on = client.watch_for(300).await;
        assert_eq!(usize::from(on[0].number()), held + 1, "the next frame, the next number");
        assert_eq!(client.ask(&handout("TEARDOWN", 5, session)).await, (200, 5, session));
        client.watch_for(10).await;
        assert!(client.watch_for(500).await.is_empty());
    });
    let events = room.events();
    let left = events.iter().find_map(|event| match event {
        Event::ViewerLeft(left) => Some(&*left.reason),
        _ => None,
    });
    assert_eq!(left, Some("teardown"));
    let joined = events.iter().find_map(|event| match event {
        Event::ViewerJoined(joined) => Some(&*joined.transport),
        _ => None,
    });
    assert_eq!(joined, Some("classroom/udp"));
}

#[test]
fn the_students_client_is_served_the_same() {
    let room = Room::new(2, &[9_000; 40]);
    let (host, address) = (room.client.clone(), room.address);
    room.world.run(async move {
        let mut client = Client::connect(&host, address).await;
        let port = client.port();
        let setup = format!("SETUP movie.Mjpeg\n1\n RTSP/1.0 RTP/UDP {port}");
        let (status, cseq, session) = client.ask(&setup).await;
        assert_eq!((status, cseq), (200, 1));
        assert_eq!(client.ask("PLAY \n2").await, (200, 2, session));
        assert!(client.watch_for(500).await.len() >= 9);
        assert_eq!(client.ask("PAUSE \n3").await, (200, 3, session));
        assert_eq!(client.ask("TEARDOWN \n4").await, (200, 4, session));
    });
}

#[test]
fn requests_may_come_in_pieces_and_with_carriage_returns() {
    let room = Room::new(3, &[9_000; 40]);
    let (host, address) = (room.client.clone(), room.address);
    room.world.run(async move {
        let client = Client::connect(&host, address).await;
        let setup = client.setup("movie.Mjpeg").replace('\n', "\r\n");
        for byte in setup.split("") {
            client.write(byte).await;
            host.sleep(Duration::from_millis(2)).await;
        }
        let reply = client.read(SECOND).await;
        assert!(reply.starts_with("RTSP/1.0 200 OK\nCSeq: 1\nSession: "), "{reply:?}");
        assert_eq!(reply.lines().count(), 3);
        let session: u32 = reply.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
        let play = handout("PLAY", 2, session);
        let (first, second) = play.split_at(play.len() - 3);
        client.write(first).await;
        host.sleep(Duration::from_millis(30)).await;
        client.write(second).await;
        assert!(client.read(SECOND).await.starts_with("RTSP/1.0 200 OK\nCSeq: 2\n"));
        // Two writes that the network has made one.
        let both = handout("PAUSE", 3, session) + &handout("PLAY", 4, session);
        client.write(&both).await;
        let replies = client.read(SECOND).await + &client.read(Duration::from_millis(200)).await;
        assert_eq!(replies.matches("200 OK").count(), 2, "{replies}");
    });
}

#[test]
fn what_is_not_there_is_404_and_what_is_out_of_place_454_or_455() {
    let mut room = Room::new(4, &[9_000; 4]);
    let (host, address) = (room.client.clone(), room.address);
    room.world.run(async move {
        let client = Client::connect(&host, address).await;
        let (status, cseq, session) = client.ask(&client.setup("../etc/passwd")).await;
        assert_eq!((status, cseq), (404, 1));
        assert_eq!(client.ask(&handout("PLAY", 2, session)).await.0, 455);
        assert_eq!(client.ask(&client.setup("./movie.Mjpeg")).await.0, 200);
        assert_eq!(client.ask(&handout("PLAY", 2, session + 1)).await.0, 454);
        assert_eq!(client.ask(&handout("PAUSE", 3, session)).await.0, 455);
        assert_eq!(client.ask(&handout("PLAY", 4, session)).await, (200, 4, session));
        assert_eq!(client.ask("PLAY movie.Mjpeg RTSP/1.0\nCSeq: x\n").await.0, 400);
    });
    let refused = room.events();
    let refused = refused.iter().filter(|event| matches!(event, Event::Refused(_)));
    assert_eq!(refused.count(), 5, "each is recorded");
}

#[test]
fn live_streams_are_not_for_this_dialect() {
    let mut room = Room::new(5, &[9_000; 4]);
    let sps = [0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb];
    let pps = [0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0];
    let (sps, pps) = (sps.to_vec().into(), pps.to_vec().into());
    let config = weir_media::h264::Config::from_parameter_sets(vec![sps], vec![pps]).unwrap();
    let (id, codec) = (weir_media::TrackId(0), weir_media::Codec::H264(config));
    let track = weir_media::Track { id, codec, clock_rate_hz: 90_000 };
    let _publisher = room.hub.publish("live", vec![track]).unwrap();
    let (host, address) = (room.client.clone(), room.address);
    room.world.run(async move {
        let client = Client::connect(&host, address).await;
        assert_eq!(client.ask(&client.setup("live")).await.0, 404);
    });
    let is_told = |event: &Event| match event {
        Event::Refused(refused) => refused.why.contains("live streams are not carried"),
        _ => false,
    };
    assert!(room.events().iter().any(is_told));
}

#[test]
fn real_rtsp_is_served_on_the_same_port_in_whatever_pieces_it_comes() {
    let room = Room::new(6, &[9_000; 4]);
    let (host, address) = (room.client.clone(), room.address);
    room.world.run(async move {
        let client = Client::connect(&host, address).await;
        let request = format!(
            "SETUP rtsp://{address}/nowhere/trackID=0 RTSP/1.0\r\nCSeq: 7\r\nTransport: \
             RTP/AVP;unicast;client_port=5000-5001\r\n\r\n"
        );
        for piece in request.as_bytes().chunks(9) {
            client.write(std::str::from_utf8(piece).unwrap()).await;
            host.sleep(Duration::from_millis(120)).await;
        }
        let reply = client.read(SECOND).await;
        assert!(reply.starts_with("RTSP/1.0 404 "), "{reply:?}");
        assert!(reply.contains("CSeq: 7\r\n"), "{reply:?}");
        let client = Client::connect(&host, address).await;
        client.write("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n").await;
        assert!(client.read(SECOND).await.contains("Public: "));
    });
}

#[test]
fn who_says_nothing_or_only_half_a_line_is_closed_after_a_minute() {
    for words in ["", "SETUP mov"] {
        let room = Room::new(7, &[9_000; 4]);
        let (host, address) = (room.client.clone(), room.address);
        let closed = room.world.run(async move {
            let client = Client::connect(&host, address).await;
            client.write(words).await;
            client.sees_close(Duration::from_secs(130)).await
        });
        assert_eq!(closed, Some(true), "{words:?}");
    }
}
