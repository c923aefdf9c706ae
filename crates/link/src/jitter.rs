//! Variation of the delay.

use core::time::Duration;

use weir_time::{Random, hash};

use crate::loss::unit;
use crate::settings::{Jitter, SPAN_MAX};

/// The delay of packet `index`, in nanoseconds: `delay` with its jitter, zero at least.
pub(crate) fn delay_nanos(key: u64, index: u64, delay: Duration, jitter: &Jitter) -> u64 {
    let mean = nanos(delay);
    let shift = match jitter {
        Jitter::None => return mean as u64,
        Jitter::Uniform { spread } => {
            let spread = nanos(*spread);
            let width = 2 * spread as u64 + 1;
            ((u128::from(hash([key, index])) * u128::from(width)) >> 64) as i64 - spread
        }
        Jitter::Normal { deviation } => {
            let draw = normal(&mut Random::new(hash([key, index])));
            (draw * nanos(*deviation) as f64).round() as i64
        }
        Jitter::Pareto { mean } => {
            // Lomax with shape 3: scale x (u^(-1/3) - 1), whose mean is half of the scale.
            let draw = 1.0 - unit(hash([key, index]));
            let more = 2.0 * nanos(*mean) as f64 * (1.0 / cube_root(draw) - 1.0);
            more.round().clamp(0.0, SPAN_MAX.as_nanos() as f64) as i64
        }
        Jitter::Table(table) => {
            let count = table.nanos().len() as u128;
            let which = (u128::from(hash([key, index])) * count) >> 64;
            table.nanos().get(which as usize).copied().unwrap_or(0)
        }
    };
    mean.saturating_add(shift).max(0) as u64
}

fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

/// A draw from the standard normal distribution (Marsaglia's polar method).
fn normal(random: &mut Random) -> f64 {
    loop {
        let (x, y) = (2.0 * random.next_f64() - 1.0, 2.0 * random.next_f64() - 1.0);
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            return x * (-2.0 * ln(square) / square).sqrt();
        }
    }
}

/// The cube root of a number above 0, at most 1. Only operations that IEEE 754 rounds exactly, for
/// the same reason as below.
fn cube_root(x: f64) -> f64 {
    // A third of the exponent, and Newton's method from there: four steps end at the last bit.
    let mut root = f64::from_bits(x.to_bits() / 3 + CUBE_ROOT_BIAS);
    for _ in 0..4 {
        root -= (root - x / (root * root)) / 3.0;
    }
    root
}

/// Two thirds of the bias of the exponent, in its place.
const CUBE_ROOT_BIAS: u64 = (1023 << 52) / 3 * 2;

/// The natural logarithm of a normal positive number.
///
/// The platform's own may differ in the last bit from one system to the next, and with it the
/// fate of a packet. This one uses only operations that IEEE 754 rounds exactly.
fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if mantissa > core::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    // ln m = 2 artanh s, whose series ends below 2^-53 after eleven terms as |s| < 0.172.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = (0..11).rev().fold(0.0, |sum, n| sum * square + 1.0 / f64::from(2 * n + 1));
    2.0 * s * series + exponent as f64 * core::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;

    const MEAN: Duration = Duration::from_millis(50);

    fn draws(jitter: Jitter) -> Vec<f64> {
        (0..100_000).map(|index| delay_nanos(7, index, MEAN, &jitter) as f64 / 1e6).collect()
    }

    fn mean_and_deviation(draws: &[f64]) -> (f64, f64) {
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let square = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        (mean, square.sqrt())
    }

    #[test]
    fn uniform_jitter_fills_its_range_evenly() {
        let mut draws = draws(Jitter::Uniform { spread: Duration::from_millis(10) });
        draws.sort_by(f64::total_cmp);
        // Kolmogorov-Smirnov: 1.63 / sqrt(n) is the bound at a confidence of 99 %.
        let n = draws.len() as f64;
        let distance = draws
            .iter()
            .enumerate()
            .map(|(rank, draw)| (rank as f64 / n - (draw - 40.0) / 20.0).abs())
            .fold(0.0, f64::max);
        assert!(distance < 1.63 / n.sqrt(), "{distance}");
        assert!(draws[0] >= 40.0 && draws[draws.len() - 1] <= 60.0);
    }

    #[test]
    fn normal_jitter_has_its_deviation_and_its_tails() {
        let draws = draws(Jitter::Normal { deviation: Duration::from_millis(10) });
        let (mean, deviation) = mean_and_deviation(&draws);
        assert!((mean - 50.0).abs() < 0.15, "{mean}");
        assert!((deviation - 10.0).abs() < 0.1, "{deviation}");
        let beyond = |limit| draws.iter().filter(|d| (*d - 50.0).abs() > limit).count() as f64;
        assert!((beyond(10.0) / 100_000.0 - 0.3173).abs() < 0.006);
        assert!((beyond(20.0) / 100_000.0 - 0.0455).abs() < 0.003);
        assert!((beyond(30.0) / 100_000.0 - 0.0027).abs() < 0.0008);
    }

    #[test]
    fn pareto_jitter_has_its_mean_and_its_distribution() {
        let mut draws = draws(Jitter::Pareto { mean: Duration::from_millis(10) });
        let (mean, _) = mean_and_deviation(&draws);
        assert!((mean - 60.0).abs() < 0.3, "{mean}");
        draws.sort_by(f64::total_cmp);
        let n = draws.len() as f64;
        let below = |draw: f64| 1.0 - (1.0 + (draw - 50.0) / 20.0).powi(-3);
        let ranks = draws.iter().enumerate().map(|(rank, draw)| rank as f64 / n - below(*draw));
        let distance = ranks.map(f64::abs).fold(0.0, f64::max);
        assert!(distance < 1.63 / n.sqrt(), "{distance}");
    }

    #[test]
    fn jitter_from_a_table_has_its_values_in_equal_shares() {
        let table = Table::read("t", "-3\n0\n0.5\n12\n").expect("it is a table");
        let draws = draws(Jitter::Table(table.into()));
        for value in [47.0, 50.0, 50.5, 62.0] {
            let share = draws.iter().filter(|draw| **draw == value).count() as f64 / 100_000.0;
            assert!((share - 0.25).abs() < 0.005, "{value}: {share}");
        }
    }

    #[test]
    fn the_cube_root_agrees_with_the_platform() {
        let mut random = Random::new(9);
        for x in (0..10_000).map(|_| random.next_f64()).chain([1.0, 1e-16, 1e-300]) {
            let x = x.max(1e-300);
            assert!((cube_root(x) / x.cbrt() - 1.0).abs() < 1e-14, "{x}");
        }
    }

    #[test]
    fn a_delay_is_never_negative() {
        let jitter = Jitter::Normal { deviation: Duration::from_secs(3600) };
        assert!(draws(jitter).iter().all(|delay| *delay >= 0.0));
        assert_eq!(delay_nanos(1, 0, Duration::ZERO, &Jitter::None), 0);
    }

    #[test]
    fn the_logarithm_agrees_with_the_platform() {
        let mut random = Random::new(4);
        for _ in 0..10_000 {
            let x = random.next_f64().max(1e-300) * 3.0;
            assert!((ln(x) - x.ln()).abs() <= 1e-15 * x.ln().abs().max(1.0), "{x}");
        }
    }
}
