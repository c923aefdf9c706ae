//! A movie file that is fetched by ranges.

use bytes::Bytes;
use weir_dial::http::{Client, Error, Times};
use weir_media::MediaTime;
use weir_media::movie::{Movie, Opener, Sample, Step};
use weir_net::Host;
use weir_proto::http::url::Url;

use super::{Failed, Feed, Piece, Presentation, SEGMENT_BYTES_MAX, part};

/// A movie file whose index is read by ranges, and then group after group of pictures.
pub(in crate::http) struct ProgressiveFeed {
    url: Url,
    pub(super) movie: Movie,
    pub(super) next: u32,
}

impl ProgressiveFeed {
    pub(super) async fn open(
        client: &mut Client,
        url: &Url,
        whole: u64,
        times: Times,
        from: Option<MediaTime>,
    ) -> Result<Presentation, Failed> {
        let wrong = |source| Failed::Media { url: url.clone(), source };
        let mut opener = Opener::new(whole);
        let movie = loop {
            match opener.poll().map_err(wrong)? {
                Step::Done(movie) => break *movie,
                Step::Need { offset, bytes } => {
                    let (part, _, _) = fetch_range(client, url, offset, bytes).await?;
                    opener.feed(offset, part).map_err(wrong)?;
                }
            }
        };
        let warnings = movie.warnings().to_vec();
        let duration = Some(movie.duration());
        let next = from.map_or(0, |from| movie.gop_at(from));
        let feed = ProgressiveFeed { url: url.clone(), movie, next };
        let feeds = vec![Feed::Progressive(Box::new(feed))];
        Ok(Presentation { kind: "progressive", is_live: false, duration, feeds, warnings, times })
    }

    pub(super) async fn next(
        &mut self,
        host: &Host,
        client: &mut Client,
    ) -> Result<Option<Piece>, Failed> {
        if self.next >= self.movie.gops() {
            return Ok(None);
        }
        let gop = self.next;
        let mut parts = Vec::new();
        let mut times: Option<Times> = None;
        for extent in self.movie.gop_extents(gop) {
            let length = extent.end - extent.start;
            let (content, _, part) = fetch_range(client, &self.url, extent.start, length).await?;
            times.get_or_insert(part);
            parts.push((extent.start, content));
        }
        let done_at = host.now();
        let wrong = |source| Failed::Media { url: self.url.clone(), source };
        let mut frames = Vec::new();
        for sample in self.movie.gop_samples(gop) {
            let bytes = bytes_of(&parts, &sample);
            frames.push(self.movie.frame(&sample, bytes, done_at).map_err(wrong)?);
        }
        self.next += 1;
        let asked_at = times.map_or(done_at, |times| times.asked_at);
        let fallback = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
        let times = times.unwrap_or(Times {
            connected_in: None,
            peer: fallback,
            asked_at,
            answered_at: done_at,
        });
        Ok(Some(Piece {
            tracks: self.movie.tracks().to_vec(),
            frames,
            number: gop.into(),
            duration: self.movie.gop_start(gop + 1) - self.movie.gop_start(gop),
            bytes: parts.iter().map(|(_, part)| part.len() as u64).sum(),
            times,
            done_at,
        }))
    }
}

fn bytes_of(parts: &[(u64, Bytes)], sample: &Sample) -> Bytes {
    let part = parts.iter().find_map(|(start, part)| {
        let from = usize::try_from(sample.offset.checked_sub(*start)?).ok()?;
        let to = from.checked_add(sample.bytes as usize)?;
        part.get(from..to).map(|_| part.slice(from..to))
    });
    part.unwrap_or_default()
}

async fn fetch_range(
    client: &mut Client,
    url: &Url,
    offset: u64,
    bytes: u64,
) -> Result<(Bytes, Url, Times), Failed> {
    let range = part((bytes, offset));
    let bytes_max = usize::try_from(bytes).unwrap_or(usize::MAX).min(SEGMENT_BYTES_MAX);
    let (content, found_at, times) =
        client.fetch(url, Some(range), bytes_max).await.map_err(|error| match error {
            Error::TooLarge { url, .. } => {
                let reason = "the server sends the whole file where a range is asked for".into();
                Failed::Other { url, reason }
            }
            error => Failed::Http(error),
        })?;
    if content.len() as u64 != bytes {
        let reason = format!("asked for {bytes} bytes at {offset}, got {}", content.len());
        return Err(Failed::Other { url: found_at, reason });
    }
    Ok((content, found_at, times))
}
