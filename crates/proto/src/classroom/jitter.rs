//! Jitter by arrivals alone.

use weir_time::Instant;

use super::FRAME_INTERVAL;

/// Jitter of frames that are due every [`FRAME_INTERVAL`].
///
/// The filter is that of RFC 3550 section A.8. Where that takes the time stamps' distance, this
/// takes the interval times the distance of the frames' numbers, for the time stamps of the
/// dialect are whole seconds. It therefore holds the sender's own unevenness as well as the
/// network's, and a lasting deviation of its pace from the interval.
#[derive(Clone, Copy, Debug, Default)]
pub struct Jitter {
    sixteenfold_ns: Option<u64>,
    last: Option<(Instant, u64)>,
}

impl Jitter {
    /// Takes in the arrival of a frame with the extended number `number`.
    pub fn add(&mut self, arrival: Instant, number: u64) {
        let before = self.last.replace((arrival, number));
        let Some((last, last_number)) = before else { return };
        let frames = i128::from(number) - i128::from(last_number);
        let due = frames.saturating_mul(FRAME_INTERVAL.as_nanos() as i128);
        let off = i128::from(arrival.signed_since(last)).abs_diff(due);
        let off = u64::try_from(off).unwrap_or(u64::MAX).min(OFF_NS_MAX);
        let before = self.sixteenfold_ns.unwrap_or(0);
        self.sixteenfold_ns = Some(before + off - (before + 8) / 16);
    }

    /// The stream stands still: the next frame is compared with none before it.
    pub fn pause(&mut self) {
        self.last = None;
    }

    /// In nanoseconds; `None` before two frames came.
    pub fn as_nanos(&self) -> Option<u64> {
        self.sixteenfold_ns.map(|sixteenfold| sixteenfold / 16)
    }
}

/// More than a century: sums of it stay far from the end of the numbers.
const OFF_NS_MAX: u64 = u64::MAX >> 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_come_when_they_are_due_have_none_even_if_some_are_lost() {
        let mut jitter = Jitter::default();
        assert_eq!(jitter.as_nanos(), None);
        for number in [1, 2, 3, 7, 8] {
            jitter.add(Instant::from_millis(50 * number), number);
        }
        assert_eq!(jitter.as_nanos(), Some(0));
    }

    #[test]
    fn a_pause_is_no_jitter() {
        let mut jitter = Jitter::default();
        jitter.add(Instant::from_millis(50), 1);
        jitter.pause();
        jitter.add(Instant::from_millis(9_000), 2);
        jitter.add(Instant::from_millis(9_050), 3);
        assert_eq!(jitter.as_nanos(), Some(0));
    }

    #[test]
    fn a_lasting_deviation_is_approached() {
        let mut jitter = Jitter::default();
        for number in 1..400 {
            let late = if number % 2 == 0 { 8 } else { 0 };
            jitter.add(Instant::from_millis(50 * number + late), number);
        }
        let nanos = jitter.as_nanos().unwrap();
        assert!((7_900_000..8_100_000).contains(&nanos), "{nanos}");
    }
}
