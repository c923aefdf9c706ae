//! The sockets of the way out.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A new socket of TCP or UDP, which never blocks.
pub(super) fn open(kind: i32) -> io::Result<OwnedFd> {
    open_protocol(kind, 0)
}

/// A new socket of ICMP.
pub(super) fn open_icmp(kind: i32) -> io::Result<OwnedFd> {
    open_protocol(kind, libc::IPPROTO_ICMP)
}

fn open_protocol(kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    let kind = kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers; a result of 0 or more is a new descriptor of our own.
    unsafe {
        let fd = libc::socket(libc::AF_INET, kind, protocol);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// A TCP socket that takes connections.
pub(super) fn listen(at: SocketAddrV4) -> io::Result<OwnedFd> {
    let socket = open(libc::SOCK_STREAM)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    bind(&socket, at)?;
    // SAFETY: the descriptor is open; no pointers.
    if unsafe { libc::listen(socket.as_raw_fd(), BACKLOG) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

/// Gives a socket its own address.
pub(super) fn bind(socket: &OwnedFd, at: SocketAddrV4) -> io::Result<()> {
    let address = encode(at);
    // SAFETY: the address is ours and as long as said.
    let result =
        unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), ADDRESS_BYTES) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Begins to connect: whether it worked shows when the socket is writable.
pub(super) fn connect(socket: &OwnedFd, to: SocketAddrV4) -> io::Result<()> {
    let address = encode(to);
    // SAFETY: the address is ours and as long as said.
    let result =
        unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), ADDRESS_BYTES) };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::EINPROGRESS) { Ok(()) } else { Err(error) }
}

/// The next connection: the socket, who connected, and to which address; `None` if nobody waits.
pub(super) fn accept(listener: &OwnedFd) -> Option<(OwnedFd, SocketAddrV4, SocketAddrV4)> {
    let mut address = empty();
    let mut length = ADDRESS_BYTES;
    // SAFETY: the address is ours and as long as said; the result is a new descriptor of our own.
    let socket = unsafe {
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        let place = (&raw mut address).cast();
        let fd = libc::accept4(listener.as_raw_fd(), place, &raw mut length, flags);
        if fd < 0 {
            return None;
        }
        OwnedFd::from_raw_fd(fd)
    };
    let peer = decode(&address)?;
    let mut own = empty();
    length = ADDRESS_BYTES;
    // SAFETY: as above.
    let result =
        unsafe { libc::getsockname(socket.as_raw_fd(), (&raw mut own).cast(), &raw mut length) };
    if result < 0 {
        return None;
    }
    Some((socket, peer, decode(&own)?))
}

/// What went wrong on a socket since this was last asked.
pub(super) fn take_error(socket: &OwnedFd) -> Option<io::Error> {
    let mut error = 0_i32;
    let mut length = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the value is ours and as long as said.
    let result = unsafe {
        let place = (&raw mut error).cast();
        let fd = socket.as_raw_fd();
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ERROR, place, &raw mut length)
    };
    match (result, error) {
        (0, 0) => None,
        (0, error) => Some(io::Error::from_raw_os_error(error)),
        _ => Some(io::Error::last_os_error()),
    }
}

/// Sets an option that is an int.
pub(super) fn set(socket: &OwnedFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    // SAFETY: the value is an int that lives until the call returns.
    let result = unsafe {
        let place = (&raw const value).cast();
        libc::setsockopt(socket.as_raw_fd(), level, option, place, size_of::<i32>() as u32)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets the peer see a reset once the socket is closed.
pub(super) fn close_with_reset(socket: OwnedFd) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: the value lives until the call returns.
    unsafe {
        let place = (&raw const linger).cast();
        let size = size_of::<libc::linger>() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, place, size);
    }
    drop(socket);
}

/// Ends one direction of a connection.
pub(super) fn finish(socket: &OwnedFd) {
    // SAFETY: the descriptor is open; no pointers.
    unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_WR) };
}

/// Reads what is there.
pub(super) fn read(socket: &OwnedFd, into: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is ours and as long as said.
    let count = unsafe { libc::read(socket.as_raw_fd(), into.as_mut_ptr().cast(), into.len()) };
    if count < 0 { Err(io::Error::last_os_error()) } else { Ok(count as usize) }
}

/// Writes as much as fits.
pub(super) fn write(socket: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the bytes are as many as said; a closed peer is an error and no signal.
    let count = unsafe {
        let fd = socket.as_raw_fd();
        libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL)
    };
    if count < 0 { Err(io::Error::last_os_error()) } else { Ok(count as usize) }
}

/// One datagram: its bytes, who sent it, and to which of our addresses (if the socket was told to
/// say: `IP_PKTINFO`, ip(7)).
pub(super) fn receive_from(
    socket: &OwnedFd,
    into: &mut [u8],
) -> io::Result<(usize, SocketAddrV4, Ipv4Addr)> {
    let mut address = empty();
    let mut part = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let mut control = Control([0; 64]);
    // SAFETY: a msghdr of zeros is a valid one; all that it is made to point to is ours, as long
    // as said, and lives until the call returns. The control messages are walked as cmsg(3) says,
    // and a pktinfo is read only where the kernel put one.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_name = (&raw mut address).cast();
        message.msg_namelen = ADDRESS_BYTES;
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = size_of::<Control>() as _;
        let count = libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0);
        if count < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut to = Ipv4Addr::UNSPECIFIED;
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::IPPROTO_IP && (*header).cmsg_type == libc::IP_PKTINFO {
                let info: libc::in_pktinfo =
                    libc::CMSG_DATA(header).cast::<libc::in_pktinfo>().read_unaligned();
                to = Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes());
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
        let from = decode(&address).ok_or(io::ErrorKind::InvalidData)?;
        Ok((count as usize, from, to))
    }
}

/// Sends a datagram, from one of our addresses if one is given.
pub(super) fn send_to(
    socket: &OwnedFd,
    bytes: &[u8],
    from: Option<Ipv4Addr>,
    to: SocketAddrV4,
) -> io::Result<()> {
    let mut address = encode(to);
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = Control([0; 64]);
    // SAFETY: as for receiving; the kernel only reads. The buffer has room for one pktinfo.
    let count = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_name = (&raw mut address).cast();
        message.msg_namelen = ADDRESS_BYTES;
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        if let Some(from) = from {
            let size = size_of::<libc::in_pktinfo>() as u32;
            message.msg_control = control.0.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(size) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::IPPROTO_IP;
            (*header).cmsg_type = libc::IP_PKTINFO;
            (*header).cmsg_len = libc::CMSG_LEN(size) as _;
            let address = |ip: Ipv4Addr| libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: address(from),
                ipi_addr: address(Ipv4Addr::UNSPECIFIED),
            };
            libc::CMSG_DATA(header).cast::<libc::in_pktinfo>().write_unaligned(info);
        }
        libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL)
    };
    if count < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn encode(address: SocketAddrV4) -> libc::sockaddr_in {
    let mut encoded = empty();
    encoded.sin_port = address.port().to_be();
    encoded.sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
    encoded
}

fn decode(address: &libc::sockaddr_in) -> Option<SocketAddrV4> {
    let ip = Ipv4Addr::from(address.sin_addr.s_addr.to_ne_bytes());
    (i32::from(address.sin_family) == libc::AF_INET)
        .then(|| SocketAddrV4::new(ip, u16::from_be(address.sin_port)))
}

fn empty() -> libc::sockaddr_in {
    // SAFETY: a sockaddr_in of zeros is a valid one.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as libc::sa_family_t;
    address
}

/// Room for control messages, as they must be aligned.
#[repr(align(16))]
struct Control([u8; 64]);

const ADDRESS_BYTES: libc::socklen_t = size_of::<libc::sockaddr_in>() as libc::socklen_t;
const BACKLOG: i32 = 4096;
