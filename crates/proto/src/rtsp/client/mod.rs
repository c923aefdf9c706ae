//! The client's end of one control connection.
//!
//! [`Connection`] sends requests one at a time, in the order of the commands, each with a number
//! and a timeout; reads responses, interleaved frames and the server's own requests out of one
//! stream; follows the addresses that the server names; and keeps the session alive.
//!
//! ```
//! use weir_proto::rtsp::client::{Config, Connection, Event, Input, Output};
//! use weir_proto::rtsp::url::Url;
//! use weir_time::Instant;
//!
//! let url = Url::parse("rtsp://192.0.2.1/movie").unwrap();
//! let mut connection = Connection::new(&url, Config::default(), Instant::from_millis(0));
//! connection.describe(Instant::from_millis(0)).unwrap();
//! let Output::Send(bytes) = connection.poll() else { panic!() };
//! assert!(bytes.starts_with(b"DESCRIBE rtsp://192.0.2.1/movie RTSP/1.0\r\nCSeq: 1\r\n"));
//! let response = b"RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n";
//! connection.handle(Instant::from_millis(5), Input::Bytes(response));
//! let Output::Event(Event::Failed(failure)) = connection.poll() else { panic!() };
//! assert_eq!(failure.to_string(), "DESCRIBE rtsp://192.0.2.1/movie: the server answered 404 Not Found");
//! ```
//!
//! # The run loop
//! Commands and `handle(now, input)`, each followed by `poll()` until [`Output::Timeout`].
//!
//! # Addresses
//! Responses to DESCRIBE are resolved against Content-Base, else Content-Location, else the
//! request's address. The session's `control` attribute, against that base, is the address of
//! PLAY, PAUSE, TEARDOWN and GET_PARAMETER, and the base of the tracks' controls (RFC 2326
//! section C.1.1, in the reading of [`super::url::resolve`]).
//!
//! # Credentials
//! Basic ones (RFC 7617) are sent once a server asks for them. Other schemes fail, and the
//! failure holds the server's challenges.

mod command;
mod connection;
mod oddity;
mod respond;
mod response;

use core::fmt;
use core::time::Duration;

use bytes::Bytes;
use weir_time::Instant;

use super::Status;
use super::headers::{ChannelPair, PortPair, Range, RtpInfo, Transport};
use super::message::{Error as DecodeError, Method};

pub use connection::Connection;
pub use oddity::Oddity;

/// What a connection is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The value of the User-Agent header.
    pub user_agent: String,
    /// Who asks, where the server wants to know.
    pub credentials: Option<Credentials>,
    /// How long a response may take.
    pub request_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            user_agent: concat!("weir/", env!("CARGO_PKG_VERSION")).to_owned(),
            credentials: None,
            request_timeout: Duration::from_secs(10),
        }
    }
}

/// A name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name; it holds no colon.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// How a track shall be carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportRequest {
    /// By UDP, to these ports of ours.
    Udp {
        /// RTP and RTCP.
        client_port: PortPair,
    },
    /// Interleaved on the control connection.
    Tcp {
        /// RTP and RTCP.
        channels: ChannelPair,
    },
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
// An output lives for one turn of the driver's loop.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send these bytes, a whole message. Interleaved packets may go before or after them.
    Send(Bytes),
    /// Something for the driver.
    Event(Event),
    /// A packet came on a channel: RTP or RTCP of the track whose transport names it.
    Interleaved {
        /// The channel, which no track may have.
        channel: u8,
        /// The packet: a slice of what was received.
        data: Bytes,
    },
    /// Close. Nothing follows.
    Close,
    /// Nothing more for now; call again with [`Input::Timer`] at this time, if any.
    Timeout(Option<Instant>),
}

/// Something for the driver. `round_trip` is the time from the command's request to its response
/// as this machine was told of them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The answer to OPTIONS.
    Options {
        /// What the server's Public header names; empty where there is none.
        methods: Vec<Method>,
        /// How long it took.
        round_trip: Duration,
    },
    /// The answer to DESCRIBE.
    Described {
        /// The description (SDP), unread.
        sdp: String,
        /// The address that the session's control is relative to.
        base: String,
        /// The address of the tracks together, and the base of theirs.
        aggregate: String,
        /// How long it took.
        round_trip: Duration,
    },
    /// The answer to SETUP.
    SetUp {
        /// The track's control, as it was given.
        control: String,
        /// The track's address, as it was sent.
        url: String,
        /// The session's identifier.
        session: String,
        /// The transport as the server chose it; what it left out of our own part is filled in.
        transport: Transport,
        /// How long it took.
        round_trip: Duration,
    },
    /// The answer to PLAY.
    Playing {
        /// The range that is played, where the server says so.
        range: Option<Range>,
        /// The speed, where the server says so.
        scale: Option<f64>,
        /// Where tracks begin, where the server says so; addresses are made absolute.
        rtp_info: Vec<RtpInfo>,
        /// How long it took.
        round_trip: Duration,
    },
    /// The answer to PAUSE.
    Paused {
        /// Where, where the server says so.
        range: Option<Range>,
        /// How long it took.
        round_trip: Duration,
    },
    /// The answer to GET_PARAMETER, asked for or by the timer `keep-alive`.
    Alive {
        /// How long it took.
        round_trip: Duration,
    },
    /// The answer to TEARDOWN.
    TornDown {
        /// How long it took.
        round_trip: Duration,
    },
    /// The server sends us elsewhere.
    Redirected {
        /// What was asked.
        method: Method,
        /// 301 or 302, as a rule.
        status: Status,
        /// Where to, made absolute.
        location: String,
        /// How long it took.
        round_trip: Duration,
    },
    /// A request failed. What was commanded behind it is still sent.
    Failed(Failure),
    /// The server asked something of its own, and was answered.
    Asked {
        /// What.
        method: Method,
        /// About which address.
        url: String,
        /// The answer.
        status: Status,
    },
    /// Bytes that begin no message or frame were passed over.
    Skipped {
        /// Where the first of them stands, in bytes from the connection's start.
        offset: u64,
        /// How many there are.
        bytes: u64,
    },
    /// The server's stream cannot be read on. [`Output::Close`] follows.
    Unreadable(DecodeError),
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{method} {url}: {cause}")]
pub struct Failure {
    /// What was asked.
    pub method: Method,
    /// About which address.
    pub url: String,
    /// Whether the timer `keep-alive` asked, not a command.
    pub automatic: bool,
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
        /// The values of WWW-Authenticate.
        challenges: Vec<String>,
    },
    /// No response came in time.
    #[error("no response within {} s", after.as_secs_f64())]
    TimedOut {
        /// The time that was given.
        after: Duration,
    },
    /// The connection ended first.
    #[error("the connection ended before a response came")]
    ConnectionLost,
    /// The response says yes, but not what it must.
    #[error("{0}")]
    Malformed(String),
}

/// The caller's mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// As many commands wait as are kept.
    #[error("more than {COMMANDS_MAX} commands wait for their turn")]
    TooManyCommands,
    /// The connection has ended.
    #[error("the connection has ended")]
    Closed,
}

/// How many commands may wait for their turn.
pub const COMMANDS_MAX: usize = 64;

#[cfg(test)]
mod tests;
