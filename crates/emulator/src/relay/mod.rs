//! Relays: real UDP and TCP taken through emulated links, with no privileges.
//!
//! A relay listens at one address and sends on to another. UDP goes over the link datagram by
//! datagram. TCP is ended on both sides, and between them the bytes go over the link in segments
//! of the user-space TCP ([`weir_proto::tcp`]), so that loss and queueing act on real segments
//! with real retransmission; the connections at both sides hold little, so that whoever sends too
//! fast soon waits. RTSP is TCP whose messages are read, so that media by UDP finds its way over
//! the same link.
//!
//! All relays of a run share one thread. [`Relays::bind`] opens the sockets, so that everything
//! that can be refused is refused first; [`Relays::start`] starts the thread.

mod batch;
mod driver;
mod end;
mod leg;
mod media;
mod packet;
mod slab;
mod socket;
mod tcp;
mod token;
mod udp;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use weir_proto::tcp::CongestionControl;
use weir_time::Instant;

pub use driver::{Ended, Running};
pub use packet::Packet;

use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::links::{LinkIndex, Links};
use crate::wait::Waiter;
use tcp::Tcp;
use udp::Udp;

/// What a relay carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Datagrams.
    Udp,
    /// Connections, whatever they say.
    Tcp,
    /// Connections of RTSP, and their media by UDP.
    Rtsp,
}

/// One relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relay {
    /// What it carries.
    pub kind: Kind,
    /// Where clients send or connect to; port 0 takes any free one. `[::]` takes IPv4 too, and is
    /// all of IPv4 where there is no IPv6.
    pub listen: SocketAddr,
    /// Where it sends on or connects to.
    pub target: SocketAddr,
    /// The link that it goes over: up is from the client to the target.
    pub link: LinkIndex,
}

/// How relays behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How the user-space TCP avoids congestion.
    pub congestion_control: CongestionControl,
    /// The time-out `idle`: how long nothing goes between a client and the target by UDP before
    /// both are forgotten.
    pub udp_idle_max: Duration,
    /// Clients by UDP at once, over all relays.
    pub udp_flows_max: usize,
    /// Connections at once, over all relays.
    pub tcp_flows_max: usize,
    /// How long the driver spins before a packet is due, so that it is not late. Where many
    /// packets come it does not spin at all.
    pub spin_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            congestion_control: CongestionControl::Cubic,
            udp_idle_max: Duration::from_secs(60),
            udp_flows_max: 4096,
            tcp_flows_max: 1024,
            spin_max: Duration::from_micros(50),
        }
    }
}

/// Why relays cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A port is taken.
    #[error(
        "cannot listen on {protocol} {listen}: another program has this port; choose another, or 0 for any free one"
    )]
    InUse {
        /// `UDP` or `TCP`.
        protocol: &'static str,
        /// The address.
        listen: SocketAddr,
    },
    /// The system wants privileges for this port.
    #[error(
        "cannot listen on {protocol} {listen}: this port needs privileges; choose one from 1024 up"
    )]
    NotAllowed {
        /// `UDP` or `TCP`.
        protocol: &'static str,
        /// The address.
        listen: SocketAddr,
    },
    /// The address is none of this machine's.
    #[error(
        "cannot listen on {protocol} {listen}: this machine has no such address; a port alone is all of them"
    )]
    NoSuchAddress {
        /// `UDP` or `TCP`.
        protocol: &'static str,
        /// The address.
        listen: SocketAddr,
    },
    /// A relay would send to itself.
    #[error("the relay on {listen} would send to itself: the target must be another port")]
    Circle {
        /// The address.
        listen: SocketAddr,
    },
    /// A relay goes over a link that is not there.
    #[error("the relay on {listen} goes over link {}, and there are {links}", .link.0)]
    NoSuchLink {
        /// The relay's address.
        listen: SocketAddr,
        /// The link.
        link: LinkIndex,
        /// How many there are.
        links: usize,
    },
    /// The system refused something else.
    #[error("{what}: {source}")]
    System {
        /// What was asked of it.
        what: String,
        /// What it said.
        source: io::Error,
    },
}

/// What went through relays, over all links. What the links dropped is in their own counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Totals {
    /// Datagrams that came.
    pub datagrams_received: u64,
    /// Datagrams sent on.
    pub datagrams_sent: u64,
    /// Datagrams that the system dropped before they could be read: this program was too slow.
    pub dropped_receiving: u64,
    /// Datagrams that the system did not take: its buffers were full, or nothing can be sent to
    /// the target.
    pub dropped_sending: u64,
    /// Datagrams of no flow: from strangers, or of a flow that was closed meanwhile.
    pub dropped_no_flow: u64,
    /// Segments dropped because corruption made their checksum wrong.
    pub segments_damaged: u64,
    /// Clients by UDP and connections by TCP.
    pub flows_opened: u64,
    /// Clients turned away: too many at once, or no more sockets to be had.
    pub flows_refused: u64,
    /// Connections that the target did not take.
    pub targets_refused: u64,
}

/// Relays whose sockets are open.
pub struct Relays {
    settings: Settings,
    bound: Vec<Bound>,
}

struct Bound {
    relay: Relay,
    socket: Socket,
    local: SocketAddr,
}

enum Socket {
    Udp(UdpSocket),
    Tcp(TcpListener),
}

impl Relays {
    /// Opens the sockets of all relays.
    pub fn bind(settings: Settings, relays: &[Relay]) -> Result<Relays, Error> {
        let bound = relays.iter().map(bind).collect::<Result<_, _>>()?;
        Ok(Relays { settings, bound })
    }

    /// Where each relay listens, in their order, with the ports that the system has chosen.
    pub fn listening(&self) -> Vec<SocketAddr> {
        self.bound.iter().map(|bound| bound.local).collect()
    }

    /// Starts the driver's thread. `seed` decides the first sequence numbers of the user-space
    /// TCP; what befalls packets follows from that of `links`.
    pub fn start(
        self,
        clock: Clock,
        seed: u64,
        links: Links<Packet>,
        inbox: Inbox,
    ) -> Result<Running, Error> {
        let count = links.status().len();
        for Bound { relay, local, .. } in &self.bound {
            if relay.link.0 >= count {
                let (listen, link) = (*local, relay.link);
                return Err(Error::NoSuchLink { listen, link, links: count });
            }
        }
        driver::start(self, clock, seed, links, inbox)
            .map_err(|source| Error::System { what: "cannot start the relay".to_owned(), source })
    }
}

impl Kind {
    /// The transport that it is relayed over.
    pub fn protocol(self) -> &'static str {
        match self {
            Kind::Udp => "UDP",
            Kind::Tcp | Kind::Rtsp => "TCP",
        }
    }
}

fn bind(relay: &Relay) -> Result<Bound, Error> {
    let Relay { kind, listen, target, .. } = *relay;
    let circle = target.port() == listen.port()
        && (target.ip() == listen.ip()
            || listen.ip().is_unspecified() && target.ip().to_canonical().is_loopback());
    if circle {
        return Err(Error::Circle { listen });
    }
    let open = |listen: SocketAddr| match kind {
        Kind::Udp => socket::udp_bound(listen).map(Socket::Udp),
        Kind::Tcp | Kind::Rtsp => socket::tcp_listening(listen).map(Socket::Tcp),
    };
    let v6_is_missing = |error: &io::Error| {
        let code = error.raw_os_error();
        listen.is_ipv6()
            && listen.ip().is_unspecified()
            && matches!(code, Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
    };
    let opened = match open(listen) {
        Err(error) if v6_is_missing(&error) => {
            open(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), listen.port()))
        }
        opened => opened,
    };
    let protocol = kind.protocol();
    let socket = opened.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Error::InUse { protocol, listen },
        io::ErrorKind::PermissionDenied => Error::NotAllowed { protocol, listen },
        io::ErrorKind::AddrNotAvailable => Error::NoSuchAddress { protocol, listen },
        _ => Error::System { what: format!("cannot listen on {protocol} {listen}"), source },
    })?;
    let local = match &socket {
        Socket::Udp(socket) => socket.local_addr(),
        Socket::Tcp(socket) => socket.local_addr(),
    };
    let local = local
        .map_err(|source| Error::System { what: format!("{protocol} {listen} is gone"), source })?;
    Ok(Bound { relay: *relay, socket, local })
}

/// What the parts of a driver lend each other.
struct Context<'a> {
    clock: &'a Clock,
    waiter: &'a Waiter,
    links: &'a mut Links<Packet>,
    totals: &'a mut Totals,
    now: Instant,
    /// The latest time at which a datagram was offered: offers do not go back.
    offered_at: Instant,
}

/// What a TCP holds of a local program's bytes before it has sent them: with the system's own
/// buffers less than 64 KB for each connection and way.
const NOT_SENT_BYTES_MAX: usize = 16 << 10;
/// The time-out `half open`: how long one end of a connection may live on without the other.
const HALF_OPEN_MAX: Duration = Duration::from_secs(60);
