//! What a session description says of a packed track.

use core::fmt::Write;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use weir_media::g711::Law;
use weir_media::{Codec, Track, aac, av1, g711, h264, h265};

use super::{Error, clock_rate_hz};

/// The two attributes that describe a payload type, each as it stands behind its name and colon
/// (`a=rtpmap:`, `a=fmtp:`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdpAttributes {
    /// For example `96 H264/90000`.
    pub rtpmap: String,
    /// For example `96 packetization-mode=1;profile-level-id=64001f;sprop-parameter-sets=...`.
    /// Absent where there is nothing to say.
    pub fmtp: Option<String>,
}

/// Describes a track as [`super::Packer`] sends it (RFC 6184 section 8.2.1, RFC 7798
/// section 7.2.1, RFC 3640 section 4.4.1, RFC 7587 section 7, RFC 3551 section 6).
///
/// # Errors
/// When the codec has no payload format here.
pub fn sdp_attributes(track: &Track, payload_type: u8) -> Result<SdpAttributes, Error> {
    let rate_hz = clock_rate_hz(&track.codec)?;
    let (name, parameters) = match &track.codec {
        Codec::H264(config) => (format!("H264/{rate_hz}"), h264_parameters(config)),
        Codec::H265(config) => (format!("H265/{rate_hz}"), h265_parameters(config)),
        Codec::Vp8(_) => (format!("VP8/{rate_hz}"), String::new()),
        Codec::Vp9(config) => (format!("VP9/{rate_hz}"), format!("profile-id={}", config.profile)),
        Codec::Av1(config) => (format!("AV1/{rate_hz}"), av1_parameters(config)),
        Codec::Aac(config) => {
            (format!("mpeg4-generic/{rate_hz}/{}", config.channels), aac_parameters(config))
        }
        Codec::Jpeg(_) => (format!("JPEG/{rate_hz}"), String::new()),
        Codec::Opus(config) => {
            // Two channels always (RFC 7587 section 7); the parameter says how many are heard.
            let stereo = u8::from(config.channels == 2);
            (format!("opus/{rate_hz}/2"), format!("sprop-stereo={stereo}"))
        }
        Codec::G711(config) => (g711_map(config), String::new()),
        other => return Err(Error::Codec { name: other.name() }),
    };
    Ok(SdpAttributes {
        rtpmap: format!("{payload_type} {name}"),
        fmtp: (!parameters.is_empty()).then(|| format!("{payload_type} {parameters}")),
    })
}

fn g711_map(config: &g711::Config) -> String {
    let name = match config.law {
        Law::A => "PCMA",
        Law::Mu => "PCMU",
    };
    match (config.sample_rate_hz, config.channels) {
        (rate_hz, 1) => format!("{name}/{rate_hz}"),
        (rate_hz, channels) => format!("{name}/{rate_hz}/{channels}"),
    }
}

fn h264_parameters(config: &h264::Config) -> String {
    let mut text = String::from("packetization-mode=1");
    // The three bytes behind the NAL unit header (RFC 6184 section 8.1).
    if let Some([_, profile, constraints, level, ..]) = config.sps.first().map(|sps| &sps[..]) {
        text += &format!(";profile-level-id={profile:02x}{constraints:02x}{level:02x}");
    }
    let sets: Vec<_> = config.sps.iter().chain(&config.pps).cloned().collect();
    if !sets.is_empty() {
        text += ";sprop-parameter-sets=";
        text += &in_base64(&sets);
    }
    text
}

/// RFC 7798 section 7.1. Profile, tier and level are those of the first sequence parameter set.
fn h265_parameters(config: &h265::Config) -> String {
    let mut parameters = Vec::new();
    if let Ok(h265::PictureInfo { profile, .. }) = config.picture() {
        parameters.push(format!("profile-space={}", profile.space));
        parameters.push(format!("profile-id={}", profile.profile_idc));
        parameters.push(format!("tier-flag={}", u8::from(profile.high_tier)));
        parameters.push(format!("level-id={}", profile.level_idc));
    }
    let kinds = [("vps", &config.vps), ("sps", &config.sps), ("pps", &config.pps)];
    for (kind, sets) in kinds.into_iter().filter(|(_, sets)| !sets.is_empty()) {
        parameters.push(format!("sprop-{kind}={}", in_base64(sets)));
    }
    parameters.join(";")
}

/// RTP Payload Format For AV1, section 7.2.
fn av1_parameters(config: &av1::Config) -> String {
    let header = av1::SequenceHeader::read(config.sequence_header());
    header.map_or(String::new(), |header| {
        let tier = u8::from(header.high_tier);
        format!("profile={};level-idx={};tier={tier}", header.profile, header.level)
    })
}

/// Parameter sets between commas.
fn in_base64(sets: &[Bytes]) -> String {
    let sets: Vec<_> = sets.iter().map(|set| BASE64_STANDARD.encode(set)).collect();
    sets.join(",")
}

fn aac_parameters(config: &aac::Config) -> String {
    let mut text = format!(
        "streamtype=5;profile-level-id={};mode=AAC-hbr;sizelength=13;indexlength=3;\
         indexdeltalength=3;config=",
        aac_profile_level(config)
    );
    for byte in &config.asc {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
    }
    text
}

/// The audio profile and level (ISO/IEC 14496-3 table 1.14).
fn aac_profile_level(config: &aac::Config) -> u8 {
    const NOT_SPECIFIED: u8 = 0xfe;
    match (config.object_type, config.channels, config.sample_rate_hz) {
        (2, ..=2, ..=24_000) => 0x28,
        (2, ..=2, ..=48_000) => 0x29,
        (2, ..=6, ..=48_000) => 0x2a,
        (2, ..=6, ..=96_000) => 0x2b,
        _ => NOT_SPECIFIED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_h264_track_says_its_mode_its_profile_and_its_parameter_sets() {
        let text = sdp_attributes(&super::super::h264::tests::track(), 96).unwrap();
        assert_eq!(text.rtpmap, "96 H264/90000");
        assert_eq!(
            text.fmtp.unwrap(),
            "96 packetization-mode=1;profile-level-id=64001f;sprop-parameter-sets=Z2QAH6zZ,aOvj"
        );
    }

    #[test]
    fn other_tracks_say_their_profiles() {
        let said = |track: &Track| {
            let text = sdp_attributes(track, 98).unwrap();
            (text.rtpmap, text.fmtp.unwrap_or_default())
        };
        let (rtpmap, fmtp) = said(&super::super::h265::tests::track());
        assert_eq!(rtpmap, "98 H265/90000");
        assert!(fmtp.contains("sprop-vps=QAEMAf//AQ==;sprop-sps=Qg"), "{fmtp}");
        let of = |rtpmap: &str, fmtp: &str| (rtpmap.to_owned(), fmtp.to_owned());
        assert_eq!(said(&super::super::vp8::tests::track()), of("98 VP8/90000", ""));
        assert_eq!(said(&super::super::vp9::tests::track()), of("98 VP9/90000", "98 profile-id=0"));
        assert_eq!(
            said(&super::super::av1::tests::track()),
            of("98 AV1/90000", "98 profile=0;level-idx=0;tier=0")
        );
    }

    #[test]
    fn an_aac_track_says_its_mode_and_its_configuration() {
        let text = sdp_attributes(&super::super::aac::tests::track(), 97).unwrap();
        assert_eq!(text.rtpmap, "97 mpeg4-generic/48000/2");
        assert_eq!(
            text.fmtp.unwrap(),
            "97 streamtype=5;profile-level-id=41;mode=AAC-hbr;sizelength=13;indexlength=3;\
             indexdeltalength=3;config=1190"
        );
    }
}
