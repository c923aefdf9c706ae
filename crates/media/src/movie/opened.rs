//! An opened file.

use core::ops::Range;

use bytes::Bytes;
use weir_time::Instant;

use super::table::{Cursor, RawSample, SampleTable};
use super::{Format, SkippedTrack, TimeLine, Warnings};
use crate::nal::{AccessUnit, AnnexB, ParameterSets};
use crate::ts::PacketPlace;
use crate::{Codec, Error, Frame, KeyKind, Kind, MediaTime, Track, TrackId, av1, vp8, vp9};

/// The structure of a movie file: its tracks and where each of their samples is.
///
/// Samples are grouped by GOPs: a key picture of the first video track up to the next, with the
/// samples of all other tracks that are decoded in that time. Every sample belongs to exactly one
/// GOP; what comes before the first key picture belongs to the first. A movie of sound alone, and
/// one whose pictures are all key pictures, is cut about every second; pictures without a single
/// key picture are one GOP.
///
/// The presentation starts at 0: by the edit lists in MP4, with the first picture or sound in
/// other formats. Samples that are only decoded and
/// not shown (before an edit's start) have negative presentation times, and the first decoding
/// times of a stream with B-frames are negative. [`Movie::gop_at`] of 0 says where to start.
#[derive(Clone, Debug)]
pub struct Movie {
    format: Format,
    tracks: Vec<Track>,
    indexes: Vec<TrackIndex>,
    skipped: Vec<SkippedTrack>,
    warnings: Vec<String>,
    duration: MediaTime,
    /// The track that GOPs go by.
    main: usize,
    starts: Starts,
}

/// Where the samples of a track are.
#[derive(Clone, Debug)]
pub(crate) struct TrackIndex {
    pub(crate) table: SampleTable,
    pub(crate) line: TimeLine,
    /// Bytes of the length before each NAL unit; 0 where start codes part them.
    pub(crate) length_bytes: u8,
    pub(crate) layout: Layout,
}

/// How the bytes of a sample stand in the part of the file that the table names.
#[derive(Clone, Debug)]
pub(crate) enum Layout {
    /// They are all of it.
    Whole,
    /// In transport stream packets, among those of other streams.
    Packets(PacketPlace),
}

/// Which samples of the main track GOPs start with.
#[derive(Clone, Copy, Debug)]
enum Starts {
    Keys,
    Every(u32),
}

/// A sample of a movie: where its bytes are, and what [`Movie::frame`] makes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its track.
    pub track: TrackId,
    /// Its place in the track in decoding order, from 0.
    pub index: u32,
    /// Where it starts, in bytes from the start of the file.
    pub offset: u64,
    /// How many bytes of the file hold it. In a transport stream these are whole packets, those of
    /// other streams among them, and several samples may have the same; elsewhere they are the
    /// sample itself.
    pub bytes: u32,
    /// When it is shown or heard.
    pub pts: MediaTime,
    /// When it is decoded: never after it is shown.
    pub dts: MediaTime,
    /// How long it lasts, in decoding time.
    pub duration: MediaTime,
    /// [`KeyKind::Key`] or [`KeyKind::Delta`], as the file says; the frame itself may say more.
    pub key: KeyKind,
}

impl Movie {
    /// A movie of these tracks, whose ids are their places. An error if there are none.
    pub(crate) fn new(
        format: Format,
        all: Vec<(Track, TrackIndex)>,
        skipped: Vec<SkippedTrack>,
        mut warnings: Warnings,
    ) -> Result<Movie, Error> {
        let (tracks, indexes): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let video = tracks.iter().position(|track: &Track| track.codec.kind() == Kind::Video);
        let main = video.unwrap_or(0);
        let Some(index): Option<&TrackIndex> = indexes.get(main) else {
            return Err(Error::NoTrack { skipped });
        };
        let starts = match video {
            Some(_) if index.are_all_keys() => Starts::Every(index.samples_in_a_second()),
            Some(_) if index.table.keys.count(index.table.count()) > 0 => Starts::Keys,
            Some(_) => {
                warnings.push(format!("track {main} has no key picture"));
                Starts::Every(u32::MAX)
            }
            None => Starts::Every(index.samples_in_a_second()),
        };
        let duration =
            indexes.iter().map(|index| index.line.end(&index.table)).max().unwrap_or_default();
        let warnings = warnings.0;
        Ok(Movie { format, tracks, indexes, skipped, warnings, duration, main, starts })
    }

    /// The container that it stands in.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The tracks that can be played, each at the place that its id says.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The tracks that cannot be played, and why.
    pub fn skipped(&self) -> &[SkippedTrack] {
        &self.skipped
    }

    /// What is odd about the file, in plain words.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// When the last sample ends to be shown or heard.
    pub fn duration(&self) -> MediaTime {
        self.duration
    }

    /// How many samples a track has; 0 if there is no such track.
    pub fn sample_count(&self, track: TrackId) -> u32 {
        self.indexes.get(usize::from(track.0)).map_or(0, |index| index.table.count())
    }

    /// How many bytes the samples of a track have together.
    pub fn sample_bytes(&self, track: TrackId) -> u64 {
        let index = self.indexes.get(usize::from(track.0));
        index.map_or(0, |index| match &index.layout {
            Layout::Whole => index.table.sizes.sum(0, index.table.count()),
            Layout::Packets(place) => place.media_bytes,
        })
    }

    /// How many GOPs there are: at least one.
    pub fn gops(&self) -> u32 {
        let Some(TrackIndex { table, .. }) = self.indexes.get(self.main) else {
            return 0;
        };
        match self.starts {
            Starts::Keys => table.keys.count(table.count()),
            Starts::Every(samples) => table.count().div_ceil(samples.max(1)),
        }
    }

    /// The last GOP that starts at or before `pts`; the first if all start later.
    pub fn gop_at(&self, pts: MediaTime) -> u32 {
        let (mut low, mut high) = (0, self.gops());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.gop_start(middle) <= pts {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low.saturating_sub(1)
    }

    /// When the first picture of a GOP is shown, or its first sound heard. `gop` counts from 0;
    /// behind the last GOP it is the duration.
    pub fn gop_start(&self, gop: u32) -> MediaTime {
        let first = self.main_sample(gop).and_then(|first| self.raw(self.main, first));
        first.map_or(self.duration, |(line, sample)| line.pts(sample.dts, sample.shift))
    }

    /// The samples of a GOP, of all tracks, in the order of their decoding times. G.711 that the
    /// file has one by one comes in runs of up to 20 ms, each as one sample.
    pub fn gop_samples(&self, gop: u32) -> GopSamples<'_> {
        let queues = (0..self.indexes.len()).filter_map(|track| {
            let index = self.indexes.get(track)?;
            let (from, to) =
                (self.boundary(track, gop), self.boundary(track, gop.saturating_add(1)));
            let mut cursor = index.table.cursor(from, to);
            let next = cursor.next();
            let id = TrackId(track as u8);
            Some(Queue { id, is_main: track == self.main, line: index.line, next, cursor })
        });
        GopSamples { queues: queues.collect() }
    }

    /// How many samples [`Movie::gop_samples`] gives of each GOP, and how many bytes of the file
    /// hold them, without looking at each.
    pub fn gop_totals(&self) -> impl Iterator<Item = (u32, u64)> {
        let mut starts = vec![0; self.indexes.len()];
        (0..self.gops()).map(move |gop| {
            let (mut samples, mut bytes) = (0u32, 0u64);
            for (track, (start, index)) in starts.iter_mut().zip(&self.indexes).enumerate() {
                let end = self.boundary(track, gop.saturating_add(1));
                let cursor = index.table.cursor(*start, end);
                let count = match cursor.size_hint() {
                    (least, Some(most)) if least == most => most,
                    _ => cursor.count(),
                };
                samples = samples.saturating_add(count as u32);
                bytes = bytes.saturating_add(index.table.sizes.sum(*start, end));
                *start = end;
            }
            (samples, bytes)
        })
    }

    /// The parts of the file that hold the samples of a GOP, ascending. What lies between two
    /// samples belongs to a part too if it is short, so that there are few reads.
    pub fn gop_extents(&self, gop: u32) -> Vec<Range<u64>> {
        let sizes = self.gop_samples(gop).filter(|sample| sample.bytes > 0);
        let mut all: Vec<_> = sizes
            .map(|sample| sample.offset..sample.offset.saturating_add(sample.bytes.into()))
            .collect();
        all.sort_unstable_by_key(|range| range.start);
        all.dedup_by(|next, kept| {
            let joins = next.start.saturating_sub(kept.end) <= GAP_BYTES_MAX;
            if joins {
                kept.end = kept.end.max(next.end);
            }
            joins
        });
        all
    }

    /// A sample of a track.
    pub fn sample(&self, track: TrackId, index: u32) -> Option<Sample> {
        let (line, sample) = self.raw(usize::from(track.0), index)?;
        Some(Sample::new(track, &line, &sample))
    }

    /// The samples of a track from `from` to before `to`, in decoding order. G.711 that the file
    /// has one by one comes in runs, each as one sample.
    pub fn samples(&self, track: TrackId, from: u32, to: u32) -> impl Iterator<Item = Sample> {
        let index = self.indexes.get(usize::from(track.0));
        let line_and_cursor = index.map(|index| (index.line, index.table.cursor(from, to)));
        line_and_cursor
            .into_iter()
            .flat_map(move |(line, cursor)| cursor.map(move |raw| Sample::new(track, &line, &raw)))
    }

    /// The track that GOPs go by: the first of pictures, or else the first.
    pub fn main_track(&self) -> TrackId {
        TrackId(self.main as u8)
    }

    /// The frame that a sample of this movie with these bytes is. Nothing is copied unless the
    /// file's NAL unit lengths are shorter than four bytes, or parameter sets or delimiters are to
    /// be left out.
    pub fn frame(&self, sample: &Sample, bytes: Bytes, arrival: Instant) -> Result<Frame, Error> {
        let track = usize::from(sample.track.0);
        let (Some(Track { codec, .. }), Some(index)) =
            (self.tracks.get(track), self.indexes.get(track))
        else {
            return Err(Error::UnknownTrack(sample.track));
        };
        if bytes.len() != sample.bytes as usize {
            return Err(Error::Feed {
                needed_offset: sample.offset,
                needed_bytes: sample.bytes.into(),
                got_offset: sample.offset,
                got_bytes: bytes.len() as u64,
            });
        }
        let bytes = match &index.layout {
            Layout::Whole => bytes,
            Layout::Packets(place) => {
                place.payload(sample.index, &bytes).map_err(|error| self.at(error, sample))?
            }
        };
        let (payload, key) = match codec {
            Codec::H264(config) => self.access_unit(config, &bytes, index.length_bytes, sample)?,
            Codec::H265(config) => self.access_unit(config, &bytes, index.length_bytes, sample)?,
            Codec::Vp8(_) => (bytes.clone(), start(vp8::key(&bytes), sample)),
            Codec::Vp9(_) => (bytes.clone(), start(vp9::key(&bytes), sample)),
            Codec::Av1(_) => {
                let unit =
                    av1::TemporalUnit::from_obus(&bytes).map_err(|error| self.at(error, sample))?;
                (unit.payload, start(unit.key, sample))
            }
            _ => (bytes, KeyKind::Key),
        };
        Ok(Frame {
            track: sample.track,
            pts: sample.pts,
            dts: Some(sample.dts),
            duration: Some(sample.duration),
            key,
            capture: None,
            arrival,
            discontinuity: false,
            payload,
        })
    }

    /// Bytes of memory that the tables take.
    pub fn memory_bytes(&self) -> usize {
        let layouts = self.indexes.iter().map(|index| match &index.layout {
            Layout::Whole => 0,
            Layout::Packets(place) => place.memory_bytes(),
        });
        let tables = self.indexes.iter().map(|index| index.table.memory_bytes());
        tables.chain(layouts).sum()
    }

    /// The payload of a sample of NAL units, behind lengths or, with `length_bytes` 0, behind start
    /// codes, and whether decoding can start there.
    fn access_unit(
        &self,
        config: &impl ParameterSets,
        bytes: &Bytes,
        length_bytes: u8,
        sample: &Sample,
    ) -> Result<(Bytes, KeyKind), Error> {
        let unit = match length_bytes {
            0 => AccessUnit::from_nals(config, AnnexB::new(bytes)),
            length => AccessUnit::from_length_prefixed(config, bytes, length)
                .map_err(|error| self.at(error, sample))?,
        };
        Ok((unit.payload, start(unit.key, sample)))
    }

    /// An error in a sample, with its place in the file.
    fn at(&self, error: Error, sample: &Sample) -> Error {
        let (track, index) = (sample.track.0, sample.index);
        match (error, self.format) {
            (Error::Syntax { offset, reason, .. }, Format::Mp4) => Error::Mp4 {
                path: format!("mdat (track {track}, sample {index})"),
                offset: sample.offset.saturating_add(offset as u64),
                reason,
            },
            // What was read is not how it stands in the packets.
            (Error::Syntax { what, offset, reason }, Format::Ts) => Error::container(
                format!("track {track}, sample {index}"),
                sample.offset,
                format!("{what}, byte {offset}: {reason}"),
            ),
            (Error::Syntax { what, offset, reason }, _) => Error::container(
                format!("track {track}, sample {index}"),
                sample.offset.saturating_add(offset as u64),
                format!("{what}: {reason}"),
            ),
            (error, _) => error,
        }
    }

    /// The sample of the main track that a GOP starts with.
    fn main_sample(&self, gop: u32) -> Option<u32> {
        let table = &self.indexes.get(self.main)?.table;
        let first = match self.starts {
            Starts::Keys => table.keys.get(gop)?,
            Starts::Every(samples) => table.run_start(gop.checked_mul(samples)?),
        };
        (first < table.count()).then_some(first)
    }

    /// The first sample of a track that belongs to this GOP or a later one.
    fn boundary(&self, track: usize, gop: u32) -> u32 {
        let Some(index) = self.indexes.get(track) else {
            return 0;
        };
        if gop == 0 {
            return 0;
        }
        let Some(first) = self.main_sample(gop) else {
            return index.table.count();
        };
        if track == self.main {
            return first;
        }
        let Some((line, sample)) = self.raw(self.main, first) else {
            return index.table.count();
        };
        let start = line.dts(sample.dts);
        index.table.run_start(index.table.first_where(|dts| index.line.dts(dts) >= start))
    }

    fn raw(&self, track: usize, index: u32) -> Option<(TimeLine, RawSample)> {
        let TrackIndex { table, line, .. } = self.indexes.get(track)?;
        Some((*line, table.cursor(index, index.checked_add(1)?).next()?))
    }
}

impl TrackIndex {
    fn are_all_keys(&self) -> bool {
        self.table.count() > 1 && self.table.keys.all_below >= self.table.count()
    }

    fn samples_in_a_second(&self) -> u32 {
        let delta = self.table.times.iter().map(|run| run.delta).find(|&delta| delta > 0);
        (self.line.rate_hz / delta.unwrap_or(1)).max(1)
    }
}

impl Sample {
    fn new(track: TrackId, line: &TimeLine, raw: &RawSample) -> Self {
        Sample {
            track,
            index: raw.index,
            offset: raw.offset,
            bytes: raw.bytes,
            pts: line.pts(raw.dts, raw.shift),
            dts: line.dts(raw.dts),
            duration: line.span(raw.delta),
            key: if raw.key { KeyKind::Key } else { KeyKind::Delta },
        }
    }
}

/// The samples of a GOP: see [`Movie::gop_samples`].
#[derive(Clone, Debug)]
pub struct GopSamples<'a> {
    queues: Vec<Queue<'a>>,
}

#[derive(Clone, Debug)]
struct Queue<'a> {
    id: TrackId,
    is_main: bool,
    line: TimeLine,
    next: Option<RawSample>,
    cursor: Cursor<'a>,
}

impl Iterator for GopSamples<'_> {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        let place = |queue: &Queue<'_>| {
            let next = queue.next.as_ref()?;
            Some((queue.line.dts(next.dts), !queue.is_main))
        };
        let with_place = self.queues.iter_mut().filter_map(|queue| Some((place(queue)?, queue)));
        let (_, queue) = with_place.min_by_key(|(place, _)| *place)?;
        let raw = queue.next.take()?;
        queue.next = queue.cursor.next();
        Some(Sample::new(queue.id, &queue.line, &raw))
    }
}

/// Whether decoding can start at a sample that by itself says `key`.
fn start(key: KeyKind, sample: &Sample) -> KeyKind {
    match (key, sample.key) {
        // The file knows where decoding can start, and this is no IDR picture.
        (KeyKind::Delta, KeyKind::Key) => KeyKind::Recovery,
        (key, _) => key,
    }
}

/// Up to here, reading on costs less than another read.
const GAP_BYTES_MAX: u64 = 32 << 10;
