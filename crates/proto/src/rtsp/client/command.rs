//! Commands, and the requests that they become.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use weir_time::Instant;

use super::connection::Connection;
use super::{Credentials, Error, TransportRequest};
use crate::rtsp::headers::{Range, Transport};
use crate::rtsp::message::{Fields, Method, Request};
use crate::rtsp::url::resolve;

/// What is to be asked.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Options,
    Describe,
    Setup {
        control: String,
        transport: TransportRequest,
    },
    Play {
        range: Option<Range>,
    },
    Pause,
    GetParameter,
    Teardown,
    /// By the timer of that name.
    KeepAlive,
}

impl Connection {
    /// Asks which methods there are.
    ///
    /// # Errors
    /// For all commands: when the connection has ended, or too many commands wait.
    pub fn options(&mut self, now: Instant) -> Result<(), Error> {
        self.command(now, Command::Options)
    }

    /// Asks what the stream is made of.
    ///
    /// # Errors
    /// As [`Connection::options`].
    pub fn describe(&mut self, now: Instant) -> Result<(), Error> {
        self.command(now, Command::Describe)
    }

    /// Sets up one track, by its control as the description has it. The first one opens the
    /// session, which the others join.
    ///
    /// # Errors
    /// As [`Connection::options`].
    pub fn setup(
        &mut self,
        now: Instant,
        track_control: &str,
        transport: TransportRequest,
    ) -> Result<(), Error> {
        let control = track_control.to_owned();
        self.command(now, Command::Setup { control, transport })
    }

    /// Starts all tracks of the session, from where they are if no range is given.
    ///
    /// # Errors
    /// As [`Connection::options`].
    pub fn play(&mut self, now: Instant, range: Option<Range>) -> Result<(), Error> {
        self.command(now, Command::Play { range })
    }

    /// Stops all tracks of the session for now.
    ///
    /// # Errors
    /// As [`Connection::options`].
    pub fn pause(&mut self, now: Instant) -> Result<(), Error> {
        self.command(now, Command::Pause)
    }

    /// Gives a sign of life. The timer `keep-alive` does so by itself.
    ///
    /// # Errors
    /// As [`Connection::options`].
    pub fn get_parameter(&mut self, now: Instant) -> Result<(), Error> {
        self.command(now, Command::GetParameter)
    }

    /// Ends the session.
    ///
    /// # Errors
    /// As [`Connection::options`].
    pub fn teardown(&mut self, now: Instant) -> Result<(), Error> {
        self.command(now, Command::Teardown)
    }

    /// The request of a command as things stand.
    pub(super) fn request(&self, command: &Command, cseq: u32) -> Request {
        let mut request = Request::new(self.method(command), self.url_of(command));
        let fields = &mut request.fields;
        fields.push("CSeq", cseq.to_string());
        match command {
            Command::Describe => fields.push("Accept", "application/sdp"),
            Command::Setup { transport, .. } => {
                fields.push("Transport", transport.to_transport().to_string());
            }
            Command::Play { range: Some(range) } => fields.push("Range", range.to_string()),
            _ => {}
        }
        self.push_common(fields);
        request
    }

    fn push_common(&self, fields: &mut Fields) {
        if let Some(session) = &self.session {
            fields.push("Session", &session.id);
        }
        if let Some(authorization) = &self.authorization {
            fields.push("Authorization", authorization);
        }
        fields.push("User-Agent", &self.config.user_agent);
    }

    pub(super) fn method(&self, command: &Command) -> Method {
        match command {
            Command::Options => Method::Options,
            Command::Describe => Method::Describe,
            Command::Setup { .. } => Method::Setup,
            Command::Play { .. } => Method::Play,
            Command::Pause => Method::Pause,
            Command::GetParameter => Method::GetParameter,
            Command::Teardown => Method::Teardown,
            Command::KeepAlive => self.keep_alive.clone(),
        }
    }

    pub(super) fn url_of(&self, command: &Command) -> String {
        match command {
            Command::Options | Command::Describe => self.url.clone(),
            Command::Setup { control, .. } => resolve(&self.aggregate, control),
            _ => self.aggregate.clone(),
        }
    }
}

impl TransportRequest {
    /// The header's value.
    pub fn to_transport(self) -> Transport {
        match self {
            TransportRequest::Udp { client_port } => {
                Transport { client_port: Some(client_port), ..Transport::udp(client_port.rtp) }
            }
            TransportRequest::Tcp { channels } => {
                Transport { interleaved: Some(channels), ..Transport::tcp(channels.rtp) }
            }
        }
    }
}

impl Credentials {
    /// The value of Authorization (RFC 7617).
    pub(super) fn basic(&self) -> String {
        let pair = format!("{}:{}", self.user, self.password);
        format!("Basic {}", BASE64_STANDARD.encode(pair))
    }
}
