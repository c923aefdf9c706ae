//! HTTP Live Streaming (RFC 8216): playlists written from plain structs.
//!
//! [`Multivariant`] names the renditions of a stream, [`Media`] the segments of one of them. Both
//! are of the protocol version that fragmented MP4 needs. [`read`] is the way back, for players.

mod media;
mod multivariant;
pub mod read;
#[cfg(test)]
mod tests;

pub use media::{Media, MediaKind, Segment, rounded_s};
pub use multivariant::{Multivariant, Rendition, Variant, peak_bit_rate};

/// How playlists are named to the client (RFC 8216 section 4).
pub const CONTENT_TYPE: &str = "application/vnd.apple.mpegurl";

/// EXT-X-MAP in playlists of whole segments needs 6 (RFC 8216 section 7).
const VERSION: u8 = 6;

/// A quoted-string (RFC 8216 section 4.2), which cannot hold line ends and quotes.
fn quoted(text: &str) -> String {
    let kept = text.chars().filter(|c| !matches!(c, '"' | '\r' | '\n'));
    format!("\"{}\"", kept.collect::<String>())
}
