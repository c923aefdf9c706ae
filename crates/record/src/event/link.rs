//! Events of the link. Bytes are those of IP packets.

use serde::{Deserialize, Serialize};

use crate::{Histogram, Text};

/// Which of a link's two directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the first end to the second.
    #[default]
    Up,
    /// From the second end to the first.
    Down,
}

/// A link's settings, at the start and at each change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSettings {
    /// The link's number.
    pub link: u64,
    /// The direction that they are for.
    pub direction: Direction,
    /// The link's name, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// The settings, as they are written on a command line.
    pub settings: Text,
}

/// What happened to packets.
///
/// Over the whole run, offered = delivered + dropped + those still inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCounts {
    /// Packets offered.
    pub offered_packets: u64,
    /// Bytes offered.
    pub offered_bytes: u64,
    /// Packets that came out.
    pub delivered_packets: u64,
    /// Bytes that came out.
    pub delivered_bytes: u64,
    /// Packets that the full queue refused.
    pub dropped_queue_packets: u64,
    /// Bytes that the full queue refused.
    pub dropped_queue_bytes: u64,
    /// Packets lost by chance.
    pub dropped_loss_packets: u64,
    /// Bytes lost by chance.
    pub dropped_loss_bytes: u64,
    /// Packets refused because the model held too many.
    pub dropped_inside_packets: u64,
    /// Bytes refused because the model held too many packets.
    pub dropped_inside_bytes: u64,
}

/// One second of one direction of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSecond {
    /// The link's number.
    pub link: u64,
    /// The direction.
    pub direction: Direction,
    /// The time that the figures cover, up to this record: one second, less for the last.
    pub span_ns: u64,
    /// What happened in it.
    pub counts: LinkCounts,
    /// The most bytes that waited at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_bytes_max: Option<u64>,
    /// Times from a packet's entry until its last bit had been sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_delay_ns: Option<Histogram>,
}

/// One direction of a link, at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkTotal {
    /// The link's number.
    pub link: u64,
    /// The direction.
    pub direction: Direction,
    /// What happened to all packets.
    pub counts: LinkCounts,
    /// The most packets that waited at once.
    pub queue_packets_max: u64,
    /// The most bytes that waited at once.
    pub queue_bytes_max: u64,
    /// Packets whose `passage` was not kept.
    pub passages_missed: u64,
}

/// One packet's way through a link, written once its fate is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// The link's number.
    pub link: u64,
    /// The direction.
    pub direction: Direction,
    /// How many packets were offered before it in this direction.
    pub index: u64,
    /// Bytes of the IP packet.
    pub ip_bytes: u32,
    /// The time at which it was offered, as in `t_ns`.
    pub entered_t_ns: u64,
    /// The time at which its last bit had been sent, as in `t_ns`; absent if it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_queue_t_ns: Option<u64>,
    /// The time at which it came out, as in `t_ns`; absent if it never did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered_t_ns: Option<u64>,
    /// How it ended.
    pub fate: Fate,
}

/// How a packet's passage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fate {
    /// It came out.
    Delivered,
    /// The full queue refused it.
    DroppedQueue,
    /// Chance took it.
    DroppedLoss,
    /// The model held too many packets.
    DroppedInside,
    /// The token bucket had too few tokens.
    DroppedPolicer,
    /// Active queue management took it.
    DroppedAqm,
    /// It was sent during a blackout.
    DroppedBlackout,
    /// A fate that this version does not know.
    #[serde(other)]
    Unknown,
}
