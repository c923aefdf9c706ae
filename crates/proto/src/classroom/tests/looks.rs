use proptest::prelude::*;

use super::{SETUP, method, request, spelling};
use crate::classroom::fuzz::fuzz_looks_classroom;
use crate::classroom::{Looks, looks_classroom};

fn looks(text: &str) -> Looks {
    looks_classroom(text.as_bytes())
}

#[test]
fn both_spellings_of_setup_are_recognised_with_either_line_end() {
    for text in [SETUP, "SETUP movie.mjpeg\n1\n RTSP/1.0 RTP/UDP 5008"] {
        assert_eq!(looks(text), Looks::Yes);
        assert_eq!(looks(&text.replace('\n', "\r\n")), Looks::Yes);
    }
}

#[test]
fn the_address_may_even_have_a_scheme_for_the_transport_tells() {
    let text = SETUP.replace("movie", "rtsp://192.0.2.1:554/movie");
    assert_eq!(looks(&text), Looks::Yes);
}

#[test]
fn a_first_request_out_of_order_is_recognised_by_its_session() {
    assert_eq!(looks("PLAY movie.Mjpeg RTSP/1.0\nCSeq: 1\nSession: 1"), Looks::Yes);
    assert_eq!(looks("PLAY \n2"), Looks::Yes);
}

#[test]
fn real_requests_are_not_taken_for_it_in_whatever_pieces_they_come() {
    let transport = "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n";
    for text in [
        "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n".to_owned(),
        "DESCRIBE rtsp://h/movie RTSP/1.0\r\nCSeq: 1\r\n\r\n".to_owned(),
        format!("SETUP rtsp://h/movie/trackID=0 RTSP/1.0\r\nCSeq: 1\r\n{transport}\r\n"),
        format!("SETUP movie/trackID=0 RTSP/1.0\r\nCSeq: 1\r\n{transport}\r\n"),
        format!("SETUP movie RTSP/1.0\nCSeq: 1\n{transport}\n").replace('\r', ""),
        "SETUP rtsp://h/movie RTSP/1.0\r\nCSeq: 1\r\n\r\n".to_owned(),
        "PLAY rtsp://h/movie RTSP/1.0\r\nCSeq: 1\r\nSession: 12345678\r\n\r\n".to_owned(),
        "PLAY movie RTSP/1.0\r\nCSeq: 1\r\nSession: 12345678\r\n\r\n".to_owned(),
        "TEARDOWN * RTSP/1.0\r\nCSeq: 1\r\nSession: 12345678\r\n\r\n".to_owned(),
        "PLAY movie RTSP/1.0\nCSeq: 1\n\n".to_owned(),
        "\r\n\r\nOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n".to_owned(),
        "$\0\0\x08".to_owned(),
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
    ] {
        for end in 0..text.len() {
            assert_ne!(looks(&text[..end]), Looks::Yes, "{:?}", &text[..end]);
        }
        assert_eq!(looks(&text), Looks::No, "{text:?}");
    }
}

#[test]
fn a_head_that_never_tells_is_not_waited_for() {
    let text = format!("SETUP {} RTSP/1.0\r\n", "x".repeat(4_096));
    assert_eq!(looks(&text), Looks::No);
    assert_eq!(looks(&"SETUP".repeat(2_000)), Looks::No);
}

proptest! {
    #[test]
    fn requests_of_the_dialect_are_recognised_in_whatever_pieces_they_come(
        method in method(), spelling in spelling(), cseq in 0u32..100_000,
    ) {
        let bytes = request(method, spelling, cseq).encode();
        for end in 0..bytes.len() {
            prop_assert_ne!(looks_classroom(&bytes[..end]), Looks::No);
        }
        prop_assert_eq!(looks_classroom(&bytes), Looks::Yes);
    }

    #[test]
    fn what_was_said_stays(
        words in prop::collection::vec(prop::sample::select(vec![
            "SETUP", "PLAY", " ", "movie", "rtsp://h/m", " RTSP/1.0", "\n", "\r\n", "CSeq: 1",
            "Session: ", "Transport: ", "RTP/UDP", "RTP/AVP", "1", "RTP/U",
        ]), 0..20),
    ) {
        fuzz_looks_classroom(words.concat().as_bytes());
    }
}

#[test]
fn what_comes_too_late_to_tell_changes_nothing() {
    let mut bytes = b"SETUP movie.Mjpeg RTSP/1.0\n".to_vec();
    bytes.extend(b"CSeq: 1\n".repeat(600));
    assert_eq!(looks_classroom(&bytes), Looks::No);
    bytes.extend(b"Transport: RTP/UDP; client_port= 25000\n");
    assert_eq!(looks_classroom(&bytes), Looks::No);
}
