//! Both directions of control connections, with ports that are only noted.

use proptest::prelude::*;

use super::*;

#[derive(Default)]
struct Noted {
    refuse: bool,
    opened: Vec<PortPair>,
    answered: Vec<(MediaId, Option<PortPair>, Option<IpAddr>)>,
    closed: Vec<MediaId>,
}

impl Media for Noted {
    fn open(&mut self, client: PortPair) -> Option<Opened> {
        if self.refuse {
            return None;
        }
        let number = self.opened.len() as u16;
        self.opened.push(client);
        let media = MediaId(u64::from(number));
        Some(Opened { media, to_server: 40_000 + 2 * number, to_client: 50_000 + 2 * number })
    }

    fn answered(&mut self, media: MediaId, server: Option<PortPair>, source: Option<IpAddr>) {
        self.answered.push((media, server, source));
    }

    fn close(&mut self, media: MediaId) {
        self.closed.push(media);
    }
}

fn relay() -> Relay {
    let ends = Ends { client: [10, 0, 0, 1].into(), relay: [10, 0, 0, 9].into() };
    Relay::new(Instant::ZERO, ends)
}

fn up(relay: &mut Relay, media: &mut Noted, bytes: &str) -> String {
    text(&relay.from_client(Instant::ZERO, bytes.as_bytes(), media))
}

fn down(relay: &mut Relay, media: &mut Noted, bytes: &str) -> String {
    text(&relay.from_server(bytes.as_bytes(), media))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const SETUP_UDP: &str = "SETUP rtsp://h/movie/track1 RTSP/1.0\r\nCSeq: 3\r\n\
    Transport: RTP/AVP/UDP;unicast;client_port=14322-14323\r\nUser-Agent: x\r\n\r\n";

#[test]
fn the_ports_of_setup_and_its_answer_become_those_of_the_relay() {
    let (mut relay, mut media) = (relay(), Noted::default());
    let sent = up(&mut relay, &mut media, SETUP_UDP);
    assert_eq!(sent, SETUP_UDP.replace("14322-14323", "40000-40001"));
    assert_eq!(media.opened, [PortPair { rtp: 14322, rtcp: Some(14323) }]);
    let answer = "RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: 9\r\nTransport: RTP/AVP;unicast;\
        destination=10.0.0.9;source=192.0.2.7;client_port=40000-40001;server_port=6970-6971;\
        ssrc=0BADF00D\r\n\r\n";
    let got = down(&mut relay, &mut media, answer);
    let expected = answer
        .replace("destination=10.0.0.9", "destination=10.0.0.1")
        .replace("source=192.0.2.7", "source=10.0.0.9")
        .replace("40000-40001", "14322-14323")
        .replace("6970-6971", "50000-50001");
    assert_eq!(got, expected);
    let server = Some(PortPair { rtp: 6970, rtcp: Some(6971) });
    assert_eq!(media.answered, [(MediaId(0), server, Some([192, 0, 2, 7].into()))]);
}

#[test]
fn bytes_one_by_one_give_the_same() {
    let (mut relay, mut media) = (relay(), Noted::default());
    let sent: String =
        SETUP_UDP.chars().map(|c| up(&mut relay, &mut media, &c.to_string())).collect();
    assert_eq!(sent, SETUP_UDP.replace("14322-14323", "40000-40001"));
}

#[test]
fn interleaved_transport_and_frames_pass_untouched() {
    let (mut relay, mut media) = (relay(), Noted::default());
    let setup = SETUP_UDP.replace("/UDP;unicast;client_port=14322-14323", "/TCP;interleaved=0-1");
    assert_eq!(up(&mut relay, &mut media, &setup), setup);
    let answer = "RTSP/1.0 200 OK\r\nCSeq: 3\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n";
    let frames = "$\0\0\x05\n\nRTS$\x01\0\0";
    let both = [answer, frames, answer].concat();
    assert_eq!(down(&mut relay, &mut media, &both), both);
    assert!(media.opened.is_empty());
}

#[test]
fn a_body_is_not_taken_for_a_message() {
    let (mut relay, mut media) = (relay(), Noted::default());
    let body = SETUP_UDP;
    let announce = format!(
        "ANNOUNCE rtsp://h/x RTSP/1.0\r\nCSeq: 2\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(up(&mut relay, &mut media, &announce), announce);
    assert!(media.opened.is_empty());
    assert_ne!(up(&mut relay, &mut media, SETUP_UDP), SETUP_UDP);
}

#[test]
fn ports_of_a_refused_setup_are_closed_again() {
    let (mut relay, mut media) = (relay(), Noted::default());
    up(&mut relay, &mut media, SETUP_UDP);
    let refusal = "RTSP/1.0 461 Unsupported Transport\r\nCSeq: 3\r\n\r\n";
    assert_eq!(down(&mut relay, &mut media, refusal), refusal);
    assert_eq!(media.closed, [MediaId(0)]);
}

#[test]
fn ports_are_closed_where_the_server_chooses_the_connection() {
    let (mut relay, mut media) = (relay(), Noted::default());
    let both = SETUP_UDP.replace("14323\r\n", "14323,RTP/AVP/TCP;interleaved=0-1\r\n");
    assert!(up(&mut relay, &mut media, &both).contains("40000-40001,RTP/AVP/TCP;interleaved=0-1"));
    let answer = "RTSP/1.0 200 OK\r\nCSeq: 3\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n";
    assert_eq!(down(&mut relay, &mut media, answer), answer);
    assert_eq!(media.closed, [MediaId(0)]);
}

#[test]
fn the_handouts_spelling_is_changed_in_its_port_alone() {
    for end in ["", "\n", "\r\n\r\n"] {
        let (mut relay, mut media) = (relay(), Noted::default());
        let setup = format!(
            "SETUP movie.Mjpeg RTSP/1.0\nCSeq: 1\nTransport: RTP/UDP; client_port= 25000{end}"
        );
        let sent = up(&mut relay, &mut media, &setup);
        assert_eq!(sent, setup.replace("25000", "40000"), "{end:?}");
        let play = "PLAY movie.Mjpeg RTSP/1.0\nCSeq: 2\nSession: 123456";
        assert_eq!(up(&mut relay, &mut media, play), play);
        let answer = "RTSP/1.0 200 OK\nCSeq: 1\nSession: 123456";
        assert_eq!(down(&mut relay, &mut media, answer), answer);
        assert_eq!(media.opened, [PortPair { rtp: 25000, rtcp: None }]);
    }
}

#[test]
fn the_students_short_port_is_complete_after_a_silence() {
    let (mut relay, mut media) = (relay(), Noted::default());
    let setup = "SETUP movie.mjpeg\n1\n RTSP/1.0 RTP/UDP 5008";
    assert_eq!(up(&mut relay, &mut media, setup), "");
    let at = relay.next_timeout().expect("it waits");
    assert_eq!(at, Instant::ZERO + SILENCE);
    assert_eq!(text(&relay.timer(at, &mut media)), setup.replace("5008", "40000"));
    assert_eq!(relay.next_timeout(), None);
    for request in ["PLAY \n2", "PAUSE \n3", "TEARDOWN \n4"] {
        assert_eq!(up(&mut relay, &mut media, request), request);
    }
}

#[test]
fn what_is_no_rtsp_passes_at_once() {
    for bytes in ["GET / HTTP/1.1\r\nTransport: client_port=1-2\r\n\r\n", "\x16\x03\x01", "hello\n"]
    {
        let (mut relay, mut media) = (relay(), Noted::default());
        assert_eq!(up(&mut relay, &mut media, bytes), bytes);
        assert_eq!(down(&mut relay, &mut media, SETUP_UDP), SETUP_UDP);
    }
}

#[test]
fn an_endless_head_passes_instead_of_waiting() {
    let (mut relay, mut media) = (relay(), Noted::default());
    let long = format!("SETUP rtsp://h/ RTSP/1.0\r\nX: {}", "x".repeat(HELD_BYTES_MAX));
    assert_eq!(up(&mut relay, &mut media, &long), long);
}

proptest! {
    #[test]
    fn without_ports_every_byte_passes(
        pieces in prop::collection::vec(
            prop_oneof![
                Just(SETUP_UDP.as_bytes().to_vec()),
                Just(b"SETUP m\n1\n RTSP/1.0 RTP/UDP 5008".to_vec()),
                Just(b"$\0\0\x03abc".to_vec()),
                prop::collection::vec(any::<u8>(), 0..40),
            ],
            0..12,
        ),
    ) {
        let (mut relay, mut media) = (relay(), Noted { refuse: true, ..Noted::default() });
        let (mut asked, mut sent) = (Vec::new(), Vec::new());
        for piece in &pieces {
            asked.extend_from_slice(piece);
            sent.extend_from_slice(&relay.from_client(Instant::ZERO, piece, &mut media));
        }
        sent.extend_from_slice(&relay.finish_client());
        prop_assert_eq!(sent, asked);
    }
}
