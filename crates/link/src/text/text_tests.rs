use super::*;
use crate::settings::{
    Blackout, Discipline, GilbertElliott, Jitter, Loss, Numbers, Policer, Queue, Rate, Reorder,
    Settings,
};
use crate::{Change, Schedule};
use proptest::prelude::*;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn settings_are_read_as_people_write_them() {
    assert_eq!("5mbit".parse(), Ok(Rate::bits_per_second(5_000_000)));
    assert_eq!("1.5 Gbit/s".parse(), Ok(Rate::bits_per_second(1_500_000_000)));
    assert_eq!("unlimited".parse(), Ok(Rate::Unlimited));
    assert_eq!("64kb".parse(), Ok(Queue::Bytes(64_000)));
    assert_eq!("64KiB".parse(), Ok(Queue::Bytes(65_536)));
    assert_eq!("1.5kib".parse(), Ok(Size(1536)));
    assert_eq!("100p".parse(), Ok(Queue::Packets(100)));
    assert_eq!("200ms".parse(), Ok(Queue::Time(millis(200))));
    assert_eq!("40ms".parse(), Ok(Span(millis(40))));
    assert_eq!("0.25s".parse(), Ok(Span(millis(250))));
    assert_eq!("1min".parse(), Ok(Span(millis(60_000))));
    assert_eq!("0".parse(), Ok(Span(Duration::ZERO)));
    assert_eq!("1%".parse(), Ok(Share(0.01)));
    assert_eq!("2mb".parse(), Ok(Size(2_000_000)));
    assert_eq!("2%".parse(), Ok(Loss::Independent(0.02)));
    assert_eq!("5ms normal".parse(), Ok(Jitter::Normal { deviation: millis(5) }));
    assert_eq!("5ms pareto".parse(), Ok(Jitter::Pareto { mean: millis(5) }));
    let model = GilbertElliott::from_mean_and_burst(0.01, 3.0).expect("possible");
    assert_eq!("1% burst 3".parse(), Ok(Loss::GilbertElliott(model)));
    let model = GilbertElliott { p: 0.01, r: 0.3, h: 0.5, k: 1.0 };
    assert_eq!("gilbert p 1% r 30% h 50%".parse(), Ok(Loss::GilbertElliott(model)));
    assert_eq!("every 100".parse(), Ok(Loss::Every(100)));
    let numbers = Numbers::new(vec![(3, 3), (7, 9)]);
    assert_eq!("packets 3,7-9".parse(), Ok(Loss::Packets(numbers)));
    let (target, interval) = (millis(5), millis(100));
    assert_eq!("codel".parse(), Ok(Discipline::CoDel { target, interval }));
    assert_eq!("pie target 20ms".parse(), Ok(Discipline::Pie { target: millis(20) }));
    assert_eq!("1% by 10ms".parse(), Ok(Reorder::Late { chance: 0.01, by: millis(10) }));
    let black = Blackout::Every { period: millis(10_000), span: millis(500) };
    assert_eq!("500ms every 10s".parse(), Ok(black));
    let bucket = Policer::Bucket { bits_per_second: 2_000_000, burst_bytes: 32_000 };
    assert_eq!("2mbit burst 32kb".parse(), Ok(bucket));
    assert_eq!(
        "2.56mbit".parse::<Policer>().map(|p| p.to_string()),
        Ok("2.56mbit burst 32kb".into())
    );
}

#[test]
fn what_is_written_is_what_people_write() {
    for text in [
        "rate=1.5mbit queue=64kb delay=40ms loss=1% burst 3",
        "rate=999.999937mbit queue=1mib discipline=drop-head delay=1.5s",
        "discipline=codel target 5ms interval 100ms jitter=5ms uniform reorder=jitter",
        "discipline=pie target 15ms reorder=0.5% by 10ms loss=gilbert p 1% r 30% h 50% k 100%",
        "loss=packets 3,7-9 duplicate=0.1% corrupt=0.001% blackout=500ms every 10s",
        "queue=200ms loss=every 100 blackout=on policer=2mbit burst 32kb",
    ] {
        let settings: Settings = text.parse().expect(text);
        assert_eq!(settings.to_string(), text);
        let change: Change = text.parse().expect(text);
        assert_eq!(change.to_string(), text);
    }
}

#[test]
fn mistyped_units_and_impossible_values_are_refused_with_an_example() {
    for text in ["5", "5mbps", "-5mbit", "0mbit", "", "mbit", "5 m bit", "nanmbit", "1.2.3mbit"] {
        let error = text.parse::<Rate>().expect_err(text).to_string();
        assert!(error.starts_with("rate: ") && error.ends_with("(example: 5mbit)"), "{error}");
    }
    for text in ["1499b", "0p", "1.5p", "64", "64gb", "-1kb", "0ms", "2h"] {
        let error = text.parse::<Queue>().expect_err(text).to_string();
        assert!(error.starts_with("queue: ") && error.contains("(example: "), "{error}");
    }
    for text in [
        "101%",
        "-1%",
        "1",
        "0.01",
        "1% burst",
        "1% burst 0",
        "1% bursts 3",
        "1% burst 3 4",
        "gilbert p 1%",
        "gilbert p 1% r 200%",
        "every 0",
        "every x",
        "packets",
        "packets 5-3",
    ] {
        let error = text.parse::<Loss>().expect_err(text).to_string();
        assert!(error.starts_with("loss") && error.contains("(example: "), "{error}");
    }
    for text in ["40", "-1ms", "40m", "61min", "ms", "1e3ms", "infs"] {
        assert!(text.parse::<Span>().is_err(), "{text}");
    }
    assert!("5ms gamma".parse::<Jitter>().is_err());
    assert!("table x".parse::<Jitter>().is_err());
    for text in ["red", "codel 5ms", "codel target 0ms"] {
        assert!(text.parse::<Discipline>().is_err(), "{text}");
    }
    for text in ["10s every 5s", "5s", "every 5s"] {
        assert!(text.parse::<Blackout>().is_err(), "{text}");
    }
    for text in ["0mbit", "2mbit burst 100b", "2mbit burst 2", "burst 32kb"] {
        assert!(text.parse::<Policer>().is_err(), "{text}");
    }
    assert!("1%".parse::<Reorder>().is_err());
}

#[test]
fn endless_text_is_not_echoed_whole() {
    let error = "9x".repeat(100_000).parse::<Rate>().expect_err("no rate");
    assert!(error.to_string().len() < 300);
}

#[test]
fn schedules_are_written_as_people_write_them() {
    for text in [
        "at 10s rate=1mbit delay=80ms; at 20s rate=5mbit loss=1% burst 3",
        "ramp rate 5mbit..1mbit from 10s to 20s",
        "ramp delay 10ms..1s from 0ms to 7200s step 50ms",
        "square rate 5mbit/0bit every 10s from 5s to 65s",
        "walk rate 1mbit..8mbit every 500ms by 20% seed 7 from 1s",
        "walk loss 0.1%..5% every 1s by 30%",
    ] {
        let schedule: Schedule = text.parse().expect(text);
        assert_eq!(schedule.to_string(), text);
    }
    let file = "# a drive\nat 1s rate=2mbit # slow\n\n  at 2s rate=0 ;; at 3s rate=1mbit\n";
    let schedule: Schedule = file.parse().expect("well formed");
    assert_eq!(schedule.to_string(), "at 1s rate=2mbit; at 2s rate=0bit; at 3s rate=1mbit");
}

#[test]
fn what_is_wrong_in_a_schedule_is_said_with_its_entry() {
    let error = |text: &str| text.parse::<Schedule>().expect_err(text).to_string();
    assert_eq!(
        error("at 1s rate=1mbit; at 2s rate=1mbps"),
        "schedule, entry 2 (\"at 2s rate=1mbps\"): rate: expected a number with bit, kbit, mbit or \
         gbit (a second), or unlimited, got \"1mbps\" (example: 5mbit)"
    );
    for (text, holds) in [
        ("after 5s rate=1mbit", "expected at, ramp, square or walk"),
        ("at 5s", "expected a time and what changes then"),
        ("at 25h rate=1mbit", "up to 24 hours"),
        ("ramp rate 5mbit from 1s to 2s", "a setting and two values"),
        ("ramp rate 5mbit..1mbit from 2s to 1s", "an end after the beginning"),
        ("ramp rate 5mbit..1mbit from 2s", "expected from and to"),
        ("square queue 5p/1p every 1s", "only rate, delay and loss"),
        ("square rate 5mbit/1mbit every 10us", "expected 1ms at least"),
        ("walk rate 0..1mbit every 1s by 10%", "two bounds above 0"),
        ("walk rate 1mbit..2mbit every 1s", "expected every and by"),
        ("walk rate 1mbit..2mbit every", "expected a value after every"),
    ] {
        assert!(error(text).contains(holds), "{}", error(text));
    }
}

#[test]
fn as_json_settings_are_names_and_texts() {
    let text = "rate=5mbit delay=40ms loss=1% burst 3";
    let settings: Settings = text.parse().expect("well formed");
    let json = serde_json::to_string(&settings).expect("it is written");
    assert_eq!(json, r#"{"rate":"5mbit","delay":"40ms","loss":"1% burst 3"}"#);
    assert_eq!(serde_json::from_str::<Settings>(&json).expect("it is read"), settings);
    let error = serde_json::from_str::<Settings>(r#"{"rate":"5"}"#).expect_err("no unit");
    assert!(error.to_string().contains("example: 5mbit"), "{error}");
    assert!(serde_json::from_str::<Settings>(r#"{"speed":"5mbit"}"#).is_err());
    assert!(serde_json::from_str::<Change>(r#"{"rate":5}"#).is_err());
}

fn any_share() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..=1.0, Just(0.0), Just(1.0), (0_u32..=1000).prop_map(|n| f64::from(n) / 1000.0)]
}

fn any_span() -> impl Strategy<Value = Duration> {
    prop_oneof![0_u64..=3_600_000_000_000, (0_u64..5000).prop_map(|n| n * 1_000_000)]
        .prop_map(Duration::from_nanos)
}

fn any_loss() -> impl Strategy<Value = Loss> {
    let parameters = [any_share(), any_share(), any_share(), any_share()];
    prop_oneof![
        any_share().prop_map(Loss::Independent),
        parameters.prop_map(|[p, r, h, k]| Loss::GilbertElliott(GilbertElliott { p, r, h, k })),
        (any_share(), 1.0..50.0_f64).prop_filter_map("too short a burst", |(mean, burst)| {
            GilbertElliott::from_mean_and_burst(mean, burst).ok().map(Loss::GilbertElliott)
        }),
        (1_u64..).prop_map(Loss::Every),
        prop::collection::vec((any::<u64>(), any::<u64>()), 1..5).prop_filter_map("none", |list| {
            let numbers = Numbers::new(list);
            (!numbers.ranges().is_empty()).then_some(Loss::Packets(numbers))
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn what_is_written_is_read_back_to_the_last_bit(
        bits in prop_oneof![1_u64..=1_000_000_000_000, (1_u64..1000).prop_map(|n| n * 1_000_000)],
        queue in prop_oneof![
            (1500_u64..).prop_map(Queue::Bytes),
            (1_u64..).prop_map(Queue::Packets),
            any_span().prop_filter("none", |span| !span.is_zero()).prop_map(Queue::Time),
        ],
        spans in [any_span(), any_span(), any_span()],
        loss in any_loss(),
        shares in [any_share(), any_share(), any_share()],
        burst in 1500_u64..=1_000_000_000,
    ) {
        let settings = Settings {
            rate: Rate::bits_per_second(bits),
            queue,
            delay: spans[0],
            jitter: Jitter::Normal { deviation: spans[1] },
            reorder: Reorder::Late { chance: shares[0], by: spans[2] },
            loss,
            duplicate: shares[1],
            corrupt: shares[2],
            policer: Policer::Bucket { bits_per_second: bits, burst_bytes: burst },
            ..Settings::default()
        };
        prop_assert_eq!(settings.to_string().parse(), Ok(settings.clone()));
        let json = serde_json::to_string(&settings).expect("it is written");
        prop_assert_eq!(serde_json::from_str::<Settings>(&json).expect("it is read"), settings);
    }
}
