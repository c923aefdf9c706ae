//! What fails, where and why.

use core::time::Duration;

use crate::rtmp::command::Status;
use crate::rtmp::{chunk, handshake};

/// A connection that failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{step}: {cause}")]
pub struct Failure {
    /// What was under way.
    pub step: Step,
    /// Why it failed.
    pub cause: Cause,
}

/// The steps of a connection, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The handshake.
    Handshake,
    /// The command connect, to an application.
    Connect,
    /// The command createStream.
    CreateStream,
    /// The command publish, of a stream.
    Publish,
    /// The command play, of a stream.
    Play,
    /// The stream runs.
    Running,
    /// The stream is being ended from this side.
    Finish,
}

impl core::fmt::Display for Step {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Step::Handshake => "RTMP handshake",
            Step::Connect => "RTMP connect",
            Step::CreateStream => "RTMP createStream",
            Step::Publish => "RTMP publish",
            Step::Play => "RTMP play",
            Step::Running => "RTMP stream",
            Step::Finish => "RTMP deleteStream",
        })
    }
}

/// Why a connection failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The server refused.
    #[error("the server answered {}{}", shown(.0), behind(&.0.description))]
    Refused(Status),
    /// The server sends the client elsewhere.
    #[error("the server sends clients to {address}")]
    Redirected {
        /// Where to.
        address: String,
    },
    /// The server wants credentials in a form of its own (`authmod`).
    #[error("the server wants credentials{}", behind(.description))]
    Credentials {
        /// How, in its own words.
        description: String,
    },
    /// The answer says yes, but not what it must.
    #[error("the answer names no stream")]
    NoStream,
    /// Nothing came in time.
    #[error("nothing came within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The connection ended first.
    #[error("the server closed the connection")]
    ConnectionLost,
    /// The server speaks something else.
    #[error(transparent)]
    Handshake(#[from] handshake::Error),
    /// The server's bytes cannot be read on.
    #[error(transparent)]
    Unreadable(#[from] chunk::Error),
}

fn shown(status: &Status) -> String {
    match status.code.as_str() {
        "" => "with an error".to_owned(),
        code => code.to_owned(),
    }
}

fn behind(description: &str) -> String {
    match description.trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}
