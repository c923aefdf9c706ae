//! The classroom dialect of RTSP: from an address to a stream of images.
//!
//! A [`Client`] connects, sets the movie up and plays, all by itself, in the handout's spelling;
//! whoever drives it calls [`Client::next`] and reads what happened. [`detect`] asks a server
//! which dialect it speaks.
//!
//! ```
//! use weir_dial::classroom::{Client, Event, Settings};
//! use weir_net::sim::World;
//!
//! let world = World::new(1);
//! let host = world.host("viewer");
//! let failed = world.run(async move {
//!     let mut client = Client::new(&host, Settings::new("rtsp://nobody/movie.Mjpeg")).unwrap();
//!     while let Some(happened) = client.next(None).await {
//!         if let Event::Failed(error) = happened.event {
//!             return error.to_string();
//!         }
//!     }
//!     String::new()
//! });
//! assert_eq!(failed.as_deref(), Some("cannot find the host nobody: no host of this name"));
//! ```

mod client;
mod connect;
mod detect;
mod error;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use weir_proto::classroom::Method;
use weir_time::Instant;

pub use client::Client;
pub use detect::{Dialect, detect};
pub use error::Error;

/// What is asked of a client.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server and the movie: `rtsp://HOST[:PORT]/NAME`.
    pub url: String,
    /// The receive buffer of the UDP port, so large that this side loses nothing.
    pub receive_buffer_bytes: u32,
    /// How long the name lookup and the TCP handshake may take, for each address.
    pub connect_timeout: Duration,
    /// How long a reply may take. Servers of the dialect often leave errors unanswered.
    pub request_timeout: Duration,
}

impl Settings {
    /// The movie at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Settings {
            url: url.into(),
            receive_buffer_bytes: 4 << 20,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(5),
        }
    }
}

/// Something that happened, and when.
#[derive(Clone, Debug)]
pub struct Happened {
    /// When. For an image: when it reached this machine, by the system's own stamp.
    pub at: Instant,
    /// What.
    pub event: Event,
}

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The client starts to connect.
    Connecting {
        /// The address, without name and password.
        url: String,
    },
    /// TCP's handshake is over.
    Connected {
        /// The server.
        peer: SocketAddr,
    },
    /// The server answered a request.
    Response {
        /// What was asked.
        method: Method,
        /// The answer's status code.
        status: u16,
        /// From the request to the answer.
        round_trip: Duration,
    },
    /// The server plays.
    Playing,
    /// The server has paused. Images that are under way may still come.
    Paused,
    /// A datagram came from the server: an RTP packet, with a whole image.
    Rtp {
        /// The packet.
        data: Bytes,
    },
    /// Something is odd, and the client goes on.
    Warning(String),
    /// The session has ended as [`Client::teardown`] asked, whether the server said so or not.
    TornDown {
        /// Whether it did.
        answered: bool,
    },
    /// The server has closed the connection. Images may still come.
    Closed {
        /// What the system says, if it was no orderly end.
        error: Option<String>,
    },
    /// It cannot go on. Nothing follows.
    Failed(Error),
}
