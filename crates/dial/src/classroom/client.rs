//! The client: commands, the wait, and what comes.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use weir_net::{DatagramBuffer, Either, Host, Scratch, TcpStream, UdpOptions, UdpSocket, select};
use weir_proto::classroom::Method;
use weir_proto::classroom::client::{self as machine, Cause, Config, Connection, Input, Output};
use weir_time::Instant;

use super::connect::Place;
use super::{Error, Event, Happened, Settings};

/// Drives one movie. See the module's text.
pub struct Client {
    host: Host,
    settings: Settings,
    place: Place,
    stage: Stage,
    link: Option<Link>,
    buffer: DatagramBuffer,
    happened: VecDeque<Happened>,
    foreign_datagrams: u64,
    receive_error_said: bool,
}

/// The connection and the port.
struct Link {
    machine: Connection,
    stream: TcpStream,
    scratch: Scratch,
    /// What the system has not taken yet.
    outbox: BytesMut,
    udp: UdpSocket,
    local: SocketAddr,
    peer: SocketAddr,
    /// The machine's next timer.
    due: Option<Instant>,
    /// What the system says of the connection's end, if it was no orderly one.
    error: Option<String>,
    closed: bool,
}

/// How far the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// To connect next.
    Start,
    /// Up to the reply to the first PLAY.
    Preparing,
    Playing,
    /// TEARDOWN was asked for.
    Ending,
    /// Nothing more is asked; images may still come.
    Over,
    Failed,
}

const SCRATCH_BYTES: usize = 8 * 1024;
/// How long to wait after the system failed to receive, so that a lasting failure is no busy loop.
const RECEIVE_RETRY: Duration = Duration::from_millis(10);

impl Client {
    /// A client for the movie that the settings name. It connects once [`Client::next`] is
    /// called.
    ///
    /// # Errors
    /// When the address cannot be read, asks for TLS, or names no movie that can be asked for.
    pub fn new(host: &Host, settings: Settings) -> Result<Self, Error> {
        let place = Place::parse(&settings.url)?;
        Connection::new(&place.name, 0, Config::default(), host.now())?;
        Ok(Client {
            host: host.clone(),
            settings,
            place,
            stage: Stage::Start,
            link: None,
            buffer: DatagramBuffer::new(),
            happened: VecDeque::new(),
            foreign_datagrams: 0,
            receive_error_said: false,
        })
    }

    /// What happens next; `None` once `until` has come. After [`Event::Failed`] only `None`.
    ///
    /// Dropping the future loses nothing, except while a connection is being made.
    pub async fn next(&mut self, until: Option<Instant>) -> Option<Happened> {
        loop {
            if let Some(happened) = self.happened.pop_front() {
                return Some(happened);
            }
            match self.stage {
                Stage::Failed => return None,
                Stage::Start => {
                    Box::pin(self.start()).await;
                    continue;
                }
                _ => {}
            }
            self.drive();
            if !self.happened.is_empty() {
                continue;
            }
            if until.is_some_and(|until| until <= self.host.now()) {
                return None;
            }
            self.wait(until).await;
        }
    }

    /// Plays on behind a pause. The answer is [`Event::Playing`].
    pub fn play(&mut self) {
        self.ask(Method::Play);
    }

    /// Pauses. The answer is [`Event::Paused`].
    pub fn pause(&mut self) {
        self.ask(Method::Pause);
    }

    /// Ends the session. The answer is [`Event::TornDown`], also where the server gives none.
    pub fn teardown(&mut self) {
        let is_set_up = matches!(self.stage, Stage::Preparing | Stage::Playing);
        if is_set_up && self.ask(Method::Teardown) {
            self.stage = Stage::Ending;
        } else {
            self.torn_down(false);
        }
    }

    /// Datagrams that came from others than the server.
    pub fn foreign_datagrams(&self) -> u64 {
        self.foreign_datagrams
    }

    /// Lines of the server that belong to no reply, and replies to nothing that was asked.
    pub fn stray_lines(&self) -> u64 {
        let machine = self.link.as_ref().map(|link| &link.machine);
        machine.map_or(0, |machine| machine.lines_ignored() + machine.stray_replies())
    }

    /// Whether the machine has taken the request.
    fn ask(&mut self, method: Method) -> bool {
        let now = self.host.now();
        match &mut self.link {
            Some(link) if !link.closed => match link.machine.ask(now, method) {
                Ok(()) => true,
                Err(error) => {
                    self.note(Event::Warning(format!("{method} was not sent: {error}")));
                    false
                }
            },
            _ => false,
        }
    }

    fn note(&mut self, event: Event) {
        self.happened.push_back(Happened { at: self.host.now(), event });
    }

    fn fail(&mut self, error: Error) {
        self.stage = Stage::Failed;
        self.note(Event::Failed(error));
    }

    async fn start(&mut self) {
        self.note(Event::Connecting { url: self.place.url.to_string() });
        match self.open().await {
            Ok(link) => {
                self.note(Event::Connected { peer: link.peer });
                self.link = Some(link);
                self.stage = Stage::Preparing;
                self.ask(Method::Setup);
            }
            Err(error) => self.fail(error),
        }
    }

    async fn open(&self) -> Result<Link, Error> {
        let stream = self.place.connect(&self.host, self.settings.connect_timeout).await?;
        let (local, peer) = (stream.local_address(), stream.peer_address());
        let options = UdpOptions {
            receive_buffer_bytes: Some(self.settings.receive_buffer_bytes),
            ..UdpOptions::default()
        };
        let udp = self.host.udp_bind(SocketAddr::new(local.ip(), 0), &options);
        let udp = udp.map_err(|source| Error::Port { source: source.into() })?;
        let config = Config { request_timeout: self.settings.request_timeout };
        let port = udp.local_address().port();
        Ok(Link {
            machine: Connection::new(&self.place.name, port, config, self.host.now())?,
            stream,
            scratch: Scratch::new(SCRATCH_BYTES),
            outbox: BytesMut::new(),
            udp,
            local,
            peer,
            due: None,
            error: None,
            closed: false,
        })
    }

    /// Does what the machine asks for.
    fn drive(&mut self) {
        while let Some(link) = &mut self.link {
            match link.machine.poll() {
                Output::Send(bytes) => link.outbox.extend_from_slice(&bytes),
                Output::Event(event) => self.take(event),
                Output::Close => self.closed(),
                Output::Timeout(due) => {
                    link.due = due;
                    link.flush(self.host.now());
                    // A write that failed has told the machine more.
                    if link.error.is_none() || link.closed {
                        return;
                    }
                }
            }
        }
    }

    fn take(&mut self, event: machine::Event) {
        match event {
            machine::Event::Done { method, status, round_trip } => {
                self.note(Event::Response { method, status: status.0, round_trip });
                self.done(method);
            }
            machine::Event::Failed(failure) => {
                if let Cause::Status { status, round_trip, .. } = &failure.cause {
                    let (method, status, round_trip) = (failure.method, status.0, *round_trip);
                    self.note(Event::Response { method, status, round_trip });
                }
                match (self.stage, failure.method) {
                    (_, Method::Teardown) => self.torn_down(false),
                    (Stage::Preparing, _) => {
                        let Some(link) = &self.link else { return };
                        let (local, peer, failure) = (link.local, link.peer, Box::new(failure));
                        self.fail(Error::Request { local, peer, failure });
                    }
                    _ => self.note(Event::Warning(failure.to_string())),
                }
            }
            _ => {}
        }
    }

    fn done(&mut self, method: Method) {
        match method {
            Method::Setup => {
                self.ask(Method::Play);
            }
            Method::Play => {
                if self.stage == Stage::Preparing {
                    self.stage = Stage::Playing;
                }
                self.note(Event::Playing);
            }
            Method::Pause => self.note(Event::Paused),
            Method::Teardown => self.torn_down(true),
        }
    }

    fn torn_down(&mut self, answered: bool) {
        if self.stage != Stage::Failed {
            self.stage = Stage::Over;
            self.note(Event::TornDown { answered });
        }
    }

    fn closed(&mut self) {
        if let Some(link) = &mut self.link
            && !std::mem::replace(&mut link.closed, true)
        {
            let error = link.error.take();
            if self.stage != Stage::Failed {
                self.note(Event::Closed { error });
            }
        }
    }

    async fn wait(&mut self, until: Option<Instant>) {
        let host = self.host.clone();
        let Some(link) = &mut self.link else { return };
        let from = link.peer.ip();
        let due = [link.due, until].into_iter().flatten().min();
        let timer = async {
            match due {
                Some(at) => host.sleep_until(at).await,
                None => pending().await,
            }
        };
        let came = {
            let Link { machine, stream, scratch, outbox, udp, closed, .. } = link;
            let control = async {
                if *closed {
                    return pending().await;
                }
                let read = stream.read_with(scratch, |data| {
                    let input = if data.is_empty() { Input::Closed } else { Input::Bytes(data) };
                    machine.handle(host.now(), input);
                });
                let writable = async {
                    match outbox.is_empty() {
                        true => pending().await,
                        false => stream.writable().await,
                    }
                };
                match select(read, writable).await {
                    Either::First(read) => read,
                    Either::Second(()) => Ok(()),
                }
            };
            let received = pin!(udp.receive(&mut self.buffer));
            select(select(control, received), timer).await
        };
        match came {
            Either::First(Either::First(Ok(()))) => {}
            Either::First(Either::First(Err(error))) => link.broken(host.now(), &error),
            Either::First(Either::Second(Ok(()))) => self.take_datagrams(from),
            Either::First(Either::Second(Err(error))) => {
                if !std::mem::replace(&mut self.receive_error_said, true) {
                    self.note(Event::Warning(format!("cannot receive by UDP: {error}")));
                }
                host.sleep(RECEIVE_RETRY).await;
            }
            Either::Second(()) => link.machine.handle(host.now(), Input::Timer),
        }
    }

    fn take_datagrams(&mut self, server: IpAddr) {
        for datagram in self.buffer.datagrams() {
            if datagram.from.ip().to_canonical() != server.to_canonical() {
                self.foreign_datagrams += 1;
                continue;
            }
            let event = Event::Rtp { data: Bytes::copy_from_slice(datagram.data) };
            self.happened.push_back(Happened { at: datagram.at, event });
        }
    }
}

impl Link {
    /// Gives the system as much as it takes.
    fn flush(&mut self, now: Instant) {
        while !self.outbox.is_empty() {
            match self.stream.try_write(&self.outbox) {
                Ok(written) => self.outbox.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    self.outbox.clear();
                    self.broken(now, &error);
                }
            }
        }
    }

    /// The system says that the connection is over.
    fn broken(&mut self, now: Instant, error: &io::Error) {
        self.error.get_or_insert_with(|| error.to_string());
        self.machine.handle(now, Input::Closed);
    }
}
