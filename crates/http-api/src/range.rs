//! The `Range` field (RFC 9110 section 14.2) as a value: which bytes of a file of known length.

use byte_source::ByteRange;

use crate::limits::RANGES_MAX;

/// What a `Range` field asks of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Everything: no field, an unknown unit, a malformed or an abusive one. RFC 9110: such a field is ignored.
    Whole,
    /// These bytes, at least one range, each within the file and not empty, none overlapping another.
    Ranges(Vec<ByteRange>),
    /// Well-formed, but no byte of it exists: 416.
    Unsatisfiable,
}

/// Reads a `Range` field against a file of `len` bytes.
///
/// Overlapping ranges are merged, in the order of the file; others keep the order of asking.
#[must_use]
pub fn parse_range(field: &str, len: u64) -> Asked {
    let Some((unit, set)) = field.split_once('=') else { return Asked::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Asked::Whole;
    }
    let mut ranges = Vec::new();
    let mut specs = 0;
    for spec in set.split(',').map(|s| s.trim_matches([' ', '\t'])).filter(|s| !s.is_empty()) {
        specs += 1;
        if specs > RANGES_MAX {
            return Asked::Whole;
        }
        match parse_spec(spec, len) {
            None => return Asked::Whole,
            Some(range) if range.is_empty() => {}
            Some(range) => ranges.push(range),
        }
    }
    if specs == 0 {
        return Asked::Whole;
    }
    if ranges.is_empty() {
        return Asked::Unsatisfiable;
    }
    Asked::Ranges(without_overlap(ranges))
}

/// One range; empty if no byte of it exists, `None` if malformed.
fn parse_spec(spec: &str, len: u64) -> Option<ByteRange> {
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        let suffix = parse_number(last)?;
        return Some(ByteRange::new(len.saturating_sub(suffix), len));
    }
    let start = parse_number(first)?;
    let end = match last {
        "" => len,
        last => {
            let last = parse_number(last)?;
            if last < start {
                return None;
            }
            last.saturating_add(1).min(len)
        }
    };
    Some(ByteRange::new(start.min(len), end))
}

/// Digits only; a number past 64 bits is as good as infinity.
fn parse_number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

fn without_overlap(ranges: Vec<ByteRange>) -> Vec<ByteRange> {
    let mut sorted = ranges.clone();
    sorted.sort();
    let overlaps = sorted.windows(2).any(|pair| matches!(pair, [a, b] if b.start() < a.end()));
    if !overlaps {
        return ranges;
    }
    let mut merged: Vec<ByteRange> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start() <= last.end() => *last = last.hull(range),
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(pairs: &[(u64, u64)]) -> Asked {
        Asked::Ranges(pairs.iter().map(|(a, b)| ByteRange::new(*a, *b)).collect())
    }

    #[test]
    fn the_forms_of_the_rfc() {
        for (field, expected) in [
            ("bytes=0-499", ranges(&[(0, 500)])),
            ("bytes=500-999", ranges(&[(500, 1000)])),
            ("bytes=9500-", ranges(&[(9500, 10_000)])),
            ("bytes=-500", ranges(&[(9500, 10_000)])),
            ("bytes=-20000", ranges(&[(0, 10_000)])),
            ("bytes=0-0,-1", ranges(&[(0, 1), (9999, 10_000)])),
            ("bytes=500-600,601-999", ranges(&[(500, 601), (601, 1000)])),
            ("bytes=500-700,601-999", ranges(&[(500, 1000)])),
            ("bytes=900-, 0-99", ranges(&[(900, 10_000), (0, 100)])),
            ("bytes= 0-9 ,\t20-29,", ranges(&[(0, 10), (20, 30)])),
            ("BYTES=0-9", ranges(&[(0, 10)])),
            ("bytes=9999-999999999999999999999999", ranges(&[(9999, 10_000)])),
            ("bytes=10000-", Asked::Unsatisfiable),
            ("bytes=-0", Asked::Unsatisfiable),
            ("bytes=99999999999999999999-", Asked::Unsatisfiable),
            ("bytes=10000-,20000-", Asked::Unsatisfiable),
            ("bytes=10000-,0-9", ranges(&[(0, 10)])),
        ] {
            assert_eq!(parse_range(field, 10_000), expected, "{field}");
        }
    }

    #[test]
    fn what_is_malformed_is_ignored() {
        for field in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=abc",
            "bytes=5-4",
            "bytes=0-9,x",
            "bytes=+1-2",
            "bytes=1-+2",
            "bytes=0x1-2",
            "items=0-9",
            "bytes 0-9",
            "bytes=--5",
            "bytes=1-2-3",
            "bytes=٣-٤",
        ] {
            assert_eq!(parse_range(field, 10_000), Asked::Whole, "{field}");
        }
    }

    #[test]
    fn too_many_ranges_are_the_whole_file() {
        let many = (0..=RANGES_MAX).map(|i| format!("{0}-{0}", i * 2)).collect::<Vec<_>>().join(",");
        assert_eq!(parse_range(&format!("bytes={many}"), 10_000), Asked::Whole);
    }

    #[test]
    fn an_empty_file_satisfies_nothing() {
        assert_eq!(parse_range("bytes=0-", 0), Asked::Unsatisfiable);
        assert_eq!(parse_range("bytes=-5", 0), Asked::Unsatisfiable);
    }

    proptest! {
        #[test]
        fn whatever_comes_ranges_lie_inside_and_apart(field in "(bytes=)?[0-9,\\- ]{0,40}", len in 0_u64..2_000) {
            if let Asked::Ranges(ranges) = parse_range(&field, len) {
                prop_assert!(!ranges.is_empty() && ranges.len() <= RANGES_MAX);
                let mut covered = vec![false; usize::try_from(len).unwrap()];
                for range in ranges {
                    prop_assert!(!range.is_empty() && range.end() <= len);
                    for at in range.start()..range.end() {
                        let cell = &mut covered[usize::try_from(at).unwrap()];
                        prop_assert!(!*cell, "byte {} is asked twice", at);
                        *cell = true;
                    }
                }
            }
        }

        #[test]
        fn no_field_makes_it_panic(field in "\\PC{0,60}", len: u64) {
            let _ = parse_range(&field, len);
        }

        #[test]
        fn a_plain_range_is_read_back(start in 0_u64..1_000, more in 1_u64..1_000) {
            let asked = parse_range(&format!("bytes={start}-{}", start + more - 1), u64::MAX);
            prop_assert_eq!(asked, Asked::Ranges(vec![ByteRange::new(start, start + more)]));
        }
    }
}
