//! What a movie file is made of.

use std::io;
use std::path::Path;

use weir_media::movie::{Movie, Opener, Step};
use weir_media::{KeyKind, MediaTime};
use weir_net::Host;

use super::gauge::Gauge;
use super::{Report, Track, codec, kind_name};

/// Why a file cannot be looked into.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system says no.
    #[error("cannot read it: {0}")]
    Io(#[from] io::Error),
    /// It is no movie, or a damaged one.
    #[error(transparent)]
    Media(#[from] weir_media::Error),
}

/// Looks into a movie file: its index alone is read, not its frames.
///
/// # Errors
/// When it cannot be read, or is no movie.
pub async fn file(host: &Host, path: &Path) -> Result<Report, Error> {
    let Opened { movie, bytes, format } = open(host, path).await?;
    let mut gauges: Vec<Gauge> =
        movie.tracks().iter().map(|track| Gauge::new(track.codec.kind())).collect();
    let mut ends = vec![MediaTime::ZERO; gauges.len()];
    for sample in (0..movie.gops()).flat_map(|gop| movie.gop_samples(gop)) {
        let place = usize::from(sample.track.0);
        if let (Some(gauge), Some(end)) = (gauges.get_mut(place), ends.get_mut(place)) {
            let starts = sample.key != KeyKind::Delta;
            gauge.push(sample.pts, Some(sample.duration), sample.bytes.into(), starts);
            *end = (*end).max(sample.pts + sample.duration);
        }
    }
    let mut tracks = Vec::new();
    for ((track, gauge), end) in movie.tracks().iter().zip(&mut gauges).zip(ends) {
        gauge.end(end);
        let mut told = Track {
            track: Some(track.id.0),
            kind: Some(kind_name(track.codec.kind())),
            clock_rate_hz: Some(track.clock_rate_hz),
            duration_ns: Some(nanos(end)),
            ..Track::default()
        };
        codec::fill(&track.codec, &mut told);
        gauge.fill(&mut told);
        tracks.push(told);
    }
    tracks.extend(movie.skipped().iter().map(|skipped| Track {
        codec: skipped.codec.clone(),
        unreadable: Some(skipped.to_string()),
        ..Track::default()
    }));
    let rates = gauges.iter().map(Gauge::data_rate_bps);
    Ok(Report {
        source: path.display().to_string(),
        format: format.to_owned(),
        bytes: Some(bytes),
        duration_ns: Some(nanos(movie.duration())),
        data_rate_bps: rates.sum(),
        tracks,
        warnings: movie.warnings().to_vec(),
        ..Report::default()
    })
}

struct Opened {
    movie: Box<Movie>,
    bytes: u64,
    /// The container's name.
    format: &'static str,
}

/// Opens a movie file, whatever its container.
async fn open(host: &Host, path: &Path) -> Result<Opened, Error> {
    let file = host.open(path).await?;
    let bytes = file.len();
    let mut opener = Opener::new(bytes);
    loop {
        match opener.poll()? {
            Step::Need { offset, bytes } => {
                let data = file.read_at(host, offset, bytes as usize).await?;
                opener.feed(offset, data)?;
            }
            Step::Done(movie) => {
                let format = movie.format().name();
                return Ok(Opened { movie, bytes, format });
            }
        }
    }
}

/// A stretch of time, which is never negative.
pub(super) fn nanos(time: MediaTime) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(0)
}
