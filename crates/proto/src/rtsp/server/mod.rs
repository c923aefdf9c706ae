//! The server's end of one control connection.
//!
//! [`Connection`] holds the rules of RFC 2326: which request is valid when, what is refused and
//! why, sessions and their timeouts, the order of responses. Whatever needs the world it asks
//! for by an [`Event`] with a [`Token`], and goes on when the answer comes.
//!
//! ```
//! use weir_proto::rtsp::server::{Config, Connection, Description, Event, Input, Output};
//! use weir_time::Instant;
//!
//! let peer = "192.0.2.1".parse().unwrap();
//! let mut connection = Connection::new(Config::default(), peer, 1, Instant::from_nanos(0));
//! let request = b"DESCRIBE rtsp://h/movie RTSP/1.0\r\nCSeq: 1\r\n\r\n";
//! connection.handle(Instant::from_nanos(0), Input::Bytes(request));
//! let Output::Event(Event::Describe { token, control, .. }) = connection.poll() else { panic!() };
//! assert_eq!(control.stream, "movie");
//! let sdp = "v=0\r\n".to_owned();
//! connection.describe(token, Ok(Description { sdp, content_base: None })).unwrap();
//! let Output::Send(bytes) = connection.poll() else { panic!() };
//! assert!(bytes.starts_with(b"RTSP/1.0 200 OK\r\n"));
//! ```
//!
//! # The run loop
//! `handle(now, input)`, then `poll()` until [`Output::Timeout`]; answers to events are given
//! in between or at any time later, and followed by polling again. Bytes are read from the
//! socket only while [`Connection::wants_input`].
//!
//! # PLAY while playing
//! RFC 2326 section 10.5 has a server queue a PLAY behind the one that is under way. What clients
//! mean by it is to go elsewhere now, and that is what servers in common use do; so it is passed
//! on as it comes, and the driver is told that the tracks play ([`Event::Play`]). ffmpeg,
//! GStreamer and live555 send PAUSE before they seek, and see no difference.
//!
//! # Channels are the client's choice
//! Interleaved media goes on exactly the channels that the client asks for. Where another track
//! holds one of them, or the two are one, that alternative cannot be had: with no other one the
//! answer is 461, which is about the transport, and not 400, for the request is well formed. Only
//! a client that names no channels is given the lowest free pair.
//!
//! # Sessions end with their connection
//! RFC 2326 section 3.4 binds a session to no connection. Here it ends with the connection that
//! set it up: a viewer whose control connection is gone can neither be paused nor asked, so its
//! media would go to an address where perhaps nobody listens until the timeout. The price: a
//! client that opens a connection for each request is told 454. All players in common use keep
//! one open.

mod answer;
mod connection;
mod parameter;
mod rules;
mod session;

use core::fmt;
use core::time::Duration;

use bytes::Bytes;
use weir_time::Instant;

use super::Status;
use super::headers::{Range, RtpInfo, Transport};
use super::message::Method;
use super::url::ControlPath;

pub use connection::Connection;

/// What a connection is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The value of the Server header.
    pub software: String,
    /// How long a session lives without a sign of life; whole seconds, advertised.
    pub session_timeout: Duration,
    /// How long a connection without a session lives without a complete request.
    pub idle_timeout: Duration,
    /// Whether PLAY and PAUSE on one track of several are passed on; else they are refused (460).
    pub single_track_control: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            software: concat!("weir/", env!("CARGO_PKG_VERSION")).to_owned(),
            session_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            single_track_control: false,
        }
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
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send these bytes. Interleaved media may go before or after them, not between.
    Send(Bytes),
    /// Something for the driver.
    Event(Event),
    /// A frame on a channel of a session's track: RTCP from the client.
    Interleaved {
        /// The session that holds the channel.
        session: SessionId,
        /// The track that holds the channel.
        track: u8,
        /// The channel.
        channel: u8,
        /// The packet.
        data: Bytes,
    },
    /// Send what is left, then close. Nothing follows.
    Close,
    /// Nothing more for now; call again with [`Input::Timer`] at this time, if any.
    Timeout(Option<Instant>),
}

/// One pending question. Each is answered once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub(super) u64);

/// A session's identifier: sixteen hexadecimal digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Something for the driver.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A client asks what a stream is made of: [`Connection::describe`].
    Describe {
        /// For the answer.
        token: Token,
        /// The stream.
        control: ControlPath,
        /// What the client says of itself.
        client: Client,
    },
    /// A client sets a track up: [`Connection::setup`].
    Setup {
        /// For the answer.
        token: Token,
        /// The session, new or not.
        session: SessionId,
        /// Whether this is the session's first track. It begins with the answer.
        first: bool,
        /// The stream and the track. Without a track the stream itself is set up: right where it
        /// has one track, else to be refused with 459.
        control: ControlPath,
        /// The transports that are possible, in the client's order; unicast, never empty. TCP
        /// ones have free channels, UDP ones the client's ports. If the track is set up already,
        /// the answer replaces it.
        offered: Vec<Transport>,
        /// What the client says of itself.
        client: Client,
    },
    /// A client starts tracks, or moves them elsewhere: [`Connection::play`].
    Play {
        /// For the answer.
        token: Token,
        /// The session.
        session: SessionId,
        /// The tracks that are meant, in order.
        tracks: Vec<u8>,
        /// Whether some of them play already.
        playing: bool,
        /// From where; absent: from where it was paused, or the start.
        range: Option<Range>,
        /// How fast the time line is to pass (Scale), where it was asked.
        scale: Option<f64>,
        /// How fast the data is to come (Speed), where it was asked.
        speed: Option<f64>,
        /// What the client says of itself.
        client: Client,
    },
    /// A client stops tracks for now: [`Connection::pause`].
    Pause {
        /// For the answer.
        token: Token,
        /// The session.
        session: SessionId,
        /// The tracks that are meant, in order.
        tracks: Vec<u8>,
        /// Where to pause (RFC 2326 section 10.6); absent: at once.
        at: Option<Duration>,
    },
    /// A client gives tracks up: [`Connection::teardown`].
    Teardown {
        /// For the answer.
        token: Token,
        /// The session.
        session: SessionId,
        /// The tracks that are meant, in order.
        tracks: Vec<u8>,
        /// Whether the session ends with them.
        end: bool,
    },
    /// A session ended without TEARDOWN. All its media stops now.
    Ended {
        /// The session.
        session: SessionId,
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

/// What a client says of itself in a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The User-Agent header.
    pub user_agent: Option<String>,
    /// The Authorization header, raw.
    pub authorization: Option<String>,
}

/// Why a session ended without TEARDOWN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The control connection closed.
    ConnectionClosed,
    /// No sign of life within the session's timeout.
    TimedOut,
}

/// A refusal: a status, why, and further header fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status; 3xx with a Location field among `fields` is a redirection.
    pub status: Status,
    /// Why, for a person to act on. Goes behind the status phrase; empty for the phrase alone.
    pub detail: String,
    /// Further header fields, such as WWW-Authenticate.
    pub fields: Vec<(String, String)>,
    /// The body; empty for most. Its Content-Type stands among `fields`.
    pub body: Bytes,
}

impl Refusal {
    /// A refusal without further fields.
    pub fn new(status: Status, detail: impl Into<String>) -> Self {
        Refusal { status, detail: detail.into(), fields: Vec::new(), body: Bytes::new() }
    }
}

/// The answer to [`Event::Describe`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The session description (SDP), whose track controls are relative: `trackID=N`.
    pub sdp: String,
    /// The Content-Base; where absent, the request's address without a track, with a slash at
    /// the end of its path.
    pub content_base: Option<String>,
}

/// The answer to [`Event::Setup`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Which track it is.
    pub track: u8,
    /// One of those offered, with `server_port` (UDP) and `ssrc` filled in.
    pub transport: Transport,
}

/// The answer to [`Event::Play`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Playing {
    /// The range that is played.
    pub range: Option<Range>,
    /// How fast the time line passes, where it was asked for.
    pub scale: Option<f64>,
    /// How fast the data comes, where it was asked for.
    pub speed: Option<f64>,
    /// Where each track's packets begin. RTP-Info names each track by its address as SETUP named
    /// it; tracks that are not set up are left out.
    pub rtp_info: Vec<TrackInfo>,
}

/// The answer to [`Event::Pause`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    /// The place that was reached, or will be, where it is known.
    pub range: Option<Range>,
    /// It is to come: until it is reached, the tracks count as playing.
    pub later: bool,
}

/// Where one track's packets begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackInfo {
    /// The track.
    pub track: u8,
    /// The first sequence number.
    pub seq: u16,
    /// The RTP time stamp of the range's start.
    pub rtptime: u32,
}

impl TrackInfo {
    fn at(&self, url: String) -> RtpInfo {
        RtpInfo { url, seq: Some(self.seq), rtptime: Some(self.rtptime) }
    }
}

/// The caller's mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The token belongs to no pending question of this kind: answered before, or the connection
    /// is closed.
    #[error("no question of this kind is pending under {0:?}")]
    NotPending(Token),
    /// The chosen transport is none of those offered.
    #[error("the chosen transport is none of those offered")]
    NotOffered,
}

#[cfg(test)]
mod tests;
