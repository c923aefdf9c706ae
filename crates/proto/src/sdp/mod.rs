//! Session descriptions (RFC 8866), as RTSP servers send them and as this one does.
//!
//! [`SessionDescription::parse`] forgives what servers get wrong: a missing CR, missing or
//! misplaced lines, attributes that cannot be read. [`Offer::encode`] writes the description of
//! a stream that is served. Texts that come from a packer (`rtpmap`, `fmtp`) are taken as they
//! are.
//!
//! Not here: the offer and answer of RFC 3264, encryption keys, repeat times and time zones.
//!
//! ```
//! use weir_proto::sdp::SessionDescription;
//!
//! let text = "v=0\r\ns=movie\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
//! let description = SessionDescription::parse(text).unwrap();
//! let map = description.media[0].rtpmap(96).unwrap();
//! assert_eq!((map.encoding.as_str(), map.clock_rate_hz), ("H264", 90_000));
//! ```

#[doc(hidden)]
pub mod fuzz;
mod offer;
mod parse;

use crate::rtsp::headers::Range;

pub use offer::{Extent, Offer, OfferedTrack, Origin};

/// A description that was received.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionDescription {
    /// The session's name (`s=`); absent where it is empty or a lone dash.
    pub name: Option<String>,
    /// The address for all tracks together, as it was sent: resolve it against the base.
    pub control: Option<String>,
    /// The stretch of the time line that there is (RFC 2326 section C.1.5).
    pub range: Option<Range>,
    /// Which way media goes, where the session says so for all tracks.
    pub direction: Option<Direction>,
    /// The bandwidths (`b=`) of the session as a whole.
    pub bandwidth: Vec<Bandwidth>,
    /// The tracks, in their order: at most [`MEDIA_MAX`].
    pub media: Vec<Media>,
    /// How many lines could not be read, or went past a bound, and were passed over.
    pub skipped_lines: u64,
}

/// One track (`m=`) and its attributes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Media {
    /// `video`, `audio`, `application`, ...
    pub kind: String,
    /// The port; 0 where SETUP is to choose.
    pub port: u16,
    /// `RTP/AVP`, ...
    pub protocol: String,
    /// The RTP payload types, in their order.
    pub payload_types: Vec<u8>,
    /// What each dynamic payload type stands for.
    pub rtpmaps: Vec<RtpMap>,
    /// The format parameters.
    pub fmtps: Vec<Fmtp>,
    /// The track's address, as it was sent: resolve it against the base.
    pub control: Option<String>,
    /// The stretch of the time line that the track has.
    pub range: Option<Range>,
    /// Which way media goes: the track's own word, or else the session's.
    pub direction: Option<Direction>,
    /// The bandwidths (`b=`).
    pub bandwidth: Vec<Bandwidth>,
    /// Frames a second (`a=framerate`).
    pub frame_rate: Option<f64>,
    /// All other attributes, name and value, in their order.
    pub attributes: Vec<(String, Option<String>)>,
}

/// What a payload type stands for (RFC 8866 section 6.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpMap {
    /// The payload type.
    pub payload_type: u8,
    /// The encoding's name, as it was sent. Names are equal whatever their case.
    pub encoding: String,
    /// Ticks of the RTP time stamp a second.
    pub clock_rate_hz: u32,
    /// The number of channels, where it is said; for audio, 1 where it is not.
    pub channels: Option<u8>,
}

/// The parameters of a format (RFC 8866 section 6.15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fmtp {
    /// The payload type.
    pub payload_type: u8,
    /// Names and values, in their order; names as they were sent.
    pub parameters: Vec<(String, String)>,
}

/// A bandwidth (RFC 8866 section 5.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bandwidth {
    /// `AS`, `CT`, `TIAS`, ...
    pub kind: String,
    /// The number, in kbit/s; in bit/s for `TIAS` (RFC 3890).
    pub value: u64,
}

/// Which way media goes (RFC 8866 section 6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// From whom the description comes.
    SendOnly,
    /// To whom the description comes from.
    RecvOnly,
    /// Neither.
    Inactive,
}

/// Why a text is no description at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is longer than [`TEXT_BYTES_MAX`].
    #[error("the description has {bytes} bytes, {TEXT_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It does not begin with `v=0`.
    #[error("expected v=0 at the beginning, got {0:?}")]
    Version(String),
    /// It names no track.
    #[error("the description names no track: no line m= can be read")]
    NoMedia,
}

/// The longest description that is read.
pub const TEXT_BYTES_MAX: usize = 256 * 1024;
/// How many tracks of a description are read.
pub const MEDIA_MAX: usize = 64;
/// How many entries of one kind (attributes, parameters, payload types) are read.
pub const ENTRIES_MAX: usize = 128;

impl Media {
    /// What a payload type stands for; absent for a static one that is not spelt out.
    pub fn rtpmap(&self, payload_type: u8) -> Option<&RtpMap> {
        self.rtpmaps.iter().find(|map| map.payload_type == payload_type)
    }

    /// The format parameters of a payload type.
    pub fn fmtp(&self, payload_type: u8) -> Option<&Fmtp> {
        self.fmtps.iter().find(|fmtp| fmtp.payload_type == payload_type)
    }
}

impl Fmtp {
    /// The value of the first parameter of this name, whatever its case; empty for one without
    /// a value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests;
