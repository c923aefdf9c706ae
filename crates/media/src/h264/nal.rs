//! NAL units: their types, and what they are to an access unit.

use super::Config;
use crate::KeyKind;
use crate::bits::BitReader;
use crate::nal::{ParameterSets, Role, rbsp, sei_message};

/// The type of a NAL unit (ISO/IEC 14496-10 table 7-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NalType(pub u8);

impl NalType {
    /// A slice of a picture that needs others.
    pub const SLICE: NalType = NalType(1);
    /// A slice of an IDR picture.
    pub const IDR: NalType = NalType(5);
    /// Supplemental enhancement information.
    pub const SEI: NalType = NalType(6);
    /// A sequence parameter set.
    pub const SPS: NalType = NalType(7);
    /// A picture parameter set.
    pub const PPS: NalType = NalType(8);
    /// An access unit delimiter.
    pub const AUD: NalType = NalType(9);
    /// Filler data.
    pub const FILLER: NalType = NalType(12);

    /// The type of a NAL unit; 0, which is unspecified, for one without bytes.
    pub fn of(nal: &[u8]) -> Self {
        NalType(nal.first().copied().unwrap_or(0) & 31)
    }

    /// Whether it holds coded slice data (types 1 to 5).
    pub fn is_slice(self) -> bool {
        (1..=5).contains(&self.0)
    }
}

/// The recovery_frame_cnt of a recovery point message (ISO/IEC 14496-10 section D.2.8): in how
/// many frames a decoder that starts here shows whole pictures. `None` if this NAL unit is no
/// supplemental enhancement information, or has none.
pub fn recovery_point(nal: &[u8]) -> Option<u32> {
    if NalType::of(nal) != NalType::SEI {
        return None;
    }
    let rbsp = rbsp(nal, 1);
    BitReader::new("recovery point", sei_message(&rbsp, RECOVERY_POINT)?).ue().ok()
}

impl ParameterSets for Config {
    fn role(&self, nal: &[u8]) -> Role {
        let known = match NalType::of(nal) {
            NalType::AUD => return Role::Delimiter,
            NalType::IDR => return Role::Start(KeyKind::Key),
            NalType::SEI if recovery_point(nal).is_some() => return Role::Start(KeyKind::Recovery),
            NalType::SPS => &self.sps,
            NalType::PPS => &self.pps,
            _ => return Role::Other,
        };
        if known.iter().any(|set| set == nal) { Role::KnownSet } else { Role::NewSet }
    }
}

const RECOVERY_POINT: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_point_is_found_behind_other_messages() {
        // A user data message of 3 bytes, then recovery_frame_cnt 0.
        assert_eq!(recovery_point(&[6, 5, 3, 1, 2, 3, 6, 1, 0xc4, 0x80]), Some(0));
        assert_eq!(recovery_point(&[6, 5, 3, 1, 2, 3, 0x80]), None);
        assert_eq!(recovery_point(&[0x65, 6, 1, 0xc4, 0x80]), None);
    }
}
