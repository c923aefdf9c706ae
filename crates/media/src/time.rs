//! Media time.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// A place on a stream's time line, or a signed distance on it, in nanoseconds.
///
/// All tracks of a stream share one time line. Nanoseconds are finer than every clock rate in
/// use (up to 192 kHz), so a time that came from ticks returns to the same tick: see
/// [`MediaTime::from_ticks`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MediaTime(i64);

const NANOS: i128 = 1_000_000_000;

impl MediaTime {
    /// The start of the time line.
    pub const ZERO: MediaTime = MediaTime(0);

    /// The time `nanos` nanoseconds from the start.
    pub const fn from_nanos(nanos: i64) -> Self {
        MediaTime(nanos)
    }

    /// The time `ticks` ticks from the start, of a clock with `rate_hz` ticks a second, rounded
    /// to the nearest nanosecond; saturates.
    ///
    /// # Panics
    /// When `rate_hz` is zero: check what came from a file or a peer first.
    pub const fn from_ticks(ticks: i64, rate_hz: u32) -> Self {
        assert!(rate_hz > 0, "a clock rate is never zero");
        // Division of 64 bits is many times as fast, and is enough for hours.
        if let Some(product) = ticks.checked_mul(NANOS as i64)
            && let Some(sum) = product.checked_add(rate_hz as i64 / 2)
        {
            return MediaTime(sum.div_euclid(rate_hz as i64));
        }
        let rate = rate_hz as i128;
        MediaTime(saturate((ticks as i128 * NANOS + rate / 2).div_euclid(rate)))
    }

    /// The nearest tick of a clock with `rate_hz` ticks a second; saturates.
    pub const fn to_ticks(self, rate_hz: u32) -> i64 {
        if let Some(product) = self.0.checked_mul(rate_hz as i64)
            && let Some(sum) = product.checked_add(NANOS as i64 / 2)
        {
            return sum.div_euclid(NANOS as i64);
        }
        saturate((self.0 as i128 * rate_hz as i128 + NANOS / 2).div_euclid(NANOS))
    }

    /// Nanoseconds from the start.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Seconds from the start.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The distance as a duration; zero if it is negative.
    pub const fn to_duration(self) -> Duration {
        Duration::from_nanos(if self.0 > 0 { self.0 as u64 } else { 0 })
    }
}

const fn saturate(value: i128) -> i64 {
    if value > i64::MAX as i128 {
        i64::MAX
    } else if value < i64::MIN as i128 {
        i64::MIN
    } else {
        value as i64
    }
}

impl From<Duration> for MediaTime {
    fn from(span: Duration) -> Self {
        MediaTime(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl Add for MediaTime {
    type Output = MediaTime;
    fn add(self, other: MediaTime) -> MediaTime {
        MediaTime(self.0.saturating_add(other.0))
    }
}

impl Sub for MediaTime {
    type Output = MediaTime;
    fn sub(self, other: MediaTime) -> MediaTime {
        MediaTime(self.0.saturating_sub(other.0))
    }
}

impl fmt::Debug for MediaTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}s", self.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn near_and_far_times_are_rounded_alike(
            value in prop_oneof![any::<i64>(), -10_000_000_000i64..10_000_000_000],
            rate_hz in 1u32..400_000,
        ) {
            let rate = i128::from(rate_hz);
            let nanos = (i128::from(value) * NANOS + rate / 2).div_euclid(rate);
            prop_assert_eq!(MediaTime::from_ticks(value, rate_hz).as_nanos(), saturate(nanos));
            let ticks = (i128::from(value) * rate + NANOS / 2).div_euclid(NANOS);
            prop_assert_eq!(MediaTime::from_nanos(value).to_ticks(rate_hz), saturate(ticks));
        }

        #[test]
        fn ticks_return_to_the_same_tick(
            ticks in -1_000_000_000_000i64..1_000_000_000_000,
            rate_hz in 1u32..200_000,
        ) {
            let time = MediaTime::from_ticks(ticks.min(i64::from(rate_hz) * 1_000_000_000), rate_hz);
            let ticks = ticks.min(i64::from(rate_hz) * 1_000_000_000);
            prop_assume!(time.as_nanos() > i64::MIN && time.as_nanos() < i64::MAX);
            prop_assert_eq!(time.to_ticks(rate_hz), ticks);
        }
    }
}
