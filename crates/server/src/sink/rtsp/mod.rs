//! RTSP: a task for each control connection, driving the machine of `weir-proto`.

mod describe;
mod session;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use weir_net::{DetachedTcp, Either, TcpOptions, TcpStream, select, timeout};
use weir_proto::rtsp::Status;
use weir_proto::rtsp::server::{
    Client, Config, Connection, EndReason, Event, Input, Output, Playing, Refusal, SessionId,
};
use weir_record::event;
use weir_time::Instant;

use crate::Error;
use crate::access::{Action, Credentials, Denied};
use crate::error::shortened;
use crate::hub::Stream;
use crate::shard::Shard;
use crate::sink::classroom::{self, First, sniff};
use session::Session;

/// So little of a stream waits in the system that what is sent next is decided late; see
/// `TcpOptions::not_sent_low_water_bytes`.
const NOT_SENT_BYTES: u32 = 128 * 1024;
/// How long the last replies of a connection may take.
const CLOSE_LIMIT: std::time::Duration = std::time::Duration::from_secs(5);
/// How long a client is listened to behind the last reply. With unread bytes the system would
/// reset the connection, and the reset may overtake the reply that says what was wrong.
const LINGER_LIMIT: std::time::Duration = std::time::Duration::from_secs(1);
/// How long a TEARDOWN waits for the last receiver report. Clients send it by UDP just before, and
/// it comes in on another thread: without a wait it would often find its viewer gone.
const LAST_REPORT_WAIT: std::time::Duration = std::time::Duration::from_millis(10);

/// Serves a connection that was given to a shard.
pub(crate) fn accept(shard: &Rc<Shard>, connection: DetachedTcp, peer: SocketAddr) {
    let stream = match shard.host.attach_tcp(connection) {
        Ok(stream) => stream,
        Err(error) => return tracing::warn!("{peer}: cannot be served: {error}"),
    };
    let options = TcpOptions {
        no_delay: true,
        not_sent_low_water_bytes: Some(NOT_SENT_BYTES),
        congestion: shard.context.settings.congestion.clone(),
    };
    if let Err(error) = stream.set_options(&options) {
        tracing::warn!("{peer}: socket options are not as asked: {error}");
    }
    let control = Control::new(shard, stream, peer);
    shard.host.spawn(control.run());
}

/// One control connection.
struct Control {
    shard: Rc<Shard>,
    stream: Rc<TcpStream>,
    outlet: usize,
    peer: SocketAddr,
    machine: Connection,
    sessions: BTreeMap<SessionId, Session>,
    /// The client has closed.
    closed: bool,
    /// A session was torn down: the client may be gone without reading the answer.
    leaving: bool,
}

/// What a connection waits for.
enum Wait {
    Until(Option<Instant>),
    Over,
}

impl Control {
    fn new(shard: &Rc<Shard>, stream: TcpStream, peer: SocketAddr) -> Self {
        let stream = Rc::new(stream);
        let outlet = shard.add_outlet(&stream);
        let config =
            Config { session_timeout: shard.context.settings.session_timeout, ..Config::default() };
        let seed = shard.host.random_u64();
        let machine = Connection::new(config, peer.ip(), seed, shard.host.now());
        let shard = Rc::clone(shard);
        let sessions = BTreeMap::new();
        Control { shard, stream, outlet, peer, machine, sessions, closed: false, leaving: false }
    }

    async fn run(mut self) {
        match sniff(&self.shard, &self.stream).await {
            First::Classroom(bytes) => {
                return classroom::serve(&self.shard, self.stream, self.outlet, self.peer, &bytes)
                    .await;
            }
            First::Other(bytes) if bytes.is_empty() => {}
            First::Other(bytes) => {
                self.machine.handle(self.shard.host.now(), Input::Bytes(&bytes));
            }
        }
        while let Wait::Until(at) = self.drive().await {
            self.wait(at).await;
        }
        self.shard.close(self.outlet);
        let flushed = async {
            while !self.shard.is_flushed(self.outlet) {
                self.shard.host.sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let _ = timeout(&self.shard.host, CLOSE_LIMIT, flushed).await;
        for (_, session) in std::mem::take(&mut self.sessions) {
            session.end(&self.shard, "closed");
        }
        if !self.closed {
            let _ = timeout(&self.shard.host, LINGER_LIMIT, self.linger()).await;
        }
        self.shard.remove_outlet(self.outlet);
    }

    /// Reads on until the client closes too, and forgets what comes.
    async fn linger(&self) {
        let read = || self.stream.read_with(&self.shard.scratch, <[u8]>::len);
        while read().await.is_ok_and(|bytes| bytes > 0) {}
    }

    /// Does what the machine asks for.
    async fn drive(&mut self) -> Wait {
        loop {
            match self.machine.poll() {
                Output::Send(message) => {
                    if !self.shard.send(self.outlet, message) {
                        self.log_given_up();
                        return Wait::Over;
                    }
                }
                Output::Event(event) => self.answer(event).await,
                Output::Interleaved { session, track, channel, data } => {
                    if let Some(session) = self.sessions.get(&session) {
                        session.interleaved(&self.shard, track, channel, &data);
                    }
                }
                Output::Close => return Wait::Over,
                Output::Timeout(at) => return Wait::Until(at),
            }
        }
    }

    fn log_given_up(&self) {
        if self.leaving || self.closed || self.shard.is_gone(self.outlet) {
            return tracing::debug!("{}: left before it was answered", self.peer);
        }
        tracing::warn!("{}: given up: it takes no more answers", self.peer);
    }

    /// Waits for bytes, and for the machine's next timer.
    async fn wait(&mut self, at: Option<Instant>) {
        let host = self.shard.host.clone();
        let machine = &mut self.machine;
        let closed = &mut self.closed;
        let read = self.stream.read_with(&self.shard.scratch, |data| {
            *closed = data.is_empty();
            machine.handle(
                host.now(),
                match data {
                    [] => Input::Closed,
                    data => Input::Bytes(data),
                },
            );
        });
        let failed = match at {
            None => read.await.is_err(),
            Some(at) => match select(read, host.sleep_until(at)).await {
                Either::First(read) => read.is_err(),
                Either::Second(()) => {
                    for (id, session) in &self.sessions {
                        if let Some(alive) = session.alive(&self.shard) {
                            self.machine.sign_of_life(alive, *id);
                        }
                    }
                    self.machine.handle(host.now(), Input::Timer);
                    false
                }
            },
        };
        if failed {
            self.closed = true;
            self.machine.handle(host.now(), Input::Closed);
        }
    }

    async fn answer(&mut self, event: Event) {
        // An answer to a question that the machine has dropped meanwhile concerns nobody.
        let _ = match event {
            Event::Describe { token, control, client } => {
                let answer = self.describe(&control.stream, control.query, &client).await;
                self.machine.describe(token, answer)
            }
            Event::Setup { token, session, control, offered, client, .. } => {
                let answer = match self
                    .find(Action::Play, &control.stream, control.query, &client)
                    .await
                {
                    Ok(stream) => {
                        let name = control.stream.as_str();
                        let session = self.sessions.entry(session).or_insert_with(|| {
                            Session::new(stream, name, self.peer, self.outlet, client.user_agent)
                        });
                        let answer = session.set_up(&self.shard, name, control.track, offered);
                        self.log_if_refused("SETUP", name, answer.as_ref().err());
                        answer
                    }
                    Err(refusal) => Err(refusal),
                };
                self.machine.setup(token, answer)
            }
            Event::Play { token, session, range, scale, speed, .. } => {
                let answer = match self.sessions.get_mut(&session) {
                    Some(session) => session.play(&self.shard, range.as_ref()),
                    None => Err(unknown_session()),
                };
                let name = self.name_of(session);
                self.log_if_refused("PLAY", &name, answer.as_ref().err());
                self.machine.play(token, answer.map(|playing| at_one_speed(playing, scale, speed)))
            }
            Event::Pause { token, session, at, .. } => {
                let answer = match self.sessions.get(&session) {
                    Some(session) => session.pause(&self.shard, at),
                    None => Err(unknown_session()),
                };
                let name = self.name_of(session);
                self.log_if_refused("PAUSE", &name, answer.as_ref().err());
                self.machine.pause(token, answer)
            }
            Event::Teardown { token, session, tracks, end } => {
                self.leaving |= end;
                if end && let Some(session) = self.sessions.remove(&session) {
                    if session.is_by_udp() {
                        self.shard.host.sleep(LAST_REPORT_WAIT).await;
                    }
                    session.end(&self.shard, "teardown");
                } else if let Some(session) = self.sessions.get_mut(&session) {
                    session.give_up(&self.shard, &tracks);
                }
                self.machine.teardown(token)
            }
            Event::Ended { session, reason } => {
                if let Some(session) = self.sessions.remove(&session) {
                    session.end(
                        &self.shard,
                        match reason {
                            EndReason::ConnectionClosed => "closed",
                            EndReason::TimedOut => "timeout",
                        },
                    );
                }
                Ok(())
            }
            Event::Refused { method, status, detail } => {
                let method = method.map_or_else(|| "a request".to_owned(), |m| m.to_string());
                self.log_refusal(&method, "", &in_words(status, &detail));
                Ok(())
            }
            _ => Ok(()),
        };
    }

    async fn describe(
        &self,
        name: &str,
        query: Option<String>,
        client: &Client,
    ) -> Result<weir_proto::rtsp::server::Description, Refusal> {
        let stream = self.find(Action::Describe, name, query, client).await?;
        let address = self.stream.local_address().ip();
        describe::description(&stream, name, address)
            .map_err(|error| Refusal::new(Status::INTERNAL_SERVER_ERROR, error.to_string()))
    }

    /// The stream of a name, if the peer may do `action` with it.
    async fn find(
        &self,
        action: Action,
        name: &str,
        query: Option<String>,
        client: &Client,
    ) -> Result<Stream, Refusal> {
        let hub = &self.shard.context.hub;
        let credentials = Credentials { authorization: client.authorization.clone(), query };
        if let Err(denied) = hub.authorize(action, name, &credentials, self.peer.ip()) {
            return Err(self.refuse_access(&denied));
        }
        let found = hub.find(&self.shard.host, name).await.and_then(|stream| match &stream {
            Stream::Movie(movie) => movie.by_rtp().map(|()| stream),
            Stream::Live(_) => Ok(stream),
        });
        match found {
            Ok(stream) => Ok(stream),
            Err(error) => {
                self.log_refusal(&action.to_string(), name, &error.to_string());
                Err(Refusal::new(status_of(&error), public_words(&error)))
            }
        }
    }

    fn refuse_access(&self, denied: &Denied) -> Refusal {
        self.log_refusal(&denied.action.to_string(), &denied.path, denied.why);
        Refusal::new(Status::FORBIDDEN, denied.why)
    }

    /// The stream of a session, for the log; empty if there is none.
    fn name_of(&self, session: SessionId) -> String {
        self.sessions.get(&session).map(|session| session.name().to_owned()).unwrap_or_default()
    }

    fn log_if_refused(&self, method: &str, path: &str, refusal: Option<&Refusal>) {
        if let Some(Refusal { status, detail, .. }) = refusal {
            self.log_refusal(method, path, &in_words(*status, detail));
        }
    }

    fn log_refusal(&self, action: &str, path: &str, why: &str) {
        let path = &*shortened(path);
        match path {
            "" => tracing::warn!("{}: {action} refused: {why}", self.peer),
            path => tracing::warn!("{}: {action} {path:?} refused: {why}", self.peer),
        }
        let refused = event::Refused {
            peer: self.peer.to_string().into(),
            action: action.into(),
            path: path.into(),
            why: why.into(),
        };
        self.shard.context.records.emit(self.shard.host.now(), refused);
    }
}

/// Scale and Speed that are asked for are answered with those that are used (RFC 2326 sections
/// 12.34 and 12.35): there is one.
fn at_one_speed(playing: Playing, scale: Option<f64>, speed: Option<f64>) -> Playing {
    Playing { scale: scale.map(|_| 1.0), speed: speed.map(|_| 1.0), ..playing }
}

/// A status and why, as in a response.
fn in_words(status: Status, detail: &str) -> String {
    if detail.is_empty() { status.to_string() } else { format!("{status}: {detail}") }
}

fn unknown_session() -> Refusal {
    Refusal::new(Status::SESSION_NOT_FOUND, "")
}

fn status_of(error: &Error) -> Status {
    match error {
        Error::NotFound { .. } | Error::Ambiguous { .. } | Error::Outside { .. } => {
            Status::NOT_FOUND
        }
        Error::Movie { .. } | Error::CutOff { .. } | Error::TrackCount { .. } | Error::Pack(_) => {
            Status::UNSUPPORTED_MEDIA_TYPE
        }
        _ => Status::INTERNAL_SERVER_ERROR,
    }
}

/// What a peer is told: not where files lie.
fn public_words(error: &Error) -> String {
    match error {
        Error::Movie { source, .. } => format!("the movie cannot be read: {source}"),
        Error::CutOff { .. } => "the movie is cut off".to_owned(),
        Error::File { source, .. } => format!("the movie cannot be read: {}", source.kind()),
        Error::Empty { .. } => "the movie has no frames".to_owned(),
        Error::Unreadable { .. } => "none of the movie's frames can be read".to_owned(),
        Error::Outside { .. } => "there is no such stream".to_owned(),
        other => other.to_string(),
    }
}
