//! Edit lists for files whose presentation starts behind their first frame.

use bytes::{BufMut, Bytes, BytesMut};

use super::init::{put_box, put_full_box};

/// An init segment of this crate with an edit list in each track (ISO/IEC 14496-12 section 8.6.6):
/// the presentation starts at these ticks of the tracks' own time lines, in their order.
pub(super) fn with_starts(init: &[u8], starts: impl Iterator<Item = i64>) -> Bytes {
    let mut starts = starts;
    let mut out = BytesMut::with_capacity(init.len() + 40);
    for (kind, data) in boxes(init) {
        if kind != *b"moov" {
            put_box(&mut out, &kind, |out| out.put_slice(data));
            continue;
        }
        put_box(&mut out, b"moov", |out| {
            for (kind, data) in boxes(data) {
                match (kind == *b"trak").then(|| starts.next()).flatten() {
                    Some(start) => put_box(out, &kind, |out| put_track(out, data, start)),
                    None => put_box(out, &kind, |out| out.put_slice(data)),
                }
            }
        });
    }
    out.freeze()
}

fn put_track(out: &mut BytesMut, track: &[u8], start: i64) {
    for (kind, data) in boxes(track) {
        put_box(out, &kind, |out| out.put_slice(data));
        if kind == *b"tkhd" {
            put_box(out, b"edts", |out| {
                put_full_box(out, b"elst", 1, 0, |out| {
                    out.put_u32(1);
                    // To the end, as long as that is not known.
                    out.put_u64(0);
                    out.put_i64(start);
                    out.put_u32(0x1_0000);
                });
            });
        }
    }
}

/// The boxes of a row, with their contents.
fn boxes(mut row: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (head, _) = row.split_first_chunk::<8>()?;
        let [a, b, c, d, kind @ ..] = *head;
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        let data = row.get(8..len)?;
        row = row.get(len..)?;
        Some((kind, data))
    })
}
