//! Reading records back.

use core::fmt;
use std::borrow::Cow;
use std::io::{BufRead, Read};

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use weir_time::Instant;

use crate::error::column_and_reason;
use crate::{Error, Event, Header, Record, Text, VERSION};

/// The longest line that a reader takes, in bytes without the line feed.
pub const LINE_BYTES_MAX: usize = 16 << 20;

/// One line after the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A record.
    Known(Record),
    /// An event that this version does not know: a newer revision of the format wrote it.
    Unknown {
        /// The event's name.
        event: Text,
        /// The line, counted from 1.
        line_number: u64,
    },
}

/// Reads a file of records, line by line.
///
/// A last line that was cut off (no line feed, and not a whole record) is left out and noted;
/// any other line that is not a record is an error. Events and fields of a newer revision are
/// passed over and counted; fields inside of nested objects are passed over alone.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    header: Header,
    line: Vec<u8>,
    line_number: u64,
    unknown_events: u64,
    unknown_fields: u64,
    cut_off: bool,
    over: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header of `input`.
    pub fn new(mut input: R) -> Result<Self, Error> {
        let mut line = Vec::new();
        if read_line(&mut input, &mut line, 1)? == End::Input && line.is_empty() {
            return Err(Error::Empty);
        }
        let header = header(&line)?;
        Ok(Reader {
            input,
            header,
            line,
            line_number: 1,
            unknown_events: 0,
            unknown_fields: 0,
            cut_off: false,
            over: false,
        })
    }

    /// The file's first line.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next line, or `None` after the last. After an error there is no further line.
    pub fn read(&mut self) -> Result<Option<Line>, Error> {
        if self.over {
            return Ok(None);
        }
        let line = self.next_line();
        self.over = !matches!(line, Ok(Some(_)));
        line
    }

    /// Whether the input ended within a line, which was left out. Known once all was read.
    pub fn cut_off(&self) -> bool {
        self.cut_off
    }

    /// How many events so far were of kinds that this version does not know.
    pub fn unknown_events(&self) -> u64 {
        self.unknown_events
    }

    /// How many fields so far, in events that are known, this version does not know.
    pub fn unknown_fields(&self) -> u64 {
        self.unknown_fields
    }

    fn next_line(&mut self) -> Result<Option<Line>, Error> {
        loop {
            self.line_number += 1;
            let end = read_line(&mut self.input, &mut self.line, self.line_number)?;
            if self.line.trim_ascii().is_empty() {
                match end {
                    End::Line => continue,
                    End::Input => return Ok(None),
                }
            }
            return match self.decode() {
                Ok(line) => Ok(Some(line)),
                Err(_) if end == End::Input => {
                    self.cut_off = true;
                    Ok(None)
                }
                Err(error) => {
                    let (column, reason) = column_and_reason(&error);
                    let line = self.line_number;
                    Err(Error::Line { line, column, reason })
                }
            };
        }
    }

    fn decode(&mut self) -> Result<Line, serde_json::Error> {
        let head: Head<'_> = serde_json::from_slice(&self.line)?;
        let mut fields = serde_json::Deserializer::from_slice(&self.line);
        let Some(event) = Event::decode(&head.event, &mut fields) else {
            self.unknown_events += 1;
            return Ok(Line::Unknown {
                event: Text::from(&*head.event),
                line_number: self.line_number,
            });
        };
        let event = event?;
        let known = Event::fields(&head.event).unwrap_or_default();
        let unknown = head.others.iter().filter(|name| !known.contains(&&***name)).count();
        self.unknown_fields += unknown as u64;
        Ok(Line::Known(Record { at: head.at, event }))
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Line, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// What ended a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Line,
    Input,
}

/// Puts the next line into `line`, without its line feed.
fn read_line<R: BufRead>(input: &mut R, line: &mut Vec<u8>, number: u64) -> Result<End, Error> {
    line.clear();
    let limit = LINE_BYTES_MAX as u64 + 1;
    (&mut *input)
        .take(limit)
        .read_until(b'\n', line)
        .map_err(|source| Error::Io { line: number, source })?;
    if line.pop_if(|last| *last == b'\n').is_some() {
        return Ok(End::Line);
    }
    if line.len() > LINE_BYTES_MAX {
        return Err(Error::TooLong { line: number, bytes_max: LINE_BYTES_MAX });
    }
    Ok(End::Input)
}

/// Decodes the first line. The version is looked at first: a newer header may be of any form.
fn header(line: &[u8]) -> Result<Header, Error> {
    #[derive(serde::Deserialize)]
    struct Version {
        #[serde(rename = "record")]
        _record: crate::header::Magic,
        version: u32,
    }
    let wrong = |error: serde_json::Error| {
        let (column, reason) = column_and_reason(&error);
        Error::Header { column, reason }
    };
    let Version { version, .. } = serde_json::from_slice(line).map_err(wrong)?;
    if version != VERSION {
        return Err(Error::Version { version });
    }
    serde_json::from_slice(line).map_err(wrong)
}

/// What every record has, and the names of its other fields.
struct Head<'a> {
    at: Instant,
    event: Cow<'a, str>,
    others: Vec<Key<'a>>,
}

/// A name that is borrowed from the line unless it is written with escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl core::ops::Deref for Key<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Head<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeadVisitor)
    }
}

struct HeadVisitor;

impl<'de> Visitor<'de> for HeadVisitor {
    type Value = Head<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `t_ns` and `event`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head<'de>, A::Error> {
        let (mut at, mut event, mut others) = (None, None, Vec::new());
        while let Some(key) = map.next_key::<Key<'de>>()? {
            match &*key {
                "t_ns" if at.is_some() => return Err(de::Error::duplicate_field("t_ns")),
                "event" if event.is_some() => return Err(de::Error::duplicate_field("event")),
                "t_ns" => at = Some(map.next_value()?),
                "event" => event = Some(map.next_value::<Key<'de>>()?.0),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    others.push(key);
                }
            }
        }
        Ok(Head {
            at: at.ok_or_else(|| de::Error::missing_field("t_ns"))?,
            event: event.ok_or_else(|| de::Error::missing_field("event"))?,
            others,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::FirstByte;
    use crate::made::{Options, made, made_event};
    use crate::{REVISION, Role};
    use proptest::prelude::*;
    use weir_time::Utc;

    const FIRST_BYTE: &str = r#"{"t_ns":5,"event":"first_byte","after_ns":7}"#;

    /// A file with a header and `rest`.
    fn file(rest: &str) -> Vec<u8> {
        let mut file = Vec::new();
        Header::new("5eed", Role::Player, Utc::from_nanos(1)).encode(&mut file);
        file.extend_from_slice(rest.as_bytes());
        file
    }

    fn first_byte() -> Line {
        Line::Known(Record { at: Instant::from_nanos(5), event: FirstByte { after_ns: 7 }.into() })
    }

    /// The lines of `file`, and whether its end was cut off.
    fn read(file: &[u8]) -> Result<(Vec<Line>, bool), Error> {
        let mut reader = Reader::new(file)?;
        let lines = reader.by_ref().collect::<Result<_, _>>()?;
        Ok((lines, reader.cut_off()))
    }

    fn failure(file: &[u8]) -> String {
        read(file).expect_err("the file is not right").to_string()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn every_event_is_read_back_as_it_was_written(seed: u64) {
            let mut written = file("");
            let records: Vec<_> = Event::ALL
                .iter()
                .flat_map(|(name, _)| {
                    [Options::Any, Options::All, Options::Bare]
                        .map(|options| made_event(name, seed, options))
                })
                .map(|event| Record { at: Instant::from_nanos(seed), event })
                .collect();
            records.iter().for_each(|record| record.encode(&mut written));
            let mut reader = Reader::new(&written[..]).expect("it has a header");
            let lines: Vec<_> = reader.by_ref().map(|line| line.expect("it was written")).collect();
            prop_assert_eq!(lines, records.into_iter().map(Line::Known).collect::<Vec<_>>());
            prop_assert_eq!((reader.unknown_events(), reader.unknown_fields()), (0, 0));
            prop_assert!(!reader.cut_off());
        }

        #[test]
        fn headers_are_read_back_as_they_were_written(seed: u64, asked in "\\PC{0,9}") {
            let mut header: Header = made(seed, Options::Any);
            header.version = VERSION;
            header.asked.insert(asked.clone(), serde_json::json!({"b": [1, asked], "a": null}));
            let mut written = Vec::new();
            header.encode(&mut written);
            let reader = Reader::new(&written[..]).expect("it was written");
            prop_assert_eq!(reader.header(), &header);
        }

        #[test]
        fn a_file_cut_anywhere_keeps_its_whole_lines(seed: u64, part in 0.0f64..1.0) {
            let header = file("").len();
            let mut whole = file("");
            let mut ends = Vec::new();
            for (name, _) in Event::ALL {
                let event = made_event(name, seed, Options::Any);
                Record { at: Instant::ZERO, event }.encode(&mut whole);
                ends.push(whole.len());
            }
            let cut = header + ((whole.len() - header) as f64 * part) as usize;
            let (lines, cut_off) = read(&whole[..cut]).expect("a cut is no error");
            // A record that lacks its line feed alone is whole.
            prop_assert_eq!(lines.len(), ends.iter().filter(|&&end| end <= cut + 1).count());
            let between = cut != header && !ends.iter().any(|&end| end == cut || end == cut + 1);
            prop_assert_eq!(cut_off, between);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(seed: u64, changes in 0usize..8) {
            let mut bytes = file("");
            for (name, _) in Event::ALL {
                let event = made_event(name, seed, Options::Any);
                Record { at: Instant::ZERO, event }.encode(&mut bytes);
            }
            let mut random = weir_time::Random::new(seed);
            for _ in 0..changes {
                let place = random.below(bytes.len() as u64) as usize;
                bytes[place] = random.next_u64() as u8;
            }
            crate::fuzz::fuzz_reader(&bytes);
        }
    }

    #[test]
    fn a_line_that_is_no_record_is_named_with_its_column() {
        let text =
            format!("{FIRST_BYTE}\n{{\"t_ns\":5,\"event\":\"first_byte\",\"after_ns\":-7}}\n");
        assert_eq!(
            failure(&file(&text)),
            "line 3, column 44: expected a record: invalid value: integer `-7`, expected u64",
        );
        assert_eq!(
            failure(&file("{\"event\":\"first_byte\"}\n")),
            "line 2, column 22: expected a record: missing field `t_ns`",
        );
        assert_eq!(
            failure(&file("[1]\n")),
            "line 2, column 1: expected a record: invalid type: sequence, expected an object \
             with `t_ns` and `event`",
        );
    }

    #[test]
    fn nothing_is_read_after_an_error() {
        let bytes = file(&format!("nonsense\n{FIRST_BYTE}\n"));
        let mut reader = Reader::new(&bytes[..]).expect("it has a header");
        assert!(reader.read().is_err());
        assert!(matches!(reader.read(), Ok(None)));
    }

    #[test]
    fn a_last_line_that_was_cut_off_is_left_out_and_noted() {
        let text = format!("{FIRST_BYTE}\n{}", &FIRST_BYTE[..20]);
        assert_eq!(read(&file(&text)).expect("it can be read"), (vec![first_byte()], true));
    }

    #[test]
    fn a_last_record_without_line_feed_is_whole() {
        assert_eq!(read(&file(FIRST_BYTE)).expect("it can be read"), (vec![first_byte()], false));
    }

    #[test]
    fn what_a_newer_revision_added_is_passed_over_and_counted() {
        let text = concat!(
            r#"{"new":{"a":[1,{}]},"event":"first_byte","after_ns":7,"t_ns":5,"newer":2}"#,
            "\n",
            r#"{"t_ns":5,"event":"hologram","depth":3}"#,
            "\n",
            r#"{"t_ns":5,"event":"ended","reason":"boredom"}"#,
            "\n",
        );
        let bytes = file(text);
        let mut reader = Reader::new(&bytes[..]).expect("it has a header");
        assert_eq!(reader.read().expect("it can be read"), Some(first_byte()));
        assert_eq!(reader.unknown_fields(), 2);
        let unknown = Line::Unknown { event: "hologram".into(), line_number: 3 };
        assert_eq!(reader.read().expect("it can be read"), Some(unknown));
        assert_eq!(reader.unknown_events(), 1);
        let Ok(Some(Line::Known(ended))) = reader.read() else {
            panic!("an unknown reason does not hide the event");
        };
        assert!(
            matches!(ended.event, Event::Ended(e) if e.reason == crate::event::EndReason::Unknown)
        );
    }

    #[test]
    fn a_newer_revision_is_read_and_a_newer_version_refused_with_both_numbers() {
        let header = String::from_utf8(file("")).expect("it is text");
        let newer = header.replace(&format!("\"revision\":{REVISION}"), "\"revision\":99");
        assert!(read(newer.as_bytes()).is_ok());
        assert_eq!(
            failure(b"{\"record\":\"weir\",\"version\":2,\"session\":null}\n"),
            "line 1: the records are in format version 2, and this program reads version 1 alone",
        );
    }

    #[test]
    fn other_files_are_told_apart_from_records() {
        assert!(failure(b"").starts_with("line 1: expected a header"));
        assert!(
            failure(b"{\"record\":\"other\",\"version\":1}\n").contains("unknown variant `other`")
        );
        assert!(failure(b"<html>\n").starts_with("line 1, column 1: expected a header"));
        assert!(failure(b"{\"record\":\"weir\",\"vers").contains("EOF"));
    }

    #[test]
    fn a_line_longer_than_any_record_is_refused() {
        let bytes = file(&" ".repeat(LINE_BYTES_MAX + 2));
        assert!(matches!(read(&bytes), Err(Error::TooLong { line: 2, .. })));
    }
}
