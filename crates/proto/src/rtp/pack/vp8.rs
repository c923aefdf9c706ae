//! VP8 into RTP (RFC 7741).

use super::{Error, Pieces, fragment_bytes};

/// Packs one frame into fragments that are equal in size but the last.
///
/// The payload descriptor (section 4.2) is its one mandatory byte. All of the frame counts as
/// partition 0: fragments do not keep to partitions, so that only the first starts one. There is no
/// picture number: what was packed once goes out to viewers who come and seek as they like.
pub(super) fn pack(frame: &[u8], payload_bytes_max: usize, out: &mut Pieces) -> Result<(), Error> {
    if frame.is_empty() {
        return Err(Error::Empty);
    }
    let bytes = fragment_bytes(frame.len(), payload_bytes_max - 1);
    for (index, fragment) in frame.chunks(bytes).enumerate() {
        out.push(&[&[if index == 0 { START } else { 0 }], fragment]);
    }
    Ok(())
}

const START: u8 = 0x10;

#[cfg(test)]
pub(in crate::rtp) mod tests {
    use super::super::{PACKET_BYTES_MAX, Packer, tests::frame};
    use weir_media::{Codec, KeyKind, MediaTime, Track, TrackId, vp8};

    pub(in crate::rtp) fn track() -> Track {
        let codec = Codec::Vp8(vp8::Config { width: 320, height: 180 });
        Track { id: TrackId(0), codec, clock_rate_hz: 1_000 }
    }

    #[test]
    fn the_first_fragment_alone_starts_the_frame() {
        let mut packer = Packer::new(&track(), PACKET_BYTES_MAX).unwrap();
        let packed = packer.pack(&frame(KeyKind::Key, MediaTime::ZERO, vec![7; 4_000])).unwrap();
        let heads: Vec<_> = packed.pieces.iter().map(|p| packed.payload(*p)[0]).collect();
        assert_eq!(heads, [0x10, 0, 0]);
        let sizes: Vec<_> = packed.pieces.iter().map(|p| p.len).collect();
        assert_eq!(sizes, [1_335, 1_335, 1_333]);
        assert!(packer.pack(&frame(KeyKind::Key, MediaTime::ZERO, vec![])).is_err());
    }
}
