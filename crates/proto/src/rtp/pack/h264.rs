//! H.264 into RTP, packetization mode 1 (RFC 6184 section 6.3).

use bytes::{BufMut, Bytes};
use weir_media::{Frame, KeyKind, h264};

use super::{Error, Pieces, fragment_bytes};

/// Packs access units: small NAL units aggregated (STAP-A), great ones in fragments (FU-A) that
/// are equal in size but the last.
///
/// The order of NAL units is kept. Neighbours that fit into one packet share one, so that what
/// precedes a picture (parameter sets, SEI) costs one packet and breaks one train.
#[derive(Clone, Debug)]
pub(super) struct Packer {
    /// Sent before each frame at which decoding can start and that has none of its own.
    sps: Vec<Bytes>,
    /// Likewise.
    pps: Vec<Bytes>,
    pub(super) nal_units_dropped: u64,
}

impl Packer {
    pub(super) fn new(config: &h264::Config) -> Self {
        Packer { sps: config.sps.clone(), pps: config.pps.clone(), nal_units_dropped: 0 }
    }

    pub(super) fn pack(
        &mut self,
        frame: &Frame,
        payload_bytes_max: usize,
        out: &mut Pieces,
    ) -> Result<(), Error> {
        let nal_units = self.nal_units(&frame.payload, frame.key)?;
        let mut rest = &nal_units[..];
        while let Some(first) = rest.first() {
            let count = packet_mates(rest, payload_bytes_max);
            let (mates, behind) = rest.split_at(count.max(1));
            match count {
                0 => push_fragments(first, payload_bytes_max, out),
                1 => out.push(&[first]),
                _ => push_aggregate(mates, out),
            }
            rest = behind;
        }
        Ok(())
    }

    /// The NAL units to send for an access unit, with the parameter sets in their place.
    fn nal_units<'a>(
        &'a mut self,
        payload: &'a [u8],
        key: KeyKind,
    ) -> Result<Vec<&'a [u8]>, Error> {
        let mut nal_units = Vec::with_capacity(8);
        let (mut last_sps, mut has_pps) = (None, false);
        for nal in NalUnits::new(payload) {
            let nal = nal?;
            match nal_type(nal) {
                None => continue,
                Some(0 | 24..=31) => self.nal_units_dropped += 1,
                Some(nal_type) => {
                    if nal_type == SPS {
                        last_sps = Some(nal_units.len());
                    }
                    has_pps |= nal_type == PPS;
                    nal_units.push(nal);
                }
            }
        }
        if nal_units.is_empty() {
            return Err(Error::Empty);
        }
        if key.starts() {
            // An access unit delimiter, if there is one, is the first NAL unit of its access
            // unit (ISO/IEC 14496-10 section 7.4.1.2.3). A frame may bring new sets of one kind
            // alone; PPS refer to SPS and come behind them.
            let delimiters = usize::from(nal_type(nal_units[0]) == Some(DELIMITER));
            let sps = if last_sps.is_none() { &self.sps[..] } else { &[] };
            let pps = if has_pps { &[] } else { &self.pps[..] };
            if let Some(set) = sps.iter().chain(pps).find(|set| !is_sendable(set)) {
                return Err(Error::ParameterSet { bytes: set.len() });
            }
            let behind_sps = last_sps.map_or(delimiters, |at| at + 1);
            nal_units.splice(behind_sps..behind_sps, pps.iter().map(|set| &set[..]));
            nal_units.splice(delimiters..delimiters, sps.iter().map(|set| &set[..]));
        }
        Ok(nal_units)
    }
}

/// The NAL units of an access unit in which each stands behind its length in four bytes.
struct NalUnits<'a> {
    payload: &'a [u8],
    at: usize,
}

impl<'a> NalUnits<'a> {
    fn new(payload: &'a [u8]) -> Self {
        NalUnits { payload, at: 0 }
    }
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = Result<&'a [u8], Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.payload.get(self.at..).filter(|rest| !rest.is_empty())?;
        let bytes = self.payload.len();
        let at = self.at;
        let Some((length, behind)) = rest.split_first_chunk::<4>() else {
            self.at = bytes;
            return Some(Err(Error::NalUnit { at, nal_bytes: 0, bytes }));
        };
        let nal_bytes = u32::from_be_bytes(*length) as usize;
        let Some(nal) = behind.get(..nal_bytes) else {
            self.at = bytes;
            return Some(Err(Error::NalUnit { at, nal_bytes, bytes }));
        };
        self.at += 4 + nal_bytes;
        Some(Ok(nal))
    }
}

/// Whether it fits the two bytes of length in an aggregate.
fn is_sendable(set: &Bytes) -> bool {
    (1..=usize::from(u16::MAX)).contains(&set.len())
}

const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

fn nal_type(nal: &[u8]) -> Option<u8> {
    nal.first().map(|header| header & 0x1f)
}

/// How many of the first NAL units go into one packet; 0 when the first alone is too great.
fn packet_mates(nal_units: &[&[u8]], payload_bytes_max: usize) -> usize {
    match nal_units.first() {
        Some(first) if first.len() <= payload_bytes_max => {}
        _ => return 0,
    }
    // One byte of STAP-A header, two of length before each NAL unit (RFC 6184 section 5.7.1).
    let mut bytes = 1;
    let fits = |nal: &&&[u8]| {
        bytes += 2 + nal.len();
        bytes <= payload_bytes_max
    };
    nal_units.iter().take_while(fits).count().max(1)
}

fn push_aggregate(nal_units: &[&[u8]], out: &mut Pieces) {
    let headers = || nal_units.iter().filter_map(|nal| nal.first());
    // The forbidden bit of any, the greatest importance of all (RFC 6184 section 5.7).
    let forbidden = headers().fold(0, |bit, header| bit | (header & 0x80));
    let importance = headers().map(|header| header & 0x60).max().unwrap_or(0);
    let start = out.bytes.len();
    out.bytes.put_u8(forbidden | importance | STAP_A);
    for nal in nal_units {
        let length = u16::try_from(nal.len()).expect("it fits a packet");
        out.bytes.extend_from_slice(&length.to_be_bytes());
        out.bytes.extend_from_slice(nal);
    }
    out.end_piece(start);
}

fn push_fragments(nal: &[u8], payload_bytes_max: usize, out: &mut Pieces) {
    let Some((&header, body)) = nal.split_first() else {
        return;
    };
    let fragments = body.chunks(fragment_bytes(body.len(), payload_bytes_max - 2));
    let last = fragments.len() - 1;
    for (index, fragment) in fragments.enumerate() {
        let start_bit = u8::from(index == 0) << 7;
        let end_bit = u8::from(index == last) << 6;
        let indicator = (header & 0xe0) | FU_A;
        out.push(&[&[indicator, start_bit | end_bit | (header & 0x1f)], fragment]);
    }
}

#[cfg(test)]
pub(in crate::rtp) mod tests {
    use super::super::{PACKET_BYTES_MAX, Packed, Packer, tests::frame};
    use super::*;
    use proptest::prelude::*;
    use weir_media::{Codec, MediaTime, Track, TrackId};

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
        assert_eq!(packed.pieces[..], [super::super::Piece { start: 0, len: 4, marker: true }]);
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
