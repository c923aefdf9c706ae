//! Tracks: what a stream is made of.

use crate::{aac, h264};

/// A track's place in its stream: 0 for the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackId(pub u8);

/// Whether a track is picture or sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Picture.
    Video,
    /// Sound.
    Audio,
}

/// What a track's frames are coded in, with all that a decoder must know before the first.
///
/// The set is open: a protocol that meets a codec it cannot carry says so by name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// H.264 (ISO/IEC 14496-10). A frame's payload is one access unit: NAL units, each behind
    /// its length in four bytes, big endian; without parameter sets (they are in the
    /// configuration) and without access unit delimiters.
    H264(h264::Config),
    /// AAC (ISO/IEC 14496-3). A frame's payload is one raw access unit, without ADTS header.
    Aac(aac::Config),
}

impl Codec {
    /// Picture or sound.
    pub fn kind(&self) -> Kind {
        match self {
            Codec::H264(_) => Kind::Video,
            Codec::Aac(_) => Kind::Audio,
        }
    }

    /// The codec's name as people write it.
    pub fn name(&self) -> &'static str {
        match self {
            Codec::H264(_) => "H.264",
            Codec::Aac(_) => "AAC",
        }
    }
}

/// One track of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Its place in the stream, which its frames bear.
    pub id: TrackId,
    /// What it is coded in.
    pub codec: Codec,
    /// Ticks a second of the clock that its times came from: 90,000 or the file's time scale
    /// for pictures, the sampling rate for sound.
    pub clock_rate_hz: u32,
}
