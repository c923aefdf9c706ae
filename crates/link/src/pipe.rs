//! One direction of a link.

use std::collections::VecDeque;
use std::time::Duration;

use weir_time::{Instant, hash};

use crate::codel::{Aim, CoDel};
use crate::error::Error;
use crate::flight::{Flight, Flying};
use crate::jitter::delay_nanos;
use crate::loss::{Chance, unit};
use crate::pace::{Sender, Turn};
use crate::passage::{Counters, Dropped, Ledger, Marks, Passage};
use crate::pie::Pie;
use crate::policer::Tokens;
use crate::queue::{Packet, Waiting};
use crate::schedule::{Playing, Schedule};
use crate::settings::{
    Blackout, Direction, Discipline, LinkId, Loss, Queue, Rate, Reorder, Settings,
};

/// The most packets in a pipe at once, in the queue and in flight.
pub const PACKETS_INSIDE_MAX: usize = 1 << 20;

/// One direction of one link, with the packets that are in it. `P` is what stands for a packet:
/// its bytes, or a number.
///
/// Its methods take the time, which must not go back: an earlier time counts as the latest seen.
#[derive(Debug)]
pub struct Pipe<P> {
    settings: Settings,
    /// The last rate that was not 0: queues bounded in time go by it while there is none.
    rate_moving: Rate,
    keys: Keys,
    chance: Chance,
    now: Instant,
    /// The index of the next packet offered.
    next_index: u64,
    tokens: Tokens,
    queue: Waiting<P>,
    codel: CoDel,
    pie: Pie,
    sender: Sender,
    sending: Option<Sending<P>>,
    flight: Flight<P>,
    /// The highest index that came out.
    index_out_max: Option<u64>,
    ledger: Ledger,
    schedule: Option<Playing>,
    /// When the schedule makes its next change; `FAR` if never.
    next_change: Instant,
    changes: VecDeque<(Instant, Settings)>,
}

/// A packet that came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery<P> {
    /// When it came out: its exact time, not the time of the call.
    pub at: Instant,
    /// Its number: how many were offered before it. A copy has that of its original.
    pub index: u64,
    /// Size of the IP packet.
    pub bytes: u32,
    /// What was offered.
    pub payload: P,
    /// A bit of it is wrong: which one, the random number says. It is not changed here.
    pub corrupt: Option<u64>,
    /// It is a copy; its original came out before.
    pub duplicate: bool,
}

/// The packet whose bits are on their way out.
#[derive(Debug)]
struct Sending<P> {
    packet: Packet<P>,
    turn: Turn,
}

/// What random numbers are drawn from, together with a packet's index.
#[derive(Clone, Copy, Debug)]
struct Keys {
    jitter: u64,
    reorder: u64,
    duplicate: u64,
    corrupt: u64,
    corrupt_bit: u64,
    aqm: u64,
    schedule: u64,
}

impl<P: Clone> Pipe<P> {
    /// An empty pipe. Fates follow from `seed`, `link` and `direction`.
    ///
    /// # Errors
    /// When the settings cannot be met.
    pub fn new(
        seed: u64,
        link: LinkId,
        direction: Direction,
        settings: Settings,
    ) -> Result<Self, Error> {
        settings.check()?;
        let key = |use_: u64| hash([seed, link.0, direction as u64, use_]);
        Ok(Pipe {
            rate_moving: settings.rate.clone(),
            keys: Keys {
                jitter: key(USE_JITTER),
                reorder: key(USE_REORDER),
                duplicate: key(USE_DUPLICATE),
                corrupt: key(USE_CORRUPT),
                corrupt_bit: key(USE_CORRUPT_BIT),
                aqm: key(USE_AQM),
                schedule: key(USE_SCHEDULE),
            },
            chance: Chance::new(key(USE_LOSS), key(USE_STEP)),
            now: Instant::ZERO,
            next_index: 0,
            tokens: Tokens::full(&settings.policer, Instant::ZERO),
            queue: Waiting::new(),
            codel: CoDel::default(),
            pie: Pie::new(Instant::ZERO),
            sender: Sender::new(Instant::ZERO),
            sending: None,
            flight: Flight::new(),
            index_out_max: None,
            ledger: Ledger::default(),
            schedule: None,
            next_change: Instant::FAR,
            changes: VecDeque::new(),
            settings,
        })
    }

    /// Puts a packet of `bytes` IP bytes in. An error means that it was dropped at once; it was
    /// counted. A packet that chance will take is accepted all the same.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn offer(&mut self, now: Instant, bytes: u32, payload: P) -> Result<(), Dropped> {
        let now = self.advance(now);
        let packet = Packet { index: self.next_index, bytes, entered: now, payload };
        self.next_index += 1;
        self.ledger.counters.offered_packets += 1;
        self.ledger.counters.offered_bytes += u64::from(bytes);
        if self.inside_packets() >= PACKETS_INSIDE_MAX {
            return Err(self.refuse(&packet, Dropped::Inside));
        }
        if !self.tokens.admits(&self.settings.policer, now, bytes) {
            return Err(self.refuse(&packet, Dropped::Policer));
        }
        if self.sending.is_none() {
            let begin = self.sender.idle(&self.settings.rate, now);
            let turn = self.sender.turn(&self.settings.rate, begin, bytes);
            self.sending = Some(Sending { packet, turn });
            self.advance(now);
            return Ok(());
        }
        self.enqueue(now, packet)
    }

    /// The next packet that has come out by `now`, in the order in which they come out.
    pub fn poll(&mut self, now: Instant) -> Option<Delivery<P>> {
        let now = self.advance(now);
        let Flying { at, marks, packet } = self.flight.pop(now)?;
        let Packet { index, bytes, payload, .. } = packet;
        let counters = &mut self.ledger.counters;
        counters.delivered_packets += 1;
        counters.delivered_bytes += u64::from(bytes);
        let before = self.index_out_max;
        counters.reordered_packets += u64::from(before.is_some_and(|before| before > index));
        self.index_out_max = before.max(Some(index));
        let corrupt = marks.corrupt.then(|| hash([self.keys.corrupt_bit, index]));
        Some(Delivery { at, index, bytes, payload, corrupt, duplicate: marks.duplicate })
    }

    /// When to poll again; `None` while nothing comes out by itself. Offers and new settings
    /// change it.
    pub fn next_timeout(&self) -> Option<Instant> {
        let flying = self.flight.next();
        let in_order = self.settings.reorder == Reorder::None && self.flight.is_in_line();
        if let Some(flying) = flying
            && in_order
        {
            // What is still to be sent arrives behind, if nobody changes that.
            return Some(flying.min(self.next_change));
        }
        let sent = match &self.sending {
            Some(sending) => sending.turn.end.at.min(self.next_change),
            None => Instant::FAR,
        };
        Some(flying.unwrap_or(Instant::FAR).min(sent)).filter(|at| *at < Instant::FAR)
    }

    /// Changes what is asked, from `now` on, for all that has not been sent yet. Nothing inside is
    /// dropped: a queue that is longer than its new bound drains first. What is in flight arrives
    /// when it would have. A schedule goes on.
    ///
    /// # Errors
    /// When the settings cannot be met; nothing has changed then.
    pub fn set(&mut self, now: Instant, settings: Settings) -> Result<(), Error> {
        let now = self.advance(now);
        // A rate of 0 that a schedule has set may stay.
        if settings.rate.is(&self.settings.rate) {
            settings.check_scheduled()?;
        } else {
            settings.check()?;
        }
        self.change(now, settings);
        self.advance(now);
        Ok(())
    }

    /// Follows a schedule from `now` on, in place of any before. Its changes are made at their exact
    /// times, whenever the pipe is called next.
    pub fn follow(&mut self, now: Instant, schedule: &Schedule) {
        let now = self.advance(now);
        let playing = Playing::new(schedule, now, self.keys.schedule);
        self.next_change = playing.next().unwrap_or(Instant::FAR);
        self.schedule = Some(playing);
        self.advance(now);
    }

    /// When the schedule makes its next change.
    pub fn next_change(&self) -> Option<Instant> {
        Some(self.next_change).filter(|at| *at < Instant::FAR)
    }

    /// The oldest change by the schedule that was not taken yet, with its time. They are kept while
    /// records are ([`observe`](Self::observe)), 4096 at most: then the oldest gives way, counted.
    pub fn take_change(&mut self) -> Option<(Instant, Settings)> {
        self.changes.pop_front()
    }

    /// What is asked now.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Totals since the pipe was made, as of the last call that took a time.
    pub fn counters(&self) -> &Counters {
        &self.ledger.counters
    }

    /// Packets that wait to be sent.
    pub fn queue_packets(&self) -> usize {
        self.queue.len()
    }

    /// Bytes that wait to be sent.
    pub fn queue_bytes(&self) -> u64 {
        self.queue.bytes()
    }

    /// Packets, copies among them, that neither came out nor were dropped yet.
    pub fn inside_packets(&self) -> usize {
        self.queue.len() + usize::from(self.sending.is_some()) + self.flight.len()
    }

    /// Whether nothing is inside.
    pub fn is_empty(&self) -> bool {
        self.inside_packets() == 0
    }

    /// Keeps a record of each packet from here on, `passages_max` at most until they are taken:
    /// then the oldest gives way, counted. Zero, the state at first, keeps none.
    pub fn observe(&mut self, passages_max: usize) {
        self.ledger.keep(passages_max);
    }

    /// The oldest record not yet taken. Records come when a fate is certain, which is before the
    /// packet itself comes out.
    pub fn take_passage(&mut self) -> Option<Passage> {
        self.ledger.take()
    }

    /// Does all that happens up to `now`, each thing at its own time. Of what falls together, a
    /// packet that is done goes first, then a change, then what the queue's management works out.
    pub fn advance(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        loop {
            let sent = self.sending.as_ref().map_or(Instant::FAR, |sending| sending.turn.end.at);
            let update = match self.settings.discipline {
                Discipline::Pie { .. } => self.pie.next_update().unwrap_or(Instant::FAR),
                _ => Instant::FAR,
            };
            let next = sent.min(self.next_change).min(update);
            if next > self.now || next == Instant::FAR {
                return self.now;
            }
            if next == sent {
                self.finish();
            } else if next == self.next_change {
                self.change_by_schedule(next);
            } else if let Discipline::Pie { target } = self.settings.discipline {
                self.pie.update(target);
            }
        }
    }

    /// The packet that is being sent is done; the next begins.
    fn finish(&mut self) {
        let Some(Sending { packet, turn }) = self.sending.take() else { return };
        let done = turn.end;
        self.depart(packet, done.at);
        if let Some(packet) = self.dequeue(done.at) {
            let turn = self.sender.turn(&self.settings.rate, done, packet.bytes);
            self.sending = Some(Sending { packet, turn });
        }
    }

    /// Decides what becomes of a packet whose last bit left at `left`.
    fn depart(&mut self, packet: Packet<P>, left: Instant) {
        let settings = &self.settings;
        let index = packet.index;
        if self.chance.takes(&settings.loss, index) {
            return self.ledger.drop_packet(&packet, Some(left), Dropped::Loss);
        }
        if is_black(settings.blackout, left) {
            return self.ledger.drop_packet(&packet, Some(left), Dropped::Blackout);
        }
        let delay = delay_nanos(self.keys.jitter, index, settings.delay, &settings.jitter);
        let mut at = left + Duration::from_nanos(delay);
        if let Rate::Trace(_) = settings.rate {
            at += self.sender.latency(&settings.rate, left);
        }
        let late = match settings.reorder {
            Reorder::Late { chance, by } if draws(self.keys.reorder, index, chance) => Some(by),
            _ => None,
        };
        at = match (late, settings.reorder) {
            (Some(by), _) => at + by,
            (None, Reorder::Jitter) => at,
            (None, _) => self.flight.behind(at),
        };
        let marks = Marks {
            corrupt: draws(self.keys.corrupt, index, settings.corrupt),
            duplicate: draws(self.keys.duplicate, index, settings.duplicate),
        };
        self.ledger.deliver_packet(&packet, left, at, marks);
        let copy = marks.duplicate.then(|| Packet { payload: packet.payload.clone(), ..packet });
        let original = Flying { at, marks: Marks { duplicate: false, ..marks }, packet };
        let copy = copy.map(|packet| Flying { at, marks, packet });
        for flying in [Some(original), copy].into_iter().flatten() {
            if late.is_some() {
                self.flight.push_late(flying);
            } else {
                self.flight.push(flying);
            }
        }
    }

    fn enqueue(&mut self, now: Instant, packet: Packet<P>) -> Result<(), Dropped> {
        match self.settings.discipline {
            Discipline::DropHead => {
                if !self.fits(now, 0, 0, packet.bytes) {
                    return Err(self.refuse(&packet, Dropped::Queue));
                }
                while !self.has_room(now, packet.bytes) {
                    let Some(oldest) = self.queue.pop() else { break };
                    self.ledger.drop_packet(&oldest, None, Dropped::Queue);
                }
            }
            Discipline::Pie { target } => {
                self.pie.catch_up(now);
                let draw = unit(hash([self.keys.aqm, packet.index]));
                if self.pie.drops(target, self.queue.bytes(), draw) {
                    return Err(self.refuse(&packet, Dropped::Aqm));
                }
            }
            Discipline::DropTail | Discipline::CoDel { .. } => {}
        }
        if !self.has_room(now, packet.bytes) {
            return Err(self.refuse(&packet, Dropped::Queue));
        }
        self.queue.push(packet);
        let counters = &mut self.ledger.counters;
        counters.queue_packets_max = counters.queue_packets_max.max(self.queue.len() as u64);
        counters.queue_bytes_max = counters.queue_bytes_max.max(self.queue.bytes());
        Ok(())
    }

    /// The next packet to send, at `now`.
    fn dequeue(&mut self, now: Instant) -> Option<Packet<P>> {
        match self.settings.discipline {
            Discipline::DropTail | Discipline::DropHead => self.queue.pop(),
            Discipline::CoDel { target, interval } => {
                let ledger = &mut self.ledger;
                let drop = |packet: Packet<P>| ledger.drop_packet(&packet, None, Dropped::Aqm);
                self.codel.dequeue(Aim { target, interval }, now, &mut self.queue, drop)
            }
            Discipline::Pie { .. } => {
                let packet = self.queue.pop();
                self.pie.catch_up(now);
                match &packet {
                    Some(packet) if !self.queue.is_empty() => {
                        self.pie.left(now.since(packet.entered));
                    }
                    _ => self.pie.empty(),
                }
                packet
            }
        }
    }

    fn has_room(&self, now: Instant, bytes: u32) -> bool {
        self.fits(now, self.queue.len(), self.queue.bytes(), bytes)
    }

    /// Whether a packet fits into a queue in which so much waits.
    fn fits(&self, now: Instant, packets: usize, waiting: u64, bytes: u32) -> bool {
        let wanted = waiting + u64::from(bytes);
        match self.settings.queue {
            Queue::Bytes(bytes_max) => wanted <= bytes_max,
            Queue::Packets(packets_max) => (packets as u64) < packets_max,
            Queue::Time(span) => {
                packets == 0 || wanted <= self.sender.capacity_bytes(&self.rate_moving, now, span)
            }
        }
    }

    fn refuse(&mut self, packet: &Packet<P>, reason: Dropped) -> Dropped {
        self.ledger.drop_packet(packet, None, reason);
        reason
    }

    fn change_by_schedule(&mut self, at: Instant) {
        let mut settings = self.settings.clone();
        if let Some(playing) = &mut self.schedule {
            playing.apply(at, &mut settings);
            self.next_change = playing.next().unwrap_or(Instant::FAR);
        }
        if self.ledger.keeps() {
            if self.changes.len() >= CHANGES_MAX {
                self.changes.pop_front();
                self.ledger.counters.changes_missed += 1;
            }
            self.changes.push_back((at, settings.clone()));
        }
        self.change(at, settings);
    }

    fn change(&mut self, now: Instant, settings: Settings) {
        let was = core::mem::replace(&mut self.settings, settings);
        let settings = &self.settings;
        let chains = |loss: &Loss| matches!(loss, Loss::GilbertElliott(_));
        if chains(&settings.loss) && !chains(&was.loss) {
            let index = match (&self.sending, self.queue.first()) {
                (Some(sending), _) => sending.packet.index,
                (None, Some(packet)) => packet.index,
                (None, None) => self.next_index,
            };
            self.chance.restart(index);
        }
        if settings.policer != was.policer {
            self.tokens.change(&was.policer, &settings.policer, now);
        }
        if settings.discipline != was.discipline {
            self.codel = CoDel::default();
            self.pie = Pie::new(now);
        }
        if settings.rate.is(&was.rate) {
            return;
        }
        match &mut self.sending {
            Some(Sending { turn, .. }) => {
                *turn = self.sender.retime(&was.rate, &settings.rate, *turn, now);
            }
            None => self.sender.restart(now),
        }
        if !matches!(settings.rate, Rate::Constant { bits_per_second: 0 }) {
            self.rate_moving = settings.rate.clone();
        }
    }
}

/// Whether chance takes a packet.
fn draws(key: u64, index: u64, chance: f64) -> bool {
    chance > 0.0 && unit(hash([key, index])) < chance
}

fn is_black(blackout: Blackout, at: Instant) -> bool {
    match blackout {
        Blackout::Off => false,
        Blackout::On => true,
        Blackout::Every { period, span } => {
            let period = period.as_nanos();
            period > 0 && u128::from(at.as_nanos()) % period >= period - span.as_nanos().min(period)
        }
    }
}

const CHANGES_MAX: usize = 4096;

const USE_LOSS: u64 = 1;
const USE_STEP: u64 = 2;
const USE_JITTER: u64 = 3;
const USE_REORDER: u64 = 4;
const USE_DUPLICATE: u64 = 5;
const USE_CORRUPT: u64 = 6;
const USE_CORRUPT_BIT: u64 = 7;
const USE_AQM: u64 = 8;
const USE_SCHEDULE: u64 = 9;

#[cfg(test)]
#[path = "pipe_tests.rs"]
mod tests;
