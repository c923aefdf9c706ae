//! Puts what happened to packets in order of time, each with its fate.
//!
//! A packet can only be written once its fate is known, and all that came after it has to wait as
//! long. What waits is bounded: beyond the bound the oldest packet is written without its fate.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::fmt::Write;
use std::sync::Arc;

use weir_time::Instant;

use super::page::{Ending, Event};
use super::pcapng::{self, Way};

/// Takes events of all lanes, and gives packets in order of time.
#[derive(Debug)]
pub(super) struct Order {
    lanes: Vec<Lane>,
    ready: BinaryHeap<Reverse<Ready>>,
    /// Of packets that wait, in `entries` and in `ready`.
    held_bytes: usize,
    /// Of packets in `flying`.
    flying_bytes: usize,
    held_bytes_max: usize,
    /// The latest time of all events.
    now: Instant,
    sequence: u64,
    first_interface: u32,
    /// Nanoseconds since 1970 at which the clock stood at zero.
    zero_utc_ns: u64,
    /// Packets that are not in the capture, or only one of its two interfaces.
    pub(super) packets_missed: u64,
    /// Packets seen by each interface: two for each lane, in and out.
    pub(super) received: Vec<u64>,
}

#[derive(Debug, Default)]
struct Lane {
    /// Packets that were offered, in order; those behind one without a fate wait for it.
    entries: VecDeque<Entry>,
    /// Packets that come out, by index.
    flying: BTreeMap<u64, Flying>,
    /// Packets that never come out, since the last that did.
    dropped: u64,
}

#[derive(Debug)]
struct Entry {
    index: u64,
    at: Instant,
    bytes: u32,
    data: Arc<[u8]>,
    comment: Option<String>,
}

#[derive(Debug)]
struct Flying {
    bytes: u32,
    data: Arc<[u8]>,
}

/// A packet that is written as soon as nothing earlier can come.
#[derive(Debug)]
struct Ready {
    at: Instant,
    sequence: u64,
    interface: u32,
    bytes: u32,
    data: Arc<[u8]>,
    comment: String,
    drop_count: u64,
    id: u64,
}

impl Order {
    /// The interfaces of `first_lane` are the first of the file.
    pub(super) fn new(
        lanes: usize,
        first_lane: usize,
        held_bytes_max: usize,
        zero_utc_ns: u64,
    ) -> Order {
        Order {
            lanes: (0..lanes).map(|_| Lane::default()).collect(),
            ready: BinaryHeap::new(),
            held_bytes: 0,
            flying_bytes: 0,
            held_bytes_max,
            now: Instant::ZERO,
            sequence: 0,
            first_interface: (first_lane * 2) as u32,
            zero_utc_ns,
            packets_missed: 0,
            received: vec![0; lanes * 2],
        }
    }

    pub(super) fn handle(&mut self, event: &Event<'_>) {
        match *event {
            Event::Entered { lane, index, at, bytes, data } => {
                self.now = self.now.max(at);
                let Some(place) = self.lanes.get_mut(lane) else { return };
                self.held_bytes += held(data);
                let data = Arc::from(data);
                place.entries.push_back(Entry { index, at, bytes, data, comment: None });
                self.count(lane * 2);
            }
            Event::Passed { lane, index, left_queue, fate } => {
                self.passed(lane, index, left_queue, fate);
            }
            Event::Left { lane, index, due, at } => {
                self.now = self.now.max(at);
                self.left(lane, index, due, at);
            }
            Event::Missed { packets } => {
                self.packets_missed += packets;
                // A fate may be among what is missing.
                self.give_up_fates("its fate is missing: the capture could not keep up");
            }
        }
    }

    /// Writes all that nothing can come before any more, and more while too much waits. Gives the
    /// number of packets.
    pub(super) fn drain(&mut self, out: &mut Vec<u8>) -> u64 {
        let mut written = self.write_ready(out);
        while self.held_bytes > self.held_bytes_max && self.give_up_oldest() {
            written += self.write_ready(out);
        }
        written
    }

    fn write_ready(&mut self, out: &mut Vec<u8>) -> u64 {
        let waiting = self.lanes.iter().filter_map(|lane| lane.entries.front());
        let until = waiting.map(|entry| entry.at).min().unwrap_or(self.now);
        let mut written = 0;
        while self.ready.peek().is_some_and(|Reverse(first)| first.at <= until)
            && let Some(Reverse(ready)) = self.ready.pop()
        {
            self.held_bytes = self.held_bytes.saturating_sub(held(&ready.data));
            written += 1;
            let packet = pcapng::Packet {
                interface: ready.interface.saturating_sub(self.first_interface),
                at_ns: self.zero_utc_ns.saturating_add(ready.at.as_nanos()),
                data: &ready.data,
                bytes: ready.bytes,
                comment: &ready.comment,
                way: if ready.interface.is_multiple_of(2) { Way::In } else { Way::Out },
                drop_count: ready.drop_count,
                id: ready.id,
            };
            pcapng::packet(out, &packet);
        }
        written
    }

    /// Writes all there is: nothing more will come.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> u64 {
        self.give_up_fates("inside when the capture ended");
        self.now = Instant::FAR;
        self.drain(out)
    }

    fn passed(&mut self, number: usize, index: u64, left_queue: Option<Instant>, fate: Ending) {
        let Some(lane) = self.lanes.get_mut(number) else { return };
        let Ok(place) = lane.entries.binary_search_by_key(&index, |entry| entry.index) else {
            // It was offered before the capture began, or is a duplicate of one that was told.
            return;
        };
        let Some(entry) = lane.entries.get_mut(place) else { return };
        if entry.comment.is_some() {
            return;
        }
        entry.comment = Some(comment(entry, left_queue, fate, self.zero_utc_ns));
        if let Ending::Delivered(_) = fate {
            let flying = Flying { bytes: entry.bytes, data: Arc::clone(&entry.data) };
            self.flying_bytes += held(&flying.data);
            lane.flying.insert(index, flying);
            while self.flying_bytes > self.held_bytes_max
                && let Some((_, first)) = lane.flying.pop_first()
            {
                self.flying_bytes = self.flying_bytes.saturating_sub(held(&first.data));
                self.packets_missed += 1;
            }
        } else {
            lane.dropped += 1;
        }
        self.release(number);
    }

    fn left(&mut self, number: usize, index: u64, due: Instant, at: Instant) {
        let Some(lane) = self.lanes.get_mut(number) else { return };
        // A duplicate comes out behind its original: packets stay known until later ones leave.
        while lane.flying.first_key_value().is_some_and(|(first, _)| first + KEPT_BEHIND < index)
            && let Some((_, first)) = lane.flying.pop_first()
        {
            self.flying_bytes = self.flying_bytes.saturating_sub(held(&first.data));
        }
        let Some(flying) = lane.flying.get(&index) else { return };
        let (bytes, data) = (flying.bytes, Arc::clone(&flying.data));
        let drop_count = std::mem::take(&mut lane.dropped);
        let late = at.since(due).as_nanos() as f64 / 1e6;
        let comment = format!("#{index} late {late:.6} ms");
        self.held_bytes += held(&data);
        self.count(number * 2 + 1);
        self.push(
            number * 2 + 1,
            Ready {
                at,
                sequence: 0,
                interface: 0,
                bytes,
                data,
                comment,
                drop_count,
                id: id(number, index),
            },
        );
    }

    /// Moves packets whose fate is known on, up to the first whose fate is not.
    fn release(&mut self, number: usize) {
        while let Some(lane) = self.lanes.get_mut(number)
            && let Some(entry) = lane.entries.pop_front_if(|entry| entry.comment.is_some())
        {
            self.push(
                number * 2,
                Ready {
                    at: entry.at,
                    sequence: 0,
                    interface: 0,
                    bytes: entry.bytes,
                    data: entry.data,
                    comment: entry.comment.unwrap_or_default(),
                    drop_count: 0,
                    id: id(number, entry.index),
                },
            );
        }
    }

    fn push(&mut self, interface: usize, ready: Ready) {
        self.sequence += 1;
        let (interface, sequence) = (interface as u32, self.sequence);
        self.ready.push(Reverse(Ready { interface, sequence, ..ready }));
    }

    fn give_up_fates(&mut self, why: &str) {
        for number in 0..self.lanes.len() {
            if let Some(lane) = self.lanes.get_mut(number) {
                for entry in lane.entries.iter_mut().filter(|entry| entry.comment.is_none()) {
                    entry.comment = Some(format!("#{} {why}", entry.index));
                }
            }
            self.release(number);
        }
    }

    /// Lets the oldest packet wait no more for its fate, if one waits.
    fn give_up_oldest(&mut self) -> bool {
        let lanes = self.lanes.iter().enumerate();
        let fronts = lanes.filter_map(|(number, lane)| Some((lane.entries.front()?.at, number)));
        let oldest = fronts.min().map(|(_, number)| number);
        let Some(number) = oldest else { return false };
        if let Some(front) = self.lanes.get_mut(number).and_then(|lane| lane.entries.front_mut()) {
            let text = format!("#{} inside: too much waits to be written", front.index);
            front.comment = Some(text);
            self.packets_missed += 1;
        }
        self.release(number);
        true
    }

    fn count(&mut self, interface: usize) {
        if let Some(count) = self.received.get_mut(interface) {
            *count += 1;
        }
    }
}

/// What the comment of a packet on its way in says.
fn comment(entry: &Entry, left_queue: Option<Instant>, fate: Ending, zero_utc_ns: u64) -> String {
    let mut text = format!("#{} ", entry.index);
    let millis = |at: Instant| at.since(entry.at).as_nanos() as f64 / 1e6;
    match fate {
        Ending::Delivered(due) => {
            let utc = zero_utc_ns.saturating_add(due.as_nanos());
            let (seconds, nanos) = (utc / 1_000_000_000, utc % 1_000_000_000);
            let _ = write!(text, "out {seconds}.{nanos:09} after {:.6} ms", millis(due));
        }
        Ending::Dropped(reason) => {
            let _ = write!(text, "dropped: {}", reason.text());
        }
    }
    if let Some(left) = left_queue {
        let _ = write!(text, ", queue {:.6} ms", millis(left));
    }
    text
}

/// The same for a packet on its way in and on its way out.
fn id(lane: usize, index: u64) -> u64 {
    ((lane as u64) << 48) | (index & ((1 << 48) - 1))
}

impl PartialEq for Ready {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ready {}

impl PartialOrd for Ready {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ready {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

fn held(data: &[u8]) -> usize {
    data.len() + ENTRY_BYTES
}

/// What a packet costs beside its bytes, about.
const ENTRY_BYTES: usize = 192;
/// How many packets may come out before a duplicate of an earlier one does.
const KEPT_BEHIND: u64 = 256;
