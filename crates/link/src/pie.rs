//! PIE (RFC 8033).

use core::time::Duration;

use weir_time::Instant;

/// What PIE remembers, by the names of RFC 8033 section 4.
///
/// The wait is that of the packet that left the queue last, or 0 while the queue is empty.
#[derive(Debug)]
pub(crate) struct Pie {
    /// When the drop probability is worked out next.
    next_update: Instant,
    drop_prob: f64,
    qdelay: Duration,
    qdelay_old: Duration,
    burst_allowance: Duration,
}

impl Pie {
    pub(crate) fn new(now: Instant) -> Self {
        Pie {
            next_update: now + T_UPDATE,
            drop_prob: 0.0,
            qdelay: Duration::ZERO,
            qdelay_old: Duration::ZERO,
            burst_allowance: MAX_BURST,
        }
    }

    /// Whether a packet that arrives is dropped (section 4.1). `draw` is even over 0 to 1, `bytes`
    /// is what waits.
    pub(crate) fn drops(&self, target: Duration, bytes: u64, draw: f64) -> bool {
        let safeguarded = (self.qdelay_old < target / 2 && self.drop_prob < 0.2)
            || bytes <= 2 * MEAN_PKTSIZE_BYTES;
        self.burst_allowance.is_zero() && !safeguarded && draw < self.drop_prob
    }

    /// A packet has left the queue after so long.
    pub(crate) fn left(&mut self, waited: Duration) {
        self.qdelay = waited;
    }

    /// The queue is empty.
    pub(crate) fn empty(&mut self) {
        self.qdelay = Duration::ZERO;
    }

    /// When the next [`update`](Self::update) is due; absent while it would change nothing.
    pub(crate) fn next_update(&self) -> Option<Instant> {
        (!self.is_at_rest()).then_some(self.next_update)
    }

    /// Goes over the updates that were not due because they would have changed nothing.
    pub(crate) fn catch_up(&mut self, now: Instant) {
        if self.is_at_rest() && self.next_update <= now {
            let late = now.since(self.next_update).as_nanos() / T_UPDATE.as_nanos() + 1;
            let late = u64::try_from(late).unwrap_or(u64::MAX);
            self.next_update += Duration::from_nanos(late.saturating_mul(T_UPDATE_NANOS));
        }
    }

    /// Works out the drop probability (section 4.2).
    pub(crate) fn update(&mut self, target: Duration) {
        self.next_update += T_UPDATE;
        let (delay, old) = (self.qdelay.as_secs_f64(), self.qdelay_old.as_secs_f64());
        let mut change = ALPHA * (delay - target.as_secs_f64()) + BETA * (delay - old);
        change *= match self.drop_prob {
            p if p < 0.000_001 => 1.0 / 2048.0,
            p if p < 0.000_01 => 1.0 / 512.0,
            p if p < 0.000_1 => 1.0 / 128.0,
            p if p < 0.001 => 1.0 / 32.0,
            p if p < 0.01 => 1.0 / 8.0,
            p if p < 0.1 => 1.0 / 2.0,
            _ => 1.0,
        };
        // Section 5.2: it does not jump.
        if self.drop_prob >= 0.1 && change > 0.02 {
            change = 0.02;
        }
        if self.qdelay > HIGH_DELAY {
            change += 0.02;
        }
        self.drop_prob = (self.drop_prob + change).clamp(0.0, 1.0);
        if self.qdelay.is_zero() && self.qdelay_old.is_zero() {
            self.drop_prob *= 0.98;
            if self.drop_prob < DROP_PROB_MIN {
                self.drop_prob = 0.0;
            }
        }
        // Section 4.4: a burst is let through after a quiet time.
        let quiet = self.qdelay < target / 2 && self.qdelay_old < target / 2;
        self.burst_allowance = if self.drop_prob == 0.0 && quiet {
            MAX_BURST
        } else {
            self.burst_allowance.saturating_sub(T_UPDATE)
        };
        self.qdelay_old = self.qdelay;
    }

    fn is_at_rest(&self) -> bool {
        self.drop_prob == 0.0
            && self.qdelay.is_zero()
            && self.qdelay_old.is_zero()
            && self.burst_allowance == MAX_BURST
    }
}

const T_UPDATE_NANOS: u64 = 15_000_000;
const T_UPDATE: Duration = Duration::from_nanos(T_UPDATE_NANOS);
const MAX_BURST: Duration = Duration::from_millis(150);
const HIGH_DELAY: Duration = Duration::from_millis(250);
const ALPHA: f64 = 0.125;
const BETA: f64 = 1.25;
const MEAN_PKTSIZE_BYTES: u64 = 1500;
/// What decays below this is 0, so that an idle queue comes to rest.
const DROP_PROB_MIN: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(15);

    #[test]
    fn a_burst_is_let_through_and_a_standing_queue_is_not() {
        let mut pie = Pie::new(Instant::ZERO);
        pie.left(Duration::from_millis(100));
        for _ in 0..9 {
            pie.update(TARGET);
            assert!(!pie.drops(TARGET, 100_000, 0.0));
        }
        pie.update(TARGET);
        assert!(pie.drops(TARGET, 100_000, 0.0));
        assert!(!pie.drops(TARGET, 3000, 0.0), "two packets are never too many");
    }

    #[test]
    fn the_probability_grows_with_the_wait_and_falls_when_it_is_gone() {
        let mut pie = Pie::new(Instant::ZERO);
        pie.left(Duration::from_millis(40));
        let mut before = 0.0;
        for _ in 0..200 {
            pie.update(TARGET);
            assert!(pie.drop_prob >= before);
            before = pie.drop_prob;
        }
        assert!(before > 0.05, "{before}");
        pie.empty();
        (0..3000).for_each(|_| pie.update(TARGET));
        assert_eq!(pie.drop_prob, 0.0);
        assert_eq!(pie.next_update(), None);
        let next = pie.next_update;
        pie.catch_up(next + 10 * T_UPDATE);
        assert_eq!(pie.next_update, next + 11 * T_UPDATE);
    }
}
