//! Session descriptions.

use std::net::IpAddr;

use weir_media::{Kind, Track};
use weir_proto::rtp::{pack, static_payload_type};
use weir_proto::rtsp::server::Description;
use weir_proto::rtsp::url::track_control;
use weir_proto::sdp::{Extent, Offer, OfferedTrack, Origin};

use crate::hub::Stream;

/// The dynamic payload type of the first track; each further one has the next (RFC 3551 section 3:
/// the dynamic ones are 96 to 127).
const PAYLOAD_TYPE_FIRST: u8 = 96;

/// The payload type of a track: the static one where its codec has one, for some players know JPEG
/// and G.711 by nothing else.
pub(super) fn payload_type(track: &Track) -> u8 {
    static_payload_type(&track.codec).unwrap_or(PAYLOAD_TYPE_FIRST + track.id.0)
}

/// What a stream is made of, as SDP.
pub(super) fn description(
    stream: &Stream,
    name: &str,
    address: IpAddr,
) -> Result<Description, pack::Error> {
    let extent = match stream {
        Stream::Live(_) => Extent::Live,
        Stream::Movie(movie) => Extent::Movie(movie.duration().to_duration()),
    };
    // The same stream has the same number: a client that asks twice sees nothing new.
    let bytes = name.bytes().map(u64::from);
    let id = bytes.fold(1, |id, byte| weir_time::hash([id, byte])) >> 1;
    let tracks: Result<Vec<_>, _> = stream.tracks().iter().map(offered).collect();
    let origin = Origin { id, version: 1, address };
    let offer = Offer { origin, name: name.to_owned(), extent, tracks: tracks? };
    Ok(Description { sdp: offer.encode(), content_base: None })
}

fn offered(track: &Track) -> Result<OfferedTrack, pack::Error> {
    let payload_type = payload_type(track);
    let attributes = pack::sdp_attributes(track, payload_type)?;
    Ok(OfferedTrack {
        kind: match track.codec.kind() {
            Kind::Video => "video".to_owned(),
            Kind::Audio => "audio".to_owned(),
        },
        payload_type,
        rtpmap: attributes.rtpmap,
        fmtp: attributes.fmtp,
        control: track_control(track.id.0),
        bandwidth_kbps: None,
    })
}
