//! Movies, whatever container they stand in.
//!
//! [`Opener`] tells a file's format by its content and reads its structure into a [`Movie`], which
//! says where each sample is, groups samples by GOPs, and makes frames of their bytes.

mod build;
mod line;
mod opened;
mod opener;
pub(crate) mod table;

pub use opened::{GopSamples, Movie, Sample};
pub use opener::{Opener, STEP_BYTES, Step};

pub(crate) use build::{Jumps, TrackBuilder, Unit, origin};
pub(crate) use line::TimeLine;
pub(crate) use opened::{Layout, TrackIndex};
pub(crate) use opener::Scan;
pub(crate) use table::SampleTable;

/// The container of a movie file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// MP4 or QuickTime (ISO/IEC 14496-12).
    Mp4,
    /// Flash Video.
    Flv,
    /// MPEG transport stream (ISO/IEC 13818-1), in packets of 188, 192 or 204 bytes.
    Ts,
    /// JPEG images, five decimal digits with the length before each.
    ClassroomMjpeg,
    /// JPEG images one behind another.
    Jpegs,
}

impl Format {
    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Mp4 => "MP4",
            Format::Flv => "FLV",
            Format::Ts => "MPEG-TS",
            Format::ClassroomMjpeg => "classroom MJPEG",
            Format::Jpegs => "Motion JPEG",
        }
    }
}

/// A track of a file that cannot be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedTrack {
    /// Its place in the file, as its format counts: `trak[0]`, `PID 257`, `sound`.
    pub place: String,
    /// What names its codec there, if it is picture or sound: `ac-3`, `0x81`.
    pub codec: Option<String>,
    /// Why.
    pub reason: String,
}

impl core::fmt::Display for SkippedTrack {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.place)?;
        if let Some(codec) = &self.codec {
            write!(f, ", codec \"{codec}\"")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// What was found odd: a bounded list without repetition.
#[derive(Debug, Default)]
pub(crate) struct Warnings(pub(crate) Vec<String>);

impl Warnings {
    pub(crate) fn push(&mut self, text: String) {
        if self.0.len() < WARNINGS_MAX && !self.0.contains(&text) {
            self.0.push(text);
        }
    }
}

const WARNINGS_MAX: usize = 32;
