//! The sending half: what is queued, what may go out, what an acknowledgement means.

use core::time::Duration;

use bytes::Bytes;
use weir_time::Instant;

use super::congestion::{Acknowledged, Congestion};
use super::queue::ByteQueue;
use super::recovery::{Recovery, TailProbe};
use super::round_trip::RoundTrip;
use super::scoreboard::{Delivered, Scoreboard};
use super::segment::{Segment, stamp_us};
use super::timers::{Timer, Timers};
use super::{Counters, Settings};

#[derive(Debug)]
pub(crate) struct Sender {
    mss_bytes: u32,
    buffer_bytes: usize,
    retransmissions_max: u32,
    rto_min: Duration,
    queue: ByteQueue,
    pub(super) board: Scoreboard,
    /// The first sequence number not acknowledged, and the first not sent.
    pub(super) una: u64,
    pub(super) nxt: u64,
    fin: Fin,
    window: Window,
    pub(super) congestion: Congestion,
    pub(super) round_trip: RoundTrip,
    pub(super) recovery: Recovery,
    /// Whether the congestion window, and nothing else, held the last segment back.
    congestion_limited: bool,
    sent_at: Instant,
    window_probe: bool,
    /// Expiries in a row, of the retransmission or of the persist timer: each doubles the next.
    expiries: u32,
    probes_unanswered: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fin {
    Open,
    /// To be sent after all that is queued.
    Wanted,
    Sent,
    Acknowledged,
}

/// What the peer is ready to take, and the segment that said so (RFC 9293 section 3.10.7.4).
#[derive(Debug)]
struct Window {
    edge: u64,
    seq: u64,
    ack: u64,
}

/// A piece of the stream to be put into a segment.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) seq: u64,
    pub(crate) payload: Bytes,
    pub(crate) fin: bool,
}

impl Sender {
    /// The half whose SYN has the sequence number `first`, already sent or about to be.
    pub(crate) fn new(settings: &Settings, first: u64) -> Self {
        let window_max = 2 * settings.send_buffer_bytes / settings.mss_bytes as usize + 100;
        Sender {
            mss_bytes: settings.mss_bytes,
            buffer_bytes: settings.send_buffer_bytes,
            retransmissions_max: settings.retransmissions_max,
            rto_min: settings.rto_min,
            queue: ByteQueue::default(),
            board: Scoreboard::default(),
            una: first,
            nxt: first + 1,
            fin: Fin::Open,
            window: Window { edge: first, seq: 0, ack: 0 },
            congestion: Congestion::new(
                settings.congestion_control,
                settings.initial_window_segments,
                u32::try_from(window_max).unwrap_or(u32::MAX),
            ),
            round_trip: RoundTrip::new(settings.rto_min),
            recovery: Recovery::default(),
            congestion_limited: false,
            sent_at: Instant::ZERO,
            window_probe: false,
            expiries: 0,
            probes_unanswered: 0,
        }
    }

    /// The peer takes no larger payload than this.
    pub(crate) fn limit_mss(&mut self, mss_bytes: Option<u32>) {
        if let Some(mss_bytes) = mss_bytes {
            self.mss_bytes = self.mss_bytes.min(mss_bytes.max(MSS_BYTES_MIN));
        }
    }

    pub(crate) fn mss_bytes(&self) -> u32 {
        self.mss_bytes
    }

    /// The peer has acknowledged the SYN.
    pub(crate) fn open(&mut self, now: Instant, segment: &Segment) {
        self.una = self.nxt;
        self.window = Window {
            edge: self.una + u64::from(segment.window),
            seq: segment.seq,
            ack: segment.ack,
        };
        self.measure(now, segment);
    }

    /// Queues as much as there is room for; returns how much.
    pub(crate) fn push(&mut self, mut bytes: Bytes, room: usize) -> usize {
        let accepted = bytes.len().min(room);
        self.queue.push(bytes.split_to(accepted));
        accepted
    }

    pub(crate) fn room_bytes(&self) -> usize {
        if self.fin != Fin::Open {
            return 0;
        }
        self.buffer_bytes.saturating_sub(self.queue.len() + self.board.payload_bytes())
    }

    pub(crate) fn not_sent_bytes(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn finish(&mut self) {
        if self.fin == Fin::Open {
            self.fin = Fin::Wanted;
        }
    }

    /// Whether all was acknowledged, the end included.
    pub(crate) fn is_done(&self) -> bool {
        self.fin == Fin::Acknowledged
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.board.clear();
    }

    /// The next piece that may be sent now.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        timers: &mut Timers,
        counters: &mut Counters,
    ) -> Option<Piece> {
        if let Some(key) = self.recovery.probe_key.take()
            && let Some(piece) = self.repeat(now, key, timers, counters)
        {
            return Some(piece);
        }
        let may =
            self.board.in_flight() < self.congestion.window_segments() || self.recovery.one_more;
        if let Some(key) = self.board.first_lost() {
            self.congestion_limited = !may;
            if !may {
                return None;
            }
            return self.repeat(now, key, timers, counters);
        }
        let (bytes, fin) = self.next_new()?;
        self.congestion_limited = !may;
        if !may {
            return None;
        }
        self.recovery.one_more = false;
        if self.board.is_empty() && self.round_trip.smoothed().is_some() {
            let idle = now.since(self.sent_at);
            self.congestion.resume(idle, self.round_trip.timeout());
        }
        let payload = self.queue.take_joined(bytes);
        let seq = self.nxt;
        self.nxt += payload.len() as u64 + u64::from(fin);
        if fin {
            self.fin = Fin::Sent;
        }
        self.board.push(now, seq, payload.clone(), fin);
        self.note_sent(now, timers);
        Some(Piece { seq, payload, fin })
    }

    /// How much of what was never sent the peer's window lets go, and whether the end goes along.
    fn next_new(&mut self) -> Option<(usize, bool)> {
        let full = self.queue.len().min(self.mss_bytes as usize);
        let usable = usize::try_from(self.window.edge.saturating_sub(self.nxt));
        let usable = usable.unwrap_or(usize::MAX);
        // Part of what is ready goes only where nothing else would open the window further: the
        // sender's side of the silly window syndrome (RFC 9293 section 3.8.6.2.1).
        let bytes = if usable >= full {
            full
        } else if self.board.is_empty() {
            usable
        } else {
            0
        };
        let fin = self.fin == Fin::Wanted && bytes == self.queue.len();
        if bytes == 0 && !fin {
            self.congestion_limited = false;
            return None;
        }
        Some((bytes, fin))
    }

    fn repeat(
        &mut self,
        now: Instant,
        key: u64,
        timers: &mut Timers,
        counters: &mut Counters,
    ) -> Option<Piece> {
        self.recovery.one_more = false;
        let first = self.board.first()?.seq;
        let sent = self.board.repeat(now, key)?;
        let piece = Piece { seq: sent.seq, payload: sent.payload.clone(), fin: sent.fin };
        counters.retransmitted += 1;
        if piece.seq == first {
            // RFC 6675 section 5 step 4.3: the first hole's repetition restarts the timer.
            let timeout = self.round_trip.timeout_backed_off(self.expiries);
            timers.set(Timer::Retransmission, now + timeout);
        }
        self.recovery.note_repeated(now);
        self.note_sent(now, timers);
        Some(piece)
    }

    fn note_sent(&mut self, now: Instant, timers: &mut Timers) {
        self.sent_at = now;
        self.recovery.note_sent();
        timers.clear(Timer::Persist);
        if timers.get(Timer::Retransmission).is_none() {
            let timeout = self.round_trip.timeout_backed_off(self.expiries);
            timers.set(Timer::Retransmission, now + timeout);
        }
        self.set_tail_probe(now, timers);
    }

    /// Nothing more can be sent now: if only the peer's window is in the way, it will be probed.
    pub(crate) fn rest(&mut self, now: Instant, timers: &mut Timers) {
        if self.board.is_empty() && !self.queue.is_empty() && self.window.edge <= self.nxt {
            if timers.get(Timer::Persist).is_none() {
                let timeout = self.round_trip.timeout_backed_off(self.expiries);
                timers.set(Timer::Persist, now + timeout);
            }
        } else {
            timers.clear(Timer::Persist);
        }
    }

    /// Whether to send a window probe now.
    pub(crate) fn take_window_probe(&mut self) -> bool {
        core::mem::take(&mut self.window_probe)
    }

    /// The persist timer expired. `None` gives the peer up.
    pub(crate) fn persist(&mut self) -> Option<()> {
        self.expiries += 1;
        self.probes_unanswered += 1;
        self.window_probe = true;
        (self.probes_unanswered <= self.retransmissions_max).then_some(())
    }

    /// Takes an acceptable segment's acknowledgement, window and selective blocks.
    pub(crate) fn acknowledge(
        &mut self,
        now: Instant,
        segment: &Segment,
        timers: &mut Timers,
        counters: &mut Counters,
    ) {
        self.update_window(segment);
        if segment.ack < self.una {
            return;
        }
        let least = self.round_trip.least().unwrap_or(Duration::ZERO);
        let advanced = segment.ack > self.una;
        let echo_us = advanced.then_some(segment.timestamps.echo_us);
        let mut delivered = Delivered::new(now, least, echo_us);
        let mut sample = None;
        if advanced {
            self.una = segment.ack;
            self.board.acknowledge(segment.ack, &mut delivered);
            sample = self.measure(now, segment);
            if self.fin == Fin::Sent && self.una == self.nxt {
                self.fin = Fin::Acknowledged;
            }
        }
        for (start, end) in segment.sack.iter() {
            let start = start.max(self.una);
            if start < end && end <= self.nxt {
                self.board.sack(start, end, &mut delivered);
            }
        }
        // Any answer shows that the peer lives, but only room ends the back-off of the probes.
        self.probes_unanswered = 0;
        if advanced || (self.board.is_empty() && self.window.edge > self.nxt) {
            self.expiries = 0;
        }
        counters.bytes_acknowledged += delivered.payload_bytes;
        if advanced || delivered.segments > 0 {
            let limited = self.congestion_limited;
            let ack = Acknowledged {
                now,
                segments: delivered.segments,
                round_trip: sample,
                smoothed: self.round_trip.smoothed().unwrap_or(self.rto_min),
                una: self.una,
                nxt: self.nxt,
            };
            self.recover(&ack, &delivered, echo_us, limited, timers, counters);
        }
        self.rearm(now, advanced, timers);
    }

    fn update_window(&mut self, segment: &Segment) {
        let newer = segment.seq > self.window.seq
            || (segment.seq == self.window.seq && segment.ack >= self.window.ack);
        if newer {
            let edge = segment.ack + u64::from(segment.window);
            self.window = Window { edge, seq: segment.seq, ack: segment.ack };
        }
    }

    fn measure(&mut self, now: Instant, segment: &Segment) -> Option<Duration> {
        let micros = stamp_us(now).wrapping_sub(segment.timestamps.echo_us);
        // An echo from the future is a peer's nonsense.
        if micros > i32::MAX as u32 {
            return None;
        }
        let sample = Duration::from_micros(u64::from(micros));
        self.round_trip.sample(sample);
        Some(sample)
    }

    /// RFC 6298 section 5: the timer restarts when something new is acknowledged, and stops when
    /// nothing is left.
    fn rearm(&mut self, now: Instant, advanced: bool, timers: &mut Timers) {
        if self.board.is_empty() {
            timers.clear(Timer::Retransmission);
            timers.clear(Timer::TailLossProbe);
            timers.clear(Timer::Reordering);
        } else if advanced {
            timers.set(Timer::Retransmission, now + self.round_trip.timeout());
            self.set_tail_probe(now, timers);
        }
    }

    /// RFC 8985 section 7.2.
    fn set_tail_probe(&mut self, now: Instant, timers: &mut Timers) {
        timers.clear(Timer::TailLossProbe);
        if self.recovery.is_active()
            || self.board.sacked_segments() > 0
            || self.recovery.tail_probe.is_some()
        {
            return;
        }
        let Some(smoothed) = self.round_trip.smoothed() else {
            return;
        };
        // The acknowledgement of a lone segment may be delayed.
        let delay = if self.board.segments() == 1 { self.rto_min } else { PROBE_DELAY_MIN };
        let at = now + 2 * smoothed + delay;
        if timers.get(Timer::Retransmission).is_some_and(|timeout| at < timeout) {
            timers.set(Timer::TailLossProbe, at);
        }
    }

    /// The time for a tail loss probe came (RFC 8985 section 7.3).
    pub(crate) fn probe_tail(
        &mut self,
        now: Instant,
        timers: &mut Timers,
        counters: &mut Counters,
    ) {
        if self.board.is_empty() || self.recovery.is_active() {
            return;
        }
        counters.tail_loss_probes += 1;
        let new = self.next_new().is_some();
        if new {
            self.recovery.one_more = true;
        } else {
            self.recovery.probe_key = self.board.last_in_flight();
        }
        let end = self.nxt;
        self.recovery.tail_probe = Some(TailProbe { end, sent_us: (!new).then(|| stamp_us(now)) });
        timers.set(Timer::Retransmission, now + self.round_trip.timeout());
    }

    /// The retransmission timer expired. `None` gives the peer up.
    pub(crate) fn time_out(
        &mut self,
        now: Instant,
        timers: &mut Timers,
        counters: &mut Counters,
    ) -> Option<()> {
        if self.board.is_empty() {
            return Some(());
        }
        self.expiries += 1;
        counters.timeouts += 1;
        if self.expiries > self.retransmissions_max {
            return None;
        }
        timers.clear(Timer::TailLossProbe);
        timers.clear(Timer::Reordering);
        self.begin_loss(counters);
        let timeout = self.round_trip.timeout_backed_off(self.expiries);
        timers.set(Timer::Retransmission, now + timeout);
        Some(())
    }
}

const MSS_BYTES_MIN: u32 = 64;
const PROBE_DELAY_MIN: Duration = Duration::from_millis(2);
