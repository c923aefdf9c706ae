//! Entries for the fuzzers: what peers can send to decoders.

use bytes::Bytes;
use weir_media::{Frame, KeyKind, MediaTime, TrackId};
use weir_time::Instant;

use crate::{Plane, VideoDecoder, h264, jpeg, timecode};

/// A plane of luma, its size in the first two bytes.
pub fn fuzz_timecode(data: &[u8]) {
    if let [width, height, samples @ ..] = data {
        let (width, height) = (usize::from(*width), usize::from(*height));
        let plane = Plane::from_samples(samples.to_vec(), width, height, width);
        let _ = plane.map(|plane| timecode::read(&plane));
    }
}

/// One image.
pub fn fuzz_jpeg_decode(data: &[u8]) {
    let _ = jpeg::decode(data);
}

/// Access units, each behind its length in two bytes.
pub fn fuzz_h264_decode(data: &[u8]) {
    let config = weir_media::h264::Config { sps: Vec::new(), pps: Vec::new() };
    let mut decoder = h264::Decoder::new(&config);
    let (mut rest, mut out) = (data, Vec::new());
    while let [a, b, tail @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*a, *b])).min(tail.len());
        let (unit, behind) = tail.split_at(len);
        rest = behind;
        let frame = Frame {
            track: TrackId(0),
            pts: MediaTime::ZERO,
            dts: None,
            duration: None,
            key: KeyKind::Key,
            capture: None,
            arrival: Instant::ZERO,
            discontinuity: false,
            payload: Bytes::copy_from_slice(unit),
        };
        let _ = decoder.decode(&frame, &mut out);
        out.clear();
    }
}
