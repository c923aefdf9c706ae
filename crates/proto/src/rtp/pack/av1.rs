//! AV1 into RTP (RTP Payload Format For AV1, version 1.0).

use bytes::{BufMut, BytesMut};
use weir_media::av1::{Config, Obu, ObuType, Obus, put_leb128};
use weir_media::{Frame, KeyKind};

use super::{Error, Pieces, fragment_bytes};

/// Packs temporal units: their open bitstream units one behind the other, without sizes, cut into
/// packets that are equal in size but the last.
#[derive(Clone, Debug)]
pub(super) struct Packer {
    config: Config,
}

impl Packer {
    pub(super) fn new(config: &Config) -> Self {
        Packer { config: config.clone() }
    }

    pub(super) fn pack(
        &self,
        frame: &Frame,
        payload_bytes_max: usize,
        out: &mut Pieces,
    ) -> Result<(), Error> {
        let elements = self.elements(frame)?;
        let bytes: usize = elements.iter().map(|element| with_length(element.len())).sum();
        let target = 1 + fragment_bytes(bytes, payload_bytes_max - 1);
        let starts_sequence = frame.key == KeyKind::Key;
        let mut cursor = Cursor { elements: &elements, at: 0 };
        let mut is_first = true;
        while !cursor.elements.is_empty() {
            let start = out.bytes.len();
            out.bytes.put_u8(0);
            let continues = cursor.at > 0;
            let count = cursor.fill(target - 1, &mut out.bytes);
            let breaks_off = cursor.at > 0;
            out.bytes[start] = u8::from(continues) << 7
                | u8::from(breaks_off) << 6
                | count << 4
                | u8::from(is_first && starts_sequence) << 3;
            out.end_piece(start);
            is_first = false;
        }
        Ok(())
    }

    /// The open bitstream units to send, of a frame at which decoding can start with a sequence
    /// header; without those that section 5 keeps out of packets, and without filling.
    fn elements<'a>(&'a self, frame: &'a Frame) -> Result<Vec<Element<'a>>, Error> {
        let mut elements = Vec::with_capacity(4);
        let mut has_sequence = false;
        for obu in Obus::new(&frame.payload) {
            let obu = obu.map_err(|_| Error::Obu { bytes: frame.payload.len() })?;
            has_sequence |= obu.obu_type == ObuType::SEQUENCE_HEADER;
            if !matches!(
                obu.obu_type,
                ObuType::TEMPORAL_DELIMITER | ObuType::TILE_LIST | ObuType::PADDING
            ) {
                elements.push(Element::new(obu));
            }
        }
        if elements.is_empty() {
            return Err(Error::Empty);
        }
        let sequence = self.config.sequence_header();
        if frame.key.starts() && !has_sequence && !sequence.is_empty() {
            let obu_type = ObuType::SEQUENCE_HEADER;
            elements.insert(0, Element::new(Obu { obu_type, extension: None, payload: sequence }));
        }
        Ok(elements)
    }
}

/// An open bitstream unit without size.
struct Element<'a> {
    header: [u8; 2],
    header_bytes: usize,
    payload: &'a [u8],
}

impl<'a> Element<'a> {
    fn new(obu: Obu<'a>) -> Self {
        let (header, header_bytes) = obu.header(false);
        Element { header, header_bytes, payload: obu.payload }
    }

    fn len(&self) -> usize {
        self.header_bytes + self.payload.len()
    }

    /// Writes `bytes` of it from byte `at` on.
    fn put(&self, at: usize, bytes: usize, out: &mut BytesMut) {
        let header = self.header.get(at.min(self.header_bytes)..self.header_bytes).unwrap_or(&[]);
        let header = header.get(..bytes).unwrap_or(header);
        let start = at.saturating_sub(self.header_bytes);
        let end = (at + bytes).saturating_sub(self.header_bytes);
        out.extend_from_slice(header);
        out.extend_from_slice(self.payload.get(start..end).unwrap_or(&[]));
    }
}

/// What is not packed yet.
struct Cursor<'a> {
    elements: &'a [Element<'a>],
    /// Where the first element goes on.
    at: usize,
}

impl Cursor<'_> {
    /// Puts elements, or parts of them, into a packet with room for `space` bytes; how many. The
    /// last one reaches to the packet's end and is without length (section 4.4).
    fn fill(&mut self, mut space: usize, out: &mut BytesMut) -> u8 {
        let mut count = 0;
        while let Some(element) = self.elements.first() {
            count += 1;
            let left = element.len() - self.at;
            // With room behind it for the next, or a part of it that is worth it.
            let next = self.elements.get(1).filter(|_| count < ELEMENTS_MAX);
            let room = next.map(|next| with_length(left) + next.len().min(PART_BYTES_MIN));
            if room.is_none_or(|room| room > space) {
                let bytes = left.min(space);
                element.put(self.at, bytes, out);
                self.advance(bytes, left);
                return count;
            }
            let before = out.len();
            put_leb128(out, left);
            element.put(self.at, left, out);
            space -= out.len() - before;
            self.advance(left, left);
        }
        count
    }

    fn advance(&mut self, bytes: usize, left: usize) {
        if bytes < left {
            self.at += bytes;
            return;
        }
        self.at = 0;
        self.elements = self.elements.get(1..).unwrap_or(&[]);
    }
}

/// So many bytes behind their number.
fn with_length(bytes: usize) -> usize {
    let length_bytes = (usize::BITS - bytes.leading_zeros()).div_ceil(7).max(1);
    bytes + length_bytes as usize
}

/// As many as the header can count, so that the last is without length.
const ELEMENTS_MAX: u8 = 3;
const PART_BYTES_MIN: usize = 8;

#[cfg(test)]
pub(in crate::rtp) mod tests {
    use super::super::{PACKET_BYTES_MAX, Packed, Packer, tests::frame};
    use bytes::BytesMut;
    use weir_media::av1::{Config, Obu, ObuType};
    use weir_media::{Codec, KeyKind, MediaTime, Track, TrackId};

    /// The sequence header of a stream by libaom.
    pub(in crate::rtp) const SEQUENCE: [u8; 11] =
        [0x00, 0x00, 0x00, 0x04, 0x3c, 0xfe, 0xcc, 0xda, 0xf9, 0x00, 0x40];

    pub(in crate::rtp) fn track() -> Track {
        let codec = Codec::Av1(Config::from_sequence_header(&SEQUENCE).unwrap());
        Track { id: TrackId(0), codec, clock_rate_hz: 1_000 }
    }

    /// Open bitstream units of these types and payloads.
    pub(in crate::rtp) fn temporal_unit(obus: &[(ObuType, Vec<u8>)]) -> Vec<u8> {
        let mut out = BytesMut::new();
        for (obu_type, payload) in obus {
            Obu { obu_type: *obu_type, extension: None, payload }.put(&mut out);
        }
        out.to_vec()
    }

    fn pack(key: KeyKind, obus: &[(ObuType, Vec<u8>)]) -> Packed {
        let mut packer = Packer::new(&track(), PACKET_BYTES_MAX).unwrap();
        packer.pack(&frame(key, MediaTime::ZERO, temporal_unit(obus))).unwrap()
    }

    #[test]
    fn a_small_frame_is_one_element_without_length_and_size() {
        let packed = pack(KeyKind::Delta, &[(ObuType::FRAME, vec![0x30, 1, 2])]);
        assert_eq!(&packed.bytes[..], [0x10, 0x30, 0x30, 1, 2]);
        assert!(packed.pieces[0].marker);
    }

    #[test]
    fn a_key_frame_comes_behind_a_sequence_header() {
        let frame = (ObuType::FRAME, vec![0x10, 1, 2]);
        let packed = pack(KeyKind::Key, std::slice::from_ref(&frame));
        assert_eq!(packed.bytes[..3], [0x28, 12, 0x08]);
        assert_eq!(packed.bytes[14..], [0x30, 0x10, 1, 2]);
        let sequence = (ObuType::SEQUENCE_HEADER, SEQUENCE.to_vec());
        let delimiter = (ObuType::TEMPORAL_DELIMITER, vec![]);
        let padding = (ObuType::PADDING, vec![0; 9]);
        assert_eq!(pack(KeyKind::Key, &[delimiter, sequence, padding, frame]).bytes, packed.bytes);
    }

    #[test]
    fn a_great_frame_is_cut_into_equal_packets() {
        for bytes in [1_385, 1_386, 1_387, 1_388, 4_000, 100_000] {
            let packed = pack(KeyKind::Delta, &[(ObuType::FRAME, vec![0x30; bytes])]);
            assert_eq!(packed.trains(0, usize::MAX).count(), 1, "{bytes}");
            let heads: Vec<_> = packed.pieces.iter().map(|p| packed.payload(*p)[0]).collect();
            let last = heads.len() - 1;
            for (index, head) in heads.into_iter().enumerate() {
                let expected = 0x10 | u8::from(index > 0) << 7 | u8::from(index < last) << 6;
                assert_eq!(head, expected, "{bytes}");
            }
        }
        let key = pack(KeyKind::Key, &[(ObuType::FRAME, vec![0x10; 4_000])]);
        assert_eq!(key.trains(0, usize::MAX).count(), 1);
        assert_eq!(key.bytes[0], 0x68);
    }

    #[test]
    fn at_most_three_elements_share_a_packet() {
        let tiles = vec![(ObuType::TILE_GROUP, vec![0x20; 20]); 7];
        let packed = pack(KeyKind::Delta, &tiles);
        let heads: Vec<_> = packed.pieces.iter().map(|p| packed.payload(*p)[0]).collect();
        assert_eq!(heads, [0x30, 0x30, 0x10]);
    }
}
