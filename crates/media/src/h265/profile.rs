//! Profile, tier and level.

use core::fmt::Write;

use bytes::{BufMut, BytesMut};

use crate::{Error, bits::BitReader};

/// The general part of profile_tier_level (ISO/IEC 23008-2 section 7.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// general_profile_space, 0 to 3.
    pub space: u8,
    /// general_tier_flag: the High tier, else the Main tier.
    pub high_tier: bool,
    /// general_profile_idc: 1 Main, 2 Main 10.
    pub profile_idc: u8,
    /// general_profile_compatibility_flag of profile 0 in the highest bit, and so on.
    pub compatibility_flags: u32,
    /// The six bytes from general_progressive_source_flag on.
    pub constraint_flags: [u8; 6],
    /// general_level_idc: 93 is level 3.1.
    pub level_idc: u8,
}

impl Profile {
    /// Reads profile_tier_level with general profile, of a set with so many sub-layers less one.
    pub(super) fn read(r: &mut BitReader<'_>, sub_layers_less_one: u8) -> Result<Self, Error> {
        let space = r.bits(2)? as u8;
        let high_tier = r.flag()?;
        let profile_idc = r.bits(5)? as u8;
        let compatibility_flags = r.bits(32)?;
        let mut constraint_flags = [0; 6];
        for byte in &mut constraint_flags {
            *byte = r.bits(8)? as u8;
        }
        let level_idc = r.bits(8)? as u8;
        let mut sub_layers = [(false, false); 8];
        let present = sub_layers.get_mut(..usize::from(sub_layers_less_one)).unwrap_or_default();
        for (has_profile, has_level) in &mut *present {
            (*has_profile, *has_level) = (r.flag()?, r.flag()?);
        }
        if sub_layers_less_one > 0 {
            r.skip(2 * usize::from(8 - sub_layers_less_one.min(8)))?;
        }
        for (has_profile, has_level) in present {
            r.skip(88 * usize::from(*has_profile) + 8 * usize::from(*has_level))?;
        }
        Ok(Profile {
            space,
            high_tier,
            profile_idc,
            compatibility_flags,
            constraint_flags,
            level_idc,
        })
    }

    /// Writes the twelve bytes as the bit stream and the decoder configuration record have them.
    pub(super) fn put(&self, out: &mut BytesMut) {
        out.put_u8(self.space << 6 | u8::from(self.high_tier) << 5 | self.profile_idc);
        out.put_u32(self.compatibility_flags);
        out.put_slice(&self.constraint_flags);
        out.put_u8(self.level_idc);
    }

    /// What stands behind the sample entry's name in a codec string (ISO/IEC 14496-15 annex E):
    /// `1.6.L93.B0`.
    pub fn codec_string(&self) -> String {
        let mut text = ["", "A", "B", "C"][usize::from(self.space & 3)].to_owned();
        let tier = if self.high_tier { 'H' } else { 'L' };
        let Profile { profile_idc, level_idc, .. } = self;
        // The flags count from the lowest bit there.
        let flags = self.compatibility_flags.reverse_bits();
        write!(text, "{profile_idc}.{flags:X}.{tier}{level_idc}").expect("strings take all");
        let bytes = self.constraint_flags.iter().rposition(|&byte| byte != 0).map_or(0, |n| n + 1);
        for byte in self.constraint_flags.iter().take(bytes) {
            write!(text, ".{byte:X}").expect("strings take all");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codec_strings_are_those_of_the_specification() {
        let main = Profile {
            space: 0,
            high_tier: false,
            profile_idc: 1,
            compatibility_flags: 0x6000_0000,
            constraint_flags: [0xb0, 0, 0, 0, 0, 0],
            level_idc: 93,
        };
        assert_eq!(main.codec_string(), "1.6.L93.B0");
        let other = Profile {
            space: 1,
            high_tier: true,
            profile_idc: 4,
            compatibility_flags: 0x0800_0000,
            constraint_flags: [0xbd, 0, 8, 0, 0, 0],
            level_idc: 120,
        };
        assert_eq!(other.codec_string(), "A4.10.H120.BD.0.8");
    }
}
