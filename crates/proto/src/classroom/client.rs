//! The client's end of one control connection.
//!
//! [`Connection`] sends requests in the handout's spelling, one at a time, and waits for each
//! reply for a limited time: servers of the dialect often leave errors unanswered, and end their
//! replies with no blank line.
//!
//! ```
//! use weir_proto::classroom::client::{Config, Connection, Event, Input, Output};
//! use weir_proto::classroom::Method;
//! use weir_time::Instant;
//!
//! let at = Instant::from_millis;
//! let mut connection = Connection::new("movie.Mjpeg", 25_000, Config::default(), at(0)).unwrap();
//! connection.ask(at(0), Method::Setup).unwrap();
//! let Output::Send(request) = connection.poll() else { panic!() };
//! assert!(request.starts_with(b"SETUP movie.Mjpeg RTSP/1.0\nCSeq: 1\n"));
//! let reply = b"RTSP/1.0 200 OK\nCSeq: 1\nSession: 123456\n";
//! connection.handle(at(7), Input::Bytes(reply));
//! let Output::Event(Event::Done { method, .. }) = connection.poll() else { panic!() };
//! assert_eq!((method, connection.session()), (Method::Setup, Some(123_456)));
//! ```

use core::time::Duration;
use std::collections::VecDeque;

use bytes::Bytes;
use weir_time::Instant;

use super::reply::{Decoder, Received};
use super::request::Request;
use super::{Method, Spelling};
use crate::rtsp::Status;

/// What a connection is told at its start.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The timer `reply`: how long a reply may take.
    pub request_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config { request_timeout: Duration::from_secs(5) }
    }
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Bytes came.
    Bytes(&'a [u8]),
    /// The server has closed, or the connection is lost.
    Closed,
    /// The time of the last [`Output::Timeout`] has come.
    Timer,
}

/// What a connection wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send these bytes in one write.
    Send(Bytes),
    /// Something for the driver.
    Event(Event),
    /// The connection is over. Nothing follows.
    Close,
    /// Nothing more for now; call again with [`Input::Timer`] at this time, if any.
    Timeout(Option<Instant>),
}

/// Something for the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A request was carried out.
    Done {
        /// Which.
        method: Method,
        /// The status: one of success.
        status: Status,
        /// From the request to the last bytes of the reply.
        round_trip: Duration,
    },
    /// A request failed. What was asked behind it is still sent.
    Failed(Failure),
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{method} {name}: {cause}")]
pub struct Failure {
    /// What was asked.
    pub method: Method,
    /// Of which movie.
    pub name: String,
    /// Why it failed.
    pub cause: Cause,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The server refused.
    #[error("the server answered {} {reason}", status.0)]
    Status {
        /// The code.
        status: Status,
        /// The server's own words.
        reason: String,
        /// From the request to the reply.
        round_trip: Duration,
    },
    /// No reply came in time.
    #[error("no reply within {} s; servers of this dialect often leave errors unanswered", after.as_secs_f64())]
    TimedOut {
        /// The time that was given.
        after: Duration,
    },
    /// The connection ended first.
    #[error("the connection ended before a reply came")]
    ConnectionLost,
    /// The reply to SETUP names no session.
    #[error("the reply names no session: expected Session: NUMBER")]
    NoSession,
}

/// The caller's mistakes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that the lines of the dialect cannot carry.
    #[error("{0:?} cannot be asked for: names have neither spaces nor control characters here")]
    Name(String),
    /// As many requests wait as are kept.
    #[error("more than {COMMANDS_MAX} requests wait for their turn")]
    TooMany,
    /// The connection has ended.
    #[error("the connection has ended")]
    Closed,
}

/// How many requests may wait for their turn.
pub const COMMANDS_MAX: usize = 16;

/// The client's end of one control connection. `ask` or `handle`, then `poll` until
/// [`Output::Timeout`].
#[derive(Debug)]
pub struct Connection {
    config: Config,
    name: String,
    port: u16,
    session: Option<u64>,
    cseq: u32,
    waiting: VecDeque<Method>,
    asked: Option<Asked>,
    decoder: Decoder,
    outputs: VecDeque<Output>,
    now: Instant,
    closed: bool,
    stray_replies: u64,
}

/// The request that waits for its reply.
#[derive(Clone, Copy, Debug)]
struct Asked {
    method: Method,
    cseq: u32,
    at: Instant,
}

impl Connection {
    /// A connection that stands: asks for the movie `name`, with frames to `port`.
    ///
    /// # Errors
    /// When the name holds spaces, control characters or nothing.
    pub fn new(name: &str, port: u16, config: Config, now: Instant) -> Result<Self, Error> {
        let is_bad = |character: char| character.is_control() || character.is_whitespace();
        if name.is_empty() || name.chars().any(is_bad) {
            return Err(Error::Name(name.to_owned()));
        }
        Ok(Connection {
            config,
            name: name.to_owned(),
            port,
            session: None,
            cseq: 0,
            waiting: VecDeque::new(),
            asked: None,
            decoder: Decoder::new(now),
            outputs: VecDeque::new(),
            now,
            closed: false,
            stray_replies: 0,
        })
    }

    /// Asks for something, once what was asked before is answered.
    ///
    /// # Errors
    /// When too much waits, or the connection has ended.
    pub fn ask(&mut self, now: Instant, method: Method) -> Result<(), Error> {
        self.now = self.now.max(now);
        if self.closed {
            return Err(Error::Closed);
        }
        if self.waiting.len() >= COMMANDS_MAX {
            return Err(Error::TooMany);
        }
        self.waiting.push_back(method);
        self.send_next();
        Ok(())
    }

    /// Takes an input in. Poll afterwards, until [`Output::Timeout`].
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = self.now.max(now);
        if self.closed {
            return;
        }
        self.take_replies();
        match input {
            Input::Bytes(bytes) => {
                self.decoder.push(self.now, bytes);
                self.take_replies();
            }
            Input::Timer => self.expire(),
            Input::Closed => self.end(),
        }
    }

    /// What the connection wants next.
    pub fn poll(&mut self) -> Output {
        let timeout = || {
            let reply = self.asked.map(|asked| asked.at + self.config.request_timeout);
            let message = self.decoder.next_timeout(self.now);
            [reply, message].into_iter().flatten().min().filter(|_| !self.closed)
        };
        self.outputs.pop_front().unwrap_or_else(|| Output::Timeout(timeout()))
    }

    /// The session that the server named.
    pub fn session(&self) -> Option<u64> {
        self.session
    }

    /// Replies to requests that nobody waited for.
    pub fn stray_replies(&self) -> u64 {
        self.stray_replies
    }

    /// Lines of the server that belong to no reply.
    pub fn lines_ignored(&self) -> u64 {
        self.decoder.lines_ignored()
    }

    fn send_next(&mut self) {
        if self.asked.is_some() || self.closed {
            return;
        }
        let Some(method) = self.waiting.pop_front() else { return };
        self.cseq = self.cseq.wrapping_add(1);
        let request = Request {
            method,
            cseq: self.cseq,
            spelling: Spelling::Handout,
            name: self.name.clone(),
            session: self.session,
            port: (method == Method::Setup).then_some(self.port),
        };
        self.asked = Some(Asked { method, cseq: self.cseq, at: self.now });
        self.outputs.push_back(Output::Send(request.encode().into()));
    }

    fn take_replies(&mut self) {
        while let Some(received) = self.decoder.next(self.now) {
            self.take(received);
        }
    }

    fn take(&mut self, received: Received) {
        let is_it = |asked: &mut Asked| received.cseq.is_none_or(|cseq| cseq == asked.cseq);
        let Some(asked) = self.asked.take_if(is_it) else {
            self.stray_replies += 1;
            return;
        };
        let (method, status) = (asked.method, received.status);
        let round_trip = received.at.since(asked.at);
        let names_session = method != Method::Setup || received.session.is_some();
        match (status.is_success(), names_session) {
            (true, true) => {
                if let (Method::Setup, Some(session)) = (method, received.session) {
                    self.session = Some(session);
                    self.decoder.expect_session(session);
                }
                let done = Event::Done { method, status, round_trip };
                self.outputs.push_back(Output::Event(done));
            }
            (true, false) => self.fail(method, Cause::NoSession),
            (false, _) => {
                let reason = received.reason;
                self.fail(method, Cause::Status { status, reason, round_trip });
            }
        }
        self.send_next();
    }

    fn fail(&mut self, method: Method, cause: Cause) {
        let failure = Failure { method, name: self.name.clone(), cause };
        self.outputs.push_back(Output::Event(Event::Failed(failure)));
    }

    fn expire(&mut self) {
        let after = self.config.request_timeout;
        let is_over = |asked: &mut Asked| asked.at + after <= self.now;
        if let Some(asked) = self.asked.take_if(is_over) {
            self.fail(asked.method, Cause::TimedOut { after });
            self.send_next();
        }
    }

    fn end(&mut self) {
        self.closed = true;
        self.waiting.clear();
        if let Some(asked) = self.asked.take() {
            self.fail(asked.method, Cause::ConnectionLost);
        }
        self.outputs.push_back(Output::Close);
    }
}
