//! Where the segments of transcoded video begin: at every boundary of the cut video, and in long GOPs between.

use container::{Index, Timescale};

use crate::{
    Planned, SegmentPlan, TrackPlan,
    plan::{Clock, first_tick_at_or_after},
};

/// A segment of transcoded video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// As it is listed. Its pictures are those with `start <= time < start + duration`, and the first one is an IDR
    /// picture.
    pub segment: SegmentPlan,
    /// The segments of the cut video that are decoded for it, half-open: from one that a decoder can start at.
    pub source: (u32, u32),
}

/// A segment of the cut video that lasts longer is split, milliseconds.
const SPLIT_OVER_MS: i64 = 6_000;
/// What its parts aim at, milliseconds.
const PART_MS: i64 = 4_000;
/// The parts that the very first segment begins with, so that playing starts soon, milliseconds.
const OPENING_MS: [i64; 2] = [1_000, 2_000];
/// What has to be left after an opening part, milliseconds.
const OPENING_REST_MS: i64 = 2_000;
/// Where times of pictures are not known before they are read, parts may be empty if there are fewer pictures a second.
const PICTURES_PER_SECOND_MIN: u32 = 5;

/// The stretches of the reference track.
pub(crate) fn of(planned: &Planned, plan: &TrackPlan) -> Vec<Stretch> {
    let mut stretches = Vec::with_capacity(plan.segments.len());
    for (n, segment) in (0u32..).zip(&plan.segments) {
        // What refers to pictures before its keyframe needs those decoded first.
        let from = if segment.independent { n } else { n.saturating_sub(1) };
        let start = i64::try_from(segment.start).unwrap_or(i64::MAX);
        let end = start.saturating_add(i64::try_from(segment.duration).unwrap_or(i64::MAX));
        let mut edges = vec![start];
        edges.extend(snapped(planned, plan, segment, &aims(start, end, n == 0, plan.timescale), end));
        edges.push(end);
        for pair in edges.windows(2) {
            stretches.push(Stretch {
                segment: SegmentPlan {
                    start: u64::try_from(pair[0]).unwrap_or(0),
                    duration: u64::try_from(pair[1].saturating_sub(pair[0])).unwrap_or(0),
                    intervals: segment.intervals,
                    samples: (0, 0),
                    payload_bytes: 0,
                    independent: true,
                },
                source: (from, n + 1),
            });
        }
    }
    stretches
}

/// Where parts of a segment should begin, beside its own beginning.
fn aims(start: i64, end: i64, opening: bool, clock: Timescale) -> Vec<i64> {
    let ticks = |ms: i64| Timescale::MILLIS.rescale(ms, clock);
    let mut aims = Vec::new();
    let mut at = start;
    if opening {
        for part in OPENING_MS {
            let next = at.saturating_add(ticks(part));
            if end.saturating_sub(next) < ticks(OPENING_REST_MS) {
                break;
            }
            aims.push(next);
            at = next;
        }
    }
    let left = end.saturating_sub(at);
    if left > ticks(SPLIT_OVER_MS) {
        let part = ticks(PART_MS).max(1);
        let parts = left.saturating_add(part / 2) / part;
        aims.extend((1..parts).map(|k| {
            let offset = i128::from(left) * i128::from(k) / i128::from(parts);
            at.saturating_add(i64::try_from(offset).unwrap_or(0))
        }));
    }
    aims
}

/// The pictures' times nearest after these.
fn snapped(planned: &Planned, plan: &TrackPlan, segment: &SegmentPlan, aims: &[i64], end: i64) -> Vec<i64> {
    if aims.is_empty() {
        return Vec::new();
    }
    let mut shown = Vec::new();
    if matches!(planned.movie.index, Index::Mp4(_))
        && let Some(view) = planned.table(plan.track)
    {
        shown.extend((segment.samples.0..segment.samples.1).map(|n| view.pts(n)));
        shown.sort_unstable();
    } else if matches!(plan.clock, Clock::Stored)
        && plan.frame_rate.is_none_or(|r| r.num / r.den.max(1) < PICTURES_PER_SECOND_MIN)
    {
        return Vec::new();
    }
    let mut last = i64::try_from(segment.start).unwrap_or(i64::MAX);
    let mut edges = Vec::with_capacity(aims.len());
    for aim in aims {
        let edge = match plan.clock {
            Clock::Table { .. } => shown.get(shown.partition_point(|pts| pts < aim)).copied(),
            Clock::Grid { .. } => Some(first_tick_at_or_after(plan, plan.timescale, *aim)),
            Clock::Stored => Some(*aim),
        };
        if let Some(edge) = edge.filter(|edge| *edge > last && *edge < end) {
            edges.push(edge);
            last = edge;
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(seconds: f64, opening: bool) -> Vec<f64> {
        #[expect(clippy::cast_possible_truncation, reason = "seconds of a test")]
        let end = 7_000 + (seconds * 1_000.0) as i64;
        let mut edges = vec![7_000];
        edges.extend(aims(7_000, end, opening, Timescale::MILLIS));
        edges.push(end);
        edges.windows(2).map(|w| Timescale::MILLIS.seconds(w[1] - w[0])).collect()
    }

    #[test]
    fn what_is_short_enough_stays_whole() {
        assert_eq!(parts(6.0, false), [6.0]);
        assert_eq!(parts(2.5, true), [2.5]);
    }

    #[test]
    fn a_gop_of_a_minute_becomes_parts_of_four_seconds() {
        assert_eq!(parts(60.0, false), [4.0; 15]);
        assert_eq!(parts(6.2, false), [3.1, 3.1]);
    }

    #[test]
    fn the_first_segment_opens_short() {
        assert_eq!(parts(3.5, true), [1.0, 2.5]);
        assert_eq!(parts(5.0, true), [1.0, 2.0, 2.0]);
        assert_eq!(parts(11.0, true), [1.0, 2.0, 4.0, 4.0]);
    }

    proptest! {
        #[test]
        fn parts_are_neither_scraps_nor_long(ms in 1i64..400_000, opening in any::<bool>()) {
            let mut edges = vec![0];
            edges.extend(aims(0, ms, opening, Timescale::MILLIS));
            edges.push(ms);
            let lengths: Vec<i64> = edges.windows(2).map(|w| w[1] - w[0]).collect();
            prop_assert_eq!(lengths.iter().sum::<i64>(), ms);
            prop_assert!(lengths.iter().all(|l| *l <= 6_000));
            prop_assert!(lengths.len() == 1 || lengths.iter().all(|l| *l >= 1_000));
        }
    }
}
