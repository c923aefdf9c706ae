//! Packets on simulated links.

use std::net::SocketAddr;

use bytes::Bytes;
use weir_link::Dropped;
use weir_proto::tcp::Segment;
use weir_time::Instant;

/// One IP packet.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) body: Body,
    /// A link has changed a bit of it, so that its checksum is wrong.
    pub(crate) corrupt: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Udp(Bytes),
    Tcp(Segment),
}

/// IP and UDP headers: 20 and 8 bytes for IPv4.
const UDP_HEADERS_BYTES: usize = 28;

impl Packet {
    /// Its length as links count it, headers included.
    pub(crate) fn ip_bytes(&self) -> u32 {
        match &self.body {
            Body::Udp(data) => u32::try_from(UDP_HEADERS_BYTES + data.len()).unwrap_or(u32::MAX),
            Body::Tcp(segment) => segment.ip_bytes(),
        }
    }

    pub(crate) fn event(&self, at: Instant, fate: Fate) -> PacketEvent<'_> {
        PacketEvent {
            at,
            from: self.from,
            to: self.to,
            ip_bytes: self.ip_bytes(),
            datagram: match &self.body {
                Body::Udp(data) => Some(data),
                Body::Tcp(_) => None,
            },
            corrupt: self.corrupt,
            fate,
        }
    }
}

/// What became of a packet at a link, for whoever watches the world.
#[derive(Clone, Copy, Debug)]
pub struct PacketEvent<'a> {
    /// When: the time of delivery at the far end, or when the loss was certain.
    pub at: Instant,
    /// The sender's address.
    pub from: SocketAddr,
    /// The receiver's address.
    pub to: SocketAddr,
    /// Length of the IP packet in bytes.
    pub ip_bytes: u32,
    /// The datagram, for UDP.
    pub datagram: Option<&'a [u8]>,
    /// A bit of it is wrong: the host that it is for drops it.
    pub corrupt: bool,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a packet at a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has crossed the link.
    Delivered,
    /// The link dropped it.
    Dropped(Dropped),
}
