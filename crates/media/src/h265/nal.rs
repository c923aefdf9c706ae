//! NAL units: their types, and what they are to an access unit.

use super::Config;
use crate::KeyKind;
use crate::bits::BitReader;
use crate::nal::{ParameterSets, Role, rbsp, sei_message};

/// The type of a NAL unit (ISO/IEC 23008-2 table 7-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NalType(pub u8);

impl NalType {
    /// A slice of a picture that needs others and that others of its sub-layer may need.
    pub const TRAIL_R: NalType = NalType(1);
    /// A slice of a leading picture that cannot be decoded when decoding starts at the IRAP
    /// picture before it, and that no other picture needs.
    pub const RASL_N: NalType = NalType(8);
    /// Likewise, that others may need.
    pub const RASL_R: NalType = NalType(9);
    /// A slice of a broken link access picture that may have leading pictures; the first IRAP
    /// type.
    pub const BLA_W_LP: NalType = NalType(16);
    /// A slice of a broken link access picture without leading pictures.
    pub const BLA_N_LP: NalType = NalType(18);
    /// A slice of an IDR picture that may have decodable leading pictures.
    pub const IDR_W_RADL: NalType = NalType(19);
    /// A slice of an IDR picture without leading pictures.
    pub const IDR_N_LP: NalType = NalType(20);
    /// A slice of a clean random access picture.
    pub const CRA: NalType = NalType(21);
    /// A video parameter set.
    pub const VPS: NalType = NalType(32);
    /// A sequence parameter set.
    pub const SPS: NalType = NalType(33);
    /// A picture parameter set.
    pub const PPS: NalType = NalType(34);
    /// An access unit delimiter.
    pub const AUD: NalType = NalType(35);
    /// Supplemental enhancement information before the slices.
    pub const PREFIX_SEI: NalType = NalType(39);
    /// Supplemental enhancement information behind the slices.
    pub const SUFFIX_SEI: NalType = NalType(40);

    /// The type of a NAL unit; 63, which is unspecified, for one without a whole header.
    pub fn of(nal: &[u8]) -> Self {
        match nal {
            [first, _, ..] => NalType(first >> 1 & 0x3f),
            _ => NalType(63),
        }
    }

    /// Whether it holds a coded slice segment (types 0 to 31).
    pub fn is_slice(self) -> bool {
        self.0 < 32
    }
}

/// The layer of a NAL unit, nuh_layer_id: 0 but for scalable and multi-view streams.
pub(crate) fn layer_id(nal: &[u8]) -> u8 {
    match nal {
        [first, second, ..] => (first & 1) << 5 | second >> 3,
        _ => 0,
    }
}

/// The recovery_poc_cnt of a recovery point message (ISO/IEC 23008-2 section D.3.8): by how much
/// the picture order count of the first whole picture is greater than that of this one. `None` if
/// this NAL unit is no supplemental enhancement information, or has none.
pub fn recovery_point(nal: &[u8]) -> Option<i32> {
    if NalType::of(nal) != NalType::PREFIX_SEI {
        return None;
    }
    let rbsp = rbsp(nal, HEADER_BYTES);
    BitReader::new("recovery point", sei_message(&rbsp, RECOVERY_POINT)?).se().ok()
}

/// Where decoding can start (ISO/IEC 23008-2 section 8.1.3):
///
/// - IDR and BLA pictures are [`KeyKind::Key`]: what follows is decoded alike however one came
///   there. (A BLA picture's RASL pictures are never shown.)
/// - CRA pictures are [`KeyKind::Recovery`]: whoever starts there does not get their RASL
///   pictures, which others get. Whether a CRA picture has any cannot be told from its own access
///   unit.
/// - Any other access unit with a recovery point message is [`KeyKind::Recovery`].
///
/// Parameter sets and pictures of higher layers are no matter for a decoder of the base layer:
/// they are passed on as they are.
impl ParameterSets for Config {
    fn role(&self, nal: &[u8]) -> Role {
        if layer_id(nal) != 0 {
            return Role::Other;
        }
        let known = match NalType::of(nal) {
            NalType::AUD => return Role::Delimiter,
            NalType::CRA => return Role::Start(KeyKind::Recovery),
            kind if (NalType::BLA_W_LP..=NalType::IDR_N_LP).contains(&kind) => {
                return Role::Start(KeyKind::Key);
            }
            NalType::PREFIX_SEI if recovery_point(nal).is_some() => {
                return Role::Start(KeyKind::Recovery);
            }
            NalType::VPS => &self.vps,
            NalType::SPS => &self.sps,
            NalType::PPS => &self.pps,
            _ => return Role::Other,
        };
        if known.iter().any(|set| set == nal) { Role::KnownSet } else { Role::NewSet }
    }
}

/// nal_unit_header (section 7.3.1.2).
pub(crate) const HEADER_BYTES: usize = 2;
const RECOVERY_POINT: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h265::tests::config;
    use crate::nal::AccessUnit;

    fn key(nals: &[&[u8]]) -> KeyKind {
        AccessUnit::from_nals(&config(), nals.iter().copied()).key
    }

    #[test]
    fn idr_and_bla_pictures_are_keys_and_cra_pictures_recovery_points() {
        let slice = |nal_type: u8| [nal_type << 1, 1, 0x80];
        for nal_type in 0..32 {
            let expected = match nal_type {
                16..=20 => KeyKind::Key,
                21 => KeyKind::Recovery,
                _ => KeyKind::Delta,
            };
            assert_eq!(key(&[&slice(nal_type)]), expected, "{nal_type}");
        }
        // A recovery point message does not make less of an IDR picture; nor a CRA picture of a
        // higher layer anything of a delta picture.
        let message = [39 << 1, 1, 6, 1, 0xd0, 0x80];
        assert_eq!(key(&[&message, &slice(1)]), KeyKind::Recovery);
        assert_eq!(key(&[&message, &slice(20)]), KeyKind::Key);
        assert_eq!(key(&[&slice(1), &[21 << 1, 9, 0x80]]), KeyKind::Delta);
    }

    #[test]
    fn known_parameter_sets_and_delimiters_are_left_out() {
        let config = config();
        let idr = [0x26, 1, 0xaf];
        let delimiter = [0x46, 1, 0x50];
        let sets = [&config.vps[0][..], &config.sps[0], &config.pps[0]];
        let nals = [&[&delimiter[..]], &sets[..], &[&idr[..]]].concat();
        let unit = AccessUnit::from_nals(&config, nals.into_iter());
        assert_eq!(unit.payload[..], [0, 0, 0, 3, 0x26, 1, 0xaf]);
        assert!(unit.new_parameter_sets.is_empty());
        let other = [0x44, 1, 0xc0];
        let unit = AccessUnit::from_nals(&config, [&other[..], &idr].into_iter());
        assert_eq!(unit.new_parameter_sets, [&other[..]]);
        assert_eq!(unit.payload.len(), 14);
    }
}
