//! The classroom dialect of RTSP: what the assignments of networking courses speak.
//!
//! It looks like RTSP 1.0 and is not: lines end in LF, no blank line ends a message, sessions are
//! plain numbers, and an image travels as one datagram. There are two spellings of requests, and
//! both are read here: the one that the assignments hand out,
//!
//! ```text
//! SETUP movie.Mjpeg RTSP/1.0                      PLAY movie.Mjpeg RTSP/1.0
//! CSeq: 1                                         CSeq: 2
//! Transport: RTP/UDP; client_port= 25000          Session: 123456
//! ```
//!
//! and one of students' own, which names the movie once and the session never:
//!
//! ```text
//! SETUP movie.mjpeg                               PLAY
//! 1                                               2
//!  RTSP/1.0 RTP/UDP 5008
//! ```
//!
//! PAUSE and TEARDOWN look like PLAY. A reply is always three lines: `RTSP/1.0 200 OK`,
//! `CSeq: 1`, `Session: 123456`.
//!
//! [`looks_classroom`] tells the dialect from real RTSP by the first bytes of a connection;
//! [`request::Decoder`] and [`reply::Decoder`] cut the two directions into messages;
//! [`server::Connection`] and [`client::Connection`] hold the rules; [`pack`] makes frames into
//! datagrams. None of them owns a socket or a clock.
//!
//! # Media
//! RTP (RFC 3550) version 2 without padding, extension or contributing sources; the marker is 0
//! and the payload type 26. The sequence number is the frame's number from 1, the payload a whole
//! JPEG file without the header of RFC 2435. One frame is due each [`FRAME_INTERVAL`]. The time
//! stamp is the time of day in whole seconds, so it says nothing about jitter: that is judged from
//! arrivals against the interval. There is no RTCP, and no end of the stream but silence.

pub mod client;
#[doc(hidden)]
pub mod fuzz;
mod jitter;
mod looks;
pub mod pack;
pub mod reply;
pub mod request;
pub mod server;
mod text;

use core::fmt;
use core::time::Duration;

pub use jitter::Jitter;
pub use looks::{Looks, looks_classroom};

/// Between two frames.
pub const FRAME_INTERVAL: Duration = Duration::from_millis(50);
/// The RTP payload type (RFC 3551 section 6).
pub const PAYLOAD_TYPE: u8 = 26;
/// The timer `silence`: what has come of a message is taken for all of it after so long.
pub const SILENCE: Duration = Duration::from_millis(50);
/// The timer `unfinished`: how long a message may lack what it must have.
pub const UNFINISHED_MAX: Duration = Duration::from_secs(1);

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// Names the movie and the port that its frames are to go to.
    Setup,
    /// Begins, or goes on behind a pause.
    Play,
    /// Stops for now.
    Pause,
    /// Ends the session.
    Teardown,
}

impl Method {
    /// All of them.
    pub const ALL: [Method; 4] = [Method::Setup, Method::Play, Method::Pause, Method::Teardown];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Setup => "SETUP",
            Method::Play => "PLAY",
            Method::Pause => "PAUSE",
            Method::Teardown => "TEARDOWN",
        }
    }

    fn from_word(word: &[u8]) -> Option<Method> {
        Method::ALL.into_iter().find(|method| method.as_str().as_bytes() == word)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a request is spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spelling {
    /// As the assignments hand it out.
    Handout,
    /// As some students do.
    Student,
}

#[cfg(test)]
mod tests;
