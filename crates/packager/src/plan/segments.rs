//! From boundaries to the segments of one track: runs of samples, none empty, none a scrap.

use container::Timescale;

use super::{Clock, Interval, PlanOptions, SegmentPlan, TrackPlan, boundaries::ticks};

/// What a track has in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Decode time of its first sample, ticks of the track in our time; `None` if it has nothing here.
    pub(crate) start: Option<i64>,
    /// Samples of the table, half-open.
    pub(crate) samples: (u32, u32),
    /// Bytes of payload.
    pub(crate) bytes: u64,
    /// Decodes by itself.
    pub(crate) independent: bool,
}

/// Turns the pieces of all intervals into segments that end at `end`. An empty piece goes with the following one,
/// those at the end with none; a last segment under the tail limit goes into the one before. Where times run
/// backwards (fragments of a damaged file), what begins no later than its predecessor goes with it, so that segments join.
pub(crate) fn from_pieces(
    pieces: &[Piece],
    end: i64,
    timescale: Timescale,
    options: &PlanOptions,
) -> Vec<SegmentPlan> {
    let mut segments: Vec<SegmentPlan> = Vec::with_capacity(pieces.len());
    let mut from = 0;
    for (n, piece) in (0u32..).zip(pieces) {
        let Some(start) = piece.start else { continue };
        segments.push(SegmentPlan {
            start: u64::try_from(start).unwrap_or(0),
            duration: 0,
            intervals: (from, n + 1),
            samples: piece.samples,
            payload_bytes: piece.bytes,
            independent: piece.independent,
        });
        from = n + 1;
        while let [.., before, last] = segments.as_mut_slice()
            && last.start <= before.start
        {
            before.start = last.start;
            take_in(before, *last);
            segments.pop();
        }
    }
    let end = u64::try_from(end).unwrap_or(0);
    fold_tail(&mut segments, end, u64::try_from(ticks(options.tail_ms, timescale)).unwrap_or(0));
    let starts: Vec<u64> = segments.iter().skip(1).map(|s| s.start).chain([end]).collect();
    for (segment, next) in segments.iter_mut().zip(starts) {
        segment.duration = next.saturating_sub(segment.start);
    }
    segments
}

fn fold_tail(segments: &mut Vec<SegmentPlan>, end: u64, tail: u64) {
    while let [.., before, last] = segments.as_mut_slice() {
        if end.saturating_sub(last.start) >= tail {
            return;
        }
        take_in(before, *last);
        segments.pop();
    }
}

/// Makes one segment of two that follow each other.
fn take_in(before: &mut SegmentPlan, last: SegmentPlan) {
    before.intervals.1 = last.intervals.1;
    before.samples.1 = last.samples.1.max(before.samples.1);
    before.payload_bytes = before.payload_bytes.saturating_add(last.payload_bytes);
}

/// The pieces of a track that is all there, frame by frame: audio on a grid, or a table in order of time. Assigns
/// frames by presentation time: the first frame at or after a boundary begins that boundary's piece.
pub(crate) fn pieces_by_time(
    intervals: &[Interval],
    clock: Timescale,
    timescale: Timescale,
    frames: std::ops::Range<u32>,
    time: impl Fn(u32) -> i64,
    mut bytes: impl FnMut(u32, u32) -> u64,
) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(intervals.len());
    let mut at = frames.start;
    for n in 0..intervals.len() {
        let to = match intervals.get(n + 1) {
            Some(next) => first_at_or_after(at, frames.end, next.start, clock, timescale, &time),
            None => frames.end,
        };
        pieces.push(Piece {
            start: (at < to).then(|| time(at)),
            samples: (at, to),
            bytes: if at < to { bytes(at, to) } else { 0 },
            independent: true,
        });
        at = to;
    }
    pieces
}

/// The first frame in `from..to` that is not before `boundary`: an exact comparison of two fractions of a second.
pub(crate) fn first_at_or_after(
    from: u32,
    to: u32,
    boundary: i64,
    clock: Timescale,
    timescale: Timescale,
    time: impl Fn(u32) -> i64,
) -> u32 {
    let edge = clock.rescale_ceil(boundary, timescale);
    let (mut low, mut high) = (from, to);
    while low < high {
        let middle = low + (high - low) / 2;
        if time(middle) < edge { low = middle + 1 } else { high = middle }
    }
    low
}

/// The first tick at or after a boundary (of our time, in `clock`) at which a track's frame may begin: on its grid, if
/// it has one.
pub(crate) fn first_tick_at_or_after(plan: &TrackPlan, clock: Timescale, boundary: i64) -> i64 {
    let edge = clock.rescale_ceil(boundary, plan.timescale);
    let Clock::Grid { first, frame } = plan.clock else { return edge };
    let (zero, frame) = (first.saturating_add(plan.shift), i64::from(frame.max(1)));
    let n = -zero.saturating_sub(edge).div_euclid(frame);
    zero.saturating_add(n.saturating_mul(frame))
}

/// One piece for each interval, whatever is in it: subtitles, which are silent most of the time.
pub(crate) fn pieces_of_intervals(
    intervals: &[Interval],
    clock: Timescale,
    timescale: Timescale,
) -> Vec<Piece> {
    let start = |n: usize, i: &Interval| if n == 0 { 0 } else { clock.rescale(i.start, timescale) };
    intervals
        .iter()
        .enumerate()
        .map(|(n, i)| Piece { start: Some(start(n, i)), independent: true, ..Piece::default() })
        .collect()
}

#[cfg(test)]
mod tests {
    use container::codec::RandomAccess;
    use proptest::prelude::*;

    use super::*;

    fn intervals(starts: &[i64]) -> Vec<Interval> {
        starts
            .iter()
            .map(|start| Interval {
                start: *start,
                key: *start,
                place: 0,
                relative: None,
                kind: RandomAccess::Clean,
            })
            .collect()
    }

    fn audio(starts: &[i64], first: i64, count: u32) -> Vec<SegmentPlan> {
        let rate = Timescale::new(48_000).unwrap();
        let time = |n: u32| first + i64::from(n) * 1024;
        let pieces = pieces_by_time(&intervals(starts), Timescale::MILLIS, rate, 0..count, time, |a, b| {
            u64::from(b - a)
        });
        from_pieces(&pieces, time(count), rate, &PlanOptions::default())
    }

    #[test]
    fn audio_begins_at_the_first_frame_at_or_after_the_boundary() {
        let segments = audio(&[0, 5_000, 10_000], 0, 700);
        // 5 s is frame 234.375, 10 s is 468.75.
        assert_eq!(
            segments.iter().map(|s| s.samples).collect::<Vec<_>>(),
            [(0, 235), (235, 469), (469, 700)]
        );
        assert_eq!(segments[1].start, 235 * 1024);
    }

    #[test]
    fn late_audio_begins_with_the_interval_it_is_first_heard_in() {
        let segments = audio(&[0, 5_000, 10_000], 48_000 * 7, 400);
        assert_eq!(segments[0].intervals, (0, 2));
        assert_eq!(segments[0].start, 48_000 * 7);
        assert_eq!(segments[1].intervals, (2, 3));
    }

    #[test]
    fn audio_that_ends_early_has_fewer_segments() {
        let segments = audio(&[0, 5_000, 10_000, 15_000], 0, 300);
        assert_eq!(segments.len(), 2);
        assert_eq!(segments[1].intervals, (1, 2));
    }

    #[test]
    fn a_scrap_of_audio_after_the_last_boundary_is_folded() {
        let segments = audio(&[0, 5_000], 0, 240);
        assert_eq!(segments.len(), 1);
        assert_eq!(
            (segments[0].samples, segments[0].duration, segments[0].payload_bytes),
            ((0, 240), 240 * 1024, 240)
        );
    }

    #[test]
    fn where_times_run_backwards_segments_still_join() {
        let piece = |start| Piece { start: Some(start), samples: (0, 0), bytes: 1, independent: true };
        let pieces = [0, 90_000, 1 << 50, 180_000, 270_000, 100_000, 360_000].map(piece);
        let scale = Timescale::new(90_000).unwrap();
        let segments = from_pieces(&pieces, 450_000, scale, &PlanOptions::default());
        assert_eq!(segments.iter().map(|s| s.start).collect::<Vec<_>>(), [0, 90_000, 100_000, 360_000]);
        assert!(segments.windows(2).all(|w| w[0].start + w[0].duration == w[1].start));
        assert_eq!(segments.iter().map(|s| s.payload_bytes).sum::<u64>(), 7);
    }

    proptest! {
        #[test]
        fn every_frame_is_in_exactly_one_segment(
            gaps in prop::collection::vec(1i64..9_000, 1..60),
            first in 0i64..2_000_000,
            count in 1u32..3_000,
        ) {
            let starts: Vec<i64> = gaps.iter().scan(0, |t, gap| { let at = *t; *t += gap; Some(at) }).collect();
            let segments = audio(&starts, first, count);
            prop_assert_eq!(segments[0].samples.0, 0);
            prop_assert_eq!(segments.last().unwrap().samples.1, count);
            for w in segments.windows(2) {
                prop_assert_eq!(w[0].samples.1, w[1].samples.0);
                prop_assert_eq!(w[0].intervals.1, w[1].intervals.0);
                prop_assert_eq!(w[0].start + w[0].duration, w[1].start);
            }
            let total: u64 = segments.iter().map(|s| s.duration).sum();
            prop_assert_eq!(total, u64::from(count) * 1024);
        }
    }
}
