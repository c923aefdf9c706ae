//! One end of a connection.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use weir_time::{Instant, hash};

use super::receive::Receiver;
use super::segment::{Flags, SackBlocks, Segment, Timestamps, stamp_us};
use super::send::{Piece, Sender};
use super::timers::{Timer, Timers};
use super::{Counters, Event, Output, Settings};

/// One end of a TCP connection.
#[derive(Debug)]
pub struct Connection {
    settings: Settings,
    state: State,
    now: Instant,
    /// The sequence number of our SYN.
    first: u64,
    sender: Sender,
    receiver: Receiver,
    timers: Timers,
    events: VecDeque<Event>,
    opening: Opening,
    /// The application has let go: nobody will read.
    detached: bool,
    /// Probes of a closed window since then: a reader that never reads is given up.
    detached_probes: u32,
    /// A call to send was not satisfied.
    write_blocked: bool,
    /// A reset is to be sent, with this sequence number.
    reset: Option<u64>,
    /// When the last segment without a place in the window was answered.
    answered_at: Option<Instant>,
    counters: Counters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// We have asked.
    SynSent,
    /// The peer has asked, and we have answered.
    SynReceived,
    /// Connected; either direction may have ended.
    Open,
    /// Both directions have ended, and the peer may not know.
    TimeWait,
    Closed,
}

/// The opening segment: how often it was sent, and whether it is to be sent now.
#[derive(Debug)]
struct Opening {
    sent: u32,
    due: bool,
}

impl Connection {
    /// Opens a connection: the SYN is ready to be polled.
    ///
    /// `seed` decides the first sequence number.
    pub fn connect(now: Instant, seed: u64, settings: Settings) -> Self {
        Connection::new(now, seed, settings, State::SynSent)
    }

    /// Answers the peer's SYN: the SYN and acknowledgement is ready to be polled.
    pub fn accept(now: Instant, seed: u64, settings: Settings, syn: &Segment) -> Self {
        let mut connection = Connection::new(now, seed, settings, State::SynReceived);
        if syn.seq > SEQ_MAX {
            connection.state = State::Closed;
            return connection;
        }
        connection.receiver.open(syn);
        connection.counters.segments_received = 1;
        connection.sender.limit_mss(syn.mss_bytes);
        connection
    }

    fn new(now: Instant, seed: u64, settings: Settings, state: State) -> Self {
        let settings = settings.in_range();
        let first = hash([seed, USE_SEQ]) & 0xffff_ffff;
        Connection {
            state,
            now,
            first,
            sender: Sender::new(&settings, first),
            receiver: Receiver::new(&settings),
            timers: Timers::default(),
            events: VecDeque::new(),
            opening: Opening { sent: 0, due: true },
            detached: false,
            detached_probes: 0,
            write_blocked: false,
            reset: None,
            answered_at: None,
            counters: Counters::default(),
            settings,
        }
    }

    /// A segment arrived.
    pub fn handle(&mut self, now: Instant, segment: Segment) {
        self.now = self.now.max(now);
        self.counters.segments_received += 1;
        let end = segment.seq.saturating_add(segment.seq_len());
        if end > SEQ_MAX || segment.ack > SEQ_MAX {
            self.counters.unacceptable += 1;
            return;
        }
        match self.state {
            State::SynSent => self.handle_in_syn_sent(segment),
            State::SynReceived => self.handle_in_syn_received(segment),
            State::Open | State::TimeWait => self.handle_connected(segment),
            State::Closed => self.counters.unacceptable += 1,
        }
    }

    /// The time of [`Output::Timeout`] came. Called too early, it does nothing.
    pub fn timer(&mut self, now: Instant) {
        self.now = self.now.max(now);
        while let Some(timer) = self.timers.take_due(self.now) {
            self.expire(timer);
        }
    }

    /// What to do next; to be called until it says [`Output::Timeout`].
    pub fn poll(&mut self, now: Instant) -> Output {
        self.now = self.now.max(now);
        if self.write_blocked && self.is_writable() {
            self.write_blocked = false;
            self.tell(Event::Writable);
        }
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        if let Some(segment) = self.next_segment() {
            self.counters.segments_sent += 1;
            self.counters.bytes_sent += segment.payload.len() as u64;
            return Output::Send(segment);
        }
        // Sending may have made room under the low-water mark.
        if self.write_blocked && self.is_writable() {
            self.write_blocked = false;
            return Output::Event(Event::Writable);
        }
        Output::Timeout(self.timers.next())
    }

    /// Queues as much of `bytes` as there is [`send_space`] for, without a copy unless small;
    /// returns how many bytes that was. Before the connection is open they wait.
    ///
    /// [`send_space`]: Connection::send_space
    pub fn send(&mut self, bytes: Bytes) -> usize {
        let offered = bytes.len();
        let room = self.send_space();
        let accepted = self.sender.push(bytes, room);
        self.write_blocked |= accepted < offered || self.send_space() == 0;
        accepted
    }

    /// How many bytes [`send`] takes now; zero after [`shutdown`] and once closed.
    ///
    /// [`send`]: Connection::send
    /// [`shutdown`]: Connection::shutdown
    pub fn send_space(&self) -> usize {
        if self.state == State::Closed {
            return 0;
        }
        let low_water = self.settings.not_sent_low_water_bytes;
        self.sender.room_bytes().min(low_water.saturating_sub(self.sender.not_sent_bytes()))
    }

    /// Bytes that were accepted and not sent for the first time yet.
    pub fn not_sent_bytes(&self) -> usize {
        self.sender.not_sent_bytes()
    }

    /// Bytes that were sent and are not acknowledged yet.
    pub fn unacknowledged_bytes(&self) -> usize {
        self.sender.board.payload_bytes()
    }

    /// The next bytes in order, `bytes_max` at most, without a copy unless they came in small
    /// pieces; `None` if there are none now.
    pub fn recv(&mut self, bytes_max: usize) -> Option<Bytes> {
        self.receiver.read(self.now, bytes_max)
    }

    /// Bytes that are ready to be received.
    pub fn receive_ready_bytes(&self) -> usize {
        self.receiver.ready_bytes()
    }

    /// Whether the peer has finished: after what is ready comes the end.
    pub fn is_peer_finished(&self) -> bool {
        self.receiver.is_finished()
    }

    /// Whether the handshake is complete and the connection not over.
    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Open | State::TimeWait)
    }

    /// Ends our direction after what is queued; the peer may go on.
    pub fn shutdown(&mut self) {
        self.sender.finish();
    }

    /// The application lets go of both directions: what is queued is still sent, what arrives is
    /// answered by a reset, and a peer that never finishes is forgotten after a while.
    pub fn close(&mut self) {
        if self.detached {
            return;
        }
        self.detached = true;
        if self.receiver.ready_bytes() > 0 {
            self.abort();
            return;
        }
        self.shutdown();
    }

    /// Ends the connection at once, by a reset if the peer knows of it.
    pub fn abort(&mut self) {
        let known = matches!(self.state, State::SynReceived | State::Open);
        if known {
            self.reset = Some(self.sender.nxt);
        }
        self.receiver.discard();
        self.end(None);
    }

    /// Whether nothing is left to be done: it may be dropped.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed && self.reset.is_none()
    }

    /// Totals since the connection was made.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The smoothed round trip, once measured.
    pub fn round_trip(&self) -> Option<Duration> {
        self.sender.round_trip.smoothed()
    }

    /// The congestion window in segments.
    pub fn congestion_window_segments(&self) -> u32 {
        self.sender.congestion.window_segments()
    }

    /// The largest payload of a segment, as both sides agreed.
    pub fn mss_bytes(&self) -> u32 {
        self.sender.mss_bytes()
    }

    /// How this end behaves.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes how much not yet sent makes the connection stop being writable
    /// (`TCP_NOTSENT_LOWAT`).
    pub fn set_not_sent_low_water(&mut self, bytes: usize) {
        self.settings.not_sent_low_water_bytes = bytes.max(1);
    }

    fn handle_in_syn_sent(&mut self, segment: Segment) {
        let flags = segment.flags;
        if flags.ack && segment.ack != self.first + 1 {
            self.counters.unacceptable += 1;
            // An end of an older connection learns that it is over.
            self.reset = (!flags.rst).then_some(segment.ack);
            return;
        }
        if flags.rst {
            if flags.ack {
                self.end(Some(Event::Reset));
            }
            return;
        }
        if !flags.syn {
            self.counters.unacceptable += 1;
            return;
        }
        self.receiver.open(&segment);
        self.sender.limit_mss(segment.mss_bytes);
        if flags.ack {
            self.open(&segment);
            self.receiver.acknowledge_now();
        } else {
            // Both sides asked at once.
            self.state = State::SynReceived;
            self.opening.due = true;
        }
    }

    fn handle_in_syn_received(&mut self, segment: Segment) {
        let flags = segment.flags;
        if flags.rst {
            if segment.seq == self.receiver.next() {
                self.end(Some(Event::Reset));
            }
            return;
        }
        if flags.syn && segment.seq + 1 == self.receiver.next() {
            if !flags.ack {
                self.opening.due = true;
                return;
            }
            // Both sides asked at once, and this answers ours.
        } else if !flags.ack || !self.receiver.accepts(&segment) {
            self.counters.unacceptable += 1;
            return;
        }
        if segment.ack != self.first + 1 {
            self.counters.unacceptable += 1;
            self.reset = Some(segment.ack);
            return;
        }
        self.open(&segment);
        self.handle_connected(segment);
    }

    fn open(&mut self, segment: &Segment) {
        self.state = State::Open;
        self.timers.clear(Timer::Handshake);
        self.sender.open(self.now, segment);
        self.tell(Event::Connected);
    }

    fn handle_connected(&mut self, segment: Segment) {
        if segment.flags.rst {
            let window = self.receiver.next()..=self.receiver.edge();
            if window.contains(&segment.seq) {
                let quiet = self.state == State::TimeWait;
                self.end((!quiet).then_some(Event::Reset));
            } else {
                self.counters.unacceptable += 1;
            }
            return;
        }
        let valid = segment.flags.ack && segment.ack <= self.sender.nxt && !segment.flags.syn;
        if !valid || !self.receiver.accepts(&segment) {
            self.answer_unacceptable(&segment);
            return;
        }
        self.sender.acknowledge(self.now, &segment, &mut self.timers, &mut self.counters);
        if self.detached && !segment.payload.is_empty() {
            self.abort();
            return;
        }
        let was_finished = self.receiver.is_finished();
        let counters = &mut self.counters;
        let readable = self.receiver.take(self.now, segment, &mut self.timers, counters);
        if readable && self.receiver.ready_bytes() > 0 {
            self.tell(Event::Readable);
        }
        if self.receiver.is_finished() && !was_finished {
            self.tell(Event::PeerFinished);
        }
        self.close_if_done();
    }

    /// A segment outside the window: an old one, a probe, or nonsense. It is answered, so that the
    /// peer learns where we are, but two ends that disagree must not answer each other for ever.
    fn answer_unacceptable(&mut self, segment: &Segment) {
        let repeated = segment.seq_len() > 0 && !segment.flags.syn;
        let recently = self.answered_at.is_some_and(|at| self.now < at + ANSWER_INTERVAL);
        if repeated {
            self.counters.duplicates_received += 1;
            self.receiver.acknowledge_now();
        } else {
            self.counters.unacceptable += 1;
            if !recently {
                self.answered_at = Some(self.now);
                self.receiver.acknowledge_now();
            }
        }
    }

    fn close_if_done(&mut self) {
        if self.state != State::Open {
            return;
        }
        if self.detached && self.sender.is_done() && self.timers.get(Timer::Closing).is_none() {
            self.timers.set(Timer::Closing, self.now + self.settings.close_wait_max);
        }
        if !(self.sender.is_done() && self.receiver.is_finished()) {
            return;
        }
        self.tell(Event::Closed);
        self.state = State::TimeWait;
        self.timers.set(Timer::Closing, self.now + self.settings.time_wait);
    }

    fn expire(&mut self, timer: Timer) {
        let (now, timers, counters) = (self.now, &mut self.timers, &mut self.counters);
        let alive = match timer {
            Timer::Handshake => {
                self.opening.due = true;
                (self.opening.sent < self.settings.syn_tries_max).then_some(())
            }
            Timer::Retransmission => self.sender.time_out(now, timers, counters),
            Timer::TailLossProbe => {
                self.sender.probe_tail(now, timers, counters);
                Some(())
            }
            Timer::Reordering => {
                self.sender.recover_late(now, timers, counters);
                Some(())
            }
            Timer::Persist => {
                self.detached_probes += u32::from(self.detached);
                self.sender.persist().filter(|()| self.detached_probes <= DETACHED_PROBES_MAX)
            }
            Timer::DelayedAck => {
                self.receiver.acknowledge_now();
                Some(())
            }
            Timer::Closing => {
                self.end(None);
                Some(())
            }
        };
        if alive.is_none() {
            self.end(Some(Event::TimedOut));
        }
    }

    fn next_segment(&mut self) -> Option<Segment> {
        if let Some(seq) = self.reset.take() {
            let flags = Flags { rst: true, ack: true, ..Flags::default() };
            return Some(self.segment(seq, flags, SackBlocks::default(), Bytes::new()));
        }
        match self.state {
            State::SynSent | State::SynReceived => return self.opening_segment(),
            State::Closed => return None,
            State::Open | State::TimeWait => {}
        }
        // Blocks do not fit beside a full payload, so they go ahead alone.
        if self.receiver.owes_ack() && self.receiver.has_gap() {
            return Some(self.bare_ack(self.sender.nxt));
        }
        let piece = self.sender.next(self.now, &mut self.timers, &mut self.counters);
        if let Some(Piece { seq, payload, fin }) = piece {
            let flags = Flags { ack: true, fin, ..Flags::default() };
            return Some(self.segment(seq, flags, SackBlocks::default(), payload));
        }
        if self.sender.take_window_probe() {
            self.counters.window_probes += 1;
            // A number that was acknowledged long ago asks for an answer.
            return Some(self.bare_ack(self.sender.una.saturating_sub(1)));
        }
        if self.receiver.owes_ack() {
            return Some(self.bare_ack(self.sender.nxt));
        }
        self.sender.rest(self.now, &mut self.timers);
        None
    }

    fn opening_segment(&mut self) -> Option<Segment> {
        if !core::mem::take(&mut self.opening.due) {
            return None;
        }
        let wait = SYN_TIMEOUT * (1 << self.opening.sent.min(16));
        if self.opening.sent > 0 {
            self.counters.retransmitted += 1;
        }
        self.opening.sent += 1;
        self.timers.set(Timer::Handshake, self.now + wait);
        let ack = self.state == State::SynReceived;
        let flags = Flags { syn: true, ack, ..Flags::default() };
        let mut syn = self.segment(self.first, flags, SackBlocks::default(), Bytes::new());
        syn.mss_bytes = Some(self.settings.mss_bytes);
        Some(syn)
    }

    fn bare_ack(&mut self, seq: u64) -> Segment {
        let flags = Flags { ack: true, ..Flags::default() };
        let blocks = self.receiver.sack_blocks();
        self.segment(seq, flags, blocks, Bytes::new())
    }

    fn segment(&mut self, seq: u64, flags: Flags, sack: SackBlocks, payload: Bytes) -> Segment {
        let (mut ack, window) = self.receiver.acknowledge(&mut self.timers);
        let mut echo_us = self.receiver.echo_us();
        if !flags.ack {
            (ack, echo_us) = (0, 0);
        }
        Segment {
            seq,
            ack,
            flags,
            window,
            sack,
            timestamps: Timestamps { value_us: stamp_us(self.now), echo_us },
            mss_bytes: None,
            ip_header_bytes: self.settings.ip_header_bytes,
            payload,
        }
    }

    /// Half of what is queued must have gone, and less than half of the low water be left unsent,
    /// as in Linux, so that each waking is worth it.
    fn is_writable(&self) -> bool {
        let not_sent = self.sender.not_sent_bytes();
        let used = not_sent + self.sender.board.payload_bytes();
        let low_water = self.settings.not_sent_low_water_bytes;
        self.send_space() > 0
            && self.sender.room_bytes() >= used / 2
            && not_sent < low_water.div_ceil(2)
    }

    fn end(&mut self, event: Option<Event>) {
        self.state = State::Closed;
        self.timers.clear_all();
        self.sender.clear();
        self.write_blocked = false;
        if let Some(event) = event {
            self.tell(event);
        }
    }

    fn tell(&mut self, event: Event) {
        if !self.events.contains(&event) {
            self.events.push_back(event);
        }
    }
}

/// Sequence numbers start below 2^32; no connection carries so much that it gets here.
const SEQ_MAX: u64 = 1 << 62;
const SYN_TIMEOUT: Duration = Duration::from_secs(1);
/// RFC 5961 section 7.
const ANSWER_INTERVAL: Duration = Duration::from_millis(100);
/// As many as Linux sends for a socket without a process.
const DETACHED_PROBES_MAX: u32 = 8;
const USE_SEQ: u64 = 0x7463_7031;
