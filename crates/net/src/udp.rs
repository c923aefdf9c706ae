//! UDP in both worlds.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use weir_time::Instant;

use crate::host::Body;
use crate::{Host, os, sim};

/// What is asked of a UDP socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UdpOptions {
    /// Receive buffer, in bytes as the system counts them (SO_RCVBUF); `None` for its default.
    pub receive_buffer_bytes: Option<u32>,
    /// Send buffer, in bytes as the system counts them (SO_SNDBUF); `None` for its default.
    pub send_buffer_bytes: Option<u32>,
}

/// A UDP socket.
pub struct UdpSocket {
    pub(crate) body: SocketBody,
}

pub(crate) enum SocketBody {
    Os(os::UdpSocket),
    Sim(sim::UdpSocket),
}

/// A UDP socket that several threads of one program send from ([`Host::attach_udp`]).
#[derive(Clone, Debug)]
pub struct SharedUdp {
    body: SharedBody,
}

#[derive(Clone, Debug)]
enum SharedBody {
    Os(os::SharedUdp),
    Sim(sim::SharedUdp),
}

impl UdpSocket {
    pub(crate) fn os(socket: os::UdpSocket) -> Self {
        UdpSocket { body: SocketBody::Os(socket) }
    }

    pub(crate) fn sim(socket: sim::UdpSocket) -> Self {
        UdpSocket { body: SocketBody::Sim(socket) }
    }

    pub(crate) fn attach(host: &Host, shared: &SharedUdp) -> io::Result<Self> {
        match (&host.body, &shared.body) {
            (Body::Os(thread), SharedBody::Os(shared)) => {
                Ok(UdpSocket::os(os::UdpSocket::attach(thread, shared)))
            }
            (Body::Sim(node), SharedBody::Sim(shared)) => {
                Ok(UdpSocket::sim(node.attach_udp(shared)))
            }
            _ => Err(io::Error::other("a socket of the other world")),
        }
    }

    /// The same socket, for other threads to send from.
    pub fn share(&self) -> SharedUdp {
        match &self.body {
            SocketBody::Os(socket) => SharedUdp { body: SharedBody::Os(socket.share()) },
            SocketBody::Sim(socket) => SharedUdp { body: SharedBody::Sim(socket.share()) },
        }
    }

    /// The address that it is bound to.
    pub fn local_address(&self) -> SocketAddr {
        match &self.body {
            SocketBody::Os(socket) => socket.local_address(),
            SocketBody::Sim(socket) => socket.local_address(),
        }
    }

    /// Waits for datagrams and puts those of one arrival into `buffer`, in place of what it
    /// held. With segmentation offload a whole train arrives at once.
    ///
    /// # Errors
    /// What the system says; the socket stays usable.
    pub async fn receive(&self, buffer: &mut DatagramBuffer) -> io::Result<()> {
        match &self.body {
            SocketBody::Os(socket) => socket.receive(buffer).await,
            SocketBody::Sim(socket) => socket.receive(buffer).await,
        }
    }

    /// Sends one datagram now.
    ///
    /// # Errors
    /// `WouldBlock` when the system's queue is full; what else it says.
    pub fn try_send(&self, data: &[u8], to: SocketAddr) -> io::Result<()> {
        match &self.body {
            SocketBody::Os(socket) => socket.try_send(data, to),
            SocketBody::Sim(socket) => socket.try_send(data, to),
        }
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UdpSocket({})", self.local_address())
    }
}

/// One datagram that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub from: SocketAddr,
    /// When it reached this machine: by the system's own stamp where it gives one.
    pub at: Instant,
    /// Its payload.
    pub data: &'a [u8],
}

/// Holds what one [`UdpSocket::receive`] brought. Reused, it allocates once.
#[derive(Debug)]
pub struct DatagramBuffer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) len: usize,
    pub(crate) segment: usize,
    pub(crate) from: SocketAddr,
    pub(crate) at: Instant,
}

impl DatagramBuffer {
    /// An empty buffer, large enough for the largest train.
    pub fn new() -> Self {
        DatagramBuffer {
            bytes: vec![0; 65_536],
            len: 0,
            segment: 1,
            from: SocketAddr::from(([0, 0, 0, 0], 0)),
            at: Instant::ZERO,
        }
    }

    /// The datagrams in order.
    pub fn datagrams(&self) -> impl Iterator<Item = Datagram<'_>> {
        let empty = (self.len == 0).then_some(&[][..]);
        self.bytes[..self.len].chunks(self.segment.max(1)).chain(empty).map(|data| Datagram {
            from: self.from,
            at: self.at,
            data,
        })
    }
}

impl Default for DatagramBuffer {
    fn default() -> Self {
        DatagramBuffer::new()
    }
}
