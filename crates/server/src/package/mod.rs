//! Packaging for HTTP. Nothing is packaged yet.

use std::sync::Arc;

use bytes::Bytes;
use weir_media::{Codec, Track};
use weir_net::Host;

use crate::hub::{Hub, Stream};

/// A part of a stream as HTTP carries it.
pub(crate) struct Resource {
    pub(crate) content_type: &'static str,
    /// How long it may be kept; `None`: it is asked for anew each time.
    pub(crate) max_age_s: Option<u32>,
    /// Its entity tag, with quotes.
    pub(crate) etag: Option<String>,
    pub(crate) body: Vec<Bytes>,
}

/// Why there is none.
#[allow(dead_code, reason = "nothing is packaged yet")]
pub(crate) enum Refusal {
    NotFound,
    /// The codec or container cannot go this way; the text says why.
    NotCarried(String),
    Failed(crate::Error),
}

/// `path` is what stands below `/NAME/`.
pub(crate) async fn resource(
    _hub: &Arc<Hub>,
    _host: &Host,
    _stream: &Stream,
    _path: &str,
    _query: Option<&str>,
) -> Result<Resource, Refusal> {
    Err(Refusal::NotFound)
}

/// The RFC 6381 name of a track's codec.
pub(crate) fn codecs(track: &Track) -> Option<String> {
    match &track.codec {
        Codec::H264(config) => Some(config.codec_string()),
        Codec::H265(config) => config.codec_string().ok(),
        Codec::Aac(config) => Some(config.codec_string()),
        Codec::Opus(_) => Some("opus".to_owned()),
        _ => None,
    }
}
