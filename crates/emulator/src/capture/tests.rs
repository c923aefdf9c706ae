use std::process::Command;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use weir_time::Instant;

use super::feed::{Feed, Feeds};
use super::order::Order;
use super::read::{Item, Reader};
use super::summary::{Builder, Summary};
use super::{page, pcapng};
use crate::world::{World, seconds};

const ZERO_UTC_NS: u64 = 1_795_219_200_000_000_000;

/// A world whose packets are captured, and where the pages come out.
fn captured(up: &str, bytes_max: usize) -> (World, Receiver<Vec<u8>>) {
    let feeds = Feeds::default();
    let (feed, pages, spares) = Feed::new(None, bytes_max);
    // Pages are read at the end: there must be enough of them.
    std::mem::forget(spares);
    feeds.slot().put(Some(feed));
    (World::new(up, feeds), pages)
}

/// The capture as a file.
fn file(pages: &Receiver<Vec<u8>>, held_bytes_max: usize) -> Vec<u8> {
    let mut out = Vec::new();
    pcapng::section(&mut out, "weir test");
    for name in ["s1-s2 up in", "s1-s2 up out", "s1-s2 down in", "s1-s2 down out"] {
        let (name, description) = (name.to_owned(), "a test".to_owned());
        let described = pcapng::Interface { name, description, snaplen: 0, speed_bps: None };
        pcapng::interface(&mut out, &described);
    }
    let mut order = Order::new(2, 0, held_bytes_max, ZERO_UTC_NS);
    while let Ok(page) = pages.try_recv() {
        let mut rest = page.as_slice();
        while let Some(event) = page::next(&mut rest) {
            order.handle(&event);
        }
        assert!(rest.is_empty());
        order.drain(&mut out);
    }
    order.finish(&mut out);
    out
}

fn items(file: &[u8]) -> Vec<Item> {
    let mut reader = Reader::default();
    reader.push(file);
    let mut items = Vec::new();
    while let Some(item) = reader.poll().expect("it is right") {
        items.push(item);
    }
    assert!(!reader.is_within());
    items
}

fn summary(file: &[u8]) -> Summary {
    let mut builder = Builder::default();
    items(file).into_iter().for_each(|item| builder.push(item));
    builder.summary()
}

/// Packets as interface, time since the start, comment and id.
fn packets(file: &[u8]) -> Vec<(usize, u64, String, u64)> {
    let packets = items(file).into_iter().filter_map(|item| match item {
        Item::Packet { interface, at_ns, comment, id, .. } => {
            Some((interface, at_ns - ZERO_UTC_NS, comment?, id?))
        }
        Item::Interface { .. } => None,
    });
    packets.collect()
}

#[test]
fn each_packet_is_seen_twice_in_order_of_time_with_its_fate() {
    let (mut world, pages) = captured("rate=8mbit delay=40ms", usize::MAX);
    world.send(1000, Duration::from_micros(500), Instant::from_millis(1));
    world.run_until(seconds(1));
    drop(world);
    let found = packets(&file(&pages, usize::MAX));
    let ms = |millis: f64| (millis * 1e6) as u64;
    let comments = [
        "#0 out 1795219200.041000000 after 41.000000 ms, queue 1.000000 ms",
        "#1 out 1795219200.042000000 after 41.500000 ms, queue 1.500000 ms",
        "#0 late 0.000000 ms",
        "#1 late 0.000000 ms",
    ];
    let expected = [
        (0, 0, comments[0].to_owned(), 0),
        (0, ms(0.5), comments[1].to_owned(), 1),
        (1, ms(41.0), comments[2].to_owned(), 0),
        (1, ms(42.0), comments[3].to_owned(), 1),
    ];
    assert_eq!(found, expected);
}

#[test]
fn dropped_packets_are_on_the_way_in_alone_and_say_why() {
    let (mut world, pages) = captured("rate=1mbit queue=2p loss=30%", 64);
    world.send(1000, Duration::from_millis(2), seconds(1));
    world.run_until(seconds(2));
    let out = world.out;
    drop(world);
    let file = file(&pages, usize::MAX);
    let found = packets(&file);
    let times: Vec<_> = found.iter().map(|packet| packet.1).collect();
    assert!(times.is_sorted());
    let with = |text: &str| found.iter().filter(|packet| packet.2.contains(text)).count() as u64;
    let (full, lost) = (with("dropped: queue full"), with("dropped: lost by chance, queue"));
    assert!(full > 300 && lost > 20, "{full} {lost}");
    assert_eq!(found.iter().filter(|packet| packet.0 == 0).count(), 500);
    assert_eq!(found.iter().filter(|packet| packet.0 == 1).count() as u64, out);
    assert_eq!(500 - full - lost, out);
    let summary = summary(&file);
    let link = &summary.links[0];
    assert_eq!((link.sent.packets, link.arrived.packets), (500, out));
    assert_eq!(link.dropped["queue full"], full);
    assert_eq!(link.dropped["lost by chance"], lost);
    let runs = link.loss_runs.as_ref().expect("there are runs");
    assert_eq!(runs.0.sum(), full + lost);
}

#[test]
fn the_summary_has_the_rate_the_delay_and_the_times_between_packets() {
    let (mut world, pages) = captured("rate=8mbit delay=10ms", 64);
    world.send(1000, Duration::from_millis(2), seconds(2));
    drop(world);
    let link = summary(&file(&pages, usize::MAX)).links.remove(0);
    assert_eq!(link.name, "s1-s2 up");
    assert_eq!(link.sent.rate_bps, Some(4_000_000));
    assert_eq!(link.sent.bytes_by_second, [500_000, 500_000]);
    let median = |held: Option<super::summary::Distribution>| {
        held.and_then(|held| held.0.quantile(0.5)).expect("it was measured")
    };
    assert_eq!(median(link.delay), 11_000_000);
    assert_eq!(median(link.sent.between), 2_000_000);
    assert_eq!(median(link.arrived.between), 2_000_000);
}

#[test]
fn what_waits_for_its_fate_is_bounded() {
    let (mut world, pages) = captured("rate=1mbit queue=10mb", usize::MAX);
    world.send(1000, Duration::from_micros(100), seconds(1));
    drop(world);
    let found = packets(&file(&pages, 1 << 20));
    let given_up = found.iter().filter(|packet| packet.2.contains("too much waits")).count();
    assert!(given_up > 5000, "{given_up}");
    assert_eq!(found.iter().filter(|packet| packet.0 == 0).count(), 10_000);
}

#[test]
fn a_feed_without_room_counts_what_it_leaves_out() {
    let feeds = Feeds::default();
    let (feed, pages, _spares) = Feed::new(None, usize::MAX);
    feeds.slot().put(Some(feed));
    let mut world = World::new("", feeds);
    // 64 pages of 256 KB hold 16 MB.
    world.send(1400, Duration::from_micros(10), Instant::from_millis(300));
    assert_eq!(world.out, 30_000);
    drop(world);
    let found = packets(&file(&pages, usize::MAX));
    let ways_in = found.iter().filter(|packet| packet.0 == 0).count();
    assert!((5_000..20_000).contains(&ways_in), "{ways_in}");
}

#[test]
fn a_capture_of_another_program_has_the_times_between_its_packets() {
    let mut builder = Builder::default();
    builder.push(Item::Interface { name: String::new(), link_type: 1 });
    for number in 0..5 {
        let at_ns = number * 20_000_000;
        builder.push(Item::Packet { interface: 0, at_ns, bytes: 100, comment: None, id: None });
    }
    let summary = builder.summary();
    assert!(summary.links.is_empty());
    let seen = &summary.interfaces[0];
    assert_eq!((seen.name.as_str(), seen.seen.packets), ("interface 0", 5));
    assert_eq!(seen.seen.rate_bps, Some(40_000));
    let between = seen.seen.between.as_ref().expect("there are five");
    assert_eq!(between.0.quantile(0.5), Some(20_000_000));
}

#[test]
fn tshark_reads_a_capture_without_a_warning() {
    let (mut world, pages) = captured("rate=1mbit queue=2p delay=10ms", 96);
    world.send(1000, Duration::from_millis(4), Instant::from_millis(400));
    world.run_until(seconds(1));
    drop(world);
    let bytes = file(&pages, usize::MAX);
    let path = std::env::temp_dir().join(format!("weir-capture-{}.pcapng", std::process::id()));
    std::fs::write(&path, &bytes).expect("there is room");
    let fields = ["frame.interface_name", "frame.time_epoch", "frame.len", "frame.comment"];
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(&path).args(["-T", "fields"]);
    fields.iter().chain(&["frame.packet_id", "frame.drop_count", "ip.src"]).for_each(|field| {
        tshark.args(["-e", field]);
    });
    let read = tshark.output();
    let _ = std::fs::remove_file(&path);
    let Ok(read) = read else {
        eprintln!("skipped: tshark is not there");
        return;
    };
    let said = String::from_utf8_lossy(&read.stderr);
    let complaints: Vec<_> =
        said.lines().filter(|line| !line.starts_with("Running as user")).collect();
    assert!(read.status.success() && complaints.is_empty(), "{complaints:?}");
    let lines: Vec<String> =
        String::from_utf8_lossy(&read.stdout).lines().map(str::to_owned).collect();
    let ours = packets(&bytes);
    assert_eq!(lines.len(), ours.len());
    for (line, (interface, at_ns, comment, _)) in lines.iter().zip(&ours) {
        let fields: Vec<_> = line.split('\t').collect();
        assert_eq!(fields[0], if *interface == 0 { "s1-s2 up in" } else { "s1-s2 up out" });
        let at = ZERO_UTC_NS + at_ns;
        assert_eq!(fields[1], format!("{}.{:09}", at / 1_000_000_000, at % 1_000_000_000));
        assert_eq!((fields[2], fields[3], fields[6]), ("1000", comment.as_str(), "10.0.0.1"));
    }
    assert!(lines.iter().any(|line| line.contains("dropped: queue full")));
}
