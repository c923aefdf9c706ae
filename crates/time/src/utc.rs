//! Time of day.

use serde::{Deserialize, Serialize};

/// A time of day: nanoseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Utc(u64);

/// Seconds from the NTP era (1900) to the Unix one (1970), RFC 5905 figure 4.
const NTP_UNIX_SECONDS: u64 = 2_208_988_800;

impl Utc {
    /// The time `nanos` nanoseconds after the Unix epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Utc(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The 64-bit NTP time stamp: seconds since 1900 in the upper half, the fraction of a second
    /// in the lower (RFC 3550 section 4).
    pub const fn to_ntp(self) -> u64 {
        let seconds = self.0 / 1_000_000_000 + NTP_UNIX_SECONDS;
        let fraction = ((self.0 % 1_000_000_000) << 32) / 1_000_000_000;
        (seconds << 32) | fraction
    }

    /// The time that a 64-bit NTP time stamp of the era that began in 1900 names, or `None` if
    /// it lies before 1970.
    pub fn from_ntp(ntp: u64) -> Option<Self> {
        let seconds = (ntp >> 32).checked_sub(NTP_UNIX_SECONDS)?;
        // Rounded up, so that a time which came from nanoseconds returns to the same ones.
        let nanos = ((ntp & 0xffff_ffff) * 1_000_000_000).div_ceil(1 << 32);
        Some(Utc(seconds * 1_000_000_000 + nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ntp_time_stamps_return_to_the_same_nanosecond(nanos in 0u64..2_000_000_000_000_000_000) {
            let utc = Utc::from_nanos(nanos);
            prop_assert_eq!(Utc::from_ntp(utc.to_ntp()), Some(utc));
        }
    }

    #[test]
    fn an_ntp_time_stamp_before_1970_is_refused() {
        assert_eq!(Utc::from_ntp(5), None);
    }
}
