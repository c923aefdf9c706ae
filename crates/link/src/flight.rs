//! Packets between the end of the queue and the far end of a pipe.

use core::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

use weir_time::Instant;

use crate::passage::Marks;
use crate::queue::Packet;

/// Packets that were sent, by their arrival; of those that arrive together, in the order in which
/// they were sent.
#[derive(Debug)]
pub(crate) struct Flight<P> {
    /// Those that arrive in the order in which they were sent.
    line: VecDeque<Flying<P>>,
    /// Those that others overtake, or that overtake others.
    strays: BinaryHeap<Reverse<Flying<P>>>,
    /// When the last of the line arrives.
    last: Instant,
}

/// A packet on its way.
#[derive(Debug)]
pub(crate) struct Flying<P> {
    pub(crate) at: Instant,
    pub(crate) marks: Marks,
    pub(crate) packet: Packet<P>,
}

impl<P> Flight<P> {
    pub(crate) fn new() -> Self {
        let strays = BinaryHeap::with_capacity(STRAYS);
        Flight { line: VecDeque::new(), strays, last: Instant::ZERO }
    }

    /// When a packet arrives that would at `at`, if it may overtake none.
    pub(crate) fn behind(&self, at: Instant) -> Instant {
        at.max(self.last)
    }

    /// A packet that arrives where the line ends, or before: then it overtakes.
    pub(crate) fn push(&mut self, flying: Flying<P>) {
        if flying.at >= self.last {
            self.last = flying.at;
            self.line.push_back(flying);
        } else {
            self.strays.push(Reverse(flying));
        }
    }

    /// A packet that those behind it may overtake.
    pub(crate) fn push_late(&mut self, flying: Flying<P>) {
        self.strays.push(Reverse(flying));
    }

    /// When the next packet arrives.
    pub(crate) fn next(&self) -> Option<Instant> {
        let line = self.line.front().map(|flying| flying.at);
        match self.strays.peek() {
            None => line,
            Some(Reverse(stray)) => Some(line.map_or(stray.at, |line| line.min(stray.at))),
        }
    }

    /// The next packet, if it has arrived by `now`.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Flying<P>> {
        let stray_first = match (self.line.front(), self.strays.peek()) {
            (Some(first), None) => {
                if first.at > now {
                    return None;
                }
                false
            }
            (None, None) => return None,
            (None, Some(Reverse(stray))) => {
                if stray.at > now {
                    return None;
                }
                true
            }
            (Some(first), Some(Reverse(stray))) => {
                if first.at.min(stray.at) > now {
                    return None;
                }
                stray < first
            }
        };
        if stray_first {
            self.strays.pop().map(|Reverse(stray)| stray)
        } else {
            self.line.pop_front()
        }
    }

    /// Whether all that is inside arrives in the order in which it was sent.
    pub(crate) fn is_in_line(&self) -> bool {
        self.strays.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.line.len() + self.strays.len()
    }
}

/// Room from the start: how many are under way at once varies by chance, and would make the heap
/// grow at any time.
const STRAYS: usize = 32;

impl<P> Flying<P> {
    fn key(&self) -> (Instant, u64, bool) {
        (self.at, self.packet.index, self.marks.duplicate)
    }
}

impl<P> PartialEq for Flying<P> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<P> Eq for Flying<P> {}

impl<P> PartialOrd for Flying<P> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> Ord for Flying<P> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}
