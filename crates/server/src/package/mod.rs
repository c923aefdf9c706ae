//! Packaging for HLS (RFC 8216) and DASH (ISO/IEC 23009-1): playlists, descriptions and CMAF
//! segments of movies and live streams, made when somebody asks and written to no file.

mod live;
mod movie;
mod segmenter;
pub(crate) mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use weir_media::{Codec, Track};
use weir_net::Host;

use crate::cache::{Cache, Weighed};
use crate::hub::{Hub, Stream};

pub(crate) use live::Package;

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) content_type: &'static str,
    /// How long it may be kept; `None` means that it is to be asked for anew each time.
    pub(crate) max_age_s: Option<u32>,
    /// Names this version of it, as the ETag header has it: in quotes.
    pub(crate) etag: Option<String>,
    /// Its bytes, in pieces.
    pub(crate) body: Vec<Bytes>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is nothing at this address, or not any more.
    NotFound,
    /// No track of the stream can go this way; the text says why.
    NotCarried(String),
    /// It should be there and cannot be read.
    Failed(crate::Error),
}

/// What stands at `path` below the address of a stream: `index.m3u8`, `manifest.mpd`,
/// `video/index.m3u8`, `video/init.mp4`, `video/17.m4s` and the like. Of `query`, a session
/// (`session=TOKEN`) goes on to the addresses in playlists.
pub(crate) async fn resource(
    hub: &Arc<Hub>,
    host: &Host,
    stream: &Stream,
    path: &str,
    query: Option<&str>,
) -> Result<Resource, Refusal> {
    let place = Place::read(path).ok_or(Refusal::NotFound)?;
    let session = session(query);
    match stream {
        Stream::Movie(movie) => movie::resource(hub, host, movie, place, session).await,
        Stream::Live(live) => live::resource(host, live, place, session).await,
    }
}

/// The RFC 6381 name of a track's codec; `None` where there is none in use.
pub(crate) fn codecs(track: &Track) -> Option<String> {
    match &track.codec {
        Codec::H264(config) => Some(config.codec_string()),
        Codec::H265(config) => config.codec_string().ok(),
        Codec::Vp8(_) => Some("vp8".to_owned()),
        Codec::Vp9(config) => Some(config.codec_string()),
        Codec::Av1(config) => config.codec_string().ok(),
        Codec::Aac(config) => Some(config.codec_string()),
        Codec::Opus(config) => Some(config.codec_string().to_owned()),
        _ => None,
    }
}

/// The RFC 6381 name of a track that segments carry, or why they do not carry it.
fn carried(track: &Track) -> Result<String, String> {
    let name = track.codec.name();
    match &track.codec {
        Codec::Vp8(_) | Codec::Jpeg(_) | Codec::G711(_) => {
            Err(format!("{name} is not carried by HLS and DASH: browsers do not play it in MP4"))
        }
        _ => codecs(track).ok_or_else(|| {
            format!("{name} is not carried by HLS and DASH: its parameter sets cannot be read")
        }),
    }
}

/// What an address asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place<'a> {
    Multivariant,
    Mpd,
    /// The media playlist in a folder.
    Playlist(&'a str),
    /// The initialization segment with this number in a folder, from 1.
    Init(&'a str, u64),
    /// The segment with this number in a folder.
    Segment(&'a str, u64),
}

impl<'a> Place<'a> {
    fn read(path: &'a str) -> Option<Self> {
        match path {
            "index.m3u8" => return Some(Place::Multivariant),
            "manifest.mpd" => return Some(Place::Mpd),
            _ => {}
        }
        let (folder, file) = path.split_once('/')?;
        match file {
            "index.m3u8" => return Some(Place::Playlist(folder)),
            "init.mp4" => return Some(Place::Init(folder, 1)),
            _ => {}
        }
        if let Some(number) = file.strip_suffix(".m4s") {
            return Some(Place::Segment(folder, number_of(number)?));
        }
        let number = file.strip_prefix("init-")?.strip_suffix(".mp4")?;
        Some(Place::Init(folder, number_of(number)?))
    }
}

/// A number as we write it: each has one address.
fn number_of(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Where an initialization segment is in its folder.
fn init_name(number: u64) -> String {
    if number <= 1 { "init.mp4".to_owned() } else { format!("init-{number}.mp4") }
}

/// The session of a query, as the end of an address: `?session=TOKEN`; empty without one.
fn session(query: Option<&str>) -> String {
    let token = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .find_map(|part| part.strip_prefix("session="))
        .filter(|token| (1..=SESSION_BYTES_MAX).contains(&token.len()))
        .filter(|token| token.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    token.map_or_else(String::new, |token| format!("?session={token}"))
}

const SESSION_BYTES_MAX: usize = 64;

fn playlist(content_type: &'static str, text: String, etag: Option<String>) -> Resource {
    Resource { content_type, max_age_s: None, etag, body: vec![Bytes::from(text)] }
}

/// The type of segments of pictures and of sound.
fn segment_type(track: &Track) -> &'static str {
    match track.codec.kind() {
        weir_media::Kind::Video => "video/mp4",
        weir_media::Kind::Audio => "audio/mp4",
    }
}

/// Segments of movies, by the version of the file, the track and the segment's number.
pub(crate) type Segments = Cache<(u64, u8, usize), Packed>;

/// A segment, packed.
pub(crate) struct Packed {
    pieces: Vec<Bytes>,
    /// What it costs to keep.
    bytes: usize,
}

impl Weighed for Packed {
    fn bytes(&self) -> usize {
        self.bytes
    }
}
