//! One end of a relayed connection: the user-space TCP on the link's side, a local connection on
//! the other.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use weir_proto::tcp::{Connection, Event, Output, Segment};
use weir_time::Instant;

use super::leg::{Came, Leg};

pub(super) struct End {
    pub(super) tcp: Connection,
    pub(super) leg: Leg,
    /// When the TCP wants to be called, as it is entered among the timers, and as it is now.
    pub(super) due: Option<Instant>,
    pub(super) next_due: Option<Instant>,
    /// The handshake is complete, and nobody has acted on it.
    connected: bool,
    peer_finished: bool,
    closed: bool,
}

impl End {
    pub(super) fn new(tcp: Connection, leg: Leg) -> Self {
        End {
            tcp,
            leg,
            due: None,
            next_due: None,
            connected: false,
            peer_finished: false,
            closed: false,
        }
    }

    /// The next segment for the link.
    pub(super) fn next_segment(&mut self, at: Instant) -> Option<Segment> {
        loop {
            match self.tcp.poll(at) {
                Output::Send(segment) => return Some(segment),
                Output::Event(event) => self.note(event),
                Output::Timeout(due) => {
                    self.next_due = due;
                    return None;
                }
            }
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Connected => self.connected = true,
            Event::PeerFinished => self.peer_finished = true,
            Event::Closed => self.closed = true,
            Event::Reset | Event::TimedOut => self.leg.reset(),
            Event::Readable | Event::Writable => {}
        }
    }

    /// Whether the handshake has completed since the last call.
    pub(super) fn take_connected(&mut self) -> bool {
        std::mem::take(&mut self.connected)
    }

    /// Lets bytes go both ways between the local connection and the TCP. `up` changes what the
    /// local program gets, `down` what it has sent; both get an empty piece at the end. Says
    /// whether anything went.
    pub(super) fn exchange(
        &mut self,
        scratch: &mut [u8],
        up: &mut dyn FnMut(Bytes) -> Bytes,
        down: &mut dyn FnMut(&[u8]) -> Bytes,
    ) -> bool {
        let moved =
            self.give_program(up).and_then(|out| Ok(self.take_from_program(scratch, down)? || out));
        moved.unwrap_or_else(|_| {
            self.fail();
            true
        })
    }

    fn give_program(&mut self, up: &mut dyn FnMut(Bytes) -> Bytes) -> io::Result<bool> {
        let mut moved = false;
        while self.leg.wants_write() {
            if self.leg.outgoing.is_empty() {
                if let Some(bytes) = self.tcp.recv(PIECE_BYTES) {
                    self.leg.outgoing = up(bytes);
                } else if self.peer_finished {
                    self.leg.outgoing = up(Bytes::new());
                    if self.leg.outgoing.is_empty() {
                        self.leg.finish();
                    }
                } else {
                    break;
                }
                moved = true;
            }
            self.leg.write()?;
        }
        Ok(moved)
    }

    fn take_from_program(
        &mut self,
        scratch: &mut [u8],
        down: &mut dyn FnMut(&[u8]) -> Bytes,
    ) -> io::Result<bool> {
        let mut moved = self.send_incoming();
        while self.leg.wants_read() && self.tcp.send_space() >= READ_BYTES_LEAST {
            let room = self.tcp.send_space().min(scratch.len());
            let Some(room) = scratch.get_mut(..room) else { break };
            match self.leg.read(room)? {
                Came::Bytes(bytes) => self.leg.incoming = down(&room[..bytes]),
                Came::Later => break,
                Came::End => self.leg.incoming = down(&[]),
            }
            moved = true;
            self.send_incoming();
        }
        if self.leg.has_read_ended() && self.leg.incoming.is_empty() {
            self.tcp.shutdown();
        }
        Ok(moved)
    }

    fn send_incoming(&mut self) -> bool {
        if self.leg.incoming.is_empty() {
            return false;
        }
        let accepted = self.tcp.send(self.leg.incoming.clone());
        self.leg.incoming.advance(accepted);
        accepted > 0
    }

    /// Adds to what the program is to get.
    pub(super) fn add_outgoing(&mut self, bytes: Bytes) -> bool {
        if bytes.is_empty() {
            return false;
        }
        let mut joined = BytesMut::from(&self.leg.outgoing[..]);
        joined.extend_from_slice(&bytes);
        self.leg.outgoing = joined.freeze();
        true
    }

    /// Ends it by a reset both ways.
    pub(super) fn fail(&mut self) {
        self.tcp.abort();
        self.leg.reset();
    }

    /// Whether nothing is left to be done.
    pub(super) fn is_over(&self) -> bool {
        self.has_tcp_ended() && self.leg.is_over()
    }

    /// Whether the TCP has said and heard all, or was reset.
    pub(super) fn has_tcp_ended(&self) -> bool {
        self.closed || self.tcp.is_closed()
    }

    /// Bytes that the local side holds on the way in and on the way out.
    pub(super) fn held_bytes(&self) -> (u64, u64) {
        self.leg.held_bytes(&self.tcp)
    }
}

/// What is given to a program at once.
const PIECE_BYTES: usize = 16 << 10;
/// So little room is not worth a read.
const READ_BYTES_LEAST: usize = super::NOT_SENT_BYTES_MAX / 2;
