//! The timers of a connection, by name.

use weir_time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Send the opening segment again.
    Handshake,
    /// Nothing was acknowledged for too long (RFC 6298).
    Retransmission,
    /// Ask for an acknowledgement of the tail (RFC 8985 section 7).
    TailLossProbe,
    /// A segment that may only have been overtaken counts as lost (RFC 8985 section 6).
    Reordering,
    /// Probe a closed window (RFC 9293 section 3.8.6.1).
    Persist,
    /// Acknowledge what waits for company.
    DelayedAck,
    /// Forget the connection: the end of TIME-WAIT, or of the patience with a peer that does not
    /// finish.
    Closing,
}

const ALL: [Timer; 7] = [
    Timer::Handshake,
    Timer::Retransmission,
    Timer::TailLossProbe,
    Timer::Reordering,
    Timer::Persist,
    Timer::DelayedAck,
    Timer::Closing,
];

#[derive(Debug, Default)]
pub(crate) struct Timers {
    at: [Option<Instant>; ALL.len()],
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        self.at[timer as usize] = Some(at);
    }

    pub(crate) fn clear(&mut self, timer: Timer) {
        self.at[timer as usize] = None;
    }

    pub(crate) fn clear_all(&mut self) {
        *self = Timers::default();
    }

    pub(crate) fn get(&self, timer: Timer) -> Option<Instant> {
        self.at[timer as usize]
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.at.iter().flatten().min().copied()
    }

    /// Takes the earliest of those that are due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let due = |timer: &Timer| self.get(*timer).filter(|at| *at <= now);
        let timer = ALL.into_iter().filter(|timer| due(timer).is_some()).min_by_key(due)?;
        self.clear(timer);
        Some(timer)
    }
}
