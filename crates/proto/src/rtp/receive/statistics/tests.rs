use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

const SOURCE: Ssrc = Ssrc(7);

fn receive(statistics: &mut Statistics, number: u16) -> ArrivalKind {
    statistics.receive(Instant::ZERO, SequenceNumber(number), RtpTime(0), 100).kind
}

fn after(numbers: &[u16]) -> Statistics {
    let mut statistics = Statistics::new(90_000);
    for number in numbers {
        receive(&mut statistics, *number);
    }
    statistics
}

#[test]
fn numbers_continue_past_their_wrap() {
    let counts = after(&[65_534, 65_535, 0, 2]).counts();
    assert_eq!((counts.received, counts.expected, counts.lost), (4, 5, 1));
    assert_eq!(counts.highest_extended.unwrap() & 0xffff, 2);
}

#[test]
fn duplicates_and_late_packets_do_not_hide_a_loss() {
    let mut statistics = Statistics::new(90_000);
    let kinds = [10, 13, 11, 13, 11, 14].map(|number| receive(&mut statistics, number));
    use ArrivalKind::*;
    assert_eq!(kinds, [New, New, Reordered, Duplicate, Duplicate, New]);
    let counts = statistics.counts();
    assert_eq!((counts.received, counts.expected, counts.lost), (4, 5, 1));
    assert_eq!((counts.duplicates, counts.reordered, counts.reorder_distance_max), (2, 1, 2));
    assert_eq!(counts.bytes, 400);
}

#[test]
fn a_packet_from_before_the_first_moves_the_beginning() {
    let mut statistics = after(&[0]);
    assert_eq!(receive(&mut statistics, 65_534), ArrivalKind::Reordered);
    let counts = statistics.counts();
    assert_eq!((counts.received, counts.expected, counts.lost), (2, 3, 1));
}

#[test]
fn an_outage_of_many_thousand_packets_is_counted_as_lost() {
    let counts = after(&[100, 32_867]).counts();
    assert_eq!((counts.lost, counts.expected), (32_766, 32_768));
}

#[test]
fn a_packet_behind_the_window_is_too_late_and_two_in_a_row_are_a_restart() {
    let mut statistics = after(&[30_000]);
    assert_eq!(receive(&mut statistics, 30_000 - 4_096), ArrivalKind::TooLate);
    assert_eq!(receive(&mut statistics, 30_001), ArrivalKind::New);
    assert_eq!(receive(&mut statistics, 500), ArrivalKind::TooLate);
    assert_eq!(receive(&mut statistics, 501), ArrivalKind::Restarted);
    let counts = statistics.counts();
    assert_eq!((counts.received, counts.lost, counts.too_late, counts.restarts), (3, 0, 2, 1));
    assert_eq!(statistics.report_block(Instant::ZERO, SOURCE).unwrap().extended_highest, 501);
}

#[test]
fn a_source_on_probation_counts_from_the_packet_that_proves_it() {
    let mut statistics = Statistics::with_probation(90_000, 2);
    use ArrivalKind::*;
    let kinds = [5, 9, 10, 11].map(|number| receive(&mut statistics, number));
    assert_eq!(kinds, [Probation, Probation, New, New]);
    assert_eq!((statistics.counts().received, statistics.counts().on_probation), (2, 2));
}

#[test]
fn the_fraction_lost_is_that_since_the_last_report() {
    let mut statistics = after(&[0, 1, 2, 4]);
    let report =
        |statistics: &mut Statistics| statistics.report_block(Instant::ZERO, SOURCE).unwrap();
    let first = report(&mut statistics);
    assert_eq!((first.fraction_lost, first.cumulative_lost), (51, 1));
    assert_eq!(first.extended_highest, 4);
    receive(&mut statistics, 5);
    let second = report(&mut statistics);
    assert_eq!((second.fraction_lost, second.cumulative_lost), (0, 1));
    receive(&mut statistics, 3);
    assert_eq!(report(&mut statistics).fraction_lost, 0);
    assert_eq!(report(&mut statistics).cumulative_lost, 0);
}

#[test]
fn nothing_is_reported_before_the_first_packet() {
    let mut statistics = Statistics::new(90_000);
    assert_eq!(statistics.report_block(Instant::ZERO, SOURCE), None);
    assert_eq!(statistics.jitter_ns(), None);
}

#[test]
fn the_delay_since_the_last_sender_report_is_in_65536ths_of_a_second() {
    let mut statistics = after(&[1]);
    statistics.sender_report(Instant::from_millis(1_000), NtpTime(0x1234_5678_9abc_def0));
    let report = statistics.report_block(Instant::from_millis(1_500), SOURCE).unwrap();
    assert_eq!((report.last_sr, report.delay_since_last_sr), (0x5678_9abc, 32_768));
}

#[test]
fn jitter_is_a_sixteenth_of_the_first_change_and_settles_at_a_constant_change() {
    let mut statistics = Statistics::new(90_000);
    let mut arrival = Instant::from_millis(1_000);
    for packet in 0..300u16 {
        let late = Duration::from_millis(if packet % 2 == 1 { 8 } else { 0 });
        let time = RtpTime(u32::from(packet).wrapping_mul(3_600));
        statistics.receive(arrival + late, SequenceNumber(packet), time, 1);
        if packet == 1 {
            assert_eq!(statistics.jitter_ns(), Some(500_000));
        }
        arrival += Duration::from_millis(40);
    }
    let settled = statistics.jitter_ns().unwrap();
    assert!((7_999_900..=8_000_100).contains(&settled), "{settled}");
    let ticks = statistics.report_block(arrival, SOURCE).unwrap().jitter_ticks;
    assert!((719..=720).contains(&ticks), "{ticks}");
}

#[test]
fn evenly_spaced_packets_have_no_jitter_even_over_the_wrap_of_their_times() {
    let mut statistics = Statistics::new(90_000);
    for packet in 0..10u16 {
        let time = RtpTime(u32::MAX.wrapping_add(u32::from(packet) * 90));
        let arrival = Instant::from_millis(u64::from(packet));
        statistics.receive(arrival, SequenceNumber(packet), time, 1);
    }
    assert_eq!(statistics.jitter_ns(), Some(0));
}

proptest! {
    #[test]
    fn received_and_lost_make_up_what_was_expected_and_each_number_counts_once(
        first: u16,
        steps in prop::collection::vec(-40i32..60, 1..400),
    ) {
        let mut statistics = Statistics::new(48_000);
        let mut different = BTreeSet::new();
        let mut place = 1_000_000 + i64::from(first);
        for step in steps {
            place += i64::from(step);
            let kind = receive(&mut statistics, place as u16);
            prop_assert_eq!(kind == ArrivalKind::Duplicate, !different.insert(place));
        }
        let counts = statistics.counts();
        let span = different.last().unwrap() - different.first().unwrap() + 1;
        prop_assert_eq!(counts.received, different.len() as u64);
        prop_assert_eq!(counts.expected, span as u64);
        prop_assert_eq!(counts.received + counts.lost, counts.expected);
    }

    #[test]
    fn any_numbers_keep_the_balance(numbers in prop::collection::vec(any::<u16>(), 1..300)) {
        let mut statistics = Statistics::new(48_000);
        for number in &numbers {
            receive(&mut statistics, *number);
        }
        let counts = statistics.counts();
        prop_assert_eq!(counts.received + counts.lost, counts.expected);
        prop_assert_eq!(
            counts.received + counts.duplicates + counts.too_late,
            numbers.len() as u64
        );
    }
}
