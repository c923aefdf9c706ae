//! Settings as people write them: `5mbit`, `40ms`, `1%`, `64kb`.
//!
//! A number, whole or with a fraction, then its unit, which is never left out except after 0.
//! Capital letters do not matter.

use core::str::FromStr;
use core::time::Duration;

use crate::settings::{Error, GilbertElliott, Jitter, Loss, Queue, Rate, Settings};

/// A time span: `250us`, `40ms`, `1.5s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// A share of a whole, 0 to 1: `1%`, `0.05%`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(pub f64);

/// An amount of bytes: `1500b`, `64kb` (64,000), `64kib` (65,536), `2mb`, `2mib`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Rate {
    type Err = Error;

    /// `800kbit`, `5mbit`, `1.5gbit` (powers of 1000, a second), or `unlimited`.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.trim().eq_ignore_ascii_case("unlimited") {
            return Ok(Rate::Unlimited);
        }
        let expected = "a number with bit, kbit, mbit or gbit (a second), or unlimited";
        let refuse = || Error::setting("rate", quote(text), expected, "5mbit");
        let (number, unit) = number_and_unit(text).ok_or_else(refuse)?;
        let factor = match unit.strip_suffix("/s").unwrap_or(&unit) {
            "bit" => 1e0,
            "kbit" => 1e3,
            "mbit" => 1e6,
            "gbit" => 1e9,
            _ => return Err(refuse()),
        };
        let rate = Rate::bits_per_second((number * factor).round() as u64);
        Settings { rate, ..Settings::default() }.check()?;
        Ok(rate)
    }
}

impl FromStr for Queue {
    type Err = Error;

    /// `64kb` and the other spellings of [`Size`], or `100p` for packets.
    fn from_str(text: &str) -> Result<Self, Error> {
        let expected = "a number with b, kb, kib, mb or mib, or with p for packets";
        let refuse = || Error::setting("queue", quote(text), expected, "64kb or 100p");
        let (number, unit) = number_and_unit(text).ok_or_else(refuse)?;
        let queue = match unit.as_str() {
            "p" | "packet" | "packets" => Queue::Packets(number.round() as u64),
            unit => Queue::Bytes((number * bytes_in(unit).ok_or_else(refuse)?).round() as u64),
        };
        Settings { queue, ..Settings::default() }.check()?;
        Ok(queue)
    }
}

impl FromStr for Jitter {
    type Err = Error;

    /// `5ms` (uniform), `5ms uniform`, `5ms normal`, or `none`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let lower = text.trim().to_ascii_lowercase();
        let (span, shape) = lower.split_once(char::is_whitespace).unwrap_or((&lower, "uniform"));
        let refuse = || {
            let expected = "a time span, then uniform or normal";
            Error::setting("jitter", quote(text), expected, "5ms normal")
        };
        if span == "none" {
            return Ok(Jitter::None);
        }
        let Span(span) = span.parse().map_err(|_| refuse())?;
        match shape.trim() {
            "uniform" => Ok(Jitter::Uniform { spread: span }),
            "normal" => Ok(Jitter::Normal { deviation: span }),
            _ => Err(refuse()),
        }
    }
}

impl FromStr for Loss {
    type Err = Error;

    /// `1%` (independent), `1% burst 3` (Gilbert-Elliott by mean loss and mean burst length in
    /// packets), or `none`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let lower = text.trim().to_ascii_lowercase();
        let mut words = lower.split_whitespace();
        let refuse = || {
            let expected =
                "a percentage from 0% to 100%, then perhaps burst and a number of packets";
            Error::setting("loss", quote(text), expected, "1% or 1% burst 3")
        };
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("none"), None, ..) => Ok(Loss::None),
            (Some(share), None, ..) => {
                let Share(share) = share.parse().map_err(|_| refuse())?;
                Ok(Loss::Independent(share))
            }
            (Some(share), Some("burst"), Some(burst), None) => {
                let Share(mean) = share.parse().map_err(|_| refuse())?;
                let burst = burst.parse().map_err(|_| refuse())?;
                GilbertElliott::from_mean_and_burst(mean, burst).map(Loss::GilbertElliott)
            }
            _ => Err(refuse()),
        }
    }
}

impl FromStr for Span {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let expected = "a number with ns, us, ms, s or min, up to 1 hour";
        let refuse = || Error::setting("time span", quote(text), expected, "40ms");
        let (number, unit) = number_and_unit(text).ok_or_else(refuse)?;
        let factor = match unit.as_str() {
            "ns" => 1e0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "min" => 60e9,
            "" if number == 0.0 => 1e0,
            _ => return Err(refuse()),
        };
        let nanos = number * factor;
        if nanos > 3600e9 {
            return Err(refuse());
        }
        Ok(Span(Duration::from_nanos(nanos.round() as u64)))
    }
}

impl FromStr for Share {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = || Error::setting("share", quote(text), "a percentage from 0% to 100%", "1%");
        let (number, unit) = number_and_unit(text).ok_or_else(refuse)?;
        match unit.as_str() {
            "%" if number <= 100.0 => Ok(Share(number / 100.0)),
            "" if number == 0.0 => Ok(Share(0.0)),
            _ => Err(refuse()),
        }
    }
}

impl FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let expected = "a number with b, kb, kib, mb or mib";
        let refuse = || Error::setting("size", quote(text), expected, "64kb");
        let (number, unit) = number_and_unit(text).ok_or_else(refuse)?;
        Ok(Size((number * bytes_in(&unit).ok_or_else(refuse)?).round() as u64))
    }
}

fn bytes_in(unit: &str) -> Option<f64> {
    Some(match unit {
        "b" => 1.0,
        "kb" => 1e3,
        "kib" => 1024.0,
        "mb" => 1e6,
        "mib" => 1024.0 * 1024.0,
        _ => return None,
    })
}

/// A number that is not negative, and what follows it in small letters.
fn number_and_unit(text: &str) -> Option<(f64, String)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim().to_lowercase()))
}

fn quote(text: &str) -> String {
    let shown: String = text.chars().take(40).collect();
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_people_write_them() {
        assert_eq!("5mbit".parse(), Ok(Rate::bits_per_second(5_000_000)));
        assert_eq!("1.5 Gbit/s".parse(), Ok(Rate::bits_per_second(1_500_000_000)));
        assert_eq!("unlimited".parse(), Ok(Rate::Unlimited));
        assert_eq!("64kb".parse(), Ok(Queue::Bytes(64_000)));
        assert_eq!("64KiB".parse(), Ok(Queue::Bytes(65_536)));
        assert_eq!("100p".parse(), Ok(Queue::Packets(100)));
        assert_eq!("40ms".parse(), Ok(Span(Duration::from_millis(40))));
        assert_eq!("0.25s".parse(), Ok(Span(Duration::from_millis(250))));
        assert_eq!("0".parse(), Ok(Span(Duration::ZERO)));
        assert_eq!("1%".parse(), Ok(Share(0.01)));
        assert_eq!("2mb".parse(), Ok(Size(2_000_000)));
        assert_eq!("2%".parse(), Ok(Loss::Independent(0.02)));
        let jitter = Jitter::Normal { deviation: Duration::from_millis(5) };
        assert_eq!("5ms normal".parse(), Ok(jitter));
        let model = GilbertElliott::from_mean_and_burst(0.01, 3.0).expect("possible");
        assert_eq!("1% burst 3".parse(), Ok(Loss::GilbertElliott(model)));
    }

    #[test]
    fn mistyped_units_and_impossible_values_are_refused_with_an_example() {
        for text in ["5", "5mbps", "-5mbit", "0mbit", "", "mbit", "5 m bit", "nanmbit", "1.2.3mbit"]
        {
            let error = text.parse::<Rate>().expect_err(text).to_string();
            assert!(error.starts_with("rate: ") && error.ends_with("(example: 5mbit)"), "{error}");
        }
        for text in ["1499b", "0p", "64", "64gb", "-1kb"] {
            let error = text.parse::<Queue>().expect_err(text).to_string();
            assert!(error.starts_with("queue: ") && error.contains("(example: "), "{error}");
        }
        for text in
            ["101%", "-1%", "1", "0.01", "1% burst", "1% burst 0", "1% bursts 3", "1% burst 3 4"]
        {
            let error = text.parse::<Loss>().expect_err(text).to_string();
            assert!(error.starts_with("loss") && error.contains("(example: "), "{error}");
        }
        for text in ["40", "-1ms", "40m", "61min", "ms"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        assert!("5ms pareto".parse::<Jitter>().is_err());
    }

    #[test]
    fn endless_text_is_not_echoed_whole() {
        let error = "9x".repeat(100_000).parse::<Rate>().expect_err("no rate");
        assert!(error.to_string().len() < 300);
    }
}
