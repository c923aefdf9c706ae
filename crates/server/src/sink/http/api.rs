//! The API: streams, sessions, the time of day.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;

use http::StatusCode;
use http::header::HOST;
use serde_json::{Map, Value, json};
use weir_media::{Codec, Kind, Track};
use weir_proto::rtsp::url::encode_path;
use weir_time::{Instant, Utc};

use super::answer::Answer;
use super::connection::Request;
use super::names::public;
use super::viewers::{Audience, audience};
use crate::hub::Stream;
use crate::package;
use crate::shard::Shard;

/// `GET /api/v1/streams`.
pub(super) async fn streams(shard: &Rc<Shard>, request: &Request) -> Answer {
    let hub = &shard.context.hub;
    let viewers = viewers(shard, &audience(shard).await);
    let listing = hub.library().list(&shard.host).await;
    let live = hub.live_names();
    let mut names: BTreeSet<&str> = live.iter().map(String::as_str).collect();
    for name in &listing.names {
        // A live stream wins over a movie of the same name, which keeps its full name.
        let name = if live.contains(name) { listing.other_name(name) } else { Some(name.as_str()) };
        names.extend(name);
    }
    let row = |name: &str| row(shard, request, name, hub.peek(name).as_ref(), &viewers);
    let rows: Vec<Value> = names.into_iter().map(row).collect();
    Answer::json(StatusCode::OK, &json!({ "streams": rows }))
}

/// `GET /api/v1/streams/NAME`: the stream is opened for it.
pub(super) async fn stream(shard: &Rc<Shard>, request: &Request, name: &str) -> Answer {
    match shard.context.hub.find(&shard.host, name).await {
        Ok(stream) => {
            let viewers = viewers(shard, &audience(shard).await);
            let row = row(shard, request, name, Some(&stream), &viewers);
            Answer::json(StatusCode::OK, &row)
        }
        Err(error) => {
            let (status, words) = public(&error);
            Answer::json_error(status, &words, "GET /api/v1/streams names all streams")
        }
    }
}

/// `GET /api/v1/time`.
pub(super) fn time(shard: &Shard) -> Answer {
    Answer::json(StatusCode::OK, &json!({ "utc_ms": shard.host.utc().as_millis() }))
}

/// `GET /api/v1/sessions`.
pub(super) async fn sessions(shard: &Rc<Shard>) -> Answer {
    let audience = audience(shard).await;
    let (now, utc) = (shard.host.now(), shard.host.utc());
    let utc_ms = |at: Instant| -> u64 {
        let ago = u64::try_from(now.since(at).as_nanos()).unwrap_or(u64::MAX);
        Utc::from_nanos(utc.as_nanos().saturating_sub(ago)).as_millis()
    };
    let mut rows = Vec::new();
    for viewer in audience.rows {
        rows.push(object([
            ("id", json!(format!("rtsp-{}", viewer.number))),
            ("stream", json!(&*viewer.stream)),
            ("protocol", json!("rtsp")),
            ("transport", json!(viewer.transport)),
            ("peer", json!(peer(viewer.peer))),
            ("agent", json!(viewer.agent.as_deref())),
            ("identified_by", json!("connection")),
            ("began_utc_ms", json!(utc_ms(viewer.joined))),
            // Its connection stands.
            ("last_seen_utc_ms", json!(utc.as_millis())),
            ("bytes", json!(viewer.bytes)),
        ]));
    }
    for (id, session) in shard.context.http.sessions().iter() {
        rows.push(object([
            ("id", json!(session.id_text(id))),
            ("stream", json!(&*session.stream)),
            ("protocol", json!(session.protocol)),
            ("peer", json!(peer(session.peer))),
            ("agent", json!(session.agent)),
            ("identified_by", json!(session.identified_by())),
            ("began_utc_ms", json!(utc_ms(session.began))),
            ("last_seen_utc_ms", json!(utc_ms(session.seen))),
            ("bytes", json!(session.bytes)),
        ]));
    }
    Answer::json(StatusCode::OK, &json!({ "sessions": rows }))
}

/// An address as people write it: IPv4 as such, however it came.
fn peer(peer: SocketAddr) -> String {
    SocketAddr::new(peer.ip().to_canonical(), peer.port()).to_string()
}

/// How many watch each stream.
fn viewers(shard: &Shard, audience: &Audience) -> BTreeMap<String, usize> {
    let mut viewers = BTreeMap::new();
    for row in &audience.rows {
        *viewers.entry(row.stream.to_string()).or_default() += 1;
    }
    for (_, session) in shard.context.http.sessions().iter() {
        *viewers.entry(session.stream.to_string()).or_default() += 1;
    }
    viewers
}

fn row(
    shard: &Shard,
    request: &Request,
    name: &str,
    stream: Option<&Stream>,
    viewers: &BTreeMap<String, usize>,
) -> Value {
    let kind = match stream {
        Some(Stream::Live(_)) => "live",
        _ => "movie",
    };
    let duration_s = match stream {
        Some(Stream::Movie(movie)) => Some(movie.duration().as_secs_f64()),
        _ => None,
    };
    let is_pattern = matches!(stream, Some(Stream::Live(live)) if live.is_pattern());
    let tracks = stream.map(|stream| stream.tracks().iter().map(track).collect::<Vec<_>>());
    object([
        ("name", json!(name)),
        ("kind", json!(kind)),
        ("duration_s", json!(duration_s)),
        ("tracks", json!(tracks)),
        ("viewers", json!(viewers.get(name).copied().unwrap_or(0))),
        ("pattern", json!(is_pattern.then_some(true))),
        ("urls", urls(shard, request, name, stream)),
    ])
}

/// The addresses at which a stream can be played. Of a movie that was not opened yet they are what
/// its file's name promises.
fn urls(shard: &Shard, request: &Request, name: &str, stream: Option<&Stream>) -> Value {
    let path = encode_path(name);
    let is_packaged = stream
        .is_none_or(|stream| stream.tracks().iter().any(|track| package::codecs(track).is_some()));
    let (is_mp4, by_rtp) = match stream {
        None => (shard.context.hub.library().is_called_mp4(name), true),
        Some(Stream::Live(_)) => (false, true),
        Some(Stream::Movie(movie)) => (movie.is_mp4(), movie.by_rtp().is_ok()),
    };
    let rtsp = shard.context.rtsp_port().filter(|_| by_rtp);
    let host = request.head.text(&HOST).map(host_alone).filter(|host| !host.is_empty());
    let host = host.map_or_else(|| own_host(request.local), str::to_owned);
    object([
        ("page", json!(format!("/{path}/"))),
        ("hls", json!(is_packaged.then(|| format!("/{path}/index.m3u8")))),
        ("dash", json!(is_packaged.then(|| format!("/{path}/manifest.mpd")))),
        ("mp4", json!(is_mp4.then(|| format!("/{path}.mp4")))),
        ("rtsp", json!(rtsp.map(|port| format!("rtsp://{host}:{port}/{path}")))),
    ])
}

/// The host of a Host field, without the port; an IPv6 address keeps its brackets.
fn host_alone(field: &str) -> &str {
    let end = field.rfind(']').map_or(0, |at| at + 1);
    match field.get(end..).and_then(|rest| rest.find(':')) {
        Some(at) => field.get(..end + at).unwrap_or(field),
        None => field,
    }
}

fn own_host(local: SocketAddr) -> String {
    match local.ip().to_canonical() {
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn track(track: &Track) -> Value {
    let codec = &track.codec;
    let kind = match codec.kind() {
        Kind::Video => "video",
        Kind::Audio => "audio",
    };
    let picture = picture(codec);
    let (sample_rate, channels) = sound(codec);
    object([
        ("kind", json!(kind)),
        ("codec", json!(codec.name().replace('.', ""))),
        ("codecs", json!(package::codecs(track))),
        ("width", json!(picture.map(|(width, _, _)| width))),
        ("height", json!(picture.map(|(_, height, _)| height))),
        ("frame_rate", json!(picture.and_then(|(_, _, rate)| rate))),
        ("sample_rate", json!(sample_rate)),
        ("channels", json!(channels)),
    ])
}

/// Width, height and the frame rate that the headers claim.
fn picture(codec: &Codec) -> Option<(u32, u32, Option<f64>)> {
    let (width, height, rate) = match codec {
        Codec::H264(config) => {
            let picture = config.picture().ok()?;
            (picture.width, picture.height, picture.frame_rate)
        }
        Codec::H265(config) => {
            let picture = config.picture().ok()?;
            (picture.width, picture.height, picture.frame_rate)
        }
        Codec::Vp8(config) => (config.width.into(), config.height.into(), None),
        Codec::Vp9(config) => (config.width.into(), config.height.into(), None),
        Codec::Av1(config) => (config.width.into(), config.height.into(), None),
        Codec::Jpeg(config) => (config.width.into(), config.height.into(), None),
        _ => return None,
    };
    (width > 0 && height > 0).then_some((width, height, rate))
}

fn sound(codec: &Codec) -> (Option<u32>, Option<u8>) {
    match codec {
        Codec::Aac(config) => (Some(config.output_rate_hz()), Some(config.channels)),
        // Whatever was encoded, it is decoded at this rate (RFC 7587 section 4.1).
        Codec::Opus(config) => (Some(48_000), Some(config.channels)),
        Codec::G711(config) => (Some(config.sample_rate_hz), Some(config.channels)),
        _ => (None, None),
    }
}

/// An object without the fields that are null: what is not known is absent.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let there = fields.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(there.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}
