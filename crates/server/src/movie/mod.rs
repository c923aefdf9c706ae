//! Movies: an index shared by all viewers, and stretches of it packed when somebody needs them.

mod cache;
mod damage;
mod fit;
mod opening;
#[cfg(test)]
pub(crate) mod stub;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use weir_media::movie::{self, Opener, Sample, Step};
use weir_media::{Frame, MediaTime, Track, TrackId};
use weir_net::{File, Host};
use weir_proto::classroom::pack as classroom;
use weir_proto::rtp::pack::{self, Packed, Piece};
use weir_time::Instant;

use crate::Error;
use crate::hub::TRACKS_MAX;
use crate::package::table::Table;
use crate::packing::{Packing, StreamPacker};
use crate::ring::Slot;
use damage::{Damage, NO_GROUP, has_deltas};

pub(crate) use cache::Cache;
pub(crate) use damage::Gap;
use fit::Fitting;
pub(crate) use opening::Opening;

/// An opened movie.
///
/// Its frames are numbered in order of decoding over all tracks; a chunk is a run of them that is
/// read and packed as one: a group of pictures, or a part of a long one.
pub struct Movie {
    name: String,
    path: PathBuf,
    file: File,
    index: movie::Movie,
    tracks: Vec<Track>,
    by_rtp: Result<(), pack::Error>,
    chunks: Vec<ChunkPlace>,
    slots: u64,
    /// Its segments, once somebody has asked for them.
    pub(crate) table: OnceLock<Arc<Table>>,
    fitting: Fitting,
    damage: Damage,
}

/// Where a chunk lies in its movie.
#[derive(Clone, Copy, Debug)]
struct ChunkPlace {
    gop: u32,
    /// The first frame's place in the group.
    skip: usize,
    /// The first frame's number in the movie.
    first: u64,
}

/// A run of frames, packed.
pub(crate) struct Chunk {
    first: u64,
    slots: Vec<Slot<Packed>>,
    bytes: usize,
    gaps: Vec<Gap>,
    /// Somebody has told of the gaps.
    gaps_told: AtomicBool,
}

/// About what a chunk is: small, for each viewer holds two, and so long that the next is read
/// meanwhile. A group of pictures that has more of both is cut.
const CHUNK_BYTES: u64 = 192 << 10;
const CHUNK_SPAN: Duration = Duration::from_millis(400);
/// What a group that is short or slow may come to in one chunk.
const CHUNK_FRAMES_MAX: u64 = 1024;
const CHUNK_BYTES_MAX: u64 = 4 << 20;

/// What can be used of some samples.
#[derive(Default)]
pub(crate) struct Readable {
    /// The samples, in their order.
    pub(crate) samples: Vec<Sample>,
    /// The frame of each.
    pub(crate) frames: Vec<Frame>,
    /// What was read of the file.
    pub(crate) stretches: Vec<Bytes>,
    /// What was left out and was not told before.
    pub(crate) gaps: Vec<Gap>,
}

impl Movie {
    /// Reads a movie's index; a file without one is read once as a whole.
    pub(crate) async fn open(
        host: &Host,
        name: &str,
        path: &Path,
        file: File,
    ) -> Result<Movie, Error> {
        let reader = file.clone();
        let read = move || {
            let index = read_index(&reader)?;
            let (chunks, slots) = place_chunks(&index);
            Ok((index, chunks, slots))
        };
        let (index, chunks, slots) = host.blocking(read).await.map_err(|error| match error {
            OpenError::Media(source) => Error::Movie { path: path.to_owned(), source },
            OpenError::Io(source) => Error::open(path, source),
        })?;
        let tracks = index.tracks().to_vec();
        if tracks.is_empty() || tracks.len() > TRACKS_MAX {
            return Err(Error::TrackCount { stream: name.to_owned(), count: tracks.len() });
        }
        // Images go to classroom clients whatever RFC 2435 can carry of them.
        let by_rtp = match StreamPacker::new(&tracks, Packing::Datagrams) {
            Err(Error::Pack(error)) if tracks.iter().any(classroom::can_carry) => Err(error),
            made => made.map(|_| Ok(()))?,
        };
        for skipped in index.skipped() {
            tracing::warn!("{}: {skipped}", path.display());
        }
        for warning in index.warnings() {
            tracing::warn!("{}: {warning}", path.display());
        }
        let (name, path) = (name.to_owned(), path.to_owned());
        let (table, fitting) = (OnceLock::new(), Fitting::default());
        let damage = Damage::default();
        Ok(Movie { name, path, file, index, tracks, by_rtp, chunks, slots, table, fitting, damage })
    }

    /// Whether RTP can carry it, as RTSP needs it.
    pub(crate) fn by_rtp(&self) -> Result<(), Error> {
        Ok(self.by_rtp.clone()?)
    }

    /// Whether its file is MP4 or QuickTime.
    pub(crate) fn is_mp4(&self) -> bool {
        self.index.format() == movie::Format::Mp4
    }

    /// Its name in the hub.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it is made of.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// How long it lasts.
    pub fn duration(&self) -> MediaTime {
        self.index.duration()
    }

    /// The number of the version of the file that was opened.
    pub(crate) fn identity(&self) -> u64 {
        self.file.identity()
    }

    /// How many frames it has: the number after the last.
    pub(crate) fn slots(&self) -> u64 {
        self.slots
    }

    /// Where a viewer who asks for `at` begins: the number of the key frame at or before it, and
    /// when that is shown; at the movie's start, when the first picture is shown or the first
    /// sound heard. Frames that an edit list cuts off the start come before the place 0.
    pub(crate) fn start_at(&self, at: MediaTime) -> (u64, MediaTime) {
        let gop = self.index.gop_at(at);
        let place = self.chunks.partition_point(|chunk| chunk.gop < gop);
        let first = self.chunks.get(place).map_or(self.slots, |chunk| chunk.first);
        let key = self.index.gop_start(gop);
        let others = self.tracks.iter().filter(|_| gop == 0);
        let others = others.filter_map(|track| self.index.sample(track.id, 0));
        let start = others.map(|sample| sample.pts).fold(key, MediaTime::min);
        (first, start.max(MediaTime::ZERO))
    }

    /// Whether a frame is of no use to anybody: sound, or a picture that no other needs, that an
    /// edit list cuts off the start. The last one before the start primes a decoder.
    fn is_cut_off(&self, sample: &Sample) -> bool {
        let behind = sample.pts + sample.duration + sample.duration;
        behind <= MediaTime::ZERO && !self.has_deltas(sample)
    }

    /// The number of the first frame that is decoded at `at` or later, or the number after the
    /// last.
    pub(crate) fn end_at(&self, at: MediaTime) -> u64 {
        let gop = self.index.gop_at(at);
        let place = self.chunks.partition_point(|chunk| chunk.gop < gop);
        let first = self.chunks.get(place).map_or(self.slots, |chunk| chunk.first);
        let before = self.index.gop_samples(gop).take_while(|sample| sample.dts < at).count();
        first + before as u64
    }

    /// The chunk that holds a frame.
    pub(crate) fn chunk_of(&self, slot: u64) -> Option<usize> {
        if slot >= self.slots {
            return None;
        }
        self.chunks.partition_point(|chunk| chunk.first <= slot).checked_sub(1)
    }

    /// The number of the first frame of a chunk; behind the last chunk it is that behind the last
    /// frame.
    pub(crate) fn first_of(&self, chunk: usize) -> u64 {
        self.chunks.get(chunk).map_or(self.slots, |chunk| chunk.first)
    }

    /// Reads and packs a chunk, but for what of it cannot be read. Blocks.
    pub(crate) fn load(
        &self,
        index: usize,
        packing: Packing,
        scratch: &Scratch,
    ) -> Result<Chunk, Error> {
        let mut packer = StreamPacker::new(&self.tracks, packing)?;
        let samples = self.samples(index);
        let stretches = self.read_stretches(&samples, Some(scratch));
        let mut frames: Vec<Result<Frame, Error>> =
            samples.iter().map(|sample| self.frame(sample, &stretches)).collect();
        if packing == Packing::Classroom {
            self.fitting.fit(&self.name, frames.iter_mut().flatten());
        }
        let payload_bytes = frames.iter().flatten().map(|frame| frame.payload.len()).sum();
        let mut room = StreamPacker::room(samples.len(), payload_bytes);
        let room_bytes = room.capacity();
        let mut sieve = self.damage.sieve(self.gop_of(index), &samples);
        let mut slots = Vec::with_capacity(samples.len());
        for (sample, frame) in samples.iter().zip(frames) {
            let packed = frame.and_then(|frame| {
                let is_of_use = sieve.lets_through(sample, &frame) && !self.is_cut_off(sample);
                is_of_use.then(|| packer.pack_into(&frame, &mut room)).transpose()
            });
            let slot = packed.unwrap_or_else(|error| {
                // What was packed of it, the next must not find.
                room.clear();
                sieve.damaged(sample, self.has_deltas(sample), &error);
                None
            });
            slots.push(slot.unwrap_or_else(|| packer.left_out(sample)));
        }
        stretches.into_iter().for_each(|stretch| scratch.put(stretch.data));
        let pieces: usize = slots.iter().map(|slot| slot.wire.pieces.len()).sum();
        let bytes = room_bytes + slots.len() * SLOT_OVERHEAD_BYTES + pieces * size_of::<Piece>();
        let (gaps, gaps_told) = (sieve.finish(), AtomicBool::new(false));
        Ok(Chunk { first: self.first_of(index), slots, bytes, gaps, gaps_told })
    }

    /// How many chunks there are.
    pub(crate) fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Reads the frames of a chunk, and says what was left out because it cannot be read and was
    /// not told before. Blocks.
    pub(crate) fn read_frames(&self, index: usize) -> (Vec<Frame>, Vec<Gap>) {
        let samples = self.samples(index);
        let stretches = self.read_stretches(&samples, None);
        let mut sieve = self.damage.sieve(self.gop_of(index), &samples);
        let mut frames = Vec::with_capacity(samples.len());
        for sample in &samples {
            match self.frame(sample, &stretches) {
                Ok(frame) if sieve.lets_through(sample, &frame) && !self.is_cut_off(sample) => {
                    frames.push(frame);
                }
                Ok(_) => {}
                Err(error) => sieve.damaged(sample, self.has_deltas(sample), &error),
            }
        }
        (frames, sieve.finish())
    }

    fn gop_of(&self, chunk: usize) -> u32 {
        self.chunks.get(chunk).map_or(u32::MAX, |chunk| chunk.gop)
    }

    fn has_deltas(&self, sample: &Sample) -> bool {
        let track = self.tracks.get(usize::from(sample.track.0));
        track.is_some_and(|track| has_deltas(&self.index, track))
    }

    /// Where its samples are.
    pub(crate) fn index(&self) -> &movie::Movie {
        &self.index
    }

    /// Reads those of these samples that can be read, and that a decoder can use without those that
    /// cannot; gives too what was read, of which the frames are slices where they stand in the file
    /// as frames have them. Where not one is left, the error of the first. Blocks.
    pub(crate) fn read(&self, samples: &[Sample]) -> Result<Readable, Error> {
        let stretches = self.read_stretches(samples, None);
        let mut sieve = self.damage.sieve(NO_GROUP, samples);
        let mut read = Readable::default();
        let mut failed = None;
        for sample in samples {
            match self.frame(sample, &stretches) {
                Ok(frame) if sieve.lets_through(sample, &frame) => {
                    read.samples.push(*sample);
                    read.frames.push(frame);
                }
                Ok(_) => {}
                Err(error) => {
                    sieve.damaged(sample, self.has_deltas(sample), &error);
                    failed.get_or_insert(error);
                }
            }
        }
        read.gaps = sieve.finish();
        read.stretches = stretches.into_iter().map(|stretch| stretch.data).collect();
        match failed {
            Some(error) if read.frames.is_empty() => Err(error),
            _ => Ok(read),
        }
    }

    /// An error about its content.
    pub(crate) fn error(&self, source: weir_media::Error) -> Error {
        Error::Movie { path: self.path.clone(), source }
    }

    /// The samples of a chunk.
    fn samples(&self, index: usize) -> Vec<Sample> {
        let Some(place) = self.chunks.get(index) else {
            return Vec::new();
        };
        let end = self.chunks.get(index + 1).map_or(self.slots, |next| next.first);
        let count = usize::try_from(end - place.first).unwrap_or(usize::MAX);
        self.index.gop_samples(place.gop).skip(place.skip).take(count).collect()
    }

    /// Reads all that the samples need, in few large reads.
    fn read_stretches(&self, samples: &[Sample], scratch: Option<&Scratch>) -> Vec<Stretch> {
        let mut extents: Vec<(u64, u64)> =
            samples.iter().map(|s| (s.offset, s.offset + u64::from(s.bytes))).collect();
        extents.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for (start, end) in extents {
            match merged.last_mut() {
                Some((_, last)) if start <= last.saturating_add(GAP_BYTES_MAX) => {
                    *last = (*last).max(end);
                }
                _ => merged.push((start, end)),
            }
        }
        let read = |(start, end): (u64, u64)| {
            let len = usize::try_from(end - start).unwrap_or(usize::MAX);
            let memory = scratch.map(Scratch::take).unwrap_or_default();
            match self.file.read_at_into_blocking(start, len, memory) {
                Ok(data) => Stretch { start, data, failed: None },
                Err(error) => Stretch { start, data: Bytes::new(), failed: Some(error) },
            }
        };
        merged.into_iter().map(read).collect()
    }

    fn frame(&self, sample: &Sample, stretches: &[Stretch]) -> Result<Frame, Error> {
        let index = stretches.partition_point(|stretch| stretch.start <= sample.offset);
        let stretch = index.checked_sub(1).and_then(|index| stretches.get(index));
        let Some(data) = stretch.and_then(|stretch| stretch.get(sample)) else {
            let (path, offset) = (self.path.clone(), sample.offset);
            if let Some(failed) = stretch.and_then(|stretch| stretch.failed.as_ref()) {
                let source = std::io::Error::new(failed.kind(), failed.to_string());
                return Err(Error::File { path, source });
            }
            let file_bytes = self.file.len();
            return Err(Error::CutOff { path, offset, file_bytes });
        };
        let frame = self.index.frame(sample, data, Instant::ZERO);
        let frame = frame.map_err(|source| Error::Movie { path: self.path.clone(), source })?;
        if frame.payload.is_empty() {
            return Err(Error::Pack(pack::Error::Empty));
        }
        Ok(frame)
    }
}

/// Bytes of the file, as they were read.
struct Stretch {
    start: u64,
    data: Bytes,
    /// Why nothing of it was read.
    failed: Option<std::io::Error>,
}

impl Stretch {
    fn get(&self, sample: &Sample) -> Option<Bytes> {
        let from = usize::try_from(sample.offset.checked_sub(self.start)?).ok()?;
        let to = from.checked_add(sample.bytes as usize)?;
        (to <= self.data.len()).then(|| self.data.slice(from..to))
    }
}

/// Memory that files are read into, used again and again: it stays in the processor's caches.
#[derive(Default)]
pub(crate) struct Scratch(Mutex<Vec<BytesMut>>);

impl Scratch {
    fn take(&self) -> BytesMut {
        self.lock().pop().unwrap_or_default()
    }

    /// Takes memory back that nobody else uses any more.
    fn put(&self, data: Bytes) {
        if let Ok(memory) = data.try_into_mut()
            && memory.capacity() <= SCRATCH_BYTES_MAX
        {
            let mut kept = self.lock();
            if kept.len() < SCRATCHES_MAX {
                kept.push(memory);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<BytesMut>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As many as are read at a time, and no greater than most chunks.
const SCRATCHES_MAX: usize = 4;
const SCRATCH_BYTES_MAX: usize = 1 << 20;

/// What may lie between two frames to be read along with them.
const GAP_BYTES_MAX: u64 = 32 * 1024;

/// What a packed frame costs besides its bytes, for the cache.
const SLOT_OVERHEAD_BYTES: usize = size_of::<Slot<Packed>>() + 64;

impl Chunk {
    /// The number of its first frame.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Whether any frame of these tracks is to be sent.
    pub(crate) fn has_frames(&self, is_wanted: impl Fn(TrackId) -> bool) -> bool {
        self.slots.iter().any(|slot| slot.bytes > 0 && is_wanted(slot.track))
    }

    /// What of it was left out because it cannot be read; for the first who asks alone.
    pub(crate) fn news(&self) -> &[Gap] {
        let is_old = !self.gaps.is_empty() && self.gaps_told.swap(true, Ordering::Relaxed);
        if is_old { &[] } else { &self.gaps }
    }

    /// The number after its last frame.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    /// The frame with this number in the movie, if it is in here.
    pub(crate) fn get(&self, number: u64) -> Option<&Slot<Packed>> {
        self.slots.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}

/// Cuts groups of pictures into chunks of equally many frames.
fn place_chunks(index: &movie::Movie) -> (Vec<ChunkPlace>, u64) {
    let mut chunks = Vec::new();
    let mut number = 0;
    for (gop, (samples, bytes)) in (0..).zip(index.gop_totals()) {
        let span = (index.gop_start(gop + 1) - index.gop_start(gop)).to_duration();
        let wished = (span.as_nanos() / CHUNK_SPAN.as_nanos()).min((bytes / CHUNK_BYTES).into());
        let least = (bytes / CHUNK_BYTES_MAX).max(u64::from(samples) / CHUNK_FRAMES_MAX) + 1;
        let parts = u64::try_from(wished).unwrap_or(u64::MAX).max(least).min(samples.into());
        for part in 0..parts {
            let skip = u64::from(samples) * part / parts;
            let place = usize::try_from(skip).unwrap_or(usize::MAX);
            chunks.push(ChunkPlace { gop, skip: place, first: number + skip });
        }
        number += u64::from(samples);
    }
    (chunks, number)
}

enum OpenError {
    Io(std::io::Error),
    Media(weir_media::Error),
}

fn read_index(file: &File) -> Result<movie::Movie, OpenError> {
    let mut opener = Opener::new(file.len());
    loop {
        match opener.poll().map_err(OpenError::Media)? {
            Step::Done(movie) => return Ok(*movie),
            Step::Need { offset, bytes } => {
                let data = file
                    .read_at_blocking(offset, usize::try_from(bytes).unwrap_or(usize::MAX))
                    .map_err(OpenError::Io)?;
                opener.feed(offset, data).map_err(OpenError::Media)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn movies_cross_threads() {
        fn crosses<T: Send + Sync>() {}
        crosses::<Arc<Movie>>();
    }
}
