//! Events of the player.

use serde::{Deserialize, Serialize};

use super::{MediaKind, TrackStart};
use crate::{Histogram, Text};

/// The player starts to connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connecting {
    /// What is played, without credentials.
    pub url: Text,
    /// How the media travels: `udp` or `tcp` for RTSP, `classroom/udp` for the classroom dialect.
    pub transport: Text,
}

/// The connection stands: TCP's handshake is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// Time since `connecting`.
    pub after_ns: u64,
    /// The server's address and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<Text>,
}

/// The server answered a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// The request's method.
    pub method: Text,
    /// The answer's status code.
    pub status: u16,
    /// Time from the request to the answer.
    pub round_trip_ns: u64,
}

/// The server described a track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackDescribed {
    /// The track's place in its stream: 0 for the first.
    pub track: u8,
    /// Picture or sound.
    pub kind: MediaKind,
    /// The codec's name.
    pub codec: Text,
    /// Ticks a second of the track's RTP clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_rate_hz: Option<u32>,
}

/// The server began to play.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Playing {
    /// Start of the range in the movie's own time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_ns: Option<u64>,
    /// End of the range; absent for a live stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_ns: Option<u64>,
    /// Where each track's packets start, as far as the server said.
    pub tracks: Vec<TrackStart>,
}

/// The server paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// The place reached, in the movie's own time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position_ns: Option<u64>,
}

/// The player asks for another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seeking {
    /// The place, in the movie's own time.
    pub to_ns: u64,
}

/// The first byte of media came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstByte {
    /// Time since `connecting`.
    pub after_ns: u64,
}

/// The first frame with which decoding can start is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstDecodableFrame {
    /// The frame's track.
    pub track: u8,
    /// Time since `connecting`.
    pub after_ns: u64,
}

/// An RTCP sender report came (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SenderReport {
    /// The track that it is about.
    pub track: u8,
    /// The sender's synchronisation source.
    pub ssrc: u32,
    /// The sender's wall clock: seconds since 1900 in the upper 32 bits, the fraction of a
    /// second in the lower.
    pub ntp: u64,
    /// The same moment on the track's RTP clock.
    pub rtp_timestamp: u32,
    /// Packets sent, as the sender counts them.
    pub packet_count: u32,
    /// Payload bytes sent, as the sender counts them.
    pub octet_count: u32,
}

/// An RTCP BYE came (RFC 3550 section 6.6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bye {
    /// The track that ends.
    pub track: u8,
    /// The source that leaves.
    pub ssrc: u32,
    /// Why, if the source said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
}

/// A run of packets is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The packets' track.
    pub track: u8,
    /// Extended sequence number of the first missing packet (RFC 3550 appendix A.1): the
    /// number on the wire is the lower 16 bits.
    pub first_seq: u64,
    /// How many are missing.
    pub count: u64,
}

/// A frame was thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameDiscarded {
    /// The frame's track.
    pub track: u8,
    /// When it would have been shown, in the stream's time; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pts_ns: Option<i64>,
    /// Why.
    pub reason: DiscardReason,
}

/// Why a frame was thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DiscardReason {
    /// Some of its packets never came.
    Incomplete,
    /// Its packets do not follow the payload format.
    Malformed,
    /// It is larger than the player takes.
    TooLarge,
    /// A reason that this version does not know.
    #[serde(other)]
    Unknown,
}

/// One second of a track.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackSecond {
    /// The track.
    pub track: u8,
    /// The time that the figures cover, up to this record: one second, less for the last.
    pub span_ns: u64,
    /// Complete frames.
    pub frames: u64,
    /// Complete frames with which decoding can start.
    pub key_frames: u64,
    /// Frames thrown away.
    pub frames_discarded: u64,
    /// RTP payload bytes of the packets counted in `packets`.
    pub bytes: u64,
    /// Bytes of the IP packets that came, duplicates too; absent where the transport hides them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_bytes: Option<u64>,
    /// Packets received, duplicates left out.
    pub packets: u64,
    /// By how much the packets expected (RFC 3550 section 6.4.1) grew.
    pub expected: u64,
    /// By how much expected less received packets grew: negative when late packets filled gaps.
    pub lost: i64,
    /// Packets that came after one with a higher sequence number.
    pub reordered: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets, among those received, that came after their frame had been given up.
    pub late: u64,
    /// Inter-arrival jitter at the end of the second (RFC 3550 section 6.4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_ns: Option<u64>,
    /// Jitter at the end of the second by arrivals alone, against one frame each 50 ms; in the
    /// classroom dialect, whose time stamps tell none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_against_50ms_ns: Option<u64>,
    /// Times from one packet's arrival to the next.
    pub inter_arrival_ns: Histogram,
}

/// A whole track, at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackTotal {
    /// The track.
    pub track: u8,
    /// The codec's name.
    pub codec: Text,
    /// Time from the first to the last packet, pauses left out; absent below two packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiving_ns: Option<u64>,
    /// Complete frames.
    pub frames: u64,
    /// Complete frames with which decoding can start.
    pub key_frames: u64,
    /// Frames thrown away.
    pub frames_discarded: u64,
    /// RTP payload bytes of the packets counted in `packets`.
    pub bytes: u64,
    /// Bytes of the IP packets that came, duplicates too; absent where the transport hides them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_bytes: Option<u64>,
    /// Packets received, duplicates left out.
    pub packets: u64,
    /// Packets from the first to the highest sequence number received, both included.
    pub expected: u64,
    /// `expected` less `packets`.
    pub lost: u64,
    /// Packets that came after one with a higher sequence number.
    pub reordered: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets, among those received, that came after their frame had been given up.
    pub late: u64,
    /// Packets sent before the first received; absent where neither RTP-Info nor a sender report
    /// tells. In the classroom dialect the numbers themselves tell: they begin with 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_lost: Option<u64>,
    /// Packets sent after the last received; absent where no sender report came with a BYE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail_lost: Option<u64>,
    /// Extended sequence number of the first packet received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seq: Option<u64>,
    /// Highest extended sequence number received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub highest_seq: Option<u64>,
    /// Inter-arrival jitter at the end (RFC 3550 section 6.4.1); absent below two packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_ns: Option<u64>,
    /// Jitter at the end by arrivals alone, against one frame each 50 ms; in the classroom
    /// dialect, whose time stamps tell none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_against_50ms_ns: Option<u64>,
    /// Times from one packet's arrival to the next.
    pub inter_arrival_ns: Histogram,
}

/// One RTP packet came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtpPacket {
    /// The packet's track.
    pub track: u8,
    /// Extended sequence number (RFC 3550 appendix A.1).
    pub seq: u64,
    /// RTP time stamp.
    pub rtp_timestamp: u32,
    /// The marker bit.
    pub marker: bool,
    /// RTP payload bytes.
    pub bytes: u32,
    /// Bytes of the IP packet; absent where the transport hides them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_bytes: Option<u32>,
}
