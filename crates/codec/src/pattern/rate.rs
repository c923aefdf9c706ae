//! Frame rates as fractions.

use std::fmt;
use std::str::FromStr;

use weir_media::MediaTime;

/// Pictures a second: a fraction, so that 30000/1001 never drifts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRate {
    numerator: u32,
    denominator: u32,
}

impl FrameRate {
    /// So many pictures in so many seconds. `None` for less than one a second or more than 240.
    pub fn new(numerator: u32, denominator: u32) -> Option<Self> {
        let at_most = denominator.checked_mul(HZ_MAX)?;
        let fits = denominator > 0 && (denominator..=at_most).contains(&numerator);
        fits.then_some(FrameRate { numerator, denominator })
    }

    /// When a picture is shown.
    pub fn time_of(self, frame: u64) -> MediaTime {
        let ticks = i128::from(frame) * i128::from(self.denominator) * 1_000_000_000;
        let nanos = (ticks + i128::from(self.numerator) / 2) / i128::from(self.numerator);
        MediaTime::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }

    /// The first picture that is shown at a time or after it.
    pub fn frame_at(self, time: MediaTime) -> u64 {
        let nanos = i128::from(time.as_nanos().max(0));
        let parts = nanos * i128::from(self.numerator);
        let whole = i128::from(self.denominator) * 1_000_000_000;
        // A picture's time is rounded to the nanosecond: that little early is still on time.
        let frame = (parts - i128::from(self.numerator) + whole - 1).div_euclid(whole);
        u64::try_from(frame.max(0)).unwrap_or(u64::MAX)
    }

    /// How long a picture is shown.
    pub fn frame_duration(self) -> MediaTime {
        self.time_of(1)
    }

    /// Pictures a second.
    pub fn as_f64(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }
}

/// A frame rate that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no frame rate: expected 1 to {HZ_MAX}, as in 30, 29.97 or 30000/1001")]
pub struct ParseFrameRateError {
    text: String,
}

impl FromStr for FrameRate {
    type Err = ParseFrameRateError;

    /// Reads a whole number, a decimal one, or a fraction. The decimals that stand for rates of
    /// NTSC (23.976, 29.97, 59.94) mean these.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = match text.split_once('/') {
            Some((numerator, denominator)) => numerator.parse().ok().zip(denominator.parse().ok()),
            None => match text {
                "23.976" | "23.98" => Some((24_000, 1_001)),
                "29.97" => Some((30_000, 1_001)),
                "59.94" => Some((60_000, 1_001)),
                _ => decimal(text),
            },
        };
        parsed
            .and_then(|(numerator, denominator)| FrameRate::new(numerator, denominator))
            .ok_or_else(|| ParseFrameRateError { text: text.to_owned() })
    }
}

fn decimal(text: &str) -> Option<(u32, u32)> {
    if let Ok(whole) = text.parse() {
        return Some((whole, 1));
    }
    let rate: f64 = text.parse().ok()?;
    let thousandths = (rate * 1_000.0).round();
    (thousandths > 0.0 && thousandths < 1e9).then_some((thousandths as u32, 1_000))
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.numerator.is_multiple_of(self.denominator) {
            return write!(f, "{}", self.numerator / self.denominator);
        }
        let text = format!("{:.3}", self.as_f64());
        f.write_str(text.trim_end_matches('0'))
    }
}

const HZ_MAX: u32 = 240;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<FrameRate>().map(|rate| rate.to_string());
        assert_eq!(read("30").unwrap(), "30");
        assert_eq!(read("12.5").unwrap(), "12.5");
        assert_eq!(read("29.97"), read("30000/1001"));
        assert_eq!(read("29.97").unwrap(), "29.97");
        for wrong in ["", "0", "241", "-3", "1/0", "nan", "inf", "1e30", "x", "99999999999"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_time_of_a_picture_leads_back_to_it() {
        for text in ["30", "29.97", "25", "23.976", "7", "240"] {
            let rate: FrameRate = text.parse().unwrap();
            for frame in [0, 1, 2, 3, 29, 30, 1_000_003, 90_000_000] {
                assert_eq!(rate.frame_at(rate.time_of(frame)), frame, "{text}");
                let later = rate.time_of(frame) + MediaTime::from_nanos(1_000);
                assert_eq!(rate.frame_at(later), frame + 1, "{text}");
            }
        }
        let rate: FrameRate = "30".parse().unwrap();
        assert_eq!(rate.time_of(30), MediaTime::from_nanos(1_000_000_000));
    }
}
