//! What a session description says of tracks.

use weir_media::Kind;
use weir_proto::rtp::depack::Depacketiser;
use weir_proto::rtsp::headers::Range;
use weir_proto::sdp::{Fmtp, Media, SessionDescription};

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
    let map = media.rtpmap(payload_type);
    let depacketiser = match map {
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
        encoding: map.map_or_else(|| payload_type.to_string(), |map| map.encoding.clone()),
        clock_rate_hz: map.map_or(0, |map| map.clock_rate_hz),
        payload_type,
        control: media.control.clone().unwrap_or_default(),
        depacketiser,
    })
}

fn parameters(fmtp: &Fmtp) -> String {
    let pairs = fmtp.parameters.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(";")
}
