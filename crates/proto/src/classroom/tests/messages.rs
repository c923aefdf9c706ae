use core::time::Duration;

use proptest::prelude::*;
use weir_time::Instant;

use super::{SETUP, method, request, spelling};
use crate::classroom::request::{Decoder, Expected, Malformed, Request};
use crate::classroom::{Method, SILENCE, Spelling, UNFINISHED_MAX, fuzz, reply};
use crate::rtsp::Status;

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn decoder(text: &str) -> Decoder {
    let mut decoder = Decoder::new(at(0));
    decoder.push(at(0), text.as_bytes()).unwrap();
    decoder
}

/// The requests that are there at once, and those that a silence completes.
fn requests(text: &str) -> (Vec<Request>, Vec<Request>) {
    let mut decoder = decoder(text);
    let mut take = |now| std::iter::from_fn(|| decoder.next(now)).map(Result::unwrap).collect();
    (take(at(0)), take(at(0) + SILENCE))
}

fn refusal(text: &str) -> Malformed {
    decoder(text).next(at(0) + UNFINISHED_MAX).unwrap().unwrap_err()
}

#[test]
fn a_port_of_five_digits_ends_a_setup_and_a_shorter_one_a_silence() {
    let expected = request(Method::Setup, Spelling::Handout, 1);
    assert_eq!(requests(SETUP), (vec![expected.clone()], vec![]));
    let short = Request { port: Some(5_008), ..expected };
    let text = SETUP.replace("25000", "5008");
    assert_eq!(requests(&text), (vec![], vec![short.clone()]));
    assert_eq!(requests(&format!("{text}\n")), (vec![short.clone()], vec![]));
    assert_eq!(requests(&format!("{text}\r\n\r\n")), (vec![short], vec![]));
}

#[test]
fn the_students_spelling_is_read_word_for_word() {
    let (there, later) =
        requests("SETUP movie.mjpeg\n1\n RTSP/1.0 RTP/UDP 5008\nPLAY \n2\nPAUSE \n3\nTEARDOWN \n4");
    assert_eq!(there[0].port, Some(5_008));
    assert_eq!(there[0].name, "movie.mjpeg");
    let all = there.iter().chain(&later).map(|request| (request.method, request.cseq));
    let all: Vec<_> = all.collect();
    let methods = Method::ALL.into_iter().zip(1..).collect::<Vec<_>>();
    assert_eq!(all, methods);
    assert_eq!(later.len(), 1, "TEARDOWN's number may go on");
}

#[test]
fn numbers_that_must_come_end_a_request_at_once() {
    let mut decoder = decoder("PLAY movie.Mjpeg RTSP/1.0\nCSeq: 2\nSession: 123456");
    assert_eq!(decoder.next(at(0)), None);
    decoder.expect(Expected { cseq: Some(2), session: Some(123_456) });
    assert_eq!(decoder.next(at(0)).unwrap().unwrap().session, Some(123_456));
    decoder.push(at(0), b"PAUSE \n1").unwrap();
    decoder.expect(Expected { cseq: Some(10), session: None });
    assert_eq!(decoder.next(at(0)), None);
    decoder.push(at(0), b"0").unwrap();
    assert_eq!(decoder.next(at(0)).unwrap().unwrap().cseq, 10);
}

#[test]
fn two_requests_in_one_read_are_two_although_nothing_stands_between_them() {
    let (there, later) = requests(
        "PLAY movie.Mjpeg RTSP/1.0\nCSeq: 2\nSession: 7PAUSE movie.Mjpeg RTSP/1.0\nCSeq: \
         3\nSession: 7",
    );
    assert_eq!((there.len(), later.len()), (1, 1));
    let (there, later) = requests("PLAY \n2PAUSE \n3");
    assert_eq!((there[0].method, later[0].method), (Method::Play, Method::Pause));
}

#[test]
fn header_lines_may_come_in_another_order_and_further_ones_are_passed_over() {
    let (there, _) =
        requests("PLAY m RTSP/1.0\nSession: 5\nRange: npt=0-\nCSeq: 9\nUser-Agent: x\n");
    assert_eq!((there[0].cseq, there[0].session), (9, Some(5)));
}

#[test]
fn the_timers_are_the_silence_and_then_the_end_of_patience() {
    let mut decoder = decoder("SETUP movie.Mjpeg RTSP/1.0\nCS");
    assert_eq!(decoder.next_timeout(at(0)), Some(at(50)));
    assert_eq!(decoder.next(at(50)), None);
    assert_eq!(decoder.next_timeout(at(50)), Some(at(1_000)));
    decoder.push(at(500), b"eq: 1\nTransport: RTP/UDP; client_port= 25000").unwrap();
    assert!(decoder.next(at(500)).unwrap().is_ok(), "a late second half is still taken");
    assert_eq!(decoder.next_timeout(at(500)), None);
}

#[test]
fn what_is_no_request_is_refused_with_what_was_expected() {
    let malformed = refusal("SETUP m RTSP/1.0\nCSeq: 4\nTransport: RTP/UDP; client_port= 70000\n");
    assert_eq!(malformed.cseq, Some(4));
    assert_eq!(
        malformed.to_string(),
        "expected Transport: RTP/UDP; client_port= PORT, got \
         \"Transport: RTP/UDP; client_port= 70000\""
    );
    assert_eq!(refusal("PLAY m RTSP/1.0\nCSeq: x\n").expected, "CSeq: NUMBER");
    assert_eq!(refusal("PLAY m RTSP/1.0\nSession: 99999999999999999999\n").cseq, None);
    assert_eq!(refusal("PLAY \nnow\n").expected, "the request's number");
    assert_eq!(refusal("SETUP m\n1\n RTSP/1.0 RTP/AVP 5\n").cseq, Some(1));
    assert_eq!(refusal("SETUP m\n1\n RTSP/1.0 RTP/UDP 0\n").cseq, Some(1));
    assert_eq!(refusal("PLA").expected, "a whole request");
}

#[test]
fn lines_that_are_too_long_or_too_many_are_refused_and_little_is_held() {
    assert!(decoder(&format!("PLAY {}", "x".repeat(3_000))).next(at(0)).unwrap().is_err());
    let mut decoder = Decoder::new(at(0));
    decoder.push(at(0), b"PLAY m RTSP/1.0\n").unwrap();
    for _ in 0..1_000 {
        decoder.push(at(0), b"X-Header: 1234567890\n").unwrap();
        if decoder.next(at(0)).is_some() {
            return;
        }
    }
    panic!("it is held for ever");
}

#[test]
fn a_flood_without_a_request_ends_the_stream() {
    let mut decoder = Decoder::new(at(0));
    assert!(decoder.push(at(0), &[b'x'; 70_000]).is_err());
}

#[test]
fn a_reply_is_three_lines_and_nothing_behind_them() {
    let reply = reply::Reply { status: Status::OK, cseq: 1, session: 123_456 };
    assert_eq!(reply.encode(), b"RTSP/1.0 200 OK\nCSeq: 1\nSession: 123456\n");
    let reply = reply::Reply { status: Status::NOT_FOUND, ..reply };
    assert!(reply.encode().starts_with(b"RTSP/1.0 404 Not Found\nCSeq: 1\n"));
}

/// When a reply is complete: at once, after the silence, never; and its session.
fn received(text: &str) -> (Option<Option<u64>>, Option<Option<u64>>) {
    let mut decoder = reply::Decoder::new(at(0));
    decoder.push(at(0), text.as_bytes());
    let mut take = |now| decoder.next(now).map(|received| received.session);
    (take(at(0)), take(at(0) + SILENCE))
}

#[test]
fn replies_of_other_servers_are_read_however_they_end() {
    let done = Some(Some(77));
    assert_eq!(received("RTSP/1.0 200 OK\nCSeq: 1\nSession: 77\n"), (done, None));
    assert_eq!(received("RTSP/1.0 200 OK\r\nCSeq: 1\r\nSession: 77\r\n\r\n"), (done, None));
    assert_eq!(received("RTSP/1.0 200 OK\nCSeq: 1\nSession: 77"), (None, done));
    assert_eq!(received("RTSP/1.0 404 NOT FOUND"), (None, Some(None)));
    assert_eq!(received("RTSP/1.0 500 CON_ERR\n\n"), (Some(None), None));
    assert_eq!(received("hello\nRTSP/1.0 200 OK\nSession: 77\nCSeq: 2\n"), (done, None));
    assert_eq!(received("hello"), (None, None));
}

proptest! {
    #[test]
    fn requests_come_out_as_they_went_in_whatever_the_pieces_and_line_ends(
        kinds in prop::collection::vec((method(), spelling(), 0u32..10_000), 1..6),
        cuts in prop::collection::vec(1usize..30, 0..40),
        crlf: bool,
    ) {
        let sent: Vec<_> = kinds.into_iter().map(|(m, s, n)| request(m, s, n)).collect();
        let mut text: Vec<u8> = sent.iter().flat_map(Request::encode).collect();
        if crlf {
            text = String::from_utf8(text).unwrap().replace('\n', "\r\n").into_bytes();
        }
        let mut decoder = Decoder::new(at(0));
        let mut came = Vec::new();
        let mut rest = &text[..];
        for cut in cuts.into_iter().chain([usize::MAX]) {
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            decoder.push(at(0), piece).unwrap();
            came.extend(std::iter::from_fn(|| decoder.next(at(0))));
            rest = behind;
        }
        came.extend(std::iter::from_fn(|| decoder.next(at(0) + SILENCE)));
        let came: Vec<_> = came.into_iter().map(Result::unwrap).collect();
        prop_assert_eq!(came, sent);
        prop_assert_eq!(decoder.lines_ignored(), 0);
    }

    #[test]
    fn nothing_that_a_peer_sends_makes_it_panic(
        words in prop::collection::vec(prop::sample::select(vec![
            "SETUP ", "PLAY ", "PAUSE ", "TEARDOWN ", "movie", " RTSP/1.0", "\n", "\r\n", "1",
            "CSeq: ", "Session: ", "Transport: RTP/UDP; client_port=", "RTP/UDP ", "25000", " ",
            "RTSP/1.0 200 OK\n", "RTSP/1.0 404\n", "CSeq: 1\n", "Session: 100000\n", ":", "\0",
        ]), 0..60),
        noise in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        for data in [words.concat().as_bytes(), &noise] {
            fuzz::fuzz_looks_classroom(data);
            fuzz::fuzz_classroom_message(data);
            fuzz::fuzz_classroom_server(data);
            fuzz::fuzz_classroom_client(data);
        }
    }

    #[test]
    fn replies_come_out_as_they_went_in_whatever_the_pieces(
        replies in prop::collection::vec((100u16..1000, 0u32..99, any::<u32>()), 1..5),
        cut in 1usize..20,
    ) {
        let mut decoder = reply::Decoder::new(at(0));
        let sent: Vec<_> = replies
            .into_iter()
            .map(|(code, cseq, session)| reply::Reply { status: Status(code), cseq, session })
            .collect();
        let text: Vec<u8> = sent.iter().flat_map(reply::Reply::encode).collect();
        let mut came = Vec::new();
        for piece in text.chunks(cut) {
            decoder.push(at(0), piece);
            came.extend(std::iter::from_fn(|| decoder.next(at(0))));
        }
        let came: Vec<_> = came
            .into_iter()
            .map(|r| (r.status, r.cseq.unwrap(), r.session.unwrap()))
            .collect();
        let sent: Vec<_> = sent
            .into_iter()
            .map(|r| (r.status, r.cseq, u64::from(r.session)))
            .collect();
        prop_assert_eq!(came, sent);
    }
}

#[test]
fn a_silence_before_more_bytes_ends_what_was_there() {
    let mut decoder = decoder("PLAY \n1");
    let later = at(0) + SILENCE + Duration::from_millis(1);
    assert_eq!(decoder.next(later).unwrap().unwrap().cseq, 1);
}
