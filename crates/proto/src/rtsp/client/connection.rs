//! The machine: commands, bytes and time in, requests, events and timers out.

use std::collections::VecDeque;

use weir_time::Instant;

use super::command::Command;
use super::oddity::Oddity;
use super::{COMMANDS_MAX, Cause, Config, Error, Event, Failure, Input, Output};
use crate::rtsp::headers::Session;
use crate::rtsp::message::{Decoder, Item, Method, Tolerance};
use crate::rtsp::url::Url;

/// The client's end of one control connection. See the module's text for the run loop.
///
/// It reads as it is polled, so that no queue of received packets builds up inside.
#[derive(Debug)]
pub struct Connection {
    pub(super) config: Config,
    /// The stream's address as it was given, without user and password.
    pub(super) url: String,
    /// See [`super::Event::Described`].
    pub(super) base: String,
    pub(super) aggregate: String,
    pub(super) session: Option<Session>,
    pub(super) authorization: Option<String>,
    /// What the timer `keep-alive` sends: GET_PARAMETER, or OPTIONS where that is refused.
    pub(super) keep_alive: Method,
    pub(super) outstanding: Option<Outstanding>,
    pub(super) commands: VecDeque<Command>,
    pub(super) now: Instant,
    pub(super) stray_responses: u64,
    pub(super) oddities: VecDeque<(Method, Oddity)>,
    sent_at: Instant,
    cseq: u32,
    decoder: Decoder,
    skipped_bytes: u64,
    outputs: VecDeque<Output>,
    closed: bool,
}

/// The request that waits for its response.
#[derive(Debug)]
pub(super) struct Outstanding {
    pub(super) command: Command,
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) cseq: u32,
    pub(super) sent_at: Instant,
    pub(super) authorized: bool,
}

impl Connection {
    /// A connection that has just been made, to the host and port of `url`. User and password
    /// in `url` are neither used nor sent: see [`Config::credentials`].
    pub fn new(url: &Url, config: Config, now: Instant) -> Self {
        let url = url.without_userinfo().to_string();
        Connection {
            config,
            base: url.clone(),
            aggregate: url.clone(),
            url,
            session: None,
            authorization: None,
            keep_alive: Method::GetParameter,
            outstanding: None,
            commands: VecDeque::new(),
            now,
            stray_responses: 0,
            oddities: VecDeque::new(),
            sent_at: now,
            cseq: 0,
            decoder: Decoder::new(Tolerance::Wide),
            skipped_bytes: 0,
            outputs: VecDeque::new(),
            closed: false,
        }
    }

    /// Takes an input in. Poll afterwards, until [`Output::Timeout`].
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = self.now.max(now);
        if self.closed {
            return;
        }
        match input {
            Input::Bytes(bytes) => self.decoder.push(bytes),
            Input::Closed => self.end(),
            Input::Timer => self.expire(),
        }
    }

    /// What the connection wants next. [`Output::Timeout`] means: nothing until the next input or
    /// command.
    pub fn poll(&mut self) -> Output {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return output;
            }
            if self.closed {
                return Output::Timeout(None);
            }
            let offset = self.decoder.offset();
            let item = self.decoder.next();
            self.note_skipped(offset);
            match item {
                Some(Ok(Item::Response(response))) => self.take_response(response),
                Some(Ok(Item::Request(request))) => self.take_request(&request),
                Some(Ok(Item::Interleaved { channel, data })) => {
                    self.emit(Output::Interleaved { channel, data });
                }
                Some(Err(error)) => {
                    self.event(Event::Unreadable(error));
                    self.end();
                }
                None if self.outputs.is_empty() => return Output::Timeout(self.deadline()),
                None => {}
            }
        }
    }

    /// The stream's address as it was given, without user and password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of the tracks together.
    pub fn aggregate(&self) -> &str {
        &self.aggregate
    }

    /// The session, while there is one.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// How many requests are out or wait for their turn.
    pub fn commands_waiting(&self) -> usize {
        self.commands.len() + usize::from(self.outstanding.is_some())
    }

    /// How many responses came whose number belongs to no request that waits: late ones.
    pub fn stray_responses(&self) -> u64 {
        self.stray_responses
    }

    /// How many header lines could not be read and were passed over.
    pub fn skipped_fields(&self) -> u64 {
        self.decoder.skipped_fields()
    }

    /// The bytes that no complete message has used, once polling has said [`Output::Timeout`].
    pub fn undecoded(&self) -> &[u8] {
        self.decoder.undecoded()
    }

    /// Ends the connection from this side, without TEARDOWN. Requests that wait fail.
    pub fn close(&mut self) {
        if !self.closed {
            self.end();
        }
    }

    pub(super) fn command(&mut self, now: Instant, command: Command) -> Result<(), Error> {
        if self.closed {
            return Err(Error::Closed);
        }
        if self.commands.len() >= COMMANDS_MAX {
            return Err(Error::TooManyCommands);
        }
        self.now = self.now.max(now);
        self.commands.push_back(command);
        self.send_next();
        Ok(())
    }

    /// Sends the next command's request, if none is out.
    pub(super) fn send_next(&mut self) {
        if self.outstanding.is_some() {
            return;
        }
        let Some(command) = self.commands.pop_front() else {
            return;
        };
        self.cseq = self.cseq.wrapping_add(1);
        let request = self.request(&command, self.cseq);
        self.sent_at = self.now;
        self.outstanding = Some(Outstanding {
            command,
            method: request.method.clone(),
            url: request.uri.clone(),
            cseq: self.cseq,
            sent_at: self.now,
            authorized: self.authorization.is_some(),
        });
        self.emit(Output::Send(request.encode()));
    }

    pub(super) fn emit(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn event(&mut self, event: Event) {
        self.emit(Output::Event(event));
    }

    pub(super) fn fail(&mut self, request: Outstanding, cause: Cause) {
        self.event(Event::Failed(Failure {
            method: request.method,
            url: request.url,
            automatic: matches!(request.command, Command::KeepAlive),
            cause,
        }));
    }

    fn note_skipped(&mut self, offset: u64) {
        let skipped = self.decoder.skipped_bytes();
        let bytes = skipped - self.skipped_bytes;
        self.skipped_bytes = skipped;
        if bytes > 0 {
            self.event(Event::Skipped { offset, bytes });
        }
    }

    /// The timers: `request` while a response is due, else `keep-alive` within a session.
    fn deadline(&self) -> Option<Instant> {
        if let Some(outstanding) = &self.outstanding {
            return Some(outstanding.sent_at + self.config.request_timeout);
        }
        let session = self.session.as_ref()?;
        let timeout = session.timeout.unwrap_or(Session::DEFAULT_TIMEOUT);
        Some(self.sent_at + timeout / 2)
    }

    fn expire(&mut self) {
        if self.deadline().is_none_or(|at| at > self.now) {
            return;
        }
        match self.outstanding.take() {
            Some(request) => {
                let after = self.config.request_timeout;
                self.fail(request, Cause::TimedOut { after });
            }
            None => self.commands.push_back(Command::KeepAlive),
        }
        self.send_next();
    }

    fn end(&mut self) {
        if let Some(request) = self.outstanding.take() {
            self.fail(request, Cause::ConnectionLost);
        }
        while let Some(command) = self.commands.pop_front() {
            self.event(Event::Failed(Failure {
                method: self.method(&command),
                url: self.url_of(&command),
                automatic: matches!(command, Command::KeepAlive),
                cause: Cause::ConnectionLost,
            }));
        }
        self.session = None;
        self.emit(Output::Close);
        self.closed = true;
    }
}
