//! The system's TCP.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use bytes::{BufMut, BytesMut};

use super::reactor::Registration;
use super::socket::{self, RawAddress};
use super::{Thread, check, check_len};
use crate::{Doorbell, TcpOptions};

pub(crate) struct TcpListener {
    // Dropped first: the registration needs the descriptor open.
    registration: Registration,
    fd: OwnedFd,
    address: SocketAddr,
}

const BACKLOG: libc::c_int = 1024;

impl TcpListener {
    pub(crate) fn bind(thread: &Rc<Thread>, address: SocketAddr) -> io::Result<Self> {
        let fd = socket::new_socket(address, libc::SOCK_STREAM)?;
        // A server that is started again takes its port back at once.
        socket::set_option(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
        socket::bind(&fd, address)?;
        // SAFETY: a plain call on an open descriptor.
        check(unsafe { libc::listen(fd.as_raw_fd(), BACKLOG) })?;
        let address = socket::local_address(fd.as_raw_fd())?;
        let registration = thread.reactor.register(fd.as_raw_fd())?;
        Ok(TcpListener { registration, fd, address })
    }

    pub(crate) async fn accept(&self) -> io::Result<(OwnedFd, SocketAddr)> {
        poll_fn(|cx| {
            self.registration.poll_read(cx, |fd| {
                let mut raw = RawAddress::empty();
                // SAFETY: the storage is valid for the length given; the new descriptor is
                // checked and owned at once.
                let stream = unsafe {
                    OwnedFd::from_raw_fd(check(libc::accept4(
                        fd,
                        std::ptr::from_mut(&mut raw.storage).cast(),
                        &mut raw.len,
                        libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
                    ))?)
                };
                let peer =
                    raw.get().ok_or_else(|| io::Error::other("a peer of no known family"))?;
                Ok((stream, peer))
            })
        })
        .await
    }

    pub(crate) fn local_address(&self) -> SocketAddr {
        self.address
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcpListener({}, descriptor {})", self.address, self.fd.as_raw_fd())
    }
}

pub(crate) struct TcpStream {
    // Dropped first: the registration needs the descriptor open.
    registration: Registration,
    fd: OwnedFd,
    local: SocketAddr,
    peer: SocketAddr,
}

const READ_BYTES_MIN: usize = 4096;

impl TcpStream {
    pub(crate) async fn connect(
        thread: &Rc<Thread>,
        address: SocketAddr,
        options: &TcpOptions,
    ) -> io::Result<Self> {
        let fd = socket::new_socket(address, libc::SOCK_STREAM)?;
        set_options(fd.as_raw_fd(), options)?;
        let raw = RawAddress::new(address);
        // SAFETY: the address is valid for its length.
        let started = check(unsafe { libc::connect(fd.as_raw_fd(), raw.as_ptr(), raw.len) });
        match started {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let registration = thread.reactor.register(fd.as_raw_fd())?;
        registration.note_full();
        poll_fn(|cx| registration.poll_writable(cx)).await;
        socket::socket_error(fd.as_raw_fd())?;
        let local = socket::local_address(fd.as_raw_fd())?;
        Ok(TcpStream { registration, fd, local, peer: address })
    }

    pub(crate) fn attach(thread: &Rc<Thread>, fd: OwnedFd) -> io::Result<Self> {
        let local = socket::local_address(fd.as_raw_fd())?;
        let peer = socket::peer_address(fd.as_raw_fd())?;
        let registration = thread.reactor.register(fd.as_raw_fd())?;
        Ok(TcpStream { registration, fd, local, peer })
    }

    pub(crate) fn set_options(&self, options: &TcpOptions) -> io::Result<()> {
        set_options(self.fd.as_raw_fd(), options)
    }

    pub(crate) fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn local_address(&self) -> SocketAddr {
        self.local
    }

    pub(crate) async fn read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        if buffer.capacity() == buffer.len() {
            buffer.reserve(READ_BYTES_MIN);
        }
        poll_fn(|cx| {
            self.registration.poll_read(cx, |fd| {
                let spare = buffer.chunk_mut();
                // SAFETY: the spare capacity is valid for its length.
                check_len(unsafe { libc::recv(fd, spare.as_mut_ptr().cast(), spare.len(), 0) })
            })
        })
        .await
        .inspect(|read| {
            // SAFETY: the system has filled in that many bytes of the spare capacity.
            unsafe { buffer.advance_mut(*read) };
        })
    }

    pub(crate) async fn read_with<T>(
        &self,
        scratch: &RefCell<Box<[u8]>>,
        take: &mut impl FnMut(&[u8]) -> T,
    ) -> io::Result<T> {
        poll_fn(|cx| {
            self.registration.poll_read(cx, |fd| {
                let mut scratch = scratch.borrow_mut();
                // SAFETY: the scratch is valid for its length.
                let read = check_len(unsafe {
                    libc::recv(fd, scratch.as_mut_ptr().cast(), scratch.len(), 0)
                })?;
                Ok(take(&scratch[..read]))
            })
        })
        .await
    }

    pub(crate) fn try_write(&self, slices: &[&[u8]]) -> io::Result<usize> {
        let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; 8];
        let mut total = 0;
        for (vector, slice) in vectors.iter_mut().zip(slices) {
            *vector =
                libc::iovec { iov_base: slice.as_ptr().cast_mut().cast(), iov_len: slice.len() };
            total += slice.len();
        }
        let used = slices.len().min(vectors.len());
        // SAFETY: the slices are borrowed over the call.
        unsafe { self.send(&vectors[..used], total) }
    }

    /// Sends what the vectors name.
    ///
    /// # Safety
    /// Every vector must be valid for its length.
    pub(crate) unsafe fn send(&self, vectors: &[libc::iovec], total: usize) -> io::Result<usize> {
        let sent = self.registration.try_write(|fd| {
            // SAFETY: all zeroes is a valid msghdr; the vectors are valid by contract.
            unsafe {
                let mut message: libc::msghdr = std::mem::zeroed();
                message.msg_iov = vectors.as_ptr().cast_mut();
                message.msg_iovlen = vectors.len();
                check_len(libc::sendmsg(fd, &message, libc::MSG_NOSIGNAL))
            }
        })?;
        if sent < total {
            self.registration.note_full();
        }
        Ok(sent)
    }

    pub(crate) fn try_send_file(&self, file: RawFd, at: u64, bytes: usize) -> io::Result<usize> {
        let offset = libc::off_t::try_from(at).map_err(|_| io::ErrorKind::InvalidInput)?;
        let sent = self.registration.try_write(|fd| {
            let mut offset = offset;
            // SAFETY: both descriptors are open, and the offset is valid for the call.
            check_len(unsafe { libc::sendfile(fd, file, &mut offset, bytes) })
        })?;
        // Fewer also where the file ends: then the next call says so.
        if sent > 0 && sent < bytes {
            self.registration.note_full();
        }
        Ok(sent)
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Remembers that the socket took less than all.
    pub(crate) fn note_full(&self) {
        self.registration.note_full();
    }

    pub(crate) async fn writable(&self) {
        poll_fn(|cx| self.registration.poll_writable(cx)).await;
    }

    pub(crate) fn ring_when_writable(&self, bell: &Doorbell, key: u64) {
        self.registration.ring_when_writable(bell, key);
    }

    pub(crate) fn unacknowledged_bytes(&self) -> Option<u64> {
        let mut bytes: libc::c_int = 0;
        // SAFETY: the request (SIOCOUTQ) fills in one integer.
        let failed = unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::TIOCOUTQ, &mut bytes) };
        if failed < 0 { None } else { u64::try_from(bytes).ok() }
    }

    pub(crate) fn shutdown(&self) {
        // SAFETY: a plain call on an open descriptor; an ended connection needs none.
        unsafe { libc::shutdown(self.fd.as_raw_fd(), libc::SHUT_WR) };
    }
}

/// Whether the system knows a congestion control, and lets this program use it.
///
/// # Errors
/// What the system says, and the names that it offers.
pub fn check_congestion(name: &str) -> io::Result<()> {
    let options = TcpOptions { congestion: Some(name.to_owned()), ..TcpOptions::default() };
    let any = SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), 0);
    let socket = socket::new_socket(any, libc::SOCK_STREAM)?;
    set_options(socket.as_raw_fd(), &options).map_err(|error| {
        let offered = std::fs::read_to_string(CONGESTION_OFFERED).unwrap_or_default();
        let offered = offered.split_whitespace().collect::<Vec<_>>().join(", ");
        let hint =
            if offered.is_empty() { offered } else { format!("; expected one of {offered}") };
        io::Error::new(error.kind(), format!("{error}{hint}"))
    })
}

const CONGESTION_OFFERED: &str = "/proc/sys/net/ipv4/tcp_available_congestion_control";

fn set_options(fd: RawFd, options: &TcpOptions) -> io::Result<()> {
    if options.no_delay {
        socket::set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    }
    if let Some(bytes) = options.not_sent_low_water_bytes {
        let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
        socket::set_option(fd, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, bytes)?;
    }
    if let Some(name) = &options.congestion {
        let set =
            socket::set_option_bytes(fd, libc::IPPROTO_TCP, libc::TCP_CONGESTION, name.as_bytes());
        set.map_err(|error| {
            io::Error::new(error.kind(), format!("congestion control {name:?}: {error}"))
        })?;
    }
    Ok(())
}
