//! CUBIC (RFC 9438). Windows in segments, times in seconds.

use core::time::Duration;

use weir_time::Instant;

use super::Acknowledged;

#[derive(Clone, Debug, Default)]
pub(super) struct Cubic {
    /// W_max: the window before the last reduction, or less by fast convergence.
    before_reduction: f64,
    /// cwnd_prior.
    prior: f64,
    epoch: Option<Epoch>,
}

/// A time of congestion avoidance.
#[derive(Clone, Debug)]
struct Epoch {
    start: Instant,
    /// Where the curve is flat, and when it gets there.
    plateau: f64,
    k_seconds: f64,
    /// W_est: what Reno would have.
    reno: f64,
}

impl Cubic {
    /// The window after `segments` were acknowledged in congestion avoidance.
    pub(super) fn grown(&mut self, window: f64, segments: f64, ack: &Acknowledged) -> f64 {
        let before = self.before_reduction;
        let epoch = self.epoch.get_or_insert_with(|| Epoch {
            start: ack.now,
            plateau: before.max(window),
            k_seconds: cube_root((before - window).max(0.0) / C),
            reno: window,
        });
        let alpha = if epoch.reno >= self.prior { 1.0 } else { ALPHA };
        epoch.reno += alpha * segments / window;
        let elapsed = ack.now.since(epoch.start).as_secs_f64();
        if epoch.at(elapsed) < epoch.reno {
            return window.max(epoch.reno);
        }
        let ahead = epoch.at(elapsed + ack.smoothed.as_secs_f64());
        let target = ahead.clamp(window, 1.5 * window);
        window + (target - window) / window * segments
    }

    /// The window after a loss.
    pub(super) fn reduced(&mut self, window: f64) -> f64 {
        self.epoch = None;
        self.prior = window;
        // Fast convergence: a window that shrinks from loss to loss makes room for others.
        self.before_reduction =
            if window < self.before_reduction { window * (1.0 + BETA) / 2.0 } else { window };
        (window * BETA).max(2.0)
    }

    /// Time in which nothing was sent does not count.
    pub(super) fn skip(&mut self, idle: Duration) {
        if let Some(epoch) = &mut self.epoch {
            epoch.start += idle;
        }
    }
}

impl Epoch {
    /// W_cubic.
    fn at(&self, seconds: f64) -> f64 {
        let t = seconds - self.k_seconds;
        self.plateau + C * t * t * t
    }
}

/// By Newton's method, with operations that are exactly rounded on every platform only: the
/// library's own may differ in the last bit, and with it a whole simulated run.
fn cube_root(x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    // A third of the exponent is a guess within a factor of two.
    let mut root = f64::from_bits(x.to_bits() / 3 + (1023 << 52) / 3 * 2);
    for _ in 0..6 {
        root = (2.0 * root + x / (root * root)) / 3.0;
    }
    root
}

const C: f64 = 0.4;
const BETA: f64 = 0.7;
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(now: Instant) -> Acknowledged {
        Acknowledged {
            now,
            segments: 1,
            round_trip: None,
            smoothed: Duration::from_millis(100),
            una: 0,
            nxt: 0,
        }
    }

    #[test]
    fn the_cube_root_is_one() {
        for x in [1e-9, 0.3, 1.0, 2.0, 27.0, 1e6, 3.3e11] {
            let root = cube_root(x);
            assert!((root * root * root / x - 1.0).abs() < 1e-13, "{x}: {root}");
        }
        assert_eq!(cube_root(0.0), 0.0);
    }

    #[test]
    fn the_window_returns_to_its_old_size_after_k_seconds() {
        let mut cubic = Cubic::default();
        let mut window = cubic.reduced(1000.0);
        assert_eq!(window, 700.0);
        // K = cbrt(300 / 0.4) = 9.086 s.
        let mut now = Instant::ZERO;
        while now < Instant::from_millis(9_086) {
            let acks = window as u32;
            for n in 0..acks {
                now += Duration::from_millis(100) / acks;
                window = cubic.grown(window, 1.0, &ack(now));
                let _ = n;
            }
        }
        assert!((window - 1000.0).abs() < 5.0, "{window}");
    }
}
