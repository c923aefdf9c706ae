//! What of a movie cannot be read: it is left out, said once and counted; the rest is played.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use weir_media::movie::{self, Sample};
use weir_media::{Codec, Frame, KeyKind, Kind, Track};

use crate::Error;
use crate::hub::TRACKS_MAX;

/// What is known of a movie's damage, from all chunks that were read.
#[derive(Default)]
pub(super) struct Damage(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Groups that no decoder can follow to their end, by group and track: the first sample that
    /// is missing. Whoever reads a later part of the group leaves that out too.
    broken: BTreeMap<(u32, u8), u32>,
    /// Runs of samples that were left out, by track and first sample: the sample behind the last.
    gaps: BTreeMap<(u8, u32), u32>,
}

/// A run of samples of one track that were left out of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The track.
    pub(crate) track: u8,
    /// The first sample, in the track's order of decoding.
    pub(crate) first: u32,
    /// Where it stands in the file.
    pub(crate) offset: u64,
    /// The sample behind the last.
    pub(crate) end: u32,
    /// How many they are.
    pub(crate) samples: u64,
    /// Why the first cannot be read.
    pub(crate) why: String,
}

/// Runs and groups that are remembered of one movie; what is beyond is left out all the same.
const REMEMBERED_MAX: usize = 1_024;

/// The group of samples that are read by themselves: nobody reads on from them.
pub(super) const NO_GROUP: u32 = u32::MAX;

/// Takes the frames of a chunk in their order, and holds back those that nobody could decode.
pub(super) struct Sieve<'a> {
    damage: &'a Damage,
    gop: u32,
    tracks: [Lane; TRACKS_MAX],
    gaps: Vec<Gap>,
}

/// One track of a chunk.
#[derive(Clone, Copy, Default)]
struct Lane {
    /// Nothing can be decoded before the next key frame.
    waits: bool,
    /// The run that the last sample was left out with.
    gap: Option<usize>,
}

impl Damage {
    /// A sieve for a chunk whose first samples are `samples`, of group `gop`.
    pub(super) fn sieve(&self, gop: u32, samples: &[Sample]) -> Sieve<'_> {
        let mut tracks = [Lane::default(); TRACKS_MAX];
        let known = self.lock();
        for (number, lane) in (0..).zip(&mut tracks) {
            let first = samples.iter().find(|sample| sample.track.0 == number);
            let broken = known.broken.get(&(gop, number));
            lane.waits = first.zip(broken).is_some_and(|(first, broken)| *broken < first.index);
        }
        drop(known);
        Sieve { damage: self, gop, tracks, gaps: Vec::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sieve<'_> {
    /// Whether a frame is of use to a decoder that has got what was let through before.
    pub(super) fn lets_through(&mut self, sample: &Sample, frame: &Frame) -> bool {
        let Some(lane) = self.tracks.get_mut(usize::from(sample.track.0)) else {
            return false;
        };
        if lane.waits && !frame.key.starts() {
            self.leave_out(sample, None);
            return false;
        }
        *lane = Lane::default();
        true
    }

    /// Notes a sample that cannot be read. Where frames need those before them, what follows it
    /// is left out up to the next key frame.
    pub(super) fn damaged(&mut self, sample: &Sample, has_deltas: bool, error: &Error) {
        self.leave_out(sample, Some(error));
        if let Some(lane) = self.tracks.get_mut(usize::from(sample.track.0)) {
            lane.waits |= has_deltas;
        }
    }

    /// What was left out and was not told before.
    pub(super) fn finish(self) -> Vec<Gap> {
        let mut known = self.damage.lock();
        for (track, lane) in (0..).zip(&self.tracks).filter(|(_, lane)| lane.waits) {
            let gap = lane.gap.and_then(|gap| self.gaps.get(gap));
            if let Some(gap) =
                gap.filter(|_| self.gop != NO_GROUP && known.broken.len() < REMEMBERED_MAX)
            {
                known.broken.entry((self.gop, track)).or_insert(gap.first);
            }
        }
        self.gaps.into_iter().filter(|gap| known.is_new(gap)).collect()
    }

    fn leave_out(&mut self, sample: &Sample, error: Option<&Error>) {
        let track = sample.track.0;
        let Some(lane) = self.tracks.get_mut(usize::from(track)) else {
            return;
        };
        let behind = sample.index.saturating_add(1);
        if let Some(gap) = lane.gap.and_then(|gap| self.gaps.get_mut(gap)) {
            gap.end = behind;
            gap.samples += 1;
            return;
        }
        lane.gap = Some(self.gaps.len());
        let why = error.map_or_else(|| "it needs one that cannot be read".to_owned(), reason);
        let (first, offset) = (sample.index, sample.offset);
        self.gaps.push(Gap { track, first, offset, end: behind, samples: 1, why });
    }
}

impl Known {
    /// Whether a run is one that was not told before, and does not go on from one.
    fn is_new(&mut self, gap: &Gap) -> bool {
        let before = self.gaps.range_mut(..=(gap.track, gap.first)).next_back();
        if let Some(((track, first), end)) = before
            && *track == gap.track
            && (*first == gap.first || *end >= gap.first)
        {
            *end = (*end).max(gap.end);
            return false;
        }
        if self.gaps.len() >= REMEMBERED_MAX {
            return false;
        }
        self.gaps.insert((gap.track, gap.first), gap.end);
        true
    }
}

impl Gap {
    /// What happened, for people: `file` is the movie's path.
    pub(crate) fn in_words(&self, file: &std::path::Path) -> String {
        let Gap { track, first, offset, end, samples, why } = self;
        let are = if *samples == 1 { "sample is" } else { "samples are" };
        format!(
            "{}: track {track}, sample {first} at byte {offset} cannot be read: {why}; {samples} \
             {are} left out, up to sample {}, and playing goes on with the next that can be read",
            file.display(),
            end.saturating_sub(1)
        )
    }
}

/// Whether a track's frames need others before them, and have key frames to go on at.
pub(super) fn has_deltas(index: &movie::Movie, track: &Track) -> bool {
    let is_coded_so = track.codec.kind() == Kind::Video && !matches!(track.codec, Codec::Jpeg(_));
    let first_is_key = index.sample(track.id, 0).is_some_and(|sample| sample.key != KeyKind::Delta);
    is_coded_so && (first_is_key || index.gops() > 1)
}

/// Why a sample cannot be read, without its place.
fn reason(error: &Error) -> String {
    match error {
        Error::Movie { source, .. } => match source {
            weir_media::Error::Mp4 { reason, .. } | weir_media::Error::Container { reason, .. } => {
                reason.clone()
            }
            other => other.to_string(),
        },
        Error::CutOff { file_bytes, .. } => {
            format!("the file does not hold it; it was {file_bytes} bytes long when it was opened")
        }
        Error::File { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}
