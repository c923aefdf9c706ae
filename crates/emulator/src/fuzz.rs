//! Entries for fuzzing: whatever the bytes, none may panic.

use crate::capture::read::Reader;
use crate::capture::summary::Builder;
use crate::control::Request;

/// `data` as a capture, in two pieces, summed up.
pub fn fuzz_capture(data: &[u8]) {
    let (&cut, data) = data.split_first().unwrap_or((&0, data));
    let (first, second) = data.split_at(usize::from(cut).min(data.len()));
    let mut reader = Reader::default();
    let mut builder = Builder::default();
    for part in [first, second] {
        reader.push(part);
        while let Ok(Some(item)) = reader.poll() {
            builder.push(item);
        }
    }
    let _ = builder.summary();
}

/// `data` as a line from a client of the control socket.
pub fn fuzz_control_line(data: &[u8]) {
    if let Ok(request) = Request::read(data) {
        let line = serde_json::to_vec(&request).expect("keys are texts");
        let again = Request::read(&line).expect("it was written by the same type");
        assert_eq!(request, again);
    }
}
