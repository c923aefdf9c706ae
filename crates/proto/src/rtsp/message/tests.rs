use proptest::prelude::*;

use super::*;

fn all(decoder: &mut Decoder) -> Vec<Result<Item, Error>> {
    core::iter::from_fn(|| decoder.next()).collect()
}

fn decode(bytes: &[u8], tolerance: Tolerance) -> Vec<Result<Item, Error>> {
    let mut decoder = Decoder::new(tolerance);
    decoder.push(bytes);
    all(&mut decoder)
}

fn frame(channel: u8, data: &'static [u8]) -> Item {
    let data = Bytes::from_static(data);
    Item::Interleaved { channel, data }
}

fn ok() -> Item {
    let mut response = Response::new(Status::OK);
    response.fields.push("CSeq", "1");
    Item::Response(response)
}

#[test]
fn a_request_is_read_with_its_fields_and_body() {
    let text = b"SET_PARAMETER rtsp://h/a b RTSP/1.0\r\nCSeq: 3\r\ncontent-length:2\r\nX: a\r\n  b\r\n\r\nhiOPTIONS";
    let items = decode(text, Tolerance::Strict);
    let [Ok(Item::Request(request))] = &items[..] else { panic!("{items:?}") };
    assert_eq!(request.method, Method::SetParameter);
    assert_eq!(request.uri, "rtsp://h/a b");
    assert_eq!(request.fields.get("cseq"), Some("3"));
    assert_eq!(request.fields.get("X"), Some("a b"));
    assert_eq!(&request.body[..], b"hi");
}

#[test]
fn a_response_may_lack_its_phrase() {
    let items = decode(b"RTSP/1.0 200\nCSeq: 1\n\n", Tolerance::Strict);
    let [Ok(Item::Response(response))] = &items[..] else { panic!("{items:?}") };
    assert_eq!((response.status, &*response.reason), (Status::OK, ""));
}

#[test]
fn frames_stand_between_messages() {
    let bytes = b"$\x00\x00\x02hi\r\nRTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n$\x01\x00\x00$\x02\x00\x01";
    let items = decode(bytes, Tolerance::Strict);
    assert_eq!(items, [Ok(frame(0, b"hi")), Ok(ok()), Ok(frame(1, b""))]);
}

#[test]
fn a_frames_payload_is_not_copied_out() {
    let mut decoder = Decoder::new(Tolerance::Wide);
    decoder.push(b"$\x00\x00\x04abcd");
    let at = decoder.undecoded().as_ptr();
    let Some(Ok(Item::Interleaved { data, .. })) = decoder.next() else { panic!() };
    assert_eq!(data.as_ptr(), at.wrapping_add(4));
}

#[test]
fn an_error_names_the_offset_and_ends_the_stream() {
    let mut decoder = Decoder::new(Tolerance::Strict);
    decoder.push(b"$\x00\x00\x02hinonsense\r\n\r\n$\x00\x00\x00");
    assert_eq!(decoder.next(), Some(Ok(frame(0, b"hi"))));
    let line = "nonsense".to_owned();
    assert_eq!(decoder.next(), Some(Err(Error::StartLine { offset: 6, line })));
    assert_eq!(decoder.next(), None);
    decoder.push(b"$\x00\x00\x00");
    assert_eq!(decoder.next(), None);
}

#[test]
fn a_wide_decoder_passes_over_lines_that_begin_no_message() {
    let bytes = b"hello world\r\nRTSP/1.0 200 OK\r\nCSeq: 1\r\nnonsense\r\n\r\n";
    let mut decoder = Decoder::new(Tolerance::Wide);
    decoder.push(bytes);
    assert_eq!(all(&mut decoder), [Ok(ok())]);
    assert_eq!((decoder.skipped_bytes(), decoder.skipped_fields()), (13, 1));
}

#[test]
fn a_wide_decoder_finds_the_next_frame_or_message_behind_junk() {
    for (junk, skipped) in [(&b"\x80\x60"[..], 2), (b"\xff\x00 / RTS", 8), (b"::RTSP", 6)] {
        for (rest, item) in [
            (&b"$\x01\x00\x02hi"[..], frame(1, b"hi")),
            (b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", ok()),
        ] {
            let bytes = [junk, rest].concat();
            for at in 0..bytes.len() {
                let mut decoder = Decoder::new(Tolerance::Wide);
                decoder.push(&bytes[..at]);
                let mut items = all(&mut decoder);
                decoder.push(&bytes[at..]);
                items.extend(all(&mut decoder));
                assert_eq!(items, [Ok(item.clone())], "{junk:?} cut at {at}");
                assert_eq!(decoder.skipped_bytes(), skipped, "{junk:?} cut at {at}");
            }
        }
    }
}

#[test]
fn a_wide_decoder_gives_up_after_a_bound() {
    let mut decoder = Decoder::new(Tolerance::Wide);
    for _ in 0..20 {
        decoder.push(&[0xff; 8192]);
        match decoder.next() {
            None => assert!(decoder.buffered_bytes() <= 8),
            Some(result) => {
                assert!(matches!(result, Err(Error::NoMessage { .. })), "{result:?}");
                return;
            }
        }
    }
    panic!("no bound");
}

#[test]
fn a_value_forges_no_line() {
    let mut response = Response::new(Status::OK);
    response.fields.push("X", "a\r\nSession: 1");
    let items = decode(&response.encode(), Tolerance::Strict);
    let [Ok(Item::Response(response))] = &items[..] else { panic!("{items:?}") };
    assert_eq!(response.fields.len(), 1);
}

fn requests() -> impl Strategy<Value = Request> {
    let field = ("[A-Z][A-Za-z-]{0,11}x", "([!-~]([ -~]{0,20}[!-~])?)?");
    let fields = proptest::collection::vec(field, 0..6);
    let body = proptest::collection::vec(any::<u8>(), 0..40);
    ("[A-Z_]{1,12}", "rtsp://[a-z]{1,9}/[!-~]{0,20}", fields, body).prop_map(
        |(method, uri, fields, body)| {
            let mut request = Request::new(Method::from_token(&method), uri);
            for (name, value) in fields {
                request.fields.push(name, value);
            }
            if !body.is_empty() {
                request.fields.push("Content-Length", body.len().to_string());
            }
            request.body = body.into();
            request
        },
    )
}

proptest! {
    #[test]
    fn a_request_comes_back(request in requests()) {
        let items = decode(&request.encode(), Tolerance::Strict);
        prop_assert_eq!(&items, &[Ok(Item::Request(request.clone()))]);
        prop_assert_eq!(decode(&request.encode(), Tolerance::Wide), items);
    }

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_items(requests in proptest::collection::vec(requests(), 1..4), piece in 1usize..30) {
        let mut bytes = Vec::new();
        for request in &requests {
            bytes.extend_from_slice(&request.encode());
            bytes.extend_from_slice(b"$\x05\x00\x03abc\r\n");
        }
        for tolerance in [Tolerance::Strict, Tolerance::Wide] {
            let mut decoder = Decoder::new(tolerance);
            let mut items = Vec::new();
            for piece in bytes.chunks(piece) {
                decoder.push(piece);
                items.extend(all(&mut decoder));
            }
            prop_assert_eq!(&items, &decode(&bytes, tolerance));
            prop_assert_eq!(items.len(), 2 * requests.len());
        }
    }
}
