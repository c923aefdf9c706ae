//! Where frames come from: HLS, DASH, or a movie file by ranges.

mod progressive;

use std::time::Duration;

use bytes::Bytes;
use weir_dial::http::{Client, Error, Range, Times};
use weir_media::{Frame, MediaTime, Track};
use weir_net::Host;
use weir_proto::dash::read::{self as dash, Mpd};
use weir_proto::hls::read::{self as hls, Media, Multivariant, Playlist};
use weir_proto::http::url::{self, Url};
use weir_time::Instant;

use super::segment::{demux, move_to};
use progressive::ProgressiveFeed;

/// What an address turned out to be.
pub(super) struct Presentation {
    /// `hls`, `dash` or `progressive`.
    pub(super) kind: &'static str,
    pub(super) is_live: bool,
    /// How long it lasts, if that is known.
    pub(super) duration: Option<MediaTime>,
    /// One for each thing that is fetched by itself.
    pub(super) feeds: Vec<Feed>,
    /// What is odd about it.
    pub(super) warnings: Vec<String>,
    /// How the first request went.
    pub(super) times: Times,
}

/// Gives the pieces of one rendition in their order.
pub(super) enum Feed {
    Hls(Box<HlsFeed>),
    Dash(Box<DashFeed>),
    Progressive(Box<ProgressiveFeed>),
}

/// A segment, or a group of pictures of a movie file, that has come.
pub(super) struct Piece {
    pub(super) tracks: Vec<Track>,
    pub(super) frames: Vec<Frame>,
    pub(super) number: u64,
    pub(super) duration: MediaTime,
    pub(super) bytes: u64,
    pub(super) times: Times,
    pub(super) done_at: Instant,
}

/// Why nothing more comes of a rendition.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error(transparent)]
    Http(#[from] Error),
    #[error("{url}: {source}")]
    Playlist { url: Url, source: hls::Error },
    #[error("{url}: {source}")]
    Mpd { url: Url, source: dash::Error },
    #[error(transparent)]
    Reference(#[from] url::Error),
    #[error("{url}: {source}")]
    Media { url: Url, source: weir_media::Error },
    #[error("{url}: {reason}")]
    Other { url: Url, reason: String },
}

/// A playlist or a description may be so long.
const TEXT_BYTES_MAX: usize = 8 << 20;
/// A segment may be so long.
const SEGMENT_BYTES_MAX: usize = 256 << 20;
/// How far from the end of a live playlist a player starts (RFC 8216 section 6.3.3).
const LIVE_SEGMENTS_BEHIND: usize = 3;
/// How often a live description is read again where it does not say.
const LIVE_UPDATE: Duration = Duration::from_secs(2);
/// How often a live playlist may be found unchanged before it counts as dead.
const UNCHANGED_MAX: u32 = 20;

/// Looks what stands at an address.
pub(super) async fn open(
    client: &mut Client,
    url: &Url,
    from: Option<MediaTime>,
) -> Result<Presentation, Failed> {
    let mut answer = client.get(url, None).await?;
    let (found_at, times) = (answer.url.clone(), answer.times);
    let whole = answer.head.field("content-length").and_then(|length| length.parse().ok());
    let mut start = answer.next().await?.unwrap_or_default();
    let text = match start.iter().find(|byte| !byte.is_ascii_whitespace()) {
        _ if start.starts_with(b"#EXTM3U") || start.starts_with(b"\xef\xbb\xbf#EXTM3U") => true,
        Some(b'<') => true,
        _ => false,
    };
    if !text {
        drop(answer);
        let other = |reason: &str| Failed::Other { url: url.clone(), reason: reason.into() };
        let whole =
            whole.ok_or_else(|| other("a movie file of unknown length cannot be played"))?;
        return ProgressiveFeed::open(client, &found_at, whole, times, from).await;
    }
    while let Some(more) = answer.next().await? {
        if start.len() + more.len() > TEXT_BYTES_MAX {
            return Err(Error::TooLarge { url: found_at, bytes_max: TEXT_BYTES_MAX }.into());
        }
        start = [start, more].concat().into();
    }
    drop(answer);
    let text = String::from_utf8_lossy(&start);
    let head = text.trim_start().get(..9).unwrap_or_default().to_ascii_lowercase();
    if head.starts_with("<!doctype") || head.starts_with("<html") {
        let reason = "this is an html page: expected a playlist, a description or a movie, such as \
                      http://HOST:8080/NAME/index.m3u8";
        return Err(Failed::Other { url: found_at, reason: reason.into() });
    }
    match text.trim_start().starts_with('<') {
        true => open_dash(&text, &found_at, times, from),
        false => open_hls(client, &text, &found_at, times, from).await,
    }
}

async fn open_hls(
    client: &mut Client,
    text: &str,
    url: &Url,
    times: Times,
    from: Option<MediaTime>,
) -> Result<Presentation, Failed> {
    let wrong = |source| Failed::Playlist { url: url.clone(), source };
    let mut warnings = Vec::new();
    let media = match Playlist::parse(text).map_err(wrong)? {
        Playlist::Media(media) => vec![(url.clone(), media)],
        Playlist::Multivariant(all) => {
            let mut media = Vec::new();
            for uri in chosen(&all, &mut warnings) {
                let url = url.join(&uri)?;
                media.push(fetch_playlist(client, &url).await?);
            }
            media
        }
    };
    if media.is_empty() {
        return Err(Failed::Other { url: url.clone(), reason: "it names no variant".into() });
    }
    let is_live = media.iter().any(|(_, media)| !media.is_ended);
    let length = |media: &Media| {
        media.segments.iter().fold(MediaTime::ZERO, |sum, segment| sum + segment.duration)
    };
    let duration = media.iter().map(|(_, media)| length(media)).max();
    let feeds = media.into_iter().map(|(url, media)| {
        let mut feed = HlsFeed::new(url, media);
        if let Some(from) = from.filter(|_| !is_live) {
            feed.seek(from);
        }
        Feed::Hls(Box::new(feed))
    });
    Ok(Presentation {
        kind: "hls",
        is_live,
        duration: duration.filter(|_| !is_live),
        feeds: feeds.collect(),
        warnings,
        times,
    })
}

/// The first variant, and the sound that goes with it.
fn chosen(all: &Multivariant, warnings: &mut Vec<String>) -> Vec<String> {
    let Some(variant) = all.variants.first() else {
        return Vec::new();
    };
    if all.variants.len() > 1 {
        let count = all.variants.len();
        let rate = variant.bandwidth_bps as f64 / 1e6;
        warnings.push(format!("the first of {count} variants is played, of {rate:.3} Mbit/s"));
    }
    let in_group = |kind: &str, group: &str| {
        let all = all.renditions.iter().filter(|r| r.kind == kind && r.group == group);
        let all: Vec<_> = all.collect();
        all.iter().find(|r| r.is_default).or(all.first()).and_then(|r| r.uri.clone())
    };
    let audio = variant.audio.as_ref().and_then(|group| in_group("AUDIO", group));
    std::iter::once(variant.uri.clone()).chain(audio.filter(|uri| *uri != variant.uri)).collect()
}

async fn fetch_playlist(client: &mut Client, url: &Url) -> Result<(Url, Media), Failed> {
    let (text, found_at, _) = client.fetch(url, None, TEXT_BYTES_MAX).await?;
    let text = String::from_utf8_lossy(&text);
    match Playlist::parse(&text) {
        Ok(Playlist::Media(media)) => Ok((found_at, media)),
        Ok(Playlist::Multivariant(_)) => {
            let reason = "expected a media playlist, got a multivariant one".into();
            Err(Failed::Other { url: found_at, reason })
        }
        Err(source) => Err(Failed::Playlist { url: found_at, source }),
    }
}

/// A media playlist that is played segment by segment.
pub(super) struct HlsFeed {
    url: Url,
    media: Media,
    /// The number of the segment that comes next.
    next: u64,
    /// Where it starts, for segments whose times are relative.
    start: MediaTime,
    init: InitSection,
    unchanged: u32,
}

/// The init section that was fetched last.
#[derive(Default)]
struct InitSection {
    of: Option<(Url, Option<Range>)>,
    bytes: Bytes,
}

impl InitSection {
    async fn fetch(
        &mut self,
        client: &mut Client,
        url: Url,
        range: Option<Range>,
    ) -> Result<(), Failed> {
        if self.of.as_ref() != Some(&(url.clone(), range)) {
            self.bytes = client.fetch(&url, range, SEGMENT_BYTES_MAX).await?.0;
            self.of = Some((url, range));
        }
        Ok(())
    }
}

impl HlsFeed {
    fn new(url: Url, media: Media) -> Self {
        let behind = if media.is_ended { usize::MAX } else { LIVE_SEGMENTS_BEHIND };
        let first = media.segments.len().saturating_sub(behind) as u64;
        let next = media.media_sequence + first;
        let start = MediaTime::ZERO;
        HlsFeed { url, media, next, start, init: InitSection::default(), unchanged: 0 }
    }

    /// Goes on with the segment that holds a place. Of a playlist that has ended.
    fn seek(&mut self, to: MediaTime) {
        let mut start = MediaTime::ZERO;
        let mut index = 0;
        for segment in &self.media.segments {
            if start + segment.duration > to {
                break;
            }
            start = start + segment.duration;
            index += 1;
        }
        (self.next, self.start) = (self.media.media_sequence + index, start);
    }

    async fn next(&mut self, host: &Host, client: &mut Client) -> Result<Option<Piece>, Failed> {
        loop {
            if self.next < self.media.media_sequence {
                // It left the window.
                self.next = self.media.media_sequence;
            }
            let index = usize::try_from(self.next - self.media.media_sequence).ok();
            let segment = index.and_then(|index| self.media.segments.get(index)).cloned();
            let Some(segment) = segment else {
                if self.media.is_ended {
                    return Ok(None);
                }
                self.reload(host, client).await?;
                continue;
            };
            let number = self.next;
            self.next += 1;
            let start = self.start;
            self.start = start + segment.duration;
            if segment.is_gap {
                continue;
            }
            if let Some((uri, range)) = &segment.map {
                let range = range.map(part);
                self.init.fetch(client, self.url.join(uri)?, range).await?;
            }
            let url = self.url.join(&segment.uri)?;
            let range = segment.byte_range.map(part);
            let piece = fetch_piece(host, client, &url, range, &self.init.bytes).await;
            return match piece {
                Ok((mut piece, is_relative)) => {
                    (piece.number, piece.duration) = (number, segment.duration);
                    if is_relative {
                        move_to(&mut piece.frames, start);
                    }
                    Ok(Some(piece))
                }
                // It is to be asked for again.
                Err(failed) => {
                    (self.next, self.start) = (number, start);
                    Err(failed)
                }
            };
        }
    }

    /// RFC 8216 section 6.3.4.
    async fn reload(&mut self, host: &Host, client: &mut Client) -> Result<(), Failed> {
        let target = self.media.target_duration.to_duration().max(Duration::from_millis(200));
        let wait = if self.unchanged == 0 { target / 2 } else { target / 4 };
        host.sleep(wait.min(Duration::from_secs(10))).await;
        let before = (self.media.media_sequence, self.media.segments.len(), self.media.is_ended);
        (_, self.media) = fetch_playlist(client, &self.url).await?;
        let after = (self.media.media_sequence, self.media.segments.len(), self.media.is_ended);
        self.unchanged = if before == after { self.unchanged + 1 } else { 0 };
        if self.unchanged >= UNCHANGED_MAX {
            let reason = format!("the live playlist has not changed {UNCHANGED_MAX} times");
            return Err(Failed::Other { url: self.url.clone(), reason });
        }
        // A publisher that began anew counts from 0 again.
        let head = self.media.media_sequence + self.media.segments.len() as u64;
        if self.next > head {
            self.next = head.saturating_sub(LIVE_SEGMENTS_BEHIND as u64);
            self.next = self.next.max(self.media.media_sequence);
        }
        Ok(())
    }
}

/// Length and offset as a range.
fn part((bytes, at): (u64, u64)) -> Range {
    Range { first: at, last: Some(at.saturating_add(bytes).saturating_sub(1)) }
}

async fn fetch_piece(
    host: &Host,
    client: &mut Client,
    url: &Url,
    range: Option<Range>,
    init: &Bytes,
) -> Result<(Piece, bool), Failed> {
    let (content, found_at, times) = client.fetch(url, range, SEGMENT_BYTES_MAX).await?;
    let done_at = host.now();
    let bytes = content.len() as u64;
    let found =
        demux(init, content, done_at).map_err(|source| Failed::Media { url: found_at, source })?;
    let piece = Piece {
        tracks: found.tracks,
        frames: found.frames,
        number: 0,
        duration: MediaTime::ZERO,
        bytes,
        times,
        done_at,
    };
    Ok((piece, found.is_relative))
}

fn open_dash(
    text: &str,
    url: &Url,
    times: Times,
    from: Option<MediaTime>,
) -> Result<Presentation, Failed> {
    let mpd = parse_mpd(text, url)?;
    let mut warnings = Vec::new();
    if mpd.periods.len() > 1 {
        warnings.push(format!("the first of {} periods is played", mpd.periods.len()));
    }
    let period = mpd.periods.first();
    let sets = period.map(|period| period.sets.as_slice()).unwrap_or_default();
    let wanted = |kind: &str| {
        sets.iter().position(|set| set.content_type == kind && !set.representations.is_empty())
    };
    let feeds = [wanted("video"), wanted("audio")].into_iter().flatten().map(|set| {
        let next = if mpd.is_live { Next::Live } else { Next::At(from.unwrap_or_default()) };
        let (url, mpd, init) = (url.clone(), mpd.clone(), InitSection::default());
        Feed::Dash(Box::new(DashFeed { url, mpd, set, next, init, number: 0, unchanged: 0 }))
    });
    let feeds: Vec<Feed> = feeds.collect();
    if feeds.is_empty() {
        let reason = "it names neither picture nor sound that can be played".into();
        return Err(Failed::Other { url: url.clone(), reason });
    }
    let duration = mpd.duration.filter(|_| !mpd.is_live);
    Ok(Presentation { kind: "dash", is_live: mpd.is_live, duration, feeds, warnings, times })
}

fn parse_mpd(text: &str, url: &Url) -> Result<Mpd, Failed> {
    Mpd::parse(text, url).map_err(|source| Failed::Mpd { url: url.clone(), source })
}

/// The first representation of an adaptation set.
pub(super) struct DashFeed {
    url: Url,
    mpd: Mpd,
    set: usize,
    next: Next,
    init: InitSection,
    number: u64,
    unchanged: u32,
}

/// The segment that comes next.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// The third from the end.
    Live,
    /// The one that holds this place.
    At(MediaTime),
    /// The first that starts here or later.
    From(MediaTime),
}

impl DashFeed {
    async fn next(&mut self, host: &Host, client: &mut Client) -> Result<Option<Piece>, Failed> {
        loop {
            let period = self.mpd.periods.first();
            let set = period.and_then(|period| period.sets.get(self.set));
            let Some(own) = set.and_then(|set| set.representations.first()).cloned() else {
                let reason = "its adaptation sets have changed".into();
                return Err(Failed::Other { url: self.url.clone(), reason });
            };
            let Some(segment) = self.next.of(&own.segments).cloned() else {
                if !self.mpd.is_live {
                    return Ok(None);
                }
                self.reload(host, client).await?;
                continue;
            };
            let range = |range: Option<(u64, u64)>| {
                range.map(|(first, last)| Range { first, last: Some(last) })
            };
            if let Some(init) = &own.initialization {
                self.init.fetch(client, init.url.clone(), range(init.range)).await?;
            }
            let part = &segment.part;
            let (mut piece, _) =
                fetch_piece(host, client, &part.url, range(part.range), &self.init.bytes).await?;
            for frame in &mut piece.frames {
                frame.pts = frame.pts - own.presentation_time_offset;
                frame.dts = frame.dts.map(|dts| dts - own.presentation_time_offset);
            }
            (piece.number, piece.duration) = (self.number, segment.duration);
            self.number += 1;
            self.next = Next::From(segment.start + segment.duration);
            return Ok(Some(piece));
        }
    }

    async fn reload(&mut self, host: &Host, client: &mut Client) -> Result<(), Failed> {
        let wait = self.mpd.minimum_update_period.map_or(LIVE_UPDATE, MediaTime::to_duration);
        host.sleep(wait.clamp(Duration::from_millis(200), Duration::from_secs(10))).await;
        let (text, _, _) = client.fetch(&self.url, None, TEXT_BYTES_MAX).await?;
        let mpd = parse_mpd(&String::from_utf8_lossy(&text), &self.url)?;
        self.unchanged = if mpd == self.mpd { self.unchanged + 1 } else { 0 };
        if self.unchanged >= UNCHANGED_MAX {
            let reason = format!("the live description has not changed {UNCHANGED_MAX} times");
            return Err(Failed::Other { url: self.url.clone(), reason });
        }
        self.mpd = mpd;
        Ok(())
    }
}

impl Next {
    fn of(self, segments: &[dash::Segment]) -> Option<&dash::Segment> {
        match self {
            Next::Live => segments.get(segments.len().saturating_sub(LIVE_SEGMENTS_BEHIND)),
            Next::At(place) => {
                segments.iter().find(|segment| segment.start + segment.duration > place)
            }
            // Rounded ends and starts may differ by a tick.
            Next::From(place) => {
                let slack = |segment: &dash::Segment| segment.duration.as_nanos() / 2;
                let at = |s: &dash::Segment| s.start + MediaTime::from_nanos(slack(s));
                segments.iter().find(|segment| at(segment) >= place)
            }
        }
    }
}

impl Feed {
    /// The next piece; `None` at the end.
    pub(super) async fn next(
        &mut self,
        host: &Host,
        client: &mut Client,
    ) -> Result<Option<Piece>, Failed> {
        match self {
            Feed::Hls(feed) => feed.next(host, client).await,
            Feed::Dash(feed) => feed.next(host, client).await,
            Feed::Progressive(feed) => feed.next(host, client).await,
        }
    }

    /// Goes on with the piece that holds a place.
    pub(super) fn seek(&mut self, to: MediaTime) {
        match self {
            Feed::Hls(feed) => feed.seek(to),
            Feed::Dash(feed) => feed.next = Next::At(to),
            Feed::Progressive(feed) => feed.next = feed.movie.gop_at(to),
        }
    }
}

impl Failed {
    /// Whether asking once more may help.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Failed::Http(error) if error.is_passing())
    }
}
