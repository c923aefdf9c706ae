//! One direction of a link, as it is counted on the driver's thread.

use std::collections::VecDeque;

use weir_link::{Fate, PACKETS_INSIDE_MAX, Passage, Settings};
use weir_time::Instant;

use super::reason::Reason;
use super::span::{JITTER_SAMPLES_MAX, Span};
use crate::asked;

/// Counts, and knows the packets that have left the queue and not yet the link.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) span: Box<Span>,
    /// Packets that left the queue, by index.
    flights: VecDeque<Flight>,
    /// Whether there is a rate at all.
    is_limited: bool,
    /// The least delay, where there is jitter whose distribution is known.
    least_delay_ns: Option<u64>,
    last_entered: Option<Instant>,
    last_sent_on: Option<Instant>,
    last_left_queue: Option<Instant>,
    /// The index of the last packet that left the queue.
    last_departed: Option<u64>,
    /// Index and bytes of the last packet sent on: its duplicate has none of its own.
    last_sent: (u64, u32),
    due_max: Instant,
    /// The packet behind which others are sent back to back.
    anchor: Option<Anchor>,
    /// Bytes of lost packets since the anchor.
    unseen_bytes: u64,
    /// How many packets in a row chance has just taken.
    burst: u64,
    /// The index of the last packet that the queue refused.
    refused: Option<u64>,
}

/// A packet that has left the queue.
#[derive(Clone, Copy, Debug)]
struct Flight {
    index: u64,
    entered: Instant,
    left_queue: Instant,
    bytes: u32,
    stretch: u32,
    /// It waited for the packet before it: both were sent back to back.
    follows: bool,
    /// No other packet can have held it back.
    is_free: bool,
    state: Flying,
}

#[derive(Clone, Copy, Debug)]
enum Flying {
    Inside,
    Lost,
    /// How late the driver sent it on.
    Sent {
        late_ns: u64,
    },
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    left_queue: Instant,
    late_ns: u64,
    stretch: u32,
}

impl Lane {
    pub(super) fn new(lane: usize) -> Self {
        Lane {
            span: Box::new(Span { lane, ..Span::default() }),
            flights: VecDeque::new(),
            is_limited: false,
            least_delay_ns: None,
            last_entered: None,
            last_sent_on: None,
            last_left_queue: None,
            last_departed: None,
            last_sent: (0, 0),
            due_max: Instant::ZERO,
            anchor: None,
            unseen_bytes: 0,
            burst: 0,
            refused: None,
        }
    }

    pub(super) fn asked(&mut self, settings: &Settings) {
        self.is_limited = asked::is_limited(settings);
        self.least_delay_ns = asked::delay(settings).map(|asked| asked.least_ns());
        self.anchor = None;
        self.end_burst();
    }

    /// A run of losses is over, if there is one.
    pub(super) fn end_burst(&mut self) {
        if self.burst > 0 {
            self.span.burst_packets.record(self.burst);
            self.burst = 0;
        }
    }

    pub(super) fn entered(&mut self, at: Instant, bytes: u32) {
        let span = &mut *self.span;
        span.counts.offered_packets += 1;
        span.counts.offered_bytes += u64::from(bytes);
        if let Some(last) = self.last_entered.replace(at) {
            span.send_ns.record(nanos(at, last));
        }
    }

    pub(super) fn passed(&mut self, passage: &Passage) {
        if passage.left_queue.is_some() {
            // Packets leave the queue in their order: any other is a duplicate of one.
            if self.last_departed.is_some_and(|last| last >= passage.index) {
                self.span.counts.duplicated_packets += 1;
                self.span.counts.duplicated_bytes += u64::from(passage.bytes);
                return;
            }
            self.last_departed = Some(passage.index);
        }
        match passage.fate {
            Fate::Delivered(due) => {
                self.burst_ends_at(passage);
                self.fly(passage, Some(due));
            }
            Fate::Dropped(reason) => self.dropped(passage, reason.into()),
        }
    }

    fn burst_ends_at(&mut self, passage: &Passage) {
        if passage.left_queue.is_some() {
            self.span.tested_packets += 1;
            self.end_burst();
        }
    }

    fn dropped(&mut self, passage: &Passage, reason: Reason) {
        let span = &mut *self.span;
        let (packets, bytes) = reason.counts(&mut span.counts);
        *packets += 1;
        *bytes += u64::from(passage.bytes);
        match reason {
            Reason::Queue => {
                let goes_on = self.refused.is_some_and(|last| last + 1 == passage.index);
                span.overflows += u64::from(!goes_on);
                self.refused = Some(passage.index);
            }
            Reason::Loss => {
                span.tested_packets += 1;
                span.lost_packets += 1;
                self.burst += 1;
            }
            _ => {}
        }
        // Whatever became of it then, it took its share of the rate.
        self.fly(passage, None);
    }

    /// A packet that left the queue; it comes out at `due`, or never.
    fn fly(&mut self, passage: &Passage, due: Option<Instant>) {
        let Some(left_queue) = passage.left_queue else { return };
        self.span.queue_ns.record(nanos(left_queue, passage.entered));
        let before = self.last_left_queue.replace(left_queue);
        let follows = self.is_limited && before.is_some_and(|before| passage.entered < before);
        let is_free = self.least_delay_ns.is_some_and(|least| {
            left_queue.as_nanos().saturating_add(least) >= self.due_max.as_nanos()
        });
        if let Some(due) = due {
            self.due_max = self.due_max.max(due);
        }
        if self.flights.len() >= PACKETS_INSIDE_MAX {
            self.flights.pop_front();
            self.anchor = None;
        }
        let state = if due.is_some() { Flying::Inside } else { Flying::Lost };
        let Passage { index, bytes, entered, .. } = *passage;
        let stretch = self.span.stretch;
        let flight = Flight { index, entered, left_queue, bytes, stretch, follows, is_free, state };
        self.flights.push_back(flight);
    }

    /// The driver took out at `at` what was due at `due`; `is_waited` says that it had slept
    /// until then.
    pub(super) fn left(&mut self, index: u64, due: Instant, at: Instant, is_waited: bool) {
        let late_ns = nanos(at, due);
        let span = &mut *self.span;
        span.late_ns.record(late_ns);
        if is_waited {
            span.timer_ns.record(late_ns);
        }
        span.counts.delivered_packets += 1;
        if let Some(last) = self.last_sent_on.replace(at) {
            span.arrival_ns.record(nanos(at, last));
        }
        let Some(flight) = find(&mut self.flights, index) else {
            if self.last_sent.0 == index {
                span.counts.delivered_bytes += u64::from(self.last_sent.1);
            }
            return;
        };
        self.last_sent = (index, flight.bytes);
        span.delay_ns.record(nanos(at, flight.entered));
        span.counts.delivered_bytes += u64::from(flight.bytes);
        let is_first = matches!(flight.state, Flying::Inside);
        if is_first && flight.is_free && flight.stretch == span.stretch {
            let jitter = &mut span.jitter_ns;
            if jitter.len() < JITTER_SAMPLES_MAX {
                jitter.push(nanos(at, flight.left_queue));
            }
        }
        flight.state = Flying::Sent { late_ns };
        self.settle();
    }

    /// Takes out the first flights that are over, and adds up what was sent back to back.
    fn settle(&mut self) {
        while let Some(flight) = self.flights.front() {
            let late_ns = match flight.state {
                Flying::Inside => return,
                Flying::Lost => None,
                Flying::Sent { late_ns } => Some(late_ns),
            };
            let flight = *flight;
            self.flights.pop_front();
            if !self.is_limited {
                continue;
            }
            self.add_to_busy(&flight, late_ns);
        }
    }

    fn add_to_busy(&mut self, flight: &Flight, late_ns: Option<u64>) {
        if !flight.follows || self.anchor.is_some_and(|anchor| anchor.stretch != flight.stretch) {
            self.anchor = None;
            self.unseen_bytes = 0;
        }
        let Some(late_ns) = late_ns else {
            // Nobody sees when it was sent, but it took its share of the rate.
            self.unseen_bytes += u64::from(flight.bytes);
            return;
        };
        let here = Anchor { left_queue: flight.left_queue, late_ns, stretch: flight.stretch };
        let before = self.anchor.replace(here);
        let bytes = std::mem::take(&mut self.unseen_bytes) + u64::from(flight.bytes);
        let Some(before) = before.filter(|_| flight.stretch == self.span.stretch) else { return };
        let model_ns = nanos(here.left_queue, before.left_queue);
        let busy = &mut self.span.busy;
        busy.bytes += bytes;
        busy.model_ns += model_ns;
        // Over many packets the lateness of all but the first and the last cancels out.
        busy.actual_ns += model_ns as i64 + late_ns as i64 - before.late_ns as i64;
    }

    pub(super) fn queued(&mut self, packets: usize, bytes: u64) {
        let span = &mut *self.span;
        span.queue_packets_max = span.queue_packets_max.max(packets as u64);
        span.queue_bytes_max = span.queue_bytes_max.max(bytes);
    }
}

/// The flight of a packet; nearly always the first.
fn find(flights: &mut VecDeque<Flight>, index: u64) -> Option<&mut Flight> {
    if flights.front().is_some_and(|first| first.index == index) {
        return flights.front_mut();
    }
    let place = flights.binary_search_by_key(&index, |flight| flight.index).ok()?;
    flights.get_mut(place)
}

fn nanos(later: Instant, earlier: Instant) -> u64 {
    later.as_nanos().saturating_sub(earlier.as_nanos())
}
