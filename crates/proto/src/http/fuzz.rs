//! Entry points for fuzzing: any bytes, and never a panic or a loop without end.

use http::Version;

use super::{
    ChunkedReader, Condition, Framing, HEAD_BYTES_MAX, HttpDate, Ranges, RequestReader, Validators,
    decode_path, http_date, is_persistent,
};

/// A connection's bytes, in pieces whose sizes the first byte chooses.
pub fn fuzz_http_request(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let mut reader = RequestReader::default();
    for piece in data.chunks(usize::from(*first) + 1) {
        reader.push(piece);
        while let Ok(Some(head)) = reader.poll() {
            let _ = decode_path(head.target.path());
            let framing = Framing::of(&head);
            assert!(is_persistent(&head) || head.version <= Version::HTTP_11);
            let etag = Some("\"1\"".to_owned());
            let validators = Validators { etag, modified: Some(HttpDate(1)) };
            let _ = Condition::of(&head, &validators, HttpDate(1_800_000_000));
            if let Ok(Framing::Length(bytes)) = framing {
                let _ = reader.take(usize::try_from(bytes).unwrap_or(usize::MAX));
            }
        }
        if reader.poll().is_err() {
            return;
        }
        assert!(reader.len() <= HEAD_BYTES_MAX);
    }
}

/// A chunked body, whole and byte by byte: both come to the same.
pub fn fuzz_http_chunked(data: &[u8]) {
    let (mut whole, mut out) = (ChunkedReader::default(), Vec::new());
    let taken = whole.read(data, &mut out);
    let (mut slow, mut slow_out, mut slow_taken) = (ChunkedReader::default(), Vec::new(), 0);
    for byte in data.chunks(1) {
        match slow.read(byte, &mut slow_out) {
            Ok(count) => slow_taken += count,
            Err(_) => return assert!(taken.is_err()),
        }
    }
    assert_eq!(taken, Ok(slow_taken));
    assert_eq!((whole, out), (slow, slow_out));
}

/// A Range field: the length of the file in the first eight bytes.
pub fn fuzz_http_range(data: &[u8]) {
    let Some((length, value)) = data.split_first_chunk::<8>() else { return };
    let length = u64::from_le_bytes(*length);
    let Ok(value) = str::from_utf8(value) else { return };
    if let Ranges::Parts(parts) = Ranges::parse(value, length) {
        assert!(!parts.is_empty());
        assert!(parts.iter().all(|part| part.first <= part.last && part.last < length));
        assert!(parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.bytes())).is_some());
    }
    if let Some(date) = HttpDate::parse(value, HttpDate(1_800_000_000)) {
        let again = HttpDate::parse(&http_date(date), date);
        assert_eq!(again, Some(date));
    }
}
