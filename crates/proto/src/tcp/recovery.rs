//! Loss: how it is found, and what the window does about it.

use core::time::Duration;

use weir_time::Instant;

use super::Counters;
use super::congestion::{Acknowledged, Congestion};
use super::scoreboard::{Delivered, Newest};
use super::segment::{is_before, stamp_us};
use super::send::Sender;
use super::timers::{Timer, Timers};

/// The state of loss recovery.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    phase: Phase,
    /// The segment sent last of all that were delivered, and how long that took.
    newest: Option<Newest>,
    newest_round_trip: Duration,
    /// Segments overtake each other on this path.
    reordering: bool,
    reduction: Reduction,
    undo: Option<Undo>,
    pub(super) tail_probe: Option<TailProbe>,
    /// The segment that the tail loss probe repeats.
    pub(super) probe_key: Option<u64>,
    /// One segment may go whatever the window says: a fast retransmission or a probe.
    pub(super) one_more: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Open,
    /// Losses were found from acknowledgements; over once `until` is acknowledged.
    Fast { until: u64 },
    /// A time-out came; over once `until` is acknowledged.
    Loss { until: u64 },
}

/// Proportional rate reduction (RFC 6937), in segments.
#[derive(Debug, Default)]
struct Reduction {
    delivered: i64,
    sent: i64,
    flight: i64,
}

/// What the window was, should the loss turn out to be none (RFC 3522).
#[derive(Debug)]
struct Undo {
    congestion: Congestion,
    /// The time stamp of the first repetition.
    repeated_us: Option<u32>,
}

/// A tail loss probe whose answer has not come.
#[derive(Debug)]
pub(super) struct TailProbe {
    pub(super) end: u64,
    /// Its time stamp, if it repeated a segment.
    pub(super) sent_us: Option<u32>,
}

impl Recovery {
    pub(super) fn is_active(&self) -> bool {
        self.phase != Phase::Open
    }

    pub(super) fn note_sent(&mut self) {
        self.reduction.sent += 1;
    }

    pub(super) fn note_repeated(&mut self, now: Instant) {
        if let Some(undo) = &mut self.undo {
            undo.repeated_us.get_or_insert(stamp_us(now));
        }
    }
}

impl Sender {
    /// Draws the conclusions from what was delivered. `echo_us` is the time stamp sent back, if
    /// the acknowledgement advanced; `limited` says whether the congestion window was in use.
    pub(super) fn recover(
        &mut self,
        ack: &Acknowledged,
        delivered: &Delivered,
        echo_us: Option<u32>,
        limited: bool,
        timers: &mut Timers,
        counters: &mut Counters,
    ) {
        if let Some(echo_us) = echo_us {
            self.undo_if_spurious(echo_us, counters);
            self.settle_tail_probe(echo_us, counters);
            self.end_phase();
        }
        self.note_newest(ack.now, delivered);
        let was_active = self.recovery.is_active();
        let lost = self.find_lost(ack.now, timers);
        if lost > 0 && !was_active {
            self.begin_fast(counters);
        }
        match self.recovery.phase {
            Phase::Fast { .. } => {
                let clean = echo_us.is_some() && lost == 0;
                self.reduce_in_proportion(delivered.segments, clean);
            }
            Phase::Open | Phase::Loss { .. } if limited && delivered.segments > 0 => {
                self.congestion.grow(ack);
            }
            Phase::Open | Phase::Loss { .. } => {}
        }
    }

    /// The reordering timer expired.
    pub(super) fn recover_late(
        &mut self,
        now: Instant,
        timers: &mut Timers,
        counters: &mut Counters,
    ) {
        let lost = self.find_lost(now, timers);
        if lost > 0 && !self.recovery.is_active() {
            self.begin_fast(counters);
        }
        if matches!(self.recovery.phase, Phase::Fast { .. }) {
            self.reduce_in_proportion(0, false);
        }
    }

    /// RFC 8985 section 6.2 steps 2 to 4.
    fn note_newest(&mut self, now: Instant, delivered: &Delivered) {
        self.recovery.reordering |= delivered.reordered;
        if let Some(newest) = delivered.newest {
            let known = self.recovery.newest;
            if known.is_none_or(|known| newest.order > known.order) {
                self.recovery.newest = Some(newest);
                self.recovery.newest_round_trip = now.since(newest.sent_at);
            }
        }
    }

    /// RFC 8985 section 6.2 step 5: lost is what was sent before something that arrived, and has
    /// had a round trip and the time to be overtaken since.
    fn find_lost(&mut self, now: Instant, timers: &mut Timers) -> u32 {
        timers.clear(Timer::Reordering);
        let Some(newest) = self.recovery.newest else {
            return 0;
        };
        let allowed = self.recovery.newest_round_trip + self.reordering_window();
        let (lost, next) = self.board.mark_lost(newest.order, |sent_at| sent_at + allowed <= now);
        if let Some(sent_at) = next {
            timers.set(Timer::Reordering, sent_at + allowed);
        }
        lost
    }

    /// RFC 8985 section 6.2 step 4: no patience once three segments have arrived out of order, or
    /// during recovery, unless this path is known to reorder.
    fn reordering_window(&self) -> Duration {
        let sure = self.recovery.is_active() || self.board.sacked_segments() >= DUPLICATES_MIN;
        if sure && !self.recovery.reordering {
            return Duration::ZERO;
        }
        let least = self.round_trip.least().unwrap_or_default();
        (least / 4).min(self.round_trip.smoothed().unwrap_or_default())
    }

    fn begin_fast(&mut self, counters: &mut Counters) {
        let recovery = &mut self.recovery;
        recovery.undo = Some(Undo { congestion: self.congestion.clone(), repeated_us: None });
        recovery.phase = Phase::Fast { until: self.nxt };
        recovery.one_more = true;
        recovery.tail_probe = None;
        // What is lost was in flight when the loss began.
        let flight = i64::from(self.congestion.window_segments());
        recovery.reduction = Reduction { delivered: 0, sent: 0, flight };
        counters.recoveries += 1;
        self.congestion.reduce();
    }

    /// A time-out: all is lost, and sending begins anew with one segment.
    pub(super) fn begin_loss(&mut self, counters: &mut Counters) {
        if self.recovery.phase == Phase::Open {
            self.recovery.undo =
                Some(Undo { congestion: self.congestion.clone(), repeated_us: None });
            counters.recoveries += 1;
            self.congestion.reduce();
        }
        self.recovery.phase = Phase::Loss { until: self.nxt };
        self.recovery.tail_probe = None;
        self.recovery.probe_key = None;
        self.recovery.one_more = true;
        self.board.mark_all_lost();
        self.congestion.set(1);
    }

    fn end_phase(&mut self) {
        match self.recovery.phase {
            Phase::Fast { until } if self.una >= until => {
                self.congestion.set_to_threshold();
            }
            Phase::Loss { until } if self.una >= until => {}
            _ => return,
        }
        self.recovery.phase = Phase::Open;
        self.recovery.undo = None;
    }

    /// The first acknowledgement after a repetition tells by its time stamp what it answers; if
    /// that was sent before the repetition, nothing had been lost (RFC 3522).
    fn undo_if_spurious(&mut self, echo_us: u32, counters: &mut Counters) {
        let Some(repeated_us) = self.recovery.undo.as_ref().and_then(|undo| undo.repeated_us)
        else {
            return;
        };
        let undo = self.recovery.undo.take();
        if !is_before(echo_us, repeated_us) {
            return;
        }
        if let Some(Undo { congestion, .. }) = undo {
            self.congestion = congestion;
            // What looked lost had been overtaken.
            self.recovery.reordering |= matches!(self.recovery.phase, Phase::Fast { .. });
            self.recovery.phase = Phase::Open;
            self.recovery.one_more = false;
            self.board.unmark_lost();
            counters.undone += 1;
        }
    }

    /// RFC 8985 section 7.4, told apart by the time stamp: a probe that repeated a segment and was
    /// the one that arrived has hidden a loss, which the window must answer all the same.
    fn settle_tail_probe(&mut self, echo_us: u32, counters: &mut Counters) {
        let Some(probe) = self.recovery.tail_probe.take_if(|probe| self.una >= probe.end) else {
            return;
        };
        let repaired = probe.sent_us.is_some_and(|sent_us| !is_before(echo_us, sent_us));
        if repaired && !self.recovery.is_active() {
            counters.recoveries += 1;
            self.congestion.reduce();
            self.congestion.set_to_threshold();
        }
    }

    fn reduce_in_proportion(&mut self, delivered: u32, clean: bool) {
        let flight = i64::from(self.board.in_flight());
        let threshold = i64::from(self.congestion.threshold_segments());
        let reduction = &mut self.recovery.reduction;
        reduction.delivered += i64::from(delivered);
        let count = if flight > threshold {
            let due = reduction.delivered * threshold;
            let flight = reduction.flight.max(1);
            (due + flight - 1) / flight - reduction.sent
        } else {
            let mut limit = i64::from(delivered);
            if clean {
                limit = limit.max(reduction.delivered - reduction.sent) + 1;
            }
            limit.min(threshold - flight)
        };
        let least = i64::from(reduction.sent == 0);
        let window = flight + count.max(least);
        self.congestion.set(u32::try_from(window).unwrap_or(1));
    }
}

/// Segments out of order that mean a loss (RFC 5681 section 3.2).
const DUPLICATES_MIN: u32 = 3;
