//! Traces from text.

use core::str::FromStr;
use core::time::Duration;

use serde::Deserialize;

use super::{ENTRIES_MAX, Format, Segment, Trace};
use crate::error::{Error, quote};
use crate::settings::{RATE_BITS_MAX, SPAN_MAX};

impl Trace {
    /// Reads the text of a file, of whatever format; `name` is what the trace is called.
    ///
    /// # Errors
    /// With line and column of what is wrong.
    pub fn read(name: &str, text: &str) -> Result<Self, Error> {
        Trace::read_as(Format::of(text), name, text)
    }

    /// Reads text of a known format.
    ///
    /// # Errors
    /// With line and column of what is wrong.
    pub fn read_as(format: Format, name: &str, text: &str) -> Result<Self, Error> {
        let source = Source { name, text };
        match format {
            Format::Mahimahi => source.mahimahi(),
            Format::TimeRate => source.time_rate(),
            Format::Json => source.json(),
            Format::Csv => source.csv(),
        }
    }
}

impl Format {
    /// The format of a text: JSON begins with a bracket, the first line of CSV has a comma; a
    /// single number a line is Mahimahi's, two are a time and a rate.
    pub fn of(text: &str) -> Self {
        let first = text.lines().map(said).find(|line| !line.is_empty()).unwrap_or("");
        if first.starts_with(['[', '{']) {
            Format::Json
        } else if first.contains(',') {
            Format::Csv
        } else if first.split_whitespace().count() >= 2 {
            Format::TimeRate
        } else {
            Format::Mahimahi
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Format::Mahimahi => "mahimahi",
            Format::TimeRate => "time-rate",
            Format::Json => "json",
            Format::Csv => "csv",
        }
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let all = [Format::Mahimahi, Format::TimeRate, Format::Json, Format::Csv];
        all.into_iter().find(|format| text.eq_ignore_ascii_case(format.name())).ok_or_else(|| {
            let expected = "mahimahi, time-rate, json or csv";
            Error::setting("format", quote(text), expected, "mahimahi")
        })
    }
}

#[derive(Clone, Copy)]
struct Source<'a> {
    name: &'a str,
    text: &'a str,
}

/// A piece of a line, with its column from 1.
#[derive(Clone, Copy)]
struct Field<'a> {
    line: usize,
    column: usize,
    text: &'a str,
}

impl<'a> Source<'a> {
    fn mahimahi(self) -> Result<Trace, Error> {
        let example = "12";
        let mut times = Vec::new();
        let mut before = 0;
        let mut line = 1;
        for fields in self.lines(char::is_whitespace) {
            let field = fields[0];
            line = field.line;
            let time: u32 = field.text.parse().map_err(|_| {
                let expected = "a time in whole milliseconds, up to 4294967295";
                self.fail(field, expected, example)
            })?;
            if let Some(more) = fields.get(1) {
                return Err(self.fail(*more, "the end of the line: one time on each", example));
            }
            if time < before {
                let expected = format!("{before} or more: times never go back");
                return Err(self.fail(field, expected, example));
            }
            before = time;
            times.push(time);
            self.check_count(times.len(), field)?;
        }
        Trace::opportunities(self.name, times).map_err(|error| self.whole(line, error))
    }

    fn time_rate(self) -> Result<Trace, Error> {
        let example = "10.5 4.25";
        let mut segments = Vec::new();
        let mut before: Option<u64> = None;
        let mut line = 1;
        for fields in self.lines(char::is_whitespace) {
            line = fields[0].line;
            let expected = "a time in seconds and a rate in Mbit/s";
            let &[time, rate] = &fields[..] else {
                return Err(self.fail(
                    fields.get(2).copied().unwrap_or(fields[0]),
                    expected,
                    example,
                ));
            };
            let nanos = self.number(time, 1e9, NANOS_MAX, "a time in seconds", example)?;
            let bits = self.number(rate, 1e6, BITS_MAX, "a rate in Mbit/s", example)?;
            if let Some(before) = before {
                let Some(span) = nanos.checked_sub(before) else {
                    return Err(self.fail(time, "a later time than the line before", example));
                };
                let span = Duration::from_nanos(span);
                segments.push(Segment { span, bits_per_second: bits, latency: None });
                self.check_count(segments.len(), time)?;
            }
            before = Some(nanos);
        }
        if segments.is_empty() {
            let field = Field { line, column: 1, text: "fewer" };
            let expected = "two lines at least: the first says when the trace begins";
            return Err(self.fail(field, expected, example));
        }
        Trace::rates(self.name, segments).map_err(|error| self.whole(line, error))
    }

    fn json(self) -> Result<Trace, Error> {
        let list: Vec<Entry> = serde_json::from_str(self.text).map_err(|error| {
            let said = error.to_string();
            let reason = said.split(" at line ").next().unwrap_or(&said).to_owned();
            Error::Trace {
                file: self.name.to_owned(),
                line: error.line().max(1),
                column: error.column().max(1),
                got: reason,
                expected: "a list of durations, bandwidths and latencies".to_owned(),
                example: JSON_EXAMPLE,
            }
        })?;
        let line = self.text.lines().count().max(1);
        let segments = list.into_iter().map(|entry| Segment {
            span: entry.duration_ms,
            bits_per_second: entry.bandwidth_kbps,
            latency: entry.latency_ms,
        });
        Trace::rates(self.name, segments.collect()).map_err(|error| self.whole(line, error))
    }

    fn csv(self) -> Result<Trace, Error> {
        let mut lines = self.lines(|letter| letter == ',');
        let Some(head) = lines.next() else {
            return Err(self.fail(Field { line: 1, column: 1, text: "" }, "columns", CSV_EXAMPLE));
        };
        let columns = self.columns(&head)?;
        let mut segments = Vec::new();
        let mut before = 0;
        let mut line = head[0].line;
        for fields in lines {
            line = fields[0].line;
            let (mut span, mut bits, mut latency) = (None, 0, None);
            if fields.len() != columns.len() {
                let field = fields.get(columns.len()).copied().unwrap_or(fields[0]);
                let expected = format!("{} values, as the first line has", columns.len());
                return Err(self.fail(field, expected, CSV_EXAMPLE));
            }
            for (column, field) in columns.iter().zip(&fields) {
                let number =
                    |max, expected| self.number(*field, column.factor, max, expected, CSV_EXAMPLE);
                match column.role {
                    Role::Duration => span = Some(number(NANOS_MAX, "a duration")?),
                    Role::Time => {
                        let time = number(NANOS_MAX, "a time")?;
                        span = Some(time.checked_sub(before).ok_or_else(|| {
                            self.fail(*field, "a later time than the line before", CSV_EXAMPLE)
                        })?);
                        before = time;
                    }
                    Role::Rate => bits = number(BITS_MAX, "a rate")?,
                    Role::Latency if field.text.is_empty() => {}
                    Role::Latency => {
                        latency = Some(number(LATENCY_NANOS_MAX, "a latency up to an hour")?);
                    }
                }
            }
            segments.push(Segment {
                span: Duration::from_nanos(span.unwrap_or(0)),
                bits_per_second: bits,
                latency: latency.map(Duration::from_nanos),
            });
            self.check_count(segments.len(), fields[0])?;
        }
        Trace::rates(self.name, segments).map_err(|error| self.whole(line, error))
    }

    /// What the first line of CSV says that the others hold.
    fn columns(self, head: &[Field<'_>]) -> Result<Vec<Column>, Error> {
        let mut columns: Vec<Column> = Vec::new();
        for field in head {
            let Some((_, column)) = COLUMNS.iter().find(|(name, _)| *name == field.text) else {
                let expected = "a column named duration_ms, duration_s, time_s, time_ms, rate_bit, \
                                rate_kbit, rate_mbit or latency_ms";
                return Err(self.fail(*field, expected, CSV_EXAMPLE));
            };
            columns.push(*column);
        }
        let count = |role| columns.iter().filter(|column| column.role == role).count();
        let spans = count(Role::Duration) + count(Role::Time);
        if spans != 1 || count(Role::Rate) != 1 || count(Role::Latency) > 1 {
            let expected = "one column with a duration or a time, and one with a rate";
            return Err(self.fail(head[0], expected, CSV_EXAMPLE));
        }
        Ok(columns)
    }

    /// A number times `factor` and rounded, 0 to `max`.
    fn number(
        self,
        field: Field<'_>,
        factor: f64,
        max: f64,
        what: &str,
        example: &'static str,
    ) -> Result<u64, Error> {
        let number: Option<f64> = field.text.parse().ok();
        let scaled = number.map(|number| (number * factor).round());
        match scaled.filter(|number| (0.0..=max).contains(number)) {
            Some(number) => Ok(number as u64),
            None => Err(self.fail(field, format!("{what}, 0 or more"), example)),
        }
    }

    /// The fields of each line that has any, without comments.
    fn lines(
        self,
        between: impl Fn(char) -> bool + Copy + 'a,
    ) -> impl Iterator<Item = Vec<Field<'a>>> {
        self.text.lines().enumerate().filter_map(move |(number, line)| {
            let line = line.split('#').next().unwrap_or("");
            if line.trim().is_empty() {
                return None;
            }
            let spaces = between(' ');
            let mut fields = Vec::new();
            let mut column = 1;
            for part in line.split(between) {
                let lead = part.chars().take_while(|letter| letter.is_whitespace()).count();
                let text = part.trim();
                if !(spaces && text.is_empty()) {
                    fields.push(Field { line: number + 1, column: column + lead, text });
                }
                column += part.chars().count() + 1;
            }
            Some(fields)
        })
    }

    fn check_count(self, count: usize, field: Field<'_>) -> Result<(), Error> {
        if count <= ENTRIES_MAX {
            return Ok(());
        }
        Err(self.fail(field, format!("{ENTRIES_MAX} entries at most"), "a shorter trace"))
    }

    fn fail(self, field: Field<'_>, expected: impl Into<String>, example: &'static str) -> Error {
        Error::Trace {
            file: self.name.to_owned(),
            line: field.line,
            column: field.column,
            got: if field.text.is_empty() { "nothing".to_owned() } else { quote(field.text) },
            expected: expected.into(),
            example,
        }
    }

    /// What is wrong with a trace as a whole is said where it ends.
    fn whole(self, line: usize, error: Error) -> Error {
        let Error::Setting { got, expected, example, .. } = error else { return error };
        let file = self.name.to_owned();
        Error::Trace { file, line, column: 1, got, expected: expected.to_owned(), example }
    }
}

/// A line without its comment.
fn said(line: &str) -> &str {
    line.split('#').next().unwrap_or("").trim()
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    Duration,
    Time,
    Rate,
    Latency,
}

#[derive(Clone, Copy)]
struct Column {
    role: Role,
    /// From its unit to nanoseconds or bits a second.
    factor: f64,
}

const COLUMNS: &[(&str, Column)] = &[
    ("duration_s", Column { role: Role::Duration, factor: 1e9 }),
    ("duration_ms", Column { role: Role::Duration, factor: 1e6 }),
    ("time_s", Column { role: Role::Time, factor: 1e9 }),
    ("time_ms", Column { role: Role::Time, factor: 1e6 }),
    ("rate_bit", Column { role: Role::Rate, factor: 1.0 }),
    ("rate_kbit", Column { role: Role::Rate, factor: 1e3 }),
    ("rate_mbit", Column { role: Role::Rate, factor: 1e6 }),
    ("bandwidth_kbps", Column { role: Role::Rate, factor: 1e3 }),
    ("latency_ms", Column { role: Role::Latency, factor: 1e6 }),
];

/// An entry of a list in JSON.
#[derive(Deserialize)]
struct Entry {
    #[serde(deserialize_with = "entry::duration")]
    duration_ms: Duration,
    #[serde(deserialize_with = "entry::bandwidth")]
    bandwidth_kbps: u64,
    #[serde(default, deserialize_with = "entry::latency")]
    latency_ms: Option<Duration>,
}

mod entry {
    use core::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer};

    use super::{BITS_MAX, LATENCY_NANOS_MAX, NANOS_MAX};

    pub(super) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let millis = f64::deserialize(from)?;
        span::<D>(millis, NANOS_MAX, "a duration_ms")
    }

    pub(super) fn latency<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let millis: Option<f64> = Option::deserialize(from)?;
        millis.map(|millis| span::<D>(millis, LATENCY_NANOS_MAX, "a latency_ms")).transpose()
    }

    pub(super) fn bandwidth<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let bits = (f64::deserialize(from)? * 1e3).round();
        if (0.0..=BITS_MAX).contains(&bits) {
            return Ok(bits as u64);
        }
        Err(D::Error::custom("a bandwidth_kbps below 0 or above 1000 Gbit/s"))
    }

    fn span<'de, D: Deserializer<'de>>(
        millis: f64,
        nanos_max: f64,
        what: &str,
    ) -> Result<Duration, D::Error> {
        let nanos = (millis * 1e6).round();
        if (0.0..=nanos_max).contains(&nanos) {
            return Ok(Duration::from_nanos(nanos as u64));
        }
        Err(D::Error::custom(format!("{what} of {millis}")))
    }
}

const JSON_EXAMPLE: &str = r#"[{"duration_ms": 1000, "bandwidth_kbps": 2500, "latency_ms": 40}]"#;
const CSV_EXAMPLE: &str = "duration_ms,rate_kbit,latency_ms";
/// Ten years.
const NANOS_MAX: f64 = 316_224_000e9;
const BITS_MAX: f64 = RATE_BITS_MAX as f64;
const LATENCY_NANOS_MAX: f64 = SPAN_MAX.as_secs() as f64 * 1e9;
