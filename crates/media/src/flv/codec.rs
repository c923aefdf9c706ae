//! What the tags of a file are coded in.

use bytes::Bytes;

use super::tag::{A_LAW, AAC, AVC, Coding, HEVC, MU_LAW};
use crate::nal::LengthPrefixed;
use crate::{Codec, Error, aac, av1, g711, h264, h265, opus, vp8, vp9};

/// A codec and how NAL units are parted in its frames.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) codec: Codec,
    /// Bytes of the length before each NAL unit.
    pub(super) length_bytes: u8,
}

impl From<Codec> for Found {
    fn from(codec: Codec) -> Self {
        Found { codec, length_bytes: 4 }
    }
}

/// Whether frames of this kind come behind a configuration of their own.
pub(super) fn has_config(coding: Coding) -> bool {
    matches!(coding, Coding::Sound(AAC) | Coding::Picture(AVC | HEVC) | Coding::FourCc(_))
}

/// The codec that a configuration tag states.
pub(super) fn from_config(coding: Coding, config: &[u8]) -> Result<Found, Error> {
    match coding {
        Coding::Sound(AAC) => Ok(Codec::Aac(aac::Config::from_asc(config)?).into()),
        Coding::Picture(AVC) => avc(config),
        Coding::Picture(HEVC) => from_fourcc(*b"hvc1", config),
        Coding::FourCc(fourcc) => from_fourcc(fourcc, config),
        Coding::Sound(_) | Coding::Picture(_) => Err(not_carried(coding)),
    }
}

/// The configurations of Enhanced RTMP are those of MP4.
fn from_fourcc(fourcc: [u8; 4], config: &[u8]) -> Result<Found, Error> {
    match &fourcc {
        b"avc1" => avc(config),
        b"hvc1" => {
            let length_bytes = h265::Config::nal_length_bytes(config)?;
            Ok(Found { codec: Codec::H265(h265::Config::from_hvcc(config)?), length_bytes })
        }
        b"av01" => Ok(Codec::Av1(av1::Config::from_record(config)?).into()),
        b"mp4a" => Ok(Codec::Aac(aac::Config::from_asc(config)?).into()),
        b"Opus" => Ok(Codec::Opus(opus::Config::from_opus_head(config)?).into()),
        _ => Err(not_carried(Coding::FourCc(fourcc))),
    }
}

fn avc(config: &[u8]) -> Result<Found, Error> {
    let length_bytes = h264::Config::nal_length_bytes(config)?;
    Ok(Found { codec: Codec::H264(h264::Config::from_avcc(config)?), length_bytes })
}

/// The codec of frames without a configuration, as the first byte of their tags says it.
pub(super) fn from_flags(coding: Coding, flags: u8) -> Result<Found, Error> {
    let law = match coding {
        Coding::Sound(A_LAW) => g711::Law::A,
        Coding::Sound(MU_LAW) => g711::Law::Mu,
        _ => return Err(not_carried(coding)),
    };
    // SoundRate does not hold for them: it is always 8 kHz.
    let channels = if flags & 1 == 0 { 1 } else { 2 };
    Ok(Codec::G711(g711::Config { law, sample_rate_hz: 8000, channels }).into())
}

/// The codec of a frame whose configuration was never sent, where its bytes tell all the same:
/// sound in its own framing, and pictures with parameter sets in them.
pub(super) fn from_frame(coding: Coding, frame: &[u8]) -> Option<Found> {
    match coding {
        Coding::Sound(AAC) => {
            let header = aac::AdtsHeader::read(frame).ok()?;
            (header.frame_bytes == frame.len()).then(|| Codec::Aac(header.config).into())
        }
        Coding::Picture(AVC) => {
            let nals = || LengthPrefixed::new(frame, 4).map_while(Result::ok).take(SETS_MAX);
            let sets = |kind: u8| {
                let of_kind = nals().filter(|nal| nal.first().is_some_and(|n| n & 31 == kind));
                of_kind.map(Bytes::copy_from_slice).collect()
            };
            let config = h264::Config::from_parameter_sets(sets(7), sets(8)).ok()?;
            config.picture().is_ok().then(|| Codec::H264(config).into())
        }
        _ => None,
    }
}

/// The codec of frames that say it themselves, by a key frame; `None` for other codings.
pub(super) fn from_key_frame(coding: Coding, frame: &[u8]) -> Option<Result<Found, Error>> {
    match coding {
        Coding::FourCc(VP8) => Some(vp8::Config::from_key_frame(frame).map(Codec::Vp8)),
        Coding::FourCc(VP9) => Some(vp9::Config::from_key_frame(frame).map(Codec::Vp9)),
        _ => None,
    }
    .map(|codec| codec.map(Found::from))
}

pub(super) fn not_carried(coding: Coding) -> Error {
    Error::unsupported(name(coding), "in FLV")
}

/// NAL units among which parameter sets are looked for.
const SETS_MAX: usize = 64;
/// Codings whose frames say what a decoder must know.
const VP8: [u8; 4] = *b"vp08";
const VP9: [u8; 4] = *b"vp09";

fn name(coding: Coding) -> &'static str {
    match coding {
        Coding::Sound(0 | 3) => "PCM",
        Coding::Sound(1) => "ADPCM",
        Coding::Sound(2 | 14) => "MP3",
        Coding::Sound(4..=6) => "Nellymoser",
        Coding::Sound(11) => "Speex",
        Coding::Sound(_) => "this kind of sound",
        Coding::Picture(2) => "Sorenson H.263",
        Coding::Picture(3 | 6) => "screen video",
        Coding::Picture(4 | 5) => "VP6",
        Coding::Picture(_) => "this kind of picture",
        Coding::FourCc(fourcc) => match &fourcc {
            b"hvc1" => "H.265",
            b"vvc1" => "H.266",
            b"av01" => "AV1",
            b"vp08" => "VP8",
            b"vp09" => "VP9",
            b"Opus" => "Opus",
            b"fLaC" => "FLAC",
            b".mp3" => "MP3",
            b"ac-3" => "AC-3",
            b"ec-3" => "E-AC-3",
            _ => "this codec",
        },
    }
}

/// What names the codec in the file.
pub(super) fn label(coding: Coding) -> String {
    match coding {
        Coding::Sound(number) | Coding::Picture(number) => number.to_string(),
        Coding::FourCc(fourcc) => fourcc.escape_ascii().to_string(),
    }
}
