//! Cuts a live stream into segments as its frames come, once for all viewers.
//!
//! Times count from the start of the stream. They go on without a step over every discontinuity,
//! behind which a new epoch starts.

mod lane;

use weir_media::{Frame, Kind, MediaTime, Track};
use weir_time::{Instant, Utc};

pub(crate) use lane::{Lane, Segment};

use lane::Held;

/// The segments of a live stream.
pub(crate) struct Segmenter {
    /// The tracks that are carried; pictures first, if there are any.
    pub(crate) lanes: Vec<Lane>,
    /// Codecs that are not carried, and why.
    pub(crate) left_out: Vec<String>,
    /// What no segment's duration exceeds once rounded; settled when somebody first asks.
    target_duration_s: Option<u64>,
    epoch: Epoch,
    /// When the stream's time was 0, first of all and as it is now.
    pub(crate) begun: Option<Anchor>,
    anchor: Option<Anchor>,
    pub(crate) ended: bool,
    /// Frames of carried tracks that came before all that viewers get.
    pub(crate) frames_early: u64,
}

/// A stretch without discontinuity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Epoch {
    /// Its number, from 0.
    pub(crate) number: u64,
    /// When it starts, on the stream's time line.
    pub(crate) start: MediaTime,
    /// What is taken from a frame's times for those of the stream; `None` until the first frame.
    origin: Option<MediaTime>,
}

/// When the time of a stream was 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// By the clock that captured it: nanoseconds since 1970.
    Utc(i64),
    /// By the arrival of its frames: nanoseconds of this host's clock.
    Arrival(i64),
}

impl Anchor {
    /// `since` is a moment on both clocks of this host.
    pub(crate) fn to_utc(self, at: MediaTime, since: (Instant, Utc)) -> Utc {
        let zero = match self {
            Anchor::Utc(nanos) => nanos,
            Anchor::Arrival(nanos) => {
                let (instant, utc) = since;
                let ahead = i128::from(utc.as_nanos()) - i128::from(instant.as_nanos());
                i64::try_from(i128::from(nanos) + ahead).unwrap_or(i64::MAX)
            }
        };
        Utc::from_nanos(u64::try_from(zero.saturating_add(at.as_nanos())).unwrap_or(0))
    }

    fn of(frame: &Frame, now: Instant, pts: MediaTime, dts: MediaTime) -> Anchor {
        let nanos = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
        match frame.capture {
            Some(capture) => Anchor::Utc(nanos(capture.at.as_nanos()) - pts.as_nanos()),
            None => Anchor::Arrival(nanos(now.as_nanos()) - dts.as_nanos()),
        }
    }

    fn is_near(self, other: Anchor) -> bool {
        match (self, other) {
            (Anchor::Utc(a), Anchor::Utc(b)) | (Anchor::Arrival(a), Anchor::Arrival(b)) => {
                a.abs_diff(b) < DRIFT_NANOS_MAX
            }
            _ => false,
        }
    }
}

impl Segmenter {
    /// For a stream of these tracks. With `before`, a stream of the same name that has ended,
    /// numbers and times go on where its ended.
    pub(crate) fn new(tracks: &[Track], before: Option<&Segmenter>) -> Segmenter {
        let (mut lanes, mut left_out) = (Vec::<Lane>::new(), Vec::new());
        let (pictures, sounds): (Vec<_>, Vec<_>) =
            tracks.iter().partition(|track| track.codec.kind() == Kind::Video);
        for track in pictures.into_iter().chain(sounds) {
            let kind = track.codec.kind();
            let same = lanes.iter().filter(|lane| lane.track.codec.kind() == kind).count();
            if kind == Kind::Video && same > 0 {
                left_out.push("a second track of pictures: the first is played".to_owned());
                continue;
            }
            match Lane::new(track, super::table::folder(kind, same)) {
                Ok(lane) => lanes.push(lane),
                Err(reason) => left_out.push(reason),
            }
        }
        let mut made = Segmenter {
            lanes,
            left_out,
            target_duration_s: None,
            epoch: Epoch::default(),
            begun: None,
            anchor: None,
            ended: false,
            frames_early: 0,
        };
        if let Some(before) = before {
            made.target_duration_s = before.target_duration_s;
            made.begun = before.begun;
            made.anchor = before.anchor;
            made.epoch = Epoch { origin: None, ..before.next_epoch(before.end_time()) };
            for lane in &mut made.lanes {
                if let Some(old) = before.lane(&lane.folder) {
                    lane.go_on(old);
                }
            }
        }
        made
    }

    pub(crate) fn lane(&self, folder: &str) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.folder == folder)
    }

    /// The target duration of all playlists, which stays as it is from now on (RFC 8216 section
    /// 6.2.1).
    pub(crate) fn settle_target_duration_s(&mut self) -> u64 {
        let longest = self.lanes.iter().map(Lane::longest_s).max().unwrap_or(0);
        let settled = *self.target_duration_s.get_or_insert(longest.max(SPAN_TARGET_S));
        self.lanes.iter_mut().for_each(|lane| lane.limit_s = settled);
        settled
    }

    /// Whether somebody asked for a playlist.
    pub(crate) fn is_watched(&self) -> bool {
        self.target_duration_s.is_some()
    }

    /// Takes the next frame, in order of decoding; `now` is the time of this moment. Says whether a segment came to its
    /// end.
    pub(crate) fn push(&mut self, frame: &Frame, now: Instant) -> bool {
        let number = self.lanes.iter().position(|lane| lane.track.id == frame.track);
        let Some(number) = number.filter(|_| !self.ended) else { return false };
        let before: u64 = self.closed();
        let dts = match self.lanes.get_mut(number) {
            Some(lane) => lane.dts(frame),
            None => return false,
        };
        self.take(number, frame, dts, now);
        self.closed() > before
    }

    /// The parameter sets of a track change with the next frame.
    pub(crate) fn change(&mut self, track: &Track) {
        let number = self.lanes.iter().position(|lane| lane.track.id == track.id);
        let Some(number) = number.filter(|number| self.lanes[*number].track != *track) else {
            return;
        };
        match Lane::new(track, String::new()) {
            Ok(changed) => {
                self.break_off(None);
                self.lanes[number].change(changed);
            }
            Err(reason) => tracing::warn!("track {}: {reason}", track.id.0),
        }
    }

    /// The stream ends: what is held makes the last segments.
    pub(crate) fn end(&mut self) {
        self.close_all();
        self.ended = true;
    }

    fn take(&mut self, number: usize, frame: &Frame, dts: MediaTime, now: Instant) {
        if self.is_break(number, frame, dts) {
            self.break_off(Some((frame, dts, now)));
        }
        let origin = match self.epoch.origin {
            Some(origin) => origin,
            None if number == MAIN && frame.key.starts() => {
                let origin = dts - self.epoch.start;
                self.epoch.origin = Some(origin);
                origin
            }
            None => {
                self.frames_early += 1;
                return;
            }
        };
        let (pts, dts) = (frame.pts - origin, dts - origin);
        let main_at = self.lanes.first().and_then(|main| main.last_in(self.epoch));
        let latest = main_at.unwrap_or(self.epoch.start) + STEP_MAX;
        if dts < self.epoch.start || (number != MAIN && dts > latest) {
            // Of the time line before this one, for the most part.
            self.frames_early += 1;
            return;
        }
        if number == MAIN {
            self.cut_before(frame, pts, dts, now);
        }
        let Some(anchor) = self.anchor else { return };
        if let Some(lane) = self.lanes.get_mut(number) {
            lane.push(Held::new(frame, pts, dts), self.epoch, anchor);
        }
    }

    /// Ends the segments if one is long enough and the next can start with this frame.
    fn cut_before(&mut self, frame: &Frame, pts: MediaTime, dts: MediaTime, now: Instant) {
        let measured = Anchor::of(frame, now, pts, dts);
        let Some(main) = self.lanes.first() else { return };
        let starts = main.is_empty();
        let cuts = !starts && frame.key.starts() && main.span_to(dts) >= SPAN_LEAST;
        if cuts {
            let (epoch, anchor) = (self.epoch, self.anchor.unwrap_or(measured));
            for (number, lane) in self.lanes.iter_mut().enumerate() {
                lane.cut(if number == MAIN { dts } else { pts }, epoch, anchor);
            }
        }
        if cuts || starts {
            // The publisher's clock and ours drift apart; what comes a little early or late is
            // no drift.
            self.anchor = self.anchor.filter(|anchor| anchor.is_near(measured)).or(Some(measured));
            self.begun = self.begun.or(self.anchor);
        }
    }

    /// Whether the times of a frame do not follow from those before.
    fn is_break(&self, number: usize, frame: &Frame, dts: MediaTime) -> bool {
        let Some(origin) = self.epoch.origin else { return false };
        let Some(last) = self.lanes.get(number).and_then(|lane| lane.last_in(self.epoch)) else {
            // The first frame of its track since the break that another one has told of.
            return false;
        };
        let step = dts - origin - last;
        frame.discontinuity || step < STEP_BACK || step > STEP_MAX
    }

    /// Starts a new epoch, with a frame of this decoding time if it is known.
    fn break_off(&mut self, next: Option<(&Frame, MediaTime, Instant)>) {
        let end = self.end_time();
        self.close_all();
        // Where the frames' own times or a clock say that there was a pause, it stays.
        let resumes = next.and_then(|(frame, dts, now)| {
            let by_time = self.epoch.origin.map(|origin| dts - origin);
            let by_time = by_time.filter(|time| *time > end && *time - end < PAUSE_MAX);
            let nanos = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
            let by_clock = match (self.anchor?, frame.capture) {
                (Anchor::Arrival(zero), None) => Some(nanos(now.as_nanos()).saturating_sub(zero)),
                (Anchor::Utc(zero), Some(capture)) => {
                    Some(nanos(capture.at.as_nanos()).saturating_sub(zero))
                }
                _ => None,
            };
            by_time.or(by_clock.map(MediaTime::from_nanos))
        });
        self.epoch = self.next_epoch(resumes.map_or(end, |time| time.max(end)));
    }

    fn next_epoch(&self, start: MediaTime) -> Epoch {
        if self.epoch.origin.is_none() {
            return Epoch { start: start.max(self.epoch.start), ..self.epoch };
        }
        Epoch { number: self.epoch.number + 1, start, origin: None }
    }

    fn close_all(&mut self) {
        let (epoch, anchor) = (self.epoch, self.anchor);
        let Some(anchor) = anchor else { return };
        self.lanes.iter_mut().for_each(|lane| lane.close_all(epoch, anchor));
    }

    /// When the last frame of all ends.
    fn end_time(&self) -> MediaTime {
        self.lanes.iter().map(Lane::end_time).max().unwrap_or_default()
    }

    fn closed(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.next_number).sum()
    }
}

/// The lane that segments are cut by.
const MAIN: usize = 0;
/// A segment ends at the first key frame after so long: a little less than the 2 s that it is
/// meant to be, for capture times vary.
const SPAN_LEAST: MediaTime = MediaTime::from_nanos(1_800_000_000);
const SPAN_TARGET_S: u64 = 2;
/// Steps of decoding time that are no break.
const STEP_BACK: MediaTime = MediaTime::from_nanos(-1_000_000_000);
const STEP_MAX: MediaTime = MediaTime::from_nanos(10_000_000_000);
/// A longer pause is a new time line.
const PAUSE_MAX: MediaTime = MediaTime::from_nanos(3_600_000_000_000);
const DRIFT_NANOS_MAX: u64 = 200_000_000;
