//! `docs/link.md` says what the types say.

use crate::preset::PRESETS;
use crate::trace::Format;
use crate::{Change, SETTINGS, Schedule};

const PAGE: &str = include_str!("../../../docs/link.md");

/// The values in back quotes of the rows whose first cell is in back quotes too, by that name.
fn rows(chapter: &str) -> Vec<(&'static str, Vec<&'static str>)> {
    let begin = PAGE.find(&format!("\n## {chapter}\n")).expect("the chapter is there");
    let text = &PAGE[begin + 1..];
    let text = &text[..text[1..].find("\n## ").map_or(text.len(), |end| end + 1)];
    let quoted = |cell: &'static str| cell.split('`').skip(1).step_by(2).collect::<Vec<_>>();
    text.lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix("| `")?.split(" | ").collect();
            Some((cells[0].trim_end_matches('`'), quoted(cells[1])))
        })
        .collect()
}

/// The blocks of code of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let begin = format!("\n```{language}\n");
    let blocks = PAGE.split(begin.as_str()).skip(1);
    blocks.filter_map(|block| block.split("\n```").next()).collect()
}

#[test]
fn every_setting_has_a_row_and_every_value_of_it_is_read() {
    let rows = rows("Settings");
    assert!(SETTINGS.iter().map(|setting| setting.name).eq(rows.iter().map(|row| row.0)));
    let load = |_: &str| Ok("1\n".to_owned());
    for (name, values) in rows {
        for value in values {
            let read = Change::default().read_with(name, value, &load);
            assert_eq!(read, Ok(()), "{name}={value}");
        }
    }
}

#[test]
fn examples_are_read() {
    let settings = blocks("settings");
    assert!(!settings.is_empty());
    for line in settings.iter().flat_map(|block| block.lines()) {
        let _: Change = line.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    let schedules = blocks("schedule");
    assert!(!schedules.is_empty());
    for block in schedules {
        let _: Schedule = block.parse().unwrap_or_else(|error| panic!("{block}: {error}"));
    }
}

#[test]
fn every_format_and_every_preset_has_a_row() {
    for (name, _) in rows("Traces") {
        let _: Format = name.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert_eq!(rows("Traces").len(), 4);
    let presets: Vec<&str> = rows("Presets").iter().map(|row| row.0).collect();
    assert!(PRESETS.iter().map(|preset| preset.name).eq(presets));
}
