//! What a session description says of tracks.

use weir_media::Kind;
use weir_proto::rtp::StaticType;
use weir_proto::rtp::depack::Depacketiser;
use weir_proto::rtsp::headers::Range;
use weir_proto::sdp::{Fmtp, Media, RtpMap, SessionDescription};

use super::{Settings, TrackDescription};

/// The tracks of picture and sound. A track's number is its place among all that are described.
pub(super) fn tracks(description: &SessionDescription) -> Vec<TrackDescription> {
    let media = description.media.iter().zip(0u8..);
    media.filter_map(|(media, track)| describe(media, track)).collect()
}

/// The stretch that the stream has.
pub(super) fn range(description: &SessionDescription) -> Option<Range> {
    let of_track = || description.media.iter().find_map(|media| media.range.clone());
    description.range.clone().or_else(of_track)
}

/// Whether a track is to be set up.
pub(super) fn is_wanted(track: &TrackDescription, settings: &Settings) -> bool {
    let kinds = settings.kinds.as_ref();
    track.depacketiser.is_ok() && kinds.is_none_or(|kinds| kinds.contains(&track.kind))
}

/// Each track that is not set up, and why, in one line.
pub(super) fn why_none(tracks: &[TrackDescription]) -> String {
    let each = tracks.iter().map(|track| match &track.depacketiser {
        Ok(_) => format!("track {} ({}) was not asked for", track.track, track.encoding),
        Err(why) => format!("track {}: {why}", track.track),
    });
    let all: Vec<_> = each.collect();
    match all.is_empty() {
        true => "there is no picture and no sound".to_owned(),
        false => all.join("; "),
    }
}

fn describe(media: &Media, track: u8) -> Option<TrackDescription> {
    let kind = match media.kind.as_str() {
        "video" => Kind::Video,
        "audio" => Kind::Audio,
        _ => return None,
    };
    let payload_type = media.payload_types.first().copied().unwrap_or(0);
    let map = media.rtpmap(payload_type).cloned().or_else(|| static_map(payload_type));
    let depacketiser = match &map {
        None => Err(format!("RTP payload type {payload_type} is not described")),
        Some(map) => Depacketiser::from_sdp(
            &map.encoding,
            map.clock_rate_hz,
            map.channels,
            &media.fmtp(payload_type).map_or_else(String::new, parameters),
        )
        .map_err(|error| error.to_string()),
    };
    Some(TrackDescription {
        track,
        kind,
        clock_rate_hz: map.as_ref().map_or(0, |map| map.clock_rate_hz),
        encoding: map.map_or_else(|| payload_type.to_string(), |map| map.encoding),
        payload_type,
        control: media.control.clone().unwrap_or_default(),
        depacketiser,
    })
}

/// What a payload type stands for that need not be spelt out (RFC 3551 section 6).
fn static_map(payload_type: u8) -> Option<RtpMap> {
    let StaticType { encoding, clock_rate_hz, channels } = StaticType::of(payload_type)?;
    Some(RtpMap { payload_type, encoding: encoding.to_owned(), clock_rate_hz, channels })
}

fn parameters(fmtp: &Fmtp) -> String {
    let pairs = fmtp.parameters.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(";")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn static_payload_types_need_no_map() {
        let text = "v=0\r\ns=camera\r\nm=video 0 RTP/AVP 26\r\nm=audio 0 RTP/AVP 0\r\n\
                    m=audio 0 RTP/AVP 8\r\nm=audio 0 RTP/AVP 14\r\n";
        let tracks = tracks(&SessionDescription::parse(text).unwrap());
        let found: Vec<_> =
            tracks.iter().map(|track| (&*track.encoding, track.clock_rate_hz)).collect();
        assert_eq!(found, [("JPEG", 90_000), ("PCMU", 8_000), ("PCMA", 8_000), ("MPA", 90_000)]);
        let served: Vec<_> = tracks.iter().map(|track| track.depacketiser.is_ok()).collect();
        assert_eq!(served, [true, true, true, false]);
    }
}
