use std::time::Duration;

use weir_time::Instant;

use super::*;
use crate::capture::Feeds;
use crate::world::{World, seconds};

fn stretches(certificate: &Certificate) -> &[Stretch] {
    &certificate.directions[0].stretches
}

#[test]
fn a_saturated_link_proves_its_rate() {
    let mut world = World::new("rate=10mbit queue=100p delay=20ms", Feeds::default());
    world.send(1250, Duration::from_micros(900), seconds(5));
    let certificate = world.certificate();
    let rate = stretches(&certificate)[0].rate.expect("the queue was busy");
    assert!(rate.error.abs() < 1e-6, "{rate:?}");
    assert!(rate.busy_ns > 4_900_000_000, "{rate:?}");
    assert!(!certificate.machine.is_too_slow);
    assert!(certificate.verdict().starts_with("The machine kept up"));
}

#[test]
fn an_idle_queue_proves_no_rate() {
    let mut world = World::new("rate=10mbit", Feeds::default());
    world.send(1250, Duration::from_millis(5), seconds(3));
    assert_eq!(stretches(&world.certificate())[0].rate, None);
}

#[test]
fn losses_do_not_hide_the_rate() {
    let mut world = World::new("rate=10mbit loss=20%", Feeds::default());
    world.send(1250, Duration::from_micros(900), seconds(5));
    let rate = stretches(&world.certificate())[0].rate.expect("the queue was busy");
    assert!(rate.error.abs() < 1e-3, "{rate:?}");
}

#[test]
fn what_the_driver_is_late_shows_as_delay_error_and_as_timer_error() {
    let mut world = World::new("rate=10mbit delay=20ms", Feeds::default());
    world.late = Duration::from_micros(300);
    world.send(1250, Duration::from_millis(5), seconds(3));
    let certificate = world.certificate();
    let delay = stretches(&certificate)[0].delay.expect("packets came out");
    assert!(delay.error_p50_ns.abs_diff(300_000) < 6000, "{delay:?}");
    assert!(delay.timer_p99_ns.expect("it slept").abs_diff(300_000) < 6000, "{delay:?}");
    assert!(delay.p50_ns.abs_diff(21_300_000) < 400_000, "{delay:?}");
    assert!(!certificate.machine.is_too_slow);
}

#[test]
fn a_machine_that_is_late_is_called_too_slow() {
    let mut world = World::new("rate=10mbit delay=20ms", Feeds::default());
    world.late = Duration::from_millis(3);
    world.send(1250, Duration::from_millis(2), seconds(3));
    let certificate = world.certificate();
    assert!(certificate.machine.is_too_slow);
    let verdict = certificate.verdict();
    assert!(verdict.starts_with("This machine was too slow for that: s1-s2 up"), "{verdict}");
}

#[test]
fn waiting_for_a_cpu_is_called_too_slow() {
    let mut certificate = Certificate::default();
    certificate.judge(Some(0.2), Some(0.3));
    assert!(certificate.verdict().contains("wait for a CPU 30% of the time"));
}

#[test]
fn each_stretch_of_constant_settings_has_its_own_figures() {
    let mut world = World::new("rate=10mbit queue=50p", Feeds::default());
    world.send(1250, Duration::from_micros(900), seconds(4));
    world.set("rate=5mbit");
    world.send(1250, Duration::from_micros(900), seconds(8));
    let certificate = world.certificate();
    let rates: Vec<_> = stretches(&certificate).iter().map(|s| s.rate.expect("busy")).collect();
    assert_eq!(rates.len(), 2);
    assert_eq!((rates[0].asked_bps, rates[1].asked_bps), (10e6, 5e6));
    assert!(rates.iter().all(|rate| rate.error.abs() < 1e-3), "{rates:?}");
    assert_eq!(stretches(&certificate)[1].from_ns, 4_000_000_000);
    assert!(stretches(&certificate)[1].queue.overflows > 0);
}

#[test]
fn loss_has_its_confidence_interval_and_passes_its_test() {
    let mut world = World::new("loss=2%", Feeds::default());
    world.send(500, Duration::from_millis(1), seconds(20));
    let loss = stretches(&world.certificate())[0].loss.expect("it was put to chance");
    assert_eq!((loss.tested_packets, loss.asked), (20_000, Some(0.02)));
    assert!(loss.low < 0.02 && 0.02 < loss.high, "{loss:?}");
    assert!(loss.p_value.expect("enough are expected") > 0.001, "{loss:?}");
    assert!((loss.burst_mean.expect("there are runs") - 1.02).abs() < 0.05, "{loss:?}");
}

#[test]
fn bursty_loss_is_judged_as_bursty() {
    let mut world = World::new("loss=none", Feeds::default());
    let model = weir_link::GilbertElliott::from_mean_and_burst(0.05, 4.0).expect("possible");
    let change = weir_link::Change {
        loss: Some(weir_link::Loss::GilbertElliott(model)),
        ..weir_link::Change::default()
    };
    let (link, at) = (crate::links::LinkIndex(0), Instant::ZERO);
    world.links.set(at, link, Some(Direction::Up), &change).expect("possible");
    world.send(500, Duration::from_millis(1), seconds(30));
    let certificate = world.certificate();
    let loss = stretches(&certificate).last().expect("one").loss.expect("it was put to chance");
    assert!((loss.burst_mean.expect("runs") - 4.0).abs() < 0.5, "{loss:?}");
    assert!((loss.burst_asked.expect("asked") - 4.0).abs() < 1e-9);
    assert!(loss.p_value.expect("enough") > 0.001, "{loss:?}");
    assert!(loss.high - loss.low > 0.01, "bursts tell less: {loss:?}");
}

#[test]
fn jitter_passes_where_packets_are_far_apart_and_is_absent_where_they_are_not() {
    for jitter in ["5ms", "2ms normal"] {
        let jitter: weir_link::Jitter = jitter.parse().expect("it is well formed");
        let change = weir_link::Change { jitter: Some(jitter), ..weir_link::Change::default() };
        let mut world = World::new("delay=30ms", Feeds::default());
        let (link, at) = (crate::links::LinkIndex(0), Instant::ZERO);
        world.links.set(at, link, Some(Direction::Up), &change).expect("possible");
        world.send(500, Duration::from_millis(25), seconds(40));
        let certificate = world.certificate();
        let jitter = stretches(&certificate).last().expect("one").jitter.expect("it was tested");
        assert!(jitter.p_value > 0.01 && jitter.packets > 1000, "{jitter:?}");
    }
    let mut world = World::new("delay=30ms jitter=5ms", Feeds::default());
    world.send(500, Duration::from_micros(10), Instant::from_millis(100));
    assert!(stretches(&world.certificate())[0].jitter.is_none_or(|jitter| jitter.packets < 100));
}

#[test]
fn the_page_fits_a_terminal_and_says_what_was_asked_and_achieved() {
    let mut world = World::new("rate=10mbit queue=50p delay=20ms loss=1%", Feeds::default());
    world.send(1250, Duration::from_micros(900), seconds(4));
    world.set("rate=5mbit");
    world.send(1250, Duration::from_micros(900), seconds(8));
    let mut certificate = world.certificate();
    certificate.driver = "relay udp".into();
    certificate.fidelity = vec!["A sentence that is long enough to be broken into two lines, since a terminal has but a hundred columns.".into()];
    let page = certificate.to_string();
    assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
    for part in [
        "Asked against achieved: relay udp, 8.0 s",
        "s1-s2 up, 0.0 to 4.0 s",
        "rate=10mbit queue=50p delay=20ms loss=1%",
        "s1-s2 up, 4.0 to 8.0 s",
        "of 5.000 Mbit/s",
        "s1-s2 down: no packet came",
        "The machine kept up",
    ] {
        assert!(page.contains(part), "{part} in:\n{page}");
    }
    let json = serde_json::to_value(&certificate).expect("it can be written");
    assert_eq!(json["directions"][0]["stretches"][1]["rate"]["asked_bps"], 5e6);
}

#[test]
fn a_record_says_the_same() {
    let mut world = World::new("rate=10mbit queue=50p loss=1%", Feeds::default());
    world.send(1250, Duration::from_micros(900), seconds(4));
    let certificate = world.certificate();
    let records = certificate.records();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].rate_asked_bps, Some(10_000_000));
    assert_eq!(records[0].loss_asked_ppb, Some(10_000_000));
    assert_eq!(records[0].counts, stretches(&certificate)[0].counts);
    assert_eq!((records[1].busy_ns, &records[1].late_ns), (None, &None));
}
