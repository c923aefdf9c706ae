//! What is asked of a link.

use core::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

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
/// is of use as soon as a rate is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How fast packets are sent.
    pub rate: Rate,
    /// How much may wait while a packet is being sent.
    pub queue: Queue,
    /// Propagation delay, in nanoseconds where it is written down.
    #[serde(rename = "delay_ns", with = "nanos")]
    pub delay: Duration,
    /// Variation of the delay.
    pub jitter: Jitter,
    /// Which packets chance takes.
    pub loss: Loss,
}

/// How fast packets are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rate {
    /// At once.
    #[default]
    Unlimited,
    /// So many IP bits a second, at all times.
    Constant {
        /// 1 to 10^12.
        bits_per_second: u64,
    },
}

impl Rate {
    /// A constant rate in bits a second.
    pub const fn bits_per_second(bits_per_second: u64) -> Self {
        Rate::Constant { bits_per_second }
    }
}

/// Bound of a drop-tail queue: a packet that does not fit whole is dropped.
///
/// The packet that is being sent is not in the queue any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Queue {
    /// So many IP bytes, at least one packet of 1500.
    Bytes(u64),
    /// So many packets of any size, at least 1.
    Packets(u64),
}

impl Default for Queue {
    fn default() -> Self {
        Queue::Packets(1000)
    }
}

/// Variation of the delay around its mean. The sum is never less than zero, and a packet never
/// overtakes another: one that would arrive earlier than its predecessor arrives with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Jitter {
    /// The delay is always the same.
    #[default]
    None,
    /// Evenly spread from `spread` less to `spread` more than the delay.
    Uniform {
        /// Half of the range.
        #[serde(rename = "spread_ns", with = "nanos")]
        spread: Duration,
    },
    /// The normal distribution around the delay.
    Normal {
        /// The standard deviation.
        #[serde(rename = "deviation_ns", with = "nanos")]
        deviation: Duration,
    },
}

/// Which packets chance takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each with the same chance, 0 to 1, whatever befell the others.
    Independent(f64),
    /// In bursts.
    GilbertElliott(GilbertElliott),
}

/// The Gilbert-Elliott model: a chain of a good and a bad state, one step a packet.
///
/// Elliott, "Estimates of error rates for codes on burst-noise channels", 1963. The parameters
/// bear their names of the literature; `tc netem` asks for `p`, `r`, `1-h` and `1-k`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
            return Err(Error::setting(
                "loss burst",
                burst_packets,
                expected,
                "20 for a mean of 0.9",
            ));
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

impl Settings {
    /// Whether all of it can be done; the error names the field, what is allowed and an example.
    pub fn check(&self) -> Result<(), Error> {
        if let Rate::Constant { bits_per_second: bits } = self.rate
            && !(1..=RATE_BITS_MAX).contains(&bits)
        {
            let expected = "1 bit to 1000 Gbit a second, or unlimited";
            return Err(Error::setting("rate", format!("{bits} bit/s"), expected, "5mbit"));
        }
        match self.queue {
            Queue::Bytes(bytes) if bytes < QUEUE_BYTES_MIN => {
                let expected = "room for one packet of 1500 bytes at least";
                return Err(Error::setting("queue", format!("{bytes} bytes"), expected, "64kb"));
            }
            Queue::Packets(0) => {
                let expected = "room for one packet at least";
                return Err(Error::setting("queue", "0 packets", expected, "100p"));
            }
            _ => {}
        }
        check_span("delay", self.delay)?;
        match self.jitter {
            Jitter::None => {}
            Jitter::Uniform { spread: span } | Jitter::Normal { deviation: span } => {
                check_span("jitter", span)?;
            }
        }
        match self.loss {
            Loss::None => Ok(()),
            Loss::Independent(chance) => check_chance("loss", chance),
            Loss::GilbertElliott(model) => {
                check_chance("loss p", model.p)?;
                check_chance("loss r", model.r)?;
                check_chance("loss h", model.h)?;
                check_chance("loss k", model.k)
            }
        }
    }
}

fn check_span(field: &'static str, span: Duration) -> Result<(), Error> {
    if span <= SPAN_MAX {
        return Ok(());
    }
    Err(Error::setting(field, format!("{span:?}"), "0 to 1 hour", "40ms"))
}

fn check_chance(field: &'static str, chance: f64) -> Result<(), Error> {
    if (0.0..=1.0).contains(&chance) {
        return Ok(());
    }
    Err(Error::setting(field, chance, "0 to 1, which is 0% to 100%", "0.01, or 1% as text"))
}

/// A request that cannot be met or read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// A value outside what the field allows.
    #[error("{field}: expected {expected}, got {got} (example: {example})")]
    Setting {
        /// The field of [`Settings`].
        field: &'static str,
        /// What came.
        got: String,
        /// What is allowed.
        expected: &'static str,
        /// A value that works.
        example: &'static str,
    },
}

impl Error {
    pub(crate) fn setting(
        field: &'static str,
        got: impl ToString,
        expected: &'static str,
        example: &'static str,
    ) -> Self {
        Error::Setting { field, got: got.to_string(), expected, example }
    }
}

mod nanos {
    use core::time::Duration;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_nanos)
    }
}

const RATE_BITS_MAX: u64 = 1_000_000_000_000;
const QUEUE_BYTES_MIN: u64 = 1500;
const SPAN_MAX: Duration = Duration::from_secs(3600);
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
            "rate: expected 1 bit to 1000 Gbit a second, or unlimited, got 0 bit/s (example: 5mbit)"
        );
        assert_eq!(
            refusal(|s| s.queue = Queue::Bytes(1499)),
            "queue: expected room for one packet of 1500 bytes at least, got 1499 bytes (example: 64kb)"
        );
        assert!(refusal(|s| s.queue = Queue::Packets(0)).starts_with("queue: "));
        assert!(refusal(|s| s.delay = Duration::from_secs(3601)).starts_with("delay: "));
        for bad in [-0.1, 1.01, f64::NAN, f64::INFINITY] {
            assert!(refusal(|s| s.loss = Loss::Independent(bad)).starts_with("loss: "));
            let model = GilbertElliott { p: 0.1, r: 0.5, h: bad, k: 1.0 };
            assert!(refusal(|s| s.loss = Loss::GilbertElliott(model)).starts_with("loss h: "));
        }
    }

    #[test]
    fn a_burst_that_the_mean_does_not_allow_is_refused() {
        assert!(GilbertElliott::from_mean_and_burst(0.9, 2.0).is_err());
        assert!(GilbertElliott::from_mean_and_burst(1.0, 2.0).is_err());
        assert!(GilbertElliott::from_mean_and_burst(0.1, 0.5).is_err());
        let model = GilbertElliott::from_mean_and_burst(0.05, 4.0).expect("it is possible");
        assert!((model.mean_loss() - 0.05).abs() < 1e-12);
    }
}
