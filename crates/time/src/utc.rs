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

    /// The time as a date to the millisecond: `2026-11-21T14:39:43.120Z` (ISO 8601, RFC 3339).
    pub fn to_iso_8601(self) -> String {
        let (days, second) = (self.0 / NANOS_A_DAY, self.0 % NANOS_A_DAY / 1_000_000_000);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let milli = self.as_millis() % 1000;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
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

/// Year, month and day of the Gregorian calendar, of the days since 1970. Years are counted from
/// March, so that the day that some of them lack is their last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_1970;
    let (era, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

const NANOS_A_DAY: u64 = 86_400 * 1_000_000_000;
const DAYS_IN_400_YEARS: u64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: u64 = 719_468;

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
    fn dates_are_those_of_the_calendar() {
        let date = |seconds: u64| Utc::from_nanos(seconds * 1_000_000_000).to_iso_8601();
        assert_eq!(date(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(date(951_782_399), "2000-02-28T23:59:59.000Z");
        assert_eq!(date(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(date(1_735_689_599), "2024-12-31T23:59:59.000Z");
        assert_eq!(date(4_107_542_400), "2100-03-01T00:00:00.000Z");
        let milli = Utc::from_nanos(1_795_271_983_120_999_999);
        assert_eq!(milli.to_iso_8601(), "2026-11-21T14:39:43.120Z");
    }

    #[test]
    fn an_ntp_time_stamp_before_1970_is_refused() {
        assert_eq!(Utc::from_ntp(5), None);
    }
}
