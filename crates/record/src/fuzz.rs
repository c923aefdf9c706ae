//! Entries for fuzzing: whatever the bytes, none may panic.

use crate::stats::PlaySummaryBuilder;
use crate::{Line, Reader};

/// Reads `data` as a file of records. What could be read must be written and read back the
/// same.
pub fn fuzz_reader(data: &[u8]) {
    let Ok(mut reader) = Reader::new(data) else {
        return;
    };
    let mut written = Vec::new();
    reader.header().encode(&mut written);
    let mut records = Vec::new();
    let mut builder = PlaySummaryBuilder::new();
    while let Ok(Some(line)) = reader.read() {
        if let Line::Known(record) = line {
            builder.push(&record);
            record.encode(&mut written);
            records.push(Line::Known(record));
        }
    }
    let _ = builder.finish();
    let again = Reader::new(&written[..]).expect("the header was read before");
    let again: Vec<_> = again.map(|line| line.expect("the line was read before")).collect();
    assert_eq!(again, records);
}
