//! The server's end of a connection.
//!
//! [`Connection`] answers the handshake and the commands. Whatever needs the world it asks for by
//! an [`Event`] with a [`Token`], and goes on when the answer comes.
//!
//! ```
//! use bytes::BytesMut;
//! use weir_proto::rtmp::handshake::{Client, Form};
//! use weir_proto::rtmp::server::{Config, Connection, Input, Output};
//! use weir_time::Instant;
//!
//! let now = Instant::ZERO;
//! let mut connection = Connection::new(Config::default(), 1, now);
//! let mut hello = BytesMut::new();
//! Client::new(Form::Digest, 2, &mut hello);
//! connection.handle(now, Input::Bytes(&hello));
//! let Output::Send(answer) = connection.poll() else { panic!() };
//! assert_eq!(answer.len(), 1 + 1536 + 1536);
//! ```
//!
//! # The run loop
//! `handle(now, input)`, then `poll()` until [`Output::Timeout`]; answers to events are given
//! in between or at any time later, and followed by polling again. Bytes are read from the
//! socket only while [`Connection::wants_input`].
//!
//! # Publishers
//! [`Output::Media`] brings the messages of sound and picture of a stream whose publishing was
//! accepted: [`crate::rtmp::receive::Receiver`] makes frames of them. [`Event::Metadata`] brings
//! what their sender says of them.
//!
//! # Players
//! The answer to [`Event::Play`] holds the messages that come before all media: metadata and the
//! decoders' configurations ([`crate::rtmp::pack::Packer::opening`]). Behind the [`Output::Send`]
//! that follows, the driver sends packed frames as they are, between two outputs of the machine;
//! they need nothing of this connection's own: their stream is always 1, their chunk size
//! [`crate::rtmp::pack::FAN_OUT_CHUNK_BYTES`], which is set before the first answer.
//!
//! # What peers do otherwise
//! - A stream is published or played without createStream, or on stream 0: it is stream 1.
//! - Media comes on another stream than the one published, or on 0: with one stream published
//!   there is no doubt where it belongs.
//! - releaseStream, FCPublish, getStreamLength, _checkbw and the like are answered, though nothing
//!   depends on them: encoders wait for the answers.

mod answer;
mod commands;
mod connection;
mod streams;

use core::time::Duration;

use bytes::Bytes;
use weir_time::Instant;

use super::chunk;
use super::command::Status;
use super::message::{Message, StreamId};
use super::url::Target;
use crate::amf::amf0::Value;

pub use connection::Connection;

/// What a connection is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the server says that it is.
    pub software: String,
    /// How much a peer may send at once.
    pub limits: chunk::Limits,
    /// Timer `handshake`: how long it may take until the first command is there.
    pub handshake_timeout: Duration,
    /// Timer `idle`: how long a connection that neither publishes nor plays lives without a
    /// command.
    pub idle_timeout: Duration,
    /// Timer `silence`: how long a publisher may send nothing at all.
    pub silence_timeout: Duration,
    /// Timer `refused`: how long a client that was refused may take to close.
    pub refused_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            software: concat!("weir/", env!("CARGO_PKG_VERSION")).to_owned(),
            limits: chunk::Limits::default(),
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            silence_timeout: Duration::from_secs(15),
            refused_timeout: Duration::from_secs(5),
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
    /// Send these bytes: whole messages. Packed frames may go before or after them, not between.
    Send(Bytes),
    /// Something for the driver.
    Event(Event),
    /// A message of sound or picture of a stream that is published.
    Media {
        /// The stream.
        stream: StreamId,
        /// The message.
        message: Message,
    },
    /// Send what is left, then close. Nothing follows.
    Close,
    /// Nothing more for now; call again with [`Input::Timer`] at this time, if any.
    Timeout(Option<Instant>),
}

/// One pending question. Each is answered once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(u64);

/// Something for the driver.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A client says who it is and what application it means: [`Connection::connect`].
    Connect {
        /// For the answer.
        token: Token,
        /// What it says.
        client: Client,
    },
    /// A client wants to publish a stream: [`Connection::publish`].
    Publish {
        /// For the answer.
        token: Token,
        /// Which message stream brings it.
        stream: StreamId,
        /// What the stream is called.
        target: Target,
        /// `live`, `record` or `append`, as it was asked; `live` where it was not.
        kind: String,
    },
    /// A client wants to play a stream: [`Connection::play`].
    Play {
        /// For the answer.
        token: Token,
        /// Which message stream brings it.
        stream: StreamId,
        /// What the stream is called.
        target: Target,
        /// Where to start.
        start: Start,
    },
    /// What the publisher says of its stream.
    Metadata {
        /// The stream.
        stream: StreamId,
        /// Names and values.
        values: Value,
    },
    /// Other data of a stream that is published: texts, cue points, times of capture.
    Data {
        /// The stream.
        stream: StreamId,
        /// When, in milliseconds modulo 2^32.
        time_ms: u32,
        /// What it is.
        name: String,
        /// What it says.
        values: Vec<Value>,
    },
    /// A player halts, or goes on. It was told that it is so.
    Pause {
        /// The stream.
        stream: StreamId,
        /// It halts.
        paused: bool,
        /// Where it stands on the stream's time line, as it says.
        at_ms: u32,
    },
    /// A player wants sound or picture no longer, or again.
    Receive {
        /// The stream.
        stream: StreamId,
        /// Of which kind.
        kind: weir_media::Kind,
        /// It wants it.
        wanted: bool,
    },
    /// A stream is no longer published or played. Its media stops now.
    Ended {
        /// The stream.
        stream: StreamId,
        /// What it was.
        role: Role,
        /// Why.
        reason: EndReason,
    },
    /// The peer was refused by the rules, not by the driver: for the log.
    Refused {
        /// Which command, or what else.
        what: String,
        /// Why, in plain words.
        detail: String,
    },
}

/// What a client says of itself in connect.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Client {
    /// The application as it was sent, with its query.
    pub app: String,
    /// The address of the application as it was sent.
    pub tc_url: String,
    /// Its software: `flashVer`.
    pub software: String,
    /// The page that the player is on.
    pub page_url: String,
    /// The codecs of Enhanced RTMP that it can play or wants to send, by their four characters
    /// (`fourCcList`, `videoFourCcInfoMap`, `audioFourCcInfoMap`); `*` for all.
    pub codecs: Vec<String>,
}

/// Where a player wants to start (section 7.2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The live stream of this name, or else the recorded one from its start.
    Any,
    /// The live stream of this name.
    Live,
    /// So far into the recorded stream of this name.
    Recorded {
        /// How far.
        from_ms: u64,
    },
}

/// What a message stream is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The client publishes.
    Publisher,
    /// The client plays.
    Player,
}

/// Why a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The client said so.
    Asked,
    /// The client began something else on the same stream.
    Replaced,
    /// The driver said so.
    Told,
    /// The connection closed.
    ConnectionClosed,
    /// A publisher sent nothing for so long.
    Silence(Duration),
    /// The peer's bytes cannot be read on.
    Unreadable(chunk::Error),
}

/// A refusal: what the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code, which clients act on.
    pub code: Code,
    /// Why, for a person to act on.
    pub detail: String,
}

impl Refusal {
    /// A refusal with this code.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Refusal { code, detail: detail.into() }
    }

    fn status(&self) -> Status {
        Status::error(self.code.0, &self.detail)
    }
}

/// The code of a status (section 7.2.2, and what servers in use send).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub &'static str);

impl Code {
    /// The client may not connect.
    pub const CONNECT_REJECTED: Code = Code("NetConnection.Connect.Rejected");
    /// There is no such application.
    pub const INVALID_APP: Code = Code("NetConnection.Connect.InvalidApp");
    /// Somebody else publishes the stream, or the name is not to be published.
    pub const PUBLISH_BAD_NAME: Code = Code("NetStream.Publish.BadName");
    /// The client may not publish.
    pub const PUBLISH_DENIED: Code = Code("NetStream.Publish.Denied");
    /// There is no such stream.
    pub const STREAM_NOT_FOUND: Code = Code("NetStream.Play.StreamNotFound");
    /// The client may not play, or cannot.
    pub const PLAY_FAILED: Code = Code("NetStream.Play.Failed");
}

/// The caller's mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The token belongs to no pending question of this kind: answered before, or the connection
    /// is closed.
    #[error("no question of this kind is pending under {0:?}")]
    NotPending(Token),
    /// No stream of this number is in use.
    #[error("stream {} is neither published nor played", .0.0)]
    NoStream(StreamId),
}

#[cfg(test)]
mod tests;
