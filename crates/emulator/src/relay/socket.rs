//! Sockets as the relays need them, and addresses as the system takes them.

use std::io;
use std::mem::size_of;
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener, TcpStream,
    UdpSocket,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// An address as the system takes it.
#[derive(Clone, Copy)]
pub(super) struct RawAddress {
    pub(super) storage: libc::sockaddr_storage,
    pub(super) len: libc::socklen_t,
}

impl RawAddress {
    pub(super) fn empty() -> Self {
        // SAFETY: all zeroes is a valid sockaddr_storage.
        let storage = unsafe { std::mem::zeroed() };
        RawAddress { storage, len: size_of::<libc::sockaddr_storage>() as libc::socklen_t }
    }

    pub(super) fn new(address: SocketAddr) -> Self {
        let mut raw = RawAddress::empty();
        match address {
            SocketAddr::V4(address) => {
                let v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: address.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
                    sin_zero: [0; 8],
                };
                // SAFETY: a sockaddr_storage has room and alignment for every kind of address.
                unsafe {
                    std::ptr::from_mut(&mut raw.storage).cast::<libc::sockaddr_in>().write(v4)
                };
                raw.len = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            }
            SocketAddr::V6(address) => {
                let v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: address.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                    sin6_scope_id: address.scope_id(),
                };
                // SAFETY: as above.
                unsafe {
                    std::ptr::from_mut(&mut raw.storage).cast::<libc::sockaddr_in6>().write(v6);
                }
                raw.len = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            }
        }
        raw
    }

    /// The address; `None` where it is of no internet family.
    pub(super) fn get(&self) -> Option<SocketAddr> {
        match i32::from(self.storage.ss_family) {
            libc::AF_INET => {
                // SAFETY: the family says what the storage holds.
                let v4 =
                    unsafe { std::ptr::from_ref(&self.storage).cast::<libc::sockaddr_in>().read() };
                let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
                Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 => {
                // SAFETY: the family says what the storage holds.
                let v6 = unsafe {
                    std::ptr::from_ref(&self.storage).cast::<libc::sockaddr_in6>().read()
                };
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

/// The form of `to` that a socket bound to `local` takes: one of IPv6 wants IPv4 mapped.
pub(super) fn fitting(local: SocketAddr, to: SocketAddr) -> SocketAddr {
    match (local, to) {
        (SocketAddr::V6(_), SocketAddr::V4(v4)) => {
            SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
        }
        _ => to,
    }
}

/// The address without the mapping of IPv4 into IPv6.
pub(super) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Any port of the family of `like`.
pub(super) fn any_port(like: IpAddr) -> SocketAddr {
    match like {
        IpAddr::V4(_) => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
        IpAddr::V6(_) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
    }
}

/// A UDP socket for relaying: never blocks, tells arrival times, merged datagrams and drops.
pub(super) fn udp_bound(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(local)?;
    socket.set_nonblocking(true)?;
    let fd = socket.as_fd();
    for (forced, name) in
        [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)]
    {
        // Only root may pass the system's bound; what is too much for it is cut by the system.
        if set_option(fd, libc::SOL_SOCKET, forced, UDP_BUFFER_BYTES).is_err() {
            set_option(fd, libc::SOL_SOCKET, name, UDP_BUFFER_BYTES)?;
        }
    }
    // All three are improvements: without them datagrams come one by one, are stamped when they
    // are read, and what the system dropped is not known.
    let _ = set_option(fd, libc::IPPROTO_UDP, UDP_GRO, 1);
    let _ = set_option(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1);
    let _ = set_option(fd, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1);
    Ok(socket)
}

/// A listener whose connections hold little.
pub(super) fn tcp_listening(local: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(local)?;
    listener.set_nonblocking(true)?;
    hold_little(listener.as_fd())?;
    Ok(listener)
}

/// Begins to connect; the socket is writable once that has succeeded or failed.
pub(super) fn tcp_connecting(target: SocketAddr) -> io::Result<TcpStream> {
    let family = if target.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers; a result of 0 or more is a new descriptor of our own.
    let fd = unsafe {
        let fd = libc::socket(family, kind, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    hold_little(fd.as_fd())?;
    let stream = TcpStream::from(fd);
    stream.set_nodelay(true)?;
    let raw = RawAddress::new(target);
    // SAFETY: the address lives over the call and is as long as said.
    let result = unsafe {
        libc::connect(stream.as_raw_fd(), std::ptr::from_ref(&raw.storage).cast(), raw.len)
    };
    if result == 0 {
        return Ok(stream);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EINPROGRESS | libc::EINTR) => Ok(stream),
        _ => Err(error),
    }
}

/// Keeps what a connection's own buffers hold small, so that who writes too fast soon waits.
fn hold_little(fd: BorrowedFd<'_>) -> io::Result<()> {
    set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, LEG_RECEIVE_BYTES)?;
    set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, LEG_SEND_BYTES)?;
    // Segments as large as the loopback device's are larger than half of the buffer, and would
    // wait for each other.
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_MAXSEG, LEG_SEGMENT_BYTES)?;
    // No pacing on the way to a neighbour; a system without CUBIC keeps what it has.
    let _ = set_congestion_control(fd, b"cubic");
    Ok(())
}

fn set_congestion_control(fd: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    // SAFETY: the name lives over the call and is as long as said.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_CONGESTION,
            name.as_ptr().cast(),
            name.len() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets the connection end by a reset once it is closed.
pub(super) fn reset_on_close(stream: &TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: the value lives over the call and is as long as said. One that is gone needs no reset.
    unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            std::ptr::from_ref(&linger).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        );
    }
}

/// Bytes that came and were not read, and bytes written that the peer has not acknowledged.
pub(super) fn held_bytes(stream: &TcpStream) -> (u64, u64) {
    let ask = |request: libc::c_ulong| {
        let mut bytes: libc::c_int = 0;
        // SAFETY: both requests write one int.
        let result = unsafe {
            libc::ioctl(stream.as_raw_fd(), request as _, std::ptr::from_mut(&mut bytes))
        };
        if result == 0 { u64::try_from(bytes).unwrap_or(0) } else { 0 }
    };
    // SIOCINQ and SIOCOUTQ have the numbers of the terminal's requests.
    (ask(libc::FIONREAD as libc::c_ulong), ask(libc::TIOCOUTQ as libc::c_ulong))
}

pub(super) fn set_option(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the value lives over the call and is as long as said.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(&value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// From linux/udp.h.
pub(super) const UDP_SEGMENT: libc::c_int = 103;
pub(super) const UDP_GRO: libc::c_int = 104;

/// What bursts and a driver that is late may take.
const UDP_BUFFER_BYTES: libc::c_int = 4 << 20;
/// The system doubles both for its own book-keeping; about half of that is payload.
const LEG_RECEIVE_BYTES: libc::c_int = 24 << 10;
const LEG_SEND_BYTES: libc::c_int = 16 << 10;
const LEG_SEGMENT_BYTES: libc::c_int = 1448;
