//! Numbers and times over pauses and seeks.

use std::net::SocketAddr;
use std::time::Duration;

use weir_net::sim::World;
use weir_record::Sink;
use weir_time::Instant;

use crate::raw::Raw;
use crate::stream::serve_live;

#[test]
fn numbers_and_times_go_on_over_a_pause_as_if_there_had_been_none() {
    let world = World::new(9);
    let (server, client) = (world.host("server"), world.host("client"));
    world.join(&client, &server, Default::default(), Default::default()).unwrap();
    let address = SocketAddr::new(server.addresses()[0], 8554);
    serve_live(&server, 5_000, Sink::none());
    let packets = world.run(async move {
        let url = format!("rtsp://{address}/live");
        let mut viewer = Raw::connect(&client, address).await;
        client.sleep(Duration::from_millis(500)).await;
        viewer.play_live(&url).await;
        viewer.watch(Instant::from_millis(3_000)).await;
        viewer.ask("PAUSE", &url, "").await;
        let before = viewer.packets.len();
        viewer.watch(Instant::from_millis(8_000)).await;
        assert_eq!(viewer.packets.len(), before, "nothing comes while it is paused");
        let played = viewer.ask("PLAY", &url, "").await;
        let info = played.lines().find_map(|line| line.strip_prefix("RTP-Info: ")).unwrap();
        viewer.watch(Instant::from_millis(10_000)).await;
        let next = viewer.packets[before];
        assert!(info.contains(&format!("seq={}", next.seq)), "{info} {next:?}");
        assert!(info.contains(&format!("rtptime={}", next.time)), "{info} {next:?}");
        let last = viewer.packets[before - 1];
        assert_eq!(next.time.wrapping_sub(last.time), 3_000, "one frame later (RFC 2326 B)");
        viewer.packets
    });
    for two in packets.unwrap().windows(2) {
        assert_eq!(two[1].seq, two[0].seq.wrapping_add(1));
    }
}

#[test]
fn a_live_stream_goes_on_at_what_happens_now_after_a_pause() {
    let world = World::new(9);
    let (server, client) = (world.host("server"), world.host("client"));
    world.join(&client, &server, Default::default(), Default::default()).unwrap();
    let address = SocketAddr::new(server.addresses()[0], 8554);
    serve_live(&server, 5_000, Sink::none());
    world
        .run(async move {
            let url = format!("rtsp://{address}/live");
            let mut viewer = Raw::connect(&client, address).await;
            viewer.play_live(&url).await;
            viewer.watch(Instant::from_millis(1_000)).await;
            viewer.ask("PAUSE", &url, "").await;
            let frames = |viewer: &Raw| viewer.packets.iter().filter(|p| p.marker).count();
            let before = frames(&viewer);
            // A key frame comes at 0 s, 2 s and so on: at 9.2 s, 36 frames behind one.
            viewer.watch(Instant::from_millis(9_200)).await;
            let played = viewer.ask("PLAY", &url, "Range: npt=5-\r\n").await;
            assert!(played.contains("Range: npt=now-"), "{played}");
            viewer.watch(Instant::from_millis(9_220)).await;
            let caught_up = frames(&viewer) - before;
            assert!((36..=38).contains(&caught_up), "{caught_up} frames at once");
            let refused = viewer.ask("PAUSE", &url, "Range: npt=12-\r\n").await;
            assert!(refused.starts_with("RTSP/1.0 457"), "{refused}");
        })
        .unwrap();
}

#[test]
fn a_stranger_gets_clear_answers() {
    let world = World::new(9);
    let (server, client) = (world.host("server"), world.host("client"));
    world.join(&client, &server, Default::default(), Default::default()).unwrap();
    let address = SocketAddr::new(server.addresses()[0], 8554);
    serve_live(&server, 5_000, Sink::none());
    world
        .run(async move {
            let mut viewer = Raw::connect(&client, address).await;
            let url = format!("rtsp://{address}/nowhere");
            let answer = viewer.ask("DESCRIBE", &url, "").await;
            assert!(answer.starts_with("RTSP/1.0 404"), "{answer}");
            let answer = viewer.ask("PLAY", &url, "").await;
            assert!(answer.starts_with("RTSP/1.0 455"), "{answer}");
            let track = format!("rtsp://{address}/live/trackID=7");
            let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
            let answer = viewer.ask("SETUP", &track, transport).await;
            assert!(answer.starts_with("RTSP/1.0 404"), "{answer}");
        })
        .unwrap();
}
