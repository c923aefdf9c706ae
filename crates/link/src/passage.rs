//! What happened to packets: counters, and a record for each.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use weir_time::Instant;

use crate::queue::Packet;

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
    /// The token bucket had too few tokens for it.
    Policer,
    /// Active queue management took it, before it was sent.
    Aqm,
    /// It was sent during a blackout.
    Blackout,
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
    /// A bit of it was changed.
    pub corrupt: bool,
    /// It is the copy of the packet of this index, which has a record of its own before this one.
    pub duplicate: bool,
}

/// Totals since the pipe was made.
///
/// Offered + duplicated = delivered + dropped + [`inside`], in packets and in bytes.
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
    /// Packets that found too few tokens.
    pub dropped_policer_packets: u64,
    /// Bytes that found too few tokens.
    pub dropped_policer_bytes: u64,
    /// Packets that active queue management took.
    pub dropped_aqm_packets: u64,
    /// Bytes that active queue management took.
    pub dropped_aqm_bytes: u64,
    /// Packets sent during a blackout.
    pub dropped_blackout_packets: u64,
    /// Bytes sent during a blackout.
    pub dropped_blackout_bytes: u64,
    /// Copies made.
    pub duplicated_packets: u64,
    /// Bytes of the copies.
    pub duplicated_bytes: u64,
    /// Packets of which a bit was changed, copies not counted.
    pub corrupted_packets: u64,
    /// Packets handed out after one that was offered later.
    pub reordered_packets: u64,
    /// The most packets that waited in the queue at once.
    pub queue_packets_max: u64,
    /// The most bytes that waited in the queue at once.
    pub queue_bytes_max: u64,
    /// Passage records overwritten before anyone took them.
    pub passages_missed: u64,
    /// Changes by a schedule that nobody took before they were too many.
    pub changes_missed: u64,
}

impl Counters {
    /// All packets that will never come out.
    pub fn dropped_packets(&self) -> u64 {
        self.dropped_queue_packets
            + self.dropped_loss_packets
            + self.dropped_inside_packets
            + self.dropped_policer_packets
            + self.dropped_aqm_packets
            + self.dropped_blackout_packets
    }

    /// All bytes that will never come out.
    pub fn dropped_bytes(&self) -> u64 {
        self.dropped_queue_bytes
            + self.dropped_loss_bytes
            + self.dropped_inside_bytes
            + self.dropped_policer_bytes
            + self.dropped_aqm_bytes
            + self.dropped_blackout_bytes
    }

    fn drop_one(&mut self, reason: Dropped, bytes: u32) {
        let (packets, total) = match reason {
            Dropped::Queue => (&mut self.dropped_queue_packets, &mut self.dropped_queue_bytes),
            Dropped::Loss => (&mut self.dropped_loss_packets, &mut self.dropped_loss_bytes),
            Dropped::Inside => (&mut self.dropped_inside_packets, &mut self.dropped_inside_bytes),
            Dropped::Policer => {
                (&mut self.dropped_policer_packets, &mut self.dropped_policer_bytes)
            }
            Dropped::Aqm => (&mut self.dropped_aqm_packets, &mut self.dropped_aqm_bytes),
            Dropped::Blackout => {
                (&mut self.dropped_blackout_packets, &mut self.dropped_blackout_bytes)
            }
        };
        *packets += 1;
        *total += u64::from(bytes);
    }
}

/// The counters, and the records while somebody wants them.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) counters: Counters,
    passages: VecDeque<Passage>,
    passages_max: usize,
}

impl Ledger {
    /// Keeps so many records at most until they are taken.
    pub(crate) fn keep(&mut self, passages_max: usize) {
        self.passages_max = passages_max;
        while self.passages.len() > passages_max {
            self.passages.pop_front();
            self.counters.passages_missed += 1;
        }
    }

    /// Whether records are wanted.
    pub(crate) fn keeps(&self) -> bool {
        self.passages_max > 0
    }

    pub(crate) fn take(&mut self) -> Option<Passage> {
        self.passages.pop_front()
    }

    /// A packet never comes out.
    pub(crate) fn drop_packet<P>(
        &mut self,
        packet: &Packet<P>,
        left_queue: Option<Instant>,
        reason: Dropped,
    ) {
        self.counters.drop_one(reason, packet.bytes);
        if self.keeps() {
            self.write(passage(packet, left_queue, Fate::Dropped(reason)));
        }
    }

    /// A packet will come out; its copy too, if there is one.
    pub(crate) fn deliver_packet<P>(
        &mut self,
        packet: &Packet<P>,
        left_queue: Instant,
        at: Instant,
        marks: Marks,
    ) {
        self.counters.corrupted_packets += u64::from(marks.corrupt);
        if marks.duplicate {
            self.counters.duplicated_packets += 1;
            self.counters.duplicated_bytes += u64::from(packet.bytes);
        }
        if self.keeps() {
            let fate = Fate::Delivered(at);
            let original =
                Passage { corrupt: marks.corrupt, ..passage(packet, Some(left_queue), fate) };
            self.write(original);
            if marks.duplicate {
                self.write(Passage { duplicate: true, ..original });
            }
        }
    }

    fn write(&mut self, passage: Passage) {
        if self.passages.len() >= self.passages_max {
            self.passages.pop_front();
            self.counters.passages_missed += 1;
        }
        self.passages.push_back(passage);
    }
}

/// What chance does to a packet that comes out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    pub(crate) corrupt: bool,
    pub(crate) duplicate: bool,
}

fn passage<P>(packet: &Packet<P>, left_queue: Option<Instant>, fate: Fate) -> Passage {
    let Packet { index, bytes, entered, .. } = *packet;
    Passage { index, bytes, entered, left_queue, fate, corrupt: false, duplicate: false }
}
