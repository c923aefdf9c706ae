//! Media as weir carries it: time, tracks, frames, parameter sets and containers.
//!
//! Nothing here reads a file or a socket: containers are parsed from bytes that the caller
//! brings, and written into bytes that the caller puts somewhere.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod aac;
pub mod av1;
pub mod g711;
pub mod h264;
pub mod h265;
pub mod jpeg;
pub mod nal;
pub mod opus;
pub mod vp8;
pub mod vp9;

pub mod flv;
pub mod mjpeg;
pub mod movie;
pub mod mp4;
pub mod ts;

#[doc(hidden)]
pub mod fuzz;

mod bits;
mod error;
mod frame;
mod look;
mod time;
mod track;

pub use error::Error;
pub use frame::{Capture, CaptureSource, Frame, KeyKind};
pub use look::{Colour, Look};
pub use time::MediaTime;
pub use track::{Codec, Kind, Track, TrackId};
