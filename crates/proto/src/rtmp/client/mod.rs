//! The client's end of a connection: it publishes one stream, or plays one.
//!
//! [`Connection`] does the handshake and the commands in the order in which OBS and ffmpeg send
//! them, since servers in use know no other.
//!
//! ```
//! use weir_proto::rtmp::client::{Config, Connection, Mode, Output};
//! use weir_proto::rtmp::url::Url;
//! use weir_time::Instant;
//!
//! let url = Url::parse("rtmp://192.0.2.1/live/key").unwrap();
//! let mut connection = Connection::new(&url, Mode::Publish, Config::default(), 1, Instant::ZERO);
//! let Output::Send(hello) = connection.poll() else { panic!() };
//! assert_eq!((hello[0], hello.len()), (3, 1 + 1536));
//! ```
//!
//! # The run loop
//! `handle(now, input)`, then `poll()` until [`Output::Timeout`].
//!
//! # Publishing
//! Behind [`Event::Publishing`] the driver sends
//! [`opening`](crate::rtmp::pack::Packer::opening) of a packer for the stream and chunk size that
//! the event names, and then packed frames, between two outputs of the machine.
//!
//! # Credentials
//! Most servers take them in the query of the stream's name, as it is in the address. Those that
//! answer [`Cause::Credentials`] want them in the application's: [`Credentials::answer`] says what
//! the next connection has to say.
//!
//! # Playing
//! [`Output::Media`] brings messages for [`crate::rtmp::receive::Receiver`], [`Event::Metadata`]
//! what the server says of them.

mod authorization;
mod connection;
mod failure;

use core::time::Duration;

use bytes::Bytes;
use weir_time::Instant;

use super::chunk;
use super::command::Status;
use super::handshake::Form;
use super::message::{Message, StreamId};
use super::pack::FAN_OUT_CHUNK_BYTES;
use crate::amf::amf0::Value;

pub use authorization::Credentials;
pub use connection::Connection;
pub use failure::{Cause, Failure, Step};

/// What a connection is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the client says that it is (`flashVer`); servers expect the form that Flash had.
    pub software: String,
    /// What the query of the application is to be, after a server has asked for credentials: see
    /// [`Credentials::answer`].
    pub authorization: Option<String>,
    /// The form of handshake that is begun with.
    pub handshake: Form,
    /// The size of the chunks that are sent once connected.
    pub chunk_bytes: u32,
    /// How much the server may send at once.
    pub limits: chunk::Limits,
    /// Timer `handshake`: how long it may take.
    pub handshake_timeout: Duration,
    /// Timer `answer`: how long the answer to a command may take.
    pub answer_timeout: Duration,
    /// Timer `silence`: how long the server may send nothing at all while a stream is played.
    pub silence_timeout: Duration,
    /// Timer `finish`: how long the server may take to confirm that publishing is over.
    pub finish_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            software: "FMLE/3.0 (compatible; weir)".to_owned(),
            authorization: None,
            handshake: Form::Digest,
            chunk_bytes: FAN_OUT_CHUNK_BYTES,
            limits: chunk::Limits::default(),
            handshake_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(10),
            silence_timeout: Duration::from_secs(20),
            finish_timeout: Duration::from_secs(1),
        }
    }
}

/// What a client wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Publish a live stream.
    Publish,
    /// Play a stream, live or recorded.
    Play,
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
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send these bytes: whole messages. Packed frames may go before or after them, not between.
    Send(Bytes),
    /// Something for the driver.
    Event(Event),
    /// A message of sound or picture of the stream that is played.
    Media(Message),
    /// Send what is left, then close. Nothing follows.
    Close,
    /// Nothing more for now; call again with [`Input::Timer`] at this time, if any.
    Timeout(Option<Instant>),
}

/// Something for the driver.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The server takes the stream: frames may be sent.
    Publishing {
        /// The message stream that they go on.
        stream: StreamId,
        /// The size of the chunks.
        chunk_bytes: u32,
        /// The codecs of Enhanced RTMP that the server names; empty where it names none, `*` for
        /// all.
        codecs: Vec<String>,
    },
    /// The server plays the stream.
    Playing,
    /// What the server says of the stream.
    Metadata(Value),
    /// Other data of the stream: texts, cue points.
    Data {
        /// When, in milliseconds modulo 2^32.
        time_ms: u32,
        /// What it is.
        name: String,
        /// What it says.
        values: Vec<Value>,
    },
    /// The server says something about the stream that nothing here depends on.
    Status(Status),
    /// The server asks for a new connection, to this address where it names one, and is to close
    /// this one (Enhanced RTMP, NetConnection.Connect.ReconnectRequest).
    Reconnect {
        /// The address.
        address: Option<String>,
    },
    /// The stream is over, as it should be: the server's stream ended, or ours was finished.
    /// [`Output::Close`] follows.
    Ended,
    /// It failed. [`Output::Close`] follows.
    Failed(Failure),
}

#[cfg(test)]
mod tests;
