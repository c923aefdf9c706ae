//! Real time, as drivers see it.

use std::time::{Duration, Instant as SystemInstant, SystemTime, UNIX_EPOCH};

use weir_time::Instant;

/// The time since a driver began, from the system's monotonic clock. Copies tell the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: SystemInstant,
    began_utc: Duration,
}

impl Clock {
    /// A clock that stands at zero now.
    pub fn start() -> Self {
        let began_utc = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { began: SystemInstant::now(), began_utc }
    }

    /// The time since the start.
    pub fn now(&self) -> Instant {
        Instant::ZERO + self.began.elapsed()
    }

    /// The time of day of an instant of this clock, as the span since 1970 in UTC. The time of day
    /// is read once, at the start, so that steps of the system's clock do not show.
    pub fn since_1970(&self, at: Instant) -> Duration {
        self.began_utc + at.since(Instant::ZERO)
    }
}
