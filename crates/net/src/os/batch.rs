//! The batch on the system's sockets: writev for TCP, sendmmsg with segmentation offload for UDP.

use std::io;
use std::os::fd::RawFd;

use super::socket::RawAddress;
use super::udp::{UDP_SEGMENT, UdpSocket};
use super::uring::{SENDS_WORTH_IT, Uring};
use super::{check, check_len};
use crate::batch::{BatchStorage, Message, Sent, Target};
use crate::tcp::StreamBody;
use crate::udp::SocketBody;

/// Memory for the system's calls, kept with the batch.
#[derive(Default)]
pub(crate) struct BatchScratch {
    headers: Vec<libc::mmsghdr>,
    addresses: Vec<RawAddress>,
    controls: Vec<Control>,
    split: Vec<libc::iovec>,
    uring: Uring,
}

/// One control message: the segment size.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control {
    header: libc::cmsghdr,
    segment: u16,
    padding: [u8; 6],
}

/// Sends everything; one result for each message.
pub(crate) fn submit(storage: &mut BatchStorage) {
    let mut index = 0;
    while index < storage.messages.len() {
        index += match storage.messages[index].target {
            Target::Tcp(_) => submit_tcp(storage, index),
            Target::Udp { socket, .. } => {
                // SAFETY: the batch keeps the socket borrowed until now.
                let SocketBody::Os(socket) = (unsafe { &(*socket).body }) else {
                    unreachable!("a host of the system sends on sockets of the system")
                };
                submit_udp(storage, index, socket)
            }
        };
    }
}

/// Sends the run of messages on connections from `from` on, or the first part of it; gives how
/// many were sent.
fn submit_tcp(storage: &mut BatchStorage, from: usize) -> usize {
    let is_tcp = |message: &&Message| matches!(message.target, Target::Tcp(_));
    let run = storage.messages[from..].iter().take_while(is_tcp).count();
    if run >= SENDS_WORTH_IT {
        let mut uring = std::mem::take(&mut storage.os.uring);
        let sent = uring.get().map(|ring| ring.send(storage, from, run));
        storage.os.uring = uring;
        match sent {
            Some(Ok(sent)) => return sent,
            Some(Err(error)) => {
                tracing::warn!("sends go one by one from here on: {error}");
                storage.os.uring = Uring::Refused;
            }
            None => {}
        }
    }
    let Target::Tcp(stream) = storage.messages[from].target else {
        unreachable!("called for messages on connections alone")
    };
    // SAFETY: the batch keeps the stream and the slices borrowed until now.
    let sent = unsafe {
        let StreamBody::Os(stream) = &(*stream).body else {
            unreachable!("a host of the system sends on sockets of the system")
        };
        stream.send(storage.slices_of(from), storage.messages[from].len)
    };
    storage.results.push(result(sent));
    1
}

fn result(sent: io::Result<usize>) -> Sent {
    match sent {
        Ok(bytes) => Sent::Bytes(bytes),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Sent::Blocked,
        // The system's buffers are short: the same to a sender as a full queue.
        Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Sent::Blocked,
        Err(error) => Sent::Failed(error.raw_os_error().unwrap_or(0)),
    }
}

/// Sends the run of messages from `from` on that use the same socket; gives its length.
fn submit_udp(storage: &mut BatchStorage, from: usize, socket: &UdpSocket) -> usize {
    let same = |message: &Message| match message.target {
        // SAFETY: the batch keeps the sockets borrowed until now.
        Target::Udp { socket: other, .. } => match unsafe { &(*other).body } {
            SocketBody::Os(other) => other.raw_fd() == socket.raw_fd(),
            SocketBody::Sim(_) => false,
        },
        Target::Tcp(_) => false,
    };
    let run = storage.messages[from..].iter().take_while(|message| same(message)).count();
    let mut done = 0;
    while done < run {
        if socket.offload() {
            done += send_offloaded(storage, from + done, run - done, socket);
        } else {
            send_split(storage, from + done, socket);
            done += 1;
        }
        if storage.results.last() == Some(&Sent::Blocked) {
            // What follows goes through the same full queue: order is kept by stopping.
            storage.results.extend(std::iter::repeat_n(Sent::Blocked, run - done));
            break;
        }
    }
    run
}

/// Messages in one call of sendmmsg; the kernel takes no more than 1,024.
const MESSAGES_MAX: usize = 256;

/// Sends up to [`MESSAGES_MAX`] messages in one call; gives how many have a result now.
fn send_offloaded(
    storage: &mut BatchStorage,
    from: usize,
    count: usize,
    socket: &UdpSocket,
) -> usize {
    let count = count.min(MESSAGES_MAX);
    fill_headers(storage, from, count, socket);
    let headers = &mut storage.os.headers;
    let sent = loop {
        // SAFETY: headers, addresses, controls and slices live and stay in place over the call.
        let sent = check(unsafe {
            libc::sendmmsg(
                socket.raw_fd(),
                headers.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_NOSIGNAL,
            )
        });
        match sent {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            sent => break sent,
        }
    };
    match sent {
        Ok(sent) => {
            let sent = sent as usize;
            for header in &storage.os.headers[..sent] {
                storage.results.push(Sent::Bytes(header.msg_len as usize));
            }
            sent
        }
        Err(error) if is_offload_refusal(&error) && is_train(&storage.messages[from]) => {
            socket.give_up_offload();
            0
        }
        Err(error) => {
            storage.results.push(result(Err(error)));
            1
        }
    }
}

fn is_offload_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EIO | libc::EINVAL | libc::EOPNOTSUPP | libc::ENOPROTOOPT)
    )
}

fn is_train(message: &Message) -> bool {
    matches!(message.target, Target::Udp { segment_len, .. } if message.len > segment_len)
}

fn fill_headers(storage: &mut BatchStorage, from: usize, count: usize, socket: &UdpSocket) {
    let mut scratch = std::mem::take(&mut storage.os);
    scratch.headers.clear();
    scratch.addresses.clear();
    scratch.controls.clear();
    // Reserved at once: the headers point into these.
    scratch.addresses.reserve(count);
    scratch.controls.reserve(count);
    for index in from..from + count {
        let message = &storage.messages[index];
        let Target::Udp { to, segment_len, .. } = message.target else {
            unreachable!("the run holds messages of this socket alone")
        };
        let slices = storage.slices_of(index);
        scratch.addresses.push(socket.destination(to));
        let address = scratch.addresses.last_mut().expect("just pushed");
        // SAFETY: all zeroes is a valid mmsghdr.
        let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        header.msg_hdr.msg_name = std::ptr::from_mut(&mut address.storage).cast();
        header.msg_hdr.msg_namelen = address.len;
        header.msg_hdr.msg_iov = slices.as_ptr().cast_mut();
        header.msg_hdr.msg_iovlen = slices.len();
        if message.len > segment_len {
            scratch.controls.push(Control::segment(segment_len));
            let control = scratch.controls.last_mut().expect("just pushed");
            header.msg_hdr.msg_control = std::ptr::from_mut(control).cast();
            header.msg_hdr.msg_controllen = size_of::<Control>();
        }
        scratch.headers.push(header);
    }
    storage.os = scratch;
}

impl Control {
    fn segment(len: usize) -> Self {
        // SAFETY: all zeroes is a valid cmsghdr.
        let mut header: libc::cmsghdr = unsafe { std::mem::zeroed() };
        // SAFETY: plain arithmetic.
        header.cmsg_len = unsafe { libc::CMSG_LEN(size_of::<u16>() as u32) } as usize;
        header.cmsg_level = libc::SOL_UDP;
        header.cmsg_type = UDP_SEGMENT;
        Control { header, segment: u16::try_from(len).unwrap_or(u16::MAX), padding: [0; 6] }
    }
}

/// Sends one message as single datagrams, without the kernel's help.
fn send_split(storage: &mut BatchStorage, index: usize, socket: &UdpSocket) {
    let Target::Udp { to, segment_len, .. } = storage.messages[index].target else {
        unreachable!("called for UDP messages alone")
    };
    let address = socket.destination(to);
    let mut split = std::mem::take(&mut storage.os.split);
    let mut slices = storage.slices_of(index).iter().copied();
    let mut rest = slices.next();
    let mut sent_bytes = 0;
    let outcome = loop {
        split.clear();
        let mut room = segment_len.max(1);
        while let Some(slice) = rest.as_mut().filter(|_| room > 0) {
            let take = slice.iov_len.min(room);
            split.push(libc::iovec { iov_base: slice.iov_base, iov_len: take });
            room -= take;
            if take == slice.iov_len {
                rest = slices.next();
            } else {
                slice.iov_len -= take;
                // SAFETY: `take` is less than the slice's length.
                slice.iov_base = unsafe { slice.iov_base.cast::<u8>().add(take) }.cast();
            }
        }
        if split.is_empty() {
            break Sent::Bytes(sent_bytes);
        }
        match send_datagram(socket.raw_fd(), &split, &address) {
            Ok(sent) => sent_bytes += sent,
            Err(_) if sent_bytes > 0 => break Sent::Bytes(sent_bytes),
            Err(error) => break result(Err(error)),
        }
    };
    storage.os.split = split;
    storage.results.push(outcome);
}

fn send_datagram(fd: RawFd, slices: &[libc::iovec], to: &RawAddress) -> io::Result<usize> {
    // SAFETY: all zeroes is a valid msghdr; slices and address are valid over the call.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_name = std::ptr::from_ref(&to.storage).cast_mut().cast();
        message.msg_namelen = to.len;
        message.msg_iov = slices.as_ptr().cast_mut();
        message.msg_iovlen = slices.len();
        check_len(libc::sendmsg(fd, &message, libc::MSG_NOSIGNAL))
    }
}
