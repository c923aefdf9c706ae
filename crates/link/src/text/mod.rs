//! Settings as people write them: `5mbit`, `40ms`, `1%`, `64kb`.
//!
//! A number, whole or with a fraction, then its unit, which is never left out except after 0.
//! Capital letters do not matter. What is written is read back as the same value, to the last bit.

mod read;
mod schedule;
mod serde;
mod write;

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

pub(crate) use read::rate as read_rate;

use crate::error::{Error, quote};

/// A time span: `250us`, `40ms`, `1.5s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A share of a whole, 0 to 1: `1%`, `0.05%`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(pub f64);

/// An amount of bytes: `1500b`, `64kb` (64,000), `64kib` (65,536), `2mb`, `2mib`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Span {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Span::up_to(text, HOUR_NANOS, "a number with ns, us, ms, s, min or h, up to 1 hour")
    }
}

impl Span {
    /// As from text, with another bound in nanoseconds.
    fn up_to(text: &str, nanos_max: u64, expected: &'static str) -> Result<Self, Error> {
        let refuse = || Error::setting("time span", quote(text), expected, "40ms");
        let (number, unit) = number_and_unit(text).ok_or_else(refuse)?;
        let nanos = match unit.as_str() {
            "ns" => scaled(number, 0),
            "us" | "µs" => scaled(number, 3),
            "ms" => scaled(number, 6),
            "s" => scaled(number, 9),
            "min" => scaled(number, 9).and_then(|nanos| nanos.checked_mul(60)),
            "h" => scaled(number, 9).and_then(|nanos| nanos.checked_mul(3600)),
            "" if is_zero(number) => Some(0),
            _ => None,
        };
        let nanos = nanos.filter(|nanos| *nanos <= nanos_max).ok_or_else(refuse)?;
        Ok(Span(Duration::from_nanos(nanos)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        let (places, unit) = match nanos {
            1_000_000_000.. => (9, "s"),
            1_000_000.. | 0 => (6, "ms"),
            1_000.. => (3, "us"),
            _ => (0, "ns"),
        };
        write!(f, "{}{unit}", decimal(nanos, places))
    }
}

impl FromStr for Share {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = || Error::setting("share", quote(text), "a percentage from 0% to 100%", "1%");
        let (number, unit) = number_and_unit(text).ok_or_else(refuse)?;
        let share = match unit.as_str() {
            "%" => format!("{number}e-2").parse().map_err(|_| refuse())?,
            "" if is_zero(number) => 0.0,
            _ => return Err(refuse()),
        };
        if share > 1.0 { Err(refuse()) } else { Ok(Share(share)) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", hundredfold(self.0))
    }
}

impl FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let expected = "a number with b, kb, kib, mb or mib";
        let refuse = || Error::setting("size", quote(text), expected, "64kb");
        let (number, unit) = number_and_unit(text).ok_or_else(refuse)?;
        Ok(Size(bytes(number, &unit).ok_or_else(refuse)?))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1_000_000 && bytes % 1_000_000 == 0 => {
                write!(f, "{}mb", bytes / 1_000_000)
            }
            bytes if bytes >= 1000 && bytes % 1000 == 0 => write!(f, "{}kb", bytes / 1000),
            bytes if bytes >= MIB && bytes % MIB == 0 => write!(f, "{}mib", bytes / MIB),
            bytes if bytes >= KIB && bytes % KIB == 0 => write!(f, "{}kib", bytes / KIB),
            bytes => write!(f, "{bytes}b"),
        }
    }
}

fn bytes(number: &str, unit: &str) -> Option<u64> {
    let (places, factor) = match unit {
        "b" => (0, 1),
        "kb" => (3, 1),
        "mb" => (6, 1),
        "kib" => (0, KIB),
        "mib" => (0, MIB),
        _ => return None,
    };
    match scaled(number, places) {
        Some(whole) if factor == 1 || !number.contains('.') => whole.checked_mul(factor),
        _ => whole((number.parse::<f64>().ok()? * factor as f64).round()),
    }
}

/// A number that is not negative, and what follows it in small letters.
fn number_and_unit(text: &str) -> Option<(&str, String)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let _: f64 = number.parse().ok()?;
    Some((number, unit.trim().to_lowercase()))
}

/// A number with its point moved to the right by so many places, to the nearest whole number.
fn scaled(number: &str, places: u32) -> Option<u64> {
    if !number.contains('.') {
        return number.parse::<u64>().ok()?.checked_mul(10_u64.pow(places));
    }
    whole(format!("{number}e{places}").parse::<f64>().ok()?.round())
}

fn whole(number: f64) -> Option<u64> {
    (number < u64::MAX as f64).then_some(number as u64)
}

fn is_zero(number: &str) -> bool {
    number.parse() == Ok(0.0)
}

/// A whole number with its point moved to the left by so many places, without needless zeros.
pub(crate) fn decimal(number: u64, places: u32) -> String {
    let unit = 10_u64.pow(places);
    let (whole, fraction) = (number / unit, number % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = places as usize;
    let text = format!("{whole}.{fraction:0width$}");
    text.trim_end_matches('0').to_owned()
}

/// A number that is not negative with its point moved to the right by two places: the shortest
/// text which read back that way gives the same number.
fn hundredfold(number: f64) -> String {
    let text = format!("{number:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let digits = mantissa.replace('.', "");
    let point = exponent.parse::<i32>().unwrap_or(0) + 3;
    if number == 0.0 {
        return "0".to_owned();
    }
    match usize::try_from(point) {
        Ok(0) | Err(_) => format!("0.{}{digits}", "0".repeat(point.unsigned_abs() as usize)),
        Ok(point) if point >= digits.len() => format!("{digits:0<point$}"),
        Ok(point) => format!("{}.{}", &digits[..point], &digits[point..]),
    }
}

const HOUR_NANOS: u64 = 3_600_000_000_000;
const KIB: u64 = 1024;
const MIB: u64 = 1024 * 1024;

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
