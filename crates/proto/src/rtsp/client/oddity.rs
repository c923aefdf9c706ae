//! What servers do wrong and a client can live with.

use core::fmt;

use super::connection::Connection;
use crate::rtsp::headers::Session;
use crate::rtsp::message::{Method, Response};

/// Something in a response that breaks RFC 2326, and that the client passes over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Oddity {
    /// A response has no CSeq (section 12.17), or one that is no number. It was taken for the
    /// answer to the only request that waited.
    NoCseq,
    /// A response has a CSeq that no request ever had. It was taken for the answer to the only
    /// request that waited.
    WrongCseq {
        /// The number of the request.
        expected: u32,
        /// The number of the response.
        got: u32,
    },
    /// A response has the CSeq of an earlier request, which is over. It was left out.
    OldCseq {
        /// The number of the request that waits.
        expected: u32,
        /// The number of the response.
        got: u32,
    },
    /// The response to a request within a session has no header Session (section 12.37).
    NoSession,
    /// The response to a request within a session names another one.
    OtherSession {
        /// The session of the request.
        expected: String,
        /// The session of the response.
        got: String,
    },
    /// The response to DESCRIBE is of another type than SDP, and was read as SDP.
    ContentType(String),
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Oddity::NoCseq => f.write_str("a response has no CSeq"),
            Oddity::WrongCseq { expected, got } => {
                write!(f, "a response has the CSeq {got}; its request had {expected}")
            }
            Oddity::OldCseq { expected, got } => write!(
                f,
                "a response came late, again or with the wrong CSeq: {got}, while {expected} waits"
            ),
            Oddity::NoSession => f.write_str("a response within the session has no header Session"),
            Oddity::OtherSession { expected, got } => {
                write!(f, "a response within the session {expected} names the session {got}")
            }
            Oddity::ContentType(got) => write!(
                f,
                "the description comes as Content-Type {got:?}; application/sdp was asked for"
            ),
        }
    }
}

/// Oddities that wait to be taken; more are left out, for a driver says each kind once.
const ODDITIES_MAX: usize = 16;

impl Connection {
    /// The next oddity of the responses so far: take them after polling. At most 16 wait; what
    /// finds no room is left out.
    pub fn take_oddity(&mut self) -> Option<(Method, Oddity)> {
        self.oddities.pop_front()
    }

    pub(super) fn note_oddity(&mut self, method: &Method, oddity: Oddity) {
        if self.oddities.len() < ODDITIES_MAX {
            self.oddities.push_back((method.clone(), oddity));
        }
    }

    /// Looks at the session that a response names, of a request that was sent within one.
    pub(super) fn check_session(&mut self, method: &Method, response: &Response) {
        // The answer to TEARDOWN ends the session: many servers name none there.
        let is_free =
            matches!(method, Method::Options | Method::Describe | Method::Setup | Method::Teardown);
        let Some(session) = self.session.as_ref().filter(|_| !is_free) else {
            return;
        };
        let oddity = match response.fields.get("Session") {
            None => Oddity::NoSession,
            Some(value) => match Session::parse(value) {
                Ok(named) if named.id == session.id => return,
                named => Oddity::OtherSession {
                    expected: session.id.clone(),
                    got: named.map_or_else(|_| value.to_owned(), |named| named.id),
                },
            },
        };
        self.note_oddity(method, oddity);
    }

    /// Looks at the type of a description.
    pub(super) fn check_content_type(&mut self, response: &Response) {
        let kind = response.fields.get("Content-Type").unwrap_or_default();
        let name = kind.split(';').next().unwrap_or_default().trim();
        if !name.eq_ignore_ascii_case("application/sdp") {
            self.note_oddity(&Method::Describe, Oddity::ContentType(kind.to_owned()));
        }
    }
}
