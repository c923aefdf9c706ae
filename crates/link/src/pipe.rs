//! One direction of a link.

use std::collections::VecDeque;
use std::time::Duration;

use weir_time::{Instant, hash};

use crate::jitter::delay_nanos;
use crate::loss::Chance;
use crate::passage::{Counters, Dropped, Fate, Passage};
use crate::settings::{Direction, Error, LinkId, Loss, Queue, Rate, Settings};

/// The most packets in a pipe at once, in the queue and in flight.
pub const PACKETS_INSIDE_MAX: usize = 1 << 20;

/// One direction of one link, with the packets that are in it. `P` is what stands for a packet:
/// its bytes, or a number.
///
/// Its methods take the time, which must not go back: an earlier time counts as the latest seen.
#[derive(Debug)]
pub struct Pipe<P> {
    settings: Settings,
    chance: Chance,
    jitter_key: u64,
    now: Instant,
    /// The index of the next packet offered.
    next_index: u64,
    queue: VecDeque<Packet<P>>,
    queue_bytes: u64,
    sender: Option<Sending<P>>,
    /// Packets that were sent, in the order in which they arrive.
    flying: VecDeque<Flying<P>>,
    arrival_max: Instant,
    counters: Counters,
    passages: VecDeque<Passage>,
    passages_max: usize,
}

/// A packet that came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery<P> {
    /// When it came out: its exact time, not the time of the call.
    pub at: Instant,
    /// Its number: how many were offered before it.
    pub index: u64,
    /// Size of the IP packet.
    pub bytes: u32,
    /// What was offered.
    pub payload: P,
}

#[derive(Debug)]
struct Packet<P> {
    index: u64,
    bytes: u32,
    entered: Instant,
    payload: P,
}

/// The packet whose bits are on their way out.
#[derive(Debug)]
struct Sending<P> {
    packet: Packet<P>,
    /// The first whole nanosecond at which its last bit has been sent.
    done: Instant,
    /// What the rate could have sent between the exact end and `done`, in [`Work`]: the next
    /// packet begins with it, so that rounding never adds up.
    spare: Work,
}

#[derive(Debug)]
struct Flying<P> {
    packet: Packet<P>,
    at: Instant,
}

/// Bits times 10^9: what a rate of 1 bit/s does in one nanosecond is 1.
type Work = u64;

impl<P> Pipe<P> {
    /// An empty pipe. Fates follow from `seed`, `link` and `direction`.
    pub fn new(
        seed: u64,
        link: LinkId,
        direction: Direction,
        settings: Settings,
    ) -> Result<Self, Error> {
        settings.check()?;
        let key = |use_: u64| hash([seed, link.0, direction as u64, use_]);
        Ok(Pipe {
            settings,
            chance: Chance::new(key(USE_LOSS), key(USE_STEP)),
            jitter_key: key(USE_JITTER),
            now: Instant::ZERO,
            next_index: 0,
            queue: VecDeque::new(),
            queue_bytes: 0,
            sender: None,
            flying: VecDeque::new(),
            arrival_max: Instant::ZERO,
            counters: Counters::default(),
            passages: VecDeque::new(),
            passages_max: 0,
        })
    }

    /// Puts a packet of `bytes` IP bytes in. An error means that it was dropped at once; it was
    /// counted. A packet that chance will take is accepted all the same.
    pub fn offer(&mut self, now: Instant, bytes: u32, payload: P) -> Result<(), Dropped> {
        let now = self.advance(now);
        let packet = Packet { index: self.next_index, bytes, entered: now, payload };
        self.next_index += 1;
        self.counters.offered_packets += 1;
        self.counters.offered_bytes += u64::from(bytes);
        if self.inside_packets() >= PACKETS_INSIDE_MAX {
            return Err(self.refuse(&packet, Dropped::Inside));
        }
        if self.sender.is_none() {
            self.send(packet, now, 0);
            self.advance(now);
            return Ok(());
        }
        if !self.fits(bytes) {
            return Err(self.refuse(&packet, Dropped::Queue));
        }
        self.queue_bytes += u64::from(bytes);
        self.queue.push_back(packet);
        let counters = &mut self.counters;
        counters.queue_packets_max = counters.queue_packets_max.max(self.queue.len() as u64);
        counters.queue_bytes_max = counters.queue_bytes_max.max(self.queue_bytes);
        Ok(())
    }

    /// The next packet that has come out by `now`, in order.
    pub fn poll(&mut self, now: Instant) -> Option<Delivery<P>> {
        let now = self.advance(now);
        if self.flying.front()?.at > now {
            return None;
        }
        let Flying { packet, at } = self.flying.pop_front()?;
        self.counters.delivered_packets += 1;
        self.counters.delivered_bytes += u64::from(packet.bytes);
        Some(Delivery { at, index: packet.index, bytes: packet.bytes, payload: packet.payload })
    }

    /// When to poll again; `None` while the pipe is empty. Offers and new settings change it.
    pub fn next_timeout(&self) -> Option<Instant> {
        // Order is kept, so nothing that is still to be sent arrives before what is in flight.
        match self.flying.front() {
            Some(first) => Some(first.at),
            None => self.sender.as_ref().map(|sending| sending.done),
        }
    }

    /// Changes what is asked, from `now` on, for all that has not been sent yet. Nothing inside is
    /// dropped: a queue that is longer than its new bound drains first. What is in flight arrives
    /// when it would have.
    pub fn set(&mut self, now: Instant, settings: Settings) -> Result<(), Error> {
        settings.check()?;
        let now = self.advance(now);
        let was = core::mem::replace(&mut self.settings, settings);
        let chains = |loss: &Loss| matches!(loss, Loss::GilbertElliott(_));
        if chains(&settings.loss) && !chains(&was.loss) {
            let index = match (&self.sender, self.queue.front()) {
                (Some(sending), _) => sending.packet.index,
                (None, Some(packet)) => packet.index,
                (None, None) => self.next_index,
            };
            self.chance.restart(index);
        }
        if let Some(sending) = &mut self.sender {
            let left = match was.rate {
                Rate::Unlimited => 0,
                Rate::Constant { bits_per_second } => nanos(sending.done.since(now))
                    .saturating_mul(bits_per_second)
                    .saturating_sub(sending.spare),
            };
            (sending.done, sending.spare) = finish(settings.rate, now, left);
        }
        self.advance(now);
        Ok(())
    }

    /// What is asked now.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Totals since the pipe was made, as of the last call that took a time.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Packets that wait to be sent.
    pub fn queue_packets(&self) -> usize {
        self.queue.len()
    }

    /// Bytes that wait to be sent.
    pub fn queue_bytes(&self) -> u64 {
        self.queue_bytes
    }

    /// Packets offered that neither came out nor were dropped yet.
    pub fn inside_packets(&self) -> usize {
        self.queue.len() + usize::from(self.sender.is_some()) + self.flying.len()
    }

    /// Whether nothing is inside.
    pub fn is_empty(&self) -> bool {
        self.inside_packets() == 0
    }

    /// Keeps a record of each packet from here on, `passages_max` at most until they are taken:
    /// then the oldest gives way, counted. Zero, the state at first, keeps none.
    pub fn observe(&mut self, passages_max: usize) {
        self.passages_max = passages_max;
        while self.passages.len() > passages_max {
            self.passages.pop_front();
            self.counters.passages_missed += 1;
        }
    }

    /// The oldest record not yet taken. Records come when a fate is certain, which is before the
    /// packet itself comes out.
    pub fn take_passage(&mut self) -> Option<Passage> {
        self.passages.pop_front()
    }

    /// Does all that happens up to `now`, each thing at its own time.
    pub fn advance(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        while let Some(sending) = self.sender.take_if(|sending| sending.done <= self.now) {
            self.depart(sending.packet, sending.done);
            if let Some(next) = self.queue.pop_front() {
                self.queue_bytes -= u64::from(next.bytes);
                self.send(next, sending.done, sending.spare);
            }
        }
        self.now
    }

    fn send(&mut self, packet: Packet<P>, at: Instant, spare: Work) {
        let work = u64::from(packet.bytes).saturating_mul(WORK_PER_BYTE).saturating_sub(spare);
        let (done, spare) = finish(self.settings.rate, at, work);
        self.sender = Some(Sending { packet, done, spare });
    }

    fn depart(&mut self, packet: Packet<P>, left: Instant) {
        if self.chance.takes(&self.settings.loss, packet.index) {
            self.counters.drop_one(Dropped::Loss, packet.bytes);
            self.observe_one(&packet, Some(left), Fate::Dropped(Dropped::Loss));
            return;
        }
        let Settings { delay, jitter, .. } = &self.settings;
        let delay = delay_nanos(self.jitter_key, packet.index, *delay, jitter);
        let at = (left + Duration::from_nanos(delay)).max(self.arrival_max);
        self.arrival_max = at;
        self.observe_one(&packet, Some(left), Fate::Delivered(at));
        self.flying.push_back(Flying { packet, at });
    }

    fn fits(&self, bytes: u32) -> bool {
        match self.settings.queue {
            Queue::Bytes(bytes_max) => self.queue_bytes + u64::from(bytes) <= bytes_max,
            Queue::Packets(packets_max) => (self.queue.len() as u64) < packets_max,
        }
    }

    fn refuse(&mut self, packet: &Packet<P>, reason: Dropped) -> Dropped {
        self.counters.drop_one(reason, packet.bytes);
        self.observe_one(packet, None, Fate::Dropped(reason));
        reason
    }

    fn observe_one(&mut self, packet: &Packet<P>, left_queue: Option<Instant>, fate: Fate) {
        if self.passages_max == 0 {
            return;
        }
        if self.passages.len() >= self.passages_max {
            self.passages.pop_front();
            self.counters.passages_missed += 1;
        }
        let Packet { index, bytes, entered, .. } = *packet;
        self.passages.push_back(Passage { index, bytes, entered, left_queue, fate });
    }
}

/// When `work` that begins at `start` is done, and what the rate has to spare by then.
fn finish(rate: Rate, start: Instant, work: Work) -> (Instant, Work) {
    let Rate::Constant { bits_per_second } = rate else {
        return (start, 0);
    };
    let nanos = work.div_ceil(bits_per_second);
    let spare = nanos.saturating_mul(bits_per_second).saturating_sub(work);
    (start + Duration::from_nanos(nanos), spare)
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

const WORK_PER_BYTE: Work = 8 * 1_000_000_000;
const USE_LOSS: u64 = 1;
const USE_STEP: u64 = 2;
const USE_JITTER: u64 = 3;

#[cfg(test)]
#[path = "pipe_tests.rs"]
mod tests;
