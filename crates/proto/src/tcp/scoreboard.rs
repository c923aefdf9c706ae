//! What was sent and is not acknowledged yet, segment by segment.

use std::collections::{BTreeSet, VecDeque};

use core::time::Duration;

use bytes::Bytes;
use weir_time::Instant;

use super::ranges::Ranges;
use super::segment::{is_before, stamp_us};

/// The segments between the first sequence number not acknowledged and the first not sent.
///
/// Work is in proportion to what is new: each segment is visited when it is sent, when it is
/// acknowledged, and when it is found to be lost.
#[derive(Debug, Default)]
pub(crate) struct Scoreboard {
    sent: VecDeque<Sent>,
    payload_bytes: usize,
    in_flight: u32,
    sacked_segments: u32,
    /// Keys of the segments to send again.
    lost: BTreeSet<u64>,
    /// Every transmission whose fate may be open, in the order of sending: its order and the
    /// segment's key. One that was settled or repeated since is passed over.
    transmissions: VecDeque<(u64, u64)>,
    next_order: u64,
    sacked: Ranges,
    /// The first sequence number after all that arrived.
    forward: u64,
}

/// A segment on its way. Repeated, it keeps its bounds.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) seq: u64,
    /// The same as when it was sent first: an acknowledgement may take a part off the front.
    key: u64,
    /// The first sequence number after it.
    pub(crate) end: u64,
    pub(crate) payload: Bytes,
    pub(crate) fin: bool,
    /// When it was sent last, and as which of all transmissions.
    pub(crate) sent_at: Instant,
    order: u64,
    repeated: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    InFlight,
    /// Found to be lost, and not sent again yet.
    Lost,
    /// Arrived, and acknowledged selectively.
    Sacked,
}

/// What one acknowledgement delivered.
#[derive(Debug)]
pub(crate) struct Delivered {
    now: Instant,
    round_trip_least: Duration,
    echo_us: Option<u32>,
    pub(crate) segments: u32,
    pub(crate) payload_bytes: u64,
    /// The one sent last among those newly delivered.
    pub(crate) newest: Option<Newest>,
    /// One that was sent once arrived after one that was sent later.
    pub(crate) reordered: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Newest {
    pub(crate) sent_at: Instant,
    pub(crate) order: u64,
}

impl Scoreboard {
    /// A segment is sent for the first time. `seq` follows the last one's end.
    pub(crate) fn push(&mut self, now: Instant, seq: u64, payload: Bytes, fin: bool) {
        let end = seq + payload.len() as u64 + u64::from(fin);
        self.payload_bytes += payload.len();
        self.in_flight += 1;
        let order = self.log(seq);
        self.sent.push_back(Sent {
            seq,
            key: seq,
            end,
            payload,
            fin,
            sent_at: now,
            order,
            repeated: false,
            state: State::InFlight,
        });
    }

    /// The segment of this key is sent again.
    pub(crate) fn repeat(&mut self, now: Instant, key: u64) -> Option<&Sent> {
        let index = self.index_of(key)?;
        let order = self.log(key);
        let sent = self.sent.get_mut(index)?;
        if sent.state == State::Lost {
            self.lost.remove(&key);
            self.in_flight += 1;
            sent.state = State::InFlight;
        }
        (sent.sent_at, sent.order, sent.repeated) = (now, order, true);
        Some(sent)
    }

    /// Everything before `ack` has arrived.
    pub(crate) fn acknowledge(&mut self, ack: u64, delivered: &mut Delivered) {
        while let Some(first) = self.sent.front_mut()
            && first.seq < ack
        {
            if first.end > ack {
                let part = usize::try_from(ack - first.seq).unwrap_or(usize::MAX);
                let part = part.min(first.payload.len());
                first.payload = first.payload.slice(part..);
                self.payload_bytes -= part;
                delivered.payload_bytes += part as u64;
                first.seq = ack;
                break;
            }
            let Some(sent) = self.sent.pop_front() else {
                break;
            };
            match sent.state {
                State::InFlight => self.in_flight -= 1,
                State::Lost => {
                    self.lost.remove(&sent.key);
                }
                State::Sacked => self.sacked_segments -= 1,
            }
            self.payload_bytes -= sent.payload.len();
            delivered.payload_bytes += sent.payload.len() as u64;
            if sent.state != State::Sacked {
                delivered.note(&sent, self.forward);
            }
        }
        self.sacked.remove_before(ack);
        self.forward = self.forward.max(ack);
        if self.sent.is_empty() {
            self.transmissions.clear();
        }
    }

    /// `start..end` has arrived out of order. Only segments that it holds whole count: a peer that
    /// acknowledges crumbs does not fill memory.
    pub(crate) fn sack(&mut self, start: u64, end: u64, delivered: &mut Delivered) {
        let first = self.sent.partition_point(|sent| sent.seq < start);
        let after = self.sent.partition_point(|sent| sent.end <= end);
        let (Some(from), Some(to)) = (self.sent.get(first), after.checked_sub(1)) else {
            return;
        };
        let (start, end) = (from.seq, self.sent[to].end);
        if start >= end {
            return;
        }
        // One span over all that is new: what lies between is marked already.
        let mut new = None;
        self.sacked.insert(start, end, |from, to| {
            new = Some(new.map_or((from, to), |(begin, _)| (begin, to)));
        });
        let Some((from, to)) = new else { return };
        let forward = self.forward;
        let begin = self.sent.partition_point(|sent| sent.end <= from);
        for sent in self.sent.range_mut(begin..).take_while(|sent| sent.seq < to) {
            match sent.state {
                State::Sacked => continue,
                State::InFlight => self.in_flight -= 1,
                State::Lost => {
                    self.lost.remove(&sent.key);
                }
            }
            sent.state = State::Sacked;
            self.sacked_segments += 1;
            delivered.note(sent, forward);
            self.forward = self.forward.max(sent.end);
        }
    }

    /// Marks as lost, in the order of sending, each transmission before number `order` that
    /// `is_lost` by its time. Returns how many, and the time of the first that is not lost yet.
    pub(crate) fn mark_lost(
        &mut self,
        order: u64,
        is_lost: impl Fn(Instant) -> bool,
    ) -> (u32, Option<Instant>) {
        let mut marked = 0;
        while let Some(&(number, key)) = self.transmissions.front()
            && number < order
        {
            if let Some(index) = self.index_of(key)
                && let Some(sent) = self.sent.get_mut(index)
                && sent.order == number
                && sent.state == State::InFlight
            {
                if !is_lost(sent.sent_at) {
                    return (marked, Some(sent.sent_at));
                }
                sent.state = State::Lost;
                self.lost.insert(key);
                self.in_flight -= 1;
                marked += 1;
            }
            self.transmissions.pop_front();
        }
        (marked, None)
    }

    /// Marks as lost all that has not arrived. If the peer took back what it acknowledged
    /// selectively (RFC 2018 section 8), that too.
    pub(crate) fn mark_all_lost(&mut self) {
        let reneged = self.sent.front().is_some_and(|first| first.state == State::Sacked);
        if reneged {
            self.sacked.clear();
            self.sacked_segments = 0;
        }
        for sent in &mut self.sent {
            if sent.state == State::InFlight || (reneged && sent.state == State::Sacked) {
                sent.state = State::Lost;
                self.lost.insert(sent.key);
            }
        }
        self.in_flight = 0;
        self.transmissions.clear();
    }

    /// Nothing was lost after all: what was marked and not sent again is in flight.
    pub(crate) fn unmark_lost(&mut self) {
        self.lost.clear();
        for sent in &mut self.sent {
            if sent.state == State::Lost {
                sent.state = State::InFlight;
                self.in_flight += 1;
            }
        }
        self.rebuild_transmissions();
    }

    /// The key of the first segment to send again.
    pub(crate) fn first_lost(&self) -> Option<u64> {
        self.lost.first().copied()
    }

    /// The key of the last segment, if that is believed to be on its way.
    pub(crate) fn last_in_flight(&self) -> Option<u64> {
        let last = self.sent.back()?;
        (last.state == State::InFlight).then_some(last.key)
    }

    pub(crate) fn first(&self) -> Option<&Sent> {
        self.sent.front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    pub(crate) fn segments(&self) -> usize {
        self.sent.len()
    }

    pub(crate) fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// Segments that are believed to be on their way.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(crate) fn sacked_segments(&self) -> u32 {
        self.sacked_segments
    }

    pub(crate) fn clear(&mut self) {
        *self = Scoreboard { next_order: self.next_order, ..Scoreboard::default() };
    }

    fn log(&mut self, key: u64) -> u64 {
        let order = self.next_order;
        self.next_order += 1;
        if self.transmissions.len() > 2 * self.sent.len() + TRANSMISSIONS_SPARE {
            self.rebuild_transmissions();
        }
        self.transmissions.push_back((order, key));
        order
    }

    fn rebuild_transmissions(&mut self) {
        let in_flight = self.sent.iter().filter(|sent| sent.state == State::InFlight);
        let mut open: Vec<(u64, u64)> = in_flight.map(|sent| (sent.order, sent.key)).collect();
        open.sort_unstable();
        self.transmissions = open.into();
    }

    fn index_of(&self, key: u64) -> Option<usize> {
        let index = self.sent.partition_point(|sent| sent.key < key);
        (self.sent.get(index)?.key == key).then_some(index)
    }
}

impl Delivered {
    /// Nothing yet. `echo_us` is the time stamp that came back, if the acknowledgement advances.
    pub(crate) fn new(now: Instant, round_trip_least: Duration, echo_us: Option<u32>) -> Self {
        Delivered {
            now,
            round_trip_least,
            echo_us,
            segments: 0,
            payload_bytes: 0,
            newest: None,
            reordered: false,
        }
    }

    fn note(&mut self, sent: &Sent, forward: u64) {
        self.segments += 1;
        self.reordered |= !sent.repeated && sent.end <= forward;
        if sent.repeated && self.is_earlier(sent.sent_at) {
            return;
        }
        if self.newest.is_none_or(|newest| sent.order > newest.order) {
            self.newest = Some(Newest { sent_at: sent.sent_at, order: sent.order });
        }
    }
}

impl Delivered {
    /// Whether what arrived of a repeated segment is an earlier transmission than the one at
    /// `sent_at` (RFC 8985 section 6.2 step 2).
    fn is_earlier(&self, sent_at: Instant) -> bool {
        self.now.since(sent_at) < self.round_trip_least
            || self.echo_us.is_some_and(|echo_us| is_before(echo_us, stamp_us(sent_at)))
    }
}

/// So many settled transmissions may stand in the log beside two for each segment.
const TRANSMISSIONS_SPARE: usize = 64;
