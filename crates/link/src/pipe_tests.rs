use super::*;
use crate::settings::{GilbertElliott, Jitter};
use proptest::prelude::*;

fn pipe(settings: Settings) -> Pipe<u64> {
    Pipe::new(42, LinkId(1), Direction::Up, settings).expect("the settings are possible")
}

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

/// Polls at the pipe's own times until it is empty. Each poll finds what it was asked for.
fn drain(pipe: &mut Pipe<u64>) -> Vec<Delivery<u64>> {
    let mut out = Vec::new();
    while let Some(time) = pipe.next_timeout() {
        while let Some(delivery) = pipe.poll(time) {
            assert!(delivery.at >= time);
            out.push(delivery);
        }
    }
    out
}

const MTU: u32 = 1500;

#[test]
fn a_busy_link_sends_at_its_rate_within_one_packet_over_ten_seconds() {
    for rate in [1_000_000, 7_777_777, 100_000_000, 999_999_937] {
        let mut pipe = pipe(Settings {
            rate: Rate::bits_per_second(rate),
            queue: Queue::Packets(10),
            ..Settings::default()
        });
        let end = Instant::from_millis(10_000);
        let mut now = Instant::ZERO;
        while now <= end {
            while pipe.offer(now, MTU, 0).is_ok() {}
            now = pipe.next_timeout().expect("it is busy");
            while pipe.poll(now.min(end)).is_some() {}
        }
        let bytes = pipe.counters().delivered_bytes;
        assert!((rate * 10 / 8).abs_diff(bytes) <= u64::from(MTU), "{rate}: {bytes}");
    }
}

#[test]
fn departures_are_exact_to_the_nanosecond_for_ever() {
    // 3 bytes at 7 bit/s take 24/7 s, which no nanosecond counts exactly.
    let rate = Rate::bits_per_second(7);
    let mut pipe = pipe(Settings { rate, ..Settings::default() });
    for n in 0..1000 {
        pipe.offer(Instant::ZERO, 3, n).expect("room");
    }
    for (n, delivery) in (1u64..).zip(drain(&mut pipe)) {
        assert_eq!(delivery.at, at((n * 24_000_000_000).div_ceil(7)));
    }
}

#[test]
fn the_delay_is_exact() {
    let delay = Duration::from_nanos(12_345_678);
    let mut pipe = pipe(Settings { delay, ..Settings::default() });
    for n in 0..100 {
        pipe.offer(at(n * 1000), MTU, n).expect("room");
    }
    for delivery in drain(&mut pipe) {
        assert_eq!(delivery.at, at(delivery.payload * 1000) + delay);
    }
}

#[test]
fn a_full_queue_drops_the_newcomer() {
    let rate = Rate::bits_per_second(12_000);
    let mut pipe = pipe(Settings { rate, queue: Queue::Bytes(3000), ..Settings::default() });
    for n in 0..3 {
        assert_eq!(pipe.offer(Instant::ZERO, MTU, n), Ok(()));
    }
    assert_eq!(pipe.offer(Instant::ZERO, MTU, 3), Err(Dropped::Queue));
    // A packet takes one second: at its end one waits and there is room for another.
    assert_eq!(pipe.offer(Instant::from_millis(1000), MTU, 4), Ok(()));
    let order: Vec<u64> = drain(&mut pipe).into_iter().map(|delivery| delivery.payload).collect();
    assert_eq!(order, [0, 1, 2, 4]);
    let counters = pipe.counters();
    assert_eq!((counters.dropped_queue_packets, counters.dropped_queue_bytes), (1, 1500));
    assert_eq!((counters.queue_packets_max, counters.queue_bytes_max), (2, 3000));
}

#[test]
fn a_queue_bounded_in_packets_counts_packets_of_any_size() {
    let mut pipe = pipe(Settings {
        rate: Rate::bits_per_second(12_000),
        queue: Queue::Packets(2),
        ..Settings::default()
    });
    let offers = [1, 60_000, 0, 1, MTU].map(|bytes| pipe.offer(Instant::ZERO, bytes, 0));
    let full = Err(Dropped::Queue);
    assert_eq!(offers, [Ok(()), Ok(()), Ok(()), full, full]);
    assert_eq!((pipe.queue_packets(), pipe.queue_bytes()), (2, 60_000));
}

#[test]
fn a_packet_lost_by_chance_has_used_its_share_of_the_rate() {
    let mut pipe = pipe(Settings {
        rate: Rate::bits_per_second(12_000),
        loss: Loss::Independent(0.5),
        ..Settings::default()
    });
    for n in 0..20 {
        pipe.offer(Instant::ZERO, MTU, n).expect("room");
    }
    let out = drain(&mut pipe);
    assert!(!out.is_empty() && out.len() < 20);
    for delivery in out {
        assert_eq!(delivery.at, Instant::from_millis(1000 * (delivery.index + 1)));
    }
}

#[test]
fn what_the_queue_drops_changes_nobody_elses_chance() {
    let lost = |queue| {
        let mut pipe = pipe(Settings {
            rate: Rate::bits_per_second(1_000_000),
            queue: Queue::Packets(queue),
            loss: Loss::GilbertElliott(
                GilbertElliott::from_mean_and_burst(0.2, 3.0).expect("possible"),
            ),
            ..Settings::default()
        });
        pipe.observe(10_000);
        for n in 0..4000 {
            // Bursts of 20 packets, which the link sends before the next.
            let _ = pipe.offer(at(n / 20 * 300_000_000), MTU, n);
        }
        drain(&mut pipe);
        let passages = std::iter::from_fn(|| pipe.take_passage());
        passages.map(|passage| (passage.index, passage.fate)).collect::<Vec<_>>()
    };
    let (wide, narrow) = (lost(1000), lost(5));
    let by_chance = |fates: &[(u64, Fate)], index: u64| {
        let fate = fates.iter().find(|(n, _)| *n == index).map(|(_, fate)| *fate);
        fate == Some(Fate::Dropped(Dropped::Loss))
    };
    let mut compared = 0;
    for (index, fate) in &narrow {
        if *fate != Fate::Dropped(Dropped::Queue) {
            assert_eq!(by_chance(&wide, *index), by_chance(&narrow, *index), "{index}");
            compared += 1;
        }
    }
    assert_eq!(compared, 200 * 6);
}

#[test]
fn the_same_seed_gives_the_same_fates_whatever_the_offer_times() {
    let fates = |gap: u64, late: u64, seed: u64| {
        let settings = Settings {
            rate: Rate::bits_per_second(1_000_000_000),
            delay: Duration::from_millis(20),
            jitter: Jitter::Normal { deviation: Duration::from_micros(1) },
            loss: Loss::GilbertElliott(
                GilbertElliott::from_mean_and_burst(0.1, 3.0).expect("possible"),
            ),
            ..Settings::default()
        };
        let mut pipe = Pipe::new(seed, LinkId(1), Direction::Up, settings).expect("possible");
        pipe.observe(10_000);
        for n in 0..5000 {
            let now = at(n * gap);
            pipe.offer(now, 100, n).expect("room");
            while pipe.poll(now + Duration::from_nanos(late)).is_some() {}
        }
        drain(&mut pipe);
        let mut fates = Vec::new();
        while let Some(passage) = pipe.take_passage() {
            let left = passage.left_queue.expect("the queue had room");
            fates.push(match passage.fate {
                Fate::Delivered(at) => Some(at.since(left)),
                Fate::Dropped(_) => None,
            });
        }
        fates
    };
    assert_eq!(fates(20_000, 0, 1), fates(50_000, 0, 1));
    assert_eq!(fates(20_000, 0, 1), fates(20_000, 5_000, 1));
    assert_ne!(fates(20_000, 0, 1), fates(20_000, 0, 2));
}

#[test]
fn the_two_directions_have_fates_of_their_own() {
    let lost = |direction| {
        let loss = Loss::Independent(0.5);
        let settings = Settings { loss, ..Settings::default() };
        let mut pipe = Pipe::new(1, LinkId(1), direction, settings).expect("possible");
        (0..64).for_each(|n| pipe.offer(Instant::ZERO, MTU, n).expect("room"));
        drain(&mut pipe).into_iter().map(|delivery| delivery.payload).collect::<Vec<_>>()
    };
    assert_ne!(lost(Direction::Up), lost(Direction::Down));
}

#[test]
fn jitter_keeps_order() {
    let mut pipe = pipe(Settings {
        delay: Duration::from_millis(10),
        jitter: Jitter::Uniform { spread: Duration::from_millis(20) },
        ..Settings::default()
    });
    for n in 0..2000 {
        pipe.offer(at(n * 100_000), MTU, n).expect("room");
    }
    let out = drain(&mut pipe);
    assert!(out.is_sorted_by_key(|delivery| delivery.at));
    assert!(out.iter().map(|delivery| delivery.payload).eq(0..2000));
}

#[test]
fn a_new_rate_in_mid_packet_takes_over_its_remaining_bits() {
    let rate = |bits| Settings { rate: Rate::bits_per_second(bits), ..Settings::default() };
    let mut pipe = pipe(rate(12_000));
    for n in 0..4 {
        pipe.offer(Instant::ZERO, MTU, n).expect("room");
    }
    pipe.set(Instant::from_millis(500), rate(6_000)).expect("possible");
    pipe.set(Instant::from_millis(2_500), rate(24_000)).expect("possible");
    let times: Vec<u64> = drain(&mut pipe).iter().map(|d| d.at.as_nanos() / 1_000_000).collect();
    // Half of the first at 12k, half at 6k: 1500. Half of the second by 2500, the rest at 24k.
    assert_eq!(times, [1500, 2750, 3250, 3750]);
}

#[test]
fn a_shorter_delay_lets_nothing_overtake_and_a_smaller_queue_drops_nothing_inside() {
    let before = Settings {
        rate: Rate::bits_per_second(12_000_000),
        delay: Duration::from_millis(100),
        ..Settings::default()
    };
    let mut pipe = pipe(before);
    for n in 0..50 {
        pipe.offer(Instant::ZERO, MTU, n).expect("room");
    }
    let after = Settings { delay: Duration::ZERO, queue: Queue::Packets(1), ..before };
    pipe.set(Instant::from_millis(10), after).expect("possible");
    assert_eq!(pipe.offer(Instant::from_millis(10), MTU, 50), Err(Dropped::Queue));
    let out = drain(&mut pipe);
    assert!(out.is_sorted_by_key(|delivery| delivery.at));
    assert!(out.iter().map(|delivery| delivery.payload).eq(0..50));
}

#[test]
fn an_unlimited_rate_lets_the_queue_go_at_once() {
    let slow = Settings { rate: Rate::bits_per_second(1), ..Settings::default() };
    let mut pipe = pipe(slow);
    (0..5).for_each(|n| pipe.offer(Instant::ZERO, MTU, n).expect("room"));
    let now = Instant::from_millis(7);
    pipe.set(now, Settings::default()).expect("possible");
    let out = drain(&mut pipe);
    assert!(out.len() == 5 && out.iter().all(|delivery| delivery.at == now));
}

#[test]
fn too_many_packets_inside_are_refused_and_counted() {
    let delay = Duration::from_secs(3600);
    let mut pipe = pipe(Settings { delay, ..Settings::default() });
    for n in 0..PACKETS_INSIDE_MAX as u64 {
        pipe.offer(Instant::ZERO, 1, n).expect("room");
    }
    assert_eq!(pipe.offer(Instant::ZERO, 1, 0), Err(Dropped::Inside));
    assert_eq!(pipe.counters().dropped_inside_packets, 1);
}

#[test]
fn records_that_nobody_takes_are_bounded_and_counted() {
    let mut pipe = pipe(Settings::default());
    pipe.observe(3);
    (0..10).for_each(|n| pipe.offer(Instant::ZERO, MTU, n).expect("room"));
    assert_eq!(pipe.counters().passages_missed, 7);
    pipe.observe(2);
    assert_eq!(pipe.take_passage().map(|passage| passage.index), Some(8));
    assert_eq!(pipe.counters().passages_missed, 8);
}

#[test]
fn time_that_goes_back_counts_as_the_latest_seen() {
    let mut pipe = pipe(Settings::default());
    pipe.offer(Instant::from_millis(5), MTU, 0).expect("room");
    pipe.offer(Instant::from_millis(3), MTU, 1).expect("room");
    assert!(drain(&mut pipe).iter().all(|delivery| delivery.at == Instant::from_millis(5)));
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let rate =
        prop_oneof![Just(Rate::Unlimited), (1u64..2_000_000_000).prop_map(Rate::bits_per_second),];
    let queue =
        prop_oneof![(1500u64..50_000).prop_map(Queue::Bytes), (1u64..40).prop_map(Queue::Packets)];
    let span = || (0u64..50_000_000).prop_map(Duration::from_nanos);
    let jitter = prop_oneof![
        Just(Jitter::None),
        span().prop_map(|spread| Jitter::Uniform { spread }),
        span().prop_map(|deviation| Jitter::Normal { deviation }),
    ];
    let loss = prop_oneof![
        Just(Loss::None),
        (0.0..=1.0).prop_map(Loss::Independent),
        [0.0..=1.0, 0.0..=1.0, 0.0..=1.0, 0.0..=1.0]
            .prop_map(|[p, r, h, k]| Loss::GilbertElliott(GilbertElliott { p, r, h, k })),
    ];
    (rate, queue, span(), jitter, loss).prop_map(|(rate, queue, delay, jitter, loss)| Settings {
        rate,
        queue,
        delay,
        jitter,
        loss,
    })
}

#[derive(Clone, Debug)]
enum Step {
    Offer(u32),
    Poll,
    Set(Settings),
}

fn any_step() -> impl Strategy<Value = (u64, Step)> {
    let step = prop_oneof![
        6 => (0u32..3000).prop_map(Step::Offer),
        2 => Just(Step::Poll),
        1 => any_settings().prop_map(Step::Set),
    ];
    (0u64..2_000_000, step)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn every_packet_comes_out_or_is_dropped_or_is_inside(
        settings in any_settings(),
        steps in prop::collection::vec(any_step(), 0..300),
    ) {
        let mut pipe = pipe(settings);
        let mut now = Instant::ZERO;
        let mut seen: Vec<Delivery<u64>> = Vec::new();
        let (mut offered, mut changed) = (0, false);
        for (wait, step) in steps {
            now += Duration::from_nanos(wait);
            match step {
                Step::Offer(bytes) => {
                    let _ = pipe.offer(now, bytes, offered);
                    offered += 1;
                }
                Step::Poll => seen.extend(std::iter::from_fn(|| pipe.poll(now))),
                Step::Set(settings) => {
                    changed = true;
                    pipe.set(now, settings).expect("possible");
                }
            }
            if let (Queue::Bytes(bytes_max), true) = (pipe.settings().queue, !changed) {
                prop_assert!(pipe.queue_bytes() <= bytes_max);
            }
            if let (Queue::Packets(packets_max), true) = (pipe.settings().queue, !changed) {
                prop_assert!(pipe.queue_packets() as u64 <= packets_max);
            }
            let counters = pipe.counters();
            prop_assert_eq!(counters.offered_packets, offered);
            prop_assert_eq!(
                offered,
                seen.len() as u64 + counters.dropped_packets() + pipe.inside_packets() as u64
            );
        }
        seen.extend(drain(&mut pipe));
        let counters = pipe.counters();
        prop_assert!(pipe.is_empty() && pipe.queue_bytes() == 0);
        prop_assert_eq!(counters.delivered_packets, seen.len() as u64);
        prop_assert_eq!(counters.offered_bytes, counters.delivered_bytes + counters.dropped_bytes());
        prop_assert!(seen.is_sorted_by_key(|delivery| delivery.at));
        prop_assert!(seen.windows(2).all(|pair| pair[0].index < pair[1].index));
        prop_assert!(seen.iter().all(|delivery| delivery.index == delivery.payload));
    }
}
