//! How much gets through.

use std::time::Duration;

use weir_link::{GilbertElliott, Jitter, Loss, Settings as LinkSettings};

use super::world::{World, link, millis};
use crate::tcp::{CongestionControl, Settings};

/// Bytes read in `seconds`, as a share of what the rate could have carried as payload.
fn goodput(link: LinkSettings, settings: Settings, rate_bits: u64, seconds: u64) -> (f64, World) {
    let mut world = World::new(11, link, settings);
    world.ends[0].write_max = usize::MAX;
    world.run_to(millis(seconds * 1000));
    let possible = rate_bits as f64 / 8.0 * seconds as f64 * 1448.0 / 1500.0;
    (world.ends[1].read as f64 / possible, world)
}

#[test]
fn a_link_of_20_mbit_and_80_ms_with_a_queue_of_its_own_product_is_filled() {
    for congestion_control in [CongestionControl::Cubic, CongestionControl::Reno] {
        let settings = Settings { congestion_control, ..Settings::default() };
        let (share, world) = goodput(link(20_000_000, 80, 200_000), settings, 20_000_000, 30);
        let counters = world.ends[0].tcp.counters();
        assert!(share >= 0.9, "{congestion_control:?}: {share} {counters:?}");
        assert_eq!(counters.timeouts, 0, "{counters:?}");
    }
}

/// What a sender that never stops gets over a link, and how evenly.
struct Course {
    /// IP bits a second from second 2 on.
    mbit: f64,
    /// The longest time from second 2 on in which the reader got nothing.
    gap: Duration,
}

/// Data go over `link`; what comes back meets the same link without its loss.
fn course(seed: u64, link: LinkSettings, settings: Settings, seconds: u64) -> Course {
    let mut world = World::new(seed, link.to_owned(), settings);
    let back = LinkSettings { loss: Loss::None, ..link };
    world.paths[1].pipe.set(millis(0), back).expect("possible");
    world.ends[0].write_max = usize::MAX;
    world.run_to(millis(2_000));
    let (start, mut read) = (world.ends[1].read, world.ends[1].read);
    let (mut last, mut gap) = (world.now, Duration::ZERO);
    while world.now < millis(seconds * 1000) {
        world.run_to(world.now + Duration::from_millis(1));
        if world.ends[1].read > read {
            read = world.ends[1].read;
            gap = gap.max(world.now.since(last));
            last = world.now;
        }
    }
    let bits = (read - start) as f64 * 8.0 * 1500.0 / 1448.0;
    Course { mbit: bits / (seconds - 2) as f64 / 1e6, gap }
}

#[test]
fn from_second_two_on_a_queue_of_one_product_gives_nine_tenths_of_the_rate_without_a_stall() {
    for congestion_control in [CongestionControl::Cubic, CongestionControl::Reno] {
        for seed in 1..=5 {
            let settings = Settings { congestion_control, ..Settings::default() };
            let course = course(seed, link(20_000_000, 80, 200_000), settings, 30);
            assert!(course.mbit >= 18.0, "{congestion_control:?} {seed}: {} Mbit/s", course.mbit);
            assert!(course.gap <= Duration::from_millis(300), "{seed}: {:?}", course.gap);
        }
    }
}

/// Printed to be laid beside what a kernel gets on the same links.
#[test]
fn the_figures_that_are_compared_with_kernels_are_printed() {
    for (mbit, round_trip_ms, queue_bytes) in [(10, 40, 50_000), (20, 80, 200_000)] {
        for loss in [0.0, 0.001, 0.01] {
            let mut lossy = link(mbit * 1_000_000, round_trip_ms, queue_bytes);
            lossy.loss = Loss::Independent(loss);
            let one = |seed| course(seed, lossy.to_owned(), Settings::default(), 22).mbit;
            let mut got: Vec<f64> = (1..=5).map(one).collect();
            got.sort_by(f64::total_cmp);
            let link = format!("{mbit} Mbit/s, {round_trip_ms} ms, {queue_bytes} bytes");
            println!("{link}, loss {:.1} %: {got:.2?} Mbit/s", loss * 100.0);
            // 1.22 / sqrt(p) segments a round trip are 1.84 Mbit/s where that is least.
            assert!(got[2] > 1.5, "{got:?}");
        }
    }
}

#[test]
fn a_fast_long_link_is_filled() {
    let (share, world) = goodput(
        link(200_000_000, 100, 2_500_000),
        Settings {
            receive_buffer_bytes: 16 << 20,
            send_buffer_bytes: 16 << 20,
            ..Settings::default()
        },
        200_000_000,
        20,
    );
    let counters = world.ends[0].tcp.counters();
    assert!(share >= 0.85, "{share} {counters:?}");
}

#[test]
fn a_short_queue_still_lets_most_through() {
    let (share, world) = goodput(link(20_000_000, 80, 40_000), Settings::default(), 20_000_000, 30);
    let counters = world.ends[0].tcp.counters();
    assert!(share >= 0.7, "{share} {counters:?}");
}

#[test]
fn random_loss_leaves_what_the_formulas_say() {
    // RFC 9438 figure 4 in words: at 1 % loss and 40 ms CUBIC runs in its Reno-friendly region,
    // near 1.22 / sqrt(p) = 12 segments a round trip, 3.5 Mbit/s.
    let mut lossy = link(100_000_000, 40, 1_000_000);
    lossy.loss = Loss::Independent(0.01);
    for congestion_control in [CongestionControl::Cubic, CongestionControl::Reno] {
        let settings = Settings { congestion_control, ..Settings::default() };
        let (_, world) = goodput(lossy.clone(), settings, 100_000_000, 60);
        let mbit = world.ends[1].read as f64 * 8.0 / 60.0 / 1e6;
        let counters = world.ends[0].tcp.counters();
        assert!((2.0..7.0).contains(&mbit), "{congestion_control:?}: {mbit} {counters:?}");
        assert!(counters.timeouts <= 6, "{counters:?}");
    }
}

#[test]
fn losses_in_bursts_are_recovered_without_a_storm() {
    let mut lossy = link(20_000_000, 40, 200_000);
    let model = GilbertElliott::from_mean_and_burst(0.02, 3.0).expect("possible");
    lossy.loss = Loss::GilbertElliott(model);
    let (share, world) = goodput(lossy, Settings::default(), 20_000_000, 60);
    let counters = world.ends[0].tcp.counters();
    assert!(share > 0.1, "{share} {counters:?}");
    let sent = counters.segments_sent as f64;
    assert!((counters.retransmitted as f64) < 0.04 * sent, "{counters:?}");
}

#[test]
fn jitter_that_keeps_order_costs_no_needless_retransmissions() {
    let mut shaky = link(20_000_000, 60, 300_000);
    shaky.jitter = Jitter::Normal { deviation: Duration::from_millis(8) };
    let (share, world) = goodput(shaky, Settings::default(), 20_000_000, 30);
    let counters = world.ends[0].tcp.counters();
    let dropped = world.paths[0].pipe.counters().dropped_packets();
    assert!(share >= 0.8, "{share} {counters:?}");
    assert!(counters.retransmitted <= dropped + dropped / 10 + 20, "{dropped} {counters:?}");
}

#[test]
fn what_is_lost_is_sent_again_once() {
    let (_, world) = goodput(link(20_000_000, 80, 100_000), Settings::default(), 20_000_000, 30);
    let counters = world.ends[0].tcp.counters();
    let dropped = world.paths[0].pipe.counters().dropped_packets();
    assert!(dropped > 0 && counters.retransmitted <= dropped + 5, "{dropped} {counters:?}");
}

#[test]
fn a_stream_of_frames_does_not_wait_for_time_outs() {
    // A live stream well below the rate: 30 frames a second, each a small burst, 1 % lost.
    let mut lossy = link(20_000_000, 40, 100_000);
    lossy.loss = Loss::Independent(0.01);
    let mut world = World::new(5, lossy, Settings::default());
    let mut worst = 0;
    for frame in 1..=900u64 {
        world.ends[0].write_max += 12_000;
        let now = world.now;
        world.ends[0].act(now, &mut world.paths[0]);
        world.run_to(millis(100 + frame * 33));
        worst = worst.max(world.ends[0].written - world.ends[1].read);
    }
    let counters = world.ends[0].tcp.counters();
    assert!(counters.timeouts <= 3, "{counters:?}");
    assert!(worst < 200_000, "{worst}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut lossy = link(20_000_000, 40, 100_000);
        lossy.loss = Loss::Independent(0.02);
        let (_, world) = goodput(lossy, Settings::default(), 20_000_000, 5);
        (world.ends[1].read, world.ends[0].tcp.counters(), *world.paths[0].pipe.counters())
    };
    assert_eq!(run(), run());
}
