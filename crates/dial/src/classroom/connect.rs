//! From an address to a connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use weir_net::{Host, TcpOptions, TcpStream, timeout};
use weir_proto::rtsp::url::{ControlPath, Url};

use super::Error;

/// A server and the name of a movie there.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) url: Url,
    pub(super) name: String,
}

impl Place {
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let url = Url::parse(url).map_err(|source| Error::Url { source })?;
        if url.secure {
            return Err(Error::Secure);
        }
        let url = url.without_userinfo();
        let path = ControlPath::parse(&url.to_string()).map_err(|source| Error::Url { source })?;
        Ok(Place { url, name: path.stream })
    }

    /// Connects to the first of the host's addresses that answers; each may take `limit`.
    pub(super) async fn connect(&self, host: &Host, limit: Duration) -> Result<TcpStream, Error> {
        let name = || self.url.host.clone();
        let resolved = timeout(host, limit, host.resolve(&self.url.host)).await;
        let addresses = resolved
            .unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|source| Error::Resolve { host: name(), source: source.into() })?;
        let source = io::Error::from(io::ErrorKind::NotFound).into();
        let mut failed = Error::Resolve { host: name(), source };
        let options = TcpOptions { no_delay: true, ..TcpOptions::default() };
        for address in addresses {
            let peer = SocketAddr::new(address, self.url.port_or_default());
            let connected = timeout(host, limit, host.tcp_connect(peer, &options)).await;
            match connected.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => return Ok(stream),
                Err(source) => failed = Error::Connect { peer, source: source.into() },
            }
        }
        Err(failed)
    }
}
