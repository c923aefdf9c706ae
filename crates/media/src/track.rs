//! Tracks: what a stream is made of.

use crate::{aac, av1, g711, h264, h265, jpeg, opus, vp8, vp9};

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
    /// H.265 (ISO/IEC 23008-2). A frame's payload is one access unit: NAL units, each behind its
    /// length in four bytes, big endian; without parameter sets and access unit delimiters, as
    /// for H.264.
    H265(h265::Config),
    /// VP8 (RFC 6386). A frame's payload is one frame, with its uncompressed data chunk.
    Vp8(vp8::Config),
    /// VP9. A frame's payload is one frame, or one superframe.
    Vp9(vp9::Config),
    /// AV1. A frame's payload is one temporal unit: open bitstream units, each with its size,
    /// without temporal delimiters, as in MP4.
    Av1(av1::Config),
    /// Motion JPEG. A frame's payload is one image from SOI to EOI (ITU-T T.81), whose tables
    /// are its own; without tables of Huffman codes it means the standard ones.
    Jpeg(jpeg::Config),
    /// AAC (ISO/IEC 14496-3). A frame's payload is one raw access unit, without ADTS header.
    Aac(aac::Config),
    /// Opus (RFC 6716). A frame's payload is one packet.
    Opus(opus::Config),
    /// G.711 (ITU-T G.711). A frame's payload is a run of samples, one byte for each channel.
    G711(g711::Config),
}

impl Codec {
    /// Picture or sound.
    pub fn kind(&self) -> Kind {
        match self {
            Codec::H264(_) | Codec::H265(_) | Codec::Vp8(_) | Codec::Vp9(_) | Codec::Av1(_) => {
                Kind::Video
            }
            Codec::Jpeg(_) => Kind::Video,
            Codec::Aac(_) | Codec::Opus(_) | Codec::G711(_) => Kind::Audio,
        }
    }

    /// The codec's name as people write it.
    pub fn name(&self) -> &'static str {
        match self {
            Codec::H264(_) => "H.264",
            Codec::H265(_) => "H.265",
            Codec::Vp8(_) => "VP8",
            Codec::Vp9(_) => "VP9",
            Codec::Av1(_) => "AV1",
            Codec::Jpeg(_) => "JPEG",
            Codec::Aac(_) => "AAC",
            Codec::Opus(_) => "Opus",
            Codec::G711(_) => "G.711",
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
