//! A bare forwarder of datagrams: one `recvmmsg`, one `sendmmsg`, no protocol and no link between.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use anyhow::Context;

use crate::sys;

/// It forwards until it is killed, from whoever sends to one target.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to listen; port 0 is any free one, which is printed
    listen: SocketAddr,
    /// Where to send on to
    target: SocketAddr,
    /// Asked size of the receive buffer
    #[arg(long, default_value_t = 4 << 20)]
    receive_buffer_bytes: i32,
}

/// Runs until killed.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    sys::end_with_parent()?;
    let inward = UdpSocket::bind(args.listen).context("cannot listen")?;
    sys::set_option(&inward, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, args.receive_buffer_bytes)
        .or_else(|_| {
            sys::set_option(&inward, libc::SOL_SOCKET, libc::SO_RCVBUF, args.receive_buffer_bytes)
        })?;
    let outward = UdpSocket::bind("0.0.0.0:0")?;
    outward.connect(args.target)?;
    println!("{{\"event\":\"listening\",\"address\":\"{}\"}}", inward.local_addr()?);
    let mut buffers = vec![[0_u8; DATAGRAM_BYTES_MAX]; BATCH];
    let mut vectors: Vec<libc::iovec> = buffers
        .iter_mut()
        .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() })
        .collect();
    let mut messages: Vec<libc::mmsghdr> = vectors
        .iter_mut()
        .map(|vector| {
            // SAFETY: an mmsghdr is integers and pointers, for which zero is a value.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
            message
        })
        .collect();
    loop {
        for vector in &mut vectors {
            vector.iov_len = DATAGRAM_BYTES_MAX;
        }
        let (fd, start) = (inward.as_raw_fd(), messages.as_mut_ptr());
        // SAFETY: headers, vectors and buffers live and stay in place over both calls.
        let count = unsafe {
            libc::recvmmsg(fd, start, BATCH as libc::c_uint, libc::MSG_WAITFORONE, ptr::null_mut())
        };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error).context("cannot receive");
        };
        for (vector, message) in vectors.iter_mut().zip(&messages).take(count) {
            vector.iov_len = message.msg_len as usize;
        }
        let mut sent = 0;
        while sent < count {
            // SAFETY: as above.
            let more = unsafe {
                let start = messages.as_mut_ptr().add(sent);
                libc::sendmmsg(outward.as_raw_fd(), start, (count - sent) as libc::c_uint, 0)
            };
            // What the target does not take is not sent again.
            sent += usize::try_from(more).unwrap_or(1).max(1);
        }
    }
}

const BATCH: usize = 64;
const DATAGRAM_BYTES_MAX: usize = 2048;
