//! What a trace is like.

use core::time::Duration;

use serde::Serialize;

use super::{OPPORTUNITY_BYTES, Pace, Trace};

/// What a trace is like. Rates are means over windows, so that traces of every kind compare.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// What it is called.
    pub name: String,
    /// `opportunities` or `rates`.
    pub kind: &'static str,
    /// Opportunities, or rates one after another.
    pub entries: usize,
    /// How long it is until it repeats itself.
    pub length_s: f64,
    /// IP bytes in each pass.
    pub bytes: f64,
    /// The mean rate.
    pub mean_bit: f64,
    /// The length of a window.
    pub window_s: f64,
    /// Windows; the last may be shorter than the others.
    pub windows: usize,
    /// The lowest rate of a window.
    pub min_bit: f64,
    /// A tenth of the windows is not above.
    pub p10_bit: f64,
    /// Half of the windows is not above.
    pub p50_bit: f64,
    /// Nine tenths of the windows are not above.
    pub p90_bit: f64,
    /// The highest rate of a window.
    pub max_bit: f64,
    /// Standard deviation of the windows' rates, divided by their mean.
    pub variation: f64,
    /// The longest time in which nothing is sent, over the seam between two passes too.
    pub stall_longest_s: f64,
    /// The lowest latency of a round trip; absent if the trace says none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_min_ms: Option<f64>,
    /// Its mean over time, where it is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_mean_ms: Option<f64>,
    /// The highest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_max_ms: Option<f64>,
}

/// A part of a trace, and how fast it is on the whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// When it begins, after the start of the trace.
    pub begin: Duration,
    /// When it ends.
    pub end: Duration,
    /// The mean rate in it, in bits a second.
    pub bits_per_second: f64,
}

impl Stats {
    /// Of a trace, by windows of this length.
    pub fn of(trace: &Trace, window: Duration) -> Self {
        let windows = windows(trace, window);
        let mut rates: Vec<f64> = windows.iter().map(|window| window.bits_per_second).collect();
        let mean = rates.iter().sum::<f64>() / rates.len() as f64;
        let square = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>();
        let deviation = (square / rates.len() as f64).sqrt();
        rates.sort_by(f64::total_cmp);
        let part = |share: f64| {
            let rank = (share * rates.len() as f64).ceil() as usize;
            rates.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
        };
        let length_s = trace.length().as_secs_f64();
        let (kind, entries) = match trace.pace() {
            Pace::Opportunities(opportunities) => ("opportunities", opportunities.times_ms().len()),
            Pace::Rates(rates) => ("rates", rates.segments().len()),
        };
        let latencies = latencies(trace);
        Stats {
            name: trace.name().to_owned(),
            kind,
            entries,
            length_s,
            bytes: trace.bytes(),
            mean_bit: trace.bytes() * 8.0 / length_s,
            window_s: window.as_secs_f64(),
            windows: windows.len(),
            min_bit: part(0.0),
            p10_bit: part(0.1),
            p50_bit: part(0.5),
            p90_bit: part(0.9),
            max_bit: part(1.0),
            variation: if mean > 0.0 { deviation / mean } else { 0.0 },
            stall_longest_s: stall_longest(trace).as_secs_f64(),
            latency_min_ms: latencies.map(|(min, _, _)| min),
            latency_mean_ms: latencies.map(|(_, mean, _)| mean),
            latency_max_ms: latencies.map(|(_, _, max)| max),
        }
    }
}

/// One pass of a trace in windows of this length, 1 ms at least; the last may be shorter. There are
/// a million at most: then they are longer.
pub fn windows(trace: &Trace, window: Duration) -> Vec<Window> {
    let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    let length = nanos(trace.length());
    let window = nanos(window).max(1_000_000).max(length / WINDOWS_MAX);
    let mut windows = Vec::new();
    let mut begin = 0;
    while begin < length {
        let end = begin.saturating_add(window).min(length);
        let bits = match trace.pace() {
            Pace::Opportunities(trace) => (trace.within(begin, end) * OPPORTUNITY_BYTES * 8) as f64,
            Pace::Rates(trace) => trace.work_within(begin, end) as f64 / 1e9,
        };
        windows.push(Window {
            begin: Duration::from_nanos(begin),
            end: Duration::from_nanos(end),
            bits_per_second: bits / ((end - begin) as f64 / 1e9),
        });
        begin = end;
    }
    windows
}

fn stall_longest(trace: &Trace) -> Duration {
    match trace.pace() {
        Pace::Opportunities(trace) => {
            let times = trace.times_ms();
            let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
            // The end of a pass is the start of the next.
            let longest = gaps.chain(times.first().copied()).max().unwrap_or(0);
            Duration::from_millis(u64::from(longest))
        }
        Pace::Rates(trace) => {
            let (mut longest, mut stall) = (Duration::ZERO, Duration::ZERO);
            // Twice, for the seam. Something is sent in each pass.
            for segment in trace.segments().iter().chain(trace.segments()) {
                stall = match segment.bits_per_second {
                    0 => stall + segment.span,
                    _ => Duration::ZERO,
                };
                longest = longest.max(stall);
            }
            longest
        }
    }
}

/// The least, the mean and the greatest, in milliseconds.
fn latencies(trace: &Trace) -> Option<(f64, f64, f64)> {
    let Pace::Rates(trace) = trace.pace() else { return None };
    let said = trace.segments().iter();
    let said = said.filter_map(|segment| Some((segment.latency?, segment.span)));
    let (mut sum, mut time, mut min, mut max) = (0.0, 0.0, f64::INFINITY, 0.0_f64);
    for (latency, span) in said {
        let millis = latency.as_secs_f64() * 1e3;
        sum += millis * span.as_secs_f64();
        time += span.as_secs_f64();
        (min, max) = (min.min(millis), max.max(millis));
    }
    (time > 0.0).then(|| (min, sum / time, max))
}

const WINDOWS_MAX: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_windows() {
        let text = "duration_ms,rate_mbit,latency_ms\n1000,4,10\n500,0,\n1500,2,30\n";
        let trace = Trace::read("t.csv", text).expect("it is a trace");
        let stats = Stats::of(&trace, Duration::from_secs(1));
        assert_eq!((stats.entries, stats.windows, stats.length_s), (3, 3, 3.0));
        assert_eq!((stats.min_bit, stats.p50_bit, stats.max_bit), (1e6, 2e6, 4e6));
        assert!((stats.mean_bit - 7e6 / 3.0).abs() < 1e-6);
        assert_eq!(stats.stall_longest_s, 0.5);
        let latency = (stats.latency_min_ms, stats.latency_mean_ms, stats.latency_max_ms);
        assert_eq!(latency, (Some(10.0), Some(22.0), Some(30.0)));
    }

    #[test]
    fn a_stall_goes_on_over_the_seam() {
        let trace = Trace::opportunities("t", vec![300, 400, 900]).expect("possible");
        let stats = Stats::of(&trace, Duration::from_millis(100));
        assert_eq!((stats.stall_longest_s, stats.windows), (0.5, 9));
        assert_eq!((stats.bytes, stats.latency_min_ms), (4500.0, None));
        let trace = Trace::read("t", "0 1\n1 0\n2 1\n4 0\n").expect("it is a trace");
        assert_eq!(Stats::of(&trace, Duration::from_secs(1)).stall_longest_s, 3.0);
    }
}
