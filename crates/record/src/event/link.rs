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
/// Over the whole run, offered + duplicated = delivered + dropped + those still inside.
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
    /// Packets for which the policer had too few tokens.
    #[serde(default)]
    pub dropped_policer_packets: u64,
    /// Bytes for which the policer had too few tokens.
    #[serde(default)]
    pub dropped_policer_bytes: u64,
    /// Packets that active queue management took.
    #[serde(default)]
    pub dropped_aqm_packets: u64,
    /// Bytes that active queue management took.
    #[serde(default)]
    pub dropped_aqm_bytes: u64,
    /// Packets sent during a blackout.
    #[serde(default)]
    pub dropped_blackout_packets: u64,
    /// Bytes sent during a blackout.
    #[serde(default)]
    pub dropped_blackout_bytes: u64,
    /// Packets dropped for another reason.
    #[serde(default)]
    pub dropped_other_packets: u64,
    /// Bytes dropped for another reason.
    #[serde(default)]
    pub dropped_other_bytes: u64,
    /// Copies made.
    #[serde(default)]
    pub duplicated_packets: u64,
    /// Bytes of the copies.
    #[serde(default)]
    pub duplicated_bytes: u64,
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
    /// The most packets that waited at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_packets_max: Option<u64>,
    /// The most bytes that waited at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_bytes_max: Option<u64>,
    /// Times from a packet's entry until its last bit had been sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_delay_ns: Option<Histogram>,
    /// Times from a packet's entry until it was sent on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ns: Option<Histogram>,
    /// How much later than asked packets were sent on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_ns: Option<Histogram>,
    /// Times between two packets that were offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inter_send_ns: Option<Histogram>,
    /// Times between two packets that were sent on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inter_arrival_ns: Option<Histogram>,
}

/// A figure of a link that its driver alone knows, over one second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkGauge {
    /// The link's number.
    pub link: u64,
    /// What is measured, its unit last.
    pub name: Text,
    /// Its value at the end.
    pub value: u64,
    /// Its greatest value.
    pub value_max: u64,
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
    /// The policer had too few tokens.
    DroppedPolicer,
    /// Active queue management took it.
    DroppedAqm,
    /// It was sent during a blackout.
    DroppedBlackout,
    /// Another reason.
    DroppedOther,
    /// A fate that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Asked against achieved, for one direction of a link while its settings stayed the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCertificate {
    /// The link's number.
    pub link: u64,
    /// The direction.
    pub direction: Direction,
    /// The settings, as they are written on a command line; absent if there were several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<Text>,
    /// When the settings began to hold, as in `t_ns`.
    pub from_t_ns: u64,
    /// For how long they held.
    pub span_ns: u64,
    /// What happened in that time.
    pub counts: LinkCounts,
    /// For how long packets were sent back to back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy_ns: Option<u64>,
    /// The rate that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_asked_bps: Option<u64>,
    /// The rate while packets were sent back to back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_achieved_bps: Option<u64>,
    /// How much later than asked packets were sent on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_ns: Option<Histogram>,
    /// The same of those that the driver had waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timer_late_ns: Option<Histogram>,
    /// Packets that chance could have taken.
    pub loss_tested_packets: u64,
    /// The share of packets that chance was to take, in parts of 10^9.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_asked_ppb: Option<u64>,
    /// Lower end of the 95 % confidence interval of the share lost, in parts of 10^9.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_low_ppb: Option<u64>,
    /// Upper end of the same interval, in parts of 10^9.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_high_ppb: Option<u64>,
    /// Chi-square test of the loss: the chance of a difference as great, in parts of 10^9.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_p_value_ppb: Option<u64>,
    /// Lengths of runs of lost packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_packets: Option<Histogram>,
    /// Kolmogorov-Smirnov test of the jitter: the chance of a difference as great, in parts of
    /// 10^9.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_p_value_ppb: Option<u64>,
    /// How often the queue overflowed: runs of packets that it refused.
    pub queue_overflows: u64,
    /// The most bytes that waited at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_bytes_max: Option<u64>,
}

/// What the run proves, at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// What carried the packets.
    pub driver: Text,
    /// Whether the machine was too slow for what was asked.
    pub is_too_slow: bool,
    /// Why, or that it was not, in a sentence.
    pub verdict: Text,
}

/// Packets are written to a capture file from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureStarted {
    /// The file.
    pub file: Text,
}

/// A capture is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureEnded {
    /// The file.
    pub file: Text,
    /// Packets written, on their way in and on their way out.
    pub packets: u64,
    /// Packets left out because they came faster than they could be written.
    pub packets_missed: u64,
    /// Why it ended before it was asked to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<Text>,
}
