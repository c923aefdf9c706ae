//! H.264 into RTP, packetization mode 1 (RFC 6184 section 6.3).

use bytes::{BufMut, BytesMut};
use weir_media::h264::{Config, NalType};

use super::nal::{self, Format, Sets};

/// STAP-A and FU-A.
#[derive(Clone, Debug)]
pub(super) enum H264 {}

pub(super) type Packer = nal::Packer<H264>;

pub(super) fn packer(config: &Config) -> Packer {
    Packer::new(vec![
        Sets { is_kind: |nal| NalType::of(nal) == NalType::SPS, sets: config.sps.clone() },
        Sets { is_kind: |nal| NalType::of(nal) == NalType::PPS, sets: config.pps.clone() },
    ])
}

impl Format for H264 {
    const HEADER_BYTES: usize = 1;

    /// RFC 6184 uses the types 0 and 24 to 31 for itself (section 5.2).
    fn carries(nal: &[u8]) -> bool {
        (1..=23).contains(&NalType::of(nal).0)
    }

    fn is_delimiter(nal: &[u8]) -> bool {
        NalType::of(nal) == NalType::AUD
    }

    /// The forbidden bit of any, the greatest importance of all (section 5.7).
    fn put_aggregate_header(nal_units: &[&[u8]], out: &mut BytesMut) {
        let headers = || nal_units.iter().filter_map(|nal| nal.first());
        let forbidden = headers().fold(0, |bit, header| bit | (header & 0x80));
        let importance = headers().map(|header| header & 0x60).max().unwrap_or(0);
        out.put_u8(forbidden | importance | STAP_A);
    }

    /// Section 5.8.
    fn put_fragment_header(nal: &[u8], is_first: bool, is_last: bool, out: &mut BytesMut) {
        let header = nal.first().copied().unwrap_or(0);
        out.put_u8((header & 0xe0) | FU_A);
        out.put_u8(u8::from(is_first) << 7 | u8::from(is_last) << 6 | header & 0x1f);
    }
}

const STAP_A: u8 = 24;
const FU_A: u8 = 28;

#[cfg(test)]
pub(in crate::rtp) mod tests {
    use super::super::{Error, PACKET_BYTES_MAX, Packed, Packer, Piece, tests::frame};
    use bytes::Bytes;
    use proptest::prelude::*;
    use weir_media::{Codec, KeyKind, MediaTime, Track, TrackId, h264};

    /// A track with one parameter set of each kind.
    pub(in crate::rtp) fn track() -> Track {
        let config = h264::Config {
            sps: vec![Bytes::from_static(&[0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9])],
            pps: vec![Bytes::from_static(&[0x68, 0xeb, 0xe3])],
        };
        Track { id: TrackId(0), codec: Codec::H264(config), clock_rate_hz: 12_800 }
    }

    /// NAL units, each behind its length.
    pub(in crate::rtp) fn access_unit(nal_units: &[Vec<u8>]) -> Vec<u8> {
        let with_length = |nal: &Vec<u8>| [&(nal.len() as u32).to_be_bytes()[..], nal].concat();
        nal_units.iter().flat_map(with_length).collect()
    }

    fn nal(header: u8, bytes: usize) -> Vec<u8> {
        let mut nal = vec![0xab; bytes];
        nal[0] = header;
        nal
    }

    fn pack(key: KeyKind, nal_units: &[Vec<u8>]) -> Packed {
        let mut packer = Packer::new(&track(), PACKET_BYTES_MAX).unwrap();
        packer.pack(&frame(key, MediaTime::ZERO, access_unit(nal_units))).unwrap()
    }

    fn sizes(packed: &Packed) -> Vec<u16> {
        packed.pieces.iter().map(|piece| piece.len).collect()
    }

    #[test]
    fn a_small_nal_unit_is_sent_as_it_is() {
        let packed = pack(KeyKind::Delta, &[vec![0x41, 1, 2, 3]]);
        assert_eq!(&packed.bytes[..], [0x41, 1, 2, 3]);
        assert_eq!(packed.pieces[..], [Piece { start: 0, len: 4, marker: true }]);
    }

    #[test]
    fn parameter_sets_and_sei_share_a_packet_before_a_key_frame() {
        let packed = pack(KeyKind::Key, &[nal(0x06, 20), nal(0x65, 5_000)]);
        let first = packed.payload(packed.pieces[0]);
        assert_eq!(first[0], 0x78);
        assert_eq!(first[1..5], [0, 6, 0x67, 0x64]);
        assert_eq!(first[9..12], [0, 3, 0x68]);
        assert_eq!(first[14..17], [0, 20, 0x06]);
        assert_eq!(first.len(), 36);
        assert_eq!(packed.trains(0, 64).count(), 2);
    }

    #[test]
    fn a_key_frame_that_fits_is_one_packet_with_its_parameter_sets() {
        let packed = pack(KeyKind::Key, &[nal(0x65, 500)]);
        assert_eq!(sizes(&packed), [1 + 8 + 5 + 502]);
    }

    #[test]
    fn parameter_sets_of_the_frame_itself_are_not_doubled() {
        let packed = pack(KeyKind::Key, &[nal(0x67, 9), nal(0x68, 4), nal(0x65, 50)]);
        assert_eq!(sizes(&packed), [1 + 11 + 6 + 52]);
    }

    #[test]
    fn sets_of_one_kind_are_completed_by_those_of_the_other() {
        let types = |nal_units: &[Vec<u8>]| {
            let packed = pack(KeyKind::Key, nal_units);
            let mut rest = &packed.bytes[1..];
            let mut types = Vec::new();
            while let Some(([_, length, header], _)) = rest.split_first_chunk::<3>() {
                types.push(header & 0x1f);
                rest = &rest[2 + usize::from(*length)..];
            }
            types
        };
        assert_eq!(types(&[nal(0x67, 9), nal(0x65, 50)]), [7, 8, 5]);
        assert_eq!(types(&[nal(0x09, 2), nal(0x68, 9), nal(0x65, 50)]), [9, 7, 8, 5]);
    }

    #[test]
    fn parameter_sets_come_behind_an_access_unit_delimiter() {
        let packed = pack(KeyKind::Key, &[nal(0x09, 2), nal(0x65, 50)]);
        assert_eq!(packed.bytes[3] & 0x1f, 9);
        assert_eq!(packed.bytes[7] & 0x1f, 7);
    }

    #[test]
    fn fragments_bear_start_and_end_and_the_type_of_their_nal_unit() {
        let packed = pack(KeyKind::Delta, &[nal(0x41, 4_000)]);
        let heads: Vec<_> = packed.pieces.iter().map(|p| &packed.payload(*p)[..2]).collect();
        assert_eq!(heads, [[0x5c, 0x81], [0x5c, 0x01], [0x5c, 0x41]]);
        assert_eq!(sizes(&packed), [1335; 3]);
        let markers: Vec<_> = packed.pieces.iter().map(|p| p.marker).collect();
        assert_eq!(markers, [false, false, true]);
    }

    #[test]
    fn a_delta_frame_of_one_slice_is_one_train() {
        for bytes in [1, 1_388, 1_389, 2_772, 2_774, 100_003] {
            let packed = pack(KeyKind::Delta, &[nal(0x41, bytes)]);
            assert_eq!(packed.trains(0, usize::MAX).count(), 1, "{bytes}");
        }
    }

    #[test]
    fn nal_units_that_rtp_cannot_carry_are_counted() {
        let mut packer = Packer::new(&track(), PACKET_BYTES_MAX).unwrap();
        let payload = access_unit(&[nal(0x18, 9), vec![], nal(0x41, 9)]);
        let packed = packer.pack(&frame(KeyKind::Delta, MediaTime::ZERO, payload)).unwrap();
        assert_eq!(sizes(&packed), [9]);
        assert_eq!(packer.nal_units_dropped(), 1);
    }

    #[test]
    fn an_access_unit_that_ends_inside_a_nal_unit_is_refused_by_its_offset() {
        let mut packer = Packer::new(&track(), PACKET_BYTES_MAX).unwrap();
        let mut refusal = |payload: &[u8]| {
            let frame = frame(KeyKind::Delta, MediaTime::ZERO, payload.to_vec());
            packer.pack(&frame).unwrap_err()
        };
        let cut = [0, 0, 0, 1, 0x41, 0, 0, 0, 9, 1];
        assert_eq!(refusal(&cut), Error::NalUnit { at: 5, nal_bytes: 9, bytes: 10 });
        assert_eq!(refusal(&cut[..7]), Error::NalUnit { at: 5, nal_bytes: 0, bytes: 7 });
        assert_eq!(refusal(&[]), Error::Empty);
        assert_eq!(refusal(&[0; 8]), Error::Empty);
    }

    proptest! {
        #[test]
        fn pieces_tile_the_bytes_and_fragments_are_equal_but_the_last(
            bytes in 1usize..60_000,
            packet_bytes_max in 100usize..3_000,
        ) {
            let mut packer = Packer::new(&track(), packet_bytes_max).unwrap();
            let payload = access_unit(&[nal(0x41, bytes)]);
            let packed = packer.pack(&frame(KeyKind::Delta, MediaTime::ZERO, payload)).unwrap();
            let mut at = 0;
            for piece in &packed.pieces {
                prop_assert_eq!(piece.start, at);
                prop_assert!(piece.len > 0 && usize::from(piece.len) + 12 <= packet_bytes_max);
                at += u32::from(piece.len);
            }
            prop_assert_eq!(at as usize, packed.bytes.len());
            prop_assert_eq!(packed.trains(0, usize::MAX).count(), 1);
        }
    }
}
