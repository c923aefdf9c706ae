//! Watches links: counts, histograms, records and captures.
//!
//! The [`Observer`] runs on the driver's thread and only counts: about a hundred nanoseconds a
//! packet, without allocating. What it counted goes whole to the [`Accountant`], a thread of its
//! own, at each second and at each change of settings; that one makes records, figures for people
//! who look on, and in the end the certificate. Single packets go from here to the queue of records,
//! and by pages to the thread that writes a capture.

mod accountant;
mod lane;
mod reason;
mod span;
#[cfg(test)]
mod tests;

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use weir_link::{Counters, Direction, Fate, Passage, Settings};
use weir_record::event::{self, Event};
use weir_record::{Level, Sink};
use weir_time::Instant;

use crate::capture::Feeds;
use crate::clock::Clock;
use crate::links::{LinkIndex, Wire};
use crate::tap::Tap;

pub use accountant::Recent;
pub(crate) use accountant::{Account, Accountant, Stretch, Sums};
use lane::Lane;
pub(crate) use reason::Reason;
use span::Span;

/// Counts on the driver's thread what packets do.
#[derive(Debug)]
pub(crate) struct Observer {
    /// Two for each link: up, then down.
    lanes: Vec<Lane>,
    gauges: Vec<Gauge>,
    letters: SyncSender<Letter>,
    /// Spans that were read and can be filled again.
    spares: Receiver<Box<Span>>,
    records: Sink,
    wants_packets: bool,
    feeds: Feeds,
    /// The latest time seen, and the latest before that.
    seen: Instant,
    seen_before: Instant,
    /// Real time, for the end; virtual worlds end when they were last seen.
    clock: Option<Clock>,
}

/// What the accountant is told.
#[derive(Debug)]
pub(crate) enum Letter {
    /// What a lane did.
    Span(Box<Span>),
    /// New settings hold; all spans before are of those before.
    Settings { lane: usize, stretch: u32, at: Instant, settings: Box<Settings> },
    /// A driver's own figure, over the last second.
    Gauge { link: LinkIndex, name: &'static str, value: u64, value_max: u64 },
    /// The totals of a pipe.
    Counted { lane: usize, counters: Box<Counters> },
    /// All spans of a second were sent, by this thread of the system.
    Tick { at: Instant, thread: i32 },
    /// The driver is gone.
    Closed { at: Instant },
}

#[derive(Debug)]
struct Gauge {
    link: LinkIndex,
    name: &'static str,
    value: u64,
    value_max: u64,
}

impl Observer {
    /// One for so many links, and the accountant's end. `clock` is absent in virtual time.
    pub(crate) fn new(
        links: usize,
        records: Sink,
        feeds: Feeds,
        clock: Option<Clock>,
    ) -> (Observer, Receiver<Letter>, SyncSender<Box<Span>>) {
        let lanes = links * 2;
        let (letters, received) = sync_channel(LETTERS_MIN.max(lanes * LETTERS_A_LANE));
        let (spent, spares) = sync_channel(LETTERS_MIN.max(lanes * 2));
        let observer = Observer {
            lanes: (0..lanes).map(Lane::new).collect(),
            gauges: Vec::new(),
            letters,
            spares,
            wants_packets: records.wants(Level::Packet),
            records,
            feeds,
            seen: Instant::ZERO,
            seen_before: Instant::ZERO,
            clock,
        };
        (observer, received, spent)
    }

    fn see(&mut self, at: Instant) {
        if at > self.seen {
            (self.seen_before, self.seen) = (self.seen, at);
        }
    }

    /// Hands a lane's span over. Without room for it, the lane goes on counting in it.
    fn hand_over(&mut self, lane: usize, until: Instant) -> bool {
        let Some(from) = self.lanes.get_mut(lane) else { return true };
        let (stretch, mut next) = (from.span.stretch, self.spares.try_recv().unwrap_or_default());
        (next.lane, next.stretch, next.from) = (lane, stretch, until);
        from.span.until = until;
        let full = std::mem::replace(&mut from.span, next);
        match self.letters.try_send(Letter::Span(full)) {
            Ok(()) => true,
            Err(TrySendError::Full(Letter::Span(full))) => {
                from.span = full;
                false
            }
            Err(_) => true,
        }
    }

    /// Small letters: one that finds no room is told at the next second.
    fn post(&self, letter: Letter) {
        let _ = self.letters.try_send(letter);
    }

    fn record_passage(&self, link: LinkIndex, direction: Direction, passage: &Passage) {
        let (delivered, fate) = match passage.fate {
            Fate::Delivered(at) => (Some(at.as_nanos()), event::Fate::Delivered),
            Fate::Dropped(reason) => (None, Reason::from(reason).fate()),
        };
        let record = event::Passage {
            link: link.0 as u64,
            direction: recorded(direction),
            index: passage.index,
            ip_bytes: passage.bytes,
            entered_t_ns: passage.entered.as_nanos(),
            left_queue_t_ns: passage.left_queue.map(Instant::as_nanos),
            delivered_t_ns: delivered,
            fate,
        };
        self.records.emit(self.seen, Event::from(record));
    }
}

impl Tap for Observer {
    fn entered(
        &mut self,
        link: LinkIndex,
        direction: Direction,
        index: u64,
        at: Instant,
        packet: &dyn Wire,
    ) {
        self.see(at);
        let number = lane(link, direction);
        if let Some(lane) = self.lanes.get_mut(number) {
            lane.entered(at, packet.ip_bytes());
        }
        if self.feeds.are_on() {
            self.feeds.entered(number, index, at, packet);
        }
    }

    fn passed(&mut self, link: LinkIndex, direction: Direction, passage: &Passage) {
        let number = lane(link, direction);
        if let Some(lane) = self.lanes.get_mut(number) {
            lane.passed(passage);
        }
        if self.wants_packets {
            self.record_passage(link, direction, passage);
        }
        if self.feeds.are_on() {
            self.feeds.passed(number, passage);
        }
    }

    fn left(
        &mut self,
        link: LinkIndex,
        direction: Direction,
        index: u64,
        due: Instant,
        at: Instant,
    ) {
        self.see(at);
        // What was due before the driver looked last was late for want of time, not of a timer.
        let is_waited = due > self.seen_before;
        let number = lane(link, direction);
        if let Some(lane) = self.lanes.get_mut(number) {
            lane.left(index, due, at, is_waited);
        }
        if self.feeds.are_on() {
            self.feeds.left(number, index, due, at);
        }
    }

    fn changed(&mut self, link: LinkIndex, direction: Direction, at: Instant, settings: &Settings) {
        let number = lane(link, direction);
        let is_handed_over = self.hand_over(number, at);
        let Some(lane) = self.lanes.get_mut(number) else { return };
        lane.asked(settings);
        let span = &mut *lane.span;
        span.is_mixed |= !is_handed_over;
        span.stretch += 1;
        let stretch = span.stretch;
        let settings = Box::new(settings.to_owned());
        self.post(Letter::Settings { lane: number, stretch, at, settings });
    }

    fn queued(&mut self, link: LinkIndex, direction: Direction, packets: usize, bytes: u64) {
        if let Some(lane) = self.lanes.get_mut(lane(link, direction)) {
            lane.queued(packets, bytes);
        }
    }

    fn gauge(&mut self, link: LinkIndex, name: &'static str, value: u64, at: Instant) {
        self.see(at);
        let has_room = self.gauges.len() < GAUGES_MAX;
        let held = self.gauges.iter_mut().find(|held| held.link == link && held.name == name);
        match held {
            Some(held) => {
                held.value = value;
                held.value_max = held.value_max.max(value);
            }
            None if has_room => {
                self.gauges.push(Gauge { link, name, value, value_max: value });
            }
            None => {}
        }
    }

    fn counted(&mut self, link: LinkIndex, direction: Direction, counters: &Counters) {
        let counters = Box::new(counters.to_owned());
        self.post(Letter::Counted { lane: lane(link, direction), counters });
    }

    fn tick(&mut self, at: Instant) {
        self.see(at);
        for number in 0..self.lanes.len() {
            self.hand_over(number, at);
        }
        for gauge in &mut self.gauges {
            let Gauge { link, name, value, value_max } = *gauge;
            gauge.value_max = value;
            let _ = self.letters.try_send(Letter::Gauge { link, name, value, value_max });
        }
        // SAFETY: the call takes nothing, and cannot fail.
        let thread = unsafe { libc::gettid() };
        self.post(Letter::Tick { at, thread });
        self.feeds.tick(at);
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        let at = self.clock.map_or(self.seen, |clock| clock.now().max(self.seen));
        for number in 0..self.lanes.len() {
            if let Some(lane) = self.lanes.get_mut(number) {
                lane.end_burst();
            }
            self.hand_over(number, at);
        }
        for Gauge { link, name, value, value_max } in self.gauges.drain(..) {
            let _ = self.letters.try_send(Letter::Gauge { link, name, value, value_max });
        }
        self.post(Letter::Closed { at });
    }
}

/// The number of a lane.
pub(crate) fn lane(link: LinkIndex, direction: Direction) -> usize {
    link.0 * 2 + usize::from(direction == Direction::Down)
}

/// The link and the direction of a lane.
pub(crate) fn link_of(lane: usize) -> (LinkIndex, Direction) {
    let direction = if lane.is_multiple_of(2) { Direction::Up } else { Direction::Down };
    (LinkIndex(lane / 2), direction)
}

/// The direction in the words of records.
pub(crate) fn recorded(direction: Direction) -> event::Direction {
    match direction {
        Direction::Up => event::Direction::Up,
        Direction::Down => event::Direction::Down,
    }
}

/// Letters on their way to the accountant; each lane sends a few a second.
const LETTERS_MIN: usize = 256;
const LETTERS_A_LANE: usize = 8;
const GAUGES_MAX: usize = 1024;
