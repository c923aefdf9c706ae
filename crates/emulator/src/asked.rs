//! What settings ask for, as figures that can be compared with what was achieved.
//!
//! A setting whose figure is not known here has none: then nothing is claimed of it.

use weir_link::{GilbertElliott, Jitter, Loss, Rate, Reorder, Settings};

use crate::statistics::normal;

/// The constant rate in bits a second; `None` without a limit, and where it varies.
pub(crate) fn rate_bps(settings: &Settings) -> Option<u64> {
    match settings.rate {
        Rate::Constant { bits_per_second } => Some(bits_per_second),
        _ => None,
    }
}

/// Whether packets wait for each other.
pub(crate) fn is_limited(settings: &Settings) -> bool {
    !matches!(settings.rate, Rate::Unlimited)
}

/// What chance is asked to take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LossAsked {
    /// The share of packets in the long run.
    pub(crate) share: f64,
    /// How many times greater the variance of the number lost is than of independent losses.
    pub(crate) inflation: f64,
    /// The mean length of a run of lost packets; `None` where none or all are lost.
    pub(crate) burst_mean: Option<f64>,
}

pub(crate) fn loss(settings: &Settings) -> Option<LossAsked> {
    match &settings.loss {
        Loss::None => Some(LossAsked { share: 0.0, inflation: 1.0, burst_mean: None }),
        Loss::Independent(share) => {
            let burst_mean = (*share > 0.0 && *share < 1.0).then(|| 1.0 / (1.0 - share));
            Some(LossAsked { share: *share, inflation: 1.0, burst_mean })
        }
        Loss::GilbertElliott(model) => Some(gilbert_elliott(model)),
        _ => None,
    }
}

fn gilbert_elliott(model: &GilbertElliott) -> LossAsked {
    let share = model.mean_loss();
    let bad = model.bad_share();
    let (lost_bad, lost_good) = (1.0 - model.h, 1.0 - model.k);
    // The states of two packets that lie n apart are correlated with memory^n.
    let memory = 1.0 - model.p - model.r;
    let spread = bad * (1.0 - bad) * (lost_bad - lost_good).powi(2);
    let alone = share * (1.0 - share);
    let inflation = match alone > 0.0 && memory < 1.0 {
        true => 1.0 + 2.0 * spread * memory / (1.0 - memory) / alone,
        false => 1.0,
    };
    // A run is as long as all lost packets over those that follow one that was not lost.
    let stays_lost =
        |lost: f64, leave: f64, other: f64| lost * ((1.0 - leave) * lost + leave * other);
    let pairs = bad * stays_lost(lost_bad, model.r, lost_good)
        + (1.0 - bad) * stays_lost(lost_good, model.p, lost_bad);
    let begins = share - pairs;
    let burst_mean = (begins > 0.0).then(|| share / begins);
    LossAsked { share, inflation, burst_mean }
}

/// The delay with its jitter, as a distribution in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum DelayAsked {
    /// Evenly spread between both.
    Uniform { low: f64, high: f64 },
    /// The normal distribution, what lies below zero moved to zero.
    Normal { mean: f64, deviation: f64 },
    /// The Lomax distribution with a shape of 3, on top of `low`.
    Pareto { low: f64, mean: f64 },
}

pub(crate) fn delay(settings: &Settings) -> Option<DelayAsked> {
    if matches!(settings.reorder, Reorder::Late { .. }) {
        return None;
    }
    let mean = settings.delay.as_nanos() as f64;
    match settings.jitter {
        Jitter::Uniform { spread } => {
            let spread = spread.as_nanos() as f64;
            Some(DelayAsked::Uniform { low: mean - spread, high: mean + spread })
        }
        Jitter::Normal { deviation } => {
            Some(DelayAsked::Normal { mean, deviation: deviation.as_nanos() as f64 })
        }
        Jitter::Pareto { mean: above } => {
            Some(DelayAsked::Pareto { low: mean, mean: above.as_nanos() as f64 })
        }
        _ => None,
    }
}

impl DelayAsked {
    /// A delay that practically none is below.
    pub(crate) fn least_ns(&self) -> u64 {
        match self {
            DelayAsked::Uniform { low, .. } => low.max(0.0) as u64,
            DelayAsked::Normal { mean, deviation } => (mean - 6.0 * deviation).max(0.0) as u64,
            DelayAsked::Pareto { low, .. } => *low as u64,
        }
    }

    /// The share of delays at most `x`.
    pub(crate) fn below(&self, x: f64) -> f64 {
        match self {
            _ if x < 0.0 => 0.0,
            DelayAsked::Uniform { low, high } => {
                if high > low {
                    ((x - low) / (high - low)).clamp(0.0, 1.0)
                } else {
                    1.0
                }
            }
            DelayAsked::Normal { mean, deviation } => normal((x - mean) / deviation),
            DelayAsked::Pareto { low, mean } if x > *low => {
                1.0 - (1.0 + (x - low) / (2.0 * mean)).powi(-3)
            }
            DelayAsked::Pareto { .. } => 0.0,
        }
    }

    /// The share of delays below `x`: nothing is below zero, where delays may heap up.
    pub(crate) fn strictly_below(&self, x: f64) -> f64 {
        if x <= 0.0 { 0.0 } else { self.below(x) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_time::{Random, hash};

    use super::*;

    #[test]
    fn a_simple_gilbert_model_has_the_burst_that_was_asked_for() {
        let model = GilbertElliott::from_mean_and_burst(0.02, 4.0).expect("possible");
        let asked = gilbert_elliott(&model);
        assert!((asked.share - 0.02).abs() < 1e-12);
        assert!((asked.burst_mean.expect("it has runs") - 4.0).abs() < 1e-9);
        assert!(asked.inflation > 5.0 && asked.inflation < 8.0, "{asked:?}");
    }

    #[test]
    fn the_variance_of_bursty_losses_is_what_the_chain_shows() {
        let model = GilbertElliott { p: 0.05, r: 0.25, h: 0.3, k: 0.99 };
        let asked = gilbert_elliott(&model);
        let (runs, packets) = (400, 4000);
        let counts: Vec<f64> = (0..runs).map(|run| lost(&model, run, packets)).collect();
        let mean = counts.iter().sum::<f64>() / runs as f64;
        let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / runs as f64;
        let expected = packets as f64 * asked.share * (1.0 - asked.share) * asked.inflation;
        assert!((mean / (packets as f64 * asked.share) - 1.0).abs() < 0.02, "{mean}");
        assert!((variance / expected - 1.0).abs() < 0.25, "{variance} {expected}");
    }

    fn lost(model: &GilbertElliott, run: u64, packets: u64) -> f64 {
        let mut random = Random::new(hash([9, run]));
        let mut bad = random.next_f64() < model.bad_share();
        let mut count = 0.0;
        for _ in 0..packets {
            let survives = if bad { model.h } else { model.k };
            count += f64::from(u8::from(random.next_f64() >= survives));
            let turns = if bad { model.r } else { model.p };
            bad ^= random.next_f64() < turns;
        }
        count
    }

    #[test]
    fn delays_below_zero_heap_up_at_zero() {
        let jitter = Jitter::Normal { deviation: Duration::from_millis(10) };
        let settings = Settings { delay: Duration::from_millis(10), jitter, ..Settings::default() };
        let asked = delay(&settings).expect("it has jitter");
        assert_eq!(asked.strictly_below(0.0), 0.0);
        assert!((asked.below(0.0) - 0.158_655).abs() < 1e-5);
        assert!((asked.below(20e6) - 0.841_345).abs() < 1e-5);
        assert_eq!(asked.least_ns(), 0);
    }
}
