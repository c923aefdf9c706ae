//! Playlists as a player reads them.

use std::collections::BTreeMap;

use weir_media::MediaTime;

/// A playlist of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Playlist {
    /// Which renditions there are (RFC 8216 section 4.3.4).
    Multivariant(Multivariant),
    /// The segments of one (section 4.3.3).
    Media(Media),
}

/// A multivariant (master) playlist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Multivariant {
    /// Variants in their order.
    pub variants: Vec<Variant>,
    /// Renditions beside them in their order.
    pub renditions: Vec<Rendition>,
}

/// `EXT-X-STREAM-INF` (section 4.3.4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variant {
    /// Its media playlist, as written.
    pub uri: String,
    /// Peak bits a second.
    pub bandwidth_bps: u64,
    /// RFC 6381 names.
    pub codecs: Option<String>,
    /// Width and height.
    pub resolution: Option<(u32, u32)>,
    /// The group of its sound.
    pub audio: Option<String>,
}

/// `EXT-X-MEDIA` (section 4.3.4.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendition {
    /// `AUDIO`, `VIDEO`, `SUBTITLES`, `CLOSED-CAPTIONS`.
    pub kind: String,
    /// Its group.
    pub group: String,
    /// Its media playlist, as written; without one it is in the variants.
    pub uri: Option<String>,
    /// What is to be played where nobody chose.
    pub is_default: bool,
}

/// A media playlist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// No segment lasts longer, rounded to whole seconds.
    pub target_duration: MediaTime,
    /// The number of the first segment.
    pub media_sequence: u64,
    /// Nothing will be added.
    pub is_ended: bool,
    /// Segments in their order.
    pub segments: Vec<Segment>,
}

/// One media segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it is, as written.
    pub uri: String,
    /// How long it lasts, as `EXTINF` says.
    pub duration: MediaTime,
    /// The part of the resource that it is: length and offset.
    pub byte_range: Option<(u64, u64)>,
    /// Its times do not follow from those before it.
    pub discontinuity: bool,
    /// Its init section (`EXT-X-MAP`): where, and which part: length and offset.
    pub map: Option<(String, Option<(u64, u64)>)>,
    /// Its `EXT-X-PROGRAM-DATE-TIME`, as written.
    pub program_date_time: Option<String>,
    /// It is missing (`EXT-X-GAP`).
    pub is_gap: bool,
}

/// Why a text is no playlist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Error {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

/// Segments that a playlist may name.
const SEGMENTS_MAX: usize = 100_000;

impl Playlist {
    /// Reads a playlist.
    ///
    /// # Errors
    /// Names the line, what is expected and what stands there. Unknown tags are passed over
    /// (section 6.3.1).
    pub fn parse(text: &str) -> Result<Playlist, Error> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = text.lines().map(str::trim_end).enumerate().map(|(i, line)| (i + 1, line));
        match lines.next() {
            Some((_, "#EXTM3U")) => {}
            first => {
                let found = first.map_or("", |(_, line)| line);
                let found = found.get(..40).unwrap_or(found);
                return Err(error(1, format!("expected #EXTM3U, got {found:?}")));
            }
        }
        let mut parser = Parser::default();
        for (number, line) in lines {
            parser.line(line).map_err(|reason| error(number, reason))?;
        }
        parser.finish()
    }
}

fn error(line: usize, reason: impl Into<String>) -> Error {
    Error { line, reason: reason.into() }
}

#[derive(Default)]
struct Parser {
    multivariant: Multivariant,
    media: Media,
    is_multivariant: bool,
    has_target: bool,
    variant: Option<Variant>,
    /// What is said of the next segment.
    duration: Option<MediaTime>,
    byte_range: Option<(u64, Option<u64>)>,
    discontinuity: bool,
    is_gap: bool,
    program_date_time: Option<String>,
    map: Option<(String, Option<(u64, u64)>)>,
    /// Where the last byte range of each resource ended.
    range_end: Option<(String, u64)>,
}

impl Parser {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() {
            return Ok(());
        }
        let Some(tag) = line.strip_prefix("#EXT") else {
            // Comments start so too.
            return if line.starts_with('#') { Ok(()) } else { self.uri(line) };
        };
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        match name {
            "INF" => {
                let duration = value.split(',').next().unwrap_or(value);
                self.duration = Some(seconds(duration)?);
            }
            "-X-TARGETDURATION" => {
                self.media.target_duration = seconds(value)?;
                self.has_target = true;
            }
            "-X-MEDIA-SEQUENCE" => self.media.media_sequence = number(value)?,
            "-X-ENDLIST" => self.media.is_ended = true,
            "-X-DISCONTINUITY" => self.discontinuity = true,
            "-X-GAP" => self.is_gap = true,
            "-X-BYTERANGE" => self.byte_range = Some(byte_range(value)?),
            "-X-PROGRAM-DATE-TIME" => self.program_date_time = Some(value.to_owned()),
            "-X-MAP" => {
                let attributes = attributes(value)?;
                let uri = attributes.get("URI").ok_or("EXT-X-MAP without URI")?;
                let range = attributes.get("BYTERANGE").map(|range| byte_range(range));
                let range = range.transpose()?.map(|(bytes, at)| (bytes, at.unwrap_or(0)));
                self.map = Some((uri.clone(), range));
            }
            "-X-KEY" => match attributes(value)?.get("METHOD").map(String::as_str) {
                Some("NONE") | None => {}
                Some(method) => return Err(format!("encrypted by {method}: not supported")),
            },
            "-X-STREAM-INF" => self.variant = Some(variant(value)?),
            "-X-MEDIA" => {
                self.is_multivariant = true;
                self.multivariant.renditions.push(rendition(value)?);
            }
            _ => {}
        }
        Ok(())
    }

    fn uri(&mut self, uri: &str) -> Result<(), String> {
        if let Some(variant) = self.variant.take() {
            self.is_multivariant = true;
            self.multivariant.variants.push(Variant { uri: uri.to_owned(), ..variant });
            return Ok(());
        }
        let duration = self.duration.take().ok_or("a segment without EXTINF before it")?;
        if self.media.segments.len() >= SEGMENTS_MAX {
            return Err(format!("more than {SEGMENTS_MAX} segments"));
        }
        let byte_range = match self.byte_range.take() {
            None => None,
            Some((bytes, Some(at))) => Some((bytes, at)),
            // It follows the range before it of the same resource (section 4.3.2.2).
            Some((bytes, None)) => match &self.range_end {
                Some((before, end)) if before == uri => Some((bytes, *end)),
                _ => return Err("EXT-X-BYTERANGE without an offset, and none before it".into()),
            },
        };
        self.range_end = byte_range.map(|(bytes, at)| (uri.to_owned(), at.saturating_add(bytes)));
        self.media.segments.push(Segment {
            uri: uri.to_owned(),
            duration,
            byte_range,
            discontinuity: std::mem::take(&mut self.discontinuity),
            map: self.map.clone(),
            program_date_time: self.program_date_time.take(),
            is_gap: std::mem::take(&mut self.is_gap),
        });
        Ok(())
    }

    fn finish(self) -> Result<Playlist, Error> {
        match (self.is_multivariant, self.has_target) {
            (true, false) => Ok(Playlist::Multivariant(self.multivariant)),
            (false, true) => Ok(Playlist::Media(self.media)),
            (true, true) => Err(error(1, "tags of both kinds of playlist")),
            (false, false) => Err(error(1, "neither EXT-X-STREAM-INF nor EXT-X-TARGETDURATION")),
        }
    }
}

fn variant(value: &str) -> Result<Variant, String> {
    let attributes = attributes(value)?;
    let bandwidth = attributes.get("BANDWIDTH").ok_or("EXT-X-STREAM-INF without BANDWIDTH")?;
    let resolution = attributes.get("RESOLUTION").and_then(|size| size.split_once('x'));
    Ok(Variant {
        uri: String::new(),
        bandwidth_bps: number(bandwidth)?,
        codecs: attributes.get("CODECS").cloned(),
        resolution: resolution.and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?))),
        audio: attributes.get("AUDIO").cloned(),
    })
}

fn rendition(value: &str) -> Result<Rendition, String> {
    let attributes = attributes(value)?;
    let get = |name: &str| attributes.get(name).cloned();
    Ok(Rendition {
        kind: get("TYPE").ok_or("EXT-X-MEDIA without TYPE")?,
        group: get("GROUP-ID").ok_or("EXT-X-MEDIA without GROUP-ID")?,
        uri: get("URI"),
        is_default: get("DEFAULT").is_some_and(|is| is == "YES"),
    })
}

/// An attribute list (section 4.2); quotes are taken off.
fn attributes(mut rest: &str) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    while !rest.is_empty() {
        let (name, after) =
            rest.split_once('=').ok_or_else(|| format!("expected NAME=VALUE, got {rest:?}"))?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, after) =
                    quoted.split_once('"').ok_or_else(|| format!("{name}: a quote is missing"))?;
                (value, after.strip_prefix(',').unwrap_or(after))
            }
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.insert(name.trim().to_owned(), value.to_owned());
        rest = after;
    }
    Ok(found)
}

fn number(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("expected a number, got {text:?}"))
}

/// Seconds, whole or with a fraction (section 4.2), exact to the nanosecond.
fn seconds(text: &str) -> Result<MediaTime, String> {
    let wrong = || format!("expected seconds, got {text:?}");
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return Err(wrong());
    }
    let fraction = fraction.get(..9).unwrap_or(fraction);
    let nanos = format!("{fraction:0<9}").parse::<i64>().map_err(|_| wrong())?;
    let whole = whole.parse::<i64>().map_err(|_| wrong())?;
    let total = whole.checked_mul(1_000_000_000).and_then(|whole| whole.checked_add(nanos));
    total.map(MediaTime::from_nanos).ok_or_else(wrong)
}

/// Length and, if it is there, offset.
fn byte_range(text: &str) -> Result<(u64, Option<u64>), String> {
    match text.split_once('@') {
        Some((bytes, at)) => Ok((number(bytes)?, Some(number(at)?))),
        None => Ok((number(text)?, None)),
    }
}

/// `data` as a playlist.
#[doc(hidden)]
pub fn fuzz_hls_playlist(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        match Playlist::parse(text) {
            Ok(Playlist::Media(media)) => assert!(media.segments.len() <= SEGMENTS_MAX),
            Ok(Playlist::Multivariant(_)) => {}
            Err(error) => drop(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_playlist_is_read() {
        let text = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\r\n#EXT-X-MEDIA-SEQUENCE:7\n\
                    #EXT-X-MAP:URI=\"i,x.mp4\",BYTERANGE=\"9@3\"\n#EXTINF:4.004,a, b\ns7.m4s\n\
                    # a comment\n#EXT-X-DISCONTINUITY\n#EXT-X-BYTERANGE:100@20\n#EXTINF:3\nall.m4s\n\
                    #EXT-X-BYTERANGE:50\n#EXTINF:1.5,\nall.m4s\n#EXT-X-ENDLIST\n";
        let Playlist::Media(media) = Playlist::parse(text).unwrap() else { panic!("media") };
        assert_eq!((media.media_sequence, media.is_ended), (7, true));
        assert_eq!(media.segments[0].duration, MediaTime::from_nanos(4_004_000_000));
        assert_eq!(media.segments[0].map, Some(("i,x.mp4".into(), Some((9, 3)))));
        let ranges: Vec<_> = media.segments.iter().map(|segment| segment.byte_range).collect();
        assert_eq!(ranges, [None, Some((100, 20)), Some((50, 120))]);
        assert!(media.segments[1].discontinuity && !media.segments[2].discontinuity);
    }

    #[test]
    fn a_multivariant_playlist_is_read() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x\",DEFAULT=YES,URI=\"a.m3u8\"\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=900,CODECS=\"avc1.64001F,mp4a.40.2\",RESOLUTION=640x360,\
                    AUDIO=\"a\"\nv.m3u8\n";
        let Playlist::Multivariant(found) = Playlist::parse(text).unwrap() else { panic!("kind") };
        assert_eq!(found.variants[0].uri, "v.m3u8");
        assert_eq!(found.variants[0].resolution, Some((640, 360)));
        assert_eq!(found.variants[0].codecs.as_deref(), Some("avc1.64001F,mp4a.40.2"));
        assert_eq!(found.renditions[0].uri.as_deref(), Some("a.m3u8"));
        assert!(found.renditions[0].is_default);
    }

    #[test]
    fn what_is_no_playlist_is_refused_with_its_line() {
        let message = |text: &str| Playlist::parse(text).unwrap_err().to_string();
        assert_eq!(message("<html>"), "line 1: expected #EXTM3U, got \"<html>\"");
        assert_eq!(message("#EXTM3U\n#EXTINF:x,\n"), "line 2: expected seconds, got \"x\"");
        assert!(message("#EXTM3U\ns.ts\n").starts_with("line 2: a segment without EXTINF"));
        assert!(message("#EXTM3U\n").contains("neither"));
        let key = "#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n";
        assert_eq!(message(key), "line 2: encrypted by AES-128: not supported");
    }
}
