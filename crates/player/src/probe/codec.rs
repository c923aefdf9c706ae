//! What a codec's own headers say.

use weir_media::{Codec, aac, h264, h265};

use super::Track;

/// Writes down what the configuration says. Of a codec that is not known here its name.
pub(super) fn fill(codec: &Codec, track: &mut Track) {
    track.codec = Some(codec.name().to_owned());
    match codec {
        Codec::H264(config) => fill_h264(config, track),
        Codec::Aac(config) => {
            track.codec_string = Some(config.codec_string());
            track.profile = Some(aac_profile(config));
            track.sample_rate_hz = Some(config.output_rate_hz());
            track.channels = Some(config.channels);
        }
        Codec::Opus(config) => {
            track.codec_string = Some("opus".to_owned());
            // Whatever was encoded, it is decoded at this rate.
            track.sample_rate_hz = Some(48_000);
            track.channels = Some(config.channels);
        }
        Codec::G711(config) => {
            track.sample_rate_hz = Some(config.sample_rate_hz);
            track.channels = Some(config.channels);
        }
        Codec::Jpeg(config) => fill_size(track, config.width.into(), config.height.into()),
        Codec::H265(config) => fill_h265(config, track),
        Codec::Vp8(config) => {
            track.codec_string = Some("vp8".to_owned());
            fill_size(track, config.width.into(), config.height.into());
        }
        Codec::Vp9(config) => {
            track.codec_string = Some(config.codec_string());
            track.bit_depth = Some(config.bit_depth);
            fill_size(track, config.width.into(), config.height.into());
        }
        Codec::Av1(config) => {
            track.codec_string = config.codec_string().ok();
            fill_size(track, config.width.into(), config.height.into());
        }
        _ => {}
    }
}

fn fill_h265(config: &h265::Config, track: &mut Track) {
    track.codec_string = config.codec_string().ok();
    let Ok(picture) = config.picture() else {
        return;
    };
    fill_size(track, picture.width, picture.height);
    track.chroma = chroma(picture.chroma_format_idc);
    track.bit_depth = Some(picture.bit_depth_luma);
    track.frame_rate_said = picture.frame_rate;
    track.reorder_depth_said = Some(picture.reorder_depth);
}

fn fill_size(track: &mut Track, width: u32, height: u32) {
    track.width = (width > 0).then_some(width);
    track.height = (height > 0).then_some(height);
}

fn fill_h264(config: &h264::Config, track: &mut Track) {
    track.codec_string = Some(config.codec_string());
    let Ok(picture) = config.picture() else {
        return;
    };
    fill_size(track, picture.width, picture.height);
    track.chroma = chroma(picture.chroma_format_idc);
    track.bit_depth = Some(picture.bit_depth_luma);
    track.frame_rate_said = picture.frame_rate;
    track.reorder_depth_said = Some(picture.reorder_depth);
    track.profile = Some(h264_profile(picture.profile_idc, picture.constraint_flags));
    track.level = Some(h264_level(picture.level_idc, picture.constraint_flags));
}

/// chroma_format_idc (ISO/IEC 14496-10 table 6-1).
fn chroma(idc: u8) -> Option<&'static str> {
    ["4:0:0", "4:2:0", "4:2:2", "4:4:4"].get(usize::from(idc)).copied()
}

/// The profile (ISO/IEC 14496-10 section A.2).
fn h264_profile(idc: u8, flags: u8) -> String {
    let set = |number: u8| flags & (0x80 >> number) != 0;
    let name = match idc {
        66 if set(1) => "Constrained Baseline",
        66 => "Baseline",
        77 => "Main",
        88 => "Extended",
        100 if set(4) && set(5) => "Constrained High",
        100 if set(4) => "Progressive High",
        100 => "High",
        110 if set(3) => "High 10 Intra",
        110 => "High 10",
        122 if set(3) => "High 4:2:2 Intra",
        122 => "High 4:2:2",
        244 if set(3) => "High 4:4:4 Intra",
        244 => "High 4:4:4 Predictive",
        44 => "CAVLC 4:4:4 Intra",
        other => return format!("profile_idc {other}"),
    };
    name.to_owned()
}

/// The level (ISO/IEC 14496-10 section A.3).
fn h264_level(idc: u8, flags: u8) -> String {
    match idc {
        // constraint_set3_flag; for the high profiles 9 says so.
        11 if flags & 0x10 != 0 => "1b".to_owned(),
        9 => "1b".to_owned(),
        idc => format!("{}.{}", idc / 10, idc % 10),
    }
}

/// The audio object type (ISO/IEC 14496-3 table 1.17).
fn aac_profile(config: &aac::Config) -> String {
    let name = match config.object_type {
        1 => "Main",
        2 if config.output_rate_hz() > config.sample_rate_hz => "HE-AAC",
        2 => "LC",
        3 => "SSR",
        4 => "LTP",
        5 => "HE-AAC",
        29 => "HE-AAC v2",
        42 => "xHE-AAC",
        other => return format!("object type {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_and_levels_have_their_names() {
        assert_eq!(h264_profile(66, 0xc0), "Constrained Baseline");
        assert_eq!(h264_profile(66, 0x80), "Baseline");
        assert_eq!(h264_profile(100, 0), "High");
        assert_eq!(h264_profile(200, 0), "profile_idc 200");
        assert_eq!((h264_level(31, 0), h264_level(11, 0x10)), ("3.1".into(), "1b".into()));
        assert_eq!(h264_level(40, 0), "4.0");
    }

    #[test]
    fn sound_is_told_at_the_rate_that_is_heard() {
        let mut track = Track::default();
        fill(&Codec::Aac(aac::Config::lc(44_100, 2).unwrap()), &mut track);
        assert_eq!((track.sample_rate_hz, track.channels), (Some(44_100), Some(2)));
        assert_eq!(track.codec_string.as_deref(), Some("mp4a.40.2"));
        assert_eq!(track.profile.as_deref(), Some("LC"));
    }
}
