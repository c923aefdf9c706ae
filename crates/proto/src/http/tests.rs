use http::header::{HOST, HeaderName};
use http::{Method, StatusCode, Version};
use proptest::prelude::*;

use super::*;

fn poll(data: &[u8]) -> Result<Option<RequestHead>, Refusal> {
    let mut reader = RequestReader::default();
    reader.push(data);
    reader.poll()
}

fn head(text: &str) -> RequestHead {
    poll(text.as_bytes()).unwrap().unwrap()
}

fn refused(data: &[u8]) -> u16 {
    poll(data).unwrap_err().status.as_u16()
}

/// A GET with these fields.
fn get(fields: &str) -> RequestHead {
    head(&format!("GET /x HTTP/1.1\r\nHost: h\r\n{fields}\r\n"))
}

#[test]
fn a_head_is_read_once_it_is_whole_however_it_comes() {
    let text = b"\r\nGET /a%20b/?session=5 HTTP/1.1\r\nHost: h\r\nX: 1\r\nX: 2\r\n\r\nGET /next";
    for size in [1, 2, 3, 7, 100] {
        let mut reader = RequestReader::default();
        let mut heads = Vec::new();
        for piece in text.chunks(size) {
            reader.push(piece);
            heads.extend(reader.poll().unwrap());
        }
        let [head] = &heads[..] else { panic!("{heads:?}") };
        assert_eq!(head.method, Method::GET);
        assert_eq!(head.target.path(), "/a%20b/");
        assert_eq!(head.query(), Some("session=5"));
        assert_eq!(head.version, Version::HTTP_11);
        assert_eq!(head.text(&HOST), Some("h"));
        assert_eq!(head.headers.get_all("x").iter().count(), 2);
        assert_eq!(reader.waiting(), b"GET /next");
    }
}

#[test]
fn line_feeds_alone_end_lines_too() {
    assert_eq!(head("GET / HTTP/1.0\nA: b\n\n").version, Version::HTTP_10);
}

#[test]
fn the_target_may_be_absolute_and_a_star_is_for_options_alone() {
    // RFC 9112 section 3.2.
    let absolute = head("GET http://h:8080/x/?a=b HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(absolute.target.as_str(), "/x/?a=b");
    assert_eq!(head("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").target.as_str(), "*");
    assert_eq!(refused(b"GET * HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    assert_eq!(refused(b"GET movie HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    assert_eq!(refused(b"GET ftp://h/x HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    assert_eq!(refused(b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n"), 501);
}

#[test]
fn what_is_no_request_is_refused_at_once() {
    let wrong: [&[u8]; 7] = [
        b"\x16\x03\x01\x02\x00\x01",
        b"\0\0\0\0",
        b"GET /x HTTP/1.1\r\nHost : h\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: h\r\nA: \x01\r\n\r\n",
        b"GET /x HTTP/1.1\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ];
    for data in wrong {
        assert_eq!(refused(data), 400, "{}", data.escape_ascii());
    }
    assert_eq!(refused(b"GET /x HTTP/2.0\r\nHost: h\r\n\r\n"), 505);
    assert_eq!(refused(b"GET /x y HTTP/1.1\r\nHost: h\r\n\r\n"), 505);
    assert_eq!(refused(&[b'A'; 100]), 400);
}

#[test]
fn a_request_line_that_is_too_long_is_refused_before_its_end() {
    let line = format!("GET /{}", "a".repeat(REQUEST_LINE_BYTES_MAX));
    assert_eq!(refused(line.as_bytes()), 414);
}

#[test]
fn a_head_that_is_too_long_is_refused_before_its_end() {
    let mut reader = RequestReader::default();
    reader.push(b"GET / HTTP/1.1\r\nHost: h\r\nA: ");
    let piece = [b'a'; 4096];
    let mut pushed = 0;
    let refusal = loop {
        reader.push(&piece);
        pushed += piece.len();
        if let Err(refusal) = reader.poll() {
            break refusal;
        }
        assert!(pushed < 2 * HEAD_BYTES_MAX);
    };
    assert_eq!(refusal.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let many = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(101));
    assert_eq!(refused(many.as_bytes()), 431);
}

#[test]
fn paths_are_decoded_and_lead_nowhere_else() {
    let decode = |path| decode_path(path).map_err(|refusal| refusal.status.as_u16());
    assert_eq!(decode("/a%20b/%F0%9F%90%B8%25.mp4").unwrap(), "a b/\u{1f438}%.mp4");
    assert_eq!(decode("/films%2Fx/").unwrap(), "films/x/");
    assert_eq!(decode("/...").unwrap(), "...");
    assert_eq!(decode("/").unwrap(), "");
    let wrong = [
        "/..",
        "/../x",
        "/a/../b",
        "/a/..",
        "/%2e%2e/x",
        "/.%2E/x",
        "/a%2F..%2Fb",
        "/./x",
        "/a%00",
        "/a%0a",
        "/%ff",
        "/%c3%28",
        "/%",
        "/%4",
        "/%zz",
    ];
    for path in wrong {
        assert_eq!(decode(path), Err(400), "{path}");
    }
}

#[test]
fn the_length_of_a_body_is_told_in_one_way_alone() {
    // RFC 9112 section 6.3.
    let of = |fields: &str| Framing::of(&get(fields)).map_err(|refusal| refusal.status.as_u16());
    assert_eq!(of(""), Ok(Framing::Length(0)));
    assert_eq!(of("Content-Length: 5\r\n"), Ok(Framing::Length(5)));
    assert_eq!(of("Content-Length: 5, 5\r\n"), Ok(Framing::Length(5)));
    assert_eq!(of("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
    for wrong in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: \r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert_eq!(of(wrong), Err(400), "{wrong}");
    }
    assert_eq!(of("Transfer-Encoding: gzip, chunked\r\n"), Err(501));
    assert_eq!(of("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), Err(501));
    let old = head("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(Framing::of(&old).unwrap_err().status.as_u16(), 400);
}

#[test]
fn connections_stay_open_as_their_version_and_their_options_say() {
    // RFC 9112 section 9.3.
    assert!(is_persistent(&get("")));
    assert!(!is_persistent(&get("Connection: foo, Close\r\n")));
    assert!(!is_persistent(&head("GET / HTTP/1.0\r\n\r\n")));
    assert!(is_persistent(&head("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")));
}

#[test]
fn the_one_expectation_is_to_go_on() {
    assert_eq!(expects_continue(&get("")), Ok(false));
    assert_eq!(expects_continue(&get("Expect: 100-Continue\r\n")), Ok(true));
    assert_eq!(expects_continue(&get("Expect: a fee\r\n")).unwrap_err().status.as_u16(), 417);
}

#[test]
fn chunked_bodies_are_taken_apart_and_what_follows_is_left() {
    let data = b"5\r\nhello\r\n1;a=b\r\n \r\n05\nworld\r\n0\r\nTrailer: x\r\n\r\nGET /";
    let (mut reader, mut out) = (ChunkedReader::default(), Vec::new());
    let taken = reader.read(data, &mut out).unwrap();
    assert!(reader.is_done());
    assert_eq!(out, b"hello world");
    assert_eq!(&data[taken..], b"GET /");
}

#[test]
fn wrong_chunks_are_refused() {
    let long = format!("1;{}", "x".repeat(20_000));
    for data in
        ["x", "\r\n", "-1\r\n", "5\r\nhelloX", "11111111111111111\r\n", "5 \rx\r\nhelloo", &long]
    {
        let mut out = Vec::new();
        let read = ChunkedReader::default().read(data.as_bytes(), &mut out);
        let is_wrong = read.is_err();
        assert!(is_wrong, "{data}");
    }
}

fn part(first: u64, last: u64) -> ByteRange {
    ByteRange { first, last }
}

#[test]
fn ranges_of_every_kind_come_to_parts_of_the_file() {
    // RFC 9110 section 14.1.2, of a file of 10,000 bytes.
    let parts = |value| match Ranges::parse(value, 10_000) {
        Ranges::Parts(parts) => parts,
        other => panic!("{value}: {other:?}"),
    };
    assert_eq!(parts("bytes=0-499"), [part(0, 499)]);
    assert_eq!(parts("Bytes = 500-999"), [part(500, 999)]);
    assert_eq!(parts("bytes=-500"), [part(9_500, 9_999)]);
    assert_eq!(parts("bytes=9500-"), [part(9_500, 9_999)]);
    assert_eq!(parts("bytes=0-0,-1"), [part(0, 0), part(9_999, 9_999)]);
    assert_eq!(
        parts("bytes= 0-999, 4500-5499 ,, -1000"),
        [part(0, 999), part(4_500, 5_499), part(9_000, 9_999)]
    );
    assert_eq!(parts("bytes=9000-99999"), [part(9_000, 9_999)]);
    assert_eq!(parts("bytes=-99999"), [part(0, 9_999)]);
    assert_eq!(parts("bytes=0-9223372036854775808"), [part(0, 9_999)]);
    assert_eq!(parts("bytes=0-99999999999999999999999"), [part(0, 9_999)]);
    assert_eq!(parts("bytes=20000-,5-9"), [part(5, 9)]);
    assert_eq!(parts("bytes=5-9,0-6,20-30"), [part(0, 9), part(20, 30)]);
    assert_eq!(parts("bytes=5-9,0-4"), [part(5, 9), part(0, 4)]);
}

#[test]
fn ranges_past_the_end_are_not_satisfiable_and_wrong_ones_are_ignored() {
    for value in [
        "bytes=10000-",
        "bytes=10000-20000",
        "bytes=9223372036854775808-",
        "bytes=99999999999999999999999-",
        "bytes=-0",
    ] {
        assert_eq!(Ranges::parse(value, 10_000), Ranges::Unsatisfiable, "{value}");
    }
    assert_eq!(Ranges::parse("bytes=0-", 0), Ranges::Unsatisfiable);
    assert_eq!(Ranges::parse("bytes=-5", 0), Ranges::Unsatisfiable);
    let many = format!("bytes={}", ["0-1"; RANGES_MAX + 1].join(","));
    for value in [
        "bytes=5-2",
        "bytes=",
        "bytes=,",
        "bytes=a-b",
        "bytes=1",
        "bytes=-",
        "bytes=--5",
        "bytes=1-2-3",
        "lines=0-5",
        "0-5",
        "bytes=0-5,x",
        "bytes=+1-5",
        &many,
    ] {
        assert_eq!(Ranges::parse(value, 10_000), Ranges::Whole, "{value}");
    }
}

#[test]
fn dates_are_written_in_one_form_and_read_in_three() {
    // The example of RFC 9110 section 5.6.7.
    let date = HttpDate(784_111_777);
    let now = HttpDate(1_795_219_200);
    assert_eq!(http_date(date), "Sun, 06 Nov 1994 08:49:37 GMT");
    for text in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ] {
        assert_eq!(HttpDate::parse(text, now), Some(date), "{text}");
    }
    for text in [
        "",
        "Sun, 06 Nov 1994",
        "Sun, 06 Nov 1994 08:49 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 06 Nov 1969 08:49:37 GMT",
    ] {
        assert_eq!(HttpDate::parse(text, now), None, "{text}");
    }
    assert_eq!(http_date(HttpDate(951_782_400)), "Tue, 29 Feb 2000 00:00:00 GMT");
}

proptest! {
    #[test]
    fn dates_return_to_the_same_second(seconds in 0u64..253_402_300_800) {
        let date = HttpDate(seconds);
        prop_assert_eq!(HttpDate::parse(&http_date(date), date), Some(date));
    }

    #[test]
    fn parts_lie_within_the_file_and_do_not_overlap(
        specs in prop::collection::vec((any::<u16>(), any::<u16>()), 1..RANGES_MAX),
        length in 1u64..70_000,
    ) {
        let specs: Vec<_> = specs.iter().map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))).collect();
        if let Ranges::Parts(mut parts) = Ranges::parse(&format!("bytes={}", specs.join(",")), length) {
            parts.sort_unstable();
            prop_assert!(parts.iter().all(|part| part.last < length));
            prop_assert!(parts.windows(2).all(|two| two[0].last < two[1].first));
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(data in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz::fuzz_http_request(&data);
        fuzz::fuzz_http_chunked(&data);
        fuzz::fuzz_http_range(&data);
    }
}

const NOW: HttpDate = HttpDate(1_795_219_200);
const CHANGED: HttpDate = HttpDate(784_111_777);

fn condition(method: &str, fields: &str) -> Condition {
    let head = head(&format!("{method} /x HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n"));
    let validators = Validators { etag: Some("\"v1\"".to_owned()), modified: Some(CHANGED) };
    Condition::of(&head, &validators, NOW)
}

const MET: Condition = Condition::Met { range: false };

#[test]
fn if_none_match_spares_what_the_client_has() {
    // RFC 9110 section 13.1.2.
    for list in ["\"v1\"", "W/\"v1\"", "*", "\"a,b\", \"v1\"", "\"v0\" , \"v1\""] {
        assert_eq!(
            condition("GET", &format!("If-None-Match: {list}")),
            Condition::NotModified,
            "{list}"
        );
    }
    assert_eq!(condition("GET", "If-None-Match: \"v2\""), MET);
    assert_eq!(condition("GET", "If-None-Match: v1"), MET);
    assert_eq!(condition("POST", "If-None-Match: *"), Condition::Failed);
}

#[test]
fn dates_are_looked_at_where_no_tag_is_given() {
    // RFC 9110 sections 13.1.3 and 13.2.2.
    let same = "Sun, 06 Nov 1994 08:49:37 GMT";
    let before = "Sun, 06 Nov 1994 08:49:36 GMT";
    assert_eq!(condition("GET", &format!("If-Modified-Since: {same}")), Condition::NotModified);
    assert_eq!(condition("GET", &format!("If-Modified-Since: {before}")), MET);
    assert_eq!(condition("GET", "If-Modified-Since: yesterday"), MET);
    assert_eq!(condition("POST", &format!("If-Modified-Since: {same}")), MET);
    let both = format!("If-None-Match: \"v2\"\r\nIf-Modified-Since: {same}");
    assert_eq!(condition("GET", &both), MET);
    assert_eq!(condition("GET", &format!("If-Unmodified-Since: {before}")), Condition::Failed);
    assert_eq!(condition("GET", &format!("If-Unmodified-Since: {same}")), MET);
}

#[test]
fn if_match_comes_first_and_wants_the_very_version() {
    // RFC 9110 sections 13.1.1 and 13.2.2.
    assert_eq!(condition("GET", "If-Match: \"v1\""), MET);
    assert_eq!(condition("GET", "If-Match: *"), MET);
    assert_eq!(condition("GET", "If-Match: W/\"v1\""), Condition::Failed);
    let both = "If-Match: \"v2\"\r\nIf-None-Match: \"v1\"";
    assert_eq!(condition("GET", both), Condition::Failed);
    let both = "If-Match: \"v1\"\r\nIf-Unmodified-Since: Sun, 06 Nov 1993 08:49:37 GMT";
    assert_eq!(condition("GET", both), MET);
}

#[test]
fn a_range_holds_for_get_and_for_the_version_that_if_range_names() {
    // RFC 9110 sections 13.1.5 and 14.2.
    let asked = Condition::Met { range: true };
    assert_eq!(condition("GET", "Range: bytes=0-"), asked);
    assert_eq!(condition("HEAD", "Range: bytes=0-"), MET);
    assert_eq!(condition("GET", "Range: bytes=0-\r\nIf-Range: \"v1\""), asked);
    assert_eq!(condition("GET", "Range: bytes=0-\r\nIf-Range: \"v2\""), MET);
    assert_eq!(condition("GET", "Range: bytes=0-\r\nIf-Range: W/\"v1\""), MET);
    let same = "Range: bytes=0-\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(condition("GET", same), asked);
    let later = "Range: bytes=0-\r\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT";
    assert_eq!(condition("GET", later), MET);
}

#[test]
fn heads_of_responses_are_written_as_they_were_made() {
    let head = ResponseHead::new(StatusCode::PARTIAL_CONTENT)
        .with(HeaderName::from_static("content-range"), "bytes 0-4/5")
        .with(HeaderName::from_static("x-bad"), "a\r\nb: c");
    let mut out = bytes::BytesMut::new();
    head.encode(&mut out);
    assert_eq!(out, &b"HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 0-4/5\r\n\r\n"[..]);
}
