mod dialogue;
mod lifetime;
mod refusals;
mod stream;
mod transcripts;

use core::time::Duration;

use super::*;
use crate::rtsp::headers::{ChannelPair, Lower, Npt, PortPair};
use crate::rtsp::message::{Decoder, Item, Response, Tolerance};

/// A connection with a driver that answers every question as a movie of two tracks would.
struct Server {
    connection: Connection,
    now: Instant,
    /// What the machine wanted, without questions that were answered and timeouts.
    seen: Vec<Output>,
    deadline: Option<Instant>,
    questions: Vec<Event>,
    answering: bool,
}

impl Server {
    fn new() -> Self {
        Server::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let peer = "192.0.2.1".parse().unwrap();
        Server {
            connection: Connection::new(config, peer, 7, Instant::ZERO),
            now: Instant::ZERO,
            seen: Vec::new(),
            deadline: None,
            questions: Vec::new(),
            answering: true,
        }
    }

    fn drain(&mut self) {
        loop {
            match self.connection.poll() {
                Output::Timeout(Some(at)) if at <= self.now => {
                    self.connection.handle(self.now, Input::Timer);
                }
                Output::Timeout(at) => {
                    self.deadline = at;
                    return;
                }
                Output::Event(event) if is_question(&event) => {
                    if self.answering {
                        answer(&mut self.connection, &event);
                    }
                    self.questions.push(event);
                }
                output => self.seen.push(output),
            }
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.connection.handle(self.now, Input::Bytes(bytes));
        self.drain();
    }

    fn input(&mut self, input: Input<'_>) {
        self.connection.handle(self.now, input);
        self.drain();
    }

    fn wait(&mut self, span: Duration) {
        self.now += span;
        self.input(Input::Timer);
    }

    /// Sends a request, its lines parted by `|`, and reads the one response.
    fn ask(&mut self, request: &str) -> Response {
        let request = format!("{}\r\n\r\n", request.replace('|', "\r\n"));
        self.push(request.as_bytes());
        let mut responses = self.responses();
        assert_eq!(responses.len(), 1, "{request}");
        responses.remove(0)
    }

    /// The responses so far, taken out.
    fn responses(&mut self) -> Vec<Response> {
        let mut responses = Vec::new();
        self.seen.retain(|output| match output {
            Output::Send(bytes) => {
                responses.push(decode(bytes));
                false
            }
            _ => true,
        });
        responses
    }

    /// A server whose client has set up both tracks over TCP; and the session.
    fn ready() -> (Self, String) {
        let mut server = Server::new();
        let id = set_up(&mut server);
        (server, id)
    }

    fn playing() -> (Self, String) {
        let (mut server, id) = Server::ready();
        let play = server.ask(&format!("PLAY rtsp://h/movie/ RTSP/1.0|CSeq: 9|Session: {id}"));
        assert_eq!(play.status, Status::OK);
        (server, id)
    }
}

fn set_up(server: &mut Server) -> String {
    let first = server.ask(
        "SETUP rtsp://h/movie/trackID=0 RTSP/1.0|CSeq: 1|Transport: RTP/AVP/TCP;unicast;interleaved=0-1",
    );
    let session = first.fields.get("Session").unwrap().to_owned();
    let id = session.strip_suffix(";timeout=60").unwrap().to_owned();
    let second = server.ask(&format!(
        "SETUP rtsp://h/movie/trackID=1 RTSP/1.0|CSeq: 2|Session: {id}|Transport: RTP/AVP/TCP;unicast;interleaved=2-3",
    ));
    assert_eq!(second.status, Status::OK);
    id
}

fn is_question(event: &Event) -> bool {
    !matches!(event, Event::Ended { .. } | Event::Refused { .. })
}

fn answer(connection: &mut Connection, event: &Event) {
    let result = match event {
        Event::Describe { token, .. } => {
            let sdp = "v=0\r\n".to_owned();
            let content_base = None;
            connection.describe(*token, Ok(Description { sdp, content_base }))
        }
        Event::Setup { token, control, offered, .. } => {
            let mut transport = offered[0].clone();
            if transport.lower == Lower::Udp {
                let (rtp, rtcp) = (6970, Some(6971));
                transport.server_port = Some(PortPair { rtp, rtcp });
            }
            transport.ssrc = Some(0xfeed_0001);
            let track = control.track.unwrap_or(0);
            connection.setup(*token, Ok(Chosen { track, transport }))
        }
        Event::Play { token, tracks, range, scale, speed, .. } => {
            let rtp_info = tracks.iter().map(|&track| TrackInfo {
                track,
                seq: 100 + u16::from(track),
                rtptime: 9000,
            });
            let playing = Playing {
                range: range.clone().or(Some(Range::from(Duration::ZERO))),
                scale: *scale,
                speed: *speed,
                rtp_info: rtp_info.collect(),
            };
            connection.play(*token, Ok(playing))
        }
        Event::Pause { token, at, .. } => {
            let place = at.unwrap_or(Duration::from_millis(1500));
            let paused = Paused { range: Some(Range::from(place)), later: at.is_some() };
            connection.pause(*token, Ok(paused))
        }
        Event::Teardown { token, .. } => connection.teardown(*token),
        _ => Ok(()),
    };
    result.unwrap();
}

fn decode(bytes: &[u8]) -> Response {
    let mut decoder = Decoder::new(Tolerance::Strict);
    decoder.push(bytes);
    let Some(Ok(Item::Response(response))) = decoder.next() else {
        panic!("no response: {bytes:?}")
    };
    assert_eq!(decoder.buffered_bytes(), 0);
    response
}

fn token_of(event: &Event) -> Token {
    match event {
        Event::Describe { token, .. }
        | Event::Setup { token, .. }
        | Event::Play { token, .. }
        | Event::Pause { token, .. }
        | Event::Teardown { token, .. } => *token,
        other => panic!("no question: {other:?}"),
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
