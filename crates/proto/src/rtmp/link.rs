//! What both ends do behind the handshake: messages in and out, acknowledgements, pings.

use bytes::{Bytes, BytesMut};

use super::chunk::{self, ChunkStreamId, Reader, Writer};
use super::command::Command;
use super::message::{Control, Message, StreamId, User};

/// A chunk stream in each direction.
#[derive(Debug)]
pub(super) struct Link {
    reader: Reader,
    writer: Writer,
    out: BytesMut,
    /// Bytes that came since the handshake.
    received: u64,
    /// How many of them were acknowledged.
    acknowledged: u64,
    /// The peer wants an acknowledgement after so many bytes.
    window_bytes: u32,
    /// What was said to the peer last.
    own_window_bytes: u32,
    /// What the peer has acknowledged last, modulo 2^32.
    peer_received: Option<u32>,
}

impl Link {
    pub(super) fn new(limits: chunk::Limits) -> Self {
        Link {
            reader: Reader::new(limits),
            writer: Writer::new(),
            out: BytesMut::new(),
            received: 0,
            acknowledged: 0,
            window_bytes: WINDOW_BYTES,
            own_window_bytes: 0,
            peer_received: None,
        }
    }

    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    pub(super) fn peer_received(&self) -> Option<u32> {
        self.peer_received
    }

    /// Takes bytes that came. Acknowledges at half the window, whether or not the peer has named
    /// one: encoders stop sending when they wait for it.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.reader.push(bytes);
        self.received += bytes.len() as u64;
        if self.received - self.acknowledged >= u64::from(self.window_bytes / 2) {
            self.acknowledged = self.received;
            // The number wraps (section 5.4.3).
            self.control(Control::Acknowledgement(self.received as u32));
        }
    }

    /// The next message that is not about the connection itself; those are followed here.
    pub(super) fn next(&mut self) -> Result<Option<Message>, chunk::Error> {
        while let Some(message) = self.reader.next()? {
            match Control::read(&message) {
                Some(control) => self.follow(control),
                None => return Ok(Some(message)),
            }
        }
        Ok(None)
    }

    pub(super) fn message(&mut self, on: ChunkStreamId, message: &Message) {
        self.writer.write(on, message, &mut self.out);
    }

    pub(super) fn control(&mut self, control: Control) {
        if let Control::WindowAckSize(bytes) = control {
            self.own_window_bytes = bytes;
        }
        self.message(ChunkStreamId::CONTROL, &control.message());
    }

    pub(super) fn command(&mut self, command: &Command, stream: StreamId) {
        let on = match stream {
            StreamId::CONNECTION => ChunkStreamId::COMMAND,
            _ => ChunkStreamId::DATA,
        };
        self.message(on, &command.message(stream));
    }

    pub(super) fn set_chunk_bytes(&mut self, bytes: u32) {
        self.writer.set_chunk_bytes(bytes, &mut self.out);
    }

    /// Bytes that are whole messages already.
    pub(super) fn packed(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// What is to be sent.
    pub(super) fn take_out(&mut self) -> Option<Bytes> {
        (!self.out.is_empty()).then(|| core::mem::take(&mut self.out).freeze())
    }

    fn follow(&mut self, control: Control) {
        match control {
            Control::WindowAckSize(bytes) => self.window_bytes = bytes,
            Control::SetPeerBandwidth { window_bytes, .. } => {
                // Section 5.4.5: to be answered where it differs from what was said last.
                if window_bytes != self.own_window_bytes {
                    self.control(Control::WindowAckSize(window_bytes));
                }
            }
            Control::Acknowledgement(bytes) => self.peer_received = Some(bytes),
            Control::User(User::PingRequest(time)) => {
                self.control(Control::User(User::PingResponse(time)));
            }
            Control::User(_) | Control::SetChunkSize(_) => {}
        }
    }
}

/// The window that most servers name, and that is kept to before any was named.
pub(super) const WINDOW_BYTES: u32 = 2_500_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::message::Kind;

    fn link() -> Link {
        Link::new(chunk::Limits::default())
    }

    fn sent(control: Control) -> Bytes {
        let mut link = link();
        link.control(control);
        link.take_out().unwrap()
    }

    /// What a link answers to bytes that came, as messages about the connection.
    fn answers(link: &mut Link, bytes: &[u8]) -> Vec<Control> {
        link.push(bytes);
        while link.next().unwrap().is_some() {}
        let mut reader = Reader::new(chunk::Limits::default());
        reader.push(&link.take_out().unwrap_or_default());
        let mut answers = Vec::new();
        while let Some(message) = reader.next().unwrap() {
            answers.push(Control::read(&message).unwrap());
        }
        answers
    }

    #[test]
    fn a_ping_is_answered_with_its_time() {
        let answers = answers(&mut link(), &sent(Control::User(User::PingRequest(77))));
        assert_eq!(answers, [Control::User(User::PingResponse(77))]);
    }

    #[test]
    fn a_bandwidth_is_answered_with_a_window_once() {
        let mut link = link();
        let bandwidth = sent(Control::SetPeerBandwidth { window_bytes: 5_000_000, limit: 2 });
        assert_eq!(answers(&mut link, &bandwidth), [Control::WindowAckSize(5_000_000)]);
        assert_eq!(answers(&mut link, &bandwidth), []);
    }

    #[test]
    fn bytes_are_acknowledged_at_half_the_window() {
        let mut link = link();
        let window = sent(Control::WindowAckSize(1000));
        assert_eq!(answers(&mut link, &window), []);
        let message = Message {
            kind: Kind::Audio,
            time_ms: 0,
            stream: StreamId(1),
            body: vec![0; 90].into(),
        };
        let mut bytes = BytesMut::new();
        Writer::new().write(ChunkStreamId::AUDIO, &message, &mut bytes);
        let mut came = window.len();
        let mut acknowledged = Vec::new();
        for _ in 0..10 {
            came += bytes.len();
            for answer in answers(&mut link, &bytes) {
                acknowledged.push((answer, came));
            }
        }
        let expected = [526, 1036].map(|n| (Control::Acknowledgement(n), n as usize));
        assert_eq!(acknowledged, expected);
    }

    #[test]
    fn bytes_are_acknowledged_though_the_peer_names_no_window() {
        // Encoders that never send Window Acknowledgement Size stop without an acknowledgement.
        let mut link = link();
        let message = Message {
            kind: Kind::Video,
            time_ms: 0,
            stream: StreamId(1),
            body: vec![0; 1_300_000].into(),
        };
        let mut bytes = BytesMut::new();
        Writer::new().write(ChunkStreamId::VIDEO, &message, &mut bytes);
        let expected = [Control::Acknowledgement(bytes.len() as u32)];
        assert_eq!(answers(&mut link, &bytes), expected);
    }

    #[test]
    fn the_number_of_an_acknowledgement_wraps_at_32_bits() {
        let mut link = link();
        link.received = u64::from(u32::MAX) - 10;
        link.acknowledged = link.received;
        link.window_bytes = 30;
        let answers = answers(&mut link, &sent(Control::WindowAckSize(30)));
        assert_eq!(answers, [Control::Acknowledgement(5)]);
    }
}
