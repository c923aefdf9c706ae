//! The machine: bytes and time in, answers, events, media and timers out.

use core::time::Duration;
use std::collections::VecDeque;

use bytes::BytesMut;
use weir_time::Instant;

use super::commands::{self, Question};
use super::streams::Streams;
use super::{Config, EndReason, Event, Input, Output, Role, Token};
use crate::rtmp::chunk;
use crate::rtmp::command::{self, Command, Data, Status};
use crate::rtmp::handshake;
use crate::rtmp::link::Link;
use crate::rtmp::message::{Kind, Message, StreamId, aggregated};

/// The server's end of a connection. See the module's text for the run loop.
///
/// Messages are judged one at a time, in their order, as the machine is polled: while a question
/// is pending nothing behind it is read, so that the queue of outputs holds one message's worth.
#[derive(Debug)]
pub struct Connection {
    pub(super) config: Config,
    pub(super) link: Link,
    pub(super) streams: Streams,
    /// What the client said in connect, once that was accepted.
    pub(super) client: Option<super::Client>,
    pub(super) pending: Option<Pending>,
    pub(super) now: Instant,
    /// A question was answered since the last input: see [`Connection::poll`].
    pub(super) answered: bool,
    /// Since when the client is to close.
    pub(super) refused_at: Option<Instant>,
    handshake: Option<handshake::Server>,
    hello: BytesMut,
    outputs: VecDeque<Output>,
    closed: bool,
    /// When the last bytes came.
    heard_at: Instant,
    /// When the last command came, or the last stream ended.
    pub(super) idle_since: Instant,
    questions: u64,
    stray_messages: u64,
    unreadable_messages: u64,
    excess_bytes: u64,
}

/// The question that the driver is to answer.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) token: Token,
    pub(super) question: Question,
}

impl Connection {
    /// A connection that has just been accepted. The random bytes of its handshake depend on
    /// `seed` alone; nothing secret comes of them.
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        Connection {
            link: Link::new(config.limits),
            config,
            streams: Streams::default(),
            client: None,
            pending: None,
            now,
            answered: false,
            refused_at: None,
            handshake: Some(handshake::Server::new(seed)),
            hello: BytesMut::new(),
            outputs: VecDeque::new(),
            closed: false,
            heard_at: now,
            idle_since: now,
            questions: 0,
            stray_messages: 0,
            unreadable_messages: 0,
            excess_bytes: 0,
        }
    }

    /// Takes an input in. Poll afterwards, until [`Output::Timeout`].
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = self.now.max(now);
        if self.closed {
            return;
        }
        if core::mem::take(&mut self.answered) {
            // Answers come without a time: however long they took, it was not the client that
            // was silent.
            (self.heard_at, self.idle_since) = (self.now, self.now);
            self.refused_at = self.refused_at.map(|_| self.now);
        }
        match input {
            Input::Bytes(bytes) => self.push(bytes),
            Input::Closed => self.end(&EndReason::ConnectionClosed),
            Input::Timer => self.expire(),
        }
    }

    /// What the connection wants next. [`Output::Timeout`] means: nothing until the next input or
    /// answer. While a question is pending no timer runs; after an answer one is due at once,
    /// which tells the machine what time it has become.
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
            if self.closed || self.pending.is_some() {
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
                Err(error) => self.fail(error),
            }
        }
    }

    /// Whether bytes are to be read from the socket: not while a question is pending, and not
    /// after the end. What comes nevertheless is kept up to a bound.
    pub fn wants_input(&self) -> bool {
        !self.closed && self.pending.is_none()
    }

    /// Ends the connection from this side: streams end with [`EndReason::Told`], then comes
    /// [`Output::Close`]. A pending question is not answered.
    pub fn close(&mut self) {
        if !self.closed {
            self.end(&EndReason::Told);
        }
    }

    /// What the client said of itself, once that was accepted.
    pub fn client(&self) -> Option<&super::Client> {
        self.client.as_ref()
    }

    /// What the peer has acknowledged last, modulo 2^32; `None` if it never has.
    pub fn peer_received_bytes(&self) -> Option<u32> {
        self.link.peer_received()
    }

    /// How many messages came that no stream wanted: media of a stream that is not published, and
    /// what nobody knows. They are dropped.
    pub fn stray_messages(&self) -> u64 {
        self.stray_messages
    }

    /// How many commands and data could not be read. They are dropped.
    pub fn unreadable_messages(&self) -> u64 {
        self.unreadable_messages
    }

    /// How many messages the client gave up in the middle.
    pub fn messages_dropped(&self) -> u64 {
        self.link.reader().messages_dropped()
    }

    /// How many bytes were dropped because the driver pushed them against
    /// [`Connection::wants_input`].
    pub fn excess_bytes(&self) -> u64 {
        self.excess_bytes
    }

    /// Queues an event behind what is to be sent before it.
    pub(super) fn event(&mut self, event: Event) {
        self.emit(Output::Event(event));
    }

    pub(super) fn send(&mut self, command: &Command, stream: StreamId) {
        self.link.command(command, stream);
    }

    pub(super) fn status(&mut self, status: &Status, stream: StreamId) {
        self.send(&status.command(), stream);
    }

    /// Asks the driver.
    pub(super) fn ask(&mut self, question: Question, event: impl FnOnce(Token) -> Event) {
        let token = Token(self.questions);
        self.questions += 1;
        self.pending = Some(Pending { token, question });
        self.event(event(token));
    }

    /// Ends what a stream is used for; it stays.
    pub(super) fn end_role(&mut self, stream: StreamId, reason: EndReason) {
        if let Some(role) = self.streams.role(stream) {
            self.streams.set(stream, None);
            self.idle_since = self.now;
            self.event(Event::Ended { stream, role, reason });
        }
    }

    fn emit(&mut self, output: Output) {
        if let Some(bytes) = self.link.take_out() {
            self.outputs.push_back(Output::Send(bytes));
        }
        self.outputs.push_back(output);
    }

    fn push(&mut self, bytes: &[u8]) {
        self.heard_at = self.now;
        if self.pending.is_some() && self.link.reader().held_bytes() > BUFFERED_BYTES_MAX {
            self.excess_bytes += bytes.len() as u64;
            // With a gap in the stream nothing behind it could be trusted.
            return self.end(&EndReason::ConnectionClosed);
        }
        let Some(handshake) = &mut self.handshake else {
            return self.link.push(bytes);
        };
        match handshake.handle(bytes, &mut self.hello) {
            Ok(None) => {}
            Ok(Some(rest)) => {
                self.handshake = None;
                self.link.push(&rest);
            }
            Err(error) => {
                self.refuse("handshake", error.to_string());
                self.end(&EndReason::ConnectionClosed);
            }
        }
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
                Ok(command) => {
                    self.idle_since = self.now;
                    commands::take(self, &command, message.stream);
                }
                Err(error) => self.unreadable("command", &error),
            },
            _ => self.stray_messages += 1,
        }
    }

    fn media(&mut self, message: Message) {
        match self.streams.published(message.stream) {
            Some(stream) => self.emit(Output::Media { stream, message }),
            None => self.stray_messages += 1,
        }
    }

    fn data(&mut self, message: &Message) {
        let Some(stream) = self.streams.published(message.stream) else {
            self.stray_messages += 1;
            return;
        };
        let time_ms = message.time_ms;
        match Data::read(message) {
            Ok(Data { name, mut values }) if name == command::METADATA => {
                values.retain(|value| !value.properties().is_empty());
                if !values.is_empty() {
                    let values = values.swap_remove(0);
                    self.event(Event::Metadata { stream, values });
                }
            }
            Ok(Data { name, values }) => {
                self.event(Event::Data { stream, time_ms, name, values });
            }
            Err(error) => self.unreadable("data", &error),
        }
    }

    /// Counts a message that cannot be read, and tells of the first.
    fn unreadable(&mut self, what: &str, error: &command::Error) {
        self.unreadable_messages += 1;
        if self.unreadable_messages == 1 {
            self.refuse(what, error.to_string());
        }
    }

    pub(super) fn refuse(&mut self, what: &str, detail: String) {
        self.event(Event::Refused { what: what.to_owned(), detail });
    }

    /// Nobody can say where the next message begins: the connection ends.
    fn fail(&mut self, error: chunk::Error) {
        self.refuse("chunk stream", error.to_string());
        self.end(&EndReason::Unreadable(error));
    }

    fn end(&mut self, reason: &EndReason) {
        self.pending = None;
        let used: Vec<(StreamId, Role)> = self.streams.used().collect();
        for (stream, _) in used {
            self.end_role(stream, reason.clone());
        }
        self.emit(Output::Close);
        self.closed = true;
    }

    /// The timers: `handshake`, `refused`, `silence` while something is published, and `idle`
    /// while nothing is published or played.
    fn deadline(&self) -> Option<Instant> {
        if self.answered {
            return Some(self.now);
        }
        self.timer().map(|(_, since, wait)| since + wait)
    }

    /// The timer that runs, by its name, since when and for how long.
    fn timer(&self) -> Option<(&'static str, Instant, Duration)> {
        if self.client.is_none() && self.refused_at.is_none() {
            return Some(("handshake", self.idle_since, self.config.handshake_timeout));
        }
        if let Some(at) = self.refused_at {
            return Some(("refused", at, self.config.refused_timeout));
        }
        let mut used = self.streams.used().map(|(_, role)| role);
        if used.clone().any(|role| role == Role::Publisher) {
            return Some(("silence", self.heard_at, self.config.silence_timeout));
        }
        if used.next().is_some() {
            return None;
        }
        Some(("idle", self.idle_since, self.config.idle_timeout))
    }

    fn expire(&mut self) {
        if self.pending.is_some() {
            return;
        }
        let Some((name, since, wait)) =
            self.timer().filter(|(_, at, wait)| *at + *wait <= self.now)
        else {
            return;
        };
        if name != "refused" {
            let silent_s = self.now.since(since).as_secs_f64();
            self.refuse(&format!("timer {name}"), format!("nothing came for {silent_s:.0} s"));
        }
        let reason = match name {
            "silence" => EndReason::Silence(wait),
            _ => EndReason::ConnectionClosed,
        };
        self.end(&reason);
    }
}

/// How much is kept of what a driver pushes although the connection wants no input.
const BUFFERED_BYTES_MAX: usize = 1 << 20;
