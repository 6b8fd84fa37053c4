//! Cutting a Matroska file: the clusters between two boundaries are walked, and a little more on either side where
//! tracks are interleaved unevenly.
//!
//! Video is a run of blocks from one keyframe to the next; audio is what falls between two times, so that its segments
//! join without a gap or a frame twice wherever its blocks lie.

use byte_source::ByteRange;
use container::{ContainerError, Format, TrackKind, codec::RandomAccess};

use super::{
    CutTrack,
    rank::{Found, rank},
};
use crate::{
    Planned, RenditionId, SegmentPlan, limits,
    plan::{Clock, first_tick_at_or_after},
    script::Asker,
    walk::{Seen, Walk},
};

/// What is being gathered for one track.
struct Gather {
    track: usize,
    clock: Clock,
    shift: i64,
    timescale: container::Timescale,
    /// Planned start and end, ticks of our time.
    start: i64,
    end: i64,
    found: Vec<Found>,
    kind: Kind,
    done: bool,
}

enum Kind {
    /// From the block of this time (ns) in or after this cluster to the one of the next key.
    Run { from: (i64, u64), to: Option<(i64, u64)>, begun: bool, single: bool },
    /// Frames with `from <= time < to`.
    Span { from: i64, to: i64, first_seen: Option<i64>, next: Option<i64> },
}

/// Cuts a segment of `track`, with another track muxed in over the given intervals.
pub(crate) async fn cut(
    ask: &Asker,
    planned: &Planned,
    rendition: RenditionId,
    track: usize,
    segment: &SegmentPlan,
    beside: Option<(usize, (u32, u32))>,
) -> Result<Vec<CutTrack>, ContainerError> {
    let mut gathers = Vec::new();
    gathers.extend(Gather::own(planned, rendition, track, segment));
    gathers.extend(beside.and_then(|(t, around)| Gather::beside(planned, t, around)));
    let intervals = beside.map_or(segment.intervals, |(_, around)| around);
    let run = gathers.iter().any(|g| matches!(g.kind, Kind::Run { .. }));
    walk_intervals(ask, planned, intervals, run, &mut gathers).await?;
    walk_ahead(ask, planned, intervals.1, &mut gathers).await?;
    for gather in &mut gathers {
        walk_back(ask, planned, intervals.0, gather).await?;
    }
    gathers.into_iter().map(|g| g.finish(planned)).collect()
}

/// The clusters of the intervals themselves: read whole where that is little and the payload is wanted anyway.
async fn walk_intervals(
    ask: &Asker,
    planned: &Planned,
    intervals: (u32, u32),
    payload: bool,
    gathers: &mut [Gather],
) -> Result<(), ContainerError> {
    let range = clusters_of(planned, intervals);
    let whole = payload && range.len() <= limits::WHOLE_SEGMENT_BYTES_MAX;
    let tracks: Vec<usize> = gathers.iter().map(|g| g.track).collect();
    let mut walk = match (whole, payload) {
        (true, _) => Walk::whole(&planned.movie, range, tracks),
        (false, true) => Walk::hop(&planned.movie, range),
        (false, false) => Walk::small(&planned.movie, range, tracks),
    };
    while let Some(seen) = walk.next(ask).await? {
        offer(gathers, &seen)?;
        if gathers.iter().all(|g| g.done) {
            break;
        }
    }
    Ok(())
}

/// From the following interval's cluster on, for pictures before its keyframe and audio stored late.
async fn walk_ahead(
    ask: &Asker,
    planned: &Planned,
    next: u32,
    gathers: &mut [Gather],
) -> Result<(), ContainerError> {
    let Some(interval) = planned.plan.intervals.get(next as usize) else { return Ok(()) };
    let from = interval.place;
    // A keyframe right behind the cluster's timestamp has nothing before it; nor has what follows the pictures' end.
    if interval.relative.is_some_and(|r| r <= TIMESTAMP_BYTES_MAX) || interval.kind == RandomAccess::No {
        for gather in gathers.iter_mut() {
            gather.done |= matches!(gather.kind, Kind::Run { begun: true, .. });
        }
    }
    if gathers.iter().all(|g| g.done) {
        return Ok(());
    }
    let end = planned.clusters().end().min(from.saturating_add(limits::SPILL_AHEAD_BYTES));
    let range = ByteRange::new(from, end);
    // Heads only: a few frames are taken, the next keyframe is large, and what is read for a window is read in vain.
    let mut walk = Walk::hop(&planned.movie, range);
    for _ in 0..limits::SPILL_AHEAD_BLOCKS {
        let Some(seen) = walk.next(ask).await? else { break };
        offer(gathers, &seen)?;
        if gathers.iter().all(|g| g.done) {
            break;
        }
    }
    Ok(())
}

/// Identifier, size and eight bytes of a cluster's timestamp.
const TIMESTAMP_BYTES_MAX: u64 = 10;

/// The intervals before, for audio that is stored earlier than the video it goes with.
async fn walk_back(
    ask: &Asker,
    planned: &Planned,
    first: u32,
    gather: &mut Gather,
) -> Result<(), ContainerError> {
    for back in 1..=u32::try_from(limits::SPILL_BACK_SEGMENTS).unwrap_or(1) {
        let Some(before) = first.checked_sub(back).filter(|_| gather.misses_beginning()) else { break };
        let later = std::mem::take(&mut gather.found);
        gather.begin_again(later.first().map(|f| f.pts));
        let range = clusters_of(planned, (before, before + 1));
        let mut walk = Walk::small(&planned.movie, range, vec![gather.track]);
        while let Some(seen) = walk.next(ask).await? {
            gather.offer(&seen)?;
        }
        gather.found.extend(later);
    }
    Ok(())
}

/// From the cluster of the first interval's keyframe (of the first of all: from the first cluster) to that of the
/// following one's.
pub(crate) fn clusters_of(planned: &Planned, intervals: (u32, u32)) -> ByteRange {
    let all = planned.clusters();
    let place = |n: u32| planned.plan.intervals.get(n as usize).map(|i| i.place);
    let start = if intervals.0 == 0 { all.start() } else { place(intervals.0).unwrap_or(all.end()) };
    ByteRange::new(start, place(intervals.1).unwrap_or(all.end()))
}

fn offer(gathers: &mut [Gather], seen: &Seen) -> Result<(), ContainerError> {
    for gather in gathers.iter_mut().filter(|g| g.track == seen.track && !g.done) {
        gather.offer(seen)?;
    }
    Ok(())
}

impl Gather {
    /// The rendition's own segment.
    fn own(planned: &Planned, rendition: RenditionId, track: usize, segment: &SegmentPlan) -> Option<Self> {
        let start = i64::try_from(segment.start).ok()?;
        let end = start.saturating_add(i64::try_from(segment.duration).ok()?);
        let video = planned.movie.tracks.get(track)?.kind == TrackKind::Video;
        let kind = if video {
            let key = |n: u32| planned.plan.intervals.get(n as usize).map(|i| (i.key, i.place));
            let single = rendition == RenditionId::IFrames;
            Kind::Run { from: key(segment.intervals.0)?, to: key(segment.intervals.1), begun: false, single }
        } else {
            let last = planned.plan.track(track)?.segments.last()?;
            let to = if last.start == segment.start { i64::MAX } else { end };
            let from = if segment.intervals.0 == 0 { i64::MIN } else { start };
            Kind::Span { from, to, first_seen: None, next: None }
        };
        Self::new(planned, track, start, end, kind)
    }

    /// Audio that goes with intervals that are not its own segments'.
    fn beside(planned: &Planned, track: usize, intervals: (u32, u32)) -> Option<Self> {
        let plan = planned.plan.track(track)?;
        let (first, last) = (plan.segments.first()?, plan.segments.last()?);
        let end = i64::try_from(last.start.saturating_add(last.duration)).ok()?;
        let begin = i64::try_from(first.start).ok()?;
        let edge = |n: u32| match planned.plan.intervals.get(n as usize) {
            Some(_) if n == 0 => begin,
            Some(i) => first_tick_at_or_after(plan, planned.plan.clock, i.start).clamp(begin, end),
            None => end,
        };
        let (start, stop) = (edge(intervals.0), edge(intervals.1));
        if start >= stop {
            return None;
        }
        let to = if stop == end { i64::MAX } else { stop };
        let from = if start == begin { i64::MIN } else { start };
        Self::new(planned, track, start, stop, Kind::Span { from, to, first_seen: None, next: None })
    }

    fn new(planned: &Planned, track: usize, start: i64, end: i64, kind: Kind) -> Option<Self> {
        let plan = planned.plan.track(track)?;
        Some(Self {
            track,
            clock: plan.clock,
            shift: plan.shift,
            timescale: plan.timescale,
            start,
            end,
            found: Vec::new(),
            kind,
            done: false,
        })
    }

    fn offer(&mut self, seen: &Seen) -> Result<(), ContainerError> {
        if seen.track != self.track || self.done {
            return Ok(());
        }
        let pts = seen.ticks(self.clock, self.timescale).saturating_add(self.shift);
        let take = match &mut self.kind {
            Kind::Run { from, to, begun, single } => {
                *begun |= seen.ns == from.0 && seen.cluster >= from.1;
                self.done = to.is_some_and(|to| seen.ns == to.0 && seen.cluster >= to.1)
                    || (*single && !self.found.is_empty());
                *begun && !self.done
            }
            Kind::Span { from, to, first_seen, next } => {
                first_seen.get_or_insert(pts);
                if pts >= *to {
                    self.done = true;
                    *next = Some(pts);
                }
                let take = pts >= *from && !self.done;
                // On a grid the last frame is known by its time: no need to look for the one behind it.
                self.done |= self.clock.frame().is_some_and(|f| pts.saturating_add(i64::from(f)) >= self.end);
                take
            }
        };
        if take {
            if self.found.len() >= limits::SEGMENT_SAMPLES_MAX {
                return Err(ContainerError::limit(
                    Format::Matroska,
                    seen.element,
                    "the number of samples in a segment",
                    self.found.len() as u64 + 1,
                    limits::SEGMENT_SAMPLES_MAX as u64,
                ));
            }
            let sync = seen.sync || self.found.is_empty();
            self.found.push(Found { pts, sync, bytes: seen.bytes, data: seen.data.clone() });
        }
        Ok(())
    }

    /// Whether frames of the beginning may lie in the interval before: none was met that is old enough.
    fn misses_beginning(&self) -> bool {
        match &self.kind {
            Kind::Run { .. } => false,
            Kind::Span { from, first_seen, .. } => {
                *from != i64::MIN && first_seen.is_none_or(|first| first > self.start)
            }
        }
    }

    /// Prepares for a walk over what lies before the frames found so far.
    fn begin_again(&mut self, found_from: Option<i64>) {
        self.done = false;
        if let Kind::Span { to, first_seen, .. } = &mut self.kind {
            *first_seen = None;
            *to = found_from.unwrap_or(*to).min(*to);
        }
    }

    fn finish(self, planned: &Planned) -> Result<CutTrack, ContainerError> {
        let (mut start, mut end) = (self.start, self.end);
        if let (Clock::Stored, Kind::Span { next, .. }, Some(first)) =
            (self.clock, &self.kind, self.found.first())
        {
            // Without a grid only the frames themselves tell where the segment begins and ends.
            start = first.pts;
            end = next.unwrap_or(end).max(start + 1);
        }
        if self.found.is_empty() {
            let what = format!("track {} has no frame from tick {} to {}", self.track, self.start, self.end);
            return Err(ContainerError::malformed(Format::Matroska, 0, what));
        }
        let prefix = planned.movie.tracks.get(self.track).map(|t| t.strip_prefix.clone());
        Ok(CutTrack {
            track: self.track,
            base_time: u64::try_from(start).unwrap_or(0),
            timescale: self.timescale,
            samples: rank(self.found, start, end),
            prefix: prefix.unwrap_or_default(),
        })
    }
}
