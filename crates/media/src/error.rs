//! What can be wrong with media.

use crate::{TrackId, movie::SkippedTrack};

/// What is wrong with bytes that claim to be media, or with how they were handed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration, a parameter set or an access unit breaks its syntax.
    #[error("{what}, byte {offset}: {reason}")]
    Syntax {
        /// What was read, as its specification calls it.
        what: &'static str,
        /// Bytes from its start.
        offset: usize,
        /// What was expected and what came.
        reason: String,
    },
    /// Well formed, but of a kind that weir does not carry.
    #[error("{what} is not supported: {reason}")]
    Unsupported {
        /// What was read, as its specification calls it.
        what: &'static str,
        /// What about it.
        reason: String,
    },
    /// A box of an MP4 file breaks its syntax, or contradicts another.
    #[error("{path} at byte {offset}: {reason}")]
    Mp4 {
        /// The boxes from the top, joined by slashes: `moov/trak[1]/mdia`; tracks are counted
        /// from 0.
        path: String,
        /// Bytes from the start of the file.
        offset: u64,
        /// What was expected and what came.
        reason: String,
    },
    /// A movie file ends before something that it needs.
    #[error(
        "the file is cut off: {path} at byte {offset} needs {needed_bytes} bytes, \
         the file has {file_bytes}"
    )]
    Truncated {
        /// The box, or the part of the file.
        path: String,
        /// Where that starts, in bytes from the start of the file.
        offset: u64,
        /// Bytes that the file must have at least to hold it.
        needed_bytes: u64,
        /// Bytes that it has.
        file_bytes: u64,
    },
    /// A movie file breaks the syntax of its container; boxes of MP4 have an error of their own.
    #[error("{part} at byte {offset}: {reason}")]
    Container {
        /// The part of the file: `FLV tag`, `image 12`, `file`.
        part: String,
        /// Bytes from the start of the file.
        offset: u64,
        /// What was expected and what came.
        reason: String,
    },
    /// A movie file has no track that weir carries.
    #[error("no track that can be played: {}", list(.skipped))]
    NoTrack {
        /// The tracks that it has.
        skipped: Vec<SkippedTrack>,
    },
    /// The caller fed a [`crate::movie::Opener`] with other bytes than it asked for.
    #[error("asked for {needed_bytes} bytes at {needed_offset}, got {got_bytes} at {got_offset}")]
    Feed {
        /// Where the bytes asked for start.
        needed_offset: u64,
        /// How many were asked for.
        needed_bytes: u64,
        /// Where the bytes that came start.
        got_offset: u64,
        /// How many came.
        got_bytes: u64,
    },
    /// The caller wrote a frame of a track that the file does not have.
    #[error("the file has no track {}", .0.0)]
    UnknownTrack(TrackId),
}

impl Error {
    pub(crate) fn syntax(what: &'static str, offset: usize, reason: impl Into<String>) -> Self {
        Error::Syntax { what, offset, reason: reason.into() }
    }

    pub(crate) fn container(
        part: impl Into<String>,
        offset: u64,
        reason: impl Into<String>,
    ) -> Self {
        Error::Container { part: part.into(), offset, reason: reason.into() }
    }

    pub(crate) fn unsupported(what: &'static str, reason: impl Into<String>) -> Self {
        Error::Unsupported { what, reason: reason.into() }
    }
}

fn list(skipped: &[SkippedTrack]) -> String {
    if skipped.is_empty() {
        return "the movie has no tracks".to_owned();
    }
    skipped.iter().map(SkippedTrack::to_string).collect::<Vec<_>>().join("; ")
}
