//! Servers that refuse, fall silent or vanish.

use std::time::Duration;

use weir_dial::rtsp::Transport;
use weir_player::show;
use weir_record::Level;
use weir_record::event::EndReason;

use crate::scripted::{PACKETS, Plan, serve};
use crate::world::{Pair, Played, settings};

fn play(plan: Plan, transport: Transport) -> Played {
    let pair = Pair::new(1, 0.0);
    serve(&pair.server, pair.address(), plan);
    let url = format!("rtsp://{}/sound", pair.address());
    pair.play(settings(&url, transport), Level::Second)
}

fn text(played: &Played) -> &str {
    played.outcome.text.as_deref().unwrap()
}

#[test]
fn where_udp_is_refused_auto_goes_on_by_tcp() {
    let played = play(Plan { refuses_udp: true, ..Plan::default() }, Transport::Auto);
    assert_eq!(played.outcome.reason, EndReason::EndOfStream, "{:?}", played.outcome);
    assert_eq!(played.track(0).packets, Some(PACKETS.into()));
    assert_eq!(played.summary.warnings, 1);
    assert_eq!(played.summary.transport, Some("tcp".into()));
}

#[test]
fn where_no_packet_comes_by_udp_auto_goes_on_by_tcp() {
    let played = play(Plan::default(), Transport::Auto);
    assert_eq!(played.outcome.reason, EndReason::EndOfStream, "{:?}", played.outcome);
    let sound = played.track(0);
    assert_eq!((sound.packets, sound.frames), (Some(PACKETS.into()), Some(PACKETS.into())));
    assert!(played.summary.first_byte_ns > Some(3_000_000_000));
}

#[test]
fn where_udp_is_asked_for_alone_its_refusal_is_the_end() {
    let played = play(Plan { refuses_udp: true, ..Plan::default() }, Transport::Udp);
    assert_eq!(played.outcome.reason, EndReason::Failed);
    assert!(text(&played).contains("SETUP rtsp://10.0.0.1:8554/sound/trackID=0"), "{played:?}");
    assert!(text(&played).contains("461 Unsupported Transport"), "{played:?}");
    let advice = show::advice(played.outcome.error.as_ref().unwrap()).unwrap();
    assert!(advice.contains("--transport auto"), "{advice}");
}

#[test]
fn a_server_that_sends_nothing_by_udp_is_a_failure_with_a_hint() {
    let played = play(Plan::default(), Transport::Udp);
    assert_eq!(played.outcome.reason, EndReason::Failed);
    assert!(text(&played).contains("no packet of media came for 10 s"), "{played:?}");
    assert!(text(&played).contains("--transport tcp"), "{played:?}");
}

#[test]
fn a_stream_that_falls_silent_is_a_failure() {
    let played = play(Plan { is_silent: true, ..Plan::default() }, Transport::Tcp);
    assert_eq!(played.outcome.reason, EndReason::Failed);
    assert_eq!(text(&played), "no packet of media came for 10 s");
}

#[test]
fn a_server_that_vanishes_ends_the_play_as_closed_by_the_peer() {
    let played = play(Plan { closes_after: Some(7), ..Plan::default() }, Transport::Tcp);
    assert_eq!(played.outcome.reason, EndReason::PeerClosed);
    assert!(!played.outcome.is_success());
    let sound = played.track(0);
    assert_eq!((sound.packets, sound.tail_lost), (Some(7), None));
}

#[test]
fn a_refused_play_names_both_addresses_and_the_status() {
    let plan = Plan { play_status: Some("453 Not Enough Bandwidth"), ..Plan::default() };
    let played = play(plan, Transport::Tcp);
    assert_eq!(played.outcome.reason, EndReason::Failed);
    assert!(text(&played).contains("10.0.0.2:"), "{played:?}");
    assert!(text(&played).contains("to 10.0.0.1:8554: PLAY"), "{played:?}");
    assert!(text(&played).contains("453 Not Enough Bandwidth"), "{played:?}");
}

#[test]
fn nobody_listening_is_told_with_what_to_check() {
    let pair = Pair::new(1, 0.0);
    let played = pair.play(settings("rtsp://server:99/x", Transport::Auto), Level::Second);
    assert!(text(&played).starts_with("cannot connect to 10.0.0.1:99"), "{played:?}");
    let advice = show::advice(played.outcome.error.as_ref().unwrap()).unwrap();
    assert!(advice.contains("nobody listens on 10.0.0.1:99"), "{advice}");
}

#[test]
fn an_unknown_stream_is_told_by_its_name() {
    let pair = Pair::new(1, 0.0);
    pair.serve(Vec::new());
    let url = format!("rtsp://{}/nothing", pair.address());
    let played = pair.play(settings(&url, Transport::Auto), Level::Second);
    assert!(text(&played).contains("404"), "{played:?}");
    let advice = show::advice(played.outcome.error.as_ref().unwrap()).unwrap();
    assert!(advice.contains("\"nothing\""), "{advice}");
    assert!(played.summary.lasted_ns < Some(Duration::from_secs(1).as_nanos() as u64));
}

#[test]
fn reports_go_to_the_server_while_it_plays_and_at_the_end() {
    let file = crate::movie::movie("reports", 16);
    let pair = Pair::new(1, 0.0);
    let (sink, mut drain) = weir_record::queue(Level::Event, 1_000);
    let hub = weir_server::Hub::new(weir_server::Library::new(vec![file.path.clone()]), 1 << 20);
    weir_server::Server::start(&pair.server, &hub, Default::default(), sink).unwrap();
    let played = pair.play(settings(&pair.url(&file.path), Transport::Udp), Level::Second);
    assert!(played.outcome.is_success());
    let mut records = Vec::new();
    drain.take(&mut records);
    let reports = records.iter().filter(|record| record.event.name() == "receiver_report");
    // Two tracks, every 2.5 to 7.5 s, and at the end.
    assert!((6..=18).contains(&reports.count()));
}

#[test]
fn a_server_that_sends_on_and_on_is_left() {
    let plan = Plan { redirects: true, ..Plan::default() };
    let played = play(plan, Transport::Auto);
    assert_eq!(played.outcome.reason, EndReason::Failed);
    assert!(
        text(&played).ends_with("/sound/on/on/on/on/on: redirected more than 4 times"),
        "{played:?}"
    );
}

#[test]
fn a_server_that_ends_in_the_middle_of_a_movie_is_told_from_the_end_of_it() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let file = crate::movie::movie("drains", 8);
        let pair = Pair::new(1, 0.0);
        let hub =
            weir_server::Hub::new(weir_server::Library::new(vec![file.path.clone()]), 1 << 20);
        let records = weir_record::Sink::none();
        let host = pair.server.clone();
        let server = weir_server::Server::start(&host, &hub, Default::default(), records).unwrap();
        pair.server.spawn(async move {
            host.sleep(Duration::from_secs(3)).await;
            server.drain(&host, Duration::from_secs(1)).await;
        });
        let played = pair.play(settings(&pair.url(&file.path), transport), Level::Second);
        assert_eq!(played.outcome.reason, EndReason::PeerClosed, "{transport:?}");
        assert!(text(&played).contains("before the end, at 2."), "{}", text(&played));
        assert_eq!(played.track(0).tail_lost, Some(0));
    }
}
