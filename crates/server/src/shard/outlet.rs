//! Outlets: what a shard writes to the control connections of its viewers.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::{Buf, Bytes};
use weir_net::TcpStream;

/// The writing side of one control connection.
///
/// All bytes to the peer go through here, so that replies, RTCP and interleaved media never mix
/// within a message.
pub(crate) struct Outlet {
    pub(crate) stream: Rc<TcpStream>,
    /// The rest of a half-sent media message, then replies and RTCP; the first may be half sent.
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    /// The socket took less than all: it will ring.
    pub(crate) blocked: bool,
    /// The viewer whose media is interleaved here.
    pub(crate) viewer: Option<usize>,
    /// No more than this is to be sent; then the connection is shut down.
    pub(crate) closing: bool,
    /// The connection is over.
    pub(crate) failed: bool,
}

/// A peer that lets more than this wait reads nothing: its connection is given up.
pub(crate) const WAITING_BYTES_MAX: usize = 256 * 1024;

impl Outlet {
    pub(crate) fn new(stream: Rc<TcpStream>) -> Self {
        Outlet {
            stream,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            blocked: false,
            viewer: None,
            closing: false,
            failed: false,
        }
    }

    /// Adds a whole message; `false` if too much waits already.
    pub(crate) fn push(&mut self, message: Bytes) -> bool {
        if self.waiting_bytes + message.len() > WAITING_BYTES_MAX {
            return false;
        }
        self.waiting_bytes += message.len();
        self.waiting.push_back(message);
        true
    }

    /// Keeps the rest of a media message that was sent in part. Nothing else waits then: media
    /// goes behind all that does.
    pub(crate) fn keep_rest(&mut self, rest: [Bytes; 2]) {
        for part in rest.into_iter().filter(|part| !part.is_empty()) {
            self.waiting_bytes += part.len();
            self.waiting.push_back(part);
        }
    }

    /// What waits, in order.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &[u8]> {
        self.waiting.iter().map(|message| &message[..])
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Forgets the first `bytes` of what waits: they were sent.
    pub(crate) fn sent(&mut self, mut bytes: usize) {
        self.waiting_bytes -= bytes;
        while bytes > 0
            && let Some(first) = self.waiting.front_mut()
        {
            let part = bytes.min(first.len());
            first.advance(part);
            bytes -= part;
            if first.is_empty() {
                self.waiting.pop_front();
            }
        }
    }

    /// Sends what waits, as far as the socket takes it.
    pub(crate) fn flush(&mut self) {
        while !self.blocked
            && !self.failed
            && let Some(first) = self.waiting.front()
        {
            let len = first.len();
            match self.stream.try_write(first) {
                Ok(written) => {
                    self.blocked = written < len;
                    self.sent(written);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => self.blocked = true,
                Err(_) => self.failed = true,
            }
        }
        if self.closing && self.waiting.is_empty() && !self.failed {
            self.stream.shutdown();
        }
    }
}
