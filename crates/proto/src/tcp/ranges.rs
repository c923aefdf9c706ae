//! Sets of sequence numbers, kept as ranges.

use std::collections::BTreeMap;

/// Disjoint ranges that do not touch: the first number of each, and the one after its last.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    ends: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds `start..end`, which must not be empty; calls `new` with each part that was absent,
    /// in order. Returns the range that holds it now.
    pub(crate) fn insert(
        &mut self,
        start: u64,
        end: u64,
        mut new: impl FnMut(u64, u64),
    ) -> (u64, u64) {
        let (mut first, mut last, mut cursor) = (start, end, start);
        if let Some((&before, before_end)) = self.ends.range_mut(..=start).next_back()
            && *before_end >= start
        {
            if *before_end >= end {
                return (before, *before_end);
            }
            (first, cursor) = (before, *before_end);
            *before_end = end;
        }
        while let Some((&after, &after_end)) = self.ends.range(start + 1..).next()
            && after <= end
        {
            if cursor < after {
                new(cursor, after);
            }
            cursor = after_end;
            last = last.max(after_end);
            self.ends.remove(&after);
        }
        if cursor < end {
            new(cursor, end);
        }
        self.ends.insert(first, last);
        (first, last)
    }

    /// Takes out everything before `floor`.
    pub(crate) fn remove_before(&mut self, floor: u64) {
        while let Some(entry) = self.ends.first_entry()
            && *entry.key() < floor
        {
            let end = entry.remove();
            if end > floor {
                self.ends.insert(floor, end);
            }
        }
    }

    /// The range that holds `at`.
    pub(crate) fn holding(&self, at: u64) -> Option<(u64, u64)> {
        let (&start, &end) = self.ends.range(..=at).next_back()?;
        (at < end).then_some((start, end))
    }

    /// The ranges, in order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + '_ {
        self.ends.iter().map(|(&start, &end)| (start, end))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.ends.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_hold_what_a_plain_set_of_numbers_holds(
            steps in prop::collection::vec((0u64..60, 1u64..12), 1..40),
            floor in 0u64..70,
        ) {
            let mut ranges = Ranges::default();
            let mut plain = std::collections::BTreeSet::new();
            for (start, len) in steps {
                let mut new = Vec::new();
                let (first, last) = ranges.insert(start, start + len, |a, b| new.extend(a..b));
                let expected: Vec<u64> =
                    (start..start + len).filter(|n| plain.insert(*n)).collect();
                prop_assert_eq!(new, expected);
                prop_assert_eq!(ranges.holding(start), Some((first, last)));
                prop_assert!((first..last).all(|n| plain.contains(&n)));
                prop_assert!(!plain.contains(&last));
            }
            ranges.remove_before(floor);
            let left: Vec<u64> = ranges.iter().flat_map(|(a, b)| a..b).collect();
            prop_assert!(left.into_iter().eq(plain.range(floor..).copied()));
        }
    }
}
