//! Traces as text.

use core::fmt::Write as _;
use core::time::Duration;

use super::{Format, Pace, Rates, Trace};
use crate::error::Error;
use crate::text::decimal;

/// What a conversion could not carry over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note(pub String);

impl Trace {
    /// Its text in a format, and what that cannot say. Opportunities become rates by windows of
    /// this length, where rates are asked for.
    ///
    /// # Errors
    /// If it has no such form.
    pub fn write(&self, format: Format, window: Duration) -> Result<(String, Vec<Note>), Error> {
        let other = match format {
            Format::Mahimahi => self.to_opportunities()?,
            _ => self.to_rates(window)?,
        };
        let mut notes = Vec::new();
        let lost = self.bytes() - other.bytes();
        if lost.abs() >= 1.0 && format == Format::Mahimahi {
            notes.push(Note(format!(
                "{lost:.0} of {:.0} bytes are left out: they are no whole opportunity",
                self.bytes()
            )));
        }
        let text = match other.pace() {
            Pace::Opportunities(opportunities) => {
                let mut text = String::new();
                for time in opportunities.times_ms() {
                    let _ = writeln!(text, "{time}");
                }
                text
            }
            Pace::Rates(rates) => match format {
                Format::Json => json(rates),
                Format::Csv => csv(rates),
                Format::Mahimahi | Format::TimeRate => time_rate(rates),
            },
        };
        let has_latency = matches!(self.pace(), Pace::Rates(rates) if rates.has_latency);
        if has_latency && matches!(format, Format::Mahimahi | Format::TimeRate) {
            notes.push(Note(format!("latencies are left out: {} has none", format.name())));
        }
        Ok((text, notes))
    }
}

fn time_rate(rates: &Rates) -> String {
    let first = rates.segments().first().map_or(0, |segment| segment.bits_per_second);
    let mut text = format!("0 {}\n", decimal(first, 6));
    for (segment, end) in rates.segments().iter().zip(&rates.ends) {
        let _ = writeln!(text, "{} {}", decimal(*end, 9), decimal(segment.bits_per_second, 6));
    }
    text
}

fn json(rates: &Rates) -> String {
    let mut text = "[\n".to_owned();
    for (number, segment) in rates.segments().iter().enumerate() {
        let comma = if number + 1 < rates.segments().len() { "," } else { "" };
        let _ = write!(
            text,
            "  {{\"duration_ms\": {}, \"bandwidth_kbps\": {}",
            millis(segment.span),
            decimal(segment.bits_per_second, 3)
        );
        if let Some(latency) = segment.latency {
            let _ = write!(text, ", \"latency_ms\": {}", millis(latency));
        }
        let _ = writeln!(text, "}}{comma}");
    }
    text.push_str("]\n");
    text
}

fn csv(rates: &Rates) -> String {
    let head = if rates.has_latency { ",latency_ms" } else { "" };
    let mut text = format!("duration_ms,rate_kbit{head}\n");
    for segment in rates.segments() {
        let rate = decimal(segment.bits_per_second, 3);
        let _ = write!(text, "{},{rate}", millis(segment.span));
        if rates.has_latency {
            let _ = write!(text, ",{}", segment.latency.map(millis).unwrap_or_default());
        }
        text.push('\n');
    }
    text
}

fn millis(span: Duration) -> String {
    decimal(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX), 6)
}
