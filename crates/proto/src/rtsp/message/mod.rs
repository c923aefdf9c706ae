//! Requests, responses and interleaved frames (RFC 2326 sections 4 to 7 and 10.12).

mod decode;
mod encode;
mod fields;

use bytes::Bytes;

use super::Status;

pub use decode::{
    BODY_BYTES_MAX, Decoder, Error, HEAD_BYTES_MAX, LINE_BYTES_MAX, SKIPPED_BYTES_MAX, Tolerance,
};
pub use encode::interleave;
pub use fields::{Fields, MAX_FIELDS};

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// The address as it was sent: absolute, `*`, or (against RFC 2326) a path alone.
    pub uri: String,
    /// The version in the request line.
    pub version: Version,
    /// The header fields in their order.
    pub fields: Fields,
    /// The body; empty where there is none.
    pub body: Bytes,
}

impl Request {
    /// A request of version 1.0 with no header fields and no body.
    pub fn new(method: Method, uri: impl Into<String>) -> Self {
        Request {
            method,
            uri: uri.into(),
            version: Version::V1_0,
            fields: Fields::default(),
            body: Bytes::new(),
        }
    }
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The version in the status line.
    pub version: Version,
    /// The status code.
    pub status: Status,
    /// The text behind the code, for people.
    pub reason: String,
    /// The header fields in their order.
    pub fields: Fields,
    /// The body; empty where there is none.
    pub body: Bytes,
}

impl Response {
    /// A response of version 1.0 with the code's own phrase, no header fields and no body.
    pub fn new(status: Status) -> Self {
        Response {
            version: Version::V1_0,
            status,
            reason: status.phrase().to_owned(),
            fields: Fields::default(),
            body: Bytes::new(),
        }
    }
}

/// What a byte stream holds next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
    /// A frame between the messages (RFC 2326 section 10.12).
    Interleaved {
        /// The channel that SETUP bound to a track's RTP or RTCP.
        channel: u8,
        /// One RTP or RTCP packet: a slice of what was received.
        data: Bytes,
    },
}

/// The version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Before the point.
    pub major: u8,
    /// Behind the point.
    pub minor: u8,
}

impl Version {
    /// RTSP/1.0 (RFC 2326).
    pub const V1_0: Version = Version { major: 1, minor: 0 };
}

/// A method (RFC 2326 section 10). Names are case-sensitive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// Which methods are there.
    Options,
    /// What a stream is made of.
    Describe,
    /// A publisher describes, or a server describes anew.
    Announce,
    /// How one track is carried.
    Setup,
    /// Start, or go on elsewhere.
    Play,
    /// Stop for now.
    Pause,
    /// Stop and forget.
    Teardown,
    /// Read parameters; without a body a sign of life.
    GetParameter,
    /// Write parameters.
    SetParameter,
    /// A server sends a client elsewhere.
    Redirect,
    /// A publisher starts to send.
    Record,
    /// Any other token.
    Other(String),
}

impl Method {
    /// The method of a token.
    pub fn from_token(token: &str) -> Self {
        match KNOWN.iter().find(|(_, name)| *name == token) {
            Some((method, _)) => method.clone(),
            None => Method::Other(token.to_owned()),
        }
    }

    /// The token.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Other(token) => token,
            known => KNOWN.iter().find(|(method, _)| method == known).map_or("", |(_, name)| *name),
        }
    }
}

impl core::fmt::Display for Method {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

const KNOWN: [(Method, &str); 11] = [
    (Method::Options, "OPTIONS"),
    (Method::Describe, "DESCRIBE"),
    (Method::Announce, "ANNOUNCE"),
    (Method::Setup, "SETUP"),
    (Method::Play, "PLAY"),
    (Method::Pause, "PAUSE"),
    (Method::Teardown, "TEARDOWN"),
    (Method::GetParameter, "GET_PARAMETER"),
    (Method::SetParameter, "SET_PARAMETER"),
    (Method::Redirect, "REDIRECT"),
    (Method::Record, "RECORD"),
];

#[cfg(test)]
mod tests;
