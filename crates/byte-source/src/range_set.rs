//! A set of bytes, kept as sorted, disjoint, non-touching ranges.

use crate::ByteRange;

/// A set of byte offsets. Ranges are sorted, never empty, and never touch: what touches is one range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    ranges: Vec<ByteRange>,
}

impl RangeSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// Adds every byte of `range`.
    pub fn insert(&mut self, range: ByteRange) {
        if range.is_empty() {
            return;
        }
        let from = self.ranges.partition_point(|r| r.end() < range.start());
        let to = self.ranges.partition_point(|r| r.start() <= range.end());
        let merged = self.ranges[from..to].iter().fold(range, |all, r| all.hull(*r));
        self.ranges.splice(from..to, [merged]);
    }

    /// Takes every byte of `range` out.
    pub fn remove(&mut self, range: ByteRange) {
        if range.is_empty() {
            return;
        }
        let from = self.ranges.partition_point(|r| r.end() <= range.start());
        let to = self.ranges.partition_point(|r| r.start() < range.end());
        let mut rest = Vec::with_capacity(2);
        for r in &self.ranges[from..to] {
            for part in [ByteRange::new(r.start(), range.start()), ByteRange::new(range.end(), r.end())] {
                let part = part.intersection(*r);
                if !part.is_empty() {
                    rest.push(part);
                }
            }
        }
        self.ranges.splice(from..to, rest);
    }

    /// Whether every byte of `range` is in the set.
    #[must_use]
    pub fn covers(&self, range: ByteRange) -> bool {
        if range.is_empty() {
            return true;
        }
        let at = self.ranges.partition_point(|r| r.end() <= range.start());
        self.ranges.get(at).is_some_and(|r| r.covers(range))
    }

    /// The parts of `range` that are not in the set, in order.
    #[must_use]
    pub fn missing_in(&self, range: ByteRange) -> Vec<ByteRange> {
        let mut missing = Vec::new();
        let mut at = range.start();
        let from = self.ranges.partition_point(|r| r.end() <= range.start());
        for r in &self.ranges[from..] {
            if r.start() >= range.end() {
                break;
            }
            if r.start() > at {
                missing.push(ByteRange::new(at, r.start()));
            }
            at = at.max(r.end());
        }
        if at < range.end() {
            missing.push(ByteRange::new(at, range.end()));
        }
        missing
    }

    /// The ranges, sorted and disjoint.
    #[must_use]
    pub fn ranges(&self) -> &[ByteRange] {
        &self.ranges
    }

    /// How many bytes are in the set.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.ranges.iter().map(|r| r.len()).sum()
    }

    /// Whether no byte is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl FromIterator<ByteRange> for RangeSet {
    fn from_iter<I: IntoIterator<Item = ByteRange>>(ranges: I) -> Self {
        let mut set = Self::new();
        for range in ranges {
            set.insert(range);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn touching_ranges_become_one() {
        let set: RangeSet =
            [ByteRange::new(0, 4), ByteRange::new(8, 9), ByteRange::new(4, 8)].into_iter().collect();
        assert_eq!(set.ranges(), [ByteRange::new(0, 9)]);
    }

    proptest! {
        #[test]
        fn behaves_like_a_set_of_offsets(ops in prop::collection::vec((any::<bool>(), 0u64..64, 0u64..24), 0..40),
                                         probe in (0u64..64, 0u64..24)) {
            let (mut set, mut model) = (RangeSet::new(), BTreeSet::new());
            for (add, start, len) in ops {
                let range = ByteRange::new(start, start + len);
                if add {
                    set.insert(range);
                    model.extend(start..start + len);
                } else {
                    set.remove(range);
                    (start..start + len).for_each(|b| { model.remove(&b); });
                }
            }
            prop_assert_eq!(set.total(), model.len() as u64);
            prop_assert!(set.ranges().windows(2).all(|w| w[0].end() < w[1].start()));
            let probe = ByteRange::new(probe.0, probe.0 + probe.1);
            let missing: Vec<u64> = set.missing_in(probe).iter().flat_map(|r| r.start()..r.end()).collect();
            let expected: Vec<u64> = (probe.start()..probe.end()).filter(|b| !model.contains(b)).collect();
            prop_assert_eq!(set.covers(probe), expected.is_empty());
            prop_assert_eq!(missing, expected);
        }
    }
}
