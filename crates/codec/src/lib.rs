//! Encoders, decoders and scaling behind our own traits, and the test pattern with its time code.
//!
//! The codecs themselves are others'; none of their types shows here, so that each can be
//! exchanged. Everything runs on the caller's thread, at once, and depends on its input alone: the
//! same pictures give the same bytes.
//!
//! - [`video_decoder`] and [`sound_decoder`] open what a [`weir_media::Track`] says;
//!   [`h264::Encoder`], [`jpeg::Encoder`], [`opus::Encoder`] and [`aac::Encoder`] make
//!   [`weir_media::Frame`]s in the form that [`weir_media::Codec`] states.
//! - [`pattern`] draws the test pattern and makes its sound; [`timecode`] writes and reads the
//!   strip at its top; [`flash`] and [`beep`] find the two marks of each whole second.
//!
//! ```
//! use weir_codec::timecode::{self, TimeCode};
//! use weir_codec::Picture;
//!
//! let mut picture = Picture::new(640, 360);
//! let code = TimeCode { is_live: true, frame: 7, time_ms: 1_700_000_000_123 };
//! timecode::write(&mut picture, &code);
//! assert_eq!(timecode::read(picture.luma()), Some(code));
//! ```
#![deny(unsafe_code)]

pub mod aac;
pub mod beep;
mod error;
pub mod flash;
#[doc(hidden)]
pub mod fuzz;
pub mod h264;
pub mod jpeg;
pub mod opus;
pub mod pattern;
mod picture;
mod rgb;
mod scale;
mod sound;
pub mod timecode;
mod video;

pub use error::Error;
pub use picture::{Picture, Plane, Range};
pub use rgb::{to_rgb, to_rgba};
pub use scale::scale;
pub use sound::{Pcm, SoundDecoder, SoundEncoder, sound_decoder};
pub use video::{Decoded, Stamp, VideoDecoder, VideoEncoder, video_decoder};

/// The assembly that the H.264 encoder was built with: `nasm` (x86), `neon` (ARM), or `none`,
/// with which it takes about twice the time.
pub const ASSEMBLY: &str = env!("WEIR_OPENH264_ASSEMBLY");
