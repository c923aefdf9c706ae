//! The system calls that the standard library does not offer, each behind a safe function.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

/// Sets an integer socket option.
pub(crate) fn set_option(
    socket: &impl AsRawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    set_option_bytes(socket.as_raw_fd(), level, name, &value.to_ne_bytes())
}

/// Makes CUBIC a TCP socket's congestion control; a listener hands it on to what it accepts.
pub(crate) fn pin_cubic(socket: &impl AsRawFd) -> io::Result<()> {
    let fd = socket.as_raw_fd();
    set_option_bytes(fd, libc::IPPROTO_TCP, libc::TCP_CONGESTION, b"cubic")
}

/// Raises the limit of open files to the highest that is allowed.
pub(crate) fn raise_file_limit() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit for the call to fill.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is a valid rlimit for the call to read.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })?;
    Ok(())
}

/// Ends this process with its parent, so that no sender or receiver outlives a bench.
pub(crate) fn end_with_parent() -> io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes a signal number by value.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
    Ok(())
}

/// What became ready, by the token that it was added with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) token: u64,
    pub(crate) hang_up: bool,
}

/// A level-triggered epoll.
pub(crate) struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Epoll> {
        // SAFETY: epoll_create1 takes its flags by value.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        Ok(Epoll {
            // SAFETY: the kernel has just given us this descriptor and nobody else holds it.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
            events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX],
        })
    }

    pub(crate) fn add_readable(&self, source: &impl AsRawFd, token: u64) -> io::Result<()> {
        let mask = libc::EPOLLIN | libc::EPOLLRDHUP;
        self.control(libc::EPOLL_CTL_ADD, source.as_raw_fd(), mask, token)
    }

    pub(crate) fn add_writable(&self, source: &impl AsRawFd, token: u64) -> io::Result<()> {
        let fd = source.as_raw_fd();
        self.control(libc::EPOLL_CTL_ADD, fd, libc::EPOLLOUT, token)
    }

    pub(crate) fn remove(&self, source: &impl AsRawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, source.as_raw_fd(), 0, 0)
    }

    /// Waits for events until the timeout, to the nanosecond; for ever with none.
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        out: &mut Vec<Ready>,
    ) -> io::Result<()> {
        out.clear();
        let spec = timeout.map(timespec);
        let spec = spec.as_ref().map_or(ptr::null(), ptr::from_ref);
        let events_max = self.events.len() as libc::c_int;
        // SAFETY: `events` holds `events_max` entries, `spec` is null or outlives the call, and a
        // null signal mask leaves the mask alone.
        let count = check(unsafe {
            let events = self.events.as_mut_ptr();
            libc::epoll_pwait2(self.fd.as_raw_fd(), events, events_max, spec, ptr::null())
        });
        let count = match count {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other? as usize,
        };
        let hang_up_mask = (libc::EPOLLHUP | libc::EPOLLRDHUP | libc::EPOLLERR) as u32;
        out.extend(
            self.events
                .iter()
                .take(count)
                .map(|event| Ready { token: event.u64, hang_up: event.events & hang_up_mask != 0 }),
        );
        Ok(())
    }

    fn control(
        &self,
        what: libc::c_int,
        fd: RawFd,
        mask: libc::c_int,
        token: u64,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event { events: mask as u32, u64: token };
        // SAFETY: `event` is valid for the call; the kernel checks both descriptors.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), what, fd, &mut event) })?;
        Ok(())
    }
}

/// Receives what a TCP socket holds into `buffer`, without waiting.
///
/// 0 is the end of the stream; `WouldBlock` says that there is nothing.
pub(crate) fn receive_tcp(socket: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `buffer` is valid for writes of its length.
    let count = unsafe {
        let start = buffer.as_mut_ptr().cast();
        libc::recv(socket, start, buffer.len(), libc::MSG_DONTWAIT)
    };
    check_size(count)
}

/// A received datagram, or several of one size that the kernel joined.
pub(crate) struct Datagrams<'a> {
    /// Bytes of all of them.
    pub(crate) bytes: usize,
    /// How many they are.
    pub(crate) count: usize,
    /// The first bytes of the first.
    pub(crate) head: &'a [u8],
}

/// Receives datagrams many at a time and keeps their first bytes and their lengths only.
pub(crate) struct DatagramDrain {
    // The message headers point into the other vectors, which are never resized.
    messages: Vec<libc::mmsghdr>,
    _iovecs: Vec<libc::iovec>,
    buffers: Vec<[u8; DATAGRAM_HEAD_BYTES]>,
    controls: Vec<GroControl>,
}

impl DatagramDrain {
    pub(crate) fn new() -> DatagramDrain {
        let mut buffers = vec![[0_u8; DATAGRAM_HEAD_BYTES]; DATAGRAMS_MAX];
        let mut controls: Vec<GroControl> = Vec::new();
        controls.resize_with(DATAGRAMS_MAX, GroControl::default);
        let mut iovecs: Vec<libc::iovec> =
            buffers.iter_mut().map(|buffer| iovec(buffer.as_mut_ptr(), buffer.len())).collect();
        let mut messages: Vec<libc::mmsghdr> =
            iovecs.iter_mut().map(|iovec| message(iovec, 1)).collect();
        for (message, control) in messages.iter_mut().zip(&mut controls) {
            message.msg_hdr.msg_control = ptr::from_mut(control).cast();
        }
        DatagramDrain { messages, _iovecs: iovecs, buffers, controls }
    }

    /// Takes datagrams until the socket is empty and tells of each.
    pub(crate) fn receive(
        &mut self,
        socket: RawFd,
        mut tell: impl FnMut(Datagrams<'_>),
    ) -> io::Result<()> {
        loop {
            for message in &mut self.messages {
                message.msg_hdr.msg_controllen = size_of::<GroControl>() as _;
            }
            // With MSG_TRUNC a message's length is the datagram's, however little was copied.
            let flags = libc::MSG_TRUNC | libc::MSG_DONTWAIT;
            // SAFETY: the headers, iovecs, buffers and control blocks live as long as `self`, each
            // with the length that it is given with, and `messages` holds DATAGRAMS_MAX entries.
            let count = check(unsafe {
                let messages = self.messages.as_mut_ptr();
                let count_max = DATAGRAMS_MAX as libc::c_uint;
                libc::recvmmsg(socket, messages, count_max, flags as _, ptr::null_mut())
            });
            let count = match count {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                other => other? as usize,
            };
            let received = self.messages.iter().zip(&self.buffers).zip(&self.controls).take(count);
            for ((message, head), control) in received {
                let bytes = message.msg_len as usize;
                let control_bytes = message.msg_hdr.msg_controllen;
                let one_bytes = control.segment_bytes(control_bytes).unwrap_or(bytes).max(1);
                tell(Datagrams {
                    bytes,
                    count: bytes.div_ceil(one_bytes).max(1),
                    head: head.get(..bytes.min(DATAGRAM_HEAD_BYTES)).unwrap_or(head),
                });
            }
            if count < DATAGRAMS_MAX {
                return Ok(());
            }
        }
    }
}

/// Room for the control message `UDP_GRO`, laid out as `CMSG_DATA` has it on 64-bit Linux.
#[repr(C, align(8))]
struct GroControl {
    header: libc::cmsghdr,
    segment_bytes: libc::c_int,
}

impl Default for GroControl {
    fn default() -> GroControl {
        GroControl {
            // SAFETY: a cmsghdr is plain integers, for which zero is a value.
            header: unsafe { std::mem::zeroed() },
            segment_bytes: 0,
        }
    }
}

impl GroControl {
    /// The size of the datagrams that were joined; absent when the one that came is alone.
    fn segment_bytes(&self, control_bytes: usize) -> Option<usize> {
        let wanted = size_of::<libc::cmsghdr>() + size_of::<libc::c_int>();
        let is_gro = control_bytes >= wanted
            && self.header.cmsg_level == libc::SOL_UDP
            && self.header.cmsg_type == libc::UDP_GRO;
        is_gro.then_some(usize::try_from(self.segment_bytes).ok()?)
    }
}

/// One `sendmmsg` that carries trains of equal datagrams to many destinations.
///
/// Messages point to a payload that all of them share, so that only the headers are built anew for
/// each destination.
#[derive(Default)]
pub(crate) struct Trains {
    addresses: Vec<libc::sockaddr_in>,
    iovecs: Vec<libc::iovec>,
    /// Indices, resolved to pointers when sent.
    entries: Vec<Entry>,
    messages: Vec<libc::mmsghdr>,
    controls: Vec<SegmentControl>,
}

struct Entry {
    address: usize,
    iovec: usize,
    /// None for a datagram alone.
    control: Option<usize>,
}

impl Trains {
    /// Sets where messages can go; `push` names a destination by its place here.
    pub(crate) fn set_destinations(&mut self, destinations: &[SocketAddrV4]) {
        self.addresses.clear();
        self.addresses.extend(destinations.iter().copied().map(sockaddr));
    }

    /// Pushes a run of datagrams to each destination of the range, cut by the kernel.
    fn push(&mut self, run: &[u8], segment_bytes: usize, destinations: std::ops::Range<usize>) {
        let iovec_index = self.iovecs.len();
        self.iovecs.push(iovec(run.as_ptr().cast_mut(), run.len()));
        let control = (run.len() > segment_bytes).then(|| {
            self.controls.push(SegmentControl::new(segment_bytes as u16));
            self.controls.len() - 1
        });
        self.entries.extend(destinations.map(|address| Entry {
            address,
            iovec: iovec_index,
            control,
        }));
    }

    /// Sends each run of `pictures` in trains, round robin over the viewers, and each of `sounds`
    /// to the other half of the destinations; returns (system calls, messages refused).
    ///
    /// A run is its bytes and the size of its datagrams. The first half of the destinations takes
    /// pictures, the second half takes sound.
    pub(crate) fn send<'a>(
        &mut self,
        socket: &impl AsRawFd,
        pictures: impl Iterator<Item = (&'a [u8], usize)>,
        sounds: impl Iterator<Item = (&'a [u8], usize)>,
    ) -> (u64, u64) {
        self.iovecs.clear();
        self.entries.clear();
        self.controls.clear();
        let viewers = self.addresses.len() / 2;
        for (run, segment_bytes) in pictures {
            for train in run.chunks(segment_bytes * SEGMENTS_MAX) {
                self.push(train, segment_bytes, 0..viewers);
            }
        }
        for (run, segment_bytes) in sounds {
            self.push(run, segment_bytes, viewers..2 * viewers);
        }
        self.submit(socket.as_raw_fd())
    }

    fn submit(&mut self, socket: RawFd) -> (u64, u64) {
        self.messages.clear();
        for entry in &self.entries {
            let (Some(address), Some(iovec)) =
                (self.addresses.get_mut(entry.address), self.iovecs.get_mut(entry.iovec))
            else {
                continue;
            };
            let mut message = message(iovec, 1);
            message.msg_hdr.msg_name = ptr::from_mut(address).cast();
            message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            if let Some(control) = entry.control.and_then(|index| self.controls.get_mut(index)) {
                message.msg_hdr.msg_control = ptr::from_mut(control).cast();
                message.msg_hdr.msg_controllen = size_of::<SegmentControl>() as _;
            }
            self.messages.push(message);
        }
        let (mut calls, mut refused, mut from) = (0, 0, 0);
        while let Some(rest) = self.messages.get_mut(from..).filter(|rest| !rest.is_empty()) {
            calls += 1;
            // SAFETY: each message points to an address, an iovec and a control block that `self`
            // holds unchanged during the call, and each iovec to bytes of `pictures` or `sounds`,
            // borrowed by `send` for as long. The kernel sends at most 1,024 in one call.
            let sent = check(unsafe {
                libc::sendmmsg(socket, rest.as_mut_ptr(), rest.len() as libc::c_uint, 0)
            });
            match sent {
                Ok(sent) => from += sent as usize,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    refused += 1;
                    from += 1;
                }
            }
        }
        (calls, refused)
    }
}

/// The control message `UDP_SEGMENT`, laid out as `CMSG_DATA` has it on 64-bit Linux.
#[repr(C, align(8))]
struct SegmentControl {
    header: libc::cmsghdr,
    segment_bytes: u16,
}

impl SegmentControl {
    fn new(segment_bytes: u16) -> SegmentControl {
        // SAFETY: a cmsghdr is plain integers, for which zero is a value.
        let mut header: libc::cmsghdr = unsafe { std::mem::zeroed() };
        header.cmsg_len = (size_of::<libc::cmsghdr>() + size_of::<u16>()) as _;
        header.cmsg_level = libc::SOL_UDP;
        header.cmsg_type = libc::UDP_SEGMENT;
        SegmentControl { header, segment_bytes }
    }
}

/// Segments in one train: what a receiver on a real path can take at once.
const SEGMENTS_MAX: usize = 10;
const EVENTS_MAX: usize = 256;
const DATAGRAMS_MAX: usize = 64;
/// Bytes copied of each received datagram; its length is known without the rest.
const DATAGRAM_HEAD_BYTES: usize = 16;

fn set_option_bytes(
    fd: RawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &[u8],
) -> io::Result<()> {
    let length = value.len() as libc::socklen_t;
    // SAFETY: `value` is valid for `length` bytes; the kernel copies them.
    check(unsafe { libc::setsockopt(fd, level, name, value.as_ptr().cast(), length) })?;
    Ok(())
}

fn message(iovec: &mut libc::iovec, iovecs: usize) -> libc::mmsghdr {
    // SAFETY: an mmsghdr is integers and pointers, for which zero is a value.
    let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
    message.msg_hdr.msg_iov = iovec;
    message.msg_hdr.msg_iovlen = iovecs as _;
    message
}

fn iovec(base: *mut u8, bytes: usize) -> libc::iovec {
    libc::iovec { iov_base: base.cast(), iov_len: bytes }
}

fn sockaddr(address: SocketAddrV4) -> libc::sockaddr_in {
    let ip: &Ipv4Addr = address.ip();
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*ip).to_be() },
        sin_zero: [0; 8],
    }
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: duration.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(duration.subsec_nanos() as i32),
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

fn check_size(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
