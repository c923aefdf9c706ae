//! Dynamic Adaptive Streaming over HTTP (ISO/IEC 23009-1): media presentation descriptions written
//! from plain structs; [`read`] is the way back, for players.

mod mpd;
pub mod read;
#[cfg(test)]
mod tests;

pub use mpd::{Content, Live, Mpd, Period, Picture, Representation, Run, Sound, Timeline};

/// The type of a media presentation description (ISO/IEC 23009-1 annex C).
pub const CONTENT_TYPE: &str = "application/dash+xml";
