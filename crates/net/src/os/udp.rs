//! The system's UDP, with segmentation and receive offload.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use std::cell::OnceCell;

use super::reactor::Registration;
use super::socket::{self, RawAddress};
use super::{Thread, check_len, monotonic_now, utc_now};
use crate::{DatagramBuffer, UdpOptions};

/// A socket and what is known of it, for several threads.
#[derive(Clone, Debug)]
pub(crate) struct SharedUdp {
    fd: Arc<OwnedFd>,
    address: SocketAddr,
    /// Cleared for good when the kernel refuses segmentation offload.
    offload: Arc<AtomicBool>,
}

pub(crate) struct UdpSocket {
    // Dropped first: the registration needs the descriptor open. Made when it is first needed:
    // a shard that only sends watches nothing.
    registration: OnceCell<Registration>,
    shared: SharedUdp,
    thread: Rc<Thread>,
}

impl UdpSocket {
    pub(crate) fn bind(
        thread: &Rc<Thread>,
        address: SocketAddr,
        options: &UdpOptions,
    ) -> io::Result<Self> {
        let fd = socket::new_socket(address, libc::SOCK_DGRAM)?;
        let raw_fd = fd.as_raw_fd();
        for (name, bytes) in [
            (libc::SO_RCVBUF, options.receive_buffer_bytes),
            (libc::SO_SNDBUF, options.send_buffer_bytes),
        ] {
            if let Some(bytes) = bytes {
                let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
                socket::set_option(raw_fd, libc::SOL_SOCKET, name, bytes)?;
            }
        }
        socket::bind(&fd, address)?;
        // Both are improvements that older kernels lack: without them datagrams come one by one
        // and are stamped when they are read.
        let _ = socket::set_option(raw_fd, libc::IPPROTO_UDP, UDP_GRO, 1);
        let _ = socket::set_option(raw_fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1);
        let address = socket::local_address(raw_fd)?;
        let offload = Arc::new(AtomicBool::new(true));
        let shared = SharedUdp { fd: Arc::new(fd), address, offload };
        Ok(UdpSocket { registration: OnceCell::new(), shared, thread: Rc::clone(thread) })
    }

    pub(crate) fn attach(thread: &Rc<Thread>, shared: &SharedUdp) -> Self {
        UdpSocket {
            registration: OnceCell::new(),
            shared: shared.clone(),
            thread: Rc::clone(thread),
        }
    }

    pub(crate) fn share(&self) -> SharedUdp {
        self.shared.clone()
    }

    pub(crate) fn local_address(&self) -> SocketAddr {
        self.shared.address
    }

    pub(crate) fn raw_fd(&self) -> std::os::fd::RawFd {
        self.shared.fd.as_raw_fd()
    }

    /// The form of `to` that this socket takes: an IPv6 socket wants IPv4 addresses mapped.
    pub(crate) fn destination(&self, to: SocketAddr) -> RawAddress {
        match (self.shared.address, to) {
            (SocketAddr::V6(_), SocketAddr::V4(v4)) => {
                let mapped = v4.ip().to_ipv6_mapped();
                RawAddress::new(SocketAddr::new(mapped.into(), v4.port()))
            }
            _ => RawAddress::new(to),
        }
    }

    pub(crate) fn offload(&self) -> bool {
        self.shared.offload.load(Ordering::Relaxed)
    }

    pub(crate) fn give_up_offload(&self) {
        if self.shared.offload.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                socket = %self.shared.address,
                "the kernel refuses UDP segmentation offload: datagrams are sent one by one"
            );
        }
    }

    fn registration(&self) -> io::Result<&Registration> {
        if let Some(registration) = self.registration.get() {
            return Ok(registration);
        }
        let registration = self.thread.reactor.register(self.raw_fd())?;
        Ok(self.registration.get_or_init(|| registration))
    }

    pub(crate) async fn receive(&self, buffer: &mut DatagramBuffer) -> io::Result<()> {
        poll_fn(|cx| {
            let registration = match self.registration() {
                Ok(registration) => registration,
                Err(error) => return Poll::Ready(Err(error)),
            };
            registration.poll_read(cx, |fd| receive_now(fd, buffer))
        })
        .await
    }

    pub(crate) fn try_send(&self, data: &[u8], to: SocketAddr) -> io::Result<()> {
        let to = self.destination(to);
        loop {
            // SAFETY: data and address are valid for their lengths.
            let sent = check_len(unsafe {
                libc::sendto(
                    self.raw_fd(),
                    data.as_ptr().cast(),
                    data.len(),
                    libc::MSG_NOSIGNAL,
                    to.as_ptr(),
                    to.len,
                )
            });
            match sent {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done.map(drop),
            }
        }
    }
}

/// From linux/udp.h.
pub(crate) const UDP_SEGMENT: libc::c_int = 103;
const UDP_GRO: libc::c_int = 104;

/// Room for control messages: a time stamp and a segment size, with space to spare.
#[repr(align(8))]
struct Control([u8; 128]);

fn receive_now(fd: std::os::fd::RawFd, buffer: &mut DatagramBuffer) -> io::Result<()> {
    let mut raw = RawAddress::empty();
    let mut control = Control([0; 128]);
    let mut vector =
        libc::iovec { iov_base: buffer.bytes.as_mut_ptr().cast(), iov_len: buffer.bytes.len() };
    // SAFETY: all zeroes is a valid msghdr.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = std::ptr::from_mut(&mut raw.storage).cast();
    message.msg_namelen = raw.len;
    message.msg_iov = &mut vector;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    // SAFETY: every buffer named in the message is valid for its length.
    let len = check_len(unsafe { libc::recvmsg(fd, &mut message, 0) })?;
    buffer.len = len;
    buffer.segment = len.max(1);
    buffer.at = monotonic_now();
    buffer.from = raw.get().ok_or_else(|| io::Error::other("a sender of no known family"))?;
    // SAFETY: the kernel has filled in the control messages that these macros walk over.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&message);
        while !header.is_null() {
            let data = libc::CMSG_DATA(header);
            match ((*header).cmsg_level, (*header).cmsg_type) {
                (libc::IPPROTO_UDP, UDP_GRO) => {
                    let segment = data.cast::<libc::c_int>().read_unaligned();
                    buffer.segment = usize::try_from(segment).unwrap_or(len).max(1);
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let stamp = data.cast::<libc::timespec>().read_unaligned();
                    buffer.at = stamped(buffer.at, stamp);
                }
                _ => {}
            }
            header = libc::CMSG_NXTHDR(&message, header);
        }
    }
    Ok(())
}

/// The kernel stamps by the time of day: how long ago that was is the same on every clock,
/// unless the time of day was set in between.
fn stamped(now: weir_time::Instant, stamp: libc::timespec) -> weir_time::Instant {
    let stamp_nanos = stamp.tv_sec as u64 * 1_000_000_000 + stamp.tv_nsec as u64;
    let age_nanos = utc_now().as_nanos().saturating_sub(stamp_nanos);
    if age_nanos > AGE_NANOS_MAX {
        return now;
    }
    now - std::time::Duration::from_nanos(age_nanos)
}

/// A datagram that waited longer than this in the kernel was not read for that long, or the
/// clock was set: the time of reading is then the safer one.
const AGE_NANOS_MAX: u64 = 10_000_000_000;
