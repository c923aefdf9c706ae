//! Events of a player that fetches segments and shows frames at their times.

use serde::{Deserialize, Serialize};

use crate::{Histogram, Text};

/// A segment, or another part of a movie, was fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentFetched {
    /// The first track that it holds.
    pub track: u8,
    /// Its number: the playlist's, or counted from 0.
    pub number: u64,
    /// Bytes of its content.
    pub bytes: u64,
    /// How long it lasts when it is played.
    pub duration_ns: u64,
    /// Time from the request to the head of the answer.
    pub to_answer_ns: u64,
    /// Time from the request to its last byte.
    pub took_ns: u64,
}

/// The first frame is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlayoutStarted {
    /// Time since `connecting`.
    pub after_ns: u64,
    /// Its presentation time.
    pub position_ns: i64,
}

/// What is to be shown now has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stalled {
    /// The place that is missing.
    pub position_ns: i64,
}

/// It goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// How long it stood still.
    pub stalled_ns: u64,
}

/// One second of a track that is fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaSecond {
    /// The track.
    pub track: u8,
    /// The time that the figures cover, up to this record: one second, less for the last.
    pub span_ns: u64,
    /// Frames that came.
    pub frames: u64,
    /// Those among them with which decoding can start.
    pub key_frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames whose time to be shown came.
    pub frames_shown: u64,
    /// How much is there beyond what is shown, at the end of the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer_ns: Option<u64>,
}

/// A whole track that was fetched, at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaTotal {
    /// The track.
    pub track: u8,
    /// The codec's name.
    pub codec: Text,
    /// Frames that came.
    pub frames: u64,
    /// Those among them with which decoding can start.
    pub key_frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames whose time to be shown came.
    pub frames_shown: u64,
    /// Time from the first frame that came to the last; absent below two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiving_ns: Option<u64>,
}

/// What a latency is measured to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LatencyBasis {
    /// To the arrival of the frame's last byte.
    Arrived,
    /// To the moment at which the player's clock shows the frame.
    Shown,
    /// A basis that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// One second of true latency: from capture, by the time code in the picture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencySecond {
    /// The time that the figures cover.
    pub span_ns: u64,
    /// Up to what.
    pub basis: LatencyBasis,
    /// Latencies of the frames whose time code was read; 0 where a clock runs ahead.
    pub latency_ns: Histogram,
}

/// The true latency of a run, at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyTotal {
    /// Up to what.
    pub basis: LatencyBasis,
    /// Latencies of the frames whose time code was read; 0 where a clock runs ahead.
    pub latency_ns: Histogram,
    /// Frames whose time code was read and says live.
    pub frames_live: u64,
    /// Frames whose time code was read and says recorded: they have no latency.
    pub frames_recorded: u64,
    /// Frames that were decoded and bear no readable time code.
    pub frames_unread: u64,
    /// Frames that were not decoded, because decoding was too slow or failed.
    pub frames_skipped: u64,
    /// Pairs of a flash and a beep: by how much one came before the other.
    pub skew_ns: Histogram,
}
