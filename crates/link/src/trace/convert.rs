//! From opportunities to rates and back.

use core::time::Duration;

use super::{MILLI, OPPORTUNITY_BYTES, Opportunities, Pace, Rates, Segment, Trace};
use crate::error::Error;

impl Trace {
    /// The trace as opportunities: one as soon as a whole 1500 bytes could have been sent, rounded
    /// up to a millisecond. The last one stands at the end of the trace, so that its length stays.
    ///
    /// # Errors
    /// If it would have none, or more than traces may have.
    pub fn to_opportunities(&self) -> Result<Trace, Error> {
        let rates = match &self.pace {
            Pace::Opportunities(_) => return Ok(self.clone()),
            Pace::Rates(rates) => rates,
        };
        let each = u128::from(OPPORTUNITY_BYTES) * 8 * 1_000_000_000;
        let count = u64::try_from(rates.sum() / each).unwrap_or(u64::MAX);
        let end = rates.length().div_ceil(MILLI);
        let (Ok(end), false) = (u32::try_from(end), count > super::ENTRIES_MAX as u64) else {
            let got = format!("{count} opportunities in {end} ms");
            let expected = "4000000 at most, in 49 days";
            return Err(Error::setting("trace", got, expected, "a shorter one"));
        };
        let time = |number: u64| {
            let (at, _) = rates.time_of(each * u128::from(number));
            u32::try_from(at.div_ceil(MILLI)).unwrap_or(u32::MAX).min(end)
        };
        let mut times: Vec<u32> = (1..=count).map(time).collect();
        if let Some(last) = times.last_mut() {
            *last = end;
        }
        Trace::opportunities(&self.name, times)
    }

    /// The trace as rates: of opportunities, how many there are in each window, times 1500 bytes.
    ///
    /// # Errors
    /// If there would be more windows than traces may have.
    pub fn to_rates(&self, window: Duration) -> Result<Trace, Error> {
        let opportunities = match &self.pace {
            Pace::Rates(_) => return Ok(self.clone()),
            Pace::Opportunities(opportunities) => opportunities,
        };
        let window = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX).max(MILLI);
        let length = opportunities.length();
        if length / window > super::ENTRIES_MAX as u64 {
            let got = format!("{} windows", length / window);
            return Err(Error::setting("window", got, "4000000 windows at most", "1s"));
        }
        let mut segments = Vec::new();
        let mut begin = 0;
        while begin < length {
            let end = begin.saturating_add(window).min(length);
            let count = opportunities.within(begin, end);
            let bits = u128::from(count) * u128::from(OPPORTUNITY_BYTES) * 8 * 1_000_000_000;
            let bits_per_second = (bits + u128::from(end - begin) / 2) / u128::from(end - begin);
            segments.push(Segment {
                span: Duration::from_nanos(end - begin),
                bits_per_second: u64::try_from(bits_per_second).unwrap_or(u64::MAX),
                latency: None,
            });
            begin = end;
        }
        Trace::rates(&self.name, segments)
    }
}

impl Opportunities {
    /// How many of one pass are after `from` and not after `to`; those at 0 count to what follows.
    pub(super) fn within(&self, from: u64, to: u64) -> u64 {
        let up_to = |at: u64| self.times_ms.partition_point(|time| u64::from(*time) * MILLI <= at);
        let before = if from == 0 { 0 } else { up_to(from) };
        (up_to(to) - before) as u64
    }
}

impl Rates {
    /// Bits sent between two moments of one pass, times 10^9.
    pub(super) fn work_within(&self, from: u64, to: u64) -> u128 {
        self.work_until(to) - self.work_until(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_rates() -> impl Strategy<Value = Trace> {
        let segment = (1_u64..3_000, 0_u64..50_000_000).prop_map(|(millis, bits_per_second)| {
            Segment { span: Duration::from_millis(millis), bits_per_second, latency: None }
        });
        let segments = prop::collection::vec(segment, 1..30);
        segments.prop_filter_map("it sends nothing", |segments| Trace::rates("t", segments).ok())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn as_opportunities_a_trace_keeps_its_length_and_its_bytes(trace in any_rates()) {
            let Ok(other) = trace.to_opportunities() else {
                prop_assert!(trace.bytes() < OPPORTUNITY_BYTES as f64);
                return Ok(());
            };
            prop_assert_eq!(other.length(), trace.length());
            let lost = trace.bytes() - other.bytes();
            prop_assert!((0.0..OPPORTUNITY_BYTES as f64).contains(&lost), "{lost}");
        }

        #[test]
        fn as_rates_a_trace_keeps_its_length_and_nearly_all_bytes(
            gaps in prop::collection::vec(0_u32..40, 1..300),
            window in 1_u64..3_000,
        ) {
            let times = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let Ok(trace) = Trace::opportunities("t", times) else { return Ok(()) };
            let other = trace.to_rates(Duration::from_millis(window)).expect("it is short");
            prop_assert_eq!(other.length(), trace.length());
            prop_assert!((other.bytes() - trace.bytes()).abs() < 1.0 + trace.bytes() * 1e-6);
        }
    }

    #[test]
    fn twelve_megabits_are_an_opportunity_each_millisecond() {
        let second =
            Segment { span: Duration::from_secs(1), bits_per_second: 12_000_000, latency: None };
        let trace = Trace::rates("t", vec![second]).expect("possible");
        let trace = trace.to_opportunities().expect("possible");
        let Pace::Opportunities(trace) = trace.pace() else { panic!("they are opportunities") };
        assert!(trace.times_ms().iter().copied().eq(1..=1000));
    }
}
