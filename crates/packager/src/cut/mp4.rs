//! Cutting an MP4: the tables answer, nothing is read.

use container::TrackKind;

use super::{CutTrack, rank::Found, rank::rank};
use crate::{Planned, RenditionId, SegmentPlan, plan::TableView, plan::first_at_or_after};

/// The samples of a planned segment of `track`.
pub(crate) fn own(
    planned: &Planned,
    rendition: RenditionId,
    track: usize,
    segment: &SegmentPlan,
) -> Option<CutTrack> {
    let view = planned.table(track)?;
    let (from, mut to) = segment.samples;
    if rendition == RenditionId::IFrames {
        to = to.min(from + 1);
    }
    let start = i64::try_from(segment.start).ok()?;
    let end = start.saturating_add(i64::try_from(segment.duration).ok()?);
    Some(cut(planned, track, &view, (from, to), start, end))
}

/// The samples of another track that go with these intervals, whatever its own segments are: for muxing.
pub(crate) fn beside(planned: &Planned, track: usize, intervals: (u32, u32)) -> Option<CutTrack> {
    let view = planned.table(track)?;
    let plan = planned.plan.track(track)?;
    let (first, last) = (plan.segments.first()?, plan.segments.last()?);
    let all = (first.samples.0, last.samples.1);
    let edge = |n: u32| match planned.plan.intervals.get(n as usize) {
        _ if n == 0 => all.0,
        Some(i) => {
            first_at_or_after(all.0, all.1, i.start, planned.plan.clock, plan.timescale, |n| view.pts(n))
        }
        None => all.1,
    };
    let (from, to) = (edge(intervals.0), edge(intervals.1));
    let end = if to < all.1 { view.pts(to) } else { view.end(all.1.saturating_sub(1)) };
    Some(cut(planned, track, &view, (from, to), view.pts(from), end))
}

fn cut(
    planned: &Planned,
    track: usize,
    view: &TableView<'_>,
    samples: (u32, u32),
    start: i64,
    end: i64,
) -> CutTrack {
    let info = planned.movie.tracks.get(track);
    let audio = info.is_some_and(|t| t.kind == TrackKind::Audio);
    let found = (samples.0..samples.1)
        .filter_map(|n| {
            let sample = view.get(n)?;
            let sync = audio || sample.sync || sample.random_access;
            Some(Found { pts: view.pts(n), sync, bytes: view.bytes(n), data: None })
        })
        .collect();
    CutTrack {
        track,
        base_time: u64::try_from(start).unwrap_or(0),
        timescale: planned.plan.track(track).map_or(planned.plan.clock, |t| t.timescale),
        samples: rank(found, start, end),
        prefix: info.map(|t| t.strip_prefix.clone()).unwrap_or_default(),
    }
}
