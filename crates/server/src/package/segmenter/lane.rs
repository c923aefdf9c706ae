//! One track of a live stream: frames that are held, and segments that are done.

use std::collections::VecDeque;

use bytes::Bytes;
use weir_media::h264::DtsClock;
use weir_media::mp4::segment;
use weir_media::{Codec, Frame, Kind, MediaTime, Track};
use weir_proto::hls;

use super::{Anchor, Epoch};
use crate::package::carried;

/// One track of a live stream.
pub(crate) struct Lane {
    pub(crate) track: Track,
    pub(crate) folder: String,
    pub(crate) codecs: String,
    /// Initialization segments that segments still need, the newest last, with their numbers.
    inits: VecDeque<(u64, Bytes)>,
    clock: DtsClock,
    held: Vec<Held>,
    held_bytes: usize,
    /// Times at which the held frames are to be cut.
    cuts: VecDeque<MediaTime>,
    /// Those that can be had, oldest first.
    pub(crate) segments: VecDeque<Segment>,
    /// The number of the next segment.
    pub(crate) next_number: u64,
    /// The first tick that is free.
    next_tick: i64,
    last_in_epoch: Option<(u64, MediaTime)>,
    /// The longest segment that is done, and the longest that may be, rounded as target durations
    /// are.
    longest_s: u64,
    pub(super) limit_s: u64,
    peak_bps: u64,
    all: (MediaTime, u64),
}

/// A frame of a segment to come.
pub(super) struct Held {
    pts: MediaTime,
    dts: MediaTime,
    duration: Option<MediaTime>,
    starts: bool,
    payload: Bytes,
}

impl Held {
    pub(super) fn new(frame: &Frame, pts: MediaTime, dts: MediaTime) -> Self {
        let (duration, starts) = (frame.duration, frame.key.starts());
        Held { pts, dts, duration, starts, payload: frame.payload.clone() }
    }
}

/// A segment that is done.
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) init: u64,
    pub(crate) epoch: Epoch,
    /// It starts with a key frame.
    pub(crate) independent: bool,
    /// When its first frame is shown, and how long it lasts, in ticks.
    pub(crate) start_ticks: u64,
    pub(crate) ticks: u64,
    pub(crate) anchor: Anchor,
    pub(crate) pieces: Vec<Bytes>,
    bytes: usize,
}

impl Lane {
    /// For a track, or why it is not carried.
    pub(super) fn new(track: &Track, folder: String) -> Result<Lane, String> {
        let codecs = carried(track)?;
        let init = segment::init(track, 0).map_err(|error| error.to_string())?;
        Ok(Lane {
            track: track.clone(),
            folder,
            codecs,
            inits: VecDeque::from([(1, init)]),
            clock: clock(track),
            held: Vec::new(),
            held_bytes: 0,
            cuts: VecDeque::new(),
            segments: VecDeque::new(),
            next_number: 1,
            next_tick: 0,
            last_in_epoch: None,
            longest_s: 0,
            limit_s: SPAN_MAX_S,
            peak_bps: 0,
            all: (MediaTime::ZERO, 0),
        })
    }

    /// Takes over where a lane of a stream of the same name has ended, with its segments.
    pub(super) fn go_on(&mut self, old: &Lane) {
        let number = old.inits.back().map_or(1, |(number, _)| number + 1);
        let init = self.inits.pop_back().map(|(_, init)| (number, init));
        self.inits = old.inits.iter().cloned().chain(init).collect();
        self.segments = old.segments.iter().map(Segment::shared).collect();
        self.next_number = old.next_number;
        self.next_tick = old.next_tick;
        self.longest_s = old.longest_s;
        self.limit_s = old.limit_s;
    }

    /// Takes over the codec of a lane that has no segments.
    pub(super) fn change(&mut self, to: Lane) {
        let number = self.inits.back().map_or(1, |(number, _)| number + 1);
        self.inits.extend(to.inits.into_iter().map(|(_, init)| (number, init)));
        if self.inits.len() > KEPT_MAX {
            self.inits.pop_front();
        }
        self.track = to.track;
        self.codecs = to.codecs;
        self.clock = to.clock;
    }

    /// The decoding time of a frame: derived, where it is not said.
    pub(super) fn dts(&mut self, frame: &Frame) -> MediaTime {
        match frame.dts {
            Some(dts) => dts,
            None if self.track.codec.kind() == Kind::Video => self.clock.push(frame.pts),
            None => frame.pts,
        }
    }

    /// The longest segment so far, the one to come among them, rounded as target durations are.
    pub(super) fn longest_s(&self) -> u64 {
        let held = self.held.last().map_or(MediaTime::ZERO, |last| self.span_to(last.dts));
        let with_last = held + self.duration_of_last().min(STEP_FEW);
        if held == MediaTime::ZERO {
            self.longest_s
        } else {
            self.longest_s.max(hls::rounded_s(with_last))
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// How long the segment is that ends at `dts`.
    pub(super) fn span_to(&self, dts: MediaTime) -> MediaTime {
        self.held.first().map_or(MediaTime::ZERO, |first| dts - first.dts)
    }

    /// The decoding time of the last frame, if it belongs to this epoch.
    pub(super) fn last_in(&self, epoch: Epoch) -> Option<MediaTime> {
        self.last_in_epoch.filter(|(number, _)| *number == epoch.number).map(|(_, dts)| dts)
    }

    /// When the last frame ends.
    pub(super) fn end_time(&self) -> MediaTime {
        let done = MediaTime::from_ticks(self.next_tick, self.rate_hz());
        self.held.last().map_or(done, |last| done.max(last.dts + self.duration_of_last()))
    }

    /// Takes a frame. Ends the segment before it if that may not become longer.
    pub(super) fn push(&mut self, mut held: Held, epoch: Epoch, anchor: Anchor) {
        // Small steps back are none: frames are decoded in the order in which they come.
        held.dts = self.last_in(epoch).map_or(held.dts, |last| held.dts.max(last));
        self.settle_cuts(Some(&held), epoch, anchor);
        // The frame lasts about as long as the one before it.
        let after = self.span_to(held.dts) + self.duration_of_last() + self.duration_of_last();
        let full = self.held_bytes + held.payload.len() > BYTES_MAX || self.held.len() > FRAMES_MAX;
        if full || hls::rounded_s(after) > self.limit_s {
            self.close(self.held.len(), Some(held.dts), epoch, anchor);
        }
        self.last_in_epoch = Some((epoch.number, held.dts));
        self.held_bytes += held.payload.len();
        self.held.push(held);
    }

    /// Ends a segment at this time, now or once all frames before it have come.
    pub(super) fn cut(&mut self, at: MediaTime, epoch: Epoch, anchor: Anchor) {
        if self.cuts.len() >= CUTS_MAX {
            self.cuts.pop_front();
        }
        self.cuts.push_back(at);
        self.settle_cuts(None, epoch, anchor);
        if self.track.codec.kind() == Kind::Video && !self.cuts.is_empty() {
            // It is cut before the frame that comes next.
            self.cuts.clear();
            self.close(self.held.len(), Some(at), epoch, anchor);
        }
    }

    /// Ends what is held.
    pub(super) fn close_all(&mut self, epoch: Epoch, anchor: Anchor) {
        self.settle_cuts(None, epoch, anchor);
        self.cuts.clear();
        self.close(self.held.len(), None, epoch, anchor);
    }

    /// Makes the cuts behind which a frame has come, of which `next` is the newest.
    fn settle_cuts(&mut self, next: Option<&Held>, epoch: Epoch, anchor: Anchor) {
        while let Some(&cut) = self.cuts.front() {
            let behind = self.held.iter().position(|held| held.dts >= cut);
            let Some(first) = self.held.get(behind.unwrap_or(self.held.len())).or(next) else {
                return;
            };
            if first.dts < cut {
                return;
            }
            let end = first.dts;
            self.cuts.pop_front();
            self.close(behind.unwrap_or(self.held.len()), Some(end), epoch, anchor);
        }
    }

    /// Makes a segment of the first `count` held frames; the next one is decoded at `end`.
    fn close(&mut self, count: usize, end: Option<MediaTime>, epoch: Epoch, anchor: Anchor) {
        if count == 0 {
            return;
        }
        let rate_hz = self.rate_hz();
        let own_end = self.held.last().map(|last| last.dts + self.duration_of_last());
        // A pause is not part of the segment that is before it, where it would be too long.
        let limit = self.held.first().map_or(MediaTime::ZERO, |first| first.dts) + self.limit();
        let end = end.or(own_end).unwrap_or_default().min(limit).to_ticks(rate_hz);
        let frames: Vec<Held> = self.held.drain(..count.min(self.held.len())).collect();
        let payload_bytes: usize = frames.iter().map(|held| held.payload.len()).sum();
        self.held_bytes -= payload_bytes;
        let start = frames.first().map_or(0, |first| first.dts.to_ticks(rate_hz));
        let start = start.max(self.next_tick);
        let mut tick = start;
        let mut shown_first = i64::MAX;
        let mut rows = Vec::with_capacity(frames.len());
        for (number, held) in frames.iter().enumerate() {
            let next = frames.get(number + 1).map_or(end, |next| next.dts.to_ticks(rate_hz));
            let duration = (next - tick).clamp(1, i64::from(i32::MAX));
            let pts = held.pts.to_ticks(rate_hz);
            shown_first = shown_first.min(pts);
            rows.push(segment::Sample {
                duration_ticks: duration as u32,
                composition_ticks: i32::try_from(pts - tick).unwrap_or(0),
                starts: held.starts,
                bytes: held.payload.len() as u32,
            });
            tick += duration;
        }
        let kind = self.track.codec.kind();
        let unsigned = |ticks: i64| u64::try_from(ticks).unwrap_or(0);
        let number = self.next_number;
        let Ok(head) = segment::media_head(kind, number as u32, unsigned(start), &rows) else {
            return;
        };
        self.next_number += 1;
        self.next_tick = tick;
        let pieces: Vec<_> =
            [head].into_iter().chain(frames.iter().map(|held| held.payload.clone())).collect();
        let made = Segment {
            number,
            init: self.inits.back().map_or(1, |(number, _)| *number),
            epoch,
            independent: frames.first().is_some_and(|first| first.starts),
            start_ticks: unsigned(shown_first),
            ticks: unsigned(tick - start),
            anchor,
            bytes: payload_bytes + pieces[0].len(),
            pieces,
        };
        self.keep(made);
    }

    /// What is still rounded down to the longest that a segment may be.
    fn limit(&self) -> MediaTime {
        let limit_s = i64::try_from(self.limit_s).unwrap_or(i64::MAX);
        MediaTime::from_nanos(limit_s.saturating_mul(1_000_000_000)) + HALF_SECOND_LESS
    }

    fn keep(&mut self, made: Segment) {
        let span = made.span(self.rate_hz());
        self.longest_s = self.longest_s.max(hls::rounded_s(span));
        let bits = i128::from(made.bytes as u64) * 8_000_000_000;
        let rate = bits / i128::from(span.as_nanos().max(1));
        self.peak_bps = self.peak_bps.max(u64::try_from(rate).unwrap_or(u64::MAX));
        self.all = (self.all.0 + span, self.all.1.saturating_add(made.bytes as u64));
        self.segments.push_back(made);
        let mut bytes: usize = self.segments.iter().map(|segment| segment.bytes).sum();
        while self.segments.len() > KEPT_MAX
            || (bytes > KEPT_BYTES_MAX && self.segments.len() > WINDOW)
        {
            bytes -= self.segments.pop_front().map_or(0, |segment| segment.bytes);
        }
        let oldest = self.segments.front().map_or(0, |segment| segment.init);
        while self.inits.len() > 1 && self.inits.front().is_some_and(|(init, _)| *init < oldest) {
            self.inits.pop_front();
        }
    }

    /// The segments that playlists name: the newest few.
    pub(crate) fn window(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().skip(self.segments.len().saturating_sub(WINDOW))
    }

    pub(crate) fn segment(&self, number: u64) -> Option<&Segment> {
        let first = self.segments.front()?.number;
        self.segments.get(usize::try_from(number.checked_sub(first)?).ok()?)
    }

    pub(crate) fn init(&self, number: u64) -> Option<Bytes> {
        let found = self.inits.iter().find(|(init, _)| *init == number);
        found.map(|(_, bytes)| bytes.clone())
    }

    /// Peak and average bits a second so far.
    pub(crate) fn bit_rates(&self) -> (u64, u64) {
        let (span, bytes) = self.all;
        let average = i128::from(bytes) * 8_000_000_000 / i128::from(span.as_nanos().max(1));
        (self.peak_bps, u64::try_from(average).unwrap_or(u64::MAX))
    }

    /// The greatest number of frames a second in the segments that can be had.
    pub(crate) fn frame_rate(&self) -> Option<f64> {
        let rates = self.segments.iter().map(|segment| {
            // Behind the head stands a piece for each frame.
            let frames = segment.pieces.len().saturating_sub(1) as f64;
            frames / segment.span(self.rate_hz()).as_secs_f64().max(1e-9)
        });
        rates.reduce(f64::max).filter(|_| self.track.codec.kind() == Kind::Video)
    }

    pub(crate) fn rate_hz(&self) -> u32 {
        self.track.clock_rate_hz.max(1)
    }

    /// How long the last held frame lasts, as far as that is known.
    fn duration_of_last(&self) -> MediaTime {
        let mut last = self.held.iter().rev();
        let (newest, before) = (last.next(), last.next());
        let said = newest.and_then(|held| held.duration);
        let step = newest.zip(before).map(|(newest, before)| newest.dts - before.dts);
        said.or(step).unwrap_or(FRAME_DURATION).max(MediaTime::ZERO)
    }
}

impl Segment {
    /// How long it lasts.
    pub(crate) fn span(&self, rate_hz: u32) -> MediaTime {
        MediaTime::from_ticks(i64::try_from(self.ticks).unwrap_or(i64::MAX), rate_hz)
    }

    /// When its first frame is shown, on the stream's time line.
    pub(crate) fn start(&self, rate_hz: u32) -> MediaTime {
        MediaTime::from_ticks(i64::try_from(self.start_ticks).unwrap_or(i64::MAX), rate_hz)
    }

    fn shared(&self) -> Segment {
        Segment { pieces: self.pieces.clone(), ..*self }
    }
}

fn clock(track: &Track) -> DtsClock {
    let (depth, frame_rate) = match &track.codec {
        Codec::H264(config) => config
            .picture()
            .map_or((0, None), |picture| (picture.reorder_depth, picture.frame_rate)),
        Codec::H265(config) => config
            .picture()
            .map_or((0, None), |picture| (picture.reorder_depth, picture.frame_rate)),
        _ => (0, None),
    };
    let duration = frame_rate.map(|rate| MediaTime::from_nanos((1e9 / rate) as i64));
    DtsClock::new(depth, duration)
}

/// Segments in a playlist, and those kept besides for clients that have an older one (RFC 8216
/// section 6.2.2).
pub(crate) const WINDOW: usize = 6;
const KEPT_MAX: usize = 2 * WINDOW + 1;
const KEPT_BYTES_MAX: usize = 64 << 20;
/// What a segment may come to.
const BYTES_MAX: usize = 16 << 20;
const FRAMES_MAX: usize = 4096;
const HALF_SECOND_LESS: MediaTime = MediaTime::from_nanos(490_000_000);
/// Without key frames a segment ends after so long, or after the target duration once that is
/// settled.
const SPAN_MAX_S: u64 = 10;
/// What the last frame may add to the longest segment.
const STEP_FEW: MediaTime = MediaTime::from_nanos(500_000_000);
/// Cuts that a track which brings no frames may have open.
const CUTS_MAX: usize = 16;
const FRAME_DURATION: MediaTime = MediaTime::from_nanos(33_333_333);
