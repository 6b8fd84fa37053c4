//! A half-open range of byte offsets.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes `start..end` of something, half-open, never inverted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(try_from = "(u64, u64)", into = "(u64, u64)")]
pub struct ByteRange {
    start: u64,
    end: u64,
}

impl ByteRange {
    /// Makes `start..end`; an inverted pair becomes the empty range at `start`.
    #[must_use]
    pub const fn new(start: u64, end: u64) -> Self {
        Self { start, end: if end < start { start } else { end } }
    }

    /// Makes the range of `len` bytes from `start`; `None` if its end does not fit 64 bits.
    #[must_use]
    pub const fn at(start: u64, len: u64) -> Option<Self> {
        match start.checked_add(len) {
            Some(end) => Some(Self { start, end }),
            None => None,
        }
    }

    /// First byte.
    #[must_use]
    pub const fn start(self) -> u64 {
        self.start
    }

    /// One past the last byte.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.end
    }

    /// Length in bytes.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end - self.start
    }

    /// Whether it holds no byte.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Whether `offset` lies inside.
    #[must_use]
    pub const fn contains(self, offset: u64) -> bool {
        offset >= self.start && offset < self.end
    }

    /// Whether every byte of `other` lies inside; an empty `other` always does.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        other.is_empty() || (other.start >= self.start && other.end <= self.end)
    }

    /// The bytes in both; empty when they share none.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }

    /// The smallest range that holds both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

impl From<ByteRange> for (u64, u64) {
    fn from(range: ByteRange) -> Self {
        (range.start, range.end)
    }
}

impl TryFrom<(u64, u64)> for ByteRange {
    type Error = String;

    fn try_from((start, end): (u64, u64)) -> Result<Self, String> {
        if end < start {
            return Err(format!("byte range {start}..{end} is inverted"));
        }
        Ok(Self { start, end })
    }
}

impl fmt::Debug for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inverted_pair_is_empty() {
        assert!(ByteRange::new(7, 3).is_empty());
        assert!(ByteRange::try_from((7, 3)).is_err());
    }

    #[test]
    fn a_range_past_the_end_of_numbers_is_refused() {
        assert_eq!(ByteRange::at(u64::MAX, 1), None);
    }

    #[test]
    fn hull_ignores_the_empty_range() {
        let r = ByteRange::new(5, 9);
        assert_eq!(r.hull(ByteRange::default()), r);
        assert_eq!(ByteRange::default().hull(r), r);
    }
}
