//! Many datagrams in one call: recvmmsg with the kernel's merging, sendmmsg with its splitting.

use std::io;
use std::mem::size_of;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use weir_time::Instant;

use super::socket::{RawAddress, UDP_GRO, UDP_SEGMENT};
use crate::clock::Clock;

/// Receives: one scratch for all sockets of a driver.
pub(super) struct Receiver {
    buffers: Box<[u8]>,
    names: Vec<RawAddress>,
    controls: Vec<Control>,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    /// Where payloads stay while they are on their way.
    arena: BytesMut,
    now: Instant,
    now_utc: Duration,
}

// SAFETY: the pointers are set anew for each call, by the thread that calls, to buffers of its own.
unsafe impl Send for Receiver {}

/// What came from one sender at once: one datagram, or several of one length that the kernel
/// merged, of which the last may be shorter.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) from: SocketAddr,
    /// When the kernel took it in.
    pub(super) at: Instant,
    pub(super) bytes: Bytes,
    /// Length of each datagram.
    pub(super) segment: usize,
    /// How many datagrams the kernel has dropped for this socket since it was made, if any.
    pub(super) dropped: Option<u32>,
}

/// Room for control messages: a time stamp, a segment size, a count of drops, and to spare.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

impl Receiver {
    pub(super) fn new() -> Self {
        // SAFETY: all zeroes is a valid mmsghdr.
        let header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        let vector = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Receiver {
            buffers: vec![0; MESSAGES_MAX * MESSAGE_BYTES_MAX].into_boxed_slice(),
            names: vec![RawAddress::empty(); MESSAGES_MAX],
            controls: vec![Control([0; CONTROL_BYTES]); MESSAGES_MAX],
            vectors: vec![vector; MESSAGES_MAX],
            headers: vec![header; MESSAGES_MAX],
            arena: BytesMut::new(),
            now: Instant::ZERO,
            now_utc: Duration::ZERO,
        }
    }

    /// Takes what has come, up to [`MESSAGES_MAX`] arrivals; returns how many.
    pub(super) fn receive(&mut self, socket: &UdpSocket, clock: &Clock) -> io::Result<usize> {
        self.prepare();
        // SAFETY: the headers point to buffers of this receiver that stay in place over the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                MESSAGES_MAX as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let Ok(count) = usize::try_from(count) else {
            return Err(io::Error::last_os_error());
        };
        self.now_utc = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.now = clock.now();
        Ok(count)
    }

    /// One of those that the last call took; `None` where the sender is of no internet family.
    pub(super) fn arrival(&mut self, index: usize) -> Option<Arrival> {
        let header = self.headers.get(index)?;
        let len = header.msg_len as usize;
        let from = self.names.get(index)?.get()?;
        let at = index * MESSAGE_BYTES_MAX;
        self.arena.extend_from_slice(self.buffers.get(at..at + len)?);
        let bytes = self.arena.split().freeze();
        if self.arena.capacity() < ARENA_BYTES_LEAST {
            self.arena = BytesMut::with_capacity(ARENA_BYTES);
        }
        let mut arrival = Arrival { from, at: self.now, bytes, segment: len.max(1), dropped: None };
        self.read_control(index, &mut arrival);
        Some(arrival)
    }

    fn prepare(&mut self) {
        for index in 0..MESSAGES_MAX {
            self.vectors[index] = libc::iovec {
                iov_base: self.buffers[index * MESSAGE_BYTES_MAX..].as_mut_ptr().cast(),
                iov_len: MESSAGE_BYTES_MAX,
            };
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = std::ptr::from_mut(&mut self.names[index].storage).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = &raw mut self.vectors[index];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[index].0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_BYTES;
            header.msg_flags = 0;
        }
    }

    fn read_control(&self, index: usize, arrival: &mut Arrival) {
        let message = &self.headers[index].msg_hdr;
        // SAFETY: the kernel has filled in the control messages that these macros walk over, and
        // the buffer that holds them has not moved since.
        unsafe {
            let mut header = libc::CMSG_FIRSTHDR(message);
            while !header.is_null() {
                let data = libc::CMSG_DATA(header);
                match ((*header).cmsg_level, (*header).cmsg_type) {
                    (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                        let stamp = data.cast::<libc::timespec>().read_unaligned();
                        arrival.at = self.stamped(stamp);
                    }
                    (libc::SOL_UDP, UDP_GRO) => {
                        let segment = data.cast::<libc::c_int>().read_unaligned();
                        arrival.segment = usize::try_from(segment).unwrap_or(1).max(1);
                    }
                    (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                        arrival.dropped = Some(data.cast::<u32>().read_unaligned());
                    }
                    _ => {}
                }
                header = libc::CMSG_NXTHDR(message, header);
            }
        }
    }

    /// The kernel stamps by the time of day: how long ago that was is the same on every clock,
    /// unless the time of day was set in between.
    fn stamped(&self, stamp: libc::timespec) -> Instant {
        let stamp = Duration::new(
            u64::try_from(stamp.tv_sec).unwrap_or(0),
            u32::try_from(stamp.tv_nsec).unwrap_or(0).min(999_999_999),
        );
        match self.now_utc.checked_sub(stamp) {
            Some(age) if age <= AGE_MAX => self.now - age,
            _ => self.now,
        }
    }
}

/// One way for datagrams to leave: a socket, and where to, unless it is connected.
pub(super) struct Way {
    pub(super) socket: Arc<UdpSocket>,
    to: Option<RawAddress>,
    /// Cleared for good when the kernel refuses to split.
    splits: AtomicBool,
}

impl Way {
    pub(super) fn new(socket: Arc<UdpSocket>, to: Option<SocketAddr>) -> Self {
        Way { socket, to: to.map(RawAddress::new), splits: AtomicBool::new(true) }
    }

    fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Datagrams to be sent now.
pub(super) struct Outbox {
    letters: Vec<Letter>,
    scratch: Scratch,
}

pub(super) struct Letter {
    pub(super) way: Arc<Way>,
    pub(super) payload: Bytes,
    /// When it left the link. Only what left at the same instant may leave as one train.
    pub(super) at: Instant,
}

#[derive(Default)]
struct Scratch {
    /// How many letters each message holds.
    trains: Vec<usize>,
    vectors: Vec<libc::iovec>,
    controls: Vec<SegmentControl>,
    headers: Vec<libc::mmsghdr>,
}

// SAFETY: the pointers are set anew for each call, by the thread that calls.
unsafe impl Send for Scratch {}

/// One control message: the segment size.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct SegmentControl {
    header: libc::cmsghdr,
    segment: u16,
    padding: [u8; 6],
}

/// What became of what was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) datagrams: u64,
    /// Dropped because the system took no more: its buffers were full.
    pub(super) dropped_full: u64,
    /// Dropped because the system refused them.
    pub(super) dropped_refused: u64,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Outbox { letters: Vec::new(), scratch: Scratch::default() }
    }

    pub(super) fn push(&mut self, letter: Letter) {
        self.letters.push(letter);
    }

    pub(super) fn len(&self) -> usize {
        self.letters.len()
    }

    /// Sends everything, in order for each way out. `refused` hears of what the system refused.
    pub(super) fn flush(&mut self, mut refused: impl FnMut(&Way, &io::Error)) -> Sent {
        let mut sent = Sent::default();
        let one_socket = self.letters.windows(2).all(|pair| pair[0].way.fd() == pair[1].way.fd());
        if !one_socket {
            // Stable: what leaves by one socket keeps its order.
            self.letters.sort_by_key(|letter| letter.way.fd());
        }
        let mut from = 0;
        while let Some(first) = self.letters.get(from) {
            let fd = first.way.fd();
            let rest = &self.letters[from..];
            let run = rest.iter().take_while(|letter| letter.way.fd() == fd).count();
            let run = run.min(LETTERS_MAX);
            send_run(&self.letters[from..from + run], &mut self.scratch, &mut sent, &mut refused);
            from += run;
        }
        self.letters.clear();
        sent
    }
}

/// Sends letters of one socket.
fn send_run(
    mut letters: &[Letter],
    scratch: &mut Scratch,
    sent: &mut Sent,
    refused: &mut impl FnMut(&Way, &io::Error),
) {
    let mut retried = false;
    while let Some(first) = letters.first() {
        scratch.fill(letters);
        // SAFETY: headers, vectors, controls, addresses and payloads stay in place over the call.
        let count = unsafe {
            libc::sendmmsg(
                first.way.fd(),
                scratch.headers.as_mut_ptr(),
                scratch.headers.len() as libc::c_uint,
                libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
            )
        };
        if let Ok(count) = usize::try_from(count) {
            let gone: usize = scratch.trains.iter().take(count).sum();
            sent.datagrams += gone as u64;
            letters = &letters[gone..];
            retried = false;
            continue;
        }
        let error = io::Error::last_os_error();
        let train = scratch.trains.first().copied().unwrap_or(1);
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EAGAIN | libc::ENOBUFS) => {
                sent.dropped_full += letters.len() as u64;
                return;
            }
            // The answer to an earlier datagram: this one has not been tried yet.
            Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH) if !retried => {
                refused(&first.way, &error);
                retried = true;
            }
            Some(libc::EIO | libc::EINVAL | libc::EOPNOTSUPP) if train > 1 => {
                first.way.splits.store(false, Ordering::Relaxed);
            }
            _ => {
                refused(&first.way, &error);
                sent.dropped_refused += train as u64;
                letters = &letters[train..];
                retried = false;
            }
        }
    }
}

impl Scratch {
    /// One message for each train of letters.
    fn fill(&mut self, letters: &[Letter]) {
        self.trains.clear();
        self.vectors.clear();
        self.controls.clear();
        self.headers.clear();
        self.vectors.extend(letters.iter().map(|letter| libc::iovec {
            iov_base: letter.payload.as_ptr().cast_mut().cast(),
            iov_len: letter.payload.len(),
        }));
        let mut from = 0;
        while from < letters.len() {
            let train = train_at(&letters[from..]);
            self.trains.push(train);
            self.controls.push(SegmentControl::new(letters[from].payload.len()));
            from += train;
        }
        let mut from = 0;
        for (train, control) in self.trains.iter().zip(&mut self.controls) {
            // SAFETY: all zeroes is a valid mmsghdr.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            if let Some(to) = &letters[from].way.to {
                header.msg_hdr.msg_name = std::ptr::from_ref(&to.storage).cast_mut().cast();
                header.msg_hdr.msg_namelen = to.len;
            }
            header.msg_hdr.msg_iov = &raw mut self.vectors[from];
            header.msg_hdr.msg_iovlen = *train;
            if *train > 1 {
                header.msg_hdr.msg_control = std::ptr::from_mut(control).cast();
                header.msg_hdr.msg_controllen = size_of::<SegmentControl>();
            }
            self.headers.push(header);
            from += train;
        }
    }
}

/// How many of the first letters may go as one message that the kernel splits: those that left
/// the link together, one way, all of one length but for a shorter last one.
fn train_at(letters: &[Letter]) -> usize {
    let Some(first) = letters.first() else { return 0 };
    let len = first.payload.len();
    if len == 0 || !first.way.splits.load(Ordering::Relaxed) {
        return 1;
    }
    let count_max = TRAIN_MAX.min(TRAIN_BYTES_MAX / len).max(1);
    let mut count = 1;
    while count < count_max
        && let Some(next) = letters.get(count)
    {
        let fits = Arc::ptr_eq(&next.way, &first.way)
            && next.at == first.at
            && (1..=len).contains(&next.payload.len());
        if !fits {
            break;
        }
        count += 1;
        if next.payload.len() < len {
            break;
        }
    }
    count
}

impl SegmentControl {
    fn new(len: usize) -> Self {
        // SAFETY: all zeroes is a valid cmsghdr.
        let mut header: libc::cmsghdr = unsafe { std::mem::zeroed() };
        // SAFETY: plain arithmetic.
        header.cmsg_len = unsafe { libc::CMSG_LEN(size_of::<u16>() as u32) } as _;
        header.cmsg_level = libc::SOL_UDP;
        header.cmsg_type = UDP_SEGMENT;
        SegmentControl { header, segment: u16::try_from(len).unwrap_or(u16::MAX), padding: [0; 6] }
    }
}

/// Arrivals taken in one call.
pub(super) const MESSAGES_MAX: usize = 32;
/// No datagram is longer, merged ones included.
const MESSAGE_BYTES_MAX: usize = 1 << 16;
const CONTROL_BYTES: usize = 128;
const ARENA_BYTES: usize = 256 << 10;
const ARENA_BYTES_LEAST: usize = 2048;
/// Letters in one call; the kernel takes no more than 1,024 messages.
const LETTERS_MAX: usize = 512;
/// The kernel's own bounds of what it splits.
const TRAIN_MAX: usize = 64;
const TRAIN_BYTES_MAX: usize = 65_000;
/// Who waited longer in the kernel was not read for that long, or the clock was set.
const AGE_MAX: Duration = Duration::from_secs(10);
