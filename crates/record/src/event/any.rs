//! Events that every role writes, and what events share.

use serde::{Deserialize, Serialize};

use crate::Text;

/// Something is not as it should be, and the run goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What, in a sentence.
    pub text: Text,
}

/// Something failed: the event `error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What, in a sentence.
    pub text: Text,
}

/// The run ended. No record follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Why.
    pub reason: EndReason,
    /// More about it, such as what failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndReason {
    /// What was asked for is done, such as `--seconds N`.
    Done,
    /// The stream came to its end.
    EndOfStream,
    /// The user or a signal stopped it.
    Stopped,
    /// The peer closed the connection before the end.
    PeerClosed,
    /// It failed.
    Failed,
    /// A reason that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A bounded queue dropped something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// What was dropped, and where.
    pub what: Text,
    /// How many since the last such event of the same name.
    pub count: u64,
}

/// Records are missing here: they came faster than they could be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordsDropped {
    /// The `t_ns` of the first that is missing.
    pub first_t_ns: u64,
    /// How many of level event are missing.
    pub events: u64,
    /// How many of level second are missing.
    pub seconds: u64,
    /// How many of level packet are missing.
    pub packets: u64,
}

/// Whether a track is picture or sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MediaKind {
    /// Picture.
    Video,
    /// Sound.
    Audio,
    /// A kind that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A track of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackInfo {
    /// The track's place in its stream: 0 for the first.
    pub track: u8,
    /// Picture or sound.
    pub kind: MediaKind,
    /// The codec's name.
    pub codec: Text,
}

/// Where a track's packets start after a PLAY (RFC 2326 section 12.33, `RTP-Info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackStart {
    /// The track's place in its stream.
    pub track: u8,
    /// The synchronisation source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssrc: Option<u32>,
    /// The sequence number of the first packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seq: Option<u16>,
    /// The RTP time stamp that stands for the start of the range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtp_timestamp: Option<u32>,
}
