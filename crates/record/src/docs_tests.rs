//! `docs/records.md` says what the types say.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{LinkCounts, TrackInfo, TrackStart};
use crate::fields::fields;
use crate::made::{Options, made, made_event};
use crate::stats::{PlaySummary, ServeSummary, TrackSummary, ViewerSummary};
use crate::{Clock, Event, Header, Histogram, Line, Reader, Software};

const PAGE: &str = include_str!("../../../docs/records.md");

/// What stands under one heading with a name.
#[derive(Default)]
struct Section<'a> {
    /// The chapter that it stands in.
    chapter: &'a str,
    text: String,
    /// Name, type and meaning of each row of its table.
    rows: Vec<(&'a str, &'a str, &'a str)>,
}

/// The sections whose heading is a name in back quotes.
fn sections() -> BTreeMap<&'static str, Section<'static>> {
    let mut sections: BTreeMap<_, Section<'_>> = BTreeMap::new();
    let (mut chapter, mut name) = ("", None);
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            (chapter, name) = (heading, None);
        } else if let Some(heading) = line.strip_prefix("### ") {
            name = quoted(heading);
            if let Some(name) = name {
                let new = Section { chapter, ..Section::default() };
                assert!(sections.insert(name, new).is_none(), "{name} is described twice");
            }
        } else if let Some(section) = name.and_then(|name| sections.get_mut(name)) {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            match cells[..] {
                ["", field, kind, meaning, ""] => {
                    section.rows.extend(quoted(field).map(|field| (field, kind, meaning)));
                }
                _ => section.text.push_str(line),
            }
        }
    }
    sections
}

fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('`')?.strip_suffix('`')
}

fn names(section: &Section<'_>) -> BTreeSet<String> {
    section.rows.iter().map(|row| row.0.to_owned()).collect()
}

/// Compares a section with examples of what it describes, as written by `make`.
fn compare(name: &str, known: &[&str], make: impl Fn(u64, Options) -> Value) {
    let sections = sections();
    let section = sections.get(name).unwrap_or_else(|| panic!("{name} is not described"));
    let known: BTreeSet<_> = known.iter().map(|&field| field.to_owned()).collect();
    assert_eq!(names(section), known, "the fields of {name}, described and real");
    let (full, bare) = (make(1, Options::All), make(1, Options::Bare));
    for &(field, kind, meaning) in &section.rows {
        let optional = kind.ends_with('?');
        assert_eq!(optional, bare.get(field).is_none(), "{name}.{field} may be absent");
        let value = full.get(field).unwrap_or_else(|| panic!("{name}.{field} is in the example"));
        let kind = kind.trim_end_matches('?');
        let right = match kind {
            "integer" => value.is_u64() || value.is_i64(),
            "text" | "word" => value.is_string(),
            "boolean" => value.is_boolean(),
            _ if kind.starts_with("list of ") => value.is_array(),
            _ => value.is_object(),
        };
        assert!(right, "{name}.{field} is said to be {kind} and is {value}");
        if kind == "word" {
            let real = (0..200).map(|seed| make(seed, Options::All)[field].clone());
            let real: BTreeSet<_> = real
                .filter_map(|word| word.as_str().map(str::to_owned))
                .filter(|word| word != "unknown")
                .collect();
            assert_eq!(words(meaning), real, "the words of {name}.{field}, described and real");
        }
    }
}

/// All words in back quotes.
fn words(meaning: &str) -> BTreeSet<String> {
    meaning.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_event_is_described_with_its_level_and_all_its_fields() {
    for (name, level) in Event::ALL {
        let known = Event::fields(name).expect("it is an event");
        compare(name, known, |seed, options| {
            serde_json::to_value(made_event(name, seed, options)).expect("it can be written")
        });
        let said = format!("Level: {}.", format!("{level:?}").to_lowercase());
        let text = &sections()[name].text;
        assert!(text.contains(&said), "{name}: {said}, described as {text}");
    }
}

#[test]
fn every_event_described_exists() {
    let described = sections();
    let described = described.iter().filter(|(_, section)| section.chapter.starts_with("Events"));
    let described: BTreeSet<_> = described.map(|(name, _)| *name).collect();
    assert_eq!(described, Event::ALL.iter().map(|event| event.0).collect());
}

#[test]
fn every_part_is_described_with_all_its_fields() {
    fn part<T: Serialize + for<'de> Deserialize<'de>>(name: &str) {
        compare(name, fields::<T>(), |seed, options| {
            serde_json::to_value(made::<T>(seed, options)).expect("it can be written")
        });
    }
    part::<Software>("software");
    part::<Clock>("clock");
    part::<TrackInfo>("track_info");
    part::<TrackStart>("track_start");
    part::<LinkCounts>("link_counts");
    part::<Histogram>("histogram");
    compare("header", fields::<Header>(), |seed, options| {
        let mut header: Header = made(seed, options);
        if options == Options::All {
            header.asked.insert("seconds".to_owned(), Value::from(10));
        }
        serde_json::to_value(header).expect("it can be written")
    });
}

#[test]
fn the_types_that_fields_name_are_described() {
    let sections = sections();
    let events = sections.values().filter(|section| section.chapter != "The summaries");
    for (field, kind, _) in events.flat_map(|section| &section.rows) {
        let kind = kind.trim_end_matches('?');
        let kind = kind.strip_prefix("list of ").unwrap_or(kind);
        let kind = quoted(kind).unwrap_or(kind);
        let plain = ["integer", "text", "word", "boolean", "object", "lists"];
        assert!(plain.contains(&kind) || sections.contains_key(kind), "{field}: {kind}");
    }
}

#[test]
fn every_figure_of_the_summaries_is_described_with_records_that_exist() {
    let keys = |value: Value| value.as_object().expect("a struct").keys().cloned().collect();
    let sections = sections();
    let figures = serde_json::to_value(PlaySummary::default()).expect("it can be written");
    assert_eq!(names(&sections["play_summary"]), keys(figures));
    let figures = serde_json::to_value(TrackSummary::default()).expect("it can be written");
    assert_eq!(names(&sections["track_summary"]), keys(figures));
    let figures = serde_json::to_value(ServeSummary::default()).expect("it can be written");
    assert_eq!(names(&sections["serve_summary"]), keys(figures));
    let figures = serde_json::to_value(ViewerSummary::default()).expect("it can be written");
    assert_eq!(names(&sections["viewer_summary"]), keys(figures));
    for section in ["play_summary", "track_summary", "serve_summary", "viewer_summary"] {
        for (figure, records, _) in &sections[section].rows {
            for event in words(records) {
                assert!(Event::fields(&event).is_some(), "{figure} is made of {event}");
            }
        }
    }
}

#[test]
fn the_example_is_what_the_code_writes() {
    let example = PAGE.split("```json\n").nth(1).and_then(|rest| rest.split("```").next());
    let example = example.expect("the page shows an example");
    let mut reader = Reader::new(example.as_bytes()).expect("it starts with a header");
    let mut written = Vec::new();
    reader.header().encode(&mut written);
    while let Some(line) = reader.read().expect("it can be read") {
        let Line::Known(record) = line else {
            panic!("the example holds {line:?}");
        };
        record.encode(&mut written);
    }
    assert_eq!(String::from_utf8_lossy(&written), example);
}
