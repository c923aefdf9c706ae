//! What a stream or a file is made of: its tracks, and what was measured of their frames.
//!
//! [`file()`] reads a movie file's index, [`stream`] plays a stream for a while. Both give a
//! [`Report`], which [`Report::in_words`] puts into words.

mod codec;
mod file;
mod gauge;
mod live;
mod words;

use serde::Serialize;
use weir_media::Kind;

pub use file::{Error, file};
pub(crate) use live::StreamProbe;
pub use live::stream;

/// What a stream or a file is made of. What is not known is `None`, and `null` in JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The address, without credentials, or the path.
    pub source: String,
    /// The container, or the protocol and what it went over.
    pub format: String,
    /// Length of the file.
    pub bytes: Option<u64>,
    /// How long it lasts: of a stream, as the server says; `None` for a live one.
    pub duration_ns: Option<u64>,
    /// The time that a stream was watched for.
    pub watched_ns: Option<u64>,
    /// Payload bits a second of all tracks together.
    pub data_rate_bps: Option<u64>,
    /// The tracks of picture and sound, those that cannot be read among them.
    pub tracks: Vec<Track>,
    /// What is odd about it, in plain words.
    pub warnings: Vec<String>,
}

/// One track.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Track {
    /// Its place: 0 for the first.
    pub track: Option<u8>,
    /// `video` or `audio`.
    pub kind: Option<&'static str>,
    /// The codec's name as people write it.
    pub codec: Option<String>,
    /// Why the track cannot be read; nothing is known of its frames then.
    pub unreadable: Option<String>,
    /// The codec as playlists name it (RFC 6381).
    pub codec_string: Option<String>,
    /// The codec's profile.
    pub profile: Option<String>,
    /// The codec's level.
    pub level: Option<String>,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// Chroma sampling, such as `4:2:0`.
    pub chroma: Option<&'static str>,
    /// Bits of a luma sample.
    pub bit_depth: Option<u8>,
    /// Frames a second by the codec's own headers.
    pub frame_rate_said: Option<f64>,
    /// Frames a second, measured.
    pub frame_rate: Option<f64>,
    /// Whether all frames last equally long; known of files.
    pub frame_rate_is_constant: Option<bool>,
    /// Samples of sound a second.
    pub sample_rate_hz: Option<u32>,
    /// Channels of sound.
    pub channels: Option<u8>,
    /// Ticks a second of the clock of its times.
    pub clock_rate_hz: Option<u32>,
    /// The RTP payload type, of a stream.
    pub payload_type: Option<u8>,
    /// How long the track lasts, of a file.
    pub duration_ns: Option<u64>,
    /// Frames counted.
    pub frames: Option<u64>,
    /// Frames with which decoding can start.
    pub key_frames: Option<u64>,
    /// Payload bits a second.
    pub data_rate_bps: Option<u64>,
    /// From one key frame to the next, of pictures.
    pub gop: Option<Gop>,
    /// How many frames may precede a frame in decoding order and follow it in presentation, by
    /// the codec's own headers: an upper bound.
    pub reorder_depth_said: Option<u8>,
    /// The same, measured: 0 where there are no B-frames that are shown before what they follow.
    pub reorder_depth: Option<u8>,
    /// Packets lost, of a stream.
    pub packets_lost: Option<u64>,
}

/// Groups of pictures: those that were seen whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Gop {
    /// How many there are.
    pub count: u64,
    /// Frames of the shortest.
    pub frames_min: u64,
    /// Frames in the mean.
    pub frames_mean: f64,
    /// Frames of the longest.
    pub frames_max: u64,
    /// Time of the shortest.
    pub ns_min: u64,
    /// Time in the mean.
    pub ns_mean: u64,
    /// Time of the longest.
    pub ns_max: u64,
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Video => "video",
        Kind::Audio => "audio",
    }
}
