//! HyStart++: an end of slow start before the queue overflows (RFC 9406).

use core::time::Duration;

use super::Acknowledged;

#[derive(Clone, Debug)]
pub(super) struct HyStart {
    last_round_least: Duration,
    round_least: Duration,
    round_samples: u32,
    /// The round ends once this sequence number is acknowledged.
    round_end: u64,
    conservative: Option<Conservative>,
}

/// Conservative slow start: the round trip has grown, but perhaps by chance.
#[derive(Clone, Debug)]
struct Conservative {
    baseline: Duration,
    rounds: u32,
}

impl Default for HyStart {
    fn default() -> Self {
        HyStart {
            last_round_least: Duration::MAX,
            round_least: Duration::MAX,
            round_samples: 0,
            round_end: 0,
            conservative: None,
        }
    }
}

impl HyStart {
    /// Whether slow start is over with this acknowledgement.
    pub(super) fn ends(&mut self, ack: &Acknowledged) -> bool {
        if ack.una >= self.round_end {
            self.round_end = ack.nxt;
            self.last_round_least = core::mem::replace(&mut self.round_least, Duration::MAX);
            self.round_samples = 0;
            if let Some(conservative) = &mut self.conservative {
                conservative.rounds += 1;
                if conservative.rounds >= CONSERVATIVE_ROUNDS {
                    return true;
                }
            }
        }
        let Some(sample) = ack.round_trip else {
            return false;
        };
        self.round_least = self.round_least.min(sample);
        self.round_samples += 1;
        if self.round_samples >= SAMPLES_MIN && self.last_round_least != Duration::MAX {
            self.judge();
        }
        false
    }

    /// By how much the window grows for `segments` acknowledged.
    pub(super) fn growth(&self, segments: f64) -> f64 {
        let segments = segments.min(GROWTH_MAX);
        match self.conservative {
            None => segments,
            Some(_) => segments / CONSERVATIVE_DIVISOR,
        }
    }

    fn judge(&mut self) {
        let margin = (self.last_round_least / 8).clamp(MARGIN_MIN, MARGIN_MAX);
        match &self.conservative {
            None if self.round_least >= self.last_round_least + margin => {
                let baseline = self.round_least;
                self.conservative = Some(Conservative { baseline, rounds: 0 });
            }
            Some(conservative) if self.round_least < conservative.baseline => {
                self.conservative = None;
            }
            _ => {}
        }
    }
}

const SAMPLES_MIN: u32 = 8;
const MARGIN_MIN: Duration = Duration::from_millis(4);
const MARGIN_MAX: Duration = Duration::from_millis(16);
const CONSERVATIVE_DIVISOR: f64 = 4.0;
const CONSERVATIVE_ROUNDS: u32 = 5;
/// L: so many segments an acknowledgement, for senders that do not pace.
const GROWTH_MAX: f64 = 8.0;
