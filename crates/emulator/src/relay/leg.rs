//! A local connection of a relay: between a real program and the emulated link.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

use bytes::{Buf, Bytes};
use weir_proto::tcp::Connection;

use super::socket::{held_bytes, reset_on_close};

/// One local connection, with what is on its way between it and the user-space TCP.
#[derive(Debug, Default)]
pub(super) struct Leg {
    stream: Option<TcpStream>,
    is_connecting: bool,
    /// There never was a connection: the target refused it, or could not be reached.
    was_refused: bool,
    readable: bool,
    writable: bool,
    /// Taken from the program and not yet from us.
    pub(super) incoming: Bytes,
    /// Taken from the TCP and not yet by the program.
    pub(super) outgoing: Bytes,
    /// The program sends no more, and all it sent has been passed on.
    read_ended: bool,
    /// The program has been told that no more comes.
    write_ended: bool,
}

/// What a read gave.
#[derive(Debug)]
pub(super) enum Came {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Later,
    /// The program sends no more.
    End,
}

impl Leg {
    /// A connection that stands.
    pub(super) fn open(stream: TcpStream) -> Self {
        Leg { stream: Some(stream), readable: true, writable: true, ..Leg::default() }
    }

    /// A connection that is being made.
    pub(super) fn connecting(stream: TcpStream) -> Self {
        Leg { stream: Some(stream), is_connecting: true, ..Leg::default() }
    }

    pub(super) fn stream(&self) -> Option<&TcpStream> {
        self.stream.as_ref()
    }

    /// The system says that there is something to read, or room to write.
    pub(super) fn note(&mut self, readable: bool, writable: bool) -> io::Result<()> {
        if self.is_connecting {
            if !writable {
                return Ok(());
            }
            self.is_connecting = false;
            if let Some(error) = self.stream.as_ref().and_then(|s| s.take_error().ok().flatten()) {
                self.was_refused = true;
                return Err(error);
            }
            self.readable = true;
        }
        self.readable |= readable;
        self.writable |= writable;
        Ok(())
    }

    /// An error that came while nothing was being read or written.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        self.stream.as_ref()?.take_error().ok().flatten()
    }

    /// Whether a read may give something.
    pub(super) fn wants_read(&self) -> bool {
        self.readable && !self.read_ended && self.incoming.is_empty() && self.stream.is_some()
    }

    /// Whether a write may be taken.
    pub(super) fn wants_write(&self) -> bool {
        self.writable && !self.write_ended && self.stream.is_some()
    }

    pub(super) fn read(&mut self, room: &mut [u8]) -> io::Result<Came> {
        let Some(mut stream) = self.stream.as_ref() else { return Ok(Came::Later) };
        loop {
            match stream.read(room) {
                Ok(0) => {
                    self.read_ended = true;
                    return Ok(Came::End);
                }
                Ok(bytes) => return Ok(Came::Bytes(bytes)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Ok(Came::Later);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives the program what is on its way to it; says whether all of it was taken.
    pub(super) fn write(&mut self) -> io::Result<bool> {
        let Some(mut stream) = self.stream.as_ref() else { return Ok(false) };
        while !self.outgoing.is_empty() {
            match stream.write(&self.outgoing) {
                Ok(bytes) => self.outgoing.advance(bytes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writable = false;
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Tells the program that no more comes.
    pub(super) fn finish(&mut self) {
        if let Some(stream) = self.stream.as_ref().filter(|_| !self.write_ended) {
            // One that has gone meanwhile needs not be told.
            let _ = stream.shutdown(Shutdown::Write);
        }
        self.write_ended = true;
    }

    /// Ends it so that the program sees a reset.
    pub(super) fn reset(&mut self) {
        if let Some(stream) = self.stream.take() {
            reset_on_close(&stream);
        }
        *self = Leg { read_ended: true, write_ended: true, ..Leg::default() };
    }

    /// Whether both directions have ended.
    pub(super) fn is_over(&self) -> bool {
        self.read_ended && self.write_ended && self.incoming.is_empty()
    }

    pub(super) fn was_refused(&self) -> bool {
        self.was_refused
    }

    pub(super) fn has_read_ended(&self) -> bool {
        self.read_ended
    }

    /// Bytes held on the way in from the program and out to it, in the system's buffers and here;
    /// those that `tcp` has accepted and not sent are on the way in too.
    pub(super) fn held_bytes(&self, tcp: &Connection) -> (u64, u64) {
        let (waiting, unacknowledged) = self.stream.as_ref().map_or((0, 0), held_bytes);
        let incoming = waiting + (self.incoming.len() + tcp.not_sent_bytes()) as u64;
        (incoming, unacknowledged + self.outgoing.len() as u64)
    }
}
