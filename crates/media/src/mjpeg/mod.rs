//! Motion JPEG files: images one behind another, bare or with their lengths before them.

mod classroom;
mod jpegs;
mod writer;

pub(crate) use classroom::ClassroomReader;
pub(crate) use jpegs::JpegsReader;
pub use writer::Writer;

use crate::movie::{
    Format, Jumps, Layout, Movie, TimeLine, TrackBuilder, TrackIndex, Unit, Warnings,
};
use crate::{Codec, Error, MediaTime, Track, TrackId, jpeg};

/// How a JPEG image starts: SOI, and the first byte of the next marker.
pub(crate) const IMAGE_START: &[u8] = &[0xff, 0xd8, 0xff];
/// EOI.
const IMAGE_END: &[u8] = &[0xff, 0xd9];

/// The images of a file, as far as they were read.
#[derive(Debug)]
struct Images {
    config: Option<jpeg::Config>,
    builder: TrackBuilder,
    jumps: Jumps,
    warnings: Warnings,
    count: u32,
    frame_ms: u32,
}

impl Images {
    fn new(frame_ms: u32) -> Self {
        Images {
            config: None,
            builder: TrackBuilder::default(),
            jumps: Jumps::new(RATE_HZ),
            warnings: Warnings::default(),
            count: 0,
            frame_ms,
        }
    }

    /// Adds an image that starts at `at` in the file.
    fn push(&mut self, at: u64, image: &[u8]) -> Result<(), Error> {
        if self.config.is_none() {
            let config = jpeg::Config::from_image(image).map_err(|error| match error {
                Error::Syntax { offset, reason, .. } => {
                    Error::container("image 0", at + offset as u64, reason)
                }
                error => error,
            })?;
            self.config = Some(config);
        }
        let time = i64::from(self.count) * i64::from(self.frame_ms);
        self.count = self.count.saturating_add(1);
        let unit = Unit {
            offset: at,
            bytes: image.len() as u32,
            dts: time,
            pts: time,
            key: true,
            duration: Some(self.frame_ms),
            skip: 0,
        };
        self.builder.push(unit, &mut self.jumps, &mut self.warnings);
        Ok(())
    }

    /// What is wrong from a place on: an error if nothing stands before it.
    fn stop(&mut self, error: Error) -> Result<(), Error> {
        if self.count == 0 {
            return Err(error);
        }
        self.warnings.push(format!("{error}; what stands before it is used"));
        Ok(())
    }

    fn finish(self, format: Format) -> Result<Movie, Error> {
        let Some(config) = self.config else {
            return Err(Error::container("file", 0, "it has no image"));
        };
        let track = Track { id: TrackId(0), codec: Codec::Jpeg(config), clock_rate_hz: RATE_HZ };
        let index = TrackIndex {
            table: self.builder.finish().table,
            line: LINE,
            length_bytes: 0,
            layout: Layout::Whole,
        };
        Movie::new(format, vec![(track, index)], Vec::new(), self.warnings)
    }
}

const RATE_HZ: u32 = 1000;
const LINE: TimeLine =
    TimeLine { rate_hz: RATE_HZ, media_time: 0, delay: MediaTime::ZERO, lead: 0 };
