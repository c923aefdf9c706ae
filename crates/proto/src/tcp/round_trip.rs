//! The round trip and the retransmission time-out (RFC 6298).

use core::time::Duration;

/// Estimates of one connection's round trip.
#[derive(Debug)]
pub(crate) struct RoundTrip {
    estimate: Option<Estimate>,
    rto_min_nanos: u64,
}

#[derive(Clone, Copy, Debug)]
struct Estimate {
    smoothed: u64,
    variation: u64,
    least: u64,
}

impl RoundTrip {
    pub(crate) fn new(rto_min: Duration) -> Self {
        RoundTrip { estimate: None, rto_min_nanos: nanos(rto_min) }
    }

    /// A measurement.
    pub(crate) fn sample(&mut self, span: Duration) {
        let sample = nanos(span).clamp(1, SAMPLE_NANOS_MAX);
        self.estimate = Some(match self.estimate {
            None => Estimate { smoothed: sample, variation: sample / 2, least: sample },
            Some(was) => Estimate {
                smoothed: (7 * was.smoothed + sample) / 8,
                variation: (3 * was.variation + was.smoothed.abs_diff(sample)) / 4,
                least: was.least.min(sample),
            },
        });
    }

    /// The smoothed round trip.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.estimate.map(|estimate| Duration::from_nanos(estimate.smoothed))
    }

    /// The least round trip measured.
    pub(crate) fn least(&self) -> Option<Duration> {
        self.estimate.map(|estimate| Duration::from_nanos(estimate.least))
    }

    /// The time-out, without back-off. The floor lies under the term for variation, as in Linux,
    /// so that a steady long round trip does not make every small delay a time-out.
    pub(crate) fn timeout(&self) -> Duration {
        let Some(Estimate { smoothed, variation, .. }) = self.estimate else {
            return TIMEOUT_INITIAL;
        };
        let span = Duration::from_nanos(smoothed + (4 * variation).max(self.rto_min_nanos));
        span.min(TIMEOUT_MAX)
    }

    /// The time-out after `expiries` of it in a row (RFC 6298 section 5.5).
    pub(crate) fn timeout_backed_off(&self, expiries: u32) -> Duration {
        self.timeout().saturating_mul(1 << expiries.min(16)).min(TIMEOUT_MAX)
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

const TIMEOUT_INITIAL: Duration = Duration::from_secs(1);
const TIMEOUT_MAX: Duration = Duration::from_secs(120);
/// More would be a peer's nonsense.
const SAMPLE_NANOS_MAX: u64 = 600_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_out_follows_rfc_6298_with_the_floor_of_linux() {
        let mut round_trip = RoundTrip::new(Duration::from_millis(200));
        assert_eq!(round_trip.timeout(), Duration::from_secs(1));
        round_trip.sample(Duration::from_millis(100));
        assert_eq!(round_trip.timeout(), Duration::from_millis(300));
        for _ in 0..100 {
            round_trip.sample(Duration::from_millis(100));
        }
        assert_eq!(round_trip.timeout(), Duration::from_millis(300));
        assert_eq!(round_trip.timeout_backed_off(2), Duration::from_millis(1200));
        assert_eq!(round_trip.timeout_backed_off(40), TIMEOUT_MAX);
    }
}
