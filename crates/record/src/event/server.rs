//! Events of the server.

use serde::{Deserialize, Serialize};

use super::{TrackInfo, TrackStart};
use crate::Text;

/// The server takes connections or packets at an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    /// The protocol.
    pub protocol: Text,
    /// Address and port.
    pub address: Text,
}

/// A stream can be asked for from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamAdded {
    /// The stream's name.
    pub stream: Text,
    /// Its tracks.
    pub tracks: Vec<TrackInfo>,
}

/// A stream is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRemoved {
    /// The stream's name.
    pub stream: Text,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
}

/// Somebody's request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Who asked: address and port.
    pub peer: Text,
    /// What was asked: `play`, `publish` or an action of the API.
    pub action: Text,
    /// What it was asked of.
    pub path: Text,
    /// Why it was refused, in a sentence.
    pub why: Text,
}

/// A viewer was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewerJoined {
    /// The viewer's number in this run.
    pub viewer: u64,
    /// The stream's name.
    pub stream: Text,
    /// The viewer's address and port.
    pub peer: Text,
    /// How the media travels, such as `rtsp/udp`.
    pub transport: Text,
    /// What the viewer says it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Text>,
}

/// A viewer is served from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewerPlaying {
    /// The viewer.
    pub viewer: u64,
    /// Start of the range in the movie's own time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_ns: Option<u64>,
    /// End of the range; absent for a live stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_ns: Option<u64>,
    /// Where each track's packets start.
    pub tracks: Vec<TrackStart>,
}

/// A viewer paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewerPaused {
    /// The viewer.
    pub viewer: u64,
    /// The place reached, in the movie's own time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position_ns: Option<u64>,
}

/// A slow viewer was moved on to the newest key frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewerSkipped {
    /// The viewer.
    pub viewer: u64,
    /// Frames that it did not get.
    pub frames_skipped: u64,
    /// Packets or messages that it did not get, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets_skipped: Option<u64>,
    /// Bytes that it did not get, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_skipped: Option<u64>,
    /// When the first frame left out would have been shown, in the stream's time.
    pub from_pts_ns: i64,
    /// When the frame that it goes on with is shown.
    pub to_pts_ns: i64,
    /// What the stream needs, in bits a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_rate_bps: Option<u64>,
    /// What the viewer took, in bits a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewer_rate_bps: Option<u64>,
}

/// A viewer's RTCP receiver report came (RFC 3550 section 6.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverReport {
    /// The viewer.
    pub viewer: u64,
    /// The track that it is about.
    pub track: u8,
    /// Packets lost since the viewer's report before, in 256ths of those expected.
    pub fraction_lost: u8,
    /// Packets lost since the start; negative where duplicates outnumber losses.
    pub cumulative_lost: i32,
    /// Highest extended sequence number received, 32 bits.
    pub highest_seq: u32,
    /// Inter-arrival jitter.
    pub jitter_ns: u64,
    /// Round trip by LSR and DLSR; absent until the viewer has seen a sender report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_ns: Option<u64>,
}

/// A viewer is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewerLeft {
    /// The viewer.
    pub viewer: u64,
    /// Why: `teardown`, `timeout`, `closed`, or what failed.
    pub reason: Text,
    /// Packets or messages sent to it.
    pub packets: u64,
    /// Payload bytes sent to it.
    pub octets: u64,
    /// Time since it joined.
    pub lasted_ns: u64,
    /// Images sent to it, or tried to, in datagrams of more than 20,480 bytes, which many
    /// clients of the classroom dialect cannot take whole; absent for other dialects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oversize: Option<u64>,
    /// Images not sent to it, because no datagram holds them; absent outside of the classroom
    /// dialect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_dropped: Option<u64>,
}

/// Somebody watches by HTTP: requests that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionBegan {
    /// The session: the page's token, or a number of this run.
    pub session: Text,
    /// The stream's name.
    pub stream: Text,
    /// Address and port of the first request.
    pub peer: Text,
    /// `progressive`, `hls` or `dash`; absent while it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Text>,
    /// What the player says it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Text>,
    /// By what it is told from others.
    pub identified_by: Text,
}

/// Somebody who watched by HTTP is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnded {
    /// The session.
    pub session: Text,
    /// The stream's name.
    pub stream: Text,
    /// Why: `timeout`, `dropped` or `server ended`.
    pub reason: Text,
    /// `progressive`, `hls` or `dash`; absent where it was never known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Text>,
    /// Requests that it has made.
    pub requests: u64,
    /// Bytes sent to it.
    pub bytes: u64,
    /// From the first request to the last sign of life.
    pub lasted_ns: u64,
}

/// A page says what it has measured since it began to play.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageReport {
    /// The session: the page's token.
    pub session: Text,
    /// The stream's name.
    pub stream: Text,
    /// When the page said so, by its own clock.
    pub utc_ns: u64,
    /// From the wish to play to the first picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup_ns: Option<u64>,
    /// How often the picture stood still for want of data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stalls: Option<u64>,
    /// How long in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stalled_ns: Option<u64>,
    /// Media that is there and was not shown yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer_ns: Option<u64>,
    /// Frames decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_decoded: Option<u64>,
    /// Frames that came too late to be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_dropped: Option<u64>,
    /// What the player takes the network for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throughput_bps: Option<u64>,
    /// Frames whose time code was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_frames: Option<u64>,
    /// Their age when they were shown: the median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p50_ns: Option<i64>,
    /// The age that 95 % of them did not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p95_ns: Option<i64>,
    /// The age that 99 % of them did not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p99_ns: Option<i64>,
    /// Frames whose time code was not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_skipped_by_reader: Option<u64>,
}

/// One second of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSecond {
    /// The stream's name.
    pub stream: Text,
    /// The time that the figures cover, up to this record: one second, less for the last.
    pub span_ns: u64,
    /// Viewers at the end of the second.
    pub viewers: u64,
    /// Frames that the stream brought; absent where each viewer has a position of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<u64>,
    /// Packets or messages sent to viewers.
    pub packets: u64,
    /// Bytes handed to the network for viewers, headers of the media protocol included.
    pub bytes: u64,
    /// Times that a slow viewer was moved on.
    pub skips: u64,
    /// Packets that the network did not take.
    pub packets_refused: u64,
}
