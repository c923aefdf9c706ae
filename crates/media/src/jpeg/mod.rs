//! JPEG (ITU-T T.81), one image a frame: an image's structure, where it ends, and how its entropy
//! coding becomes that of the standard tables without a change of any coefficient.
//!
//! Pixels are not touched here, and not known.

mod head;
mod huffman;
mod marker;
mod quantisation;
mod recode;
mod write;

pub use head::{Coding, Component, Head, Process, Sampling, ScanComponent};
pub use huffman::{CodeTable, STANDARD_CHROMA, STANDARD_LUMA};
pub use marker::{entropy_bytes, image_bytes};
pub use quantisation::{QuantisationTable, scaled_tables};
pub use recode::{Recoded, recode};
pub use write::write_head;

use crate::Error;

/// What every image of a Motion JPEG stream has in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// How the first image is coded; `None` where no image has been looked at.
    pub coding: Option<Coding>,
}

impl Config {
    /// What the head of an image says: the bytes from SOI to the first scan, or more.
    ///
    /// # Errors
    /// When these are no image, or end before its first scan.
    pub fn from_image(image: &[u8]) -> Result<Config, Error> {
        Head::read(image).map(|head| head.config())
    }
}

const IMAGE: &str = "JPEG image";

#[cfg(test)]
mod tests;
