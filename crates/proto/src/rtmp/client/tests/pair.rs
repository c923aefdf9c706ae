//! Both machines joined.

use weir_media::MediaTime;

use super::super::{Config, Connection, Event, Input, Mode, Output};
use crate::rtmp::handshake::Form;
use crate::rtmp::message::StreamId;
use crate::rtmp::metadata::For;
use crate::rtmp::pack::Packer;
use crate::rtmp::pack::tests::{frame, picture, tracks};
use crate::rtmp::receive::{Received, Receiver, Settings};
use crate::rtmp::server;
use crate::rtmp::url::Url;
use bytes::{Bytes, BytesMut};
use weir_time::Instant;

/// Both ends, and what waits between them.
struct Pair {
    client: Connection,
    server: server::Connection,
    to_server: BytesMut,
    to_client: BytesMut,
    at_server: Receiver,
    at_client: Receiver,
    server_events: Vec<server::Event>,
    client_events: Vec<Event>,
    piece_bytes: usize,
}

impl Pair {
    fn new(mode: Mode, handshake: Form, piece_bytes: usize) -> Self {
        let url = Url::parse("rtmp://192.0.2.1/live/key?user=a").unwrap();
        let config = Config { handshake, ..Config::default() };
        let now = Instant::ZERO;
        Pair {
            client: Connection::new(&url, mode, config, 1, now),
            server: server::Connection::new(server::Config::default(), 2, now),
            to_server: BytesMut::new(),
            to_client: BytesMut::new(),
            at_server: Receiver::new(Settings::default()),
            at_client: Receiver::new(Settings::default()),
            server_events: Vec::new(),
            client_events: Vec::new(),
            piece_bytes,
        }
    }

    /// Carries bytes until nothing moves; questions are answered with yes.
    fn run(&mut self) {
        loop {
            self.poll_client();
            self.poll_server();
            if self.to_server.is_empty() && self.to_client.is_empty() {
                return;
            }
            let bytes = self.to_server.split_to(self.piece_bytes.min(self.to_server.len()));
            if !bytes.is_empty() {
                self.server.handle(Instant::ZERO, server::Input::Bytes(&bytes));
            }
            let bytes = self.to_client.split_to(self.piece_bytes.min(self.to_client.len()));
            if !bytes.is_empty() {
                self.client.handle(Instant::ZERO, Input::Bytes(&bytes));
            }
        }
    }

    fn poll_client(&mut self) {
        loop {
            match self.client.poll() {
                Output::Timeout(_) => return,
                Output::Send(bytes) => self.to_server.extend_from_slice(&bytes),
                Output::Media(message) => self.at_client.push(Instant::ZERO, &message),
                Output::Event(Event::Metadata(values)) => self.at_client.metadata(&values),
                Output::Event(event) => self.client_events.push(event),
                Output::Close => {}
            }
        }
    }

    fn poll_server(&mut self) {
        loop {
            match self.server.poll() {
                server::Output::Timeout(_) => return,
                server::Output::Send(bytes) => self.to_client.extend_from_slice(&bytes),
                server::Output::Media { message, .. } => {
                    self.at_server.push(Instant::ZERO, &message);
                }
                server::Output::Event(event) => {
                    match &event {
                        server::Event::Connect { token, .. } => {
                            self.server.connect(*token, Ok(())).unwrap();
                        }
                        server::Event::Publish { token, .. } => {
                            self.server.publish(*token, Ok(())).unwrap();
                        }
                        server::Event::Play { token, .. } => {
                            self.server.play(*token, Ok(opening(For::Player))).unwrap();
                        }
                        server::Event::Metadata { values, .. } => self.at_server.metadata(values),
                        _ => {}
                    }
                    self.server_events.push(event);
                }
                server::Output::Close => {}
            }
        }
    }
}

fn packer() -> Packer {
    Packer::new(&tracks(), MediaTime::ZERO).unwrap()
}

fn opening(whom: For) -> Bytes {
    packer().opening(0, "weir", whom)
}

fn sent() -> [Bytes; 2] {
    let mut packer = packer();
    [
        packer.pack(&frame(0, 0, 80, picture(150_000))).unwrap().bytes,
        packer.pack(&frame(1, 10, 10, &b"\x21\x10"[..])).unwrap().bytes,
    ]
}

/// That a receiver has the tracks and both frames, in this order.
fn has_all(receiver: &mut Receiver) {
    assert_eq!(receiver.poll(), Some(Received::Tracks(tracks())));
    let Some(Received::Frame(first)) = receiver.poll() else { panic!() };
    assert_eq!((first.payload.len(), first.pts), (150_004, MediaTime::from_ticks(80, 1000)));
    let Some(Received::Frame(second)) = receiver.poll() else { panic!() };
    assert_eq!(second.payload[..], *b"\x21\x10");
    assert_eq!(receiver.poll(), None);
}

#[test]
fn a_published_stream_arrives_in_pieces_of_any_size() {
    for (form, piece_bytes) in [(Form::Plain, 1), (Form::Digest, 777), (Form::Digest, 100_000)] {
        let mut pair = Pair::new(Mode::Publish, form, piece_bytes);
        pair.run();
        let Some(Event::Publishing { stream, chunk_bytes, codecs }) = pair.client_events.pop()
        else {
            panic!("{:?}", pair.client_events);
        };
        assert_eq!((stream, chunk_bytes, codecs.len()), (StreamId(1), 60_000, 7));
        pair.to_server.extend_from_slice(&opening(For::Server));
        sent().iter().for_each(|bytes| pair.to_server.extend_from_slice(bytes));
        pair.run();
        has_all(&mut pair.at_server);
        pair.client.finish(Instant::ZERO);
        pair.run();
        assert_eq!(pair.client_events, [Event::Ended]);
        let reason = server::EndReason::Asked;
        let (stream, role) = (StreamId(1), server::Role::Publisher);
        let ended = server::Event::Ended { stream, role, reason };
        assert_eq!(pair.server_events.last(), Some(&ended));
    }
}

#[test]
fn a_played_stream_arrives_with_its_tracks_first() {
    let mut pair = Pair::new(Mode::Play, Form::Digest, 1000);
    pair.run();
    assert!(matches!(pair.client_events.last(), Some(Event::Playing)), "{:?}", pair.client_events);
    sent().iter().for_each(|bytes| pair.to_client.extend_from_slice(bytes));
    pair.run();
    has_all(&mut pair.at_client);
    let why = server::Refusal::new(server::Code::PLAY_FAILED, "over");
    pair.server.finish(StreamId(1), &why).unwrap();
    pair.run();
    assert_eq!(pair.client_events.last(), Some(&Event::Ended));
}

#[test]
fn millions_of_bytes_are_acknowledged_on_the_way() {
    let mut pair = Pair::new(Mode::Publish, Form::Plain, 100_000);
    pair.run();
    pair.to_server.extend_from_slice(&opening(For::Server));
    let [first, _] = sent();
    for _ in 0..20 {
        pair.to_server.extend_from_slice(&first);
        pair.run();
    }
    let acknowledged = pair.client.peer_received_bytes().unwrap();
    assert!(acknowledged > 1_250_000, "{acknowledged}");
}
