//! The server's end of one control connection.
//!
//! [`Connection`] holds the rules of the dialect: which request is valid when, the session, the
//! replies. It asks for a movie by [`Event::Setup`] and goes on with [`Connection::setup`].
//!
//! ```
//! use weir_proto::classroom::server::{Config, Connection, Event, Input, Output};
//! use weir_time::Instant;
//!
//! let now = Instant::from_millis(0);
//! let mut connection = Connection::new(Config::default(), 1, now);
//! let request = b"SETUP movie.Mjpeg RTSP/1.0\nCSeq: 1\nTransport: RTP/UDP; client_port= 25000";
//! connection.handle(now, Input::Bytes(request));
//! let Output::Event(Event::Setup { name, port }) = connection.poll() else { panic!() };
//! assert_eq!((&*name, port), ("movie.Mjpeg", 25_000));
//! connection.setup(Ok(()));
//! let Output::Send(reply) = connection.poll() else { panic!() };
//! assert!(reply.starts_with(b"RTSP/1.0 200 OK\nCSeq: 1\nSession: "));
//! ```
//!
//! # States
//! SETUP takes the connection from INIT to READY, PLAY to PLAYING, PAUSE back to READY, TEARDOWN
//! to INIT, from where it may be set up again. What is asked in another state is refused with
//! 455. A request that names a session names this connection's, or is refused with 454; one that
//! names none is the student's spelling, and is taken for it. A session ends with its connection.

use core::time::Duration;
use std::collections::VecDeque;

use bytes::Bytes;
use weir_time::Instant;

use super::reply::Reply;
use super::request::{Decoder, Expected, Malformed, Request};
use super::{Method, Spelling};
use crate::rtsp::Status;

/// What a connection is told at its start.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The timer `idle`: how long a connection without a session lives without a request.
    pub idle_timeout: Duration,
    /// The timer `lease`: how long a session lives without a request or another sign of life.
    /// Clients of this dialect send none while they are paused, so it is long.
    pub lease: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config { idle_timeout: Duration::from_secs(60), lease: Duration::from_secs(3_600) }
    }
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Bytes came.
    Bytes(&'a [u8]),
    /// The peer has closed, or the connection is lost.
    Closed,
    /// The time of the last [`Output::Timeout`] has come.
    Timer,
}

/// What a connection wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send these bytes.
    Send(Bytes),
    /// Something for the driver.
    Event(Event),
    /// Send what is left, then close. Nothing follows.
    Close,
    /// Nothing more for now; call again with [`Input::Timer`] at this time, if any.
    Timeout(Option<Instant>),
}

/// Something for the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A client asks for a movie: [`Connection::setup`].
    Setup {
        /// The movie's name as the client spells it.
        name: String,
        /// The port at the client's address that frames are to go to.
        port: u16,
    },
    /// Send the next frame, and then one after the other.
    Play,
    /// Send no more for now.
    Pause,
    /// The session has ended: forget what [`Event::Setup`] began.
    Ended {
        /// Why.
        reason: EndReason,
    },
    /// A request was refused by the rules, not by the driver: for the log.
    Refused {
        /// The method, where it could be read.
        method: Option<Method>,
        /// The status that was answered.
        status: Status,
        /// Why, in plain words.
        detail: String,
    },
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The client asked for it.
    Teardown,
    /// The control connection closed.
    ConnectionClosed,
    /// No sign of life within the lease.
    TimedOut,
}

/// The server's end of one control connection. `handle`, then `poll` until [`Output::Timeout`].
#[derive(Debug)]
pub struct Connection {
    config: Config,
    session: u32,
    state: State,
    /// The number of the SETUP that the driver has not answered.
    pending: Option<u32>,
    decoder: Decoder,
    outputs: VecDeque<Output>,
    now: Instant,
    alive_at: Instant,
    closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Init,
    Ready,
    Playing,
}

impl Connection {
    /// A connection that has just been accepted. The session's number follows from the seed: six
    /// digits, as the assignments have it.
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        let number = SESSION_LEAST + (seed % u64::from(SESSION_COUNT)) as u32;
        Connection {
            config,
            session: number,
            state: State::Init,
            pending: None,
            decoder: Decoder::new(now),
            outputs: VecDeque::new(),
            now,
            alive_at: now,
            closed: false,
        }
    }

    /// Takes an input in. Poll afterwards, until [`Output::Timeout`].
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = self.now.max(now);
        if self.closed {
            return;
        }
        match input {
            Input::Bytes(bytes) => {
                // What was there before a silence is complete without what comes now.
                self.take_requests();
                if let Err(malformed) = self.decoder.push(self.now, bytes) {
                    self.refuse_malformed(malformed);
                    self.end(EndReason::ConnectionClosed);
                }
            }
            Input::Closed => self.end(EndReason::ConnectionClosed),
            Input::Timer => {
                self.take_requests();
                self.expire();
            }
        }
    }

    /// What the connection wants next. While a SETUP waits for its answer no request is read.
    pub fn poll(&mut self) -> Output {
        if self.outputs.is_empty() {
            self.take_requests();
        }
        match self.outputs.pop_front() {
            Some(output) => output,
            None => Output::Timeout(self.wants_input().then(|| self.deadline())),
        }
    }

    /// Answers [`Event::Setup`]: with a refusal's status if the movie cannot be had. Without a
    /// question it does nothing.
    pub fn setup(&mut self, answer: Result<(), Status>) {
        let Some(cseq) = self.pending.take().filter(|_| !self.closed) else {
            return;
        };
        match answer {
            Ok(()) => {
                self.state = State::Ready;
                self.reply(Status::OK, cseq);
            }
            Err(status) => self.reply(status, cseq),
        }
    }

    /// Whether bytes are to be read: not while a SETUP waits for its answer.
    pub fn wants_input(&self) -> bool {
        !self.closed && self.pending.is_none()
    }

    /// Notes that the session is in use: frames still go out.
    pub fn sign_of_life(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.alive_at = self.alive_at.max(now);
    }

    /// Lines that belonged to no request.
    pub fn lines_ignored(&self) -> u64 {
        self.decoder.lines_ignored()
    }

    fn take_requests(&mut self) {
        while self.wants_input()
            && let Some(request) = self.decoder.next(self.now)
        {
            self.alive_at = self.now;
            match request {
                Ok(request) => self.take(request),
                Err(malformed) => self.refuse_malformed(malformed),
            }
        }
    }

    fn take(&mut self, request: Request) {
        let cseq = request.cseq;
        let next = Expected { cseq: cseq.checked_add(1), session: Some(self.session) };
        self.decoder.expect(next);
        if let Some(session) = request.session.filter(|_| request.spelling == Spelling::Handout)
            && session != u64::from(self.session)
        {
            let detail = format!("the session is {}, not {session}", self.session);
            return self.refuse(request.method, Status::SESSION_NOT_FOUND, detail, cseq);
        }
        match (request.method, self.state, request.port) {
            (Method::Setup, State::Init, Some(port)) => {
                self.pending = Some(cseq);
                self.emit(Event::Setup { name: request.name, port });
            }
            (Method::Play, State::Ready, _) => self.move_to(State::Playing, Event::Play, cseq),
            (Method::Pause, State::Playing, _) => self.move_to(State::Ready, Event::Pause, cseq),
            (Method::Teardown, State::Ready | State::Playing, _) => {
                let ended = Event::Ended { reason: EndReason::Teardown };
                self.move_to(State::Init, ended, cseq);
            }
            (method, state, _) => {
                let status = Status::METHOD_NOT_VALID_IN_THIS_STATE;
                self.refuse(method, status, misplaced(method, state), cseq);
            }
        }
    }

    fn move_to(&mut self, state: State, event: Event, cseq: u32) {
        self.state = state;
        self.reply(Status::OK, cseq);
        self.emit(event);
    }

    fn refuse(&mut self, method: Method, status: Status, detail: String, cseq: u32) {
        self.reply(status, cseq);
        self.emit(Event::Refused { method: Some(method), status, detail });
    }

    fn refuse_malformed(&mut self, malformed: Malformed) {
        let status = Status::BAD_REQUEST;
        self.reply(status, malformed.cseq.unwrap_or(0));
        self.emit(Event::Refused { method: None, status, detail: malformed.to_string() });
    }

    fn reply(&mut self, status: Status, cseq: u32) {
        let reply = Reply { status, cseq, session: self.session };
        self.outputs.push_back(Output::Send(reply.encode().into()));
    }

    fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn end(&mut self, reason: EndReason) {
        self.pending = None;
        if self.state != State::Init {
            self.state = State::Init;
            self.emit(Event::Ended { reason });
        }
        self.outputs.push_back(Output::Close);
        self.closed = true;
    }

    /// The timers `idle` and `lease`.
    fn expires_at(&self) -> Instant {
        let limit = match self.state {
            State::Init => self.config.idle_timeout,
            State::Ready | State::Playing => self.config.lease,
        };
        self.alive_at + limit
    }

    fn deadline(&self) -> Instant {
        let message = self.decoder.next_timeout(self.now);
        message.map_or(self.expires_at(), |at| at.min(self.expires_at()))
    }

    fn expire(&mut self) {
        if self.pending.is_none() && self.expires_at() <= self.now {
            self.end(EndReason::TimedOut);
        }
    }
}

/// Why a method cannot be carried out now.
fn misplaced(method: Method, state: State) -> String {
    match (method, state) {
        (Method::Setup, State::Init) => "SETUP without a port".to_owned(),
        (_, State::Init) => format!("{method} before SETUP"),
        (Method::Setup, _) => "SETUP, but a movie is set up already; TEARDOWN first".to_owned(),
        (Method::Play, _) => "PLAY while it plays already".to_owned(),
        (Method::Pause, _) => "PAUSE while nothing plays".to_owned(),
        (method, _) => format!("{method} cannot be carried out now"),
    }
}

/// Six digits: 100000 to 999999.
const SESSION_LEAST: u32 = 100_000;
const SESSION_COUNT: u32 = 900_000;
