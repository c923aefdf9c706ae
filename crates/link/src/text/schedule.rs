//! Schedules from text and as text.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use super::write::bits;
use super::{Share, Span, read_rate};
use crate::change::{Change, Load, NO_FILES};
use crate::error::{Error, quote};
use crate::schedule::{Entry, STEP_MIN, Schedule, Shape, Values, Wave};
use crate::settings::Rate;

impl Schedule {
    /// Reads its text. Entries end at a `;` or at the end of a line; what follows `#` in a line
    /// does not count. Files that changes name are had from `load`.
    ///
    /// # Errors
    /// With the number of the entry that is wrong.
    pub fn from_text(text: &str, load: Load<'_>) -> Result<Self, Error> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or(""));
        let texts = lines.flat_map(|line| line.split(';')).map(str::trim);
        let mut entries = Vec::new();
        for (number, text) in texts.filter(|text| !text.is_empty()).enumerate() {
            let fail =
                |reason: String| Error::Schedule { entry: number + 1, text: quote(text), reason };
            if number >= ENTRIES_MAX {
                return Err(fail(format!("there are {ENTRIES_MAX} entries at most")));
            }
            entries.push(entry(text, load).map_err(fail)?);
        }
        Ok(Schedule { entries })
    }
}

impl FromStr for Schedule {
    type Err = Error;

    /// [`from_text`](Schedule::from_text), without files.
    fn from_str(text: &str) -> Result<Self, Error> {
        Schedule::from_text(text, NO_FILES)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, entry) in self.entries.iter().enumerate() {
            let between = if number > 0 { "; " } else { "" };
            write!(f, "{between}{entry}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wave = match self {
            Entry::At { at, change } => return write!(f, "at {} {change}", Span(*at)),
            Entry::Wave(wave) => wave,
        };
        let (name, one, other) = wave.values.said();
        match wave.shape {
            Shape::Ramp { .. } => write!(f, "ramp {name} {one}..{other}")?,
            Shape::Square { period } => {
                write!(f, "square {name} {one}/{other} every {}", Span(period))?;
            }
            Shape::Walk { every, by, seed } => {
                write!(f, "walk {name} {one}..{other} every {} by {}", Span(every), Share(by))?;
                if seed > 0 {
                    write!(f, " seed {seed}")?;
                }
            }
        }
        if !wave.from.is_zero() || matches!(wave.shape, Shape::Ramp { .. }) {
            write!(f, " from {}", Span(wave.from))?;
        }
        if let Some(to) = wave.to {
            write!(f, " to {}", Span(to))?;
        }
        match wave.shape {
            Shape::Ramp { step } if step != RAMP_STEP => write!(f, " step {}", Span(step)),
            _ => Ok(()),
        }
    }
}

impl Values {
    /// The name of the setting, and both values.
    fn said(&self) -> (&'static str, String, String) {
        match *self {
            Values::Rate(one, other) => ("rate", bits(one), bits(other)),
            Values::Delay(one, other) => ("delay", Span(one).to_string(), Span(other).to_string()),
            Values::Loss(one, other) => ("loss", Share(one).to_string(), Share(other).to_string()),
        }
    }
}

fn entry(text: &str, load: Load<'_>) -> Result<Entry, String> {
    let (kind, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    match kind.to_lowercase().as_str() {
        "at" => {
            let (at, change) = rest
                .split_once(char::is_whitespace)
                .ok_or("expected a time and what changes then (example: at 10s rate=1mbit)")?;
            let change = Change::from_schedule(change, load).map_err(|error| error.to_string())?;
            Ok(Entry::At { at: span(at)?, change })
        }
        "ramp" => ramp(rest),
        "square" => square(rest),
        "walk" => walk(rest),
        _ => Err("expected at, ramp, square or walk (example: at 10s rate=1mbit)".to_owned()),
    }
}

fn ramp(text: &str) -> Result<Entry, String> {
    let example = "ramp rate 5mbit..1mbit from 10s to 20s";
    let mut words = Words::new(text, "..", example)?;
    let (mut from, mut to, mut step) = (None, None, RAMP_STEP);
    while let Some((name, value)) = words.next()? {
        match name {
            "from" => from = Some(span(value)?),
            "to" => to = Some(span(value)?),
            "step" => step = step_span(value)?,
            _ => return Err(words.unknown(name, "from, to or step")),
        }
    }
    let (Some(from), Some(to)) = (from, to) else {
        return Err(format!("expected from and to, with times (example: {example})"));
    };
    if to <= from {
        return Err(format!("expected an end after the beginning (example: {example})"));
    }
    let shape = Shape::Ramp { step };
    Ok(Entry::Wave(Wave { shape, values: words.values, from, to: Some(to) }))
}

fn square(text: &str) -> Result<Entry, String> {
    let example = "square rate 5mbit/1mbit every 10s";
    let mut words = Words::new(text, "/", example)?;
    let (mut from, mut to, mut period) = (Duration::ZERO, None, None);
    while let Some((name, value)) = words.next()? {
        match name {
            "every" => period = Some(step_span(value)?),
            "from" => from = span(value)?,
            "to" => to = Some(span(value)?),
            _ => return Err(words.unknown(name, "every, from or to")),
        }
    }
    let period = period.ok_or(format!("expected every, with a period (example: {example})"))?;
    let shape = Shape::Square { period };
    Ok(Entry::Wave(Wave { shape, values: words.values, from, to }))
}

fn walk(text: &str) -> Result<Entry, String> {
    let example = "walk rate 1mbit..8mbit every 500ms by 20%";
    let mut words = Words::new(text, "..", example)?;
    let (mut from, mut to, mut every, mut share, mut seed) = (Duration::ZERO, None, None, None, 0);
    while let Some((name, value)) = words.next()? {
        match name {
            "every" => every = Some(step_span(value)?),
            "by" => {
                let Share(by) = value.parse().map_err(|error: Error| error.to_string())?;
                share = Some(by);
            }
            "seed" => seed = value.parse().map_err(|_| "expected a whole number as the seed")?,
            "from" => from = span(value)?,
            "to" => to = Some(span(value)?),
            _ => return Err(words.unknown(name, "every, by, seed, from or to")),
        }
    }
    let (Some(every), Some(by)) = (every, share) else {
        return Err(format!("expected every and by (example: {example})"));
    };
    if words.values.bounds().0 <= 0.0 {
        return Err(format!("expected two bounds above 0 (example: {example})"));
    }
    let shape = Shape::Walk { every, by, seed };
    Ok(Entry::Wave(Wave { shape, values: words.values, from, to }))
}

/// The words of a wave: the setting and its two values, then pairs of a name and a value.
struct Words<'a> {
    values: Values,
    rest: core::str::SplitWhitespace<'a>,
    example: &'static str,
}

impl<'a> Words<'a> {
    fn new(text: &'a str, between: &str, example: &'static str) -> Result<Self, String> {
        let mut rest = text.split_whitespace();
        let said = rest.next().zip(rest.next()).and_then(|(name, values)| {
            let (one, other) = values.split_once(between)?;
            Some((name, one, other))
        });
        let Some((name, one, other)) = said else {
            return Err(format!("expected a setting and two values (example: {example})"));
        };
        let said = |error: Error| error.to_string();
        let values = match name {
            "rate" => Values::Rate(rate(one)?, rate(other)?),
            "delay" => Values::Delay(delay(one)?, delay(other)?),
            "loss" => {
                let Share(one) = one.parse().map_err(said)?;
                let Share(other) = other.parse().map_err(said)?;
                Values::Loss(one, other)
            }
            _ => {
                return Err(format!(
                    "{} cannot change that way, only rate, delay and loss (example: {example})",
                    quote(name)
                ));
            }
        };
        Ok(Words { values, rest, example })
    }

    fn next(&mut self) -> Result<Option<(&'a str, &'a str)>, String> {
        let Some(name) = self.rest.next() else { return Ok(None) };
        match self.rest.next() {
            Some(value) => Ok(Some((name, value))),
            None => Err(format!("expected a value after {name} (example: {})", self.example)),
        }
    }

    fn unknown(&self, name: &str, expected: &str) -> String {
        format!("expected {expected}, got {} (example: {})", quote(name), self.example)
    }
}

fn rate(text: &str) -> Result<u64, String> {
    match read_rate(text, true).map_err(|error| error.to_string())? {
        Rate::Constant { bits_per_second } => Ok(bits_per_second),
        _ => Err("expected a rate with a number (example: 5mbit)".to_owned()),
    }
}

fn delay(text: &str) -> Result<Duration, String> {
    text.parse().map(|Span(span)| span).map_err(|error: Error| error.to_string())
}

/// A time of a schedule: up to a day.
fn span(text: &str) -> Result<Duration, String> {
    let expected = "a number with ms, s, min or h, up to 24 hours";
    let span = Span::up_to(text, DAY_NANOS, expected).map_err(|error| error.to_string())?;
    Ok(span.0)
}

fn step_span(text: &str) -> Result<Duration, String> {
    let span = span(text)?;
    if Span(span) < STEP_MIN {
        return Err(format!("expected {STEP_MIN} at least, got {} (example: 500ms)", quote(text)));
    }
    Ok(span)
}

const DAY_NANOS: u64 = 24 * 3_600_000_000_000;
const RAMP_STEP: Duration = Duration::from_millis(100);
const ENTRIES_MAX: usize = 10_000;
