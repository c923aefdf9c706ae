//! H.265 into RTP, in decoding order and without decoding order numbers (RFC 7798 section 4.5).

use bytes::{BufMut, BytesMut};
use weir_media::h265::{Config, NalType};

use super::nal::{self, Format, Sets};

/// Aggregation packets and fragmentation units.
#[derive(Clone, Debug)]
pub(super) enum H265 {}

pub(super) type Packer = nal::Packer<H265>;

pub(super) fn packer(config: &Config) -> Packer {
    Packer::new(vec![
        Sets { is_kind: |nal| NalType::of(nal) == NalType::VPS, sets: config.vps.clone() },
        Sets { is_kind: |nal| NalType::of(nal) == NalType::SPS, sets: config.sps.clone() },
        Sets { is_kind: |nal| NalType::of(nal) == NalType::PPS, sets: config.pps.clone() },
    ])
}

impl Format for H265 {
    const HEADER_BYTES: usize = 2;

    /// RFC 7798 uses the unspecified types from 48 on for itself (section 4.2).
    fn carries(nal: &[u8]) -> bool {
        NalType::of(nal).0 < AGGREGATION
    }

    fn is_delimiter(nal: &[u8]) -> bool {
        NalType::of(nal) == NalType::AUD
    }

    /// The forbidden bit of any, the lowest layer and the lowest sub-layer of all
    /// (section 4.4.2).
    fn put_aggregate_header(nal_units: &[&[u8]], out: &mut BytesMut) {
        let headers = || nal_units.iter().filter_map(|nal| nal.first_chunk().copied());
        let headers = || headers().map(u16::from_be_bytes);
        let forbidden = headers().fold(0, |bit, header| bit | header & 0x8000);
        let layer = headers().map(|header| header & 0x1f8).min().unwrap_or(0);
        let sub_layer = headers().map(|header| header & 7).min().unwrap_or(1);
        let header = forbidden | u16::from(AGGREGATION) << 9 | layer | sub_layer;
        out.extend_from_slice(&header.to_be_bytes());
    }

    /// Section 4.4.3.
    fn put_fragment_header(nal: &[u8], is_first: bool, is_last: bool, out: &mut BytesMut) {
        let [first, second] = nal.first_chunk().copied().unwrap_or([0, 1]);
        out.put_u8(first & 0x81 | FRAGMENTATION << 1);
        out.put_u8(second);
        out.put_u8(u8::from(is_first) << 7 | u8::from(is_last) << 6 | NalType::of(nal).0);
    }
}

const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;

#[cfg(test)]
pub(in crate::rtp) mod tests {
    use super::super::h264::tests::access_unit;
    use super::super::{PACKET_BYTES_MAX, Packed, Packer, tests::frame};
    use bytes::Bytes;
    use weir_media::{Codec, KeyKind, MediaTime, Track, TrackId, h265};

    pub(in crate::rtp) const VPS: [u8; 7] = [0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01];
    pub(in crate::rtp) const SPS: [u8; 22] = [
        0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00,
        0x03, 0x00, 0x3c, 0xa0, 0x0a, 0x08, 0x0c,
    ];
    pub(in crate::rtp) const PPS: [u8; 4] = [0x44, 0x01, 0xc0, 0x73];

    /// A track with one parameter set of each kind.
    pub(in crate::rtp) fn track() -> Track {
        let config = h265::Config {
            vps: vec![Bytes::from_static(&VPS)],
            sps: vec![Bytes::from_static(&SPS)],
            pps: vec![Bytes::from_static(&PPS)],
        };
        Track { id: TrackId(0), codec: Codec::H265(config), clock_rate_hz: 12_800 }
    }

    fn nal(nal_type: u8, bytes: usize) -> Vec<u8> {
        let mut nal = vec![0xab; bytes];
        nal[..2].copy_from_slice(&[nal_type << 1, 1]);
        nal
    }

    fn pack(key: KeyKind, nal_units: &[Vec<u8>]) -> Packed {
        let mut packer = Packer::new(&track(), PACKET_BYTES_MAX).unwrap();
        packer.pack(&frame(key, MediaTime::ZERO, access_unit(nal_units))).unwrap()
    }

    /// The types of the NAL units of an aggregate.
    fn types(mut rest: &[u8]) -> Vec<u8> {
        let mut types = Vec::new();
        while let Some(([_, length, header], _)) = rest.split_first_chunk::<3>() {
            types.push(header >> 1);
            rest = &rest[2 + usize::from(*length)..];
        }
        types
    }

    #[test]
    fn a_small_nal_unit_is_sent_as_it_is() {
        let packed = pack(KeyKind::Delta, &[vec![0x02, 1, 2, 3]]);
        assert_eq!(&packed.bytes[..], [0x02, 1, 2, 3]);
        assert!(packed.pieces[0].marker);
    }

    #[test]
    fn parameter_sets_share_a_packet_before_a_key_frame() {
        for (key, picture) in [(KeyKind::Key, 19), (KeyKind::Recovery, 21)] {
            let packed = pack(key, &[nal(39, 20), nal(picture, 5_000)]);
            let first = packed.payload(packed.pieces[0]);
            assert_eq!(first[..2], [0x60, 0x01]);
            assert_eq!(types(&first[2..]), [32, 33, 34, 39]);
            assert_eq!(packed.trains(0, 64).count(), 2);
        }
    }

    #[test]
    fn sets_of_some_kinds_are_completed_by_those_of_the_others() {
        let types_of = |nal_units: &[Vec<u8>]| types(&pack(KeyKind::Key, nal_units).bytes[2..]);
        assert_eq!(types_of(&[nal(33, 9), nal(19, 50)]), [32, 33, 34, 19]);
        assert_eq!(types_of(&[nal(35, 3), nal(34, 9), nal(19, 50)]), [35, 32, 33, 34, 19]);
        let all = [nal(32, 9), nal(33, 9), nal(34, 9), nal(19, 50)];
        assert_eq!(types_of(&all), [32, 33, 34, 19]);
    }

    #[test]
    fn fragments_bear_start_and_end_and_the_type_of_their_nal_unit() {
        let packed = pack(KeyKind::Delta, &[nal(1, 4_000)]);
        let heads: Vec<_> = packed.pieces.iter().map(|p| &packed.payload(*p)[..3]).collect();
        assert_eq!(heads, [[0x62, 1, 0x81], [0x62, 1, 0x01], [0x62, 1, 0x41]]);
        let sizes: Vec<_> = packed.pieces.iter().map(|piece| piece.len).collect();
        assert_eq!(sizes, [1_336, 1_336, 1_335]);
        for bytes in [2, 1_388, 1_389, 2_772, 2_774, 100_003] {
            let packed = pack(KeyKind::Delta, &[nal(1, bytes)]);
            assert_eq!(packed.trains(0, usize::MAX).count(), 1, "{bytes}");
        }
    }

    #[test]
    fn an_aggregate_has_the_lowest_layer_and_sub_layer() {
        let packed = pack(KeyKind::Delta, &[vec![0x02, 0x0b, 1], vec![0x03, 0x02, 1]]);
        assert_eq!(packed.bytes[..2], [0x60, 0x0a]);
    }

    #[test]
    fn nal_units_that_rtp_cannot_carry_are_counted() {
        let mut packer = Packer::new(&track(), PACKET_BYTES_MAX).unwrap();
        let payload = access_unit(&[nal(48, 9), vec![0x02], nal(1, 9)]);
        let packed = packer.pack(&frame(KeyKind::Delta, MediaTime::ZERO, payload)).unwrap();
        assert_eq!(packed.bytes.len(), 9);
        assert_eq!(packer.nal_units_dropped(), 2);
    }
}
