//! What cannot be done, and why.

use core::fmt::Display;

use thiserror::Error;

/// A request that cannot be met or read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// A value outside what the field allows.
    #[error("{field}: expected {expected}, got {got} (example: {example})")]
    Setting {
        /// The field of [`Settings`](crate::Settings).
        field: &'static str,
        /// What came.
        got: String,
        /// What is allowed.
        expected: &'static str,
        /// A value that works.
        example: &'static str,
    },
    /// A file that a setting names could not be had.
    #[error("{field}: {file}: {reason}")]
    File {
        /// The setting.
        field: &'static str,
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// A trace, or a table of delays, that does not say what it should.
    #[error(
        "{file}, line {line}, column {column}: expected {expected}, got {got} (example: {example})"
    )]
    Trace {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What came.
        got: String,
        /// What should stand there.
        expected: String,
        /// What would do.
        example: &'static str,
    },
    /// A line of a schedule that cannot be read.
    #[error("schedule, entry {entry} ({text}): {reason}")]
    Schedule {
        /// Its number, from 1: entries end at a `;` or at the end of a line.
        entry: usize,
        /// What came.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    pub(crate) fn setting(
        field: &'static str,
        got: impl Display,
        expected: &'static str,
        example: &'static str,
    ) -> Self {
        Error::Setting { field, got: got.to_string(), expected, example }
    }
}

/// Text as it came, in quotes, cut where it is long.
pub(crate) fn quote(text: &str) -> String {
    let mut letters = text.chars();
    let shown: String = letters.by_ref().take(QUOTE_CHARS_MAX).collect();
    let more = if letters.next().is_some() { "..." } else { "" };
    format!("{shown:?}{more}")
}

const QUOTE_CHARS_MAX: usize = 40;
