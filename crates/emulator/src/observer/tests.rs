use std::time::Duration;

use weir_record::event::{Event, LinkSecond, LinkTotal};
use weir_record::{Level, Record};
use weir_time::Instant;

use crate::capture::Feeds;
use crate::world::{World, seconds};

fn seconds_of(records: &[Record]) -> Vec<&LinkSecond> {
    let up = |record| match record {
        &Record { event: Event::LinkSecond(ref second), .. } => Some(&**second),
        _ => None,
    };
    let all = records.iter().filter_map(up);
    all.filter(|second| second.direction == weir_record::event::Direction::Up).collect()
}

fn total(records: &[Record]) -> &LinkTotal {
    let totals = records.iter().filter_map(|record| match &record.event {
        Event::LinkTotal(total) => Some(&**total),
        _ => None,
    });
    totals.into_iter().next().expect("there is a total")
}

#[test]
fn each_second_has_its_counts_and_delays() {
    let mut world = World::new("rate=8mbit delay=40ms", Feeds::default());
    // 1000 bytes take 1 ms; each second packet waits for the one before.
    world.send(1000, Duration::from_millis(2), seconds(3));
    let (_, records) = world.account();
    let seconds = seconds_of(&records);
    assert_eq!(seconds.len(), 3);
    for second in &seconds {
        assert_eq!(second.span_ns, 1_000_000_000);
        assert_eq!(second.counts.offered_packets, 500);
        let near = |held: &Option<weir_record::Histogram>| {
            held.as_ref().and_then(|held| held.quantile(0.5)).expect("it was measured")
        };
        assert_eq!(near(&second.queue_delay_ns), 1_000_000);
        assert_eq!(near(&second.delay_ns), 41_000_000);
        assert_eq!(near(&second.late_ns), 0);
        assert_eq!(near(&second.inter_send_ns), 2_000_000);
        assert_eq!(near(&second.inter_arrival_ns), 2_000_000);
    }
}

#[test]
fn a_second_without_packets_is_told_with_zeroes_and_without_delays() {
    let mut world = World::new("", Feeds::default());
    world.run_until(seconds(2));
    let (_, records) = world.account();
    let seconds = seconds_of(&records);
    assert_eq!(seconds.len(), 2);
    assert_eq!(seconds[0].counts.offered_packets, 0);
    assert_eq!((&seconds[0].delay_ns, seconds[0].queue_bytes_max), (&None, None));
}

#[test]
fn totals_are_the_sum_of_seconds_and_of_passages() {
    let mut world = World::new("rate=1mbit queue=10p delay=5ms loss=10%", Feeds::default());
    world.send(1000, Duration::from_millis(5), seconds(4));
    world.run_until(seconds(5));
    let (_, records) = world.account();
    let sum = |of: fn(&LinkSecond) -> u64| seconds_of(&records).iter().map(|s| of(s)).sum::<u64>();
    let total = total(&records);
    assert_eq!(sum(|s| s.counts.offered_packets), 800);
    assert_eq!(total.counts.offered_packets, 800);
    assert_eq!(sum(|s| s.counts.delivered_packets), total.counts.delivered_packets);
    assert_eq!(sum(|s| s.counts.delivered_bytes), total.counts.delivered_bytes);
    assert_eq!(sum(|s| s.counts.dropped_queue_packets), total.counts.dropped_queue_packets);
    assert_eq!(sum(|s| s.counts.dropped_loss_packets), total.counts.dropped_loss_packets);
    assert!(total.counts.dropped_queue_packets > 200 && total.queue_packets_max == 10);
    let passages = records.iter().filter(|record| record.event.level() == Level::Packet);
    assert_eq!(passages.count(), 800);
}

#[test]
fn settings_are_recorded_at_the_start_and_at_each_change() {
    let mut world = World::new("rate=8mbit", Feeds::default());
    world.run_until(Instant::from_millis(1500));
    world.set("rate=4mbit");
    let (_, records) = world.account();
    let settings: Vec<_> = records
        .iter()
        .filter_map(|record| match &record.event {
            Event::LinkSettings(settings) => Some((record.at, settings.settings.to_string())),
            _ => None,
        })
        .collect();
    let text = |rate| format!("rate={rate}");
    assert_eq!(settings[0], (Instant::ZERO, text("8mbit")));
    assert_eq!(settings[1], (Instant::ZERO, text("unlimited")));
    assert_eq!(settings[2], (Instant::from_millis(1500), text("4mbit")));
    assert_eq!(settings.len(), 3);
}

#[test]
fn a_drivers_own_figures_are_told_with_their_greatest_value() {
    use crate::links::LinkIndex;
    let mut world = World::new("", Feeds::default());
    world.links.gauge(LinkIndex(0), "local_up_bytes", 70_000, Instant::ZERO);
    world.links.gauge(LinkIndex(0), "local_up_bytes", 10, Instant::ZERO);
    world.run_until(seconds(1));
    let (account, records) = world.account();
    let gauges: Vec<_> = records
        .iter()
        .filter_map(|record| match &record.event {
            Event::LinkGauge(gauge) => Some((record.at, gauge.value, gauge.value_max)),
            _ => None,
        })
        .collect();
    assert_eq!(gauges[0], (seconds(1), 10, 70_000));
    assert_eq!((account.gauges[0].max, account.gauges[0].last), (70_000, 10));
}
