//! A client that is written down command by command, against the machine.

mod dialogue;
mod endings;
mod oddities;
mod transcripts;

use core::time::Duration;

use bytes::BytesMut;
use weir_time::Instant;

use super::*;
use crate::rtmp::chunk::{ChunkStreamId, Reader, Writer};
use crate::rtmp::command::Command;
use crate::rtmp::message::{Control, Kind};

/// The machine, and what the client at the other end has seen.
pub(super) struct Peer {
    pub(super) connection: Connection,
    pub(super) now: Instant,
    pub(super) closed: bool,
    writer: Writer,
    reader: Reader,
}

/// What a client sees and the driver is told, in one order.
#[derive(Debug, PartialEq)]
pub(super) enum Seen {
    Command(Command, StreamId),
    Control(Control),
    Message(Message),
    Event(Event),
    Media(StreamId, Message),
    Close,
}

impl Peer {
    /// A client behind its handshake.
    pub(super) fn new() -> Self {
        Peer::with(Config::default())
    }

    pub(super) fn with(config: Config) -> Self {
        let now = Instant::from_millis(1000);
        let mut connection = Connection::new(config, 1, now);
        connection.handle(now, Input::Bytes(&[&[3][..], &[0; 3072]].concat()));
        let Output::Send(hello) = connection.poll() else { panic!() };
        assert_eq!(hello.len(), 3073);
        let (writer, reader) = (Writer::new(), Reader::new(chunk::Limits::default()));
        Peer { connection, now, closed: false, writer, reader }
    }

    /// A client that is connected to `app`.
    pub(super) fn connected(app: &str) -> Self {
        let mut peer = Peer::new();
        let seen = peer.command(&connect(app), StreamId(0));
        let [Seen::Event(Event::Connect { token, .. })] = seen[..] else { panic!("{seen:?}") };
        peer.connection.connect(token, Ok(())).unwrap();
        peer.drain();
        peer
    }

    /// A client that publishes `live/key` on stream 1.
    pub(super) fn publishing() -> Self {
        let mut peer = Peer::connected("live");
        peer.command(&Command::new("createStream", 4.0, []), StreamId(0));
        let publish = Command::new("publish", 5.0, ["key".into(), "live".into()]);
        let seen = peer.command(&publish, StreamId(1));
        let [Seen::Event(Event::Publish { token, .. })] = seen[..] else { panic!("{seen:?}") };
        peer.connection.publish(token, Ok(())).unwrap();
        peer.drain();
        peer
    }

    /// A client that plays `live/key`.
    pub(super) fn playing() -> Self {
        let mut peer = Peer::connected("live");
        peer.command(&Command::new("createStream", 4.0, []), StreamId(0));
        let token = peer.ask_to_play("key");
        peer.connection.play(token, Ok(Bytes::new())).unwrap();
        peer.drain();
        peer
    }

    pub(super) fn ask_to_play(&mut self, name: &str) -> Token {
        let play = Command::new("play", 5.0, [name.into(), (-2000.0).into()]);
        let seen = self.command(&play, StreamId(1));
        match seen[..] {
            [Seen::Event(Event::Play { token, .. })] => token,
            _ => panic!("{seen:?}"),
        }
    }

    pub(super) fn command(&mut self, command: &Command, on: StreamId) -> Vec<Seen> {
        self.message(&command.message(on))
    }

    pub(super) fn message(&mut self, message: &Message) -> Vec<Seen> {
        let mut out = BytesMut::new();
        self.writer.write(ChunkStreamId::COMMAND, message, &mut out);
        self.bytes(&out)
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Vec<Seen> {
        self.connection.handle(self.now, Input::Bytes(bytes));
        self.drain()
    }

    /// Lets the next timer run; gives how long it took.
    pub(super) fn wait(&mut self) -> (Duration, Vec<Seen>) {
        let Output::Timeout(at) = self.connection.poll() else { panic!() };
        let at = at.expect("a timer runs");
        let waited = at.since(self.now);
        self.now = at;
        self.connection.handle(at, Input::Timer);
        (waited, self.drain())
    }

    pub(super) fn drain(&mut self) -> Vec<Seen> {
        let mut seen = Vec::new();
        loop {
            match self.connection.poll() {
                Output::Timeout(_) => return seen,
                Output::Event(event) => seen.push(Seen::Event(event)),
                Output::Media { stream, message } => seen.push(Seen::Media(stream, message)),
                Output::Close => {
                    self.closed = true;
                    seen.push(Seen::Close);
                }
                Output::Send(bytes) => {
                    self.reader.push(&bytes);
                    while let Some(message) = self.reader.next().unwrap() {
                        seen.push(match message.kind {
                            Kind::CommandAmf0 => {
                                Seen::Command(Command::read(&message).unwrap(), message.stream)
                            }
                            _ => match Control::read(&message) {
                                Some(control) => Seen::Control(control),
                                None => Seen::Message(message),
                            },
                        });
                    }
                }
            }
        }
    }
}

pub(super) fn connect(app: &str) -> Command {
    let object = Value::object([
        ("app", app.into()),
        ("type", "nonprivate".into()),
        ("flashVer", "FMLE/3.0 (compatible; FMSc/1.0)".into()),
        ("tcUrl", format!("rtmp://192.0.2.1/{app}").as_str().into()),
    ]);
    Command { name: "connect".into(), transaction: 1.0, arguments: vec![object] }
}

/// The commands among what was seen, in short: the name, and the code where there is one.
pub(super) fn commands(seen: &[Seen]) -> Vec<String> {
    seen.iter()
        .filter_map(|seen| match seen {
            Seen::Command(command, _) => {
                let code = command.argument(1).get("code").and_then(Value::as_str);
                Some([&command.name, code.unwrap_or_default()].join(" ").trim().to_owned())
            }
            _ => None,
        })
        .collect()
}

/// The events among what was seen.
pub(super) fn events(seen: Vec<Seen>) -> Vec<Event> {
    seen.into_iter()
        .filter_map(|seen| match seen {
            Seen::Event(event) => Some(event),
            _ => None,
        })
        .collect()
}

pub(super) fn media(kind: Kind, time_ms: u32, stream: u32) -> Message {
    let body = Bytes::from_static(b"\xaf\x01x");
    Message { kind, time_ms, stream: StreamId(stream), body }
}
