//! Dialogues with servers of several makes, one for each quirk. The words are our own; the form of
//! headers and descriptions is theirs.

use super::*;

/// Answers in their order, each with what must have been asked.
struct Script {
    client: Client,
}

impl Script {
    fn new(url: &str) -> Self {
        let url = Url::parse(url).unwrap();
        let client = Client {
            connection: Connection::new(&url, Config::default(), Instant::ZERO),
            now: Instant::ZERO,
            sent: Vec::new(),
            seen: Vec::new(),
            deadline: None,
        };
        Script { client }
    }

    /// Gives a command whose request begins so, answers it, and gives the events.
    fn ask(
        &mut self,
        command: impl FnOnce(&mut Connection, Instant) -> Result<(), Error>,
        request: &str,
        answer: &str,
        body: &str,
    ) -> Vec<Event> {
        let sent = self.client.command(command).to_owned();
        assert!(sent.starts_with(request), "{sent}");
        let length = match body.len() {
            0 => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        let text = format!("{}\r\n{length}\r\n{body}", answer.replace('|', "\r\n"));
        let outputs = self.client.push(text.as_bytes());
        let events = outputs.into_iter().map(|output| match output {
            Output::Event(event) => event,
            other => panic!("{other:?}"),
        });
        events.collect()
    }

    fn oddities(&mut self) -> Vec<Oddity> {
        std::iter::from_fn(|| self.client.connection.take_oddity()).map(|(_, odd)| odd).collect()
    }
}

#[test]
fn a_server_of_the_live555_family_sends_a_date_a_destination_and_hexadecimal_sessions() {
    let mut script = Script::new("rtsp://192.0.2.9/clip.264");
    let sdp = "v=0\r\no=- 1234567890123456 1 IN IP4 192.0.2.9\r\ns=H.264 Video, streamed\r\n\
        i=clip.264\r\nt=0 0\r\na=tool:streaming media\r\na=type:broadcast\r\na=control:*\r\n\
        a=range:npt=0-\r\na=x-qt-text-nam:H.264 Video\r\nm=video 0 RTP/AVP 96\r\n\
        c=IN IP4 0.0.0.0\r\nb=AS:500\r\na=rtpmap:96 H264/90000\r\n\
        a=fmtp:96 packetization-mode=1;profile-level-id=42E01E;sprop-parameter-sets=Z0LgHtoC,aM48gA==\r\n\
        a=control:track1\r\n";
    let described = script.ask(
        |c, now| c.describe(now),
        "DESCRIBE rtsp://192.0.2.9/clip.264 RTSP/1.0\r\n",
        "RTSP/1.0 200 OK|CSeq: 1|Date: Sat, Nov 21 2026 10:00:00 GMT|\
         Content-Base: rtsp://192.0.2.9/clip.264/|Content-Type: application/sdp",
        sdp,
    );
    assert!(matches!(&described[..], [Event::Described { .. }]), "{described:?}");
    let set_up = script.ask(
        |c, now| c.setup(now, "track1", UDP),
        "SETUP rtsp://192.0.2.9/clip.264/track1 RTSP/1.0\r\n",
        "RTSP/1.0 200 OK|CSeq: 2|Date: Sat, Nov 21 2026 10:00:00 GMT|\
         Transport: RTP/AVP;unicast;destination=192.0.2.1;source=192.0.2.9;\
         client_port=5000-5001;server_port=6970-6971|Session: 5E7B4F2A;timeout=65",
        "",
    );
    let [Event::SetUp { session, transport, .. }] = &set_up[..] else { panic!("{set_up:?}") };
    assert_eq!((session.as_str(), transport.server_port.unwrap().rtp), ("5E7B4F2A", 6970));
    let playing = script.ask(
        |c, now| c.play(now, Some(Range::from(Duration::ZERO))),
        "PLAY rtsp://192.0.2.9/clip.264/ RTSP/1.0\r\n",
        "RTSP/1.0 200 OK|CSeq: 3|Date: Sat, Nov 21 2026 10:00:00 GMT|Range: npt=0.000-|\
         Session: 5E7B4F2A|RTP-Info: url=rtsp://192.0.2.9/clip.264/track1;seq=4711;rtptime=2910562361",
        "",
    );
    let [Event::Playing { rtp_info, .. }] = &playing[..] else { panic!("{playing:?}") };
    assert_eq!(rtp_info[0].rtptime, Some(2_910_562_361));
    assert_eq!(script.oddities(), []);
}

#[test]
fn a_camera_with_absolute_controls_and_its_inner_address_is_followed() {
    let mut script = Script::new("rtsp://cam.example/h264");
    let sdp = "v=0\no=- 0 0 IN IP4 10.1.1.5\ns=Session\nt=0 0\n\
        a=control:rtsp://10.1.1.5/h264/\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n\
        a=control:rtsp://10.1.1.5/h264/trackID=1\n";
    let described = script.ask(
        |c, now| c.describe(now),
        "DESCRIBE rtsp://cam.example/h264 RTSP/1.0\r\n",
        "RTSP/1.0 200 OK|CSeq: 1|Content-Base: rtsp://10.1.1.5/h264/|Content-type: Application/SDP",
        sdp,
    );
    let [Event::Described { base, .. }] = &described[..] else { panic!("{described:?}") };
    assert_eq!(base, "rtsp://10.1.1.5/h264/");
    script.ask(
        |c, now| c.setup(now, "rtsp://10.1.1.5/h264/trackID=1", TCP),
        "SETUP rtsp://10.1.1.5/h264/trackID=1 RTSP/1.0\r\n",
        "RTSP/1.0 200 OK|CSeq: 2|Session: 1185d20035702ca ; timeout = 60|\
         Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=4D2;mode=\"play\"",
        "",
    );
    assert_eq!(script.oddities(), []);
}

#[test]
fn responses_without_a_number_or_with_an_unknown_one_answer_the_request_that_waits() {
    let mut script = Script::new("rtsp://h/movie");
    for (answer, expected) in [
        ("RTSP/1.0 200 OK|Public: PLAY", Oddity::NoCseq),
        ("RTSP/1.0 200 OK|CSeq: 0|Public: PLAY", Oddity::WrongCseq { expected: 2, got: 0 }),
        ("RTSP/1.0 200 OK|CSeq: 77|Public: PLAY", Oddity::WrongCseq { expected: 3, got: 77 }),
        ("RTSP/1.0 200 OK|CSeq: four|Public: PLAY", Oddity::NoCseq),
    ] {
        let events = script.ask(|c, now| c.options(now), "OPTIONS ", answer, "");
        assert!(matches!(&events[..], [Event::Options { .. }]), "{answer}: {events:?}");
        assert_eq!(script.oddities(), [expected]);
    }
}

#[test]
fn a_response_that_comes_twice_answers_one_request() {
    let mut script = Script::new("rtsp://h/movie");
    let once = "RTSP/1.0 200 OK|CSeq: 1|Public: PLAY";
    script.ask(|c, now| c.options(now), "OPTIONS ", once, "");
    let again = script.ask(|c, now| c.options(now), "OPTIONS ", once, "");
    assert_eq!(again, []);
    assert_eq!(script.oddities(), [Oddity::OldCseq { expected: 2, got: 1 }]);
    assert_eq!(script.client.answer("RTSP/1.0 200 OK|CSeq: 2").len(), 1);
}

#[test]
fn a_server_that_forgets_or_changes_the_session_is_told() {
    let mut script = Script { client: Client::ready() };
    for (answer, expected) in [
        ("RTSP/1.0 200 OK|CSeq: 2", Some(Oddity::NoSession)),
        (
            "RTSP/1.0 200 OK|CSeq: 3|Session: 8",
            Some(Oddity::OtherSession { expected: "9".to_owned(), got: "8".to_owned() }),
        ),
        ("RTSP/1.0 200 OK|CSeq: 4|Session: 9;timeout=60", None),
    ] {
        let events = script.ask(|c, now| c.pause(now), "PAUSE ", answer, "");
        assert!(matches!(&events[..], [Event::Paused { .. }]), "{answer}: {events:?}");
        assert_eq!(script.oddities(), Vec::from_iter(expected));
    }
}

#[test]
fn oddities_that_nobody_takes_do_not_pile_up() {
    let mut script = Script::new("rtsp://h/movie");
    for _ in 0..100 {
        script.ask(|c, now| c.options(now), "OPTIONS ", "RTSP/1.0 200 OK|Public: PLAY", "");
    }
    assert_eq!(script.oddities().len(), 16);
}
