//! The client's machine against the server's, in memory.

use super::*;
use crate::rtsp::server;

/// A client and a server in memory, each message delivered at once.
struct Pair {
    client: Connection,
    server: server::Connection,
    events: Vec<Event>,
    from_client: Vec<Bytes>,
    from_server: Vec<Bytes>,
}

impl Pair {
    fn new() -> Self {
        let url = Url::parse("rtsp://192.0.2.2:8554/my%20movie").unwrap();
        let peer = "192.0.2.1".parse().unwrap();
        Pair {
            client: Connection::new(&url, Config::default(), Instant::ZERO),
            server: server::Connection::new(server::Config::default(), peer, 3, Instant::ZERO),
            events: Vec::new(),
            from_client: Vec::new(),
            from_server: Vec::new(),
        }
    }

    /// Exchanges messages until nothing is said any more.
    fn settle(&mut self) {
        let now = Instant::ZERO;
        loop {
            self.drain();
            if self.from_client.is_empty() && self.from_server.is_empty() {
                return;
            }
            for bytes in core::mem::take(&mut self.from_client) {
                self.server.handle(now, server::Input::Bytes(&bytes));
            }
            for bytes in core::mem::take(&mut self.from_server) {
                self.client.handle(now, Input::Bytes(&bytes));
            }
        }
    }

    fn drain(&mut self) {
        loop {
            match self.client.poll() {
                Output::Timeout(_) => break,
                Output::Send(bytes) => self.from_client.push(bytes),
                Output::Event(event) => self.events.push(event),
                other => panic!("{other:?}"),
            }
        }
        loop {
            match self.server.poll() {
                server::Output::Timeout(_) => return,
                server::Output::Send(bytes) => self.from_server.push(bytes),
                server::Output::Event(event) => self.serve(event),
                other => panic!("{other:?}"),
            }
        }
    }

    fn serve(&mut self, event: server::Event) {
        use server::Event as Asked;
        let server = &mut self.server;
        let done = match event {
            Asked::Describe { token, control, .. } => {
                assert_eq!(control.stream, "my movie");
                let (sdp, content_base) = (SDP.to_owned(), None);
                server.describe(token, Ok(server::Description { sdp, content_base }))
            }
            Asked::Setup { token, control, offered, .. } => {
                let track = control.track.unwrap();
                let transport = offered[0].clone();
                server.setup(token, Ok(server::Chosen { track, transport }))
            }
            Asked::Play { token, tracks, range, .. } => {
                let info = |&track| server::TrackInfo { track, seq: 1, rtptime: 2 };
                let rtp_info = tracks.iter().map(info).collect();
                let scale = None;
                server.play(token, Ok(server::Playing { range, scale, speed: None, rtp_info }))
            }
            Asked::Pause { token, .. } => {
                let paused = server::Paused { range: None, later: false };
                server.pause(token, Ok(paused))
            }
            Asked::Teardown { token, end, .. } => {
                assert!(end);
                server.teardown(token)
            }
            other => panic!("{other:?}"),
        };
        done.unwrap();
    }
}

#[test]
fn client_and_server_understand_each_other() {
    let mut pair = Pair::new();
    let now = Instant::ZERO;
    let range = Range::from(Duration::from_millis(2500));
    pair.client.options(now).unwrap();
    pair.client.describe(now).unwrap();
    pair.client.setup(now, "trackID=0", TCP).unwrap();
    pair.client.setup(now, "trackID=1", UDP).unwrap();
    pair.client.play(now, Some(range.clone())).unwrap();
    pair.client.get_parameter(now).unwrap();
    pair.client.pause(now).unwrap();
    pair.client.teardown(now).unwrap();
    pair.settle();
    let base = "rtsp://192.0.2.2:8554/my%20movie/";
    let mut urls = Vec::new();
    for (at, event) in pair.events.iter().enumerate() {
        match (at, event) {
            (0, Event::Options { methods, .. }) => assert!(methods.contains(&Method::Play)),
            (1, Event::Described { aggregate, .. }) => assert_eq!(aggregate, base),
            (2 | 3, Event::SetUp { url, .. }) => urls.push(url.clone()),
            (4, Event::Playing { range: played, rtp_info, .. }) => {
                assert_eq!(played, &Some(range.clone()));
                let named: Vec<_> = rtp_info.iter().map(|info| info.url.clone()).collect();
                assert_eq!(named, urls);
            }
            (5, Event::Alive { .. }) | (6, Event::Paused { .. }) | (7, Event::TornDown { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pair.events.len(), 8);
    assert_eq!(pair.client.session(), None);
}
