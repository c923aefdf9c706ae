//! Counting packets by their numbers (RFC 3550 sections 6.4.1, A.1, A.3 and A.8).

use weir_time::Instant;

use crate::rtcp::{NtpTime, ReportBlock};
use crate::rtp::{RtpTime, SequenceNumber, Ssrc};

/// What came of the packets of one source.
///
/// Each number counts once: at every moment `received + lost == expected`, where `expected` is
/// all numbers from the first to the last that came. This differs from section A.3, in which
/// duplicates hide losses.
///
/// A number ahead of the highest by less than half a cycle is taken for progress, and what was
/// passed over for lost: an outage of up to 32,766 packets is counted exactly. (Section A.1 takes
/// more than 3,000 for a restart of the sender.) Two successive numbers that are both
/// [`WINDOW_PACKETS`] or more behind the highest are taken for a restart.
#[derive(Clone, Debug)]
pub struct Statistics {
    clock_rate_hz: u32,
    probation: Probation,
    run: Option<Run>,
    /// The cycle in which the next run begins.
    next_cycle: u64,
    /// Numbers expected in the runs that are over.
    expected_before: u64,
    received: u64,
    bytes: u64,
    duplicates: u64,
    reordered: u64,
    reorder_distance_max: u64,
    too_late: u64,
    on_probation: u64,
    restarts: u64,
    jitter: Jitter,
    at_last_report: Reported,
    last_sender_report: Option<(NtpTime, Instant)>,
}

/// What one packet is among those that came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The packet's number continued past its wrap; its lowest sixteen bits are those sent. The
    /// first packet is in cycle 1, so that those sent before it have a place too.
    pub extended: u64,
    /// Its place.
    pub kind: ArrivalKind,
}

/// A packet's place among those that came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArrivalKind {
    /// The first packet, or one with a number higher than all before.
    New,
    /// Its number came before.
    Duplicate,
    /// It is older than the newest, and its number did not come before.
    Reordered,
    /// It is so far behind that nobody knows whether its number came before; it does not count
    /// as received.
    TooLate,
    /// The sender has begun to number anew, and this packet is taken as its first: what is held
    /// back for order should be given out first.
    Restarted,
    /// It does not count, for too few have come in a row yet ([`Statistics::with_probation`]).
    Probation,
}

impl ArrivalKind {
    /// Whether the packet is to be used: it is neither a duplicate nor without a place.
    pub fn is_usable(self) -> bool {
        matches!(self, ArrivalKind::New | ArrivalKind::Reordered | ArrivalKind::Restarted)
    }
}

/// The counts so far. Packets that came are `received + duplicates + too_late + on_probation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Different numbers that came.
    pub received: u64,
    /// Bytes of these packets, as given to [`Statistics::receive`].
    pub bytes: u64,
    /// Numbers from the first to the highest that came.
    pub expected: u64,
    /// `expected - received`.
    pub lost: u64,
    /// Packets whose number had come before.
    pub duplicates: u64,
    /// Packets that came behind one with a higher number.
    pub reordered: u64,
    /// The greatest distance in numbers of a reordered packet from the highest; 0 if none was
    /// reordered.
    pub reorder_distance_max: u64,
    /// Packets [`WINDOW_PACKETS`] or more behind the highest.
    pub too_late: u64,
    /// Packets that came before the source was taken for valid.
    pub on_probation: u64,
    /// How often the sender began to number anew.
    pub restarts: u64,
    /// The lowest extended number since then.
    pub first_extended: Option<u64>,
    /// The highest extended number.
    pub highest_extended: Option<u64>,
}

/// How far behind the highest number a packet may be and still be told from a duplicate.
pub const WINDOW_PACKETS: u64 = 4_096;

impl Statistics {
    /// Counts for a source with a clock of `clock_rate_hz` ticks a second, valid from its first
    /// packet on. With a rate of 0 there is no jitter.
    pub fn new(clock_rate_hz: u32) -> Self {
        Statistics::with_probation(clock_rate_hz, 0)
    }

    /// As [`Statistics::new`], but a source is valid only once `packets` packets have come with
    /// successive numbers (section A.1 has 2); those before the last of them do not count.
    pub fn with_probation(clock_rate_hz: u32, packets: u16) -> Self {
        Statistics {
            clock_rate_hz,
            probation: Probation { needed: packets, come: 0, next: None },
            run: None,
            next_cycle: 1,
            expected_before: 0,
            received: 0,
            bytes: 0,
            duplicates: 0,
            reordered: 0,
            reorder_distance_max: 0,
            too_late: 0,
            on_probation: 0,
            restarts: 0,
            jitter: Jitter::default(),
            at_last_report: Reported::default(),
            last_sender_report: None,
        }
    }

    /// Counts a packet that came at `arrival`; `bytes` are counted as they are given.
    pub fn receive(
        &mut self,
        arrival: Instant,
        sequence: SequenceNumber,
        time: RtpTime,
        bytes: usize,
    ) -> Arrival {
        let placed = self.place(sequence);
        match placed.kind {
            ArrivalKind::Duplicate => self.duplicates += 1,
            ArrivalKind::TooLate => self.too_late += 1,
            ArrivalKind::Probation => self.on_probation += 1,
            ArrivalKind::New | ArrivalKind::Restarted | ArrivalKind::Reordered => {
                self.received += 1;
                self.bytes += bytes as u64;
                self.jitter.add(arrival, time, self.clock_rate_hz);
            }
        }
        placed
    }

    /// Takes the next packet for the first of a new numbering, as after a new PLAY whose
    /// RTP-Info says so. Counts go on.
    pub fn restart(&mut self) {
        if let Some(run) = self.run.take() {
            self.expected_before += run.expected();
            self.next_cycle = (run.highest >> 16) + 2;
            self.restarts += 1;
        }
        self.jitter.last = None;
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        let expected = self.expected();
        Counts {
            received: self.received,
            bytes: self.bytes,
            expected,
            lost: expected - self.received,
            duplicates: self.duplicates,
            reordered: self.reordered,
            reorder_distance_max: self.reorder_distance_max,
            too_late: self.too_late,
            on_probation: self.on_probation,
            restarts: self.restarts,
            first_extended: self.run.as_ref().map(|run| run.first),
            highest_extended: self.run.as_ref().map(|run| run.highest),
        }
    }

    /// The interarrival jitter (section A.8) in nanoseconds; `None` before two packets came.
    pub fn jitter_ns(&self) -> Option<u64> {
        self.jitter.sixteenfold_ns.map(|sixteenfold| sixteenfold / 16)
    }

    /// Notes a sender report of this source, for the next report blocks.
    pub fn sender_report(&mut self, arrival: Instant, ntp: NtpTime) {
        self.last_sender_report = Some((ntp, arrival));
    }

    /// The report block about this source at `now` (section 6.4.1). Its fraction lost is that
    /// since the last call. `None` before the first packet, and after a restart before the next.
    pub fn report_block(&mut self, now: Instant, ssrc: Ssrc) -> Option<ReportBlock> {
        let run = self.run.as_ref()?;
        let extended_highest = (run.highest - (run.first_cycle << 16)) as u32;
        let expected = self.expected();
        let lost = expected - self.received;
        let last = core::mem::replace(
            &mut self.at_last_report,
            Reported { expected, received: self.received },
        );
        let expected_since = expected - last.expected;
        let lost_since = expected_since.saturating_sub(self.received - last.received);
        let fraction = (lost_since << 8).checked_div(expected_since).unwrap_or(0);
        let (last_sr, delay_since_last_sr) = match self.last_sender_report {
            Some((ntp, arrival)) => (ntp.middle(), short_seconds(now.since(arrival).as_nanos())),
            None => (0, 0),
        };
        Some(ReportBlock {
            ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            cumulative_lost: i32::try_from(lost)
                .map_or(ReportBlock::LOST_MAX, |lost| lost.min(ReportBlock::LOST_MAX)),
            extended_highest,
            jitter_ticks: self.jitter_ticks(),
            last_sr,
            delay_since_last_sr,
        })
    }

    fn jitter_ticks(&self) -> u32 {
        let sixteenfold_ns = u128::from(self.jitter.sixteenfold_ns.unwrap_or(0));
        let ticks = sixteenfold_ns * u128::from(self.clock_rate_hz) / (16 * NANOS);
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    fn expected(&self) -> u64 {
        self.expected_before + self.run.as_ref().map_or(0, Run::expected)
    }

    fn place(&mut self, sequence: SequenceNumber) -> Arrival {
        let Some(run) = &mut self.run else {
            return self.begin(sequence, ArrivalKind::New);
        };
        let extended = sequence.extend_near(run.highest);
        let behind = run.highest.saturating_sub(extended);
        if behind >= WINDOW_PACKETS {
            if run.restart_next == Some(sequence) {
                self.restart();
                return self.begin(sequence, ArrivalKind::Restarted);
            }
            run.restart_next = Some(sequence.plus(1));
            return Arrival { extended, kind: ArrivalKind::TooLate };
        }
        run.restart_next = None;
        let kind = if extended > run.highest {
            run.seen.advance(run.highest, extended);
            run.highest = extended;
            ArrivalKind::New
        } else if run.seen.insert(extended) {
            run.first = run.first.min(extended);
            self.reordered += 1;
            self.reorder_distance_max = self.reorder_distance_max.max(behind);
            ArrivalKind::Reordered
        } else {
            ArrivalKind::Duplicate
        };
        Arrival { extended, kind }
    }

    fn begin(&mut self, sequence: SequenceNumber, kind: ArrivalKind) -> Arrival {
        let extended = (self.next_cycle << 16) | u64::from(sequence.0);
        if !self.probation.passes(sequence) {
            return Arrival { extended, kind: ArrivalKind::Probation };
        }
        let mut seen = Window::default();
        seen.insert(extended);
        self.run = Some(Run {
            first: extended,
            highest: extended,
            first_cycle: self.next_cycle,
            seen,
            restart_next: None,
        });
        Arrival { extended, kind }
    }
}

/// Packets numbered without a break.
#[derive(Clone, Debug)]
struct Run {
    /// The lowest extended number.
    first: u64,
    highest: u64,
    /// What report blocks count as cycle 0.
    first_cycle: u64,
    seen: Window,
    /// The number that, should it come next, says that the sender has begun anew.
    restart_next: Option<SequenceNumber>,
}

impl Run {
    fn expected(&self) -> u64 {
        self.highest - self.first + 1
    }
}

/// Which of the newest [`WINDOW_PACKETS`] numbers came.
#[derive(Clone, Debug)]
struct Window {
    bits: Box<[u64; WINDOW_WORDS]>,
}

const WINDOW_WORDS: usize = (WINDOW_PACKETS / 64) as usize;

impl Default for Window {
    fn default() -> Self {
        Window { bits: Box::new([0; WINDOW_WORDS]) }
    }
}

impl Window {
    /// Notes a number in the window; whether it was not noted before.
    fn insert(&mut self, extended: u64) -> bool {
        let (word, bit) = Window::position(extended);
        let new = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        new
    }

    /// Moves the window on and notes its new end.
    fn advance(&mut self, from: u64, to: u64) {
        if to - from >= WINDOW_PACKETS {
            self.bits.fill(0);
        } else {
            for passed in from + 1..to {
                let (word, bit) = Window::position(passed);
                self.bits[word] &= !bit;
            }
        }
        let (word, bit) = Window::position(to);
        self.bits[word] |= bit;
    }

    fn position(extended: u64) -> (usize, u64) {
        let index = extended % WINDOW_PACKETS;
        ((index / 64) as usize, 1 << (index % 64))
    }
}

#[derive(Clone, Debug)]
struct Probation {
    needed: u16,
    come: u16,
    next: Option<SequenceNumber>,
}

impl Probation {
    fn passes(&mut self, sequence: SequenceNumber) -> bool {
        if self.come >= self.needed {
            return true;
        }
        self.come = if self.next == Some(sequence) { self.come + 1 } else { 1 };
        self.next = Some(sequence.plus(1));
        self.come >= self.needed
    }
}

/// The estimator of section A.8, in nanoseconds in place of ticks: no fraction is lost.
#[derive(Clone, Debug, Default)]
struct Jitter {
    last: Option<(Instant, RtpTime)>,
    sixteenfold_ns: Option<u64>,
}

impl Jitter {
    fn add(&mut self, arrival: Instant, time: RtpTime, clock_rate_hz: u32) {
        let Some((last_arrival, last_time)) = self.last.replace((arrival, time)) else {
            return;
        };
        if clock_rate_hz == 0 {
            return;
        }
        let ticks = i64::from(time.distance_from(last_time));
        let sent_ns = ticks.saturating_mul(NANOS as i64) / i64::from(clock_rate_hz);
        let change_ns = arrival.signed_since(last_arrival).saturating_sub(sent_ns);
        let change_ns = change_ns.unsigned_abs().min(JITTER_NS_MAX);
        let sixteenfold = self.sixteenfold_ns.unwrap_or(0);
        self.sixteenfold_ns =
            Some(sixteenfold + change_ns - ((sixteenfold + 8) >> 4).min(sixteenfold));
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Reported {
    expected: u64,
    received: u64,
}

const NANOS: u128 = 1_000_000_000;
/// Sixteen of them fit 64 bits; nine years.
const JITTER_NS_MAX: u64 = 1 << 58;

/// Nanoseconds in units of 1/65,536 second, saturating.
fn short_seconds(nanos: u128) -> u32 {
    u32::try_from(nanos * 65_536 / NANOS).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
