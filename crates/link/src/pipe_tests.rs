use super::*;
use crate::passage::Fate;
use crate::settings::{GilbertElliott, Jitter, Numbers, Policer};
use crate::trace::Trace;
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
    let mut pipe = pipe(before.clone());
    for n in 0..50 {
        pipe.offer(Instant::ZERO, MTU, n).expect("room");
    }
    let after = Settings { delay: Duration::ZERO, queue: Queue::Packets(1), ..before.clone() };
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

fn asked(text: &str) -> Settings {
    text.parse().expect("it is well formed")
}

/// All that passes through a pipe when packets of 1500 bytes come so many nanoseconds apart.
fn through(settings: Settings, packets: u64, gap: u64) -> (Vec<Delivery<u64>>, Counters) {
    let mut pipe = pipe(settings);
    for n in 0..packets {
        let _ = pipe.offer(at(n * gap), MTU, n);
    }
    let out = drain(&mut pipe);
    (out, *pipe.counters())
}

#[test]
fn drop_head_drops_the_oldest_until_the_newcomer_fits() {
    let settings = asked("rate=12kbit queue=3000b discipline=drop-head");
    let (out, counters) = through(settings, 6, 0);
    let order: Vec<u64> = out.iter().map(|delivery| delivery.index).collect();
    assert_eq!(order, [0, 4, 5]);
    assert_eq!(counters.dropped_queue_packets, 3);
    // What would not fit an empty queue throws nobody out.
    let mut pipe = pipe(asked("rate=12kbit queue=3000b discipline=drop-head"));
    (0..3).for_each(|n| pipe.offer(Instant::ZERO, MTU, n).expect("room"));
    assert_eq!(pipe.offer(Instant::ZERO, 3001, 3), Err(Dropped::Queue));
    assert_eq!(pipe.queue_packets(), 2);
}

#[test]
fn a_queue_in_time_holds_what_the_rate_sends_in_it() {
    // 1500 bytes a millisecond: five packets wait in 5 ms, besides the one that is being sent.
    let (out, _) = through(asked("rate=12mbit queue=5ms"), 20, 0);
    assert_eq!(out.len(), 6);
    // One packet may always wait.
    let (out, _) = through(asked("rate=12kbit queue=5ms"), 20, 0);
    assert_eq!(out.len(), 2);
}

#[test]
fn a_queue_in_time_changes_with_the_rate_and_keeps_the_last_one_while_there_is_none() {
    let mut pipe = pipe(asked("rate=12mbit queue=10ms"));
    pipe.follow(Instant::ZERO, &"at 0s rate=0; at 20ms rate=1.2mbit".parse().expect("well formed"));
    let offered = |pipe: &mut Pipe<u64>, millis| {
        (0..40).filter(|n| pipe.offer(Instant::from_millis(millis), MTU, *n).is_ok()).count()
    };
    // It stands still from the start, and would send ten in 10 ms.
    assert_eq!(offered(&mut pipe, 1), 11);
    // At a tenth of the rate ten wait already: no more come in.
    assert_eq!(offered(&mut pipe, 20), 0);
    let out = drain(&mut pipe);
    assert_eq!(out[0].at, Instant::from_millis(30));
    assert_eq!(out.len(), 11);
}

#[test]
fn codel_keeps_the_wait_short_and_drop_tail_does_not() {
    let waits = |discipline: &str| {
        let text = format!("rate=12mbit queue=1000p discipline={discipline}");
        let mut pipe = pipe(asked(&text));
        pipe.observe(100_000);
        // One in a hundred more than it carries.
        for n in 0..20_000 {
            let _ = pipe.offer(at(n * 990_000), MTU, n);
        }
        drain(&mut pipe);
        let passages = std::iter::from_fn(|| pipe.take_passage());
        let waits = passages.filter_map(|p| Some(p.left_queue?.since(p.entered)));
        let waits: Vec<Duration> = waits.collect();
        let late = waits[waits.len() / 2..].iter().max().copied().unwrap_or_default();
        (late, pipe.counters().dropped_aqm_packets)
    };
    let (tail, _) = waits("drop-tail");
    assert!(tail > Duration::from_millis(150), "{tail:?}");
    for discipline in ["codel", "pie"] {
        let (late, dropped) = waits(discipline);
        assert!(late < Duration::from_millis(60), "{discipline}: {late:?}");
        assert!(dropped > 50, "{discipline}: {dropped}");
    }
}

#[test]
fn policed_packets_are_dropped_before_the_queue() {
    let (out, counters) = through(asked("policer=12kbit burst 3000b"), 10, 500_000_000);
    // Two at once, then one a second.
    let order: Vec<u64> = out.iter().map(|delivery| delivery.index).collect();
    assert_eq!(order, [0, 1, 2, 4, 6, 8]);
    assert_eq!(counters.dropped_policer_packets, 4);
}

#[test]
fn in_a_blackout_what_is_sent_is_lost_and_what_is_in_flight_arrives() {
    let settings = asked("delay=300ms blackout=200ms every 1s");
    let (out, counters) = through(settings, 30, 100_000_000);
    // Black at 800 and 900 ms of each second.
    let lost: Vec<u64> =
        (0..30).filter(|n| out.iter().all(|delivery| delivery.index != *n)).collect();
    assert_eq!(lost, [8, 9, 18, 19, 28, 29]);
    assert_eq!(counters.dropped_blackout_packets, 6);
    assert!(out.iter().all(|d| d.at == Instant::from_millis(d.index * 100 + 300)));
}

#[test]
fn copies_follow_their_originals_and_bits_are_changed_as_often_as_asked() {
    let (out, counters) = through(asked("delay=10ms duplicate=10% corrupt=5%"), 20_000, 1000);
    let copies = out.iter().filter(|delivery| delivery.duplicate).count() as f64;
    assert!((copies / 20_000.0 - 0.1).abs() < 0.01, "{copies}");
    let wrong = out.iter().filter(|d| d.corrupt.is_some() && !d.duplicate).count() as f64;
    assert!((wrong / 20_000.0 - 0.05).abs() < 0.007, "{wrong}");
    for pair in out.windows(2).filter(|pair| pair[1].duplicate) {
        assert_eq!((pair[0].index, pair[0].at), (pair[1].index, pair[1].at));
        assert_eq!(pair[0].corrupt, pair[1].corrupt);
    }
    assert_eq!(
        (counters.duplicated_packets, counters.corrupted_packets),
        (copies as u64, wrong as u64)
    );
    assert_eq!(counters.delivered_packets, 20_000 + copies as u64);
}

#[test]
fn packets_held_back_are_overtaken_and_the_others_keep_their_order() {
    let settings = asked("delay=20ms jitter=2ms reorder=5% by 10ms");
    let (out, counters) = through(settings, 5000, 1_000_000);
    assert!(out.is_sorted_by_key(|delivery| delivery.at));
    // So late are only those that were held back.
    let late = |d: &&Delivery<u64>| d.at.as_nanos() > d.index * 1_000_000 + 27_000_000;
    let held = out.iter().filter(late).count() as u64;
    assert!((150..350).contains(&held), "{held}");
    assert_eq!(counters.reordered_packets, held);
    let rest: Vec<u64> = out.iter().filter(|d| !late(d)).map(|d| d.index).collect();
    assert!(rest.is_sorted());
}

#[test]
fn with_reordering_by_jitter_each_packet_has_its_own_delay() {
    let plain = Settings {
        delay: Duration::from_millis(30),
        jitter: Jitter::Uniform { spread: Duration::from_millis(10) },
        ..Settings::default()
    };
    let (out, counters) =
        through(Settings { reorder: Reorder::Jitter, ..plain.clone() }, 3000, 1_000_000);
    assert!(out.is_sorted_by_key(|delivery| delivery.at));
    assert!(counters.reordered_packets > 500);
    // Alone on the link nobody is in the way.
    let (alone, _) = through(plain, 3000, 100_000_000);
    for delivery in &out {
        let delay = delivery.at.as_nanos() - delivery.index * 1_000_000;
        let same = &alone[delivery.index as usize];
        assert_eq!(delay, same.at.as_nanos() - delivery.index * 100_000_000);
    }
}

#[test]
fn lost_by_number_are_those_numbers() {
    let numbers = Numbers::new(vec![(2, 3), (7, 7)]);
    let (out, _) = through(Settings { loss: Loss::Packets(numbers), ..Settings::default() }, 10, 1);
    assert!(out.iter().map(|delivery| delivery.index).eq([0, 1, 4, 5, 6, 8, 9]));
}

#[test]
fn a_traces_rate_changes_in_mid_packet() {
    // A packet of 1500 bytes is 12 kbit: half of it in the first second, the rest in the next half.
    let trace = Trace::read("t", "0 0\n1 0.006\n3 0.012\n4 0\n").expect("it is a trace");
    let settings = Settings { rate: Rate::Trace(trace.into()), ..Settings::default() };
    let (out, _) = through(settings, 4, 0);
    let millis: Vec<u64> = out.iter().map(|d| d.at.as_nanos() / 1_000_000).collect();
    // 2.5 s hold 24 + 6 kbit; the fourth second nothing; then it repeats itself.
    assert_eq!(millis, [1500, 2500, 5000, 6000]);
}

#[test]
fn half_of_a_traces_latency_is_on_top_of_the_delay() {
    let text = r#"[{"duration_ms": 1000, "bandwidth_kbps": 12, "latency_ms": 100},
                   {"duration_ms": 1000, "bandwidth_kbps": 12, "latency_ms": 40}]"#;
    let trace = Trace::read("t", text).expect("it is a trace");
    let delay = Duration::from_millis(5);
    let settings = Settings { rate: Rate::Trace(trace.into()), delay, ..Settings::default() };
    let (out, _) = through(settings, 2, 0);
    let millis: Vec<u64> = out.iter().map(|d| d.at.as_nanos() / 1_000_000).collect();
    assert_eq!(millis, [1025, 2055]);
}

#[test]
fn another_setting_leaves_a_trace_where_it_is_and_another_trace_begins_anew() {
    let trace = |text| Rate::Trace(Trace::read("t", text).expect("it is a trace").into());
    let first = Settings { rate: trace("100\n200\n300\n"), ..Settings::default() };
    let mut pipe = pipe(first.clone());
    let millis = |pipe: &mut Pipe<u64>| {
        let out = drain(pipe);
        out.iter().map(|d| d.at.as_nanos() / 1_000_000).collect::<Vec<_>>()
    };
    pipe.offer(Instant::from_millis(50), MTU, 0).expect("room");
    let delayed = Settings { delay: Duration::from_millis(1), ..first.clone() };
    pipe.set(Instant::from_millis(60), delayed).expect("possible");
    assert_eq!(millis(&mut pipe), [101]);
    pipe.offer(Instant::from_millis(250), MTU, 1).expect("room");
    pipe.set(Instant::from_millis(260), Settings { rate: trace("30\n"), ..first })
        .expect("possible");
    assert_eq!(millis(&mut pipe), [290]);
}

#[test]
fn a_rate_of_none_stops_a_link_until_there_is_one() {
    let mut pipe = pipe(asked("rate=12kbit"));
    let schedule = "at 500ms rate=0; at 2s rate=12kbit".parse().expect("well formed");
    pipe.follow(Instant::ZERO, &schedule);
    pipe.offer(Instant::ZERO, MTU, 0).expect("room");
    assert_eq!(pipe.next_timeout(), Some(Instant::from_millis(500)));
    assert_eq!(pipe.poll(Instant::from_millis(1999)), None);
    // Other settings can change meanwhile.
    let mut settings = pipe.settings().clone();
    settings.delay = Duration::from_millis(1);
    pipe.set(Instant::from_millis(1999), settings).expect("the rate was the schedule's");
    assert_eq!(drain(&mut pipe)[0].at, Instant::from_millis(2501));
    assert!(pipe.set(Instant::from_millis(3000), asked("rate=12kbit")).is_ok());
    let stopped = Settings { rate: Rate::bits_per_second(0), ..Settings::default() };
    assert!(pipe.set(Instant::from_millis(3000), stopped).is_err());
}

#[test]
fn changes_by_a_schedule_are_told_with_their_times() {
    let mut pipe = pipe(asked("rate=1mbit"));
    pipe.observe(10);
    let schedule = "at 0s delay=1ms; square rate 2mbit/4mbit every 2s from 1s to 4s";
    pipe.follow(Instant::from_millis(500), &schedule.parse().expect("well formed"));
    assert_eq!(pipe.next_change(), Some(Instant::from_millis(1500)));
    pipe.advance(Instant::from_millis(60_000));
    let told: Vec<(u64, String)> = std::iter::from_fn(|| pipe.take_change())
        .map(|(at, settings)| (at.as_nanos() / 1_000_000, settings.to_string()))
        .collect();
    let told: Vec<(u64, &str)> = told.iter().map(|(at, text)| (*at, text.as_str())).collect();
    let expected = [
        (500, "rate=1mbit delay=1ms"),
        (1500, "rate=2mbit delay=1ms"),
        (2500, "rate=4mbit delay=1ms"),
        (3500, "rate=2mbit delay=1ms"),
    ];
    assert_eq!(told, expected);
    assert_eq!(pipe.next_change(), None);
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let opportunities = prop::collection::vec(0u32..12, 1..12).prop_filter_map("empty", |gaps| {
        let times = gaps
            .iter()
            .scan(0, |at, gap| {
                *at += gap;
                Some(*at)
            })
            .collect();
        Trace::opportunities("t", times).ok()
    });
    let rates = prop::collection::vec((1u64..20, 0u64..50_000), 1..8).prop_filter_map(
        "it sends nothing",
        |segments| {
            let segments = segments.iter().map(|(millis, kbits)| crate::trace::Segment {
                span: Duration::from_millis(*millis),
                bits_per_second: kbits * 1000,
                latency: (kbits % 3 == 0).then(|| Duration::from_millis(kbits % 7)),
            });
            Trace::rates("t", segments.collect()).ok()
        },
    );
    let rate = prop_oneof![
        Just(Rate::Unlimited),
        (1u64..2_000_000_000).prop_map(Rate::bits_per_second),
        opportunities.prop_map(|trace| Rate::Trace(trace.into())),
        rates.prop_map(|trace| Rate::Trace(trace.into())),
    ];
    let span = || (0u64..50_000_000).prop_map(Duration::from_nanos);
    let aim = || (1u64..50_000_000).prop_map(Duration::from_nanos);
    let queue = prop_oneof![
        (1500u64..50_000).prop_map(Queue::Bytes),
        (1u64..40).prop_map(Queue::Packets),
        aim().prop_map(Queue::Time),
    ];
    let discipline = prop_oneof![
        Just(Discipline::DropTail),
        Just(Discipline::DropHead),
        (aim(), aim()).prop_map(|(target, interval)| Discipline::CoDel { target, interval }),
        aim().prop_map(|target| Discipline::Pie { target }),
    ];
    let jitter = prop_oneof![
        Just(Jitter::None),
        span().prop_map(|spread| Jitter::Uniform { spread }),
        span().prop_map(|deviation| Jitter::Normal { deviation }),
        span().prop_map(|mean| Jitter::Pareto { mean }),
    ];
    let reorder = prop_oneof![
        4 => Just(Reorder::None),
        1 => Just(Reorder::Jitter),
        1 => (0.0..=1.0, span()).prop_map(|(chance, by)| Reorder::Late { chance, by }),
    ];
    let loss = prop_oneof![
        Just(Loss::None),
        (0.0..=1.0).prop_map(Loss::Independent),
        [0.0..=1.0, 0.0..=1.0, 0.0..=1.0, 0.0..=1.0]
            .prop_map(|[p, r, h, k]| Loss::GilbertElliott(GilbertElliott { p, r, h, k })),
        (1u64..50).prop_map(Loss::Every),
    ];
    let share = || prop_oneof![Just(0.0), 0.0..=1.0];
    let blackout = prop_oneof![
        3 => Just(Blackout::Off),
        1 => (aim(), aim()).prop_map(|(one, other)| Blackout::Every {
            period: one.max(other),
            span: one.min(other),
        }),
    ];
    let policer = prop_oneof![
        2 => Just(Policer::None),
        1 => (1u64..50_000_000, 1500u64..20_000).prop_map(|(bits_per_second, burst_bytes)| {
            Policer::Bucket { bits_per_second, burst_bytes }
        }),
    ];
    let queued = (rate, queue, discipline, policer, blackout);
    let flying = (span(), jitter, reorder, loss, share(), share());
    (queued, flying).prop_map(|(queued, flying)| {
        let (rate, queue, discipline, policer, blackout) = queued;
        let (delay, jitter, reorder, loss, duplicate, corrupt) = flying;
        Settings {
            rate,
            queue,
            discipline,
            delay,
            jitter,
            reorder,
            loss,
            duplicate,
            corrupt,
            blackout,
            policer,
        }
    })
}

#[derive(Clone, Debug)]
enum Step {
    Offer(u32),
    Poll,
    Set(Box<Settings>),
}

fn any_step() -> impl Strategy<Value = (u64, Step)> {
    let step = prop_oneof![
        6 => (0u32..3000).prop_map(Step::Offer),
        2 => Just(Step::Poll),
        1 => any_settings().prop_map(|settings| Step::Set(settings.into())),
    ];
    (0u64..2_000_000, step)
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    let entry = prop_oneof![
        Just("at 3ms rate=1mbit delay=4ms"),
        Just("at 20ms queue=5ms discipline=codel loss=20%"),
        Just("ramp rate 40mbit..500kbit from 1ms to 60ms step 3ms"),
        Just("square rate 9mbit/0 every 14ms"),
        Just("walk delay 1ms..30ms every 2ms by 50%"),
        Just("ramp loss 0%..50% from 5ms to 90ms step 10ms"),
    ];
    let entries = prop::collection::vec(entry, 0..3);
    entries.prop_map(|entries| entries.join("; ").parse().expect("well formed"))
}

/// What a pipe does with all these steps; `polled` says whether it is polled between two steps as
/// well, at its own times.
fn run(
    settings: &Settings,
    schedule: &Schedule,
    steps: &[(u64, Step)],
    polled: bool,
) -> (Vec<Delivery<u64>>, Vec<Passage>, Counters) {
    let mut pipe = pipe(settings.clone());
    pipe.observe(100_000);
    pipe.follow(Instant::ZERO, schedule);
    let (mut now, mut offered) = (Instant::ZERO, 0);
    let mut out = Vec::new();
    for (wait, step) in steps {
        let then = now + Duration::from_nanos(*wait);
        while let Some(time) = pipe.next_timeout().filter(|time| polled && *time <= then) {
            pipe.advance(time);
            out.extend(std::iter::from_fn(|| pipe.poll(time)));
        }
        now = then;
        match step {
            Step::Offer(bytes) => {
                let _ = pipe.offer(now, *bytes, offered);
                offered += 1;
            }
            Step::Poll if polled => out.extend(std::iter::from_fn(|| pipe.poll(now))),
            Step::Poll => {}
            Step::Set(settings) => pipe.set(now, (**settings).clone()).expect("possible"),
        }
    }
    let end = now + Duration::from_secs(5);
    while let Some(time) = pipe.next_timeout().filter(|time| polled && *time < end) {
        pipe.advance(time);
        out.extend(std::iter::from_fn(|| pipe.poll(time)));
    }
    out.extend(std::iter::from_fn(|| pipe.poll(end)));
    let mut counters = *pipe.counters();
    counters.changes_missed = 0;
    (out, std::iter::from_fn(|| pipe.take_passage()).collect(), counters)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn every_packet_comes_out_or_is_dropped_or_is_inside(
        settings in any_settings(),
        schedule in any_schedule(),
        steps in prop::collection::vec(any_step(), 0..300),
    ) {
        let mut pipe = pipe(settings);
        pipe.follow(Instant::ZERO, &schedule);
        let mut now = Instant::ZERO;
        let mut seen: Vec<Delivery<u64>> = Vec::new();
        let (mut offered, mut changed) = (0, !schedule.is_empty());
        let mut ordered = pipe.settings().reorder == Reorder::None;
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
                    ordered &= settings.reorder == Reorder::None;
                    pipe.set(now, *settings).expect("possible");
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
                offered + counters.duplicated_packets,
                seen.len() as u64 + counters.dropped_packets() + pipe.inside_packets() as u64
            );
        }
        // A schedule that stops the link may stand still then.
        pipe.follow(now, &"at 0s rate=1mbit".parse().expect("well formed"));
        seen.extend(drain(&mut pipe));
        let counters = pipe.counters();
        prop_assert!(pipe.is_empty() && pipe.queue_bytes() == 0);
        prop_assert_eq!(counters.delivered_packets, seen.len() as u64);
        prop_assert_eq!(
            counters.offered_bytes + counters.duplicated_bytes,
            counters.delivered_bytes + counters.dropped_bytes()
        );
        prop_assert!(seen.is_sorted_by_key(|delivery| delivery.at));
        prop_assert!(!ordered || seen.is_sorted_by_key(|d| (d.index, d.duplicate)));
        prop_assert!(seen.iter().all(|delivery| delivery.index == delivery.payload));
    }

    #[test]
    fn a_late_driver_changes_nothing(
        settings in any_settings(),
        schedule in any_schedule(),
        steps in prop::collection::vec(any_step(), 0..200),
    ) {
        let (out, passages, counters) = run(&settings, &schedule, &steps, true);
        let (late_out, late_passages, late_counters) = run(&settings, &schedule, &steps, false);
        prop_assert_eq!(out, late_out);
        prop_assert_eq!(passages, late_passages);
        prop_assert_eq!(counters, late_counters);
    }

    #[test]
    fn chance_does_the_same_to_a_packet_whatever_the_times(
        settings in any_settings(),
        gap in 1u64..3_000_000,
    ) {
        let settings = Settings {
            rate: Rate::Unlimited,
            blackout: Blackout::Off,
            policer: Policer::None,
            ..settings
        };
        let fates = |gap: u64| {
            let mut pipe = pipe(settings.clone());
            pipe.observe(1000);
            (0..200).for_each(|n| pipe.offer(at(n * gap), MTU, n).expect("nothing waits"));
            let passages = std::iter::from_fn(|| pipe.take_passage());
            passages
                .map(|p| (p.index, p.corrupt, p.duplicate, matches!(p.fate, Fate::Dropped(_))))
                .collect::<Vec<_>>()
        };
        prop_assert_eq!(fates(gap), fates(1_000_000));
    }
}
