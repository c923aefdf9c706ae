//! What a session description says of a payload type.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use weir_media::g711::{self, Law};
use weir_media::{Codec, aac::Config, h264::NalType, opus};

use super::{Counts, Format, aac, av1, h264, h265, sound, vp8, vp9};
use crate::rtp::VIDEO_CLOCK_HZ;

/// Why a payload type cannot be depacketised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No payload format of this name.
    #[error("RTP payload format {name} is not supported")]
    Encoding {
        /// The encoding name.
        name: String,
    },
    /// A clock rate that the payload format cannot have.
    #[error("RTP clock of {hz} Hz for {name}")]
    ClockRate {
        /// The encoding name.
        name: &'static str,
        /// Ticks a second.
        hz: u32,
    },
    /// A parameter that must be there is not.
    #[error("format parameter {name} is missing")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// A parameter has a value that is not valid or not served.
    #[error("format parameter {name} is {value:?}: expected {expected}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What would be served.
        expected: &'static str,
    },
    /// The channels of `a=rtpmap` are not those of the configuration.
    #[error("the RTP payload type has {rtpmap} channels, its configuration {config}")]
    Channels {
        /// What `a=rtpmap` says.
        rtpmap: u8,
        /// What `config` says.
        config: u8,
    },
    /// The configuration is not one.
    #[error("format parameter config: {0}")]
    Config(#[from] weir_media::Error),
}

pub(super) fn format(
    encoding_name: &str,
    clock_rate_hz: u32,
    channels: Option<u8>,
    parameters: &str,
    counts: &mut Counts,
) -> Result<Format, Error> {
    if encoding_name.eq_ignore_ascii_case("H264") {
        return Ok(Format::H264(Box::new(h264(clock_rate_hz, parameters, counts)?)));
    }
    if encoding_name.eq_ignore_ascii_case("H265") {
        return Ok(Format::H265(Box::new(h265(clock_rate_hz, parameters, counts)?)));
    }
    if encoding_name.eq_ignore_ascii_case("VP8") {
        check_video_clock("VP8", clock_rate_hz)?;
        return Ok(Format::Vp8(Box::new(vp8::Depacketiser::new(vp8::Vp8::default()))));
    }
    if encoding_name.eq_ignore_ascii_case("VP9") {
        check_video_clock("VP9", clock_rate_hz)?;
        return Ok(Format::Vp9(Box::new(vp9::Depacketiser::new(vp9::Vp9::default()))));
    }
    if encoding_name.eq_ignore_ascii_case("AV1") {
        check_video_clock("AV1", clock_rate_hz)?;
        return Ok(Format::Av1(Box::new(av1::Depacketiser::new(av1::Av1::default()))));
    }
    if encoding_name.eq_ignore_ascii_case("mpeg4-generic") {
        return Ok(Format::Aac(aac(clock_rate_hz, channels, parameters)?));
    }
    if encoding_name.eq_ignore_ascii_case("JPEG") {
        return match clock_rate_hz {
            VIDEO_CLOCK_HZ => Ok(Format::Jpeg(Box::default())),
            hz => Err(Error::ClockRate { name: "JPEG", hz }),
        };
    }
    let sound = |codec| Ok(Format::Sound(sound::Depacketiser::new(codec)));
    if encoding_name.eq_ignore_ascii_case("opus") {
        return sound(Codec::Opus(opus(clock_rate_hz, parameters)?));
    }
    for (name, law) in [("PCMA", Law::A), ("PCMU", Law::Mu)] {
        if encoding_name.eq_ignore_ascii_case(name) {
            return sound(Codec::G711(g711(name, law, clock_rate_hz, channels)?));
        }
    }
    Err(Error::Encoding { name: encoding_name.chars().take(64).collect() })
}

/// RFC 6184 section 8.1.
fn h264(
    clock_rate_hz: u32,
    parameters: &str,
    counts: &mut Counts,
) -> Result<h264::Depacketiser, Error> {
    check_video_clock("H264", clock_rate_hz)?;
    const MODE: &str = "packetization-mode";
    match value_of(parameters, MODE) {
        None | Some("0" | "1") => {}
        Some(other) => return Err(unserved(MODE, other, "0 or 1 (interleaving is not served)")),
    }
    let mut depacketiser = h264::depacketiser();
    let sets = value_of(parameters, "sprop-parameter-sets").unwrap_or("");
    take_sets(sets, counts, |set| {
        matches!(NalType::of(set), NalType::SPS | NalType::PPS)
            && depacketiser.take_parameter_set(set)
    });
    Ok(depacketiser)
}

/// RFC 7798 section 7.1.
fn h265(
    clock_rate_hz: u32,
    parameters: &str,
    counts: &mut Counts,
) -> Result<h265::Depacketiser, Error> {
    check_video_clock("H265", clock_rate_hz)?;
    for name in ["sprop-max-don-diff", "sprop-depack-buf-nalus"] {
        match value_of(parameters, name) {
            None | Some("0") => {}
            Some(other) => return Err(unserved(name, other, "0 (interleaving is not served)")),
        }
    }
    let mut depacketiser = h265::depacketiser();
    for name in ["sprop-vps", "sprop-sps", "sprop-pps"] {
        let sets = value_of(parameters, name).unwrap_or("");
        take_sets(sets, counts, |set| depacketiser.take_parameter_set(set));
    }
    Ok(depacketiser)
}

fn check_video_clock(name: &'static str, hz: u32) -> Result<(), Error> {
    if hz == VIDEO_CLOCK_HZ { Ok(()) } else { Err(Error::ClockRate { name, hz }) }
}

/// Gives each parameter set of a list in base 64 to `take`, which says whether it is one.
fn take_sets(sets: &str, counts: &mut Counts, mut take: impl FnMut(&[u8]) -> bool) {
    let engine = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    for set in sets.split(',').filter(|set| !set.is_empty()) {
        // Cameras put other NAL units and rests of them here; the stream may yet say better.
        let taken = engine.decode(set).is_ok_and(|set| take(&set));
        counts.parameter_sets_ignored += u64::from(!taken);
    }
}

/// RFC 7587 sections 6.1 and 7.
fn opus(clock_rate_hz: u32, parameters: &str) -> Result<opus::Config, Error> {
    if clock_rate_hz != opus::CLOCK_RATE_HZ {
        return Err(Error::ClockRate { name: "opus", hz: clock_rate_hz });
    }
    // Nothing said means mono; yet two channels hold whatever comes.
    let is_mono = value_of(parameters, "sprop-stereo") == Some("0");
    Ok(opus::Config::plain(if is_mono { 1 } else { 2 }))
}

/// RFC 3551 sections 4.1 and 4.5.14.
fn g711(
    name: &'static str,
    law: Law,
    clock_rate_hz: u32,
    channels: Option<u8>,
) -> Result<g711::Config, Error> {
    let channels = channels.unwrap_or(1);
    if clock_rate_hz == 0 {
        return Err(Error::ClockRate { name, hz: 0 });
    }
    if channels == 0 {
        return Err(Error::Channels { rtpmap: 0, config: 1 });
    }
    Ok(g711::Config { law, sample_rate_hz: clock_rate_hz, channels })
}

/// RFC 3640 sections 3.3.5, 3.3.6 and 4.1.
fn aac(
    clock_rate_hz: u32,
    channels: Option<u8>,
    parameters: &str,
) -> Result<aac::Depacketiser, Error> {
    if clock_rate_hz == 0 {
        return Err(Error::ClockRate { name: "mpeg4-generic", hz: 0 });
    }
    let mode = value_of(parameters, "mode").unwrap_or("");
    let usual = if mode.eq_ignore_ascii_case("AAC-hbr") {
        [13, 3, 3]
    } else if mode.eq_ignore_ascii_case("AAC-lbr") {
        [6, 2, 2]
    } else {
        [0; 3]
    };
    let size_bits = bits(parameters, "sizelength", usual[0])?;
    if size_bits == 0 {
        return Err(Error::Missing { name: "sizelength" });
    }
    for name in
        ["ctsdeltalength", "dtsdeltalength", "streamstateindication", "auxiliarydatasizelength"]
    {
        if bits(parameters, name, 0)? != 0 {
            return Err(unserved(name, value_of(parameters, name).unwrap_or(""), "0"));
        }
    }
    if bits(parameters, "randomaccessindication", 0)? != 0 {
        return Err(unserved("randomaccessindication", "1", "0"));
    }
    let config = value_of(parameters, "config").ok_or(Error::Missing { name: "config" })?;
    let asc = from_hex(config)
        .ok_or_else(|| unserved("config", config, "pairs of hexadecimal digits"))?;
    let config = Config::from_asc(&asc)?;
    if let Some(rtpmap) = channels
        && rtpmap != config.channels
        && config.output_rate_hz() == config.sample_rate_hz
    {
        return Err(Error::Channels { rtpmap, config: config.channels });
    }
    Ok(aac::Depacketiser::new(
        config,
        clock_rate_hz,
        aac::HeaderBits {
            size: size_bits,
            index: bits(parameters, "indexlength", usual[1])?,
            index_delta: bits(parameters, "indexdeltalength", usual[2])?,
        },
    ))
}

/// A number of bits in an AU header; `usual` where it is not said.
fn bits(parameters: &str, name: &'static str, usual: u32) -> Result<u32, Error> {
    let Some(value) = value_of(parameters, name) else {
        return Ok(usual);
    };
    match value.parse() {
        Ok(bits) if bits <= FIELD_BITS_MAX => Ok(bits),
        _ => Err(unserved(name, value, "a number of bits up to 24")),
    }
}

/// The value of a parameter; names are the same in capitals.
fn value_of<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split(';').find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    if !digits.len().is_multiple_of(2) || digits.len() > CONFIG_DIGITS_MAX {
        return None;
    }
    let value = |digit: u8| (digit as char).to_digit(16);
    digits
        .chunks_exact(2)
        .map(|pair| Some((value(pair[0])? << 4 | value(pair[1])?) as u8))
        .collect()
}

fn unserved(name: &'static str, value: &str, expected: &'static str) -> Error {
    Error::Parameter { name, value: value.chars().take(64).collect(), expected }
}

/// A size of 24 bits is [`super::ACCESS_UNIT_BYTES_MAX`].
const FIELD_BITS_MAX: u32 = 24;
const CONFIG_DIGITS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::super::Depacketiser;
    use super::*;
    use crate::rtp::pack;
    use weir_media::Codec;

    const HBR: &str = "streamtype=5; profile-level-id=41; mode=AAC-hbr; sizelength=13; \
                       indexlength=3; indexdeltalength=3; config=1190";

    fn refusal(name: &str, clock_rate_hz: u32, parameters: &str) -> Error {
        Depacketiser::from_sdp(name, clock_rate_hz, None, parameters).unwrap_err()
    }

    #[test]
    fn what_the_packer_says_is_understood() {
        for track in
            [pack::h264::tests::track(), pack::h265::tests::track(), pack::aac::tests::track()]
        {
            let attributes = pack::sdp_attributes(&track, 96).unwrap();
            let map = attributes.rtpmap.strip_prefix("96 ").unwrap();
            let mut map = map.split('/');
            let (name, rate) = (map.next().unwrap(), map.next().unwrap().parse().unwrap());
            let channels = map.next().map(|channels| channels.parse().unwrap());
            let fmtp = attributes.fmtp.unwrap();
            let parameters = fmtp.strip_prefix("96 ").unwrap();
            let depacketiser = Depacketiser::from_sdp(name, rate, channels, parameters).unwrap();
            assert_eq!(depacketiser.codec(), Some(track.codec));
            assert_eq!(depacketiser.counts(), Counts::default());
        }
    }

    #[test]
    fn sound_of_whole_packets_is_known_by_its_map() {
        use pack::{g711::tests::track as g711_track, opus::tests::track as opus_track};
        let codec = |name, rate_hz, channels, parameters| {
            Depacketiser::from_sdp(name, rate_hz, channels, parameters).unwrap().codec().unwrap()
        };
        assert_eq!(codec("OPUS", 48_000, Some(2), "sprop-stereo=0"), opus_track(1).codec);
        assert_eq!(codec("opus", 48_000, Some(2), "useinbandfec=1"), opus_track(2).codec);
        assert_eq!(codec("PCMU", 8_000, None, ""), g711_track(Law::Mu, 8_000, 1).codec);
        assert_eq!(codec("pcma", 16_000, Some(2), ""), g711_track(Law::A, 16_000, 2).codec);
        let refused = [("opus", 8_000), ("JPEG", 8_000), ("PCMU", 0)];
        for (name, hz) in refused {
            assert_eq!(refusal(name, hz, ""), Error::ClockRate { name, hz });
        }
    }

    #[test]
    fn h264_needs_no_parameters_at_all() {
        let depacketiser = Depacketiser::from_sdp("h264", 90_000, None, "").unwrap();
        assert_eq!(depacketiser.codec(), None);
    }

    #[test]
    fn parameter_sets_that_cannot_be_used_are_counted() {
        let parameters = "packetization-mode=0;sprop-parameter-sets=Z2QAH6zZ,*,BgE=,aOvj,";
        let depacketiser = Depacketiser::from_sdp("H264", 90_000, None, parameters).unwrap();
        assert!(matches!(depacketiser.codec(), Some(Codec::H264(_))));
        assert_eq!(depacketiser.counts().parameter_sets_ignored, 2);
    }

    #[test]
    fn the_mode_alone_says_the_sizes_of_the_fields() {
        assert!(Depacketiser::from_sdp("MPEG4-GENERIC", 48_000, Some(2), HBR).is_ok());
        assert!(
            Depacketiser::from_sdp("mpeg4-generic", 48_000, None, "mode=AAC-lbr;config=1190")
                .is_ok()
        );
        let missing = refusal("mpeg4-generic", 48_000, "config=1190");
        assert_eq!(missing, Error::Missing { name: "sizelength" });
    }

    #[test]
    fn what_cannot_be_served_is_refused_by_its_name() {
        assert_eq!(
            refusal("H263", 90_000, "").to_string(),
            "RTP payload format H263 is not supported"
        );
        assert_eq!(refusal("H264", 0, ""), Error::ClockRate { name: "H264", hz: 0 });
        assert_eq!(
            refusal("H264", 90_000, "packetization-mode=2").to_string(),
            "format parameter packetization-mode is \"2\": expected 0 or 1 (interleaving is not served)"
        );
        assert_eq!(
            refusal("mpeg4-generic", 48_000, "mode=AAC-hbr"),
            Error::Missing { name: "config" }
        );
        for parameters in ["config=119", "config=11zz", "config=119é"] {
            let parameters = format!("mode=AAC-hbr;{parameters}");
            let refusal = refusal("mpeg4-generic", 48_000, &parameters);
            assert!(matches!(refusal, Error::Parameter { name: "config", .. }));
        }
        assert_eq!(
            refusal("H265", 90_000, "sprop-max-don-diff=2").to_string(),
            "format parameter sprop-max-don-diff is \"2\": expected 0 (interleaving is not served)"
        );
        let interleaved = format!("{HBR};ctsdeltalength=5");
        assert!(refusal("mpeg4-generic", 48_000, &interleaved).to_string().contains("ctsdelta"));
        let refusal = Depacketiser::from_sdp("mpeg4-generic", 48_000, Some(1), HBR).unwrap_err();
        assert_eq!(refusal, Error::Channels { rtpmap: 1, config: 2 });
    }
}
