//! Frames out of a segment.

use bytes::{Bytes, BytesMut};
use weir_media::movie::{Format, Movie, Opener, Step};
use weir_media::{Error, Frame, MediaTime, Track};
use weir_time::Instant;

/// Tracks and frames, in the order of decoding.
#[derive(Debug)]
pub(super) struct Demuxed {
    pub(super) tracks: Vec<Track>,
    pub(super) frames: Vec<Frame>,
    /// Times start with 0 in every segment: the playlist says where it stands.
    pub(super) is_relative: bool,
}

/// The frames of a segment that stands behind an init section, if there is one.
///
/// # Errors
/// When the two together are no file of a kind that is known.
pub(super) fn demux(init: &Bytes, segment: Bytes, arrival: Instant) -> Result<Demuxed, Error> {
    let file = if init.is_empty() {
        segment
    } else {
        let mut file = BytesMut::with_capacity(init.len() + segment.len());
        file.extend_from_slice(init);
        file.extend_from_slice(&segment);
        file.freeze()
    };
    let movie = open(&file)?;
    let mut frames = Vec::new();
    for gop in 0..movie.gops() {
        for sample in movie.gop_samples(gop) {
            let start = usize::try_from(sample.offset).unwrap_or(usize::MAX);
            let end = start.saturating_add(sample.bytes as usize);
            // A segment that was cut off ends here.
            let Some(_) = file.get(start..end) else { break };
            frames.push(movie.frame(&sample, file.slice(start..end), arrival)?);
        }
    }
    let is_relative = movie.format() == Format::Ts;
    Ok(Demuxed { tracks: movie.tracks().to_vec(), frames, is_relative })
}

fn open(file: &Bytes) -> Result<Movie, Error> {
    let mut opener = Opener::new(file.len() as u64);
    loop {
        match opener.poll()? {
            Step::Done(movie) => return Ok(*movie),
            Step::Need { offset, bytes } => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(file.len());
                let end = start.saturating_add(usize::try_from(bytes).unwrap_or(usize::MAX));
                opener.feed(offset, file.slice(start..end.min(file.len())))?;
            }
        }
    }
}

/// Moves frames whose times start with 0 to where the playlist has the segment.
pub(super) fn move_to(frames: &mut [Frame], start: MediaTime) {
    let first = frames.iter().map(|frame| frame.pts).min().unwrap_or_default();
    let shift = start - first;
    for frame in frames {
        frame.pts = frame.pts + shift;
        frame.dts = frame.dts.map(|dts| dts + shift);
    }
}
