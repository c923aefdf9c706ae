//! H.265 out of RTP, without decoding order numbers (RFC 7798 section 4.4).

use bytes::Bytes;
use weir_media::Codec;
use weir_media::h265::{Config, NalType, parameter_set_id};

use super::nal::{self, Format, Fragment, Payload};

pub(super) type Depacketiser = nal::Depacketiser<Config>;

pub(super) fn depacketiser() -> Depacketiser {
    Depacketiser::new(Config { vps: Vec::new(), sps: Vec::new(), pps: Vec::new() })
}

impl Format for Config {
    fn codec(&self) -> Option<Codec> {
        let known = !self.vps.is_empty() && !self.sps.is_empty() && !self.pps.is_empty();
        known.then(|| Codec::H265(self.clone()))
    }

    fn take_parameter_set(&mut self, set: &[u8]) -> bool {
        let Some(number) = set_number(set) else {
            return false;
        };
        // As many as numbers can tell apart.
        let sets = match NalType::of(set) {
            NalType::VPS => &mut self.vps,
            NalType::SPS => &mut self.sps,
            _ => &mut self.pps,
        };
        let set = Bytes::copy_from_slice(set);
        match sets.iter().position(|known| set_number(known) == Some(number)) {
            Some(at) => sets[at] = set,
            None => sets.push(set),
        }
        true
    }

    fn read(payload: &[u8]) -> Payload<'_> {
        let [first, second, rest @ ..] = payload else {
            return Payload::Malformed;
        };
        match NalType::of(payload).0 {
            0..AGGREGATION => Payload::NalUnit,
            AGGREGATION => Payload::Aggregate(rest),
            FRAGMENTATION => read_fragment([*first, *second], rest),
            PACI => Payload::Malformed,
            _ => Payload::Ignored,
        }
    }

    fn read_in_aggregate(nal: &[u8]) -> Payload<'_> {
        match NalType::of(nal).0 {
            _ if nal.len() < 2 => Payload::Malformed,
            0..AGGREGATION => Payload::NalUnit,
            AGGREGATION..=PACI => Payload::Malformed,
            _ => Payload::Ignored,
        }
    }

    fn is_slice(nal: &[u8]) -> bool {
        NalType::of(nal).is_slice()
    }

    /// Its first_slice_segment_in_pic_flag is set (ISO/IEC 23008-2 section 7.3.6.1), and its
    /// layer is the base layer, with which an access unit begins.
    fn is_first_of_picture(nal: &[u8]) -> bool {
        matches!(nal, [a, b, first, ..] if a & 1 == 0 && b & 0xf8 == 0 && first & 0x80 != 0)
    }
}

/// Section 4.4.3: the payload header has all of the NAL unit's but its type, which is in the FU
/// header.
fn read_fragment([first, second]: [u8; 2], rest: &[u8]) -> Payload<'_> {
    match rest {
        [fu_header, body @ ..] if fu_header & 0x3f < AGGREGATION => Payload::Fragment(Fragment {
            header: [first & 0x81 | (fu_header & 0x3f) << 1, second],
            header_bytes: 2,
            is_first: fu_header & 0x80 != 0,
            is_last: fu_header & 0x40 != 0,
            body,
        }),
        _ => Payload::Malformed,
    }
}

/// The number of a parameter set that can be used.
fn set_number(set: &[u8]) -> Option<u8> {
    parameter_set_id(set).filter(|_| set.len() <= usize::from(u16::MAX))
}

const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;
/// Payload content information (section 4.4.4).
const PACI: u8 = 50;
