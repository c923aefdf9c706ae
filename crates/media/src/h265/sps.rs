//! The sequence parameter set, as far as weir looks into it.

use super::nal::{HEADER_BYTES, NalType};
use super::profile::Profile;
use crate::{Error, Look, bits::BitReader, nal::rbsp};

/// What a sequence parameter set says of the pictures (ISO/IEC 23008-2 section 7.3.2.2).
#[derive(Clone, Debug, PartialEq)]
pub struct PictureInfo {
    /// Width in luma samples, within the conformance window.
    pub width: u32,
    /// Height in luma samples, within the conformance window.
    pub height: u32,
    /// Profile, tier and level.
    pub profile: Profile,
    /// sps_max_sub_layers_minus1 and one: 1 to 7.
    pub temporal_layers: u8,
    /// sps_temporal_id_nesting_flag.
    pub temporal_id_nesting: bool,
    /// chroma_format_idc: 1 is 4:2:0.
    pub chroma_format_idc: u8,
    /// Bits of a luma sample.
    pub bit_depth_luma: u8,
    /// Bits of a chroma sample.
    pub bit_depth_chroma: u8,
    /// Pictures a second, if the usability information says so.
    pub frame_rate: Option<f64>,
    /// How many pictures may precede a picture in decoding order and follow it in presentation:
    /// sps_max_num_reorder_pics of the highest sub-layer.
    pub reorder_depth: u8,
    /// How they are meant to be seen.
    pub look: Look,
}

impl PictureInfo {
    /// Reads a sequence parameter set: a NAL unit without start code or length. Damage behind the
    /// fields that a decoder configuration needs is passed over: what stands behind it counts as
    /// not said.
    pub fn from_sps(sps: &[u8]) -> Result<Self, Error> {
        if NalType::of(sps) != NalType::SPS {
            let reason = format!("NAL unit type 33 expected, {} came", NalType::of(sps).0);
            return Err(Error::syntax(SPS, 0, reason));
        }
        let rbsp = rbsp(sps, HEADER_BYTES);
        read_sps(&mut BitReader::new(SPS, &rbsp))
    }
}

fn read_sps(r: &mut BitReader<'_>) -> Result<PictureInfo, Error> {
    r.skip(4)?;
    let sub_layers_less_one = r.bits(3)? as u8;
    if sub_layers_less_one > 6 {
        return Err(Error::syntax(SPS, 0, "sps_max_sub_layers_minus1 is 7, at most 6 is allowed"));
    }
    let temporal_id_nesting = r.flag()?;
    let profile = Profile::read(r, sub_layers_less_one)?;
    bounded(r, "sps_seq_parameter_set_id", 15)?;
    let chroma_format_idc = bounded(r, "chroma_format_idc", 3)? as u8;
    let separate_planes = chroma_format_idc == 3 && r.flag()?;
    let (width, height) = read_size(r, if separate_planes { 0 } else { chroma_format_idc })?;
    let bit_depth_luma = 8 + bounded(r, "bit_depth_luma_minus8", 8)? as u8;
    let bit_depth_chroma = 8 + bounded(r, "bit_depth_chroma_minus8", 8)? as u8;
    let poc_lsb_bits = 4 + bounded(r, "log2_max_pic_order_cnt_lsb_minus4", 12)?;
    let reorder_depth = skip_sub_layer_ordering(r, sub_layers_less_one)?;
    // Reads on as far as it goes: see `from_sps`.
    let mut look = Look::default();
    let frame_rate = read_frame_rate(r, poc_lsb_bits, &mut look).unwrap_or(None);
    Ok(PictureInfo {
        width,
        height,
        profile,
        temporal_layers: sub_layers_less_one + 1,
        temporal_id_nesting,
        chroma_format_idc,
        bit_depth_luma,
        bit_depth_chroma,
        frame_rate,
        reorder_depth,
        look,
    })
}

/// The picture's size and its conformance window.
fn read_size(r: &mut BitReader<'_>, chroma_array_type: u8) -> Result<(u32, u32), Error> {
    let width = bounded(r, "pic_width_in_luma_samples", SIDE_MAX)?;
    let height = bounded(r, "pic_height_in_luma_samples", SIDE_MAX)?;
    let at = r.at_byte();
    let (mut cut_x, mut cut_y) = (0, 0);
    if r.flag()? {
        let [left, right, top, bottom] = [r.ue()?, r.ue()?, r.ue()?, r.ue()?].map(u64::from);
        // SubWidthC and SubHeightC (table 6-1).
        cut_x = (left + right) * if matches!(chroma_array_type, 1 | 2) { 2 } else { 1 };
        cut_y = (top + bottom) * if chroma_array_type == 1 { 2 } else { 1 };
    }
    if cut_x >= u64::from(width) || cut_y >= u64::from(height) {
        let reason = format!(
            "a conformance window of {cut_x}x{cut_y} less leaves nothing of {width}x{height}"
        );
        return Err(Error::syntax(SPS, at, reason));
    }
    Ok((width - cut_x as u32, height - cut_y as u32))
}

/// Passes over what each sub-layer asks of the decoded picture buffer, which the sequence and the
/// video parameter set state alike, but for max_num_reorder_pics of the highest.
pub(super) fn skip_sub_layer_ordering(
    r: &mut BitReader<'_>,
    sub_layers_less_one: u8,
) -> Result<u8, Error> {
    let first = if r.flag()? { 0 } else { sub_layers_less_one };
    let mut reorder_depth = 0;
    for _ in first..=sub_layers_less_one {
        r.ue()?;
        reorder_depth = bounded(r, "max_num_reorder_pics", 16)? as u8;
        r.ue()?;
    }
    Ok(reorder_depth)
}

/// From log2_min_luma_coding_block_size_minus3 to the timing of the usability information.
fn read_frame_rate(
    r: &mut BitReader<'_>,
    poc_lsb_bits: u32,
    look: &mut Look,
) -> Result<Option<f64>, Error> {
    for _ in 0..6 {
        r.ue()?;
    }
    // scaling_list_enabled_flag, sps_scaling_list_data_present_flag
    if r.flag()? && r.flag()? {
        skip_scaling_lists(r)?;
    }
    r.skip(2)?;
    if r.flag()? {
        r.skip(8)?;
        r.ue()?;
        r.ue()?;
        r.flag()?;
    }
    skip_reference_sets(r)?;
    if r.flag()? {
        for _ in 0..bounded(r, "num_long_term_ref_pics_sps", 32)? {
            r.skip(poc_lsb_bits as usize + 1)?;
        }
    }
    r.skip(2)?;
    if !r.flag()? {
        return Ok(None);
    }
    read_usability_timing(r, look)
}

/// Section 7.3.4.
fn skip_scaling_lists(r: &mut BitReader<'_>) -> Result<(), Error> {
    for size in 0..4 {
        for _ in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            if !r.flag()? {
                r.ue()?;
                continue;
            }
            if size > 1 {
                r.se()?;
            }
            for _ in 0..64.min(1 << (4 + 2 * size)) {
                r.se()?;
            }
        }
    }
    Ok(())
}

/// The pictures that a short-term reference picture set names, by their distance: those before,
/// and those after.
#[derive(Clone, Default)]
struct ReferenceSet {
    before: Vec<i64>,
    after: Vec<i64>,
}

/// Short-term reference picture sets (section 7.3.7). How long one that is predicted from the one
/// before it is depends on what that one names (section 7.4.8).
fn skip_reference_sets(r: &mut BitReader<'_>) -> Result<(), Error> {
    let mut last = ReferenceSet::default();
    for index in 0..bounded(r, "num_short_term_ref_pic_sets", 64)? {
        last = if index > 0 && r.flag()? {
            read_predicted_set(r, &last)?
        } else {
            let before = bounded(r, "num_negative_pics", 16)?;
            let after = bounded(r, "num_positive_pics", 16)?;
            ReferenceSet { before: read_deltas(r, before, -1)?, after: read_deltas(r, after, 1)? }
        };
    }
    Ok(())
}

fn read_deltas(r: &mut BitReader<'_>, count: u32, sign: i64) -> Result<Vec<i64>, Error> {
    let mut delta = 0;
    let mut out = Vec::with_capacity(count as usize);
    for _ in 0..count {
        delta += sign * (i64::from(r.ue()?) + 1);
        r.flag()?;
        out.push(delta);
    }
    Ok(out)
}

fn read_predicted_set(r: &mut BitReader<'_>, from: &ReferenceSet) -> Result<ReferenceSet, Error> {
    let is_negative = r.flag()?;
    let size = i64::from(r.ue()?) + 1;
    let shift = if is_negative { -size } else { size };
    let mut used = Vec::with_capacity(from.before.len() + from.after.len() + 1);
    for _ in 0..=from.before.len() + from.after.len() {
        // used_by_curr_pic_flag, use_delta_flag
        used.push(r.flag()? || r.flag()?);
    }
    let all = from.before.iter().chain(&from.after).chain(&[0]);
    let shifted = all.zip(used).filter(|(_, used)| *used).map(|(delta, _)| delta + shift);
    let (mut before, mut after): (Vec<_>, Vec<_>) =
        shifted.filter(|delta| *delta != 0).partition(|delta| *delta < 0);
    before.sort_unstable_by(|a, b| b.cmp(a));
    after.sort_unstable();
    before.truncate(16);
    after.truncate(16);
    Ok(ReferenceSet { before, after })
}

/// The video usability information up to its timing (section E.2.1).
fn read_usability_timing(r: &mut BitReader<'_>, look: &mut Look) -> Result<Option<f64>, Error> {
    look.read(r)?;
    if r.flag()? {
        r.ue()?;
        r.ue()?;
    }
    r.skip(3)?;
    if r.flag()? {
        for _ in 0..4 {
            r.ue()?;
        }
    }
    if !r.flag()? {
        return Ok(None);
    }
    Ok(rate(r.bits(32)?, r.bits(32)?))
}

/// vui_num_units_in_tick and vui_time_scale as pictures a second: a picture, frame or field, lasts
/// a tick.
pub(super) fn rate(units_in_tick: u32, time_scale: u32) -> Option<f64> {
    let known = units_in_tick > 0 && time_scale > 0;
    known.then(|| f64::from(time_scale) / f64::from(units_in_tick))
}

fn bounded(r: &mut BitReader<'_>, name: &str, max: u32) -> Result<u32, Error> {
    let at = r.at_byte();
    let value = r.ue()?;
    if value > max {
        let reason = format!("{name} is {value}, at most {max} is allowed");
        return Err(Error::syntax(SPS, at, reason));
    }
    Ok(value)
}

const SPS: &str = "SPS";
/// Wider than every level allows, and what a container can state.
const SIDE_MAX: u32 = 0xffff;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h265::tests::config;

    /// Bits as text, spaces ignored, behind a Main profile of level 3.1; with emulation
    /// prevention.
    fn sps(bits: &str) -> Vec<u8> {
        let mut digits: String = bits.chars().filter(|c| !c.is_whitespace()).collect();
        digits.push('1');
        while !digits.len().is_multiple_of(8) {
            digits.push('0');
        }
        let mut out = vec![0x42, 1, 1, 1, 0x60, 0, 0, 3, 0, 0xb0, 0, 0, 3, 0, 0, 3, 0, 93];
        for byte in digits.as_bytes().chunks(8) {
            let byte = byte.iter().fold(0u8, |sum, &digit| sum << 1 | (digit - b'0'));
            if byte < 4 && out.ends_with(&[0, 0]) {
                out.push(3);
            }
            out.push(byte);
        }
        out
    }

    fn ue(value: u32) -> String {
        let bits = 32 - (value + 1).leading_zeros();
        format!("{}{:b}", "0".repeat(bits as usize - 1), value + 1)
    }

    #[test]
    fn a_set_by_x265_reads() {
        let picture = config().picture().unwrap();
        assert_eq!((picture.width, picture.height), (320, 180));
        assert_eq!((picture.profile.profile_idc, picture.profile.level_idc), (1, 60));
        assert_eq!((picture.bit_depth_luma, picture.chroma_format_idc), (8, 1));
        assert_eq!(picture.frame_rate, Some(30.0));
        assert_eq!(picture.reorder_depth, 2);
        assert_eq!((picture.temporal_layers, picture.temporal_id_nesting), (1, true));
    }

    #[test]
    fn the_conformance_window_counts_in_chroma_samples() {
        let depths = format!("1 1 1 1 {} {} 1", ue(4), ue(2));
        let size = format!("{}{} 1 1 1 1 {}", ue(1920), ue(1088), ue(4));
        let picture = PictureInfo::from_sps(&sps(&format!("1 {} {size} {depths}", ue(1)))).unwrap();
        assert_eq!((picture.width, picture.height), (1920, 1080));
        assert_eq!(picture.profile.level_idc, 93);
        assert_eq!((picture.reorder_depth, picture.frame_rate), (2, None));
        let size = format!("{}{} 1 1 1 1 {}", ue(16), ue(16), ue(8));
        let error = PictureInfo::from_sps(&sps(&format!("1 {} {size} {depths}", ue(1))));
        let message = error.unwrap_err().to_string();
        assert!(message.contains("0x16 less leaves nothing of 16x16"), "{message}");
    }

    #[test]
    fn timing_is_found_behind_scaling_lists_and_predicted_reference_sets() {
        let head = format!("1 {} {}{} 0 1 1 1 1 {} {} 1", ue(1), ue(64), ue(64), ue(4), ue(2));
        let lists = format!("111111 1 1 {} 00 0", "01".repeat(20));
        // -1 and +1; then these and 0 shifted by -1, of which the second becomes 0 and goes; then
        // one predicted from these two.
        let sets = format!("{} {}{} 1 1 1 1  1 1 1 1 1 1  1 0 1 1 01 00", ue(3), ue(1), ue(1));
        let usability = format!("0 00 1 0 0 0 0 000 0 1 {:032b} {:032b}", 1001, 60_000);
        let picture =
            PictureInfo::from_sps(&sps(&format!("{head} {lists} {sets} {usability}"))).unwrap();
        assert_eq!(picture.frame_rate, Some(60_000.0 / 1001.0));
        assert_eq!(picture.reorder_depth, 2);
    }

    #[test]
    fn damage_behind_the_size_does_not_hide_it() {
        let config = config();
        for len in 30..config.sps[0].len() {
            let picture = PictureInfo::from_sps(&config.sps[0][..len]).unwrap();
            assert_eq!((picture.width, picture.height), (320, 180), "{len}");
        }
    }
}
