//! What is asked of a link.

use core::time::Duration;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::table::Table;
use crate::trace::Trace;

/// A link's number: part of what decides its packets' fates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LinkId(pub u64);

/// Which way a packet crosses a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the side that connects to the side that listens.
    Up,
    /// From the side that listens to the side that connects.
    Down,
}

impl Direction {
    /// The other way.
    pub const fn reverse(self) -> Self {
        match self {
            Direction::Up => Direction::Down,
            Direction::Down => Direction::Up,
        }
    }
}

/// Everything asked of one direction of a link.
///
/// The default asks nothing: no rate limit, no delay, no loss, and a queue of 1000 packets that
/// is of use as soon as a rate is set. As text, and where serde writes it, each setting is a name
/// and what people write on a command line: `rate=5mbit delay=20ms`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// How fast packets are sent.
    pub rate: Rate,
    /// How much may wait while a packet is being sent.
    pub queue: Queue,
    /// Which packets give way when too much waits.
    pub discipline: Discipline,
    /// Propagation delay.
    pub delay: Duration,
    /// Variation of the delay.
    pub jitter: Jitter,
    /// Which packets others may overtake.
    pub reorder: Reorder,
    /// Which packets chance takes.
    pub loss: Loss,
    /// The share of packets that come out twice, 0 to 1.
    pub duplicate: f64,
    /// The share of packets that come out with a bit changed, 0 to 1.
    pub corrupt: f64,
    /// When nothing comes through.
    pub blackout: Blackout,
    /// What is let in at most, before the queue.
    pub policer: Policer,
}

/// How fast packets are sent.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Rate {
    /// At once.
    #[default]
    Unlimited,
    /// So many IP bits a second, at all times.
    Constant {
        /// 1 to 10^12. A schedule may make it 0: then nothing is sent.
        bits_per_second: u64,
    },
    /// As a trace says, from the moment at which it is asked for, over and over.
    Trace(Arc<Trace>),
}

impl Rate {
    /// A constant rate in bits a second.
    pub const fn bits_per_second(bits_per_second: u64) -> Self {
        Rate::Constant { bits_per_second }
    }

    /// Whether it is the same, without a look into traces.
    pub(crate) fn is(&self, other: &Rate) -> bool {
        match (self, other) {
            (Rate::Trace(one), Rate::Trace(other)) => Arc::ptr_eq(one, other),
            (one, other) => one == other,
        }
    }
}

/// Bound of the queue: what may wait to be sent.
///
/// The packet that is being sent is not in the queue any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Queue {
    /// So many IP bytes, at least one packet of 1500.
    Bytes(u64),
    /// So many packets of any size, at least 1.
    Packets(u64),
    /// What the rate sends in so long; one packet at least. A constant rate counts as it is when a
    /// packet arrives (while it is 0, as it was before), a trace as it will be from then on.
    Time(Duration),
}

impl Default for Queue {
    fn default() -> Self {
        Queue::Packets(1000)
    }
}

/// Which packets give way when too much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Discipline {
    /// A packet that does not fit whole is dropped.
    #[default]
    DropTail,
    /// The oldest packets are dropped until the newcomer fits.
    DropHead,
    /// Controlled delay (RFC 8289); the bound holds besides, as with drop-tail.
    CoDel {
        /// The least wait that is tolerated for longer than an interval.
        target: Duration,
        /// About the longest round trip.
        interval: Duration,
    },
    /// Proportional integral controller enhanced (RFC 8033); the bound holds besides.
    Pie {
        /// The wait to aim at.
        target: Duration,
    },
}

/// Variation of the delay around its mean. The sum is never less than zero.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Jitter {
    /// The delay is always the same.
    #[default]
    None,
    /// Evenly spread from `spread` less to `spread` more than the delay.
    Uniform {
        /// Half of the range.
        spread: Duration,
    },
    /// The normal distribution around the delay.
    Normal {
        /// The standard deviation.
        deviation: Duration,
    },
    /// Never less than the delay; what comes on top has a Pareto distribution of the second kind
    /// (Lomax) with a shape of 3: mostly little, now and then very much.
    Pareto {
        /// The mean of what comes on top.
        mean: Duration,
    },
    /// The delay and one of the values of a table, each as likely as any other.
    Table(Arc<Table>),
}

/// Which packets others may overtake.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Reorder {
    /// None: a packet that jitter would have arrive earlier than its predecessor arrives with it.
    #[default]
    None,
    /// All: each arrives when its delay and its jitter say.
    Jitter,
    /// Some are held back, and those behind them may pass.
    Late {
        /// The share of packets, 0 to 1.
        chance: f64,
        /// How much later they arrive.
        by: Duration,
    },
}

/// Which packets chance takes.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each with the same chance, 0 to 1, whatever befell the others.
    Independent(f64),
    /// In bursts.
    GilbertElliott(GilbertElliott),
    /// The last of each so many packets, at least 1: with 100, packets 99, 199 and so on.
    Every(u64),
    /// Those with these numbers, counted from 0 for the first packet offered.
    Packets(Numbers),
}

/// Numbers of packets: ranges from first to last, both included, in order and apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers(Arc<[(u64, u64)]>);

impl Numbers {
    /// Of ranges in any order, which may overlap.
    pub fn new(mut ranges: Vec<(u64, u64)>) -> Self {
        ranges.retain(|(first, last)| first <= last);
        ranges.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last);
                }
                _ => merged.push((first, last)),
            }
        }
        Numbers(merged.into())
    }

    /// The ranges.
    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// Whether this number is among them.
    pub fn contains(&self, number: u64) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= number);
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|(_, last)| number <= *last)
    }
}

/// The Gilbert-Elliott model: a chain of a good and a bad state, one step a packet.
///
/// Elliott, "Estimates of error rates for codes on burst-noise channels", 1963. The parameters
/// bear their names of the literature; `tc netem` asks for `p`, `r`, `1-h` and `1-k`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GilbertElliott {
    /// Chance to go from good to bad.
    pub p: f64,
    /// Chance to go from bad to good.
    pub r: f64,
    /// Chance of a packet to survive in the bad state.
    pub h: f64,
    /// Chance of a packet to survive in the good state.
    pub k: f64,
}

impl GilbertElliott {
    /// The simple Gilbert model (nothing survives in the bad state, everything in the good one)
    /// with this share of packets lost and this mean length of a run of lost packets.
    ///
    /// `burst_packets` is at least 1; with it at `1 / (1 - mean)` losses are independent.
    pub fn from_mean_and_burst(mean: f64, burst_packets: f64) -> Result<Self, Error> {
        if !(0.0..1.0).contains(&mean) {
            return Err(Error::setting("loss", mean, "a mean from 0 to less than 1", "0.01"));
        }
        if !(1.0..=BURST_PACKETS_MAX).contains(&burst_packets) {
            let expected = "a mean burst of 1 to 1000000 packets";
            return Err(Error::setting("loss burst", burst_packets, expected, "3"));
        }
        let r = 1.0 / burst_packets;
        let p = r * mean / (1.0 - mean);
        if p > 1.0 {
            let expected = "a burst of at least mean / (1 - mean) packets";
            let example = "20 for a mean of 0.9";
            return Err(Error::setting("loss burst", burst_packets, expected, example));
        }
        Ok(GilbertElliott { p, r, h: 0.0, k: 1.0 })
    }

    /// The share of time spent in the bad state: `p / (p + r)`.
    pub fn bad_share(&self) -> f64 {
        if self.p + self.r > 0.0 { self.p / (self.p + self.r) } else { 0.0 }
    }

    /// The share of packets lost in the long run.
    pub fn mean_loss(&self) -> f64 {
        let bad = self.bad_share();
        bad * (1.0 - self.h) + (1.0 - bad) * (1.0 - self.k)
    }
}

/// When nothing comes through. Packets go on being sent, into the void: those whose last bit is
/// sent in a blackout are lost. What is in flight then arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Blackout {
    /// Never.
    #[default]
    Off,
    /// Always.
    On,
    /// At the end of each period, counted from the start of the clock.
    Every {
        /// The period.
        period: Duration,
        /// How much of its end is black, at most all of it.
        span: Duration,
    },
}

/// A token bucket before the queue: a packet that finds too few tokens is dropped, not delayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policer {
    /// Everything is let in.
    #[default]
    None,
    /// Tokens for so many IP bits come each second. The bucket is full at first.
    Bucket {
        /// 1 to 10^12.
        bits_per_second: u64,
        /// What it holds at most: 1500 to 10^9.
        burst_bytes: u64,
    },
}

impl Settings {
    /// Whether all of it can be done; the error names the field, what is allowed and an example.
    pub fn check(&self) -> Result<(), Error> {
        if let Rate::Constant { bits_per_second } = self.rate {
            check_rate("rate", bits_per_second)?;
        }
        self.check_all_but_rate()
    }

    /// As [`check`](Self::check), but a rate of 0 is allowed, as it is in schedules.
    pub(crate) fn check_scheduled(&self) -> Result<(), Error> {
        match self.rate {
            Rate::Constant { bits_per_second: 0 } => self.check_all_but_rate(),
            _ => self.check(),
        }
    }

    fn check_all_but_rate(&self) -> Result<(), Error> {
        check_queue(self.queue)?;
        match self.discipline {
            Discipline::DropTail | Discipline::DropHead => {}
            Discipline::CoDel { target, interval } => {
                check_aim("discipline target", target)?;
                check_aim("discipline interval", interval)?;
            }
            Discipline::Pie { target } => check_aim("discipline target", target)?,
        }
        check_span("delay", self.delay)?;
        match self.jitter {
            Jitter::None | Jitter::Table(_) => {}
            Jitter::Uniform { spread: span }
            | Jitter::Normal { deviation: span }
            | Jitter::Pareto { mean: span } => check_span("jitter", span)?,
        }
        if let Reorder::Late { chance, by } = self.reorder {
            check_chance("reorder", chance)?;
            check_span("reorder", by)?;
        }
        check_loss(&self.loss)?;
        check_chance("duplicate", self.duplicate)?;
        check_chance("corrupt", self.corrupt)?;
        if let Blackout::Every { period, span } = self.blackout {
            check_aim("blackout", period)?;
            check_aim("blackout", span)?;
            if span > period {
                let got = format!("{span:?} every {period:?}");
                let expected = "a span that is not longer than its period";
                return Err(Error::setting("blackout", got, expected, "500ms every 10s"));
            }
        }
        if let Policer::Bucket { bits_per_second, burst_bytes } = self.policer {
            check_rate("policer", bits_per_second)?;
            if !(PACKET_BYTES..=BURST_BYTES_MAX).contains(&burst_bytes) {
                let got = format!("{burst_bytes} bytes");
                let expected = "a burst of one packet of 1500 bytes at least, of 1 GB at most";
                return Err(Error::setting("policer", got, expected, "2mbit burst 32kb"));
            }
        }
        Ok(())
    }
}

fn check_rate(field: &'static str, bits: u64) -> Result<(), Error> {
    if (1..=RATE_BITS_MAX).contains(&bits) {
        return Ok(());
    }
    if bits == 0 && field == "rate" {
        let expected = "1 bit to 1000 Gbit a second, or unlimited; 0 in a schedule alone";
        return Err(Error::setting(field, "0 bit/s", expected, "5mbit"));
    }
    let expected = "1 bit to 1000 Gbit a second, or unlimited";
    Err(Error::setting(field, format!("{bits} bit/s"), expected, "5mbit"))
}

fn check_queue(queue: Queue) -> Result<(), Error> {
    let (got, expected, example) = match queue {
        Queue::Bytes(bytes) if bytes < PACKET_BYTES => {
            (format!("{bytes} bytes"), "room for one packet of 1500 bytes at least", "64kb")
        }
        Queue::Packets(0) => ("0 packets".to_owned(), "room for one packet at least", "100p"),
        Queue::Time(span) if span.is_zero() || span > SPAN_MAX => {
            (format!("{span:?}"), "a time span from 1ns to 1 hour", "200ms")
        }
        _ => return Ok(()),
    };
    Err(Error::setting("queue", got, expected, example))
}

fn check_loss(loss: &Loss) -> Result<(), Error> {
    match loss {
        Loss::None | Loss::Packets(_) => Ok(()),
        Loss::Independent(chance) => check_chance("loss", *chance),
        Loss::GilbertElliott(model) => {
            check_chance("loss p", model.p)?;
            check_chance("loss r", model.r)?;
            check_chance("loss h", model.h)?;
            check_chance("loss k", model.k)
        }
        Loss::Every(0) => {
            Err(Error::setting("loss", "every 0", "every 1 packet at least", "every 100"))
        }
        Loss::Every(_) => Ok(()),
    }
}

fn check_span(field: &'static str, span: Duration) -> Result<(), Error> {
    if span <= SPAN_MAX {
        return Ok(());
    }
    Err(Error::setting(field, format!("{span:?}"), "0 to 1 hour", "40ms"))
}

fn check_aim(field: &'static str, span: Duration) -> Result<(), Error> {
    if !span.is_zero() && span <= SPAN_MAX {
        return Ok(());
    }
    Err(Error::setting(field, format!("{span:?}"), "more than 0, up to 1 hour", "100ms"))
}

fn check_chance(field: &'static str, chance: f64) -> Result<(), Error> {
    if (0.0..=1.0).contains(&chance) {
        return Ok(());
    }
    Err(Error::setting(field, chance, "0 to 1, which is 0% to 100%", "0.01, or 1% as text"))
}

pub(crate) const RATE_BITS_MAX: u64 = 1_000_000_000_000;
/// What every queue and bucket must have room for.
const PACKET_BYTES: u64 = 1500;
const BURST_BYTES_MAX: u64 = 1_000_000_000;
pub(crate) const SPAN_MAX: Duration = Duration::from_secs(3600);
const BURST_PACKETS_MAX: f64 = 1e6;

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.check().expect_err("it cannot be done").to_string()
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_the_field_and_an_example() {
        assert_eq!(
            refusal(|s| s.rate = Rate::bits_per_second(0)),
            "rate: expected 1 bit to 1000 Gbit a second, or unlimited; 0 in a schedule alone, \
             got 0 bit/s (example: 5mbit)"
        );
        assert_eq!(
            refusal(|s| s.queue = Queue::Bytes(1499)),
            "queue: expected room for one packet of 1500 bytes at least, got 1499 bytes (example: 64kb)"
        );
        assert!(refusal(|s| s.queue = Queue::Packets(0)).starts_with("queue: "));
        assert!(refusal(|s| s.queue = Queue::Time(Duration::ZERO)).starts_with("queue: "));
        assert!(refusal(|s| s.delay = Duration::from_secs(3601)).starts_with("delay: "));
        for bad in [-0.1, 1.01, f64::NAN, f64::INFINITY] {
            assert!(refusal(|s| s.loss = Loss::Independent(bad)).starts_with("loss: "));
            assert!(refusal(|s| s.duplicate = bad).starts_with("duplicate: "));
            assert!(refusal(|s| s.corrupt = bad).starts_with("corrupt: "));
            let model = GilbertElliott { p: 0.1, r: 0.5, h: bad, k: 1.0 };
            assert!(refusal(|s| s.loss = Loss::GilbertElliott(model)).starts_with("loss h: "));
        }
        let second = Duration::from_secs(1);
        let codel = Discipline::CoDel { target: Duration::ZERO, interval: second };
        assert!(refusal(|s| s.discipline = codel).starts_with("discipline target: "));
        let black = Blackout::Every { period: second, span: 2 * second };
        assert!(refusal(|s| s.blackout = black).starts_with("blackout: "));
        let small = Policer::Bucket { bits_per_second: 1000, burst_bytes: 1499 };
        assert!(refusal(|s| s.policer = small).starts_with("policer: "));
    }

    #[test]
    fn only_a_schedule_may_stop_a_link() {
        let stopped = Settings { rate: Rate::bits_per_second(0), ..Settings::default() };
        assert!(stopped.check().is_err() && stopped.check_scheduled().is_ok());
    }

    #[test]
    fn a_burst_that_the_mean_does_not_allow_is_refused() {
        assert!(GilbertElliott::from_mean_and_burst(0.9, 2.0).is_err());
        assert!(GilbertElliott::from_mean_and_burst(1.0, 2.0).is_err());
        assert!(GilbertElliott::from_mean_and_burst(0.1, 0.5).is_err());
        let model = GilbertElliott::from_mean_and_burst(0.05, 4.0).expect("it is possible");
        assert!((model.mean_loss() - 0.05).abs() < 1e-12);
    }

    #[test]
    fn numbers_are_found_whatever_the_order_of_their_ranges() {
        let numbers = Numbers::new(vec![(10, 20), (3, 3), (7, 7), (15, 25), (4, 4), (9, 8)]);
        assert_eq!(numbers.ranges(), [(3, 4), (7, 7), (10, 25)]);
        let found: Vec<u64> = (0..30).filter(|number| numbers.contains(*number)).collect();
        assert_eq!(found, [3, 4, 7].into_iter().chain(10..=25).collect::<Vec<_>>());
        assert!(!Numbers::new(Vec::new()).contains(0));
    }
}
