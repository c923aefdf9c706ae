//! A token bucket that drops.

use weir_time::Instant;

use crate::pace::{WORK_PER_BYTE, nanos};
use crate::settings::Policer;

/// The bucket: what it holds, as of when.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// Bits times 10^9.
    level: u64,
    at: Instant,
}

impl Tokens {
    pub(crate) fn full(policer: &Policer, now: Instant) -> Self {
        Tokens { level: capacity(policer), at: now }
    }

    /// Other settings hold from now on: the bucket keeps what it holds, if it has room for it.
    pub(crate) fn change(&mut self, was: &Policer, policer: &Policer, now: Instant) {
        if matches!(was, Policer::None) {
            *self = Tokens::full(policer, now);
        } else {
            self.fill(was, now);
            self.level = self.level.min(capacity(policer));
        }
    }

    /// Whether a packet of so many bytes is let in. If so, its tokens are gone.
    pub(crate) fn admits(&mut self, policer: &Policer, now: Instant, bytes: u32) -> bool {
        if matches!(policer, Policer::None) {
            return true;
        }
        self.fill(policer, now);
        let wanted = u64::from(bytes).saturating_mul(WORK_PER_BYTE);
        match self.level.checked_sub(wanted) {
            Some(left) => {
                self.level = left;
                true
            }
            None => false,
        }
    }

    fn fill(&mut self, policer: &Policer, now: Instant) {
        let Policer::Bucket { bits_per_second, .. } = policer else { return };
        let new = nanos(now.since(self.at)).saturating_mul(*bits_per_second);
        self.level = self.level.saturating_add(new).min(capacity(policer));
        self.at = now;
    }
}

fn capacity(policer: &Policer) -> u64 {
    match policer {
        Policer::None => 0,
        Policer::Bucket { burst_bytes, .. } => burst_bytes.saturating_mul(WORK_PER_BYTE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_through_and_then_the_rate_to_the_nanosecond() {
        // 12 kbit/s is a packet of 1500 bytes a second.
        let policer = Policer::Bucket { bits_per_second: 12_000, burst_bytes: 4500 };
        let mut tokens = Tokens::full(&policer, Instant::ZERO);
        let mut ask = |nanos| tokens.admits(&policer, Instant::from_nanos(nanos), 1500);
        assert_eq!([ask(0), ask(0), ask(0), ask(0)], [true, true, true, false]);
        assert_eq!([ask(999_999_999), ask(1_000_000_000)], [false, true]);
        assert_eq!([ask(1_000_000_001), ask(2_000_000_000)], [false, true]);
        // It never holds more than the burst.
        let late = 100_000_000_000;
        assert_eq!([ask(late), ask(late), ask(late), ask(late)], [true, true, true, false]);
    }

    #[test]
    fn a_change_keeps_what_the_bucket_holds() {
        let small = Policer::Bucket { bits_per_second: 12_000, burst_bytes: 1500 };
        let large = Policer::Bucket { bits_per_second: 24_000, burst_bytes: 3000 };
        let mut tokens = Tokens::full(&small, Instant::ZERO);
        tokens.change(&small, &large, Instant::ZERO);
        assert!(tokens.admits(&large, Instant::ZERO, 1500));
        assert!(!tokens.admits(&large, Instant::from_millis(499), 1500));
        assert!(tokens.admits(&large, Instant::from_millis(500), 1500));
        tokens.change(&Policer::None, &small, Instant::from_millis(500));
        assert!(tokens.admits(&small, Instant::from_millis(500), 1500));
    }
}
