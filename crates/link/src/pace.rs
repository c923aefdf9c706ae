//! When packets that are sent one behind the other are done.

use core::time::Duration;

use weir_time::Instant;

use crate::settings::Rate;
use crate::trace::{OPPORTUNITY_BYTES, Opportunities, Pace, Rates};

/// Bits times 10^9: what a rate of 1 bit/s does in one nanosecond is 1.
pub(crate) type Work = u64;

/// The work of one byte.
pub(crate) const WORK_PER_BYTE: Work = 8 * 1_000_000_000;

/// Where a packet can begin to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) at: Instant,
    /// What the rate has done up to `at` that nobody has used: since the exact end of the packet
    /// before, or of the last opportunity. So rounding never adds up, and small packets share an
    /// opportunity.
    spare: Work,
    /// Opportunities of a trace that are used, over all its passes.
    used: u64,
}

/// A packet's turn: when it began, and when it is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    begin: Slot,
    work: Work,
    /// What comes next begins here.
    pub(crate) end: Slot,
}

/// What sends at a rate. Remembers where a trace began, and where in it the last packet was.
#[derive(Debug)]
pub(crate) struct Sender {
    origin: Instant,
    segment: SegmentSeen,
}

/// The segment of a trace of rates that was in use last, in nanoseconds since the origin.
#[derive(Clone, Copy, Debug, Default)]
struct SegmentSeen {
    begin: u64,
    end: u64,
    bits_per_second: u64,
}

impl Sender {
    /// One whose trace begins at `origin`.
    pub(crate) fn new(origin: Instant) -> Self {
        Sender { origin, segment: SegmentSeen::default() }
    }

    /// Where a packet begins that found nobody being sent: what was not used is lost.
    pub(crate) fn idle(&self, rate: &Rate, at: Instant) -> Slot {
        let used = match opportunities(rate) {
            Some(trace) => trace.count(self.since_origin(at)),
            None => 0,
        };
        Slot { at, spare: 0, used }
    }

    /// The turn of a packet of so many bytes.
    pub(crate) fn turn(&mut self, rate: &Rate, begin: Slot, bytes: u32) -> Turn {
        let work = u64::from(bytes).saturating_mul(WORK_PER_BYTE);
        if begin.spare >= work {
            let end = Slot { spare: begin.spare - work, ..begin };
            return Turn { begin, work: 0, end };
        }
        let work = work - begin.spare;
        Turn { begin, work, end: self.finish(rate, begin, work) }
    }

    /// The turn of a packet that is being sent at `was`, and from `now` on at `rate`. If that is
    /// another trace, it begins now.
    pub(crate) fn retime(&mut self, was: &Rate, rate: &Rate, turn: Turn, now: Instant) -> Turn {
        let left = turn.work.saturating_sub(self.done(was, turn.begin, now));
        self.restart(now);
        let begin = self.idle(rate, now);
        Turn { begin, work: left, end: self.finish(rate, begin, left) }
    }

    /// A new trace begins now.
    pub(crate) fn restart(&mut self, now: Instant) {
        *self = Sender::new(now);
    }

    /// Bytes that the rate can send within `span` from `now` on.
    pub(crate) fn capacity_bytes(&self, rate: &Rate, now: Instant, span: Duration) -> u64 {
        let (from, to) = (self.since_origin(now), self.since_origin(now + span));
        let work = match rate {
            Rate::Unlimited => return u64::MAX,
            Rate::Constant { bits_per_second } => {
                u128::from(*bits_per_second) * u128::from(nanos(span))
            }
            Rate::Trace(trace) => match trace.pace() {
                Pace::Opportunities(trace) => {
                    u128::from(trace.count(to) - trace.count(from)) * u128::from(OPPORTUNITY_WORK)
                }
                Pace::Rates(trace) => trace.work_until(to) - trace.work_until(from),
            },
        };
        u64::try_from(work / u128::from(WORK_PER_BYTE)).unwrap_or(u64::MAX)
    }

    /// What a trace adds to the delay of a packet that leaves at `at`: half of its latency.
    pub(crate) fn latency(&self, rate: &Rate, at: Instant) -> Duration {
        let Rate::Trace(trace) = rate else { return Duration::ZERO };
        let Pace::Rates(trace) = trace.pace() else { return Duration::ZERO };
        trace.latency_at(self.since_origin(at)).unwrap_or_default() / 2
    }

    fn finish(&mut self, rate: &Rate, begin: Slot, work: Work) -> Slot {
        match rate {
            Rate::Unlimited => Slot { spare: 0, ..begin },
            Rate::Constant { bits_per_second: 0 } => Slot { at: Instant::FAR, ..begin },
            Rate::Constant { bits_per_second } => {
                let (nanos, spare) = at_rate(*bits_per_second, work);
                Slot { at: begin.at + Duration::from_nanos(nanos), spare, ..begin }
            }
            Rate::Trace(trace) => match trace.pace() {
                Pace::Opportunities(trace) => self.finish_opportunities(trace, begin, work),
                Pace::Rates(trace) => self.finish_rates(trace, begin, work),
            },
        }
    }

    fn finish_opportunities(&self, trace: &Opportunities, begin: Slot, work: Work) -> Slot {
        let count = work.div_ceil(OPPORTUNITY_WORK);
        let Some(last) = count.checked_sub(1) else { return begin };
        let used = begin.used.saturating_add(count);
        let at = self.origin + Duration::from_nanos(trace.time(begin.used.saturating_add(last)));
        Slot { at, spare: count * OPPORTUNITY_WORK - work, used }
    }

    fn finish_rates(&mut self, trace: &Rates, begin: Slot, work: Work) -> Slot {
        let from = self.since_origin(begin.at);
        let seen = self.segment;
        if (seen.begin..seen.end).contains(&from) && seen.bits_per_second > 0 {
            let (nanos, spare) = at_rate(seen.bits_per_second, work);
            if nanos <= seen.end - from {
                return Slot { at: begin.at + Duration::from_nanos(nanos), spare, ..begin };
            }
        }
        let (at, spare) = trace.time_of(trace.work_until(from) + u128::from(work));
        let (number, start, end) = trace.segment_at(at);
        let bits_per_second =
            trace.segments().get(number).map_or(0, |segment| segment.bits_per_second);
        self.segment = SegmentSeen { begin: start, end, bits_per_second };
        let spare = u64::try_from(spare).unwrap_or(0);
        Slot { at: self.origin + Duration::from_nanos(at), spare, ..begin }
    }

    /// What the rate has done from `begin` until `now`.
    fn done(&self, rate: &Rate, begin: Slot, now: Instant) -> Work {
        let done = match rate {
            Rate::Unlimited => return Work::MAX,
            Rate::Constant { bits_per_second } => {
                return nanos(now.since(begin.at)).saturating_mul(*bits_per_second);
            }
            Rate::Trace(trace) => match trace.pace() {
                Pace::Opportunities(trace) => {
                    let used = trace.count(self.since_origin(now)).saturating_sub(begin.used);
                    return used.saturating_mul(OPPORTUNITY_WORK);
                }
                Pace::Rates(trace) => {
                    trace.work_until(self.since_origin(now))
                        - trace.work_until(self.since_origin(begin.at))
                }
            },
        };
        Work::try_from(done).unwrap_or(Work::MAX)
    }

    fn since_origin(&self, at: Instant) -> u64 {
        nanos(at.since(self.origin))
    }
}

/// In how many nanoseconds a rate above 0 has done so much, and what it has done beyond by then.
fn at_rate(bits_per_second: u64, work: Work) -> (u64, Work) {
    let nanos = work.div_ceil(bits_per_second);
    (nanos, nanos.saturating_mul(bits_per_second).saturating_sub(work))
}

fn opportunities(rate: &Rate) -> Option<&Opportunities> {
    let Rate::Trace(trace) = rate else { return None };
    match trace.pace() {
        Pace::Opportunities(trace) => Some(trace),
        Pace::Rates(_) => None,
    }
}

pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

const OPPORTUNITY_WORK: Work = OPPORTUNITY_BYTES * WORK_PER_BYTE;
