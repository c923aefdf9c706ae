//! Media playlists (RFC 8216 section 4.3.3).

use std::fmt::Write as _;

use weir_media::MediaTime;
use weir_time::Utc;

use super::{VERSION, quoted};

/// What a playlist is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// A whole movie; the playlist never changes (EXT-X-PLAYLIST-TYPE:VOD).
    Vod,
    /// A live stream from its first segment on; segments are only added.
    Event,
    /// A live stream's last few segments.
    Live,
}

/// A media playlist.
#[derive(Clone, Debug)]
pub struct Media {
    /// What it is of.
    pub kind: MediaKind,
    /// What no segment's duration exceeds once rounded to whole seconds (section 4.3.3.1). `None`
    /// takes the least that is true, which a live playlist may not: it must never change.
    pub target_duration_s: Option<u64>,
    /// The number of the first segment (section 4.3.3.2).
    pub media_sequence: u64,
    /// How many discontinuities were before the first segment (section 4.3.3.3).
    pub discontinuity_sequence: u64,
    /// Every segment can be decoded without those before it (section 4.3.5.1).
    pub independent_segments: bool,
    /// The segments, first to last.
    pub segments: Vec<Segment>,
    /// None will follow (section 4.3.3.4).
    pub ended: bool,
}

/// A media segment in a playlist (section 4.3.2).
#[derive(Clone, Debug)]
pub struct Segment {
    /// Where it is.
    pub uri: String,
    /// Where its initialization segment is (EXT-X-MAP).
    pub map_uri: String,
    /// How long it lasts (EXTINF).
    pub duration: MediaTime,
    /// It does not go on where the one before it ended.
    pub discontinuity: bool,
    /// When its first frame was captured, or came.
    pub program_date_time: Option<Utc>,
}

impl Media {
    /// The playlist's text.
    pub fn write(&self) -> String {
        let mut out = String::with_capacity(256 + 48 * self.segments.len());
        let _ = writeln!(out, "#EXTM3U\n#EXT-X-VERSION:{VERSION}");
        let _ = writeln!(out, "#EXT-X-TARGETDURATION:{}", self.target_duration_s());
        match self.kind {
            MediaKind::Vod => out.push_str("#EXT-X-PLAYLIST-TYPE:VOD\n"),
            MediaKind::Event => out.push_str("#EXT-X-PLAYLIST-TYPE:EVENT\n"),
            MediaKind::Live => {}
        }
        let _ = writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{}", self.media_sequence);
        if self.discontinuity_sequence > 0 {
            let sequence = self.discontinuity_sequence;
            let _ = writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{sequence}");
        }
        if self.independent_segments {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        let mut map: Option<&str> = None;
        for segment in &self.segments {
            segment.write(&mut out, map != Some(&segment.map_uri));
            map = Some(&segment.map_uri);
        }
        if self.ended {
            out.push_str("#EXT-X-ENDLIST\n");
        }
        out
    }

    fn target_duration_s(&self) -> u64 {
        let least = || self.segments.iter().map(|segment| rounded_s(segment.duration)).max();
        // A target of 0 would have clients ask without a pause.
        self.target_duration_s.or_else(least).unwrap_or(1).max(1)
    }
}

impl Segment {
    fn write(&self, out: &mut String, with_map: bool) {
        if self.discontinuity {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if with_map {
            let _ = writeln!(out, "#EXT-X-MAP:URI={}", quoted(&self.map_uri));
        }
        if let Some(utc) = self.program_date_time {
            let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", utc.to_iso_8601());
        }
        let nanos = self.duration.as_nanos().max(0);
        let (whole_s, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        let _ = writeln!(out, "#EXTINF:{whole_s}.{rest:09},\n{}", self.uri);
    }
}

/// A duration rounded to the nearest second, as it is compared with the target duration (section
/// 4.3.3.1).
pub fn rounded_s(duration: MediaTime) -> u64 {
    u64::try_from(duration.as_nanos().saturating_add(500_000_000) / 1_000_000_000).unwrap_or(0)
}
