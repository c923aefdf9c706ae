//! What happened to packets: counters, and a record for each.

use serde::{Deserialize, Serialize};
use weir_time::Instant;

/// Why a packet did not come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Dropped {
    /// The queue had no room for it.
    Queue,
    /// Chance took it after it had been sent: it used its share of the rate.
    Loss,
    /// More packets than the model holds at once were inside ([`PACKETS_INSIDE_MAX`]): a long
    /// delay on a link without a rate.
    ///
    /// [`PACKETS_INSIDE_MAX`]: crate::PACKETS_INSIDE_MAX
    Inside,
}

/// How a packet's passage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It comes out at this moment.
    Delivered(Instant),
    /// It never comes out.
    Dropped(Dropped),
}

/// The record of one packet's way through a pipe, written as soon as its fate is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// The packet's number: how many were offered before it.
    pub index: u64,
    /// Size of the IP packet.
    pub bytes: u32,
    /// When it was offered.
    pub entered: Instant,
    /// When its last bit had been sent; absent if it never was.
    pub left_queue: Option<Instant>,
    /// How its passage ended.
    pub fate: Fate,
}

/// Totals since the pipe was made.
///
/// Offered = delivered + dropped + [`inside`], in packets and in bytes.
///
/// [`inside`]: crate::Pipe::inside_packets
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Packets offered.
    pub offered_packets: u64,
    /// Bytes offered.
    pub offered_bytes: u64,
    /// Packets handed out.
    pub delivered_packets: u64,
    /// Bytes handed out.
    pub delivered_bytes: u64,
    /// Packets that the full queue refused.
    pub dropped_queue_packets: u64,
    /// Bytes that the full queue refused.
    pub dropped_queue_bytes: u64,
    /// Packets lost by chance.
    pub dropped_loss_packets: u64,
    /// Bytes lost by chance.
    pub dropped_loss_bytes: u64,
    /// Packets refused because too many were inside.
    pub dropped_inside_packets: u64,
    /// Bytes refused because too many packets were inside.
    pub dropped_inside_bytes: u64,
    /// The most packets that waited in the queue at once.
    pub queue_packets_max: u64,
    /// The most bytes that waited in the queue at once.
    pub queue_bytes_max: u64,
    /// Passage records overwritten before anyone took them.
    pub passages_missed: u64,
}

impl Counters {
    /// All packets that will never come out.
    pub fn dropped_packets(&self) -> u64 {
        self.dropped_queue_packets + self.dropped_loss_packets + self.dropped_inside_packets
    }

    /// All bytes that will never come out.
    pub fn dropped_bytes(&self) -> u64 {
        self.dropped_queue_bytes + self.dropped_loss_bytes + self.dropped_inside_bytes
    }

    pub(crate) fn drop_one(&mut self, reason: Dropped, bytes: u32) {
        let (packets, total) = match reason {
            Dropped::Queue => (&mut self.dropped_queue_packets, &mut self.dropped_queue_bytes),
            Dropped::Loss => (&mut self.dropped_loss_packets, &mut self.dropped_loss_bytes),
            Dropped::Inside => (&mut self.dropped_inside_packets, &mut self.dropped_inside_bytes),
        };
        *packets += 1;
        *total += u64::from(bytes);
    }
}
