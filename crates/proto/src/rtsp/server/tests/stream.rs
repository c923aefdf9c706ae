//! The byte stream: order, framing, back-pressure.

use proptest::prelude::*;

use super::*;

#[test]
fn frames_on_channels_that_nobody_holds_are_counted() {
    let (mut server, _) = Server::playing();
    server.push(b"$\x04\x00\x01x$\x63\x00\x00");
    assert_eq!(server.seen, []);
    assert_eq!(server.connection.unknown_frames(), 2);
}

#[test]
fn pipelined_requests_are_answered_in_order_while_a_question_is_pending() {
    let mut server = Server::new();
    server.answering = false;
    server.push(
        b"DESCRIBE rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\nOPTIONS * RTSP/1.0\r\nCSeq: 2\r\n\r\n",
    );
    assert_eq!(server.seen, []);
    assert!(!server.connection.wants_input());
    assert_eq!(server.deadline, None);
    server.wait(seconds(500));
    let token = token_of(&server.questions[0]);
    let refusal = Refusal::new(Status::NOT_FOUND, "nothing is called a");
    server.connection.describe(token, Err(refusal)).unwrap();
    server.drain();
    let responses = server.responses();
    assert_eq!(responses[0].status, Status::NOT_FOUND);
    assert_eq!(responses[0].reason, "Not Found: nothing is called a");
    assert_eq!(responses[0].fields.get("CSeq"), Some("1"));
    assert_eq!(responses[1].fields.get("CSeq"), Some("2"));
    assert!(server.connection.wants_input());
    server.wait(seconds(1));
    assert_eq!(server.seen, [], "the time that an answer took is not the client's silence");
}

#[test]
fn what_cannot_be_framed_is_refused_and_the_connection_ends() {
    let megabyte = "x".repeat(1 << 20);
    let fields = "A: b\r\n".repeat(200);
    let long_head = format!("A: {}\r\n", "y".repeat(8000)).repeat(20);
    for (bytes, status) in [
        (megabyte.clone(), 414),
        (format!("OPTIONS rtsp://h/{megabyte} RTSP/1.0\r\n"), 414),
        (format!("OPTIONS * RTSP/1.0\r\nA: {megabyte}"), 400),
        (format!("OPTIONS * RTSP/1.0\r\n{fields}"), 413),
        (format!("OPTIONS * RTSP/1.0\r\n{long_head}"), 413),
        ("OPTIONS * RTSP/1.0\r\nContent-Length: 999999999999999999999\r\n\r\n".to_owned(), 413),
        ("OPTIONS * RTSP/1.0\r\nContent-Length: -1\r\n\r\n".to_owned(), 400),
        ("OPTIONS * RTSP/1.0\r\nno colon\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
    ] {
        let (mut server, _) = Server::playing();
        // Piece by piece, as from a socket: no more is held than a message may have.
        for piece in bytes.as_bytes().chunks(16 * 1024) {
            server.push(piece);
            assert!(server.connection.undecoded().len() <= 64 * 1024 + 16 * 1024);
        }
        let responses = server.responses();
        assert_eq!(responses.len(), 1);
        assert_eq!(responses[0].status, Status(status), "{}", &bytes[..40]);
        assert_eq!(responses[0].fields.get("Connection"), Some("close"));
        assert!(matches!(server.seen[0], Output::Event(Event::Refused { method: None, .. })));
        assert_eq!(server.seen.len(), 3, "and Ended, and Close: {:?}", server.seen);
    }
}

#[test]
fn a_driver_that_pushes_against_back_pressure_is_bounded() {
    let mut server = Server::new();
    server.answering = false;
    server.push(b"DESCRIBE rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n");
    for _ in 0..100 {
        server.push(&[b'x'; 16 * 1024]);
    }
    assert!(server.connection.undecoded().len() <= 512 * 1024 + 16 * 1024);
    assert_eq!(server.seen, [Output::Close]);
    assert!(server.connection.excess_bytes() > 0);
}

#[test]
fn another_dialect_shows_among_the_undecoded_bytes() {
    let mut server = Server::new();
    let handout = b"SETUP movie.Mjpeg RTSP/1.0\nCSeq: 1\nTransport: RTP/UDP; client_port= 25000\n";
    server.push(handout);
    assert_eq!(server.connection.undecoded(), handout);
    assert_eq!(server.seen, []);
}

fn conversation() -> Vec<u8> {
    let (_, id) = Server::ready();
    let mut bytes = Vec::new();
    for request in [
        "OPTIONS * RTSP/1.0|CSeq: 1".to_owned(),
        "DESCRIBE rtsp://h/movie RTSP/1.0|CSeq: 2".to_owned(),
        "SETUP rtsp://h/movie/trackID=0 RTSP/1.0|CSeq: 3|Transport: RTP/AVP/TCP".to_owned(),
        format!(
            "SETUP rtsp://h/movie/trackID=1 RTSP/1.0|CSeq: 4|Session: {id}|Transport: RTP/AVP;client_port=4-5"
        ),
        format!("PLAY rtsp://h/movie RTSP/1.0|CSeq: 5|Session: {id}"),
        "BREW rtsp://h/movie RTSP/1.0|CSeq: 6".to_owned(),
    ] {
        bytes.extend_from_slice(request.replace('|', "\r\n").as_bytes());
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes.extend_from_slice(b"$\x01\x00\x03abc");
    }
    bytes.extend_from_slice(b"nonsense\r\n\r\n");
    bytes
}

#[test]
fn a_stream_cut_anywhere_gives_the_same_outputs() {
    let bytes = conversation();
    let mut whole = Server::new();
    whole.push(&bytes);
    assert_eq!(whole.seen.last(), Some(&Output::Close));
    for at in 0..bytes.len() {
        let mut cut = Server::new();
        cut.push(&bytes[..at]);
        cut.push(&bytes[at..]);
        assert_eq!(cut.seen, whole.seen, "cut at {at}");
        assert_eq!(cut.questions, whole.questions, "cut at {at}");
    }
}

proptest! {
    #[test]
    fn a_stream_cut_into_pieces_gives_the_same_outputs(piece in 1usize..40) {
        let bytes = conversation();
        let (mut whole, mut cut) = (Server::new(), Server::new());
        whole.push(&bytes);
        for piece in bytes.chunks(piece) {
            cut.push(piece);
        }
        prop_assert_eq!(cut.seen, whole.seen);
    }
}
