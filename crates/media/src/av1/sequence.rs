//! The sequence header.

use crate::{Error, bits::BitReader};

/// What a sequence header says (section 5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceHeader {
    /// max_frame_width_minus_1 and one.
    pub width: u32,
    /// max_frame_height_minus_1 and one.
    pub height: u32,
    /// seq_profile: 0 Main, 1 High, 2 Professional.
    pub profile: u8,
    /// seq_level_idx of the first operating point: 8 is level 4.0.
    pub level: u8,
    /// seq_tier of the first operating point: the High tier, else the Main tier.
    pub high_tier: bool,
    /// Bits a sample: 8, 10 or 12.
    pub bit_depth: u8,
    /// mono_chrome: there is no chroma.
    pub monochrome: bool,
    /// subsampling_x and subsampling_y.
    pub subsampling: (bool, bool),
    /// chroma_sample_position.
    pub chroma_sample_position: u8,
}

impl SequenceHeader {
    /// Reads one, without the header of its open bitstream unit.
    pub fn read(data: &[u8]) -> Result<Self, Error> {
        let mut r = BitReader::new(SEQUENCE, data);
        let profile = r.bits(3)? as u8;
        if profile > 2 {
            return Err(Error::unsupported(SEQUENCE, format!("seq_profile {profile}")));
        }
        r.skip(1)?;
        let is_reduced = r.flag()?;
        let (level, high_tier) =
            if is_reduced { (r.bits(5)? as u8, false) } else { read_operating_points(&mut r)? };
        let (width_bits, height_bits) = (r.bits(4)? + 1, r.bits(4)? + 1);
        let (width, height) = (r.bits(width_bits)? + 1, r.bits(height_bits)? + 1);
        skip_tools(&mut r, is_reduced)?;
        let color = Color::read(&mut r, profile)?;
        Ok(SequenceHeader {
            width,
            height,
            profile,
            level,
            high_tier,
            bit_depth: color.bit_depth,
            monochrome: color.monochrome,
            subsampling: color.subsampling,
            chroma_sample_position: color.chroma_sample_position,
        })
    }

    /// The third byte of a configuration record (AV1 in ISO BMFF, section 2.3.3).
    pub(super) fn record_flags(&self) -> u8 {
        u8::from(self.high_tier) << 7
            | u8::from(self.bit_depth > 8) << 6
            | u8::from(self.bit_depth > 10) << 5
            | u8::from(self.monochrome) << 4
            | u8::from(self.subsampling.0) << 3
            | u8::from(self.subsampling.1) << 2
            | self.chroma_sample_position
    }

    /// Width and height, as containers state them.
    pub(super) fn size(&self) -> Result<(u16, u16), Error> {
        let side = |pixels: u32| {
            u16::try_from(pixels)
                .map_err(|_| Error::unsupported(SEQUENCE, format!("a side of {pixels} pixels")))
        };
        Ok((side(self.width)?, side(self.height)?))
    }
}

/// From timing_info_present_flag on: level and tier of the first operating point.
fn read_operating_points(r: &mut BitReader<'_>) -> Result<(u8, bool), Error> {
    let mut delay_bits = None;
    if r.flag()? {
        r.skip(64)?;
        // equal_picture_interval
        if r.flag()? {
            r.ue()?;
        }
        if r.flag()? {
            delay_bits = Some(r.bits(5)? as usize + 1);
            r.skip(32 + 5 + 5)?;
        }
    }
    let has_display_delay = r.flag()?;
    let mut first = None;
    for _ in 0..=r.bits(5)? {
        r.skip(12)?;
        let level = r.bits(5)? as u8;
        let high_tier = level > 7 && r.flag()?;
        first.get_or_insert((level, high_tier));
        if let Some(bits) = delay_bits
            && r.flag()?
        {
            r.skip(2 * bits + 1)?;
        }
        if has_display_delay && r.flag()? {
            r.skip(4)?;
        }
    }
    Ok(first.unwrap_or((0, false)))
}

/// From frame_id_numbers_present_flag to enable_restoration.
fn skip_tools(r: &mut BitReader<'_>, is_reduced: bool) -> Result<(), Error> {
    if !is_reduced && r.flag()? {
        r.skip(4 + 3)?;
    }
    r.skip(3)?;
    if !is_reduced {
        r.skip(4)?;
        let has_order_hint = r.flag()?;
        if has_order_hint {
            r.skip(2)?;
        }
        // seq_choose_screen_content_tools, seq_force_screen_content_tools
        let may_have_screen_content = r.flag()? || r.flag()?;
        // seq_choose_integer_mv, seq_force_integer_mv
        if may_have_screen_content && !r.flag()? {
            r.skip(1)?;
        }
        if has_order_hint {
            r.skip(3)?;
        }
    }
    r.skip(3)
}

/// Section 5.5.2.
struct Color {
    bit_depth: u8,
    monochrome: bool,
    subsampling: (bool, bool),
    chroma_sample_position: u8,
}

impl Color {
    fn read(r: &mut BitReader<'_>, profile: u8) -> Result<Self, Error> {
        let is_high = r.flag()?;
        let bit_depth = match (is_high, profile) {
            (false, _) => 8,
            (true, 2) if r.flag()? => 12,
            _ => 10,
        };
        let monochrome = profile != 1 && r.flag()?;
        let description = if r.flag()? { r.bits(24)? } else { UNSPECIFIED };
        let mut color =
            Color { bit_depth, monochrome, subsampling: (true, true), chroma_sample_position: 0 };
        if monochrome {
            return Ok(color);
        }
        if description == SRGB {
            color.subsampling = (false, false);
            return Ok(color);
        }
        // color_range
        r.skip(1)?;
        color.subsampling = match (profile, bit_depth) {
            (0, _) => (true, true),
            (1, _) => (false, false),
            (_, 12) => {
                let across = r.flag()?;
                (across, across && r.flag()?)
            }
            _ => (true, false),
        };
        if color.subsampling == (true, true) {
            color.chroma_sample_position = r.bits(2)? as u8;
        }
        Ok(color)
    }
}

const SEQUENCE: &str = "AV1 sequence header";
/// Primaries, transfer and matrix, each a byte.
const UNSPECIFIED: u32 = 0x02_02_02;
/// CP_BT_709, TC_SRGB, MC_IDENTITY.
const SRGB: u32 = 0x01_0d_00;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_by_svt_av1_reads() {
        let data = [0x00, 0x00, 0x00, 0x04, 0x3c, 0xfe, 0xcc, 0x02, 0xf8, 0x00, 0x40];
        let header = SequenceHeader::read(&data).unwrap();
        assert_eq!((header.width, header.height), (320, 180));
        assert_eq!((header.profile, header.level, header.high_tier), (0, 0, false));
        assert_eq!((header.bit_depth, header.subsampling), (8, (true, true)));
        for len in 0..9 {
            assert!(SequenceHeader::read(&data[..len]).is_err(), "{len}");
        }
    }
}
