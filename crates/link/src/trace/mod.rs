//! Traces: how fast a link was at which time.

mod convert;
#[cfg(test)]
mod oracle_tests;
mod plot;
mod read;
mod stats;
mod write;

use core::time::Duration;

pub use plot::{PlotText, svg, text as plot_text};
pub use stats::{Stats, Window, windows};
pub use write::Note;

use crate::error::Error;
use crate::settings::RATE_BITS_MAX;

/// How fast a link was, for so long; it repeats itself from its end on.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    name: String,
    pace: Pace,
}

/// What a trace says.
#[derive(Clone, Debug, PartialEq)]
pub enum Pace {
    /// When a packet of 1500 bytes may leave, as Mahimahi writes it.
    Opportunities(Opportunities),
    /// How many bits a second, and for how long.
    Rates(Rates),
}

/// Moments at which [`OPPORTUNITY_BYTES`] may leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opportunities {
    /// In milliseconds since the start, in order; the last one is the length of the trace.
    times_ms: Vec<u32>,
}

/// Rates one after another.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    segments: Vec<Segment>,
    /// When each segment ends, in nanoseconds since the start.
    ends: Vec<u64>,
    /// Bits that are sent up to the end of each segment, times 10^9.
    sums: Vec<u128>,
    has_latency: bool,
}

/// A rate that holds for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// For how long, more than 0.
    pub span: Duration,
    /// How many IP bits a second, 0 to 10^12.
    pub bits_per_second: u64,
    /// The round trip's latency meanwhile, where the trace knows it. A direction that follows the
    /// trace takes half of it, on top of its own delay.
    pub latency: Option<Duration>,
}

/// How traces are written in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line for each opportunity: its time in whole milliseconds.
    Mahimahi,
    /// `time rate` on each line, in seconds and Mbit/s: the rate held from the line before until
    /// this time.
    TimeRate,
    /// A list of `{"duration_ms", "bandwidth_kbps", "latency_ms"}`.
    Json,
    /// Columns named by the first line, such as `duration_ms,rate_kbit,latency_ms`.
    Csv,
}

impl Trace {
    /// Of opportunities: their times in milliseconds, none earlier than the one before.
    ///
    /// # Errors
    /// If there is none, if one is earlier than the one before, or if the last is at 0.
    pub fn opportunities(name: &str, times_ms: Vec<u32>) -> Result<Self, Error> {
        let expected = "times in order, the last of them after 0";
        let refuse = |got: String| Error::setting("trace", got, expected, "1, 2, 2, 5");
        match times_ms.last() {
            None => return Err(refuse("no time at all".to_owned())),
            Some(0) => return Err(refuse("0 as the last time".to_owned())),
            Some(_) if !times_ms.is_sorted() => {
                return Err(refuse("earlier after later".to_owned()));
            }
            Some(_) => {}
        }
        let pace = Pace::Opportunities(Opportunities { times_ms });
        Ok(Trace { name: name.to_owned(), pace })
    }

    /// Of rates; segments of no length do not count.
    ///
    /// # Errors
    /// If nothing is ever sent, or if a rate or the whole length is too large.
    pub fn rates(name: &str, mut segments: Vec<Segment>) -> Result<Self, Error> {
        segments.retain(|segment| !segment.span.is_zero());
        let expected = "rates up to 1000 Gbit a second, one of them above 0, for 10 years at most";
        let refuse = |got: String| Error::setting("trace", got, expected, "5mbit for 10s");
        let (mut end, mut sum) = (0_u64, 0_u128);
        let (mut ends, mut sums) = (Vec::new(), Vec::new());
        for segment in &segments {
            if segment.bits_per_second > RATE_BITS_MAX {
                return Err(refuse(format!("{} bit/s", segment.bits_per_second)));
            }
            let span = u64::try_from(segment.span.as_nanos()).unwrap_or(u64::MAX);
            end = end.saturating_add(span);
            if end > LENGTH_NANOS_MAX {
                return Err(refuse("a longer one".to_owned()));
            }
            sum += u128::from(span) * u128::from(segment.bits_per_second);
            ends.push(end);
            sums.push(sum);
        }
        if sum == 0 {
            return Err(refuse("a trace in which nothing is ever sent".to_owned()));
        }
        let has_latency = segments.iter().any(|segment| segment.latency.is_some());
        let pace = Pace::Rates(Rates { segments, ends, sums, has_latency });
        Ok(Trace { name: name.to_owned(), pace })
    }

    /// What it is called where settings are shown: its file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// How long it is until it repeats itself.
    pub fn length(&self) -> Duration {
        Duration::from_nanos(match &self.pace {
            Pace::Opportunities(opportunities) => opportunities.length(),
            Pace::Rates(rates) => rates.length(),
        })
    }

    /// IP bytes that it lets through each time.
    pub fn bytes(&self) -> f64 {
        match &self.pace {
            Pace::Opportunities(opportunities) => {
                (opportunities.times_ms.len() as u64 * OPPORTUNITY_BYTES) as f64
            }
            Pace::Rates(rates) => rates.sum() as f64 / 8e9,
        }
    }
}

impl Opportunities {
    /// Their times in milliseconds since the start of the trace.
    pub fn times_ms(&self) -> &[u32] {
        &self.times_ms
    }

    /// Of one pass, in nanoseconds.
    fn length(&self) -> u64 {
        self.times_ms.last().map_or(1, |last| u64::from(*last) * MILLI)
    }

    /// How many there are up to `at` nanoseconds after the start, `at` included.
    pub(crate) fn count(&self, at: u64) -> u64 {
        let (pass, rest) = (at / self.length(), at % self.length());
        let within = self.times_ms.partition_point(|time| u64::from(*time) * MILLI <= rest);
        pass.saturating_mul(self.times_ms.len() as u64).saturating_add(within as u64)
    }

    /// When number `number` is, counted from 0 over all passes, in nanoseconds after the start.
    pub(crate) fn time(&self, number: u64) -> u64 {
        let each = self.times_ms.len() as u64;
        let (pass, within) = (number / each, number % each);
        let time = self.times_ms.get(within as usize).map_or(0, |time| u64::from(*time) * MILLI);
        pass.saturating_mul(self.length()).saturating_add(time)
    }
}

impl Rates {
    /// The segments, in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn length(&self) -> u64 {
        self.ends.last().copied().unwrap_or(1)
    }

    fn sum(&self) -> u128 {
        self.sums.last().copied().unwrap_or(1)
    }

    /// The segment that holds at `at` nanoseconds after the start: its number, and when it begins
    /// and ends.
    pub(crate) fn segment_at(&self, at: u64) -> (usize, u64, u64) {
        let (pass, rest) = (at / self.length(), at % self.length());
        let number = self.ends.partition_point(|end| *end <= rest);
        let begin = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        let start = pass * self.length();
        (number, start.saturating_add(begin), start.saturating_add(self.ends[number]))
    }

    /// Bits that are sent up to `at` nanoseconds after the start, times 10^9.
    pub(crate) fn work_until(&self, at: u64) -> u128 {
        let (number, begin, _) = self.segment_at(at);
        let before = number.checked_sub(1).map_or(0, |before| self.sums[before]);
        let rate = u128::from(self.segments[number].bits_per_second);
        u128::from(at / self.length()) * self.sum() + before + rate * u128::from(at - begin)
    }

    /// The first nanosecond after the start by which so much was sent; and what was sent beyond.
    pub(crate) fn time_of(&self, work: u128) -> (u64, u128) {
        let Some(last) = work.checked_sub(1) else { return (0, 0) };
        let pass = last / self.sum();
        let rest = work - pass * self.sum();
        let number = self.sums.partition_point(|sum| *sum < rest);
        let before = number.checked_sub(1);
        let begin = before.map_or(0, |before| self.ends[before]);
        let rest = rest - before.map_or(0, |before| self.sums[before]);
        // Not 0: the sum grows in this segment.
        let rate = u128::from(self.segments[number].bits_per_second);
        let span = rest.div_ceil(rate);
        let start = pass.saturating_mul(u128::from(self.length()));
        let at = start.saturating_add(u128::from(begin) + span);
        (u64::try_from(at).unwrap_or(u64::MAX), span * rate - rest)
    }

    /// The latency that the trace says for `at` nanoseconds after the start.
    pub(crate) fn latency_at(&self, at: u64) -> Option<Duration> {
        if !self.has_latency {
            return None;
        }
        self.segments.get(self.segment_at(at).0)?.latency
    }
}

/// What may leave at one opportunity, in IP bytes.
pub const OPPORTUNITY_BYTES: u64 = 1500;
pub(crate) const MILLI: u64 = 1_000_000;
const LENGTH_NANOS_MAX: u64 = 10 * 366 * 86_400 * 1_000_000_000;
/// The most lines that a trace may have.
pub(crate) const ENTRIES_MAX: usize = 4_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(millis: u64, bits_per_second: u64) -> Segment {
        Segment { span: Duration::from_millis(millis), bits_per_second, latency: None }
    }

    #[test]
    fn opportunities_go_on_from_pass_to_pass() {
        let trace = Trace::opportunities("t", vec![0, 2, 2, 5]).expect("possible");
        let Pace::Opportunities(trace) = trace.pace() else { panic!("they are opportunities") };
        let times: Vec<u64> = (0..10).map(|n| trace.time(n) / MILLI).collect();
        assert_eq!(times, [0, 2, 2, 5, 5, 7, 7, 10, 10, 12]);
        assert_eq!(trace.count(0), 1);
        assert_eq!(trace.count(2 * MILLI - 1), 1);
        assert_eq!(trace.count(2 * MILLI), 3);
        // At the seam the last of one pass and the first of the next fall together.
        assert_eq!(trace.count(5 * MILLI), 5);
    }

    #[test]
    fn rates_are_summed_and_found_again() {
        let trace = Trace::rates("t", vec![segment(10, 3), segment(5, 0), segment(1, 7_000_000)]);
        let trace = trace.expect("possible");
        let Pace::Rates(rates) = trace.pace() else { panic!("they are rates") };
        for at in (0..40 * MILLI).step_by(77_777) {
            let work = rates.work_until(at);
            let (time, beyond) = rates.time_of(work);
            assert!(time <= at, "{at}");
            assert_eq!(rates.work_until(time), work + beyond, "{at}");
        }
        assert_eq!(rates.work_until(16 * MILLI), rates.sum());
    }

    #[test]
    fn traces_that_never_send_are_refused() {
        assert!(Trace::rates("t", vec![segment(10, 0)]).is_err());
        assert!(Trace::rates("t", vec![segment(0, 5)]).is_err());
        assert!(Trace::opportunities("t", vec![0, 0]).is_err());
        assert!(Trace::opportunities("t", vec![]).is_err());
        assert!(Trace::opportunities("t", vec![2, 1]).is_err());
    }
}
