//! Tests of what was achieved against what was asked. Pure functions.

/// Shares of a whole between which the true one lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// What a test found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tested {
    /// The test's own measure of the difference.
    pub statistic: f64,
    /// The chance of a difference as great or greater if what was asked is what was done.
    pub p_value: f64,
}

/// The 95 % confidence interval of a share of which `hits` of `trials` independent samples were
/// seen; `None` without trials. Wilson, "Probable inference, the law of succession, and statistical
/// inference", 1927.
pub fn wilson(hits: u64, trials: u64) -> Option<Interval> {
    wilson_of(hits as f64, trials as f64)
}

/// The same where samples depend on each other, so that `trials` of them tell as much as
/// `trials / inflation` independent ones.
pub fn wilson_inflated(hits: u64, trials: u64, inflation: f64) -> Option<Interval> {
    let inflation = inflation.max(1.0);
    wilson_of(hits as f64 / inflation, trials as f64 / inflation)
}

fn wilson_of(hits: f64, trials: f64) -> Option<Interval> {
    if trials <= 0.0 {
        return None;
    }
    let (share, square) = (hits / trials, Z_95 * Z_95);
    let middle = share + square / (2.0 * trials);
    let half = Z_95 * (share * (1.0 - share) / trials + square / (4.0 * trials * trials)).sqrt();
    let scale = 1.0 + square / trials;
    // Rounding must not take the ends beyond what was seen.
    let low = ((middle - half) / scale).clamp(0.0, share);
    Some(Interval { low, high: ((middle + half) / scale).clamp(share, 1.0) })
}

/// Pearson's chi-square test, with one degree of freedom, of `hits` of `trials` against the share
/// `asked`. `inflation` is how many times greater the variance is than that of independent samples.
///
/// `None` where fewer than 5 hits or 5 misses are expected, which is too few for the test; a share
/// of exactly 0 or 1 leaves nothing to chance and is tested at any number.
pub fn chi_square(hits: u64, trials: u64, asked: f64, inflation: f64) -> Option<Tested> {
    if trials == 0 || !(0.0..=1.0).contains(&asked) {
        return None;
    }
    let expected = asked * trials as f64;
    if asked == 0.0 || asked == 1.0 {
        let is_as_asked = hits == if asked == 0.0 { 0 } else { trials };
        return Some(match is_as_asked {
            true => Tested { statistic: 0.0, p_value: 1.0 },
            false => Tested { statistic: f64::INFINITY, p_value: 0.0 },
        });
    }
    let inflation = inflation.max(1.0);
    let (expected_hits, expected_misses) = (expected, trials as f64 - expected);
    if expected_hits.min(expected_misses) < EXPECTED_MIN * inflation {
        return None;
    }
    let variance = expected * (1.0 - asked) * inflation;
    let statistic = (hits as f64 - expected).powi(2) / variance;
    Some(Tested { statistic, p_value: erfc((statistic / 2.0).sqrt()) })
}

/// The Kolmogorov-Smirnov test of `samples`, in any order, against a distribution: `below` gives
/// the share at most a value, `strictly_below` the share below it. `None` under 8 samples.
pub fn kolmogorov_smirnov(
    samples: &mut [f64],
    below: impl Fn(f64) -> f64,
    strictly_below: impl Fn(f64) -> f64,
) -> Option<Tested> {
    if samples.len() < SAMPLES_MIN {
        return None;
    }
    samples.sort_by(f64::total_cmp);
    let n = samples.len() as f64;
    let mut distance = 0.0_f64;
    let mut rank = 0;
    // Samples that are equal are one step of the distribution that was seen.
    for equal in samples.chunk_by(|one, other| one == other) {
        let value = equal[0];
        distance = distance.max((strictly_below(value) - rank as f64 / n).abs());
        rank += equal.len();
        distance = distance.max((rank as f64 / n - below(value)).abs());
    }
    Some(Tested { statistic: distance, p_value: kolmogorov(distance, n) })
}

/// The chance that `n` samples lie at least `distance` from their distribution. Stephens, "Use of
/// the Kolmogorov-Smirnov, Cramer-Von Mises and related statistics without extensive tables", 1970.
fn kolmogorov(distance: f64, n: f64) -> f64 {
    let root = n.sqrt();
    let lambda = (root + 0.12 + 0.11 / root) * distance;
    if lambda < 0.2 {
        return 1.0;
    }
    let term = |k: i32| {
        let sign = if k % 2 == 1 { 1.0 } else { -1.0 };
        sign * (-2.0 * f64::from(k * k) * lambda * lambda).exp()
    };
    (2.0 * (1..=100).map(term).sum::<f64>()).clamp(0.0, 1.0)
}

/// The share of the standard normal distribution at most `x`.
pub fn normal(x: f64) -> f64 {
    0.5 * erfc(-x / std::f64::consts::SQRT_2)
}

/// The complementary error function, to 1.2e-7 of its value.
///
/// W. J. Cody would be exact to the last bit; a test needs three digits. The polynomial is a
/// Chebyshev fit of its logarithm.
pub fn erfc(x: f64) -> f64 {
    let z = x.abs();
    let t = 1.0 / (1.0 + 0.5 * z);
    let series = ERFC.iter().rev().fold(0.0, |sum, coefficient| sum * t + coefficient);
    let value = t * (-z * z + series).exp();
    if x >= 0.0 { value } else { 2.0 - value }
}

/// 97.5 % of the standard normal distribution lie below.
const Z_95: f64 = 1.959_963_984_540_054;
/// The usual rule for Pearson's test.
const EXPECTED_MIN: f64 = 5.0;
const SAMPLES_MIN: usize = 8;
/// Coefficients of the powers of t, from the constant on.
const ERFC: [f64; 10] = [
    -1.265_512_23,
    1.000_023_68,
    0.374_091_96,
    0.096_784_18,
    -0.186_288_06,
    0.278_868_07,
    -1.135_203_98,
    1.488_515_87,
    -0.822_152_23,
    0.170_872_77,
];

#[cfg(test)]
mod tests {
    use weir_time::Random;

    use super::*;

    fn near(got: f64, known: f64, within: f64) {
        assert!((got - known).abs() <= within, "got {got}, known {known}");
    }

    #[test]
    fn erfc_has_its_known_values() {
        for (x, known) in [
            (0.0, 1.0),
            (0.5, 0.479_500_122_186_953_5),
            (1.0, 0.157_299_207_050_285_13),
            (2.0, 0.004_677_734_981_047_266),
            (3.5, 7.430_983_723_414_128e-7),
            (-1.0, 1.842_700_792_949_715),
        ] {
            near(erfc(x) / known, 1.0, 2e-7);
        }
        near(normal(1.959_963_984_540_054), 0.975, 1e-6);
    }

    #[test]
    fn wilsons_interval_has_its_known_values() {
        // Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I.
        for (hits, trials, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let interval = wilson(hits, trials).expect("there are trials");
            near(interval.low, low, 5e-5);
            near(interval.high, high, 5e-5);
        }
        assert_eq!(wilson(0, 0), None);
    }

    #[test]
    fn dependent_samples_widen_the_interval() {
        let one = wilson(100, 1000).expect("there are trials");
        let wide = wilson_inflated(100, 1000, 4.0).expect("there are trials");
        near((wide.high - wide.low) / (one.high - one.low), 2.0, 0.05);
    }

    #[test]
    fn chi_square_has_its_known_values() {
        // 3.841 is the 95 % point of one degree of freedom, 6.635 the 99 % point.
        let tested = chi_square(120, 1000, 0.1, 1.0).expect("enough");
        near(tested.statistic, 4.4444, 1e-4);
        near(tested.p_value, 0.03501, 1e-4);
        let at_95 = erfc((3.841_458_8_f64 / 2.0).sqrt());
        near(at_95, 0.05, 1e-6);
        let at_99 = erfc((6.634_896_6_f64 / 2.0).sqrt());
        near(at_99, 0.01, 1e-6);
    }

    #[test]
    fn chi_square_is_absent_where_too_few_are_expected_and_strict_where_chance_has_no_part() {
        assert_eq!(chi_square(3, 100, 0.01, 1.0), None);
        assert_eq!(chi_square(0, 0, 0.0, 1.0), None);
        assert_eq!(chi_square(0, 9, 0.0, 1.0).map(|t| t.p_value), Some(1.0));
        assert_eq!(chi_square(1, 9, 0.0, 1.0).map(|t| t.p_value), Some(0.0));
        assert_eq!(chi_square(9, 9, 1.0, 1.0).map(|t| t.p_value), Some(1.0));
    }

    #[test]
    fn kolmogorovs_distribution_has_its_known_values() {
        // Critical values of the limit: 1.3581 at 5 %, 1.6276 at 1 %.
        let n = 1e12_f64;
        near(kolmogorov(1.3581 / n.sqrt(), n), 0.05, 1e-4);
        near(kolmogorov(1.6276 / n.sqrt(), n), 0.01, 1e-4);
        // For 20 samples the table says 0.29408 at 5 %.
        near(kolmogorov(0.29408, 20.0), 0.05, 2e-3);
    }

    #[test]
    fn even_samples_pass_and_shifted_ones_fail() {
        let mut random = Random::new(3);
        let mut even: Vec<f64> = (0..2000).map(|_| random.next_f64()).collect();
        let mut shifted: Vec<f64> = even.iter().map(|x| x + 0.1).collect();
        let uniform = |x: f64| x.clamp(0.0, 1.0);
        let test = |samples: &mut [f64]| {
            kolmogorov_smirnov(samples, uniform, uniform).expect("there are enough").p_value
        };
        assert!(test(&mut even) > 0.01);
        assert!(test(&mut shifted) < 1e-9);
    }

    #[test]
    fn equal_samples_are_one_step() {
        // Half of the distribution stands at 0, and half of the samples do.
        let below = |x: f64| if x < 0.0 { 0.0 } else { 0.5 + 0.5 * x.min(1.0) };
        let strictly = |x: f64| if x <= 0.0 { 0.0 } else { below(x) };
        let mut samples: Vec<f64> = (0..100).map(|i| (f64::from(i - 49) / 50.0).max(0.0)).collect();
        let tested = kolmogorov_smirnov(&mut samples, below, strictly).expect("enough");
        assert!(tested.statistic < 0.021, "{tested:?}");
    }
}
