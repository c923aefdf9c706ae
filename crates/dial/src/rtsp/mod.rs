//! RTSP 1.0 (RFC 2326): from an address to a stream of packets.
//!
//! A [`Client`] connects, asks for the description, sets up the tracks and plays, all by itself;
//! whoever drives it calls [`Client::next`] and reads what happened. After `Playing` it can be
//! told to pause, to seek and to end.
//!
//! ```
//! use weir_dial::rtsp::{Client, Event, Settings};
//! use weir_net::sim::World;
//!
//! let world = World::new(1);
//! let host = world.host("viewer");
//! let failed = world.run(async move {
//!     let mut client = Client::new(&host, Settings::new("rtsp://nobody/movie")).unwrap();
//!     while let Some(happened) = client.next(None).await {
//!         if let Event::Failed(error) = happened.event {
//!             return error.to_string();
//!         }
//!     }
//!     String::new()
//! });
//! assert_eq!(failed.as_deref(), Some("cannot find the host nobody: no host of this name"));
//! ```

mod answers;
mod client;
mod control;
mod describe;
mod error;
mod oddities;
mod ports;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use weir_media::Kind;
use weir_proto::rtp::depack::Depacketiser;
use weir_proto::rtsp::message::Method;
use weir_time::Instant;

pub use client::Client;
pub use error::Error;

/// What is asked of a client.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The stream's address. A name and a password in it are sent once the server asks.
    pub url: String,
    /// How media shall travel.
    pub transport: Transport,
    /// The kinds of tracks that are wanted; `None` for all.
    pub kinds: Option<Vec<Kind>>,
    /// Where to start, in the movie's own time; `None` for where the server starts.
    pub from: Option<Duration>,
    /// The receive buffer of each UDP port, so large that this side loses nothing.
    pub receive_buffer_bytes: u32,
    /// How long the name lookup and the TCP handshake may take, for each address.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub request_timeout: Duration,
}

impl Settings {
    /// All tracks of the stream at `url` from its start, by whatever transport works.
    pub fn new(url: impl Into<String>) -> Self {
        Settings {
            url: url.into(),
            transport: Transport::Auto,
            kinds: None,
            from: None,
            receive_buffer_bytes: 4 << 20,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
        }
    }
}

/// How media shall travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// By UDP alone.
    Udp,
    /// Interleaved on the control connection alone.
    Tcp,
    /// By UDP, or interleaved where the server refuses UDP (461) or no packet comes within
    /// [`SILENCE_MAX`].
    #[default]
    Auto,
}

/// How media travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lower {
    /// By UDP.
    Udp,
    /// Interleaved on the control connection.
    Tcp,
}

impl Lower {
    /// As records name it: `udp` or `tcp`.
    pub fn name(self) -> &'static str {
        match self {
            Lower::Udp => "udp",
            Lower::Tcp => "tcp",
        }
    }
}

/// With [`Transport::Auto`], how long the first packet by UDP is waited for after PLAY.
pub const SILENCE_MAX: Duration = Duration::from_secs(3);
/// How often a server may send the client elsewhere.
pub const REDIRECTS_MAX: usize = 4;
/// The mean time between receiver reports (RFC 3550 section 6.2); each one is drawn from half to
/// one and a half of it.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Something that happened, and when.
#[derive(Clone, Debug)]
pub struct Happened {
    /// When. For a packet by UDP: when it reached this machine, by the system's own stamp.
    pub at: Instant,
    /// What.
    pub event: Event,
}

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The client starts to connect; again after a redirection, and where UDP does not work.
    Connecting {
        /// The address, without name and password.
        url: String,
        /// How media is to travel.
        lower: Lower,
    },
    /// TCP's handshake is over.
    Connected {
        /// The server.
        peer: SocketAddr,
    },
    /// The server answered a request.
    Response {
        /// The request's method.
        method: Method,
        /// The answer's status code.
        status: u16,
        /// From the request to the answer.
        round_trip: Duration,
    },
    /// The server described the stream.
    Described {
        /// Its tracks of picture and sound, whether they can be played or not.
        tracks: Vec<TrackDescription>,
    },
    /// Media by UDP did not work: the client goes on interleaved.
    FallingBack {
        /// Why, in words.
        why: String,
    },
    /// The server plays.
    Playing {
        /// How media travels.
        lower: Lower,
        /// Start of the range in the movie's own time, where the server says so.
        from: Option<Duration>,
        /// End of the range, where the server says so.
        to: Option<Duration>,
        /// Where the packets of each track that was set up start.
        tracks: Vec<TrackStart>,
    },
    /// The server has paused.
    Paused {
        /// The place in the movie's own time, where the server says so.
        position: Option<Duration>,
    },
    /// An RTP packet came.
    Rtp {
        /// Its track.
        track: u8,
        /// The packet.
        data: Bytes,
        /// Length of the IP packet; `None` where the transport hides it.
        ip_bytes: Option<u32>,
    },
    /// An RTCP compound packet came.
    Rtcp {
        /// The track on whose port or channel.
        track: u8,
        /// The packet.
        data: Bytes,
    },
    /// Receiver reports are due: see [`Client::report`].
    ReportDue,
    /// Something is odd, and the client goes on.
    Warning(String),
    /// The session has ended as [`Client::teardown`] asked.
    TornDown,
    /// The server has closed the connection. Packets by UDP may still come.
    Closed {
        /// What the system says, if it was no orderly end.
        error: Option<String>,
    },
    /// It cannot go on. Nothing follows.
    Failed(Error),
}

/// One track as the server describes it.
#[derive(Clone, Debug)]
pub struct TrackDescription {
    /// Its place in the description: 0 for the first.
    pub track: u8,
    /// Picture or sound.
    pub kind: Kind,
    /// The payload format's name, such as `H264`.
    pub encoding: String,
    /// Ticks a second of its RTP clock; 0 where the description does not say.
    pub clock_rate_hz: u32,
    /// Its RTP payload type.
    pub payload_type: u8,
    /// Its address, as it was sent.
    pub control: String,
    /// What makes frames of its packets, or why they cannot be read. Only tracks that can be
    /// read are set up.
    pub depacketiser: Result<Depacketiser, String>,
}

/// Where a track's packets start after a PLAY (RFC 2326 section 12.33).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackStart {
    /// The track.
    pub track: u8,
    /// Who sends, where SETUP said so.
    pub ssrc: Option<u32>,
    /// The sequence number of the first packet, where RTP-Info says so.
    pub first_seq: Option<u16>,
    /// The time stamp that stands for the start of the range, where RTP-Info says so.
    pub rtp_timestamp: Option<u32>,
}
