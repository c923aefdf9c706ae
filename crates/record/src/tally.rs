//! A histogram that is quick to fill.

use crate::Histogram;
use crate::histogram::{BUCKETS, bucket};

/// Counts values as a [`Histogram`] does, at a few nanoseconds each: all buckets have their place
/// (8 KB, from the first value on), so that nothing is searched or moved.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Empty before the first value.
    counts: Vec<u32>,
    /// The buckets in use lie between these, both included.
    first: usize,
    last: usize,
    count: u64,
    min: u64,
    max: u64,
    sum: u64,
}

impl Tally {
    /// A tally without values.
    pub const fn new() -> Self {
        Tally { counts: Vec::new(), first: 0, last: 0, count: 0, min: 0, max: 0, sum: 0 }
    }

    /// Counts `value` once.
    pub fn record(&mut self, value: u64) {
        let index = usize::from(bucket(value));
        if self.count == 0 {
            self.begin(index, value);
        }
        if let Some(held) = self.counts.get_mut(index) {
            *held = held.saturating_add(1);
        }
        self.first = self.first.min(index);
        self.last = self.last.max(index);
        self.count += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.sum = self.sum.saturating_add(value);
    }

    #[cold]
    fn begin(&mut self, index: usize, value: u64) {
        if self.counts.is_empty() {
            self.counts = vec![0; BUCKETS as usize];
        }
        (self.first, self.last, self.min, self.max) = (index, index, value, value);
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The same as a histogram; `None` without values.
    pub fn histogram(&self) -> Option<Histogram> {
        if self.count == 0 {
            return None;
        }
        let used = self.counts.get(self.first..=self.last)?;
        let buckets = used.iter().zip(self.first..).filter(|(held, _)| **held > 0);
        let buckets = buckets
            .filter_map(|(held, index)| Some((u16::try_from(index).ok()?, u64::from(*held))));
        Some(Histogram::of_buckets(self.min, self.max, self.sum, buckets.collect()))
    }

    /// Forgets all values and keeps the room.
    pub fn clear(&mut self) {
        if self.count > 0
            && let Some(used) = self.counts.get_mut(self.first..=self.last)
        {
            used.fill(0);
        }
        (self.count, self.sum) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_tally_is_the_histogram_of_its_values(
            before in vec(any::<u64>(), 0..9), values in vec((0u32..64, any::<u64>()), 1..99),
        ) {
            let (mut tally, mut histogram) = (Tally::new(), Histogram::new());
            before.iter().for_each(|value| tally.record(*value));
            tally.clear();
            prop_assert_eq!(tally.histogram(), None);
            for (shift, bits) in values {
                tally.record(bits >> shift);
                histogram.record(bits >> shift);
            }
            prop_assert_eq!(tally.count(), histogram.count());
            prop_assert_eq!(tally.histogram(), Some(histogram));
        }
    }
}
