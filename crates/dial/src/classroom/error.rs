//! Why a movie cannot be had.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use weir_proto::classroom::client::{self, Failure};
use weir_proto::rtsp::url;

/// Why a movie cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be read.
    #[error("this is no address of RTSP: expected rtsp://HOST[:PORT]/NAME")]
    Url {
        /// Why. Its text may hold a password.
        source: url::Error,
    },
    /// The dialect has no TLS.
    #[error("rtsps (RTSP over TLS) is not spoken; try rtsp://")]
    Secure,
    /// The movie's name cannot be asked for.
    #[error(transparent)]
    Name(#[from] client::Error),
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
    /// A UDP port for media cannot be had.
    #[error("cannot have a UDP port for media: {source}")]
    Port {
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
}
