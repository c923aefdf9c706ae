//! Range (RFC 2326 sections 3.5 to 3.7 and 12.29).

use core::fmt;
use core::time::Duration;

use super::Error;

/// A stretch of a stream's time line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Range {
    /// Normal play time. Both ends absent does not occur.
    Npt {
        /// From here; absent in `npt=-10`: from the place that playing has reached, as without
        /// a Range. RFC 2326 section 3.6 gives this form and no meaning; the suffix that HTTP
        /// means by it would need a length, which a live stream has not.
        start: Option<Npt>,
        /// To here; absent in `npt=10-`, up to the end.
        end: Option<Duration>,
    },
    /// SMPTE time codes, unread, with the unit (`smpte=...`, `smpte-25=...`).
    Smpte(String),
    /// Absolute time, unread (`clock=19961108T142300Z-`).
    Clock(String),
}

/// A place in normal play time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Npt {
    /// The live edge.
    Now,
    /// So far from the start.
    At(Duration),
}

impl Range {
    /// From `start` to the end of the stream.
    pub fn from(start: Duration) -> Self {
        Range::Npt { start: Some(Npt::At(start)), end: None }
    }

    /// From the live edge on.
    pub const NOW: Range = Range::Npt { start: Some(Npt::Now), end: None };

    /// Reads a header value, or the value of a `range` attribute of SDP. `npt:` for `npt=` and a
    /// parameter `;time=` are passed over. An end before the start is an error (457).
    pub fn parse(value: &str) -> Result<Range, Error> {
        let error = || Error::new("Range", EXPECTED, value);
        let range = value.split(';').next().unwrap_or_default().trim();
        let (unit, span) = range.split_once(['=', ':']).ok_or_else(error)?;
        let unit = unit.trim().to_ascii_lowercase();
        match unit.as_str() {
            "npt" => parse_npt_range(span.trim()).ok_or_else(error),
            "clock" => Ok(Range::Clock(span.trim().to_owned())),
            _ if unit.starts_with("smpte") => Ok(Range::Smpte(range.to_owned())),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Range::Npt { start, end } => {
                f.write_str("npt=")?;
                match start {
                    Some(Npt::Now) => f.write_str("now")?,
                    Some(Npt::At(at)) => seconds(f, *at)?,
                    None => {}
                }
                f.write_str("-")?;
                end.map_or(Ok(()), |end| seconds(f, end))
            }
            Range::Smpte(text) => f.write_str(text),
            Range::Clock(text) => write!(f, "clock={text}"),
        }
    }
}

/// Seconds with three to nine digits behind the point, as exact as the value is.
fn seconds(f: &mut fmt::Formatter<'_>, at: Duration) -> fmt::Result {
    let nanos = format!("{:09}", at.subsec_nanos());
    let kept = nanos.trim_end_matches('0').len().max(3);
    write!(f, "{}.{}", at.as_secs(), &nanos[..kept])
}

fn parse_npt_range(span: &str) -> Option<Range> {
    // A place alone, against the grammar, is meant as its start.
    let (start, end) = span.split_once('-').unwrap_or((span, ""));
    let start = match start.trim() {
        "" => None,
        now if now.eq_ignore_ascii_case("now") => Some(Npt::Now),
        time => Some(Npt::At(parse_npt_time(time)?)),
    };
    let end = match end.trim() {
        "" => None,
        time => Some(parse_npt_time(time)?),
    };
    match (start, end) {
        (None, None) => None,
        (Some(Npt::At(start)), Some(end)) if end < start => None,
        (start, end) => Some(Range::Npt { start, end }),
    }
}

/// `SECONDS[.FRACTION]` or `HH:MM:SS[.FRACTION]`, less than [`SECONDS_END`] in either form.
fn parse_npt_time(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let nanos = parse_fraction(fraction)?;
    let mut parts = whole.split(':');
    let first = digits(parts.next()?)?;
    let seconds = match (parts.next(), parts.next(), parts.next()) {
        (None, _, _) => first,
        (Some(minutes), Some(seconds), None) => {
            let (minutes, seconds) = (digits(minutes)?, digits(seconds)?);
            if minutes > 59 || seconds > 59 {
                return None;
            }
            first * 3600 + minutes * 60 + seconds
        }
        _ => return None,
    };
    (seconds < SECONDS_END).then(|| Duration::new(seconds, nanos))
}

const EXPECTED: &str = "npt=START-END (each below 100000000000 seconds), smpte=... or clock=...";

/// Three thousand years: the first number of seconds that is written with twelve digits.
const SECONDS_END: u64 = 100_000_000_000;

/// A number of at most eleven digits.
fn digits(text: &str) -> Option<u64> {
    let fits = (1..=11).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

/// The first nine digits behind the point, in nanoseconds.
fn parse_fraction(text: &str) -> Option<u32> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let kept = text.get(..text.len().min(9))?;
    format!("{kept:0<9}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn npt(start: Option<f64>, end: Option<f64>) -> Range {
        Range::Npt {
            start: start.map(|s| Npt::At(Duration::from_secs_f64(s))),
            end: end.map(Duration::from_secs_f64),
        }
    }

    #[test]
    fn every_form_of_normal_play_time_is_read() {
        for (value, range) in [
            ("npt=0-", npt(Some(0.0), None)),
            ("npt=0.000-", npt(Some(0.0), None)),
            ("npt=12.5-20", npt(Some(12.5), Some(20.0))),
            ("npt=0:01:02.25-1:00:00", npt(Some(62.25), Some(3600.0))),
            ("npt=-10", npt(None, Some(10.0))),
            ("npt = 1 - 2 ;time=19970123T143720Z", npt(Some(1.0), Some(2.0))),
            ("npt:3-", npt(Some(3.0), None)),
            ("npt=7", npt(Some(7.0), None)),
            ("npt=5-5", npt(Some(5.0), Some(5.0))),
            ("npt=now-", Range::NOW),
            ("npt=1.1234567891-", Range::from(Duration::new(1, 123_456_789))),
        ] {
            assert_eq!(Range::parse(value), Ok(range), "{value}");
        }
    }

    #[test]
    fn other_units_are_recognised() {
        let smpte = Range::parse("smpte-25=10:07:00-").unwrap();
        assert_eq!(smpte, Range::Smpte("smpte-25=10:07:00-".to_owned()));
        let clock = Range::parse("clock=19961108T142300Z-").unwrap();
        assert_eq!(clock, Range::Clock("19961108T142300Z-".to_owned()));
        assert_eq!(clock.to_string(), "clock=19961108T142300Z-");
    }

    #[test]
    fn nonsense_is_an_error() {
        for value in [
            "",
            "npt",
            "npt=",
            "npt=-",
            "npt=a-",
            "npt=2-1",
            "npt=0:60:00-",
            "npt=1:2-",
            "npt=1e3-",
            "npt=999999999999-",
            "npt=27777778:00:00-",
            "npt=0-99999999999:59:59",
            "bytes=0-1",
            "npt=1.x-",
            "npt=0-now",
        ] {
            assert!(Range::parse(value).is_err(), "{value}");
        }
    }

    #[test]
    fn the_last_second_that_is_taken_comes_back_from_both_forms() {
        let last = Range::from(Duration::from_secs(SECONDS_END - 1));
        assert_eq!(Range::parse("npt=27777777:46:39-"), Ok(last.clone()));
        assert_eq!(Range::parse(&last.to_string()), Ok(last));
    }

    proptest! {
        #[test]
        fn a_range_comes_back(start in 0u64..1 << 50, more in proptest::option::of(0u64..1 << 50)) {
            let range = Range::Npt {
                start: Some(Npt::At(Duration::from_nanos(start))),
                end: more.map(|more| Duration::from_nanos(start + more)),
            };
            prop_assert_eq!(Range::parse(&range.to_string()), Ok(range));
        }
    }
}
