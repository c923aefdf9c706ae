//! Sender reports to viewers, and receiver reports from them.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use weir_link::Settings;
use weir_net::Host;
use weir_net::sim::World;
use weir_proto::rtcp::{self, Packet, ReceiverReport, ReportBlock, SenderReport};
use weir_proto::rtp::Ssrc;
use weir_record::{Event, Level, Sink};
use weir_time::Instant;

use crate::raw::Raw;
use crate::stream::serve_live;

/// A server and a client with so much delay on each way between them.
fn hosts(world: &World, delay_ms: u64) -> (Host, Host, SocketAddr) {
    let (server, client) = (world.host("server"), world.host("client"));
    let link = Settings { delay: Duration::from_millis(delay_ms), ..Settings::default() };
    world.join(&client, &server, link.clone(), link).unwrap();
    let address = SocketAddr::new(server.addresses()[0], 8554);
    (server, client, address)
}

fn sender_report(data: &[u8]) -> SenderReport {
    match rtcp::decode(data).unwrap().first() {
        Some(Packet::SenderReport(report)) => report.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_report_comes_with_the_first_packet_and_each_counts_what_its_viewer_was_sent() {
    let world = World::new(3);
    let (server, client, address) = hosts(&world, 10);
    serve_live(&server, 5_000, Sink::none());
    world
        .run(async move {
            let url = format!("rtsp://{address}/live");
            for joins_ms in [500, 14_000] {
                let mut viewer = Raw::connect(&client, address).await;
                client.sleep_until(Instant::from_millis(joins_ms)).await;
                viewer.play_live(&url).await;
                viewer.watch(Instant::from_millis(joins_ms + 12_000)).await;
                assert!(viewer.reports.len() >= 2, "{:?}", viewer.reports);
                let (at, _, _) = viewer.reports[0];
                assert!(at <= viewer.packets[0].at, "the first packet came before any report");
                for (_, packets_before, data) in &viewer.reports {
                    let count = sender_report(data).packet_count as usize;
                    assert_eq!(count, *packets_before, "of a viewer that came at {joins_ms} ms");
                }
            }
        })
        .unwrap();
}

#[test]
fn a_receiver_report_is_recorded_with_its_loss_jitter_and_the_links_round_trip() {
    let world = World::new(3);
    let (server, client, address) = hosts(&world, 40);
    let (sink, mut drain) = weir_record::queue(Level::Event, 1000);
    serve_live(&server, 5_000, sink);
    world
        .run(async move {
            let mut viewer = Raw::connect(&client, address).await;
            viewer.play_live(&format!("rtsp://{address}/live")).await;
            viewer.watch(Instant::from_millis(1_000)).await;
            let (came, _, data) = viewer.reports[0].clone();
            let report = sender_report(&data);
            client.sleep_until(came + Duration::from_millis(1_500)).await;
            let block = ReportBlock {
                ssrc: report.ssrc,
                fraction_lost: 64,
                cumulative_lost: 7,
                extended_highest: 0x0001_0203,
                jitter_ticks: 900,
                last_sr: report.ntp.middle(),
                // 1.5 s in units of 1/65536 s.
                delay_since_last_sr: 98_304,
            };
            let of_another = ReportBlock { ssrc: Ssrc(report.ssrc.0 ^ 1), ..block };
            for block in [of_another, block] {
                let receiver =
                    Packet::ReceiverReport(ReceiverReport { ssrc: Ssrc(1), reports: vec![block] });
                let mut out = BytesMut::new();
                rtcp::compound(&[receiver, name()], &mut out).unwrap();
                viewer.report(&out).await;
            }
            client.sleep(Duration::from_secs(1)).await;
        })
        .unwrap();
    let mut records = Vec::new();
    drain.take(&mut records);
    let reports: Vec<_> = records
        .into_iter()
        .filter_map(|record| match record.event {
            Event::ReceiverReport(report) => Some(report),
            _ => None,
        })
        .collect();
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!((report.track, report.fraction_lost, report.cumulative_lost), (0, 64, 7));
    assert_eq!(report.highest_seq, 0x0001_0203);
    assert_eq!(report.jitter_ns, 10_000_000, "900 ticks of 90 kHz");
    let round_trip_ms = report.round_trip_ns.unwrap() as f64 / 1e6;
    assert!((round_trip_ms - 80.0).abs() < 1.0, "{round_trip_ms} ms");
}

fn name() -> Packet {
    Packet::SourceDescription(rtcp::SourceDescription::cname(Ssrc(1), "viewer"))
}
