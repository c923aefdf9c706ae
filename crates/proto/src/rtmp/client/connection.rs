//! The machine: bytes and time in, commands, events, media and timers out.

use core::time::Duration;
use std::collections::VecDeque;

use bytes::BytesMut;
use weir_time::Instant;

use super::{Cause, Config, Event, Failure, Input, Mode, Output, Step};
use crate::amf::amf0::Value;
use crate::rtmp::chunk::ChunkStreamId;
use crate::rtmp::command::{self, Command, Data, Status};
use crate::rtmp::handshake;
use crate::rtmp::link::{Link, WINDOW_BYTES};
use crate::rtmp::message::{Control, Kind, Message, StreamId, User, aggregated};
use crate::rtmp::metadata::CODECS;
use crate::rtmp::url::Url;

/// The client's end of a connection. See the module's text for the run loop.
#[derive(Debug)]
pub struct Connection {
    config: Config,
    mode: Mode,
    app: String,
    tc_url: String,
    name: String,
    link: Link,
    handshake: Option<handshake::Client>,
    hello: BytesMut,
    step: Step,
    stream: StreamId,
    /// The codecs that the server named.
    codecs: Vec<String>,
    outputs: VecDeque<Output>,
    closed: bool,
    now: Instant,
    /// When the step began.
    since: Instant,
    /// When the last bytes came.
    heard_at: Instant,
    stray_messages: u64,
}

impl Connection {
    /// A connection that has just been made, to the host and port of `url`. The random bytes of
    /// its handshake depend on `seed` alone; nothing secret comes of them. User and password in
    /// `url` are neither used nor sent: see the module's text on credentials.
    pub fn new(url: &Url, mode: Mode, config: Config, seed: u64, now: Instant) -> Self {
        let mut hello = BytesMut::new();
        let handshake = handshake::Client::new(config.handshake, seed, &mut hello);
        let (mut app, mut tc_url) = (url.app.clone(), url.tc_url());
        if let Some(query) = &config.authorization {
            for text in [&mut app, &mut tc_url] {
                text.push('?');
                text.push_str(query);
            }
        }
        Connection {
            link: Link::new(config.limits),
            config,
            mode,
            app,
            tc_url,
            name: url.name.clone(),
            handshake: Some(handshake),
            hello,
            step: Step::Handshake,
            stream: StreamId::FIRST,
            codecs: Vec::new(),
            outputs: VecDeque::new(),
            closed: false,
            now,
            since: now,
            heard_at: now,
            stray_messages: 0,
        }
    }

    /// Takes an input in. Poll afterwards, until [`Output::Timeout`].
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = self.now.max(now);
        if self.closed {
            return;
        }
        match input {
            Input::Bytes(bytes) => self.push(bytes),
            Input::Closed if self.step == Step::Finish => self.end(),
            Input::Closed => self.fail(Cause::ConnectionLost),
            Input::Timer => self.expire(),
        }
    }

    /// What the connection wants next. [`Output::Timeout`] means: nothing until the next input.
    pub fn poll(&mut self) -> Output {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return output;
            }
            if !self.hello.is_empty() {
                return Output::Send(core::mem::take(&mut self.hello).freeze());
            }
            if let Some(bytes) = self.link.take_out() {
                return Output::Send(bytes);
            }
            if self.closed {
                return Output::Timeout(None);
            }
            if self.handshake.is_some() {
                return Output::Timeout(self.deadline());
            }
            match self.link.next() {
                Ok(Some(message)) => self.take(message),
                Ok(None) => match self.link.take_out() {
                    Some(bytes) => return Output::Send(bytes),
                    None => return Output::Timeout(self.deadline()),
                },
                Err(error) => self.fail(error.into()),
            }
        }
    }

    /// Ends the stream from this side: a server is told that publishing is over, and has a while
    /// to confirm it. [`Event::Ended`] follows.
    pub fn finish(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.closed || self.step == Step::Finish {
            return;
        }
        if self.step != Step::Running {
            return self.end();
        }
        if self.mode == Mode::Publish {
            let unpublish = Command::new("FCUnpublish", UNPUBLISH, [self.name.as_str().into()]);
            self.link.command(&unpublish, StreamId::CONNECTION);
        }
        let number = Value::Number(self.stream.0.into());
        let delete = Command::new("deleteStream", DELETE, [number]);
        self.link.command(&delete, StreamId::CONNECTION);
        self.go(Step::Finish);
        if self.mode == Mode::Play {
            self.end();
        }
    }

    /// Where the connection stands.
    pub fn step(&self) -> Step {
        self.step
    }

    /// What the server has acknowledged last, modulo 2^32; `None` if it never has. Some count
    /// from the last acknowledgement, so it is good for a look and for nothing else.
    pub fn peer_received_bytes(&self) -> Option<u32> {
        self.link.peer_received()
    }

    /// How many messages came that nothing here wants. They are dropped.
    pub fn stray_messages(&self) -> u64 {
        self.stray_messages
    }

    fn push(&mut self, bytes: &[u8]) {
        self.heard_at = self.now;
        let Some(handshake) = &mut self.handshake else {
            return self.link.push(bytes);
        };
        match handshake.handle(bytes, &mut self.hello) {
            Ok(None) => {}
            Ok(Some(rest)) => {
                self.handshake = None;
                self.go(Step::Connect);
                self.send_connect();
                self.link.push(&rest);
            }
            Err(error) => self.fail(error.into()),
        }
    }

    fn send_connect(&mut self) {
        let mut object = vec![
            ("app".to_owned(), self.app.as_str().into()),
            ("type".to_owned(), "nonprivate".into()),
            ("flashVer".to_owned(), self.config.software.as_str().into()),
            ("tcUrl".to_owned(), self.tc_url.as_str().into()),
        ];
        if self.mode == Mode::Play {
            // What Flash said of itself; some servers send nothing to those that do not.
            object.extend([
                ("fpad".to_owned(), false.into()),
                ("capabilities".to_owned(), 15.0.into()),
                ("audioCodecs".to_owned(), 4071.0.into()),
                ("videoCodecs".to_owned(), 252.0.into()),
                ("videoFunction".to_owned(), 1.0.into()),
            ]);
        }
        let codecs = CODECS.map(Value::from).to_vec();
        object.push(("fourCcList".to_owned(), Value::StrictArray(codecs)));
        let arguments = vec![Value::Object(object)];
        let connect = Command { name: "connect".to_owned(), transaction: CONNECT, arguments };
        self.link.command(&connect, StreamId::CONNECTION);
    }

    fn take(&mut self, message: Message) {
        match message.kind {
            Kind::Audio | Kind::Video => self.media(message),
            Kind::Aggregate => aggregated(&message).for_each(|part| match part.kind {
                Kind::Audio | Kind::Video => self.media(part),
                _ => self.data(&part),
            }),
            Kind::DataAmf0 | Kind::DataAmf3 => self.data(&message),
            Kind::CommandAmf0 | Kind::CommandAmf3 => match Command::read(&message) {
                Ok(command) => self.command(&command),
                Err(_) => self.stray_messages += 1,
            },
            _ => self.stray_messages += 1,
        }
    }

    fn media(&mut self, message: Message) {
        // Some servers send media without saying that they play.
        if self.step == Step::Play {
            self.run();
        }
        if self.mode == Mode::Play && self.step == Step::Running {
            self.emit(Output::Media(message));
        } else {
            self.stray_messages += 1;
        }
    }

    fn data(&mut self, message: &Message) {
        if self.mode != Mode::Play {
            self.stray_messages += 1;
            return;
        }
        let time_ms = message.time_ms;
        match Data::read(message) {
            Ok(Data { name, mut values }) if name == command::METADATA => {
                values.retain(|value| !value.properties().is_empty());
                if !values.is_empty() {
                    self.event(Event::Metadata(values.swap_remove(0)));
                }
            }
            Ok(Data { name, values }) => self.event(Event::Data { time_ms, name, values }),
            Err(_) => self.stray_messages += 1,
        }
    }

    fn command(&mut self, command: &Command) {
        match command.name.as_str() {
            "_result" => self.result(command),
            "_error" => self.error(command),
            "onStatus" => self.status(command),
            // A question of old servers how fast the way is, answered as ffmpeg does.
            "onBWDone" => {
                let check = Command::new("_checkbw", CHECK, []);
                self.link.command(&check, StreamId::CONNECTION);
            }
            "close" => self.fail(Cause::ConnectionLost),
            _ => self.stray_messages += 1,
        }
    }

    fn result(&mut self, command: &Command) {
        let transaction = command.transaction;
        if transaction == CONNECT && self.step == Step::Connect {
            let info = command.argument(1);
            if let Some(Value::StrictArray(list)) = info.get("fourCcList") {
                let names = list.iter().filter_map(Value::as_str).map(str::to_owned);
                self.codecs = names.take(CODECS_MAX).collect();
            }
            self.connected();
        } else if transaction == CREATE && self.step == Step::CreateStream {
            match command.argument(1).as_number() {
                Some(number) if (1.0..=f64::from(u32::MAX)).contains(&number) => {
                    self.stream = StreamId(number as u32);
                    self.created();
                }
                _ => self.fail(Cause::NoStream),
            }
        } else if transaction == DELETE && self.step == Step::Finish {
            self.end();
        }
    }

    fn connected(&mut self) {
        self.link.control(Control::WindowAckSize(WINDOW_BYTES));
        self.link.set_chunk_bytes(self.config.chunk_bytes);
        if self.mode == Mode::Publish {
            for (name, transaction) in [("releaseStream", RELEASE), ("FCPublish", FC_PUBLISH)] {
                let command = Command::new(name, transaction, [self.name.as_str().into()]);
                self.link.command(&command, StreamId::CONNECTION);
            }
        }
        let create = Command::new("createStream", CREATE, []);
        self.link.command(&create, StreamId::CONNECTION);
        self.go(Step::CreateStream);
    }

    fn created(&mut self) {
        let name = Value::from(self.name.as_str());
        let stream = self.stream;
        match self.mode {
            Mode::Publish => {
                let publish = Command::new("publish", START, [name, "live".into()]);
                self.link.command(&publish, stream);
                self.go(Step::Publish);
            }
            Mode::Play => {
                let play = Command::new("play", START, [name, Value::Number(ANY_START)]);
                self.link.command(&play, stream);
                let buffer = User::SetBufferLength { stream, length_ms: BUFFER_MS };
                let message = Control::User(buffer).message();
                self.link.message(ChunkStreamId::CONTROL, &message);
                self.go(Step::Play);
            }
        }
    }

    fn error(&mut self, command: &Command) {
        let status = Status::read(command.argument(1));
        let is_awaited = match self.step {
            Step::Connect => command.transaction == CONNECT,
            Step::CreateStream => command.transaction == CREATE,
            Step::Publish | Step::Play => command.transaction == START,
            Step::Finish if command.transaction == DELETE => return self.end(),
            _ => false,
        };
        // What old servers alone know may fail.
        if !is_awaited {
            return;
        }
        let more = command.argument(1).get("ex");
        let redirect = more.and_then(|more| more.get("redirect")).and_then(Value::as_str);
        if let Some(address) = redirect {
            return self.fail(Cause::Redirected { address: address.to_owned() });
        }
        if status.description.contains("authmod=") {
            return self.fail(Cause::Credentials { description: status.description });
        }
        self.fail(Cause::Refused(status));
    }

    fn status(&mut self, command: &Command) {
        let info = command.argument(1);
        let status = Status::read(info);
        match (status.code.as_str(), self.step) {
            ("NetConnection.Connect.ReconnectRequest", _) => {
                let address = info.get("tcUrl").and_then(Value::as_str).map(str::to_owned);
                self.event(Event::Reconnect { address });
            }
            ("NetStream.Publish.Start", Step::Publish) => self.run(),
            ("NetStream.Play.Start", Step::Play) => self.run(),
            (
                "NetStream.Play.Stop"
                | "NetStream.Play.Complete"
                | "NetStream.Play.UnpublishNotify",
                Step::Running,
            ) if self.mode == Mode::Play => self.end(),
            ("NetStream.Unpublish.Success", Step::Finish) => self.end(),
            _ if status.is_error() => self.fail(Cause::Refused(status)),
            _ => self.event(Event::Status(status)),
        }
    }

    fn run(&mut self) {
        self.go(Step::Running);
        self.event(match self.mode {
            Mode::Play => Event::Playing,
            Mode::Publish => Event::Publishing {
                stream: self.stream,
                chunk_bytes: self.config.chunk_bytes,
                codecs: self.codecs.clone(),
            },
        });
    }

    fn go(&mut self, step: Step) {
        (self.step, self.since) = (step, self.now);
    }

    fn event(&mut self, event: Event) {
        self.emit(Output::Event(event));
    }

    fn emit(&mut self, output: Output) {
        if let Some(bytes) = self.link.take_out() {
            self.outputs.push_back(Output::Send(bytes));
        }
        self.outputs.push_back(output);
    }

    fn end(&mut self) {
        self.event(Event::Ended);
        self.emit(Output::Close);
        self.closed = true;
    }

    fn fail(&mut self, cause: Cause) {
        if !self.closed {
            self.event(Event::Failed(Failure { step: self.step, cause }));
            self.emit(Output::Close);
            self.closed = true;
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.timer().map(|(since, wait)| since + wait)
    }

    /// The timers: `handshake`, `answer`, `silence` while a stream is played, `finish`.
    fn timer(&self) -> Option<(Instant, Duration)> {
        match self.step {
            Step::Handshake => Some((self.since, self.config.handshake_timeout)),
            Step::Connect | Step::CreateStream | Step::Publish | Step::Play => {
                Some((self.since, self.config.answer_timeout))
            }
            Step::Running if self.mode == Mode::Play => {
                Some((self.heard_at, self.config.silence_timeout))
            }
            Step::Running => None,
            Step::Finish => Some((self.since, self.config.finish_timeout)),
        }
    }

    fn expire(&mut self) {
        let Some((_, wait)) = self.timer().filter(|(since, wait)| *since + *wait <= self.now)
        else {
            return;
        };
        match self.step {
            Step::Finish => self.end(),
            _ => self.fail(Cause::TimedOut(wait)),
        }
    }
}

// The numbers of commands, in their order.
const CONNECT: f64 = 1.0;
const RELEASE: f64 = 2.0;
const FC_PUBLISH: f64 = 3.0;
const CREATE: f64 = 4.0;
const START: f64 = 5.0;
const UNPUBLISH: f64 = 6.0;
const DELETE: f64 = 7.0;
const CHECK: f64 = 8.0;

/// A live stream, or else a recorded one.
const ANY_START: f64 = -2000.0;
/// What players say that they hold.
const BUFFER_MS: u32 = 3000;
const CODECS_MAX: usize = 32;
