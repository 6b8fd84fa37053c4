//! Planning a Matroska file: its Cues, and a few small reads where they are silent or not to be believed.
//!
//! In order: the [first frames](first) of every track, [where keyframes are](keys) and what they are, the
//! [last frames](tail), and from all of them the tracks' [clocks](timing).

use container::{
    ContainerError, Format, Movie, Timescale, TrackKind, codec::RandomAccess, matroska::MatroskaIndex,
};

use self::{
    first::Head,
    keys::{Candidate, Finder, Keys},
    tail::Tail,
    timing::Timing,
};
use super::{
    Interval, KeyframeFacts, PLAN_VERSION, Plan, PlanOptions, Reach, TrackPlan,
    assemble::{self, Zero},
    boundaries::{self, Key},
    segments::{self, Piece},
};
use crate::script::Asker;

mod first;
mod keys;
mod tail;
mod timing;

/// Makes the plan.
pub(crate) async fn plan(
    ask: &Asker,
    movie: &Movie,
    index: &MatroskaIndex,
    options: &PlanOptions,
) -> Result<Plan, ContainerError> {
    let heads = first::look(ask, movie, index).await?;
    let head_of = |n: usize| heads.get(n).and_then(Option::as_ref);
    let reference = assemble::reference(movie, |n| head_of(n).is_some())
        .ok_or_else(|| nothing("a file without video or audio"))?;
    let (Some(track), Some(head)) = (movie.tracks.get(reference), head_of(reference)) else {
        return Err(nothing("a file without video or audio"));
    };
    let keys = Finder { ask, movie, index, options, reference, track }.find(head).await?;
    let last_key = keys.all.iter().map(|k| k.ns).max().unwrap_or(0);
    let told = told_end(movie, options, last_key);
    let timings = timings(ask, movie, index, reference, &heads, &keys, told).await?;
    let timing_of = |n: usize| timings.get(n).and_then(Option::as_ref);
    let main = timing_of(reference).ok_or_else(|| nothing("a file without video or audio"))?;

    let zero = Zero::earliest(timings.iter().flatten().map(|t| (t.first, t.timescale)));
    let clock = main.timescale;
    let shift = zero.shift(clock);
    let end = main.end.saturating_add(shift);
    let last_end = timings
        .iter()
        .flatten()
        .map(|t| t.timescale.rescale(t.end.saturating_add(zero.shift(t.timescale)), clock))
        .fold(end, i64::max);

    let all: Vec<Key> = keys.all.iter().map(|k| key(k, main, shift)).collect();
    let facts = KeyframeFacts {
        count: u64::try_from(all.len()).unwrap_or(u64::MAX),
        longest_gap_ms: assemble::millis(boundaries::longest_gap(&all, end), clock),
        open_gop: keys.open_gop,
        index_rebuilt: keys.rebuilt,
    };
    let usable = boundaries::usable(&all, end, clock, options);
    let mut intervals = assemble::intervals(&usable, end, clock, options);
    let last_place = intervals.last().map_or(0, |i| i.place);
    assemble::beyond(&mut intervals, end, last_end, clock, options, |at| {
        let ns = clock.rescale(at.saturating_sub(shift), NANOS);
        (keys.last_clusters.at(ns).unwrap_or(last_place).max(last_place), None)
    });

    let mut plan = Plan {
        version: PLAN_VERSION,
        file_len: movie.len,
        file_tracks: movie.tracks.len(),
        reference,
        clock,
        intervals,
        end: last_end,
        tracks: Vec::new(),
        keyframes: facts,
        first_frames: timings.iter().flatten().filter_map(|t| t.first_frame.clone()).collect(),
        warnings: warnings(movie, &heads, &keys),
    };
    for n in 0..movie.tracks.len() {
        if let Some(track) = track_plan(movie, index, n, &plan, zero, timing_of(n), head_of(n), options) {
            plan.tracks.push(track);
        }
    }
    Ok(plan)
}

/// The end that the header states, nanoseconds, where only the ends may be read and it is believable: the last frames lie
/// megabytes behind the last keyframe, and each would have to be gone through.
fn told_end(movie: &Movie, options: &PlanOptions, last_key_ns: i64) -> Option<i64> {
    let stated = i64::try_from(movie.stated_duration_ns?).ok()?;
    let behind = stated.checked_sub(last_key_ns)?;
    let most = i64::from(options.target_ms.saturating_mul(4).max(30_000)).saturating_mul(1_000_000);
    (options.reach == Reach::Ends && (1..=most).contains(&behind)).then_some(stated)
}

const NANOS: Timescale = Timescale::new(1_000_000_000).expect("not zero");

fn nothing(what: &'static str) -> ContainerError {
    ContainerError::Unsupported { format: Format::Matroska, offset: 0, what: what.into() }
}

async fn timings(
    ask: &Asker,
    movie: &Movie,
    index: &MatroskaIndex,
    reference: usize,
    heads: &[Option<Head>],
    keys: &Keys,
    told_end: Option<i64>,
) -> Result<Vec<Option<Timing>>, ContainerError> {
    if let Some(end) = told_end {
        let tails = vec![Tail::default(); movie.tracks.len()];
        let mut timings = with_tails(ask, movie, index, reference, heads, keys, &tails).await?;
        for timing in timings.iter_mut().flatten() {
            timing.end = timing.end.max(timing.clock.ticks(end, timing.timescale));
        }
        return Ok(timings);
    }
    let mut clusters = keys.last_clusters.offsets();
    // A track may be silent since long before the last keyframe.
    clusters.extend(keys.all.iter().map(|k| k.cluster));
    clusters.sort_unstable();
    clusters.dedup();
    let tails = tail::look(ask, movie, index, &clusters).await?;
    with_tails(ask, movie, index, reference, heads, keys, &tails).await
}

async fn with_tails(
    ask: &Asker,
    movie: &Movie,
    index: &MatroskaIndex,
    reference: usize,
    heads: &[Option<Head>],
    keys: &Keys,
    tails: &[Tail],
) -> Result<Vec<Option<Timing>>, ContainerError> {
    let mut timings = Vec::with_capacity(heads.len());
    for (n, ((track, head), tail)) in movie.tracks.iter().zip(heads).zip(tails).enumerate() {
        timings.push(match (head, track.kind) {
            (Some(head), TrackKind::Video) if n == reference => {
                let keys = keys.all.iter().map(|k| k.ns);
                Some(timing::video(ask, n, track, index, (head, tail), keys).await?)
            }
            (Some(head), TrackKind::Audio) => Some(timing::audio(ask, n, track, index, (head, tail)).await?),
            _ => None,
        });
    }
    Ok(timings)
}

fn key(candidate: &Candidate, main: &Timing, shift: i64) -> Key {
    Key {
        start: main.clock.ticks(candidate.start_ns, main.timescale).saturating_add(shift),
        stored: candidate.ns,
        place: candidate.cluster,
        relative: candidate.cue.and_then(|c| c.relative),
        kind: candidate.kind,
    }
}

fn warnings(movie: &Movie, heads: &[Option<Head>], keys: &Keys) -> Vec<String> {
    let mut warnings = Vec::new();
    for (n, (track, head)) in movie.tracks.iter().zip(heads).enumerate() {
        match (head, track.kind) {
            (None, TrackKind::Video | TrackKind::Audio) => {
                warnings.push(format!("track {n}: has no frame near the beginning and is left out"));
            }
            (Some(head), _) if head.dropped > 0 => warnings
                .push(format!("track {n}: {} pictures before the first keyframe are left out", head.dropped)),
            _ => {}
        }
    }
    if keys.rebuilt {
        warnings.push("the index is missing, has gaps, or lies: the file was looked through".to_owned());
    }
    warnings
}

#[expect(clippy::too_many_arguments, reason = "everything a track's plan is made from, once")]
fn track_plan(
    movie: &Movie,
    index: &MatroskaIndex,
    n: usize,
    plan: &Plan,
    zero: Zero,
    timing: Option<&Timing>,
    head: Option<&Head>,
    options: &PlanOptions,
) -> Option<TrackPlan> {
    let track = movie.tracks.get(n)?;
    if track.kind == TrackKind::Subtitle {
        let timescale = Timescale::MILLIS;
        let pieces = segments::pieces_of_intervals(&plan.intervals, plan.clock, timescale);
        let end = plan.clock.rescale(plan.end, timescale);
        return Some(TrackPlan {
            track: n,
            timescale,
            shift: zero.shift(timescale),
            clock: super::Clock::Stored,
            segments: segments::from_pieces(&pieces, end, timescale, options),
            bytes_per_second: 0,
            frame_rate: None,
            moved: Vec::new(),
        });
    }
    let (timing, head) = (timing?, head?);
    let shift = zero.shift(timing.timescale);
    let end = timing.end.saturating_add(shift);
    let main = n == plan.reference;
    let bytes = |i: usize| interval_bytes(&plan.intervals, i, index.clusters_end);
    let mut pieces = match track.kind {
        TrackKind::Video => video_pieces(plan),
        _ => audio_pieces(plan, timing, shift, head.frame_bytes()),
    };
    for (i, piece) in pieces.iter_mut().enumerate() {
        piece.samples = (0, 0);
        if main && piece.start.is_some() {
            piece.bytes = bytes(i);
        }
    }
    // The stated end is that of the longest track: a short last segment of another one may have nothing in it.
    let tail_ms = if options.reach == Reach::Ends && !main { options.target_ms / 2 } else { options.tail_ms };
    let options = &PlanOptions { tail_ms, ..*options };
    let segments = segments::from_pieces(&pieces, end, timing.timescale, options);
    let total: u64 = segments.iter().map(|s| s.payload_bytes).sum();
    let ticks: u64 = segments.iter().map(|s| s.duration).sum();
    Some(TrackPlan {
        track: n,
        timescale: timing.timescale,
        shift,
        clock: timing.clock,
        segments,
        bytes_per_second: assemble::per_second(total, ticks, timing.timescale),
        frame_rate: timing.frame_rate,
        moved: Vec::new(),
    })
}

/// Bytes of all tracks from an interval's cluster to the next one's.
fn interval_bytes(intervals: &[Interval], n: usize, clusters_end: u64) -> u64 {
    let place =
        |n: usize| intervals.get(n).map_or(clusters_end, |i| i.place.saturating_add(i.relative.unwrap_or(0)));
    place(n + 1).saturating_sub(place(n))
}

fn video_pieces(plan: &Plan) -> Vec<Piece> {
    plan.intervals
        .iter()
        .map(|i| Piece {
            start: (i.kind != RandomAccess::No || i.start == plan.intervals[0].start).then_some(i.start),
            independent: assemble::independent(i.kind),
            ..Piece::default()
        })
        .collect()
}

fn audio_pieces(plan: &Plan, timing: &Timing, shift: i64, frame_bytes: u64) -> Vec<Piece> {
    let (scale, clock) = (timing.timescale, timing.clock);
    if let Some(frame) = clock.frame() {
        // The last frame may be shorter than the others, but is one.
        let count =
            timing.end.saturating_sub(timing.first).saturating_add(i64::from(frame) - 1) / i64::from(frame);
        let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
        let time = |n: u32| clock.time(i64::from(n)).unwrap_or(0).saturating_add(shift);
        let bytes = |from: u32, to: u32| u64::from(to - from).saturating_mul(frame_bytes);
        return segments::pieces_by_time(&plan.intervals, plan.clock, scale, 0..count, time, bytes);
    }
    let (first, end) = (timing.first.saturating_add(shift), timing.end.saturating_add(shift));
    let edge = |n: usize| match plan.intervals.get(n) {
        Some(_) if n == 0 => i64::MIN,
        Some(i) => plan.clock.rescale_ceil(i.start, scale),
        None => i64::MAX,
    };
    (0..plan.intervals.len())
        .map(|n| {
            let (from, to) = (edge(n).max(first), edge(n + 1).min(end));
            Piece { start: (from < to).then_some(from), independent: true, ..Piece::default() }
        })
        .collect()
}
