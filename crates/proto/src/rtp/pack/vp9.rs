//! VP9 into RTP, in non-flexible mode (RFC 9628).

use weir_media::{Frame, KeyKind};

use super::{Error, Pieces, fragment_bytes};

/// Packs one frame, or one superframe, into fragments that are equal in size but the last.
///
/// The payload descriptor (section 4.2) is its one mandatory byte: there are no layers. There is no
/// picture number: what was packed once goes out to viewers who come and seek as they like.
pub(super) fn pack(frame: &Frame, payload_bytes_max: usize, out: &mut Pieces) -> Result<(), Error> {
    if frame.payload.is_empty() {
        return Err(Error::Empty);
    }
    let predicted = if frame.key == KeyKind::Key { 0 } else { PREDICTED };
    let fragments =
        frame.payload.chunks(fragment_bytes(frame.payload.len(), payload_bytes_max - 1));
    let last = fragments.len() - 1;
    for (index, fragment) in fragments.enumerate() {
        let start = if index == 0 { START } else { 0 };
        let end = if index == last { END } else { 0 };
        out.push(&[&[predicted | start | end], fragment]);
    }
    Ok(())
}

const PREDICTED: u8 = 0x40;
const START: u8 = 0x08;
const END: u8 = 0x04;

#[cfg(test)]
pub(in crate::rtp) mod tests {
    use super::super::{PACKET_BYTES_MAX, Packer, tests::frame};
    use weir_media::{Codec, KeyKind, MediaTime, Track, TrackId, vp9};

    pub(in crate::rtp) fn track() -> Track {
        let config = vp9::Config {
            width: 320,
            height: 180,
            profile: 0,
            level: 0,
            bit_depth: 8,
            chroma_subsampling: 1,
        };
        Track { id: TrackId(0), codec: Codec::Vp9(config), clock_rate_hz: 1_000 }
    }

    #[test]
    fn fragments_bear_start_and_end_and_whether_they_are_predicted() {
        let mut packer = Packer::new(&track(), PACKET_BYTES_MAX).unwrap();
        let mut heads = |key, bytes| {
            let packed = packer.pack(&frame(key, MediaTime::ZERO, vec![7; bytes])).unwrap();
            packed.pieces.iter().map(|p| packed.payload(*p)[0]).collect::<Vec<_>>()
        };
        assert_eq!(heads(KeyKind::Key, 4_000), [0x08, 0x00, 0x04]);
        assert_eq!(heads(KeyKind::Delta, 4_000), [0x48, 0x40, 0x44]);
        assert_eq!(heads(KeyKind::Delta, 9), [0x4c]);
    }
}
