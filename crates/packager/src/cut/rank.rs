//! Decode times by rank: the presentation times of a segment, sorted.
//!
//! So the first decode time is the smallest presentation time, the chain from segment to segment is exact, and nothing
//! depends on a neighbour. Presentation times stay what they are; composition offsets are signed.

use byte_source::ByteRange;
use bytes::Bytes;

use super::CutSample;

/// A sample found for a segment, before it has a decode time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Presentation time, ticks of our time.
    pub(crate) pts: i64,
    /// Decoding can start here.
    pub(crate) sync: bool,
    /// Where its payload lies.
    pub(crate) bytes: ByteRange,
    /// The payload, where it was in hand.
    pub(crate) data: Option<Bytes>,
}

/// Gives samples in decode order their decode times and durations, from `start` to `end` of the segment as planned.
/// A presentation time outside of that is kept; the decode times are what gives way.
pub(crate) fn rank(found: Vec<Found>, start: i64, end: i64) -> Vec<CutSample> {
    let mut dts: Vec<i64> = found.iter().map(|f| f.pts).collect();
    dts.sort_unstable();
    let mut least = start;
    for (n, time) in dts.iter_mut().enumerate() {
        *time = if n == 0 { start } else { (*time).max(least) };
        least = time.saturating_add(1);
    }
    // From the end: every sample lasts a tick at least, where there are enough ticks for that.
    let mut most = end;
    for time in dts.iter_mut().skip(1).rev() {
        most = most.saturating_sub(1);
        *time = (*time).min(most).max(start);
        most = *time;
    }
    let ends: Vec<i64> = dts.iter().skip(1).copied().chain([end]).collect();
    found
        .into_iter()
        .zip(dts.into_iter().zip(ends))
        .map(|(f, (dts, next))| CutSample {
            pts: f.pts,
            dts,
            duration: u32::try_from(next.saturating_sub(dts).max(0)).unwrap_or(u32::MAX),
            sync: f.sync,
            bytes: f.bytes,
            data: f.data,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(pts: &[i64]) -> Vec<Found> {
        pts.iter()
            .map(|pts| Found { pts: *pts, sync: false, bytes: ByteRange::default(), data: None })
            .collect()
    }

    fn dts(pts: &[i64], start: i64, end: i64) -> Vec<(i64, u32)> {
        rank(found(pts), start, end).iter().map(|s| (s.dts, s.duration)).collect()
    }

    #[test]
    fn decode_times_are_the_sorted_presentation_times() {
        assert_eq!(dts(&[0, 30, 10, 20], 0, 40), [(0, 10), (10, 10), (20, 10), (30, 10)]);
    }

    #[test]
    fn the_last_sample_lasts_to_the_planned_end() {
        assert_eq!(dts(&[100, 110], 100, 133), [(100, 10), (110, 23)]);
    }

    #[test]
    fn an_outlier_keeps_its_presentation_time_and_the_chain_holds() {
        assert_eq!(dts(&[100, 90, 250], 95, 120), [(95, 5), (100, 19), (119, 1)]);
    }

    proptest! {
        #[test]
        fn durations_add_up_to_the_segment(
            pts in prop::collection::vec(-50i64..500, 1..60),
            start in 0i64..100,
            len in 60i64..400,
        ) {
            let samples = rank(found(&pts), start, start + len);
            prop_assert_eq!(samples[0].dts, start);
            prop_assert_eq!(samples.iter().map(|s| i64::from(s.duration)).sum::<i64>(), len);
            for (n, sample) in samples.iter().enumerate() {
                prop_assert!(sample.duration > 0);
                prop_assert_eq!(sample.pts, pts[n]);
                if let Some(next) = samples.get(n + 1) {
                    prop_assert_eq!(sample.dts + i64::from(sample.duration), next.dts);
                }
            }
        }
    }
}
