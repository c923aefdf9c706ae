//! H.264 out of RTP, packetization modes 0 and 1 (RFC 6184 section 5).

use bytes::Bytes;
use weir_media::Codec;
use weir_media::h264::{Config, NalType};

use super::nal::{self, Format, Fragment, Payload};

pub(super) type Depacketiser = nal::Depacketiser<Config>;

pub(super) fn depacketiser() -> Depacketiser {
    Depacketiser::new(Config { sps: Vec::new(), pps: Vec::new() })
}

impl Format for Config {
    fn codec(&self) -> Option<Codec> {
        let known = !self.sps.is_empty() && !self.pps.is_empty();
        known.then(|| Codec::H264(self.clone()))
    }

    fn take_parameter_set(&mut self, set: &[u8]) -> bool {
        let Some(number) = set_number(set) else {
            return false;
        };
        let sets = match NalType::of(set) {
            NalType::SPS => &mut self.sps,
            _ => &mut self.pps,
        };
        let set = Bytes::copy_from_slice(set);
        match sets.iter().position(|known| set_number(known) == Some(number)) {
            Some(at) => sets[at] = set,
            None if sets.len() < SETS_MAX => sets.push(set),
            None => return false,
        }
        true
    }

    fn read(payload: &[u8]) -> Payload<'_> {
        match payload {
            [header, rest @ ..] => match header & 0x1f {
                1..=23 => Payload::NalUnit,
                STAP_A => Payload::Aggregate(rest),
                FU_A => read_fragment(*header, rest),
                25..=27 | 29 => Payload::Malformed,
                _ => Payload::Ignored,
            },
            [] => Payload::Ignored,
        }
    }

    fn read_in_aggregate(nal: &[u8]) -> Payload<'_> {
        match NalType::of(nal).0 {
            1..=23 => Payload::NalUnit,
            0 | 30 | 31 => Payload::Ignored,
            _ => Payload::Malformed,
        }
    }

    fn is_slice(nal: &[u8]) -> bool {
        NalType::of(nal).is_slice()
    }

    /// Its first_mb_in_slice is 0, one set bit (ISO/IEC 14496-10 section 7.3.3). Not known of the
    /// data partitions B and C.
    fn is_first_of_picture(nal: &[u8]) -> bool {
        matches!(nal, [header, first, ..] if matches!(header & 0x1f, 1 | 2 | 5) && first & 0x80 != 0)
    }
}

/// Section 5.8: the indicator has the importance, the FU header the type.
fn read_fragment(indicator: u8, rest: &[u8]) -> Payload<'_> {
    match rest {
        [fu_header, body @ ..] if (1..=23).contains(&(fu_header & 0x1f)) => {
            Payload::Fragment(Fragment {
                header: [indicator & 0xe0 | fu_header & 0x1f, 0],
                header_bytes: 1,
                is_first: fu_header & 0x80 != 0,
                is_last: fu_header & 0x40 != 0,
                body,
            })
        }
        _ => Payload::Malformed,
    }
}

/// The number of a parameter set that can be used: seq_parameter_set_id behind profile, flags and
/// level, or pic_parameter_set_id. No emulation prevention byte comes before either.
fn set_number(set: &[u8]) -> Option<u32> {
    let (numbered, max) = match NalType::of(set) {
        NalType::SPS => (set.get(4..)?, 31),
        NalType::PPS => (set.get(1..)?, 255),
        _ => return None,
    };
    if set.len() > usize::from(u16::MAX) {
        return None;
    }
    let word = numbered.iter().take(4).fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    let word = (word << (8 * (4 - numbered.len().min(4)))) as u32;
    // An unsigned Exp-Golomb code (section 9.1) of at most 17 bits.
    let zeros = word.leading_zeros();
    let code = (zeros <= 8).then(|| (word >> (31 - 2 * zeros)) - 1)?;
    (code <= max).then_some(code)
}

const STAP_A: u8 = 24;
const FU_A: u8 = 28;
/// Parameter sets of each kind that are kept: as many SPS as an AVCDecoderConfigurationRecord
/// holds.
const SETS_MAX: usize = 31;
