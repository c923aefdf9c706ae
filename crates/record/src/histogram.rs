//! A mergeable histogram of bounded size.

use serde::{Deserialize, Serialize};

/// Values below this are counted exactly.
const EXACT: u64 = 64;
/// Buckets for each power of two above: a bucket is at most 1/32 of its values wide, and its
/// middle at most 1/64 from any of them.
const PER_OCTAVE: u64 = 32;
/// Powers of two from [`EXACT`] to the greatest `u64`.
const OCTAVES: u64 = 58;
/// All buckets.
pub(crate) const BUCKETS: u64 = EXACT + OCTAVES * PER_OCTAVE;

/// How often which values occurred, to within 1.6 % of each value.
///
/// Values are `u64`, usually nanoseconds. Those below 64 are exact; above, each power of two is
/// divided into 32 equal buckets. At most 1,920 buckets exist, and only those in use take room
/// (16 bytes each). Two histograms merge into what one would hold that had seen the values of
/// both, in whatever order and grouping; counts and sums saturate.
///
/// Serialised as `{"min":1,"max":70,"sum":72,"buckets":[[1,2],[67,1]]}`, buckets as index and
/// count in ascending order, and `{"buckets":[]}` when empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts")]
pub struct Histogram {
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u64>,
    #[serde(skip_serializing_if = "is_zero")]
    sum: u64,
    /// Index and count, ascending by index; no count is zero.
    buckets: Vec<(u16, u64)>,
}

impl Histogram {
    /// A histogram without values.
    pub const fn new() -> Self {
        Histogram { min: None, max: None, sum: 0, buckets: Vec::new() }
    }

    /// One whose parts were counted elsewhere; `buckets` are in order and none is empty.
    pub(crate) fn of_buckets(min: u64, max: u64, sum: u64, buckets: Vec<(u16, u64)>) -> Self {
        Histogram { min: Some(min), max: Some(max), sum, buckets }
    }

    /// The least value and the number of values of each bucket in use, in order; the next bucket
    /// may begin far above.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        self.buckets.iter().map(|(index, count)| (least(*index), *count))
    }

    /// Counts `value` once.
    pub fn record(&mut self, value: u64) {
        self.min = Some(self.min.map_or(value, |min| min.min(value)));
        self.max = Some(self.max.map_or(value, |max| max.max(value)));
        self.sum = self.sum.saturating_add(value);
        self.add(bucket(value), 1);
    }

    /// Adds all that `other` holds.
    pub fn merge(&mut self, other: &Histogram) {
        self.min = [self.min, other.min].into_iter().flatten().min();
        self.max = [self.max, other.max].into_iter().flatten().max();
        self.sum = self.sum.saturating_add(other.sum);
        for &(index, count) in &other.buckets {
            self.add(index, count);
        }
    }

    fn add(&mut self, index: u16, count: u64) {
        match self.buckets.binary_search_by_key(&index, |bucket| bucket.0) {
            Ok(found) => {
                let held = &mut self.buckets[found].1;
                *held = held.saturating_add(count);
            }
            Err(place) => self.buckets.insert(place, (index, count)),
        }
    }

    /// Forgets all values and keeps the room.
    pub fn clear(&mut self) {
        self.min = None;
        self.max = None;
        self.sum = 0;
        self.buckets.clear();
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, bucket| u64::saturating_add(sum, bucket.1))
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The least value, exact; `None` without values.
    pub fn min(&self) -> Option<u64> {
        self.min
    }

    /// The greatest value, exact; `None` without values.
    pub fn max(&self) -> Option<u64> {
        self.max
    }

    /// The sum of all values; saturates.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The mean, rounded down; `None` without values.
    pub fn mean(&self) -> Option<u64> {
        self.sum.checked_div(self.count())
    }

    /// The least value that at least the fraction `q` of all values do not exceed, to within
    /// 1.6 %: 0.5 asks for the median. Exact at 0 and at 1. `None` without values, and for a `q`
    /// outside 0 to 1.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let (min, max) = (self.min?, self.max?);
        if !(0.0..=1.0).contains(&q) {
            return None;
        }
        let count = self.count();
        let rank = ((q * count as f64).ceil() as u64).clamp(1, count);
        if rank == 1 {
            return Some(min);
        }
        if rank == count {
            return Some(max);
        }
        let mut seen = 0u64;
        let found = self.buckets.iter().find(|bucket| {
            seen = seen.saturating_add(bucket.1);
            seen >= rank
        })?;
        Some(middle(found.0).clamp(min, max))
    }
}

/// The bucket that `value` is counted in.
pub(crate) fn bucket(value: u64) -> u16 {
    let index = if value < EXACT {
        value
    } else {
        let power = u64::from(value.ilog2());
        let within = (value >> (power - 5)) - PER_OCTAVE;
        EXACT + (power - 6) * PER_OCTAVE + within
    };
    u16::try_from(index).expect("there are fewer than 65,536 buckets")
}

/// The value in the middle of a bucket, rounded down.
fn middle(index: u16) -> u64 {
    match u64::from(index).checked_sub(EXACT) {
        None => u64::from(index),
        Some(above) => least(index) + ((1 << (above / PER_OCTAVE + 1)) - 1) / 2,
    }
}

/// The least value of a bucket.
fn least(index: u16) -> u64 {
    match u64::from(index).checked_sub(EXACT) {
        None => u64::from(index),
        Some(above) => (PER_OCTAVE + above % PER_OCTAVE) << (above / PER_OCTAVE + 1),
    }
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// A histogram as it stands in a file, before it was checked.
#[derive(Deserialize)]
#[serde(rename = "Histogram")]
struct Parts {
    min: Option<u64>,
    max: Option<u64>,
    #[serde(default)]
    sum: u64,
    buckets: Vec<(u16, u64)>,
}

impl TryFrom<Parts> for Histogram {
    type Error = &'static str;

    fn try_from(parts: Parts) -> Result<Self, Self::Error> {
        let Parts { min, max, sum, buckets } = parts;
        if !buckets.is_sorted_by(|one, next| one.0 < next.0) {
            return Err("a histogram's buckets must ascend");
        }
        if buckets.iter().any(|bucket| bucket.1 == 0) {
            return Err("a histogram's buckets must hold something");
        }
        let ends = [buckets.first(), buckets.last()].map(|end| end.map(|bucket| bucket.0));
        if ends[1].is_some_and(|last| u64::from(last) >= BUCKETS) {
            return Err("a histogram's bucket must lie below 1920");
        }
        if ends != [min.map(bucket), max.map(bucket)] || min > max {
            return Err("a histogram's min and max must lie in its first and last bucket");
        }
        let histogram = Histogram { min, max, sum, buckets };
        if !histogram.sum_is_possible() {
            return Err("a histogram's sum must lie between count times min and count times max");
        }
        Ok(histogram)
    }
}

impl Histogram {
    fn sum_is_possible(&self) -> bool {
        let count = u128::from(self.count());
        let at_least = count * u128::from(self.min.unwrap_or(0));
        let at_most = count * u128::from(self.max.unwrap_or(0));
        let sum = u128::from(self.sum);
        sum <= at_most && (sum >= at_least || self.sum == u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        values.iter().for_each(|&value| histogram.record(value));
        histogram
    }

    fn merged(one: &Histogram, other: &Histogram) -> Histogram {
        let mut sum = one.clone();
        sum.merge(other);
        sum
    }

    /// Values of every magnitude.
    fn value() -> impl Strategy<Value = u64> {
        (0u32..64, any::<u64>()).prop_map(|(shift, bits)| bits >> shift)
    }

    proptest! {
        #[test]
        fn merging_is_associative_and_commutative_and_loses_nothing(
            a in vec(value(), 0..50), b in vec(value(), 0..50), c in vec(value(), 0..50),
        ) {
            let (x, y, z) = (of(&a), of(&b), of(&c));
            prop_assert_eq!(merged(&x, &y), merged(&y, &x));
            prop_assert_eq!(merged(&merged(&x, &y), &z), merged(&x, &merged(&y, &z)));
            prop_assert_eq!(merged(&merged(&x, &y), &z), of(&[a, b, c].concat()));
        }

        #[test]
        fn quantiles_are_within_the_stated_error(
            mut values in vec(value(), 1..200), q in 0.0f64..=1.0,
        ) {
            let found = of(&values).quantile(q).expect("there are values");
            values.sort_unstable();
            let rank = ((q * values.len() as f64).ceil() as usize).max(1);
            let exact = values[rank - 1];
            prop_assert!(found.abs_diff(exact) as f64 <= exact as f64 * 0.016, "{found} {exact}");
        }

        #[test]
        fn what_was_written_is_read_back(values in vec(value(), 0..100)) {
            let histogram = of(&values);
            let text = serde_json::to_string(&histogram).expect("it can be written");
            prop_assert_eq!(serde_json::from_str::<Histogram>(&text).expect(&text), histogram);
        }
    }

    #[test]
    fn the_extremes_have_buckets() {
        assert_eq!(u64::from(bucket(u64::MAX)), BUCKETS - 1);
        assert_eq!(bucket(0), 0);
        assert_eq!(bucket(63), 63);
        assert_eq!(bucket(64), 64);
    }

    #[test]
    fn each_buckets_middle_lies_in_it() {
        for index in 0..u16::try_from(BUCKETS).expect("small") {
            assert_eq!(bucket(middle(index)), index);
        }
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(Histogram::new().quantile(0.5), None);
        assert_eq!(of(&[1]).quantile(f64::NAN), None);
        assert_eq!(Histogram::new().mean(), None);
    }

    #[test]
    fn a_histogram_that_contradicts_itself_is_refused() {
        let refused = |text| serde_json::from_str::<Histogram>(text).is_err();
        assert!(!refused(r#"{"min":1,"max":2,"sum":3,"buckets":[[1,1],[2,1]]}"#));
        assert!(refused(r#"{"min":1,"max":2,"sum":3,"buckets":[[2,1],[1,1]]}"#));
        assert!(refused(r#"{"min":1,"max":2,"sum":9,"buckets":[[1,1],[2,1]]}"#));
        assert!(refused(r#"{"min":1,"max":3,"sum":3,"buckets":[[1,1],[2,1]]}"#));
        assert!(refused(r#"{"min":1,"max":1,"sum":0,"buckets":[[1,0]]}"#));
        assert!(refused(r#"{"buckets":[[1920,1]]}"#));
        assert!(refused(r#"{"min":1,"max":1,"buckets":[]}"#));
    }
}
