//! Why a stream cannot be had.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use weir_proto::rtsp::client::{Cause, Failure};
use weir_proto::rtsp::{Status, message, url};
use weir_proto::sdp;

/// Why a stream cannot be had. Messages name this side's address and the server's, so that the
/// connection can be found in a capture.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be read.
    #[error("{url:?} is no address of RTSP: expected rtsp://HOST[:PORT]/NAME")]
    Url {
        /// The address, without what may be a password.
        url: String,
        /// Why. Its text may hold a password.
        source: url::Error,
    },
    /// RTSP over TLS is not spoken.
    #[error("{url}: rtsps (RTSP over TLS) is not spoken; try rtsp://")]
    Secure {
        /// The address.
        url: String,
    },
    /// The host's name is not known.
    #[error("cannot find the host {host}: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// No TCP connection can be had.
    #[error("cannot connect to {peer}: {source}")]
    Connect {
        /// The address that was tried last.
        peer: SocketAddr,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// UDP ports for media cannot be had.
    #[error("cannot have UDP ports for media: {source}")]
    Ports {
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// A request failed.
    #[error("{local} to {peer}: {failure}")]
    Request {
        /// This side's address.
        local: SocketAddr,
        /// The server's address.
        peer: SocketAddr,
        /// Which request, and why.
        failure: Box<Failure>,
    },
    /// The place to start from is not in the stream.
    #[error("{local} to {peer}: {failure}: asked for {} s, and the stream lasts {} s",
        asked.as_secs_f64(), lasts.as_secs_f64())]
    OutOfRange {
        /// This side's address.
        local: SocketAddr,
        /// The server's address.
        peer: SocketAddr,
        /// The server's answer.
        failure: Box<Failure>,
        /// The place that was asked for.
        asked: Duration,
        /// Where the stream ends, by its description.
        lasts: Duration,
    },
    /// The server's bytes are no RTSP.
    #[error("{local} to {peer}: what the server sends cannot be read: {source}")]
    Unreadable {
        /// This side's address.
        local: SocketAddr,
        /// The server's address.
        peer: SocketAddr,
        /// Where in the stream, what was expected and what came.
        source: message::Error,
    },
    /// The server closed before it played.
    #[error("{local} to {peer}: the server closed the connection{}", detail(error.as_deref()))]
    Closed {
        /// This side's address.
        local: SocketAddr,
        /// The server's address.
        peer: SocketAddr,
        /// What the system says, if it was no orderly end.
        error: Option<String>,
    },
    /// The description cannot be read.
    #[error("{peer}: the stream's description cannot be read: {source}")]
    Description {
        /// The server's address.
        peer: SocketAddr,
        /// Why.
        source: sdp::Error,
    },
    /// No track can be played.
    #[error("{peer}: none of the stream's tracks can be played: {tracks}")]
    NoTrack {
        /// The server's address.
        peer: SocketAddr,
        /// Each track and why.
        tracks: String,
    },
    /// The server sends from one place to the next.
    #[error("{url}: redirected more than {} times", super::REDIRECTS_MAX)]
    Redirects {
        /// The last place.
        url: String,
    },
}

fn detail(error: Option<&str>) -> String {
    error.map_or_else(String::new, |error| format!(" ({error})"))
}

impl Error {
    /// The status with which the server refused a request, if that is what failed.
    pub fn status(&self) -> Option<Status> {
        match self {
            Error::Request { failure, .. } | Error::OutOfRange { failure, .. } => {
                match &failure.cause {
                    Cause::Status { status, .. } => Some(*status),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}
