//! The sequence parameter set, as far as weir looks into it.

use super::NalType;
use crate::{Error, Look, bits::BitReader, nal::rbsp};

/// What a sequence parameter set says of the pictures (ISO/IEC 14496-10 section 7.3.2.1.1).
#[derive(Clone, Debug, PartialEq)]
pub struct PictureInfo {
    /// Width in luma samples, after cropping.
    pub width: u32,
    /// Height in luma samples, after cropping.
    pub height: u32,
    /// profile_idc: 66 Baseline, 77 Main, 100 High.
    pub profile_idc: u8,
    /// The byte behind it: constraint_set0_flag is the highest bit.
    pub constraint_flags: u8,
    /// level_idc: 31 is level 3.1.
    pub level_idc: u8,
    /// chroma_format_idc: 1 is 4:2:0.
    pub chroma_format_idc: u8,
    /// Bits of a luma sample.
    pub bit_depth_luma: u8,
    /// Bits of a chroma sample.
    pub bit_depth_chroma: u8,
    /// Frames a second, if the usability information says so.
    pub frame_rate: Option<f64>,
    /// How many frames may precede a frame in decoding order and follow it in presentation: what
    /// max_num_reorder_frames says, or else what section E.2.1 infers. Where that is the size of
    /// the decoded picture buffer it is an upper bound: real streams reorder less.
    pub reorder_depth: u8,
    /// How they are meant to be seen.
    pub look: Look,
}

impl PictureInfo {
    /// Reads a sequence parameter set: a NAL unit without start code or length. Damage in the
    /// usability information is passed over, for many cameras write it wrong: what stands behind
    /// it counts as not said.
    pub fn from_sps(sps: &[u8]) -> Result<Self, Error> {
        if NalType::of(sps) != NalType::SPS {
            let reason = format!("NAL unit type 7 expected, {} came", NalType::of(sps).0);
            return Err(Error::syntax(SPS, 0, reason));
        }
        let rbsp = rbsp(sps, 1);
        read_sps(&mut BitReader::new(SPS, &rbsp))
    }
}

fn read_sps(r: &mut BitReader<'_>) -> Result<PictureInfo, Error> {
    let profile_idc = r.bits(8)? as u8;
    let constraint_flags = r.bits(8)? as u8;
    let level_idc = r.bits(8)? as u8;
    r.ue()?;
    let chroma = read_chroma(r, profile_idc)?;
    r.ue()?;
    let pic_order_cnt_type = read_pic_order_cnt(r)?;
    r.ue()?;
    r.flag()?;
    let size = read_size(r, &chroma)?;
    let mut picture = PictureInfo {
        width: size.width,
        height: size.height,
        profile_idc,
        constraint_flags,
        level_idc,
        chroma_format_idc: chroma.format_idc,
        bit_depth_luma: chroma.bit_depth_luma,
        bit_depth_chroma: chroma.bit_depth_chroma,
        frame_rate: None,
        reorder_depth: 0,
        look: Look::default(),
    };
    let mut usability = Usability::default();
    if r.flag()? {
        // Reads on as far as it goes: see `from_sps`.
        let _ = usability.read(r);
    }
    picture.look = usability.look;
    picture.frame_rate = usability.frame_rate;
    picture.reorder_depth = usability
        .reorder_depth
        .unwrap_or_else(|| inferred_reorder_depth(&picture, pic_order_cnt_type, size.frame_mbs));
    Ok(picture)
}

struct Chroma {
    format_idc: u8,
    separate_planes: bool,
    bit_depth_luma: u8,
    bit_depth_chroma: u8,
}

fn read_chroma(r: &mut BitReader<'_>, profile_idc: u8) -> Result<Chroma, Error> {
    let mut chroma =
        Chroma { format_idc: 1, separate_planes: false, bit_depth_luma: 8, bit_depth_chroma: 8 };
    if !matches!(
        profile_idc,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    ) {
        return Ok(chroma);
    }
    chroma.format_idc = bounded(r, "chroma_format_idc", 3)? as u8;
    if chroma.format_idc == 3 {
        chroma.separate_planes = r.flag()?;
    }
    chroma.bit_depth_luma = 8 + bounded(r, "bit_depth_luma_minus8", 6)? as u8;
    chroma.bit_depth_chroma = 8 + bounded(r, "bit_depth_chroma_minus8", 6)? as u8;
    r.flag()?;
    if r.flag()? {
        let lists = if chroma.format_idc == 3 { 12 } else { 8 };
        for list in 0..lists {
            if r.flag()? {
                skip_scaling_list(r, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Ok(chroma)
}

/// Section 7.3.2.1.1.1.
fn skip_scaling_list(r: &mut BitReader<'_>, size: usize) -> Result<(), Error> {
    let (mut last, mut next) = (8i32, 8i32);
    for _ in 0..size {
        if next != 0 {
            let delta = r.se()?;
            next = last.wrapping_add(delta) & 0xff;
        }
        if next != 0 {
            last = next;
        }
    }
    Ok(())
}

fn read_pic_order_cnt(r: &mut BitReader<'_>) -> Result<u32, Error> {
    let kind = bounded(r, "pic_order_cnt_type", 2)?;
    if kind == 0 {
        r.ue()?;
    } else if kind == 1 {
        r.flag()?;
        r.se()?;
        r.se()?;
        for _ in 0..bounded(r, "num_ref_frames_in_pic_order_cnt_cycle", 255)? {
            r.se()?;
        }
    }
    Ok(kind)
}

struct Size {
    width: u32,
    height: u32,
    /// Macroblocks of a frame.
    frame_mbs: u32,
}

fn read_size(r: &mut BitReader<'_>, chroma: &Chroma) -> Result<Size, Error> {
    let width_mbs = bounded(r, "pic_width_in_mbs_minus1", SIDE_MBS_MAX)? + 1;
    let map_units = bounded(r, "pic_height_in_map_units_minus1", SIDE_MBS_MAX)? + 1;
    let fields = if r.flag()? {
        1
    } else {
        r.flag()?;
        2
    };
    r.flag()?;
    let (mut width, mut height) = (width_mbs * 16, map_units * 16 * fields);
    if r.flag()? {
        let at = r.at_byte();
        let mono = chroma.format_idc == 0 || chroma.separate_planes;
        let unit_x: u32 = if !mono && chroma.format_idc < 3 { 2 } else { 1 };
        let unit_y = fields * if !mono && chroma.format_idc == 1 { 2 } else { 1 };
        let [left, right, top, bottom] = [r.ue()?, r.ue()?, r.ue()?, r.ue()?].map(u64::from);
        let cut_x = (left + right) * u64::from(unit_x);
        let cut_y = (top + bottom) * u64::from(unit_y);
        if cut_x >= u64::from(width) || cut_y >= u64::from(height) {
            let reason = format!("cropping {cut_x}x{cut_y} leaves nothing of {width}x{height}");
            return Err(Error::syntax(SPS, at, reason));
        }
        width -= cut_x as u32;
        height -= cut_y as u32;
    }
    Ok(Size { width, height, frame_mbs: width_mbs * map_units * fields })
}

/// What weir takes from the video usability information (section E.1.1).
#[derive(Default)]
struct Usability {
    frame_rate: Option<f64>,
    reorder_depth: Option<u8>,
    look: Look,
}

impl Usability {
    fn read(&mut self, r: &mut BitReader<'_>) -> Result<(), Error> {
        self.look.read(r)?;
        if r.flag()? {
            r.ue()?;
            r.ue()?;
        }
        if r.flag()? {
            let (units, scale) = (r.bits(32)?, r.bits(32)?);
            r.flag()?;
            if units > 0 && scale > 0 {
                self.frame_rate = Some(f64::from(scale) / (2.0 * f64::from(units)));
            }
        }
        let nal_hrd = skip_hrd(r)?;
        let vcl_hrd = skip_hrd(r)?;
        if nal_hrd || vcl_hrd {
            r.flag()?;
        }
        r.flag()?;
        if r.flag()? {
            r.flag()?;
            for _ in 0..4 {
                r.ue()?;
            }
            let depth = bounded(r, "max_num_reorder_frames", 16)?;
            self.reorder_depth = Some(depth as u8);
        }
        Ok(())
    }
}

/// Section E.1.2; whether it was there.
fn skip_hrd(r: &mut BitReader<'_>) -> Result<bool, Error> {
    if !r.flag()? {
        return Ok(false);
    }
    let count = bounded(r, "cpb_cnt_minus1", 31)? + 1;
    r.skip(8)?;
    for _ in 0..count {
        r.ue()?;
        r.ue()?;
        r.flag()?;
    }
    r.skip(20)?;
    Ok(true)
}

/// Section E.2.1, max_num_reorder_frames where it is not present; and two cases in which frames
/// come in presentation order whatever the profile: no B slices (Baseline), and
/// pic_order_cnt_type 2 (section 8.2.1.3).
fn inferred_reorder_depth(picture: &PictureInfo, pic_order_cnt_type: u32, frame_mbs: u32) -> u8 {
    let constraint_set3 = picture.constraint_flags & 0x10 != 0;
    let intra_only =
        matches!(picture.profile_idc, 44 | 86 | 100 | 110 | 122 | 244) && constraint_set3;
    if picture.profile_idc == 66 || pic_order_cnt_type == 2 || intra_only {
        return 0;
    }
    let level_1b = picture.level_idc == 11 && constraint_set3;
    let dpb_mbs = match picture.level_idc {
        11 if level_1b => 396,
        9 | 10 => 396,
        11 => 900,
        12 | 13 | 20 => 2_376,
        21 => 4_752,
        22 | 30 => 8_100,
        31 => 18_000,
        32 => 20_480,
        40 | 41 => 32_768,
        42 => 34_816,
        50 => 110_400,
        51 | 52 => 184_320,
        60..=62 => 696_320,
        _ => u32::MAX,
    };
    (dpb_mbs / frame_mbs.max(1)).min(16) as u8
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
/// Wider than every level allows (table A-1: 139,264 macroblocks at a ratio of 8 to 1).
const SIDE_MBS_MAX: u32 = 4095;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h264::tests::config;

    /// Bits as text, spaces ignored, as a sequence parameter set of profile, flags, level.
    fn sps(head: [u8; 3], bits: &str) -> Vec<u8> {
        let mut digits: String = bits.chars().filter(|c| !c.is_whitespace()).collect();
        digits.push('1');
        while !digits.len().is_multiple_of(8) {
            digits.push('0');
        }
        let tail = digits
            .as_bytes()
            .chunks(8)
            .map(|byte| byte.iter().fold(0u8, |sum, &digit| sum << 1 | (digit - b'0')));
        [&[0x67][..], &head].concat().into_iter().chain(tail).collect()
    }

    #[test]
    fn a_set_by_x264_reads() {
        let picture = config().picture().unwrap();
        assert_eq!((picture.width, picture.height), (1280, 720));
        assert_eq!((picture.profile_idc, picture.level_idc), (100, 31));
        assert_eq!(picture.frame_rate, Some(30.0));
        assert_eq!(picture.reorder_depth, 2);
    }

    #[test]
    fn without_usability_information_the_depth_is_the_picture_buffer() {
        // Main, level 3, 320x240 uncropped, pic_order_cnt_type 0.
        let bits = "1 1 1 1 010 0 000010100 0001111 1 1 0 0";
        let picture = PictureInfo::from_sps(&sps([77, 0, 30], bits)).unwrap();
        assert_eq!((picture.width, picture.height), (320, 240));
        assert_eq!((picture.reorder_depth, picture.frame_rate), (16, None));
        let picture = PictureInfo::from_sps(&sps([77, 0, 12], bits)).unwrap();
        assert_eq!(picture.reorder_depth, (2376 / 300) as u8);
        let picture = PictureInfo::from_sps(&sps([66, 0xc0, 30], bits)).unwrap();
        assert_eq!(picture.reorder_depth, 0);
    }

    #[test]
    fn pic_order_cnt_type_2_has_no_reordering() {
        let bits = "1 1 011 010 0 000010100 0001111 1 1 0 0";
        let picture = PictureInfo::from_sps(&sps([77, 0, 30], bits)).unwrap();
        assert_eq!(picture.reorder_depth, 0);
    }

    #[test]
    fn interlaced_cropping_counts_in_pairs_of_lines() {
        // 1920x1080 of 120x68 macroblocks as fields, two units cropped below.
        let bits = "1 1 1 1 010 0 0000001111000 00000100010 0 0 1 1 1 1 1 011 0";
        let picture = PictureInfo::from_sps(&sps([77, 0, 40], bits)).unwrap();
        assert_eq!((picture.width, picture.height), (1920, 1080));
    }

    #[test]
    fn cropping_everything_is_an_error() {
        let bits = "1 1 1 1 010 0 010 010 1 1 1 1 1 1 000010001 0";
        let message = PictureInfo::from_sps(&sps([77, 0, 30], bits)).unwrap_err().to_string();
        assert!(message.contains("cropping 0x32 leaves nothing of 32x32"), "{message}");
    }

    #[test]
    fn damaged_usability_information_does_not_hide_the_size() {
        let config = config();
        for len in 14..config.sps[0].len() {
            let picture = PictureInfo::from_sps(&config.sps[0][..len]).unwrap();
            assert_eq!((picture.width, picture.height), (1280, 720), "{len}");
        }
    }

    #[test]
    fn agrees_with_another_parser() {
        use h264_reader::nal::sps::SeqParameterSet;
        let config = config();
        let rbsp = rbsp(&config.sps[0], 1);
        let other = SeqParameterSet::from_bits(h264_reader::rbsp::BitReader::new(&rbsp[..]));
        let other = other.unwrap();
        let picture = config.picture().unwrap();
        assert_eq!(other.pixel_dimensions().unwrap(), (picture.width, picture.height));
        let vui = other.vui_parameters.unwrap().bitstream_restrictions.unwrap();
        assert_eq!(vui.max_num_reorder_frames, u32::from(picture.reorder_depth));
    }
}
