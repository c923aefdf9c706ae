//! The congestion window.

mod cubic;
mod hystart;
mod reno;

use core::time::Duration;

use weir_time::Instant;

use super::CongestionControl;
use cubic::Cubic;
use hystart::HyStart;

/// How many segments may be in flight. Counted in segments, as Linux does, so that small
/// segments cannot fill memory.
#[derive(Clone, Debug)]
pub(crate) struct Congestion {
    window: f64,
    /// Slow start ends here; infinite until the first loss or HyStart++ says otherwise.
    threshold: f64,
    initial: f64,
    window_max: f64,
    algorithm: Algorithm,
    hystart: HyStart,
}

#[derive(Clone, Debug)]
enum Algorithm {
    Cubic(Cubic),
    Reno,
}

/// What an acknowledgement says to the window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) now: Instant,
    /// Segments newly delivered.
    pub(crate) segments: u32,
    /// The round trip that it measured, if it did.
    pub(crate) round_trip: Option<Duration>,
    /// The smoothed round trip.
    pub(crate) smoothed: Duration,
    /// The first sequence number not acknowledged, and the first not sent.
    pub(crate) una: u64,
    pub(crate) nxt: u64,
}

impl Congestion {
    /// `window_max` bounds the window, in segments.
    pub(crate) fn new(control: CongestionControl, initial: u32, window_max: u32) -> Self {
        Congestion {
            window: f64::from(initial),
            threshold: f64::INFINITY,
            initial: f64::from(initial),
            window_max: f64::from(window_max.max(initial)),
            algorithm: match control {
                CongestionControl::Cubic => Algorithm::Cubic(Cubic::default()),
                CongestionControl::Reno => Algorithm::Reno,
            },
            hystart: HyStart::default(),
        }
    }

    /// How many segments may be in flight, at least 1.
    pub(crate) fn window_segments(&self) -> u32 {
        (self.window as u32).max(1)
    }

    /// Where slow start ends, in segments.
    pub(crate) fn threshold_segments(&self) -> u32 {
        (self.threshold as u32).max(1)
    }

    pub(crate) fn in_slow_start(&self) -> bool {
        self.window < self.threshold
    }

    /// Grows. Not to be called while the application or the peer's window keeps the window from
    /// being used, nor while proportional rate reduction rules.
    pub(crate) fn grow(&mut self, ack: &Acknowledged) {
        let mut segments = f64::from(ack.segments);
        if self.in_slow_start() {
            // HyStart++ is for the first slow start; later ones know where to end.
            if self.threshold.is_infinite() {
                if self.hystart.ends(ack) {
                    self.threshold = self.window;
                }
                segments = self.hystart.growth(segments);
            }
            let room = (self.threshold - self.window).max(0.0);
            self.window += segments.min(room);
            segments -= segments.min(room);
        }
        if segments > 0.0 {
            match &mut self.algorithm {
                Algorithm::Cubic(cubic) => self.window = cubic.grown(self.window, segments, ack),
                Algorithm::Reno => self.window = reno::grown(self.window, segments),
            }
        }
        self.window = self.window.min(self.window_max);
    }

    /// A loss: sets where to come down to. The window itself follows by [`Congestion::set`].
    pub(crate) fn reduce(&mut self) {
        self.threshold = match &mut self.algorithm {
            Algorithm::Cubic(cubic) => cubic.reduced(self.window),
            Algorithm::Reno => reno::reduced(self.window),
        };
    }

    /// Sets the window, in segments.
    pub(crate) fn set(&mut self, segments: u32) {
        self.window = f64::from(segments.max(1)).min(self.window_max);
    }

    /// Sets the window to where slow start ends.
    pub(crate) fn set_to_threshold(&mut self) {
        if self.threshold.is_finite() {
            self.window = self.threshold;
        }
    }

    /// Sending begins again after a pause: the window shrinks by half for each time-out that has
    /// passed, down to the initial one (RFC 5681 section 4.1, RFC 2861).
    pub(crate) fn resume(&mut self, idle: Duration, timeout: Duration) {
        if let Algorithm::Cubic(cubic) = &mut self.algorithm {
            cubic.skip(idle);
        }
        let floor = self.initial.min(self.window);
        let timeouts = idle.as_nanos() / timeout.as_nanos().max(1);
        if timeouts == 0 {
            return;
        }
        if self.threshold.is_finite() {
            self.threshold = self.threshold.max(self.window * 0.75);
        }
        let halvings = i32::try_from(timeouts).unwrap_or(i32::MAX).min(64);
        self.window = (self.window * 0.5f64.powi(halvings)).max(floor);
    }
}
