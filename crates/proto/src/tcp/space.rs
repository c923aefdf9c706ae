//! How large a window the reader deserves: dynamic right-sizing, as Linux does it.
//!
//! The window starts small and grows with what the application reads in a round trip, so that an
//! application that stops reading holds little, and one that keeps up is never held back.

use core::time::Duration;

use weir_time::Instant;

#[derive(Debug)]
pub(crate) struct Space {
    bytes: usize,
    bytes_max: usize,
    /// The round trip as a receiver sees it: from an acknowledgement to the data that it let go.
    round_trip: Option<Duration>,
    since: Instant,
    read_bytes: usize,
    /// What was read in the last round trip that was better than all before.
    best_bytes: usize,
}

impl Space {
    pub(crate) fn new(initial_bytes: usize, bytes_max: usize, mss_bytes: u32) -> Self {
        Space {
            bytes: initial_bytes.min(bytes_max),
            bytes_max,
            round_trip: None,
            since: Instant::ZERO,
            read_bytes: 0,
            best_bytes: 10 * mss_bytes as usize,
        }
    }

    /// How much may wait for the application.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A full segment came `span` after the acknowledgement that it echoes. A sender that had
    /// nothing to send makes that long, so that low values count for more.
    pub(crate) fn note_round_trip(&mut self, span: Duration) {
        self.round_trip = Some(match self.round_trip {
            Some(was) if span > was => was + (span - was) / 8,
            _ => span,
        });
    }

    /// The application has read.
    pub(crate) fn note_read(&mut self, now: Instant, bytes: usize, mss_bytes: u32) {
        self.read_bytes += bytes;
        let Some(round_trip) = self.round_trip else {
            return;
        };
        if now < self.since + round_trip {
            return;
        }
        if self.read_bytes > self.best_bytes {
            // Room for twice as much and a bit, and more while the rate still grows.
            let read = self.read_bytes as f64;
            let window = 2.0 * read + 16.0 * f64::from(mss_bytes);
            let best = self.best_bytes as f64;
            let grown = window + 2.0 * window * (read - best) / best;
            self.bytes = self.bytes.max((grown as usize).min(self.bytes_max));
            self.best_bytes = self.read_bytes;
        }
        self.since = now;
        self.read_bytes = 0;
    }
}
