//! Beats: when the pictures of movies are due.

use std::time::Duration;

use weir_media::MediaTime;
use weir_time::Instant;

/// A beat for each frame rate, which all movies of that rate keep.
///
/// Each viewer of a movie is at a place of its own, but their pictures are due at the same
/// moments, so that one visit serves them all.
#[derive(Debug, Default)]
pub(crate) struct Beats {
    /// Frame durations, in whole microseconds, and a moment on the beat of each.
    beats: Vec<(u128, Instant)>,
}

impl Beats {
    /// The last moment up to `now` on the beat of frames that last `frame`; `now` itself where
    /// that is not the duration of a picture.
    pub(crate) fn last_before(&mut self, now: Instant, frame: MediaTime) -> Instant {
        let frame = frame.to_duration();
        if frame < FRAME_LEAST || frame > FRAME_MOST {
            return now;
        }
        let key = frame.as_micros();
        let Some((_, beat)) = self.beats.iter_mut().find(|(other, _)| *other == key) else {
            if self.beats.len() == RATES_MAX {
                self.beats.remove(0);
            }
            self.beats.push((key, now));
            return now;
        };
        // A duration is rounded to a nanosecond: kept at the newest, the beat does not drift.
        let past = now.since(*beat).as_nanos() % frame.as_nanos();
        *beat = Instant::from_nanos(now.as_nanos() - u64::try_from(past).unwrap_or(0));
        *beat
    }
}

/// Faster and slower frames, and sound alone, keep their own time.
const FRAME_LEAST: Duration = Duration::from_millis(4);
const FRAME_MOST: Duration = Duration::from_millis(110);
const RATES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_of_one_rate_share_a_beat_and_begin_up_to_one_frame_early() {
        let mut beats = Beats::default();
        let at = |ms: u64| Instant::from_nanos(ms * 1_000_000);
        let frame = MediaTime::from_nanos(40_000_000);
        assert_eq!(beats.last_before(at(1_005), frame), at(1_005));
        assert_eq!(beats.last_before(at(1_084), frame), at(1_045));
        assert_eq!(beats.last_before(at(1_085), frame), at(1_085));
        let other = MediaTime::from_nanos(33_333_333);
        assert_eq!(beats.last_before(at(1_100), other), at(1_100));
    }

    #[test]
    fn what_is_no_picture_keeps_its_own_time() {
        let now = Instant::from_nanos(7);
        let mut beats = Beats::default();
        for frame in [0, -5, 1_000_000, 2_000_000_000] {
            assert_eq!(beats.last_before(now, MediaTime::from_nanos(frame)), now);
        }
    }
}
