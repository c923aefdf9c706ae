//! The receiving half: putting segments in order, acknowledging them, offering a window.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use weir_time::Instant;

use super::queue::ByteQueue;
use super::ranges::Ranges;
use super::segment::{SACK_BLOCKS_MAX, SackBlocks, Segment, is_before, stamp_us};
use super::space::Space;
use super::timers::{Timer, Timers};
use super::{Counters, Settings};

#[derive(Debug)]
pub(crate) struct Receiver {
    space: Space,
    pieces_max: usize,
    delayed_ack: Duration,
    /// The next sequence number expected.
    next: u64,
    /// Where the peer's data ends, once known.
    end: Option<u64>,
    finished: bool,
    ready: ByteQueue,
    /// What arrived out of order, and which numbers that covers.
    pieces: BTreeMap<u64, Bytes>,
    ranges: Ranges,
    /// Where the last segments out of order began, the newest first.
    recent: [u64; SACK_BLOCKS_MAX],
    /// The end of the window that the peer knows of; never taken back.
    edge: u64,
    /// The largest payload seen: the least by which the window opens, and half of what is
    /// acknowledged at once.
    largest: u32,
    ack: Ack,
    /// The first segments are acknowledged at once, so that slow start is not held up.
    quick_acks: u32,
    /// `next` as of the last acknowledgement sent.
    acknowledged: u64,
    /// TS.Recent (RFC 7323 section 4.3).
    echo_us: u32,
}

/// Whether an acknowledgement is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ack {
    None,
    Delayed,
    Now,
}

impl Receiver {
    /// The half that waits for the peer's SYN.
    pub(crate) fn new(settings: &Settings) -> Self {
        Receiver {
            space: Space::new(
                settings.receive_window_initial_bytes,
                settings.receive_buffer_bytes,
                settings.mss_bytes,
            ),
            pieces_max: settings.receive_buffer_bytes / BYTES_FOR_A_PIECE + PIECES_SPARE,
            delayed_ack: settings.delayed_ack,
            next: 0,
            end: None,
            finished: false,
            ready: ByteQueue::default(),
            pieces: BTreeMap::new(),
            ranges: Ranges::default(),
            recent: [0; SACK_BLOCKS_MAX],
            edge: 0,
            largest: settings.mss_bytes,
            ack: Ack::None,
            quick_acks: QUICK_ACKS,
            acknowledged: 0,
            echo_us: 0,
        }
    }

    /// The peer's SYN has come.
    pub(crate) fn open(&mut self, syn: &Segment) {
        self.next = syn.seq + 1;
        self.acknowledged = self.next;
        self.edge = self.next + self.space.bytes() as u64;
        self.echo_us = syn.timestamps.value_us;
        if let Some(mss_bytes) = syn.mss_bytes {
            self.largest = self.largest.min(mss_bytes).max(1);
        }
    }

    /// The next sequence number expected.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The end of the window that the peer knows of.
    pub(crate) fn edge(&self) -> u64 {
        self.edge
    }

    pub(crate) fn echo_us(&self) -> u32 {
        self.echo_us
    }

    pub(crate) fn ready_bytes(&self) -> usize {
        self.ready.len()
    }

    /// Whether all that the peer had to say has arrived.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether the segment overlaps the window (RFC 9293 section 3.10.7.4). A lone end is welcome
    /// at the edge of a closed window: it takes no room.
    pub(crate) fn accepts(&self, segment: &Segment) -> bool {
        let end = segment.seq + segment.seq_len();
        match segment.seq_len() {
            0 => self.next <= segment.seq && segment.seq <= self.edge,
            _ => end > self.next && (segment.seq < self.edge || segment.seq == self.next),
        }
    }

    /// Takes an acceptable segment's payload and end. Returns whether there is more to read.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        segment: Segment,
        timers: &mut Timers,
        counters: &mut Counters,
    ) -> bool {
        let value_us = segment.timestamps.value_us;
        if segment.seq <= self.acknowledged && !is_before(value_us, self.echo_us) {
            self.echo_us = value_us;
        }
        if segment.seq_len() == 0 {
            return false;
        }
        let before = self.next;
        let had_gap = !self.ranges.is_empty();
        let fin = segment.flags.fin;
        let (seq, payload) = self.trim(&segment);
        let len = payload.len() as u64;
        self.largest = self.largest.max(u32::try_from(len).unwrap_or(u32::MAX));
        if fin && self.end.is_none() && !self.has_beyond(segment.seq + segment.payload.len() as u64)
        {
            self.end = Some(segment.seq + segment.payload.len() as u64);
        }
        if len > 0 && seq == self.next && !had_gap {
            self.next += len;
            self.ready.push(payload);
        } else if len > 0 {
            self.store(seq, payload, counters);
        } else if !fin {
            counters.duplicates_received += 1;
        }
        if len >= u64::from(self.largest) && segment.flags.ack {
            let micros = stamp_us(now).wrapping_sub(segment.timestamps.echo_us);
            self.space.note_round_trip(Duration::from_micros(u64::from(micros)));
        }
        counters.bytes_received += self.next - before;
        if self.end == Some(self.next) && !self.finished {
            self.finished = true;
            self.next += 1;
        }
        self.owe(now, self.next == before || had_gap || fin, timers);
        self.next > before
    }

    /// The payload between what has arrived in order and the end of the window.
    fn trim(&self, segment: &Segment) -> (u64, Bytes) {
        let end = self.end.unwrap_or(u64::MAX).min(self.edge);
        let seq = segment.seq.max(self.next);
        let last = (segment.seq + segment.payload.len() as u64).min(end);
        if seq >= last {
            return (seq, Bytes::new());
        }
        let from = (seq - segment.seq) as usize;
        let to = (last - segment.seq) as usize;
        (seq, part(&segment.payload, from, to))
    }

    fn has_beyond(&self, seq: u64) -> bool {
        self.next > seq || self.ranges.iter().next_back().is_some_and(|(_, end)| end > seq)
    }

    fn store(&mut self, seq: u64, payload: Bytes, counters: &mut Counters) {
        if self.pieces.len() >= self.pieces_max && seq != self.next {
            counters.out_of_order_dropped += 1;
            return;
        }
        let pieces = &mut self.pieces;
        let mut new = false;
        self.ranges.insert(seq, seq + payload.len() as u64, |from, to| {
            new = true;
            let piece = part(&payload, (from - seq) as usize, (to - seq) as usize);
            pieces.insert(from, piece);
        });
        if !new {
            counters.duplicates_received += 1;
        }
        while let Some(first) = self.pieces.first_entry()
            && *first.key() == self.next
        {
            let piece = first.remove();
            self.next += piece.len() as u64;
            self.ready.push(piece);
        }
        self.ranges.remove_before(self.next);
        if seq > self.next {
            self.recent.rotate_right(1);
            self.recent[0] = seq;
        }
    }

    /// An acknowledgement is owed for something: at once for every second full segment, and where
    /// the sender waits for news (RFC 5681 section 4.2).
    fn owe(&mut self, now: Instant, urgent: bool, timers: &mut Timers) {
        let many = self.next - self.acknowledged > u64::from(self.largest);
        if urgent || many || self.quick_acks > 0 {
            self.quick_acks = self.quick_acks.saturating_sub(1);
            self.ack = Ack::Now;
        } else if self.ack == Ack::None {
            self.ack = Ack::Delayed;
            timers.set(Timer::DelayedAck, now + self.delayed_ack);
        }
    }

    /// An acknowledgement is to be sent at once.
    pub(crate) fn acknowledge_now(&mut self) {
        self.ack = Ack::Now;
    }

    pub(crate) fn owes_ack(&self) -> bool {
        self.ack == Ack::Now
    }

    pub(crate) fn has_gap(&self) -> bool {
        !self.ranges.is_empty()
    }

    /// What a segment that is sent now acknowledges: the next sequence number expected and the
    /// window from there. Nothing is owed afterwards.
    pub(crate) fn acknowledge(&mut self, timers: &mut Timers) -> (u64, u32) {
        self.edge = self.edge_offered();
        self.acknowledged = self.next;
        self.ack = Ack::None;
        timers.clear(Timer::DelayedAck);
        let window = self.edge.saturating_sub(self.next);
        (self.next, u32::try_from(window).unwrap_or(u32::MAX))
    }

    /// What arrived out of order, the newest first (RFC 2018 section 4).
    pub(crate) fn sack_blocks(&self) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        if self.ranges.is_empty() {
            return blocks;
        }
        for recent in self.recent {
            if let Some((start, end)) = self.ranges.holding(recent)
                && !blocks.contains(start)
            {
                blocks.push(start, end);
            }
        }
        blocks
    }

    /// The next bytes in order. Says by [`Receiver::owes_ack`] if the peer must hear of the room.
    pub(crate) fn read(&mut self, now: Instant, bytes_max: usize) -> Option<Bytes> {
        let bytes = self.ready.take(bytes_max)?;
        self.space.note_read(now, bytes.len(), self.largest);
        let left = self.edge.saturating_sub(self.next);
        let more = self.edge_offered().saturating_sub(self.edge);
        // The window has doubled since the peer heard of it, as Linux judges.
        if more > 0 && more >= left && !self.finished {
            self.ack = Ack::Now;
        }
        Some(bytes)
    }

    pub(crate) fn discard(&mut self) {
        self.ready.clear();
        self.pieces.clear();
        self.ranges.clear();
    }

    /// The end of the window that may be offered now: it opens by whole segments only (RFC 9293
    /// section 3.8.6.2.2).
    fn edge_offered(&self) -> u64 {
        let free = self.space.bytes().saturating_sub(self.ready.len());
        let edge = self.next + free as u64;
        let step = u64::from(self.largest).min(self.space.bytes() as u64 / 2);
        if edge >= self.edge + step { edge } else { self.edge }
    }
}

/// A part of a payload. A small one is copied, so that it does not keep the whole in memory.
fn part(payload: &Bytes, from: usize, to: usize) -> Bytes {
    if 2 * (to - from) < payload.len() {
        Bytes::copy_from_slice(&payload[from..to])
    } else {
        payload.slice(from..to)
    }
}

const QUICK_ACKS: u32 = 16;
/// One piece may wait out of order for so much of the receive buffer.
const BYTES_FOR_A_PIECE: usize = 256;
const PIECES_SPARE: usize = 64;
