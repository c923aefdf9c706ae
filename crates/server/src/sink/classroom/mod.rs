//! The classroom dialect of RTSP: a task for each control connection, driving the machine of
//! `weir-proto`.
//!
//! It has no port of its own: [`sniff`] tells it from real RTSP by its first bytes. It serves
//! movies with a JPEG track; media goes to the port that SETUP names at the control connection's
//! own address, from the port of RTP that all viewers share.

mod sniff;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use weir_net::{Either, TcpStream, select, timeout};
use weir_proto::classroom::PAYLOAD_TYPE;
use weir_proto::classroom::pack::can_carry;
use weir_proto::classroom::server::{Config, Connection, EndReason, Event, Input, Output};
use weir_proto::rtp::{RtpTime, SequenceNumber, Ssrc};
use weir_proto::rtsp::Status;
use weir_proto::rtsp::url::ControlPath;
use weir_record::event;
use weir_time::Instant;

use crate::Error;
use crate::access::{Action, Credentials};
use crate::error::shortened;
use crate::hub::Stream;
use crate::shard::{From, Setup, Shard, Target, TrackSetup, Way};

pub(crate) use sniff::{First, sniff};

/// How long the last replies of a connection may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Serves a connection that speaks the dialect; `first` are its first bytes.
pub(crate) async fn serve(
    shard: &Rc<Shard>,
    stream: Rc<TcpStream>,
    outlet: usize,
    peer: SocketAddr,
    first: &[u8],
) {
    let now = shard.host.now();
    let mut machine = Connection::new(Config::default(), shard.host.random_u64(), now);
    machine.handle(now, Input::Bytes(first));
    let shard = Rc::clone(shard);
    Control { shard, stream, outlet, peer, machine, viewer: None }.run().await;
}

/// One control connection.
struct Control {
    shard: Rc<Shard>,
    stream: Rc<TcpStream>,
    outlet: usize,
    peer: SocketAddr,
    machine: Connection,
    viewer: Option<usize>,
}

/// What a connection waits for.
enum Wait {
    Until(Option<Instant>),
    Over,
}

impl Control {
    async fn run(mut self) {
        while let Wait::Until(at) = self.drive().await {
            self.wait(at).await;
        }
        self.end("closed");
        self.shard.close(self.outlet);
        let flushed = async {
            while !self.shard.is_flushed(self.outlet) {
                self.shard.host.sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = timeout(&self.shard.host, CLOSE_LIMIT, flushed).await;
        self.shard.remove_outlet(self.outlet);
    }

    /// Does what the machine asks for.
    async fn drive(&mut self) -> Wait {
        loop {
            match self.machine.poll() {
                Output::Send(reply) => {
                    if !self.shard.send(self.outlet, reply) {
                        return Wait::Over;
                    }
                }
                Output::Event(event) => self.answer(event).await,
                Output::Close => return Wait::Over,
                Output::Timeout(at) => return Wait::Until(at),
            }
        }
    }

    /// Waits for bytes, and for the machine's next timer.
    async fn wait(&mut self, at: Option<Instant>) {
        let host = self.shard.host.clone();
        let machine = &mut self.machine;
        let read = self.stream.read_with(&self.shard.scratch, |data| {
            let input = if data.is_empty() { Input::Closed } else { Input::Bytes(data) };
            machine.handle(host.now(), input);
        });
        let failed = match at {
            None => read.await.is_err(),
            Some(at) => match select(read, host.sleep_until(at)).await {
                Either::First(read) => read.is_err(),
                Either::Second(()) => {
                    if self.viewer.is_some_and(|viewer| self.shard.is_playing(viewer)) {
                        self.machine.sign_of_life(host.now());
                    }
                    self.machine.handle(host.now(), Input::Timer);
                    false
                }
            },
        };
        if failed {
            self.machine.handle(host.now(), Input::Closed);
        }
    }

    async fn answer(&mut self, event: Event) {
        match event {
            Event::Setup { name, port } => {
                let answer = self.set_up(&name, port).await;
                self.machine.setup(answer);
            }
            Event::Play => {
                if let Some(viewer) = self.viewer {
                    self.shard.play(viewer, From::Here, None);
                }
            }
            Event::Pause => {
                if let Some(viewer) = self.viewer {
                    self.shard.pause(viewer);
                }
            }
            Event::Ended { reason } => self.end(match reason {
                EndReason::Teardown => "teardown",
                EndReason::ConnectionClosed => "closed",
                EndReason::TimedOut => "timeout",
            }),
            Event::Refused { method, status, detail } => {
                let method = method.map_or_else(|| "a request".to_owned(), |m| m.to_string());
                self.log_refusal(&method, "", &format!("{status}: {detail}"));
            }
            _ => {}
        }
    }

    /// SETUP: finds the movie and takes a viewer in.
    async fn set_up(&mut self, name: &str, port: u16) -> Result<(), Status> {
        let name = movie_name(name);
        let hub = &self.shard.context.hub;
        let credentials = Credentials::default();
        if let Err(denied) = hub.authorize(Action::Play, &name, &credentials, self.peer.ip()) {
            self.log_refusal("play", &name, denied.why);
            return Err(Status::FORBIDDEN);
        }
        let stream = match hub.find(&self.shard.host, &name).await {
            Ok(stream) => stream,
            Err(error) => {
                self.log_refusal("play", &name, &error.to_string());
                return Err(match error {
                    Error::NotFound { .. } | Error::Ambiguous { .. } | Error::Outside { .. } => {
                        Status::NOT_FOUND
                    }
                    _ => Status::INTERNAL_SERVER_ERROR,
                });
            }
        };
        let is_movie = matches!(stream, Stream::Movie(_));
        let track = stream.tracks().iter().position(can_carry).filter(|_| is_movie);
        let Some(track) = track else {
            let why = match is_movie {
                true => "the classroom dialect carries movies of JPEG images alone",
                false => "the classroom dialect carries movies; live streams are not carried",
            };
            self.log_refusal("play", &name, why);
            return Err(Status::NOT_FOUND);
        };
        if !self.shard.has_udp() {
            self.log_refusal("play", &name, "there is no UDP here");
            return Err(Status::INTERNAL_SERVER_ERROR);
        }
        let to = Target::Address(SocketAddr::new(self.peer.ip(), port));
        let mut tracks = vec![None; stream.tracks().len()];
        tracks[track] = Some(TrackSetup {
            ssrc: Ssrc(self.shard.host.random_u64() as u32),
            payload_type: PAYLOAD_TYPE,
            // Time stamps come from the time of day, not from frames.
            clock_rate_hz: 0,
            // The number of the first frame.
            seq: SequenceNumber(1),
            offset: RtpTime(0),
            rtp: to,
            // There is no RTCP: nothing is ever sent there.
            rtcp: to,
        });
        self.viewer = Some(self.shard.add_viewer(Setup {
            stream,
            name: name.into(),
            peer: self.peer,
            way: Way::Classroom,
            user_agent: None,
            tracks,
        }));
        Ok(())
    }

    /// The session is over.
    fn end(&mut self, reason: &str) {
        if let Some(viewer) = self.viewer.take() {
            self.shard.remove_viewer(viewer, reason);
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

/// The movie's name in the hub: clients name a file, some with a path or an address before it.
fn movie_name(asked: &str) -> String {
    if asked.contains("://") {
        // What cannot be read is the name of nothing.
        return ControlPath::parse(asked).map(|path| path.stream).unwrap_or_default();
    }
    asked.trim_start_matches("./").trim_start_matches('/').to_owned()
}
