//! Entries for fuzzing: none may panic, whatever the bytes are.

use bytes::BytesMut;

use super::{Limits, amf0, amf3};

/// Reads values of AMF 0; what is written of them must be read, and written as the same.
pub fn fuzz_amf0(data: &[u8]) {
    let mut reader = amf0::Reader::new(data, Limits::default());
    let values: Vec<_> = reader.by_ref().map_while(Result::ok).collect();
    assert!(reader.offset() <= data.len());
    let written = amf0::write_all(&values);
    let again: Result<Vec<_>, _> = amf0::Reader::new(&written, Limits::default()).collect();
    let again = again.expect("what was read within the limits is within them");
    assert_eq!(amf0::write_all(&again), written);
}

/// Reads values of AMF 3; what is written of them must be read, and written as the same.
pub fn fuzz_amf3(data: &[u8]) {
    let values: Vec<_> = amf3::Reader::new(data, Limits::default()).map_while(Result::ok).collect();
    let write = |values: &[amf3::Value]| {
        let mut out = BytesMut::new();
        values.iter().for_each(|value| value.write(&mut out));
        out
    };
    let written = write(&values);
    let again: Result<Vec<_>, _> = amf3::Reader::new(&written, Limits::default()).collect();
    let again = again.expect("what was read within the limits is within them");
    assert_eq!(write(&again), written);
}
