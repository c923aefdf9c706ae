//! Where a movie's segments are: found out once from its index alone.

use weir_media::movie::{Movie, Sample};
use weir_media::{Kind, MediaTime, Track};
use weir_proto::hls;

use super::carried;

/// The segments of a movie, by renditions.
pub(crate) struct Table {
    /// The first track of pictures that is carried, if any, and every track of sound that is.
    pub(crate) renditions: Vec<Rendition>,
    /// Codecs that are not carried, and why.
    pub(crate) left_out: Vec<String>,
    pub(crate) duration: MediaTime,
}

/// The segments of a track, one behind another without gap or overlap.
pub(crate) struct Rendition {
    pub(crate) track: Track,
    /// What its addresses start with: `video`, `audio`, `audio2`.
    pub(crate) folder: String,
    pub(crate) codecs: String,
    /// How far its times are moved up, so that no decoding time is negative.
    pub(crate) lead_ticks: i64,
    /// When the first frame that is shown or heard is, in ticks of the presentation: later than 0
    /// in a track that begins late.
    pub(crate) first_ticks: i64,
    /// How segments start.
    pub(crate) starts: Starts,
    /// The greatest number of frames a second in a segment.
    pub(crate) frame_rate: Option<f64>,
    segments: Vec<Place>,
    /// Samples in all, and the tick at which the last ends.
    samples: u32,
    end_ticks: i64,
}

/// How the segments of a track start: as the worst of them does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Starts {
    /// Each can be decoded by itself.
    Alone,
    /// With a frame at which decoding can start, behind which some come that are shown before it
    /// and need the segment before (open GOPs).
    WithLeading,
    /// Some with any frame.
    Anywhere,
}

/// Where a segment starts.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The number of its first sample in decoding order.
    first: u32,
    /// The tick of the presentation that it starts with.
    start_ticks: i64,
    /// About how many bytes it has, headers included.
    bytes: u64,
}

/// A segment of a rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Its samples, in decoding order: from the first to before the second.
    pub(crate) samples: (u32, u32),
    /// When it starts and ends, in ticks of the presentation.
    pub(crate) ticks: (i64, i64),
    /// About how many bytes it has.
    pub(crate) bytes: u64,
}

impl Table {
    /// The segments of `movie`. Segments of pictures start at key frames, those of sound at the
    /// same times.
    pub(crate) fn new(movie: &Movie) -> Table {
        let (mut renditions, mut left_out) = (Vec::<Rendition>::new(), Vec::new());
        let (pictures, sounds): (Vec<_>, Vec<_>) =
            movie.tracks().iter().partition(|track| track.codec.kind() == Kind::Video);
        // Pictures come first: sound is cut by them.
        let mut cuts = Cuts { starts: Vec::new(), end: MediaTime::ZERO };
        for track in pictures.into_iter().chain(sounds) {
            let kind = track.codec.kind();
            let before = renditions.iter().filter(|made| made.track.codec.kind() == kind).count();
            if kind == Kind::Video && before > 0 {
                left_out.push("a second track of pictures: the first is played".to_owned());
                continue;
            }
            match carried(track) {
                Ok(codecs) => {
                    let folder = folder(kind, before);
                    let rendition = Rendition::new(movie, track, folder, codecs, &cuts);
                    let Some(rendition) = rendition else { continue };
                    if kind == Kind::Video {
                        cuts = rendition.cuts();
                    }
                    renditions.push(rendition);
                }
                Err(reason) => left_out.push(reason),
            }
        }
        Table { renditions, left_out, duration: movie.duration() }
    }

    pub(crate) fn picture(&self) -> Option<&Rendition> {
        self.renditions.iter().find(|rendition| rendition.is_picture())
    }

    pub(crate) fn sounds(&self) -> impl Iterator<Item = &Rendition> {
        self.renditions.iter().filter(|rendition| !rendition.is_picture())
    }

    pub(crate) fn by_folder(&self, folder: &str) -> Option<&Rendition> {
        self.renditions.iter().find(|rendition| rendition.folder == folder)
    }
}

/// What the addresses of a rendition start with, of the tracks of this kind the one behind
/// `before` others.
pub(crate) fn folder(kind: Kind, before: usize) -> String {
    let name = match kind {
        Kind::Video => "video",
        Kind::Audio => "audio",
    };
    if before == 0 { name.to_owned() } else { format!("{name}{}", before + 1) }
}

/// The times at which sound is cut.
struct Cuts {
    starts: Vec<MediaTime>,
    /// From here on there are no pictures.
    end: MediaTime,
}

impl Rendition {
    /// `None` if the track has no samples.
    fn new(
        movie: &Movie,
        track: &Track,
        folder: String,
        codecs: String,
        cuts: &Cuts,
    ) -> Option<Rendition> {
        let rate_hz = track.clock_rate_hz.max(1);
        let mut builder = Builder::new(rate_hz);
        let mut next_cut = 0;
        for sample in movie.samples(track.id, 0, u32::MAX) {
            let at_cut = match track.codec.kind() {
                Kind::Video => sample.key.starts() && builder.is_long(&sample),
                Kind::Audio => {
                    let passed = cuts.starts.get(next_cut..).unwrap_or(&[]);
                    let passed = passed.iter().take_while(|start| sample.pts >= **start).count();
                    next_cut += passed;
                    let alone = sample.pts >= cuts.end && builder.is_long(&sample);
                    passed > 0 || alone
                }
            };
            builder.push(&sample, at_cut);
        }
        builder.finish(movie, track, folder, codecs)
    }

    pub(crate) fn is_picture(&self) -> bool {
        self.track.codec.kind() == Kind::Video
    }

    /// How many segments it has.
    pub(crate) fn count(&self) -> usize {
        self.segments.len()
    }

    /// A segment, counted from 0.
    pub(crate) fn segment(&self, number: usize) -> Option<Segment> {
        let place = self.segments.get(number)?;
        let next = self.segments.get(number + 1);
        Some(Segment {
            samples: (place.first, next.map_or(self.samples, |next| next.first)),
            ticks: (place.start_ticks, next.map_or(self.end_ticks, |next| next.start_ticks)),
            bytes: place.bytes,
        })
    }

    /// All segments, in order.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Segment> {
        (0..self.count()).filter_map(|number| self.segment(number))
    }

    /// The distance between two places in ticks as a time.
    pub(crate) fn span(&self, ticks: (i64, i64)) -> MediaTime {
        self.time(ticks.1) - self.time(ticks.0)
    }

    fn time(&self, ticks: i64) -> MediaTime {
        MediaTime::from_ticks(ticks, self.track.clock_rate_hz.max(1))
    }

    /// The longest of its segments, rounded to seconds as a target duration is.
    pub(crate) fn target_duration_s(&self) -> u64 {
        self.segments().map(|each| hls::rounded_s(self.span(each.ticks))).max().unwrap_or(1).max(1)
    }

    /// The longest of its segments.
    pub(crate) fn longest(&self) -> MediaTime {
        self.segments().map(|each| self.span(each.ticks)).max().unwrap_or_default()
    }

    /// Peak and average bits a second.
    pub(crate) fn bit_rates(&self) -> (u64, u64) {
        let all: Vec<_> = self.segments().map(|each| (self.span(each.ticks), each.bytes)).collect();
        let peak = hls::peak_bit_rate(&all, self.target_duration_s());
        let bytes: u64 = all.iter().map(|(_, bytes)| bytes).sum();
        let nanos = i128::from(self.time(self.end_ticks).as_nanos().max(1));
        let average = i128::from(bytes) * 8_000_000_000 / nanos;
        (peak, u64::try_from(average).unwrap_or(u64::MAX))
    }

    fn cuts(&self) -> Cuts {
        // The first starts with whatever comes first.
        let starts = self.segments.iter().skip(1).map(|place| self.time(place.start_ticks));
        Cuts { starts: starts.collect(), end: self.time(self.end_ticks) }
    }
}

/// Goes over a track's samples.
struct Builder {
    rate_hz: u32,
    segments: Vec<Place>,
    /// The first decoding time in the segment.
    first_dts: MediaTime,
    samples_here: u32,
    bytes_here: u64,
    /// When the first frame in the segment is shown that is shown first, and when the first is.
    earliest_here: MediaTime,
    first_pts: MediaTime,
    starts: Starts,
    /// The earliest decoding time of all.
    first_decoded: MediaTime,
    first_shown: Option<MediaTime>,
    samples: u32,
    end: MediaTime,
}

impl Builder {
    fn new(rate_hz: u32) -> Self {
        Builder {
            rate_hz,
            segments: Vec::new(),
            first_dts: MediaTime::ZERO,
            samples_here: 0,
            bytes_here: 0,
            earliest_here: NEVER,
            first_pts: MediaTime::ZERO,
            starts: Starts::Alone,
            first_decoded: MediaTime::ZERO,
            first_shown: None,
            samples: 0,
            end: MediaTime::ZERO,
        }
    }

    /// Whether the segment so far is long enough to end before `next`.
    fn is_long(&self, next: &Sample) -> bool {
        let span = next.dts - self.first_dts;
        span >= SPAN_TARGET || (span >= SPAN_LEAST && self.bytes_here >= BYTES_TARGET)
    }

    fn push(&mut self, sample: &Sample, at_cut: bool) {
        let pts = sample.pts;
        let bytes = u64::from(sample.bytes);
        let full =
            self.bytes_here.saturating_add(bytes) > BYTES_MAX || self.samples_here >= SAMPLES_MAX;
        // What comes before 0 is decoded and not shown: a segment of that alone lasts no time.
        let shown = self.earliest_here < NEVER && pts > MediaTime::ZERO;
        if self.segments.is_empty() {
            self.begin(sample);
        } else if shown && (at_cut || full) {
            self.end_segment();
            self.begin(sample);
        }
        self.first_decoded = self.first_decoded.min(sample.dts);
        self.end = self.end.max(pts + sample.duration);
        if pts >= MediaTime::ZERO {
            self.first_shown = Some(self.first_shown.map_or(pts, |first| first.min(pts)));
        }
        self.earliest_here = self.earliest_here.min(pts);
        self.samples_here += 1;
        self.bytes_here = self.bytes_here.saturating_add(bytes);
        self.samples = sample.index.saturating_add(1);
    }

    fn begin(&mut self, sample: &Sample) {
        if !sample.key.starts() {
            self.starts = Starts::Anywhere;
        }
        self.first_dts = sample.dts;
        self.first_pts = sample.pts;
        self.segments.push(Place { first: sample.index, start_ticks: 0, bytes: 0 });
    }

    /// Settles the segment's start and bytes.
    fn end_segment(&mut self) {
        let before = self.segments.len().checked_sub(2).and_then(|n| self.segments.get(n));
        // Presentation starts at 0, even where a track's first frame comes later; and no segment
        // starts where the one before does, whatever a file says.
        let start = match before {
            None => 0,
            Some(before) => self.earliest_here.to_ticks(self.rate_hz).max(before.start_ticks + 1),
        };
        if before.is_some() && self.earliest_here < self.first_pts {
            self.starts = self.starts.max(Starts::WithLeading);
        }
        let bytes = self.bytes_here
            + weir_media::mp4::segment::media_head_bytes(self.samples_here as usize) as u64;
        if let Some(place) = self.segments.last_mut() {
            place.start_ticks = start;
            place.bytes = bytes;
        }
        self.samples_here = 0;
        self.bytes_here = 0;
        self.earliest_here = NEVER;
    }

    fn finish(
        mut self,
        movie: &Movie,
        track: &Track,
        folder: String,
        codecs: String,
    ) -> Option<Rendition> {
        self.end_segment();
        let last = self.segments.last()?.start_ticks;
        let mut rendition = Rendition {
            track: track.clone(),
            folder,
            codecs,
            lead_ticks: -self.first_decoded.to_ticks(self.rate_hz),
            first_ticks: self.first_shown.unwrap_or_default().to_ticks(self.rate_hz),
            starts: self.starts,
            frame_rate: None,
            segments: self.segments,
            samples: self.samples,
            end_ticks: self.end.to_ticks(self.rate_hz).max(last + 1),
        };
        rendition.settle_bytes(movie.sample_bytes(track.id));
        if rendition.is_picture() {
            rendition.frame_rate = rendition.frame_rate();
        }
        Some(rendition)
    }
}

impl Rendition {
    /// Where a sample's bytes stand among those of other tracks (transport streams), the place in
    /// the file says too much: what the track has in all says how much less it is.
    fn settle_bytes(&mut self, track_bytes: u64) {
        let said: u64 = self.segments.iter().map(|place| place.bytes).sum();
        let heads = weir_media::mp4::segment::media_head_bytes(self.samples as usize) as u64;
        let most = track_bytes + heads + HEAD_BYTES * self.segments.len() as u64;
        if said <= most {
            return;
        }
        for place in &mut self.segments {
            let share = u128::from(place.bytes) * u128::from(most) / u128::from(said.max(1));
            place.bytes = u64::try_from(share).unwrap_or(u64::MAX);
        }
    }

    /// The greatest of the segments' rates; of those of a second or more, if there are any, for
    /// the rate of a few frames says little.
    fn frame_rate(&self) -> Option<f64> {
        let rate = |segment: Segment| {
            let shown_ticks = (segment.ticks.0.max(self.first_ticks), segment.ticks.1);
            let seconds = self.span(shown_ticks).as_secs_f64();
            let frames = f64::from(segment.samples.1 - segment.samples.0);
            (seconds > 0.0).then_some((seconds, frames / seconds))
        };
        let rates: Vec<_> = self.segments().filter_map(rate).collect();
        let long = rates.iter().filter(|(seconds, _)| *seconds >= 1.0);
        let greatest = long.map(|(_, rate)| *rate).reduce(f64::max);
        greatest.or_else(|| rates.iter().map(|(_, rate)| *rate).reduce(f64::max))
    }
}

const NEVER: MediaTime = MediaTime::from_nanos(i64::MAX);
/// Segments end at the first key frame after so long,
const SPAN_TARGET: MediaTime = MediaTime::from_nanos(4_000_000_000);
/// or, where that is much, after so long with so many bytes: each stands in memory while it is
/// sent.
const SPAN_LEAST: MediaTime = MediaTime::from_nanos(2_000_000_000);
const BYTES_TARGET: u64 = 1 << 20;
/// A segment past these is cut at any frame. RFC 8216 section 3 allows it; a viewer who starts
/// there sees nothing until the next key frame.
const BYTES_MAX: u64 = 16 << 20;
const SAMPLES_MAX: u32 = 1 << 16;
/// Of a segment without samples.
const HEAD_BYTES: u64 = 128;
