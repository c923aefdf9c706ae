//! Bad links, and peers that send anything.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use weir_link::{Jitter, Loss};

use super::world::{World, link, millis};
use crate::tcp::{
    CongestionControl, Connection, Event, Flags, Output, Segment, Settings, fuzz::fuzz_segments,
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_arrives_once_and_in_order_whatever_the_link_does(
        seed in any::<u64>(),
        rate in 500_000u64..50_000_000,
        round_trip_ms in 0u64..200,
        queue in 3_000u64..200_000,
        loss in 0.0f64..0.08,
        jitter_ms in 0u64..30,
        held_share in 0.0f64..0.2,
        held_ms in 0u64..60,
        buffer in 4_000usize..500_000,
        reno in any::<bool>(),
    ) {
        let mut settings = link(rate, round_trip_ms, queue);
        settings.loss = Loss::Independent(loss);
        settings.jitter = Jitter::Uniform { spread: Duration::from_millis(jitter_ms) };
        let tcp = Settings {
            receive_buffer_bytes: buffer,
            receive_window_initial_bytes: if reno { buffer } else { 65_535 },
            // Long enough that every lost acknowledgement of the end is repeated.
            time_wait: Duration::from_secs(300),
            congestion_control: if reno { CongestionControl::Reno } else { CongestionControl::Cubic },
            ..Settings::default()
        };
        let mut world = World::new(seed >> 1, settings, tcp);
        for path in &mut world.paths {
            path.held_share = held_share;
            path.held = Duration::from_millis(held_ms);
        }
        for (end, bytes) in world.ends.iter_mut().zip([400_000, 60_000]) {
            end.write_max = bytes;
            end.finish = true;
        }
        world.run_until(millis(3_600_000), |world| {
            world.ends.iter().all(|end| end.tcp.is_closed())
        });
        prop_assert_eq!((world.ends[0].read, world.ends[1].read), (60_000, 400_000));
        for end in &world.ends {
            prop_assert!(end.events.contains(&Event::Closed), "{:?}", end.events);
            prop_assert_eq!(end.tcp.counters().bytes_received as usize, end.read);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_segments_do_no_harm(data in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz_segments(&data);
    }
}

#[test]
fn a_pause_of_the_link_is_no_loss() {
    let mut world = World::new(9, link(20_000_000, 40, 400_000), Settings::default());
    world.ends[0].write_max = usize::MAX;
    world.run_to(millis(3_000));
    let window = world.ends[0].tcp.congestion_window_segments();
    let before = world.ends[0].tcp.counters();
    // For a second everything is only late.
    let settings = world.paths[0].pipe.settings().clone();
    let late = weir_link::Settings { delay: Duration::from_millis(1_000), ..settings.clone() };
    world.paths[0].pipe.set(millis(3_000), late).expect("possible");
    world.run_to(millis(3_050));
    world.paths[0].pipe.set(millis(3_050), settings).expect("possible");
    world.run_to(millis(4_500));
    let counters = world.ends[0].tcp.counters();
    assert!(counters.timeouts > before.timeouts, "{counters:?}");
    assert!(counters.undone > before.undone, "{counters:?}");
    assert!(world.ends[0].tcp.congestion_window_segments() >= window);
}

#[test]
fn overtaking_is_not_taken_for_loss_for_long() {
    let mut world = World::new(9, link(20_000_000, 80, 300_000), Settings::default());
    world.paths[0].held_share = 0.05;
    world.paths[0].held = Duration::from_millis(10);
    world.ends[0].write_max = usize::MAX;
    world.run_to(millis(30_000));
    let counters = world.ends[0].tcp.counters();
    let mbit = world.ends[1].read as f64 * 8.0 / 30.0 / 1e6;
    assert!(mbit > 15.0, "{mbit} {counters:?}");
}

#[test]
fn crumbs_out_of_order_are_bounded_and_counted() {
    let now = millis(1);
    let syn = Segment { flags: Flags { syn: true, ..Flags::default() }, ..Segment::default() };
    let settings = Settings { receive_window_initial_bytes: 6 << 20, ..Settings::default() };
    let mut tcp = Connection::accept(now, 1, settings, &syn);
    let Output::Send(syn_ack) = tcp.poll(now) else { panic!("it answers") };
    // Every second byte, each in a segment of its own that drags a large buffer along.
    let whole = Bytes::from(vec![1; 60_000]);
    for n in 0..100_000 {
        let crumb = Segment {
            seq: 3 + 2 * n,
            ack: syn_ack.seq + 1,
            flags: Flags { ack: true, ..Flags::default() },
            window: 65_535,
            payload: whole.slice(n as usize % 1000..n as usize % 1000 + 1),
            ..Segment::default()
        };
        tcp.handle(now, crumb);
        while !matches!(tcp.poll(now), Output::Timeout(_)) {}
    }
    assert!(tcp.counters().out_of_order_dropped > 70_000);
    assert_eq!(tcp.receive_ready_bytes(), 0);
}
