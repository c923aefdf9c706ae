//! A server that is written down answer by answer, against the machine.

mod dialogue;
mod pair;

use bytes::BytesMut;

use super::*;
use crate::rtmp::chunk::{ChunkStreamId, Reader, Writer};
use crate::rtmp::command::Command;
use crate::rtmp::message::{Control, Kind};
use crate::rtmp::url::Url;

pub(super) struct Peer {
    pub(super) connection: Connection,
    pub(super) now: Instant,
    writer: Writer,
    reader: Reader,
}

/// What the server sees and the driver is told, in one order.
#[derive(Debug, PartialEq)]
pub(super) enum Seen {
    Command(Command, StreamId),
    Control(Control),
    Event(Event),
    Media(Message),
    Close,
}

impl Peer {
    /// A client of `rtmp://192.0.2.1/live/key?user=a` behind its handshake; gives what it said.
    pub(super) fn new(mode: Mode) -> (Self, Vec<Seen>) {
        let now = Instant::from_millis(1000);
        let url = Url::parse("rtmp://192.0.2.1/live/key?user=a").unwrap();
        let config = Config { handshake: Form::Plain, ..Config::default() };
        let mut connection = Connection::new(&url, mode, config, 1, now);
        let Output::Send(hello) = connection.poll() else { panic!() };
        assert_eq!(hello.len(), 1537);
        connection.handle(now, Input::Bytes(&[&[3][..], &[0; 3072]].concat()));
        let Output::Send(echo) = connection.poll() else { panic!() };
        assert_eq!(echo[..], [0; 1536]);
        let (writer, reader) = (Writer::new(), Reader::new(chunk::Limits::default()));
        let mut peer = Peer { connection, now, writer, reader };
        let seen = peer.drain();
        (peer, seen)
    }

    /// A client whose stream runs.
    pub(super) fn running(mode: Mode) -> Self {
        let (mut peer, _) = Peer::new(mode);
        peer.success();
        peer.command(&Command::new("_result", 4.0, [Value::Number(1.0)]), StreamId(0));
        let code = match mode {
            Mode::Publish => "NetStream.Publish.Start",
            Mode::Play => "NetStream.Play.Start",
        };
        let seen = peer.status(code);
        let is_running =
            matches!(seen[..], [Seen::Event(Event::Playing | Event::Publishing { .. })]);
        assert!(is_running, "{seen:?}");
        peer
    }

    /// The server takes connect.
    pub(super) fn success(&mut self) -> Vec<Seen> {
        let info = Status::new("NetConnection.Connect.Success", "fine").value();
        self.command(&Command::new("_result", 1.0, [info]), StreamId(0))
    }

    pub(super) fn status(&mut self, code: &str) -> Vec<Seen> {
        self.command(&Status::new(code, "").command(), StreamId(1))
    }

    pub(super) fn command(&mut self, command: &Command, on: StreamId) -> Vec<Seen> {
        self.message(&command.message(on))
    }

    pub(super) fn message(&mut self, message: &Message) -> Vec<Seen> {
        let mut out = BytesMut::new();
        self.writer.write(ChunkStreamId::COMMAND, message, &mut out);
        self.connection.handle(self.now, Input::Bytes(&out));
        self.drain()
    }

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
                Output::Media(message) => seen.push(Seen::Media(message)),
                Output::Close => seen.push(Seen::Close),
                Output::Send(bytes) => {
                    self.reader.push(&bytes);
                    while let Some(message) = self.reader.next().unwrap() {
                        seen.push(match Control::read(&message) {
                            Some(control) => Seen::Control(control),
                            None => {
                                let command = Command::read(&message).unwrap();
                                Seen::Command(command, message.stream)
                            }
                        });
                    }
                }
            }
        }
    }
}

/// The names of the commands among what was seen.
pub(super) fn commands(seen: &[Seen]) -> Vec<&str> {
    seen.iter()
        .filter_map(|seen| match seen {
            Seen::Command(command, _) => Some(command.name.as_str()),
            _ => None,
        })
        .collect()
}

/// The failure that was told before the end.
pub(super) fn failure(seen: &[Seen]) -> String {
    match seen {
        [.., Seen::Event(Event::Failed(failure)), Seen::Close] => failure.to_string(),
        _ => panic!("{seen:?}"),
    }
}

pub(super) fn media(kind: Kind) -> Message {
    Message { kind, time_ms: 5, stream: StreamId(1), body: Bytes::from_static(b"\xaf\x01x") }
}
