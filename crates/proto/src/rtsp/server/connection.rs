//! The machine: bytes and time in, responses, events and timers out.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use bytes::Bytes;
use weir_time::Instant;

use super::answer::Reply;
use super::rules::{self, Question, Verdict};
use super::session::Sessions;
use super::{Config, EndReason, Event, Input, Output, Refusal, SessionId, Token};
use crate::rtsp::Status;
use crate::rtsp::message::{Decoder, Error as DecodeError, Item, Method, Request, Tolerance};

/// The server's end of one control connection. See the module's text for the run loop.
///
/// Requests are judged one at a time, in their order, as the machine is polled: while a question
/// is pending nothing behind it is read, so that the queue of outputs holds one request's worth.
#[derive(Debug)]
pub struct Connection {
    pub(super) config: Config,
    pub(super) peer: IpAddr,
    pub(super) sessions: Sessions,
    pub(super) pending: Option<Pending>,
    pub(super) now: Instant,
    /// A question was answered since the last input. Answers come without a time, so a timer is
    /// asked for at once: however long the answer took, it was not the client that was silent.
    pub(super) answered: bool,
    decoder: Decoder,
    outputs: VecDeque<Output>,
    closed: bool,
    /// When the last request was complete, or the last session ended.
    idle_since: Instant,
    /// The last session has timed out, and nothing came since: the client is gone.
    forsaken: bool,
    questions: u64,
    unknown_frames: u64,
    stray_responses: u64,
    excess_bytes: u64,
}

/// The question that the driver is to answer.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) token: Token,
    pub(super) question: Question,
    pub(super) reply: Reply,
}

/// How long a connection lives on whose last session has timed out: a client that is there after
/// all learns that its session is not.
const FORSAKEN_WAIT: Duration = Duration::from_secs(5);

/// How much is kept of what a driver pushes although the connection wants no input: more than
/// one message can have.
const BUFFERED_BYTES_MAX: usize = 512 * 1024;

impl Connection {
    /// A connection that has just been accepted.
    ///
    /// `peer` is where media goes; a client that asks for another destination is refused it.
    /// Session identifiers depend on `session_seed` alone: for a server on a network it is to be
    /// a number that nobody can guess, another one for each connection.
    pub fn new(config: Config, peer: IpAddr, session_seed: u64, now: Instant) -> Self {
        Connection {
            config,
            peer,
            sessions: Sessions::new(session_seed),
            pending: None,
            now,
            answered: false,
            decoder: Decoder::new(Tolerance::Strict),
            outputs: VecDeque::new(),
            closed: false,
            idle_since: now,
            forsaken: false,
            questions: 0,
            unknown_frames: 0,
            stray_responses: 0,
            excess_bytes: 0,
        }
    }

    /// Takes an input in. Poll afterwards, until [`Output::Timeout`].
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = self.now.max(now);
        if self.closed {
            return;
        }
        if core::mem::take(&mut self.answered) {
            self.idle_since = self.now;
            self.sessions.touch_all(self.now);
        }
        match input {
            Input::Bytes(bytes) => self.push(bytes),
            Input::Closed => self.end(),
            Input::Timer => self.expire(),
        }
    }

    /// What the connection wants next. [`Output::Timeout`] means: nothing until the next input or
    /// answer. While a question is pending no timer runs; after an answer one is due at once,
    /// which tells the machine what time it has become.
    pub fn poll(&mut self) -> Output {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return output;
            }
            if self.closed || self.pending.is_some() {
                return Output::Timeout(None);
            }
            match self.decoder.next() {
                None => return Output::Timeout(Some(self.deadline())),
                Some(Ok(item)) => self.take(item),
                Some(Err(error)) => self.fail(&error),
            }
        }
    }

    /// Whether bytes are to be read from the socket: not while a question is pending, and not
    /// after the end. What comes nevertheless is kept up to a bound, then dropped and counted.
    pub fn wants_input(&self) -> bool {
        !self.closed && self.pending.is_none()
    }

    /// The bytes that no complete message has used, once polling has said [`Output::Timeout`].
    ///
    /// A driver that recognises another dialect in them takes them over and drops the connection.
    pub fn undecoded(&self) -> &[u8] {
        self.decoder.undecoded()
    }

    /// Notes that a session's client is alive, by something that came on another way: a receiver
    /// report by UDP. Requests and interleaved frames are noted without it.
    pub fn sign_of_life(&mut self, now: Instant, session: SessionId) {
        self.now = self.now.max(now);
        self.sessions.touch(session, now);
    }

    /// Ends the connection from this side: a pending question is answered with 503, sessions end
    /// with [`EndReason::ConnectionClosed`], then comes [`Output::Close`].
    pub fn close(&mut self) {
        if self.closed {
            return;
        }
        if let Some(pending) = self.pending.take() {
            let refusal = Refusal::new(Status::SERVICE_UNAVAILABLE, "the server is going down");
            self.send_refusal(&pending.reply, &refusal);
        }
        self.end();
    }

    /// How many frames came on channels that no track holds. They are dropped.
    pub fn unknown_frames(&self) -> u64 {
        self.unknown_frames
    }

    /// How many responses came, to requests that were never made. They are dropped.
    pub fn stray_responses(&self) -> u64 {
        self.stray_responses
    }

    /// How many bytes were dropped because the driver pushed them against
    /// [`Connection::wants_input`].
    pub fn excess_bytes(&self) -> u64 {
        self.excess_bytes
    }

    pub(super) fn emit(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// How long a session lives: whole seconds, at least one.
    pub(super) fn session_timeout(&self) -> Duration {
        Duration::from_secs(self.config.session_timeout.as_secs().max(1))
    }

    pub(super) fn session_ended(&mut self, session: SessionId) {
        self.sessions.end(session);
        self.idle_since = self.now;
    }

    fn push(&mut self, bytes: &[u8]) {
        let full = self.decoder.buffered_bytes() >= BUFFERED_BYTES_MAX;
        if full && self.pending.is_some() {
            self.excess_bytes += bytes.len() as u64;
            // With a gap in the stream nothing behind it could be trusted.
            return self.end();
        }
        self.decoder.push(bytes);
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Request(request) => self.take_request(&request),
            Item::Response(_) => self.stray_responses += 1,
            Item::Interleaved { channel, data } => match self.sessions.channel_owner(channel) {
                None => self.unknown_frames += 1,
                Some((session, track)) => {
                    self.sessions.touch(session, self.now);
                    self.emit(Output::Interleaved { session, track, channel, data });
                }
            },
        }
    }

    fn take_request(&mut self, request: &Request) {
        (self.idle_since, self.forsaken) = (self.now, false);
        let token = Token(self.questions);
        let (verdict, session) = rules::judge(request, self, token);
        let reply = Reply::to(request, session);
        // One client stands behind all sessions of a connection: a request that names none is a
        // sign of life of all.
        match session {
            Some(session) => self.sessions.touch(session, self.now),
            None => self.sessions.touch_all(self.now),
        }
        match verdict {
            Verdict::Done(fields) => self.send_success(&reply, fields, Bytes::new()),
            Verdict::Refuse(refusal) => self.refuse(&reply, refusal, &request.method),
            Verdict::Ask(question, event) => {
                self.questions += 1;
                self.pending = Some(Pending { token, question, reply });
                self.emit(Output::Event(event));
            }
        }
    }

    fn refuse(&mut self, reply: &Reply, refusal: Refusal, method: &Method) {
        self.send_refusal(reply, &refusal);
        self.emit(Output::Event(Event::Refused {
            method: Some(method.clone()),
            status: refusal.status,
            detail: refusal.detail,
        }));
    }

    /// Nobody can say where the next request begins: the connection ends.
    fn fail(&mut self, error: &DecodeError) {
        let mut refusal = Refusal::new(error.status(), error.to_string());
        refusal.fields.push(("Connection".into(), "close".into()));
        self.send_refusal(&Reply::default(), &refusal);
        self.emit(Output::Event(Event::Refused {
            method: None,
            status: refusal.status,
            detail: refusal.detail,
        }));
        self.end();
    }

    fn end(&mut self) {
        self.pending = None;
        self.end_sessions(EndReason::ConnectionClosed);
        self.emit(Output::Close);
        self.closed = true;
    }

    fn end_sessions(&mut self, reason: EndReason) {
        for session in self.sessions.end_all() {
            self.emit(Output::Event(Event::Ended { session, reason }));
        }
    }

    /// The timers: `session`, and `idle` while there is no session.
    fn deadline(&self) -> Instant {
        if self.answered {
            return self.now;
        }
        let idle_timeout = self.config.idle_timeout;
        let wait = if self.forsaken { idle_timeout.min(FORSAKEN_WAIT) } else { idle_timeout };
        let idle = self.idle_since + wait;
        self.sessions.deadline(self.session_timeout()).unwrap_or(idle)
    }

    fn expire(&mut self) {
        if self.pending.is_some() {
            return;
        }
        if self.sessions.is_empty() && self.deadline() <= self.now {
            return self.end();
        }
        for session in self.sessions.expire(self.now, self.session_timeout()) {
            (self.idle_since, self.forsaken) = (self.now, true);
            let reason = EndReason::TimedOut;
            self.emit(Output::Event(Event::Ended { session, reason }));
        }
    }
}
