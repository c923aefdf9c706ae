//! Decoding times where only presentation times are known.

use crate::MediaTime;

/// Derives decoding times from presentation times.
///
/// Frames come in decoding order, each with its presentation time, from a stream in which no
/// frame is shown after more than `reorder_depth` (R) of those that follow it in decoding order
/// (max_num_reorder_frames, ISO/IEC 14496-10 section E.2.1; of H.265 sps_max_num_reorder_pics,
/// ISO/IEC 23008-2 section 7.4.3.2.1). The rule, for frame n counted from
/// 0: once n >= R, the decoding time is the (n - R)-th smallest of the presentation times
/// 0 to n. No later frame can be shown before that one, so these times rise as strictly as the
/// presentation times differ; and at most R of the frames before n are shown after it, so none is
/// later than the frame's own presentation time. The first R frames get the first presentation
/// time less R - n frame durations, which is right where the stream starts with the frame that is
/// shown first, as with every IDR picture. Each decoding time is known at once: nothing waits.
///
/// A stream may break its word. A frame whose presentation time is not later than the decoding
/// time before it gets one nanosecond more than that, so that decoding times still rise, and the
/// depth grows by one, so that the next ones fit. A step back of a second or more is a new time
/// line: the clock starts anew there.
#[derive(Clone, Debug)]
pub struct DtsClock {
    reorder_depth: usize,
    frame_duration: MediaTime,
    /// The presentation times that were not yet given out as decoding times, ascending.
    waiting: Vec<MediaTime>,
    /// The first presentation time of the time line.
    first: Option<MediaTime>,
    last_dts: Option<MediaTime>,
}

impl DtsClock {
    /// A clock for a stream with this reorder depth (more than 16, the greatest that there is,
    /// counts as 16). `frame_duration` spaces the first few frames; 1/30 s where it is unknown.
    pub fn new(reorder_depth: u8, frame_duration: Option<MediaTime>) -> Self {
        let frame_duration = frame_duration.filter(|&span| span > MediaTime::ZERO);
        DtsClock {
            reorder_depth: usize::from(reorder_depth).min(DEPTH_MAX),
            frame_duration: frame_duration.unwrap_or(FRAME_DURATION),
            waiting: Vec::new(),
            first: None,
            last_dts: None,
        }
    }

    /// The decoding time of the next frame in decoding order.
    pub fn push(&mut self, pts: MediaTime) -> MediaTime {
        if self.last_dts.is_some_and(|last| last - pts >= STEP_BACK) {
            self.restart();
        }
        let first = *self.first.get_or_insert(pts);
        let at = self.waiting.partition_point(|&other| other <= pts);
        self.waiting.insert(at, pts);
        let missing = (self.reorder_depth + 1).saturating_sub(self.waiting.len());
        let mut dts = if missing == 0 {
            self.waiting.remove(0)
        } else {
            let lead = self.frame_duration.as_nanos().saturating_mul(missing as i64);
            first - MediaTime::from_nanos(lead)
        };
        if let Some(last) = self.last_dts
            && dts <= last
        {
            dts = last + MediaTime::from_nanos(1);
            if dts > pts && self.reorder_depth < DEPTH_MAX {
                self.reorder_depth += 1;
            }
        }
        self.last_dts = Some(dts);
        dts
    }

    /// Forgets the time line: the next frame starts a new one.
    pub fn restart(&mut self) {
        self.waiting.clear();
        self.first = None;
        self.last_dts = None;
    }

    /// The depth in use: the one asked for, or more if the stream needed it.
    pub fn reorder_depth(&self) -> u8 {
        self.reorder_depth as u8
    }
}

const DEPTH_MAX: usize = 16;
const FRAME_DURATION: MediaTime = MediaTime::from_nanos(33_333_333);
const STEP_BACK: MediaTime = MediaTime::from_nanos(1_000_000_000);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(number: i64) -> MediaTime {
        MediaTime::from_nanos(number * 33_333_333)
    }

    /// The pictures of a GOP in decoding order by binary B-pyramids of `span` frames, by their
    /// place in presentation order.
    fn pyramid(out: &mut Vec<i64>, low: i64, high: i64) {
        if high - low < 2 {
            return;
        }
        let middle = (low + high) / 2;
        out.push(middle);
        pyramid(out, low, middle);
        pyramid(out, middle, high);
    }

    /// How many frames before it in decoding order are shown after a frame, at most.
    fn depth(order: &[i64]) -> u8 {
        let later = |n: usize| order[..n].iter().filter(|&&other| other > order[n]).count();
        (0..order.len()).map(later).max().unwrap_or(0) as u8
    }

    #[test]
    fn without_reordering_both_times_are_the_same() {
        let mut clock = DtsClock::new(0, None);
        for n in 0..10 {
            assert_eq!(clock.push(frame(n)), frame(n));
        }
    }

    #[test]
    fn one_b_frame_delays_by_one_frame() {
        let mut clock = DtsClock::new(1, Some(frame(1)));
        let dts: Vec<_> = [0, 2, 1, 4, 3].map(|n| clock.push(frame(n))).into();
        assert_eq!(dts, [-1, 0, 1, 2, 3].map(frame));
    }

    #[test]
    fn a_depth_that_is_too_small_grows() {
        let mut clock = DtsClock::new(0, None);
        let order = [0, 2, 1, 4, 3, 6, 5, 8, 7];
        let dts: Vec<_> = order.map(|n| clock.push(frame(n))).into();
        assert!(dts.is_sorted_by(|a, b| a < b));
        assert_eq!(clock.reorder_depth(), 1);
        assert!(dts[3..].iter().zip(&order[3..]).all(|(&dts, &n)| dts <= frame(n)));
    }

    #[test]
    fn a_step_back_starts_a_new_time_line() {
        let mut clock = DtsClock::new(2, None);
        clock.push(frame(1000));
        assert!(clock.push(frame(0)) <= frame(0));
    }

    proptest! {
        #[test]
        fn decoding_times_rise_and_are_never_later_than_presentation(
            spans in prop::collection::vec(1i64..12, 1..20),
            pyramids in any::<bool>(),
            jitter_ns in prop::collection::vec(0i64..20_000_000, 300),
        ) {
            let mut order = vec![0];
            let mut low = 0;
            for span in spans {
                order.push(low + span);
                if pyramids {
                    pyramid(&mut order, low, low + span);
                } else {
                    order.extend(low + 1..low + span);
                }
                low += span;
            }
            let mut clock = DtsClock::new(depth(&order), None);
            let mut last = None;
            for n in order {
                let late = MediaTime::from_nanos(jitter_ns[n as usize]);
                let pts = frame(n) + late;
                let dts = clock.push(pts);
                prop_assert!(dts <= pts);
                prop_assert!(last.is_none_or(|last| dts > last));
                last = Some(dts);
            }
        }

        #[test]
        fn decoding_times_rise_within_a_second_whatever_comes(
            times in prop::collection::vec(0i64..900_000_000, 0..100), depth in 0u8..20,
        ) {
            let mut clock = DtsClock::new(depth, None);
            let dts: Vec<_> =
                times.into_iter().map(|pts| clock.push(MediaTime::from_nanos(pts))).collect();
            prop_assert!(dts.is_sorted_by(|a, b| a < b));
        }
    }
}
