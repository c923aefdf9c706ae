//! onMetaData: what a stream says of itself (Adobe Flash Video File Format Specification 10.1,
//! annex E.5; Enhanced RTMP for the codecs' numbers).

use weir_media::{Codec, Kind, Track, g711};

use super::command::{METADATA, data_body};
use crate::amf::amf0::Value;

use bytes::Bytes;

/// Who metadata is for: it differs in what stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// A player.
    Player,
    /// A server, which is to keep it for its players.
    Server,
}

/// The body of the data message with the metadata of these tracks. What is not known is absent.
pub fn body(tracks: &[Track], software: &str, whom: For) -> Bytes {
    let values = [Value::from("@setDataFrame"), METADATA.into(), of(tracks, software)];
    data_body(match whom {
        For::Player => values.get(1..).unwrap_or(&[]),
        For::Server => &values,
    })
}

/// The metadata of these tracks.
pub fn of(tracks: &[Track], software: &str) -> Value {
    let mut values: Vec<(String, Value)> = Vec::new();
    let mut put = |name: &str, value: Value| values.push((name.to_owned(), value));
    let codec = |kind| tracks.iter().map(|track| &track.codec).find(|codec| codec.kind() == kind);
    if let Some(codec) = codec(Kind::Video) {
        if let Some((width, height)) = size(codec) {
            put("width", f64::from(width).into());
            put("height", f64::from(height).into());
        }
        if let Some(rate) = frame_rate(codec) {
            put("framerate", rate.into());
        }
        put("videocodecid", number(codec).into());
    }
    if let Some(codec) = codec(Kind::Audio) {
        if let Some((rate_hz, channels)) = sound(codec) {
            put("audiosamplerate", f64::from(rate_hz).into());
            put("audiochannels", f64::from(channels).into());
            put("stereo", (channels == 2).into());
        }
        put("audiocodecid", number(codec).into());
    }
    put("encoder", software.into());
    Value::EcmaArray(values)
}

/// Which kinds of tracks metadata announces: picture and sound. `None` where it does not say.
pub fn announced(metadata: &Value) -> Option<(bool, bool)> {
    let has = |name: &str| match metadata.get(name) {
        Some(Value::Number(number)) => Some(*number != 0.0),
        Some(Value::String(text)) => Some(!text.is_empty()),
        // Some only say it of the track that is there.
        _ => None,
    };
    match (has("videocodecid"), has("audiocodecid")) {
        (None, None) => None,
        (video, audio) => Some((video == Some(true), audio == Some(true))),
    }
    .filter(|(video, audio)| *video || *audio)
}

fn size(codec: &Codec) -> Option<(u32, u32)> {
    match codec {
        Codec::H264(config) => config.picture().ok().map(|p| (p.width, p.height)),
        Codec::H265(config) => config.picture().ok().map(|p| (p.width, p.height)),
        Codec::Av1(config) => Some((config.width.into(), config.height.into())),
        Codec::Vp8(config) => Some((config.width.into(), config.height.into())),
        Codec::Vp9(config) => Some((config.width.into(), config.height.into())),
        _ => None,
    }
}

fn frame_rate(codec: &Codec) -> Option<f64> {
    match codec {
        Codec::H264(config) => config.picture().ok()?.frame_rate,
        Codec::H265(config) => config.picture().ok()?.frame_rate,
        _ => None,
    }
    .filter(|rate| *rate > 0.0)
}

fn sound(codec: &Codec) -> Option<(u32, u8)> {
    match codec {
        Codec::Aac(config) => Some((config.output_rate_hz(), config.channels)),
        Codec::Opus(config) => Some((weir_media::opus::CLOCK_RATE_HZ, config.channels)),
        Codec::G711(config) => Some((config.sample_rate_hz, config.channels)),
        _ => None,
    }
}

/// The codec's number: that of the older tags, or its four characters as one.
fn number(codec: &Codec) -> f64 {
    let fourcc = |name: &[u8; 4]| f64::from(u32::from_be_bytes(*name));
    match codec {
        Codec::H264(_) => 7.0,
        Codec::H265(_) => fourcc(b"hvc1"),
        Codec::Av1(_) => fourcc(b"av01"),
        Codec::Vp8(_) => fourcc(b"vp08"),
        Codec::Vp9(_) => fourcc(b"vp09"),
        Codec::Aac(_) => 10.0,
        Codec::Opus(_) => fourcc(b"Opus"),
        Codec::G711(config) if config.law == g711::Law::A => 7.0,
        Codec::G711(_) => 8.0,
        _ => 0.0,
    }
}

/// The codecs that are sent and read here, by the names that Enhanced RTMP gives them.
pub(super) const CODECS: [&str; 7] = ["avc1", "hvc1", "av01", "vp08", "vp09", "mp4a", "Opus"];

#[cfg(test)]
mod tests {
    use super::*;
    use weir_media::{TrackId, aac};

    fn sound_alone() -> Vec<Track> {
        let codec = Codec::Aac(aac::Config::lc(48_000, 2).unwrap());
        vec![Track { id: TrackId(0), codec, clock_rate_hz: 48_000 }]
    }

    #[test]
    fn metadata_says_what_is_known_and_nothing_else() {
        let metadata = of(&sound_alone(), "weir");
        let names: Vec<_> = metadata.properties().iter().map(|(name, _)| name.as_str()).collect();
        let expected = ["audiosamplerate", "audiochannels", "stereo", "audiocodecid", "encoder"];
        assert_eq!(names, expected);
        assert_eq!(announced(&metadata), Some((false, true)));
    }

    #[test]
    fn metadata_announces_tracks_by_their_codecs() {
        let announce = |values: &[(&str, Value)]| {
            let named = values.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            announced(&Value::EcmaArray(named.collect()))
        };
        assert_eq!(announce(&[("width", 320.0.into())]), None);
        let both = [("videocodecid", "avc1".into()), ("audiocodecid", "mp4a".into())];
        assert_eq!(announce(&both), Some((true, true)));
        // nginx-rtmp says 0 for what it does not know.
        let none = [("videocodecid", 7.0.into()), ("audiocodecid", 0.0.into())];
        assert_eq!(announce(&none), Some((true, false)));
        assert_eq!(announce(&[("videocodecid", 0.0.into())]), None);
    }
}
