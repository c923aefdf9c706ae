//! AAC into RTP, mode AAC-hbr (RFC 3640 section 3.3.6).

use super::{Error, Pieces, fragment_bytes};

/// Packs one access unit: into one packet, or into equal fragments if it does not fit.
///
/// Each packet begins with the length of the AU header section in bits (16) and one AU header:
/// thirteen bits of the size of the whole access unit, also in its fragments, and three bits of
/// index, 0 (RFC 3640 section 3.2.1).
pub(super) fn pack(
    access_unit: &[u8],
    payload_bytes_max: usize,
    out: &mut Pieces,
) -> Result<(), Error> {
    let size = match u16::try_from(access_unit.len()) {
        Ok(0) => return Err(Error::Empty),
        Ok(size) if size < 1 << 13 => size,
        _ => {
            return Err(Error::AacSize { bytes: access_unit.len() });
        }
    };
    let [high, low] = (size << 3).to_be_bytes();
    let most = payload_bytes_max - HEADER_BYTES;
    for fragment in access_unit.chunks(fragment_bytes(access_unit.len(), most)) {
        out.push(&[&[0, 16, high, low], fragment]);
    }
    Ok(())
}

/// The AU header section with one AU header.
const HEADER_BYTES: usize = 4;

#[cfg(test)]
pub(in crate::rtp) mod tests {
    use super::super::{PACKET_BYTES_MAX, Packer, tests::frame};
    use super::*;
    use bytes::Bytes;
    use weir_media::{Codec, KeyKind, MediaTime, Track, TrackId, aac};

    /// AAC-LC, 48 kHz, stereo.
    pub(in crate::rtp) fn track() -> Track {
        let config = aac::Config {
            asc: Bytes::from_static(&[0x11, 0x90]),
            object_type: 2,
            sample_rate_hz: 48_000,
            channels: 2,
            frame_samples: 1_024,
        };
        Track { id: TrackId(0), codec: Codec::Aac(config), clock_rate_hz: 48_000 }
    }

    fn pack_one(bytes: usize) -> Result<super::super::Packed, Error> {
        let mut packer = Packer::new(&track(), PACKET_BYTES_MAX).unwrap();
        packer.pack(&frame(KeyKind::Key, MediaTime::ZERO, vec![7; bytes]))
    }

    #[test]
    fn an_access_unit_stands_behind_one_header_with_its_size() {
        let packed = pack_one(3).unwrap();
        assert_eq!(&packed.bytes[..], [0, 16, 0, 24, 7, 7, 7]);
        assert!(packed.pieces[0].marker);
    }

    #[test]
    fn fragments_are_equal_and_each_says_the_size_of_the_whole() {
        let packed = pack_one(4_000).unwrap();
        let sizes: Vec<_> = packed.pieces.iter().map(|p| p.len).collect();
        assert_eq!(sizes, [1_338, 1_338, 1_336]);
        for piece in &packed.pieces {
            assert_eq!(packed.payload(*piece)[..4], [0, 16, 0x7d, 0x00]);
        }
        let markers: Vec<_> = packed.pieces.iter().map(|p| p.marker).collect();
        assert_eq!(markers, [false, false, true]);
    }

    #[test]
    fn sizes_that_thirteen_bits_cannot_say_are_refused() {
        assert_eq!(pack_one(0).unwrap_err(), Error::Empty);
        assert!(pack_one(8_191).is_ok());
        assert_eq!(pack_one(8_192).unwrap_err(), Error::AacSize { bytes: 8_192 });
        assert_eq!(pack_one(70_000).unwrap_err(), Error::AacSize { bytes: 70_000 });
    }
}
