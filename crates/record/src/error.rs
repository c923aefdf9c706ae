//! What can be wrong with a file of records.

use crate::VERSION;

/// Why records could not be read. Lines and columns count from 1; columns count bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input failed.
    #[error("line {line}: the records could not be read: {source}")]
    Io {
        /// The line that was being read.
        line: u64,
        /// What the input said.
        source: std::io::Error,
    },
    /// The input holds no line at all.
    #[error("line 1: expected a header {{\"record\":\"weir\",...}}, found an empty file")]
    Empty,
    /// The first line is not a header.
    #[error("line 1, column {column}: expected a header {{\"record\":\"weir\",...}}: {reason}")]
    Header {
        /// Where the header stopped being one.
        column: usize,
        /// What was expected there and what came.
        reason: String,
    },
    /// The records were written in a format that this reader does not know.
    #[error(
        "line 1: the records are in format version {version}, and this program reads version \
         {VERSION} alone"
    )]
    Version {
        /// The file's format version.
        version: u32,
    },
    /// A line is not a record.
    #[error("line {line}, column {column}: expected a record: {reason}")]
    Line {
        /// The line.
        line: u64,
        /// Where it stopped being a record.
        column: usize,
        /// What was expected there and what came.
        reason: String,
    },
    /// A line is too long to be a record.
    #[error("line {line}: longer than {bytes_max} bytes, which no record is")]
    TooLong {
        /// The line.
        line: u64,
        /// The limit.
        bytes_max: usize,
    },
}

/// The column and the message of what `serde_json` says about one line.
pub(crate) fn column_and_reason(error: &serde_json::Error) -> (usize, String) {
    let whole = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let reason = whole.strip_suffix(&place).unwrap_or(&whole).to_owned();
    (error.column().max(1), reason)
}
