//! Measures the frames of one track.

use std::collections::VecDeque;

use weir_media::{Kind, MediaTime};

use super::{Gop, Track};

/// Counts the frames of one track, which come in decoding order, and holds a bounded amount.
pub(super) struct Gauge {
    kind: Kind,
    frames: u64,
    key_frames: u64,
    bytes: u64,
    /// The earliest and the latest time of presentation.
    span: Option<(MediaTime, MediaTime)>,
    /// The shortest and the longest frame but for the last.
    durations: Option<(MediaTime, MediaTime)>,
    last_duration: Option<MediaTime>,
    durations_sum: MediaTime,
    /// The times of presentation of the last frames.
    recent: VecDeque<MediaTime>,
    reorder_depth: u8,
    /// Nothing is missing behind the last frame.
    is_ended: bool,
    /// The last key frame, and the frames since, itself among them.
    gop: Option<(MediaTime, u64)>,
    gops: Gops,
}

#[derive(Default)]
struct Gops {
    all: Gop,
    frames_sum: u64,
    ns_sum: u64,
}

/// More frames are not reordered by any codec.
const RECENT_MAX: usize = 32;

impl Gauge {
    pub(super) fn new(kind: Kind) -> Self {
        Gauge {
            kind,
            frames: 0,
            key_frames: 0,
            bytes: 0,
            span: None,
            durations: None,
            last_duration: None,
            durations_sum: MediaTime::ZERO,
            recent: VecDeque::new(),
            reorder_depth: 0,
            is_ended: false,
            gop: None,
            gops: Gops::default(),
        }
    }

    /// Takes the next frame in decoding order. `starts`: decoding can start with it.
    pub(super) fn push(
        &mut self,
        pts: MediaTime,
        duration: Option<MediaTime>,
        bytes: u64,
        starts: bool,
    ) {
        self.frames += 1;
        self.bytes += bytes;
        self.span = Some(self.span.map_or((pts, pts), |(min, max)| (min.min(pts), max.max(pts))));
        if let Some(duration) = duration {
            self.durations_sum = self.durations_sum + duration;
            // The last one of a file is often made up: each is looked at once the next has come.
            if let Some(last) = self.last_duration.replace(duration) {
                let (min, max) = self.durations.unwrap_or((last, last));
                self.durations = Some((min.min(last), max.max(last)));
            }
        }
        let later = self.recent.iter().filter(|other| **other > pts).count();
        self.reorder_depth = self.reorder_depth.max(u8::try_from(later).unwrap_or(u8::MAX));
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(pts);
        if starts {
            self.key_frames += 1;
            self.end_gop(pts);
            self.gop = Some((pts, 0));
        }
        if let Some((_, frames)) = &mut self.gop {
            *frames += 1;
        }
    }

    /// The frames since the last key frame are whole GOP: the track ends at `at`.
    pub(super) fn end(&mut self, at: MediaTime) {
        self.end_gop(at);
        self.gop = None;
        self.is_ended = true;
    }

    fn end_gop(&mut self, at: MediaTime) {
        let Some((from, frames)) = self.gop else {
            return;
        };
        let ns = super::file::nanos(at - from);
        let gops = &mut self.gops;
        let all = &mut gops.all;
        if all.count == 0 {
            (all.frames_min, all.ns_min) = (frames, ns);
        }
        all.count += 1;
        (all.frames_min, all.frames_max) = (all.frames_min.min(frames), all.frames_max.max(frames));
        (all.ns_min, all.ns_max) = (all.ns_min.min(ns), all.ns_max.max(ns));
        gops.frames_sum += frames;
        gops.ns_sum = gops.ns_sum.saturating_add(ns);
    }

    /// Bits a second over the time that the frames last.
    pub(super) fn data_rate_bps(&self) -> Option<u64> {
        let nanos = match self.last_duration {
            Some(_) => super::file::nanos(self.durations_sum),
            // The last frame lasts as long as the others in the mean.
            None => {
                let (span, between) = self.between()?;
                u64::try_from(u128::from(span) * u128::from(self.frames) / u128::from(between))
                    .ok()?
            }
        };
        let bits = u128::from(self.bytes) * 8 * 1_000_000_000;
        bits.checked_div(nanos.into()).and_then(|rate| u64::try_from(rate).ok())
    }

    /// The time from the first frame to the last, and how many steps it has. Where the frames stop
    /// in the middle of a stream, some that are shown before the last ones have not come: as many
    /// of the last are left out as frames are reordered by.
    fn between(&self) -> Option<(u64, u64)> {
        let left_out = if self.is_ended { 0 } else { self.reorder_depth };
        let mut recent: Vec<MediaTime> = self.recent.iter().copied().collect();
        recent.sort_unstable();
        let place = recent.len().checked_sub(1 + usize::from(left_out))?;
        let ((first, _), last) = (self.span?, recent.get(place)?);
        let steps = self.frames.checked_sub(1 + u64::from(left_out)).filter(|steps| *steps > 0)?;
        Some((super::file::nanos(*last - first), steps))
    }

    /// Writes down what was measured.
    pub(super) fn fill(&self, track: &mut Track) {
        track.frames = Some(self.frames);
        track.key_frames = Some(self.key_frames);
        track.data_rate_bps = self.data_rate_bps();
        if self.kind != Kind::Video {
            return;
        }
        let between = self.between().filter(|(span, _)| *span > 0);
        track.frame_rate = between.map(|(span, steps)| rounded(steps as f64 * 1e9 / span as f64));
        track.frame_rate_is_constant = self.durations.map(|(min, max)| {
            // Times in ticks may differ by one.
            super::file::nanos(max - min) <= TICK_MAX_NS
        });
        track.reorder_depth = (self.frames > 0).then_some(self.reorder_depth);
        let Gops { all, frames_sum, ns_sum } = &self.gops;
        track.gop = (all.count > 0).then(|| Gop {
            frames_mean: rounded(*frames_sum as f64 / all.count as f64),
            ns_mean: ns_sum / all.count,
            ..*all
        });
    }
}

/// A tick of the coarsest clock in use, of 1,000 Hz.
const TICK_MAX_NS: u64 = 1_000_000;

/// Three digits behind the point.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: i64) -> MediaTime {
        MediaTime::from_nanos(ms * 1_000_000)
    }

    /// Pictures of 40 ms in decoding order, by their places in presentation.
    fn measured(places: &[i64], keys: &[usize]) -> Track {
        let mut gauge = Gauge::new(Kind::Video);
        for (index, place) in places.iter().enumerate() {
            gauge.push(ms(place * 40), Some(ms(40)), 1_000, keys.contains(&index));
        }
        gauge.end(ms(places.len() as i64 * 40));
        let mut track = Track::default();
        gauge.fill(&mut track);
        track
    }

    #[test]
    fn pictures_in_order_have_no_reordering_and_their_rate_is_found() {
        let track = measured(&[0, 1, 2, 3, 4, 5], &[0, 4]);
        assert_eq!((track.reorder_depth, track.frame_rate), (Some(0), Some(25.0)));
        assert_eq!(
            (track.frame_rate_is_constant, track.data_rate_bps),
            (Some(true), Some(200_000))
        );
        let gop = track.gop.unwrap();
        assert_eq!((gop.count, gop.frames_min, gop.frames_max), (2, 2, 4));
        assert_eq!((gop.ns_min, gop.ns_mean, gop.ns_max), (80_000_000, 120_000_000, 160_000_000));
        assert_eq!(gop.frames_mean, 3.0);
    }

    #[test]
    fn the_reorder_depth_is_how_many_frames_wait_for_one_that_is_shown_before_them() {
        assert_eq!(measured(&[0, 2, 1, 4, 3], &[0]).reorder_depth, Some(1));
        // A pyramid: the picture in the middle is used by those around it.
        assert_eq!(measured(&[0, 4, 2, 1, 3], &[0]).reorder_depth, Some(2));
    }

    #[test]
    fn a_stream_that_is_cut_before_its_b_frames_has_its_rate_all_the_same() {
        let mut gauge = Gauge::new(Kind::Video);
        for place in [0, 3, 1, 2, 6, 4, 5, 9] {
            gauge.push(ms(place * 40), None, 1_000, place == 0);
        }
        let mut track = Track::default();
        gauge.fill(&mut track);
        assert_eq!((track.frame_rate, track.data_rate_bps), (Some(25.0), Some(200_000)));
    }

    #[test]
    fn one_frame_tells_no_rate_and_a_stream_that_goes_on_no_gop() {
        let mut gauge = Gauge::new(Kind::Video);
        gauge.push(ms(0), None, 1_000, true);
        let mut track = Track::default();
        gauge.fill(&mut track);
        assert_eq!((track.frame_rate, track.data_rate_bps, track.gop), (None, None, None));
        assert_eq!((track.frames, track.frame_rate_is_constant), (Some(1), None));
    }
}
