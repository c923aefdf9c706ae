//! Two connections, a link between them, and an application on each side.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use weir_link::{Direction, LinkId, Pipe, Rate, Settings as LinkSettings};
use weir_time::{Instant, hash};

use crate::tcp::{Connection, Event, Output, Segment, Settings};

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) ends: [End; 2],
    pub(super) paths: [Path; 2],
}

/// A connection with an application that writes a known pattern and checks what it reads.
pub(super) struct End {
    pub(super) tcp: Connection,
    pub(super) events: Vec<Event>,
    pub(super) written: usize,
    pub(super) write_max: usize,
    /// Finish after `write_max` bytes.
    pub(super) finish: bool,
    pub(super) read: usize,
    pub(super) reading: bool,
    timeout: Option<Instant>,
    pattern: Bytes,
}

/// One direction: a pipe, and behind it a place where packets overtake each other.
pub(super) struct Path {
    pub(super) pipe: Pipe<Segment>,
    seed: u64,
    /// The share of packets that are held up behind the pipe, and for how long.
    pub(super) held_share: f64,
    pub(super) held: Duration,
    arriving: BTreeMap<(Instant, u64), Segment>,
    /// Nothing gets through.
    pub(super) cut: bool,
}

impl World {
    /// A client and a server that share `settings`, and a link that is the same both ways.
    pub(super) fn new(seed: u64, link: LinkSettings, settings: Settings) -> World {
        let mut client = Connection::connect(Instant::ZERO, seed, settings.clone());
        let paths = [Direction::Up, Direction::Down].map(|way| Path::new(seed, way, link.clone()));
        // The first SYN makes the server, so it crosses outside the link.
        let Output::Send(syn) = client.poll(Instant::ZERO) else { panic!("it opens") };
        let now = Instant::ZERO + link.delay;
        let server = Connection::accept(now, seed + 1, settings, &syn);
        World { now, ends: [End::new(client), End::new(server)], paths }
    }

    /// Runs until `done`, or panics at `end`.
    pub(super) fn run_until(&mut self, end: Instant, mut done: impl FnMut(&World) -> bool) {
        while !done(self) {
            assert!(
                self.now < end,
                "not done by {end:?}: {:?}",
                self.ends.each_ref().map(|e| e.read)
            );
            if !self.step(end) {
                assert!(done(self), "nothing will ever happen again");
                return;
            }
        }
    }

    /// Runs until `end`.
    pub(super) fn run_to(&mut self, end: Instant) {
        while self.now < end && self.step(end) {}
        self.now = end;
    }

    /// One moment. Returns whether there is another.
    fn step(&mut self, end: Instant) -> bool {
        for side in 0..2 {
            let (own, other) = self.ends.split_at_mut(1);
            let (from, to) =
                if side == 0 { (&mut own[0], &mut other[0]) } else { (&mut other[0], &mut own[0]) };
            from.act(self.now, &mut self.paths[side]);
            for segment in self.paths[side].arrivals(self.now) {
                to.tcp.handle(self.now, segment);
                to.act(self.now, &mut self.paths[1 - side]);
            }
        }
        let times =
            self.ends.iter().map(|end| end.timeout).chain(self.paths.iter().map(Path::next));
        let Some(next) = times.flatten().min() else {
            return false;
        };
        self.now = next.max(self.now).min(end);
        for side in 0..2 {
            if self.ends[side].timeout.is_some_and(|at| at <= self.now) {
                self.ends[side].tcp.timer(self.now);
                self.ends[side].act(self.now, &mut self.paths[side]);
            }
        }
        true
    }
}

impl End {
    fn new(tcp: Connection) -> End {
        let pattern = (0..PATTERN_BYTES as u64).map(|n| hash([n]) as u8).collect::<Vec<u8>>();
        End {
            tcp,
            events: Vec::new(),
            written: 0,
            write_max: 0,
            finish: false,
            read: 0,
            reading: true,
            timeout: None,
            pattern: Bytes::from(pattern),
        }
    }

    /// Writes and reads what it can, then sends what is to be sent.
    pub(super) fn act(&mut self, now: Instant, path: &mut Path) {
        loop {
            self.write();
            self.read();
            match self.tcp.poll(now) {
                Output::Send(segment) => path.offer(now, segment),
                Output::Event(event) => self.events.push(event),
                Output::Timeout(at) => {
                    self.timeout = at;
                    return;
                }
            }
        }
    }

    fn write(&mut self) {
        while self.written < self.write_max && self.tcp.send_space() > 0 {
            let from = self.written % PATTERN_BYTES;
            let to = PATTERN_BYTES.min(from + WRITE_BYTES.min(self.write_max - self.written));
            let accepted = self.tcp.send(self.pattern.slice(from..to));
            self.written += accepted;
        }
        if self.finish && self.written == self.write_max {
            self.tcp.shutdown();
        }
    }

    fn read(&mut self) {
        while self.reading
            && let Some(bytes) = self.tcp.recv(READ_BYTES)
        {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let from = self.read % PATTERN_BYTES;
                let len = rest.len().min(PATTERN_BYTES - from);
                assert!(
                    rest[..len] == self.pattern[from..from + len],
                    "wrong bytes at {}",
                    self.read
                );
                self.read += len;
                rest = &rest[len..];
            }
        }
    }
}

impl Path {
    fn new(seed: u64, direction: Direction, link: LinkSettings) -> Path {
        Path {
            pipe: Pipe::new(seed, LinkId(0), direction, link).expect("possible"),
            seed: hash([seed, direction as u64]),
            held_share: 0.0,
            held: Duration::ZERO,
            arriving: BTreeMap::new(),
            cut: false,
        }
    }

    pub(super) fn offer(&mut self, now: Instant, segment: Segment) {
        if !self.cut {
            let _ = self.pipe.offer(now, segment.ip_bytes(), segment);
        }
    }

    fn arrivals(&mut self, now: Instant) -> Vec<Segment> {
        while let Some(delivery) = self.pipe.poll(now) {
            let chance = hash([self.seed, delivery.index]) as f64 / u64::MAX as f64;
            let held = if chance < self.held_share { self.held } else { Duration::ZERO };
            self.arriving.insert((delivery.at + held, delivery.index), delivery.payload);
        }
        let later = self.arriving.split_off(&(now + Duration::from_nanos(1), 0));
        core::mem::replace(&mut self.arriving, later).into_values().collect()
    }

    fn next(&self) -> Option<Instant> {
        let held = self.arriving.keys().next().map(|(at, _)| *at);
        held.into_iter().chain(self.pipe.next_timeout()).min()
    }
}

/// A link with a queue of `queue_bytes`.
pub(super) fn link(rate_bits: u64, round_trip_ms: u64, queue_bytes: u64) -> LinkSettings {
    LinkSettings {
        rate: Rate::bits_per_second(rate_bits),
        queue: weir_link::Queue::Bytes(queue_bytes),
        delay: Duration::from_millis(round_trip_ms) / 2,
        ..LinkSettings::default()
    }
}

pub(super) fn millis(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// A prime, so that shifted or repeated data never looks right.
const PATTERN_BYTES: usize = 1_000_003;
const WRITE_BYTES: usize = 65_536;
const READ_BYTES: usize = 1 << 20;
