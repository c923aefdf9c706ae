mod pair;
mod transcripts;

use proptest::prelude::*;

use super::*;
use crate::rtsp::url::Url;

/// A client and what it wanted, without timeouts.
struct Client {
    connection: Connection,
    now: Instant,
    sent: Vec<String>,
    seen: Vec<Output>,
    deadline: Option<Instant>,
}

const SDP: &str = "v=0\r\ns=-\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\na=control:trackID=0\r\n";

impl Client {
    fn new() -> Self {
        Client::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let url = Url::parse("rtsp://user:secret@h:8554/movie").unwrap();
        Client {
            connection: Connection::new(&url, config, Instant::ZERO),
            now: Instant::ZERO,
            sent: Vec::new(),
            seen: Vec::new(),
            deadline: None,
        }
    }

    /// Gives a command, and names what was sent.
    fn command(
        &mut self,
        command: impl FnOnce(&mut Connection, Instant) -> Result<(), Error>,
    ) -> &str {
        command(&mut self.connection, self.now).unwrap();
        self.drain();
        self.sent.last().map_or("", String::as_str)
    }

    /// Takes a response in, its lines parted by `|`, ten milliseconds later.
    fn answer(&mut self, response: &str) -> Vec<Output> {
        let response = format!("{}\r\n\r\n", response.replace('|', "\r\n"));
        self.push(response.as_bytes())
    }

    fn push(&mut self, bytes: &[u8]) -> Vec<Output> {
        self.now += ROUND_TRIP;
        self.connection.handle(self.now, Input::Bytes(bytes));
        self.drain();
        core::mem::take(&mut self.seen)
    }

    fn timer(&mut self) -> Vec<Output> {
        self.now = self.deadline.unwrap();
        self.connection.handle(self.now, Input::Timer);
        self.drain();
        core::mem::take(&mut self.seen)
    }

    fn drain(&mut self) {
        loop {
            match self.connection.poll() {
                Output::Timeout(at) => {
                    self.deadline = at;
                    return;
                }
                Output::Send(bytes) => {
                    self.sent.push(String::from_utf8(bytes.to_vec()).unwrap());
                }
                output => self.seen.push(output),
            }
        }
    }

    /// A client with a session on one track over TCP.
    fn ready() -> Self {
        let mut client = Client::new();
        client.command(|c, now| c.setup(now, "trackID=0", TCP));
        client.answer(
            "RTSP/1.0 200 OK|CSeq: 1|Session: 9;timeout=20|Transport: RTP/AVP/TCP;interleaved=0-1",
        );
        client
    }
}

const ROUND_TRIP: Duration = Duration::from_millis(10);

const TCP: TransportRequest =
    TransportRequest::Tcp { channels: ChannelPair { rtp: 0, rtcp: Some(1) } };

const UDP: TransportRequest =
    TransportRequest::Udp { client_port: PortPair { rtp: 5000, rtcp: Some(5001) } };

fn failure(outputs: &[Output]) -> &Failure {
    match outputs {
        [Output::Event(Event::Failed(failure))] => failure,
        other => panic!("{other:?}"),
    }
}

fn describe_answer(client: &mut Client, fields: &str, sdp: &str) -> (String, String) {
    client.command(|c, now| c.describe(now));
    let length = sdp.len();
    let text = format!(
        "RTSP/1.0 200 OK\r\nCSeq: {}\r\n{fields}Content-Length: {length}\r\n\r\n{sdp}",
        client.sent.len()
    );
    match &client.push(text.as_bytes())[..] {
        [Output::Event(Event::Described { base, aggregate, .. })] => {
            (base.clone(), aggregate.clone())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn requests_carry_number_session_and_agent_but_no_password() {
    let mut client = Client::ready();
    let range = Some(Range::from(Duration::from_secs(3)));
    let play = client.command(|c, now| c.play(now, range));
    let agent = concat!("weir/", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        play,
        format!(
            "PLAY rtsp://h:8554/movie RTSP/1.0\r\nCSeq: 2\r\nRange: npt=3.000-\r\n\
             Session: 9\r\nUser-Agent: {agent}\r\n\r\n"
        )
    );
}

#[test]
fn addresses_resolve_against_what_the_server_names() {
    let control = |control: &str| SDP.replace("control:*", &format!("control:{control}"));
    for (fields, sdp, base, aggregate) in [
        ("", SDP.to_owned(), "rtsp://h:8554/movie", "rtsp://h:8554/movie"),
        (
            "Content-Base: rtsp://h:8554/movie/\r\n",
            SDP.to_owned(),
            "rtsp://h:8554/movie/",
            "rtsp://h:8554/movie/",
        ),
        ("Content-Location: rtsp://k/m/\r\n", SDP.to_owned(), "rtsp://k/m/", "rtsp://k/m/"),
        ("Content-Base: /m/\r\n", SDP.to_owned(), "rtsp://h:8554/m/", "rtsp://h:8554/m/"),
        ("", control("rtsp://k/all"), "rtsp://h:8554/movie", "rtsp://k/all"),
        ("Content-Base: rtsp://h/m/\r\n", control("all"), "rtsp://h/m/", "rtsp://h/m/all"),
    ] {
        let mut client = Client::new();
        let found = describe_answer(&mut client, fields, &sdp);
        assert_eq!(found, (base.to_owned(), aggregate.to_owned()));
        let setup = client.command(|c, now| c.setup(now, "trackID=1", UDP)).to_owned();
        let slash = if aggregate.ends_with('/') { "" } else { "/" };
        let url = format!("SETUP {aggregate}{slash}trackID=1 RTSP/1.0\r\n");
        assert!(setup.starts_with(&url), "{setup}");
    }
}

#[test]
fn a_setup_opens_the_session_that_the_next_one_joins() {
    let mut client = Client::new();
    let setup = client.command(|c, now| c.setup(now, "rtsp://k/video", UDP));
    assert!(setup.starts_with("SETUP rtsp://k/video RTSP/1.0\r\n"));
    assert!(setup.contains("\r\nTransport: RTP/AVP;unicast;client_port=5000-5001\r\n"));
    let outputs = client.answer(
        "RTSP/1.0 200 OK|CSeq: 1|Session: 47112344;timeout=30|Transport: RTP/AVP;unicast;server_port=6970-6971;ssrc=1F",
    );
    let [Output::Event(Event::SetUp { url, session, transport, round_trip, .. })] = &outputs[..]
    else {
        panic!("{outputs:?}")
    };
    assert_eq!((url.as_str(), session.as_str()), ("rtsp://k/video", "47112344"));
    assert_eq!((transport.client_port.unwrap().rtp, transport.ssrc), (5000, Some(0x1f)));
    assert_eq!(*round_trip, ROUND_TRIP);
    let next = client.command(|c, now| c.setup(now, "audio", UDP));
    assert!(next.contains("\r\nSession: 47112344\r\n"));
}

#[test]
fn a_setup_that_is_answered_with_another_transport_fails() {
    for answer in [
        "RTSP/1.0 200 OK|CSeq: 1|Session: 1|Transport: RTP/AVP/TCP;interleaved=0-1",
        "RTSP/1.0 200 OK|CSeq: 1|Session: 1|Transport: RTP/AVP;multicast",
        "RTSP/1.0 200 OK|CSeq: 1|Session: 1",
        "RTSP/1.0 200 OK|CSeq: 1|Transport: RTP/AVP;unicast",
    ] {
        let mut client = Client::new();
        client.command(|c, now| c.setup(now, "trackID=0", UDP));
        let outputs = client.answer(answer);
        assert!(matches!(failure(&outputs).cause, Cause::Malformed(_)), "{answer}");
    }
}

#[test]
fn commands_wait_for_their_turn_and_know_what_came_before() {
    let mut client = Client::new();
    client.command(|c, now| c.setup(now, "trackID=0", TCP));
    client.command(|c, now| c.play(now, None));
    assert_eq!(client.sent.len(), 1);
    client.answer("RTSP/1.0 200 OK|CSeq: 1|Session: 5|Transport: RTP/AVP/TCP;interleaved=0-1");
    assert!(client.sent[1].contains("\r\nSession: 5\r\n"));
    for _ in 0..COMMANDS_MAX {
        client.connection.options(client.now).unwrap();
    }
    assert_eq!(client.connection.options(client.now), Err(Error::TooManyCommands));
}

#[test]
fn play_tells_where_tracks_begin() {
    let mut client = Client::ready();
    client.command(|c, now| c.play(now, None));
    let outputs = client.answer(
        "RTSP/1.0 200 OK|CSeq: 2|Range: npt=0.000-12.000|Scale: 1.0|RTP-Info: url=trackID=0;seq=7;rtptime=8",
    );
    let rtp_info = vec![RtpInfo {
        url: "rtsp://h:8554/movie/trackID=0".to_owned(),
        seq: Some(7),
        rtptime: Some(8),
    }];
    let expected = Event::Playing {
        range: Some(Range::parse("npt=0-12").unwrap()),
        scale: Some(1.0),
        rtp_info,
        round_trip: ROUND_TRIP,
    };
    assert_eq!(outputs, [Output::Event(expected)]);
}

#[test]
fn a_request_that_is_not_answered_in_time_fails_by_name() {
    let mut client = Client::new();
    client.command(|c, now| c.describe(now));
    assert_eq!(client.deadline, Some(Instant::from_millis(10_000)));
    let outputs = client.timer();
    let text = "DESCRIBE rtsp://h:8554/movie: no response within 10 s";
    assert_eq!(failure(&outputs).to_string(), text);
    let late = client.answer("RTSP/1.0 200 OK|CSeq: 1");
    assert_eq!(late, []);
    assert_eq!(client.connection.stray_responses(), 1);
}

#[test]
fn the_session_is_kept_alive_by_get_parameter_at_half_its_timeout() {
    let mut client = Client::ready();
    let sent = Instant::ZERO;
    assert_eq!(client.deadline, Some(sent + Duration::from_secs(10)));
    assert_eq!(client.timer(), []);
    assert!(
        client.sent[1].starts_with("GET_PARAMETER rtsp://h:8554/movie RTSP/1.0\r\nCSeq: 2\r\n")
    );
    let alive = client.answer("RTSP/1.0 200 OK|CSeq: 2");
    let round_trip = ROUND_TRIP;
    assert_eq!(alive, [Output::Event(Event::Alive { round_trip })]);
    assert_eq!(client.deadline, Some(sent + Duration::from_secs(20)));
}

#[test]
fn a_server_without_get_parameter_is_asked_for_options() {
    let mut client = Client::ready();
    client.timer();
    assert_eq!(client.answer("RTSP/1.0 501 Not Implemented|CSeq: 2"), []);
    assert!(client.sent[2].starts_with("OPTIONS "));
    client.answer("RTSP/1.0 200 OK|CSeq: 3");
    client.timer();
    assert!(client.sent[3].starts_with("OPTIONS "));
}

#[test]
fn basic_credentials_are_sent_once_they_are_asked_for() {
    let credentials =
        Some(Credentials { user: "Aladdin".to_owned(), password: "open sesame".to_owned() });
    let config = Config { credentials, ..Config::default() };
    assert!(!format!("{config:?}").contains("sesame"));
    let mut client = Client::with(config);
    let first = client.command(|c, now| c.describe(now));
    assert!(!first.contains("Authorization"));
    let challenge = "RTSP/1.0 401 Unauthorized|CSeq: N|WWW-Authenticate: Basic realm=\"x\"";
    assert_eq!(client.answer(&challenge.replace('N', "1")), []);
    let value = "\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n";
    assert!(client.sent[1].contains(value), "{}", client.sent[1]);
    let outputs =
        client.answer("RTSP/1.0 401 Unauthorized|CSeq: 2|WWW-Authenticate: Basic realm=\"x\"");
    let Cause::Status { status, challenges, .. } = &failure(&outputs).cause else { panic!() };
    assert_eq!((*status, challenges.len()), (Status::UNAUTHORIZED, 1));
}

#[test]
fn a_redirection_is_reported() {
    let mut client = Client::new();
    client.command(|c, now| c.describe(now));
    let outputs = client.answer("RTSP/1.0 302 Moved Temporarily|CSeq: 1|Location: rtsp://k/m");
    let [Output::Event(Event::Redirected { location, status, .. })] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!((location.as_str(), *status), ("rtsp://k/m", Status::MOVED_TEMPORARILY));
}

#[test]
fn packets_are_delivered_amid_responses() {
    let mut client = Client::ready();
    client.command(|c, now| c.play(now, None));
    let outputs =
        client.push(b"$\x00\x00\x02abRTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n$\x01\x00\x01c$\x00\x00");
    let packet = |channel, data: &'static [u8]| Output::Interleaved {
        channel,
        data: Bytes::from_static(data),
    };
    assert_eq!((&outputs[0], &outputs[2]), (&packet(0, b"ab"), &packet(1, b"c")));
    assert!(matches!(outputs[1], Output::Event(Event::Playing { .. })));
    assert_eq!(client.push(b"\x01d"), [packet(0, b"d")]);
}

#[test]
fn junk_is_passed_over_and_its_place_is_named() {
    let mut client = Client::new();
    client.push(b"$\x00\x00\x02ab");
    let outputs = client.push(b"\xff\xfe\xfd$\x00\x00\x01a");
    let skipped = Event::Skipped { offset: 6, bytes: 3 };
    assert_eq!(outputs[0], Output::Event(skipped));
    assert!(matches!(outputs[1], Output::Interleaved { channel: 0, .. }));
}

#[test]
fn endless_junk_ends_the_connection() {
    let mut client = Client::new();
    client.command(|c, now| c.describe(now));
    let outputs = client.push(&[0xff; 100_000]);
    let offset = 100_000;
    assert!(outputs.contains(&Output::Event(Event::Unreadable(DecodeError::NoMessage { offset }))));
    assert_eq!(outputs.last(), Some(&Output::Close));
    assert_eq!(client.connection.describe(client.now), Err(Error::Closed));
}

#[test]
fn a_lost_connection_fails_what_waits() {
    let mut client = Client::new();
    client.command(|c, now| c.options(now));
    client.command(|c, now| c.describe(now));
    client.connection.handle(client.now, Input::Closed);
    client.drain();
    let cause = |output: &Output| match output {
        Output::Event(Event::Failed(failure)) => {
            Some((failure.method.clone(), failure.cause.clone()))
        }
        _ => None,
    };
    let causes: Vec<_> = client.seen.iter().map(cause).collect();
    let lost = |method| Some((method, Cause::ConnectionLost));
    assert_eq!(causes, [lost(Method::Options), lost(Method::Describe), None]);
    assert_eq!(client.seen.last(), Some(&Output::Close));
}

#[test]
fn the_servers_own_requests_are_answered() {
    for (request, status) in [
        ("OPTIONS * RTSP/1.0|CSeq: 4", 200),
        ("GET_PARAMETER * RTSP/1.0|CSeq: 4", 200),
        ("SET_PARAMETER * RTSP/1.0|CSeq: 4", 200),
        ("OPTIONS * RTSP/1.0", 400),
        ("ANNOUNCE rtsp://h/movie RTSP/1.0|CSeq: 4", 405),
        ("REDIRECT rtsp://h/movie RTSP/1.0|CSeq: 4|Location: rtsp://k/", 405),
        ("BREW rtsp://h/movie RTSP/1.0|CSeq: 4", 501),
    ] {
        let mut client = Client::ready();
        let outputs = client.answer(request);
        let [Output::Event(Event::Asked { status: told, .. })] = &outputs[..] else {
            panic!("{outputs:?}")
        };
        assert_eq!(*told, Status(status), "{request}");
        let sent = client.sent.last().unwrap();
        assert!(sent.starts_with(&format!("RTSP/1.0 {status} ")), "{sent}");
        assert_eq!(sent.contains("\r\nCSeq: 4\r\n"), status != 400);
    }
}

fn conversation() -> Vec<u8> {
    let mut bytes = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: PLAY\r\n\r\n$\x00\x00\x03abc".to_vec();
    let length = SDP.len();
    bytes.extend(
        format!("RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: {length}\r\n\r\n{SDP}").bytes(),
    );
    bytes.extend(b"$\x01\x00\x00OPTIONS * RTSP/1.0\nCSeq: 1\n\nRTSP/1.0 454 Gone\r\nCSeq: 3\r\n\r\n$\x02\x00\x01z");
    bytes
}

fn play_to_client(pieces: impl Iterator<Item = Vec<u8>>) -> (Vec<String>, Vec<Output>) {
    let mut client = Client::new();
    client.command(|c, now| c.options(now));
    client.command(|c, now| c.describe(now));
    client.command(|c, now| c.pause(now));
    for piece in pieces {
        client.connection.handle(client.now, Input::Bytes(&piece));
        client.drain();
    }
    (client.sent, client.seen)
}

#[test]
fn a_stream_cut_anywhere_gives_the_same_outputs() {
    let bytes = conversation();
    let whole = play_to_client(core::iter::once(bytes.clone()));
    assert_eq!(whole.1.len(), 7);
    for at in 0..bytes.len() {
        let (before, behind) = bytes.split_at(at);
        let cut = play_to_client([before.to_vec(), behind.to_vec()].into_iter());
        assert_eq!(cut, whole, "cut at {at}");
    }
}

proptest! {
    #[test]
    fn a_stream_cut_into_pieces_gives_the_same_outputs(piece in 1usize..40) {
        let bytes = conversation();
        let whole = play_to_client(core::iter::once(bytes.clone()));
        let cut = play_to_client(bytes.chunks(piece).map(<[u8]>::to_vec));
        prop_assert_eq!(cut, whole);
    }
}
