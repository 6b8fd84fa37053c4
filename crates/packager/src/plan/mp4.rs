//! Planning an MP4: its tables say everything but one thing, what the sync samples are. A few of them are looked at.

use container::{
    ContainerError, Format, Movie, Rational, Timescale, TrackKind,
    codec::RandomAccess,
    mp4::{Mp4Index, TableSample},
};

use super::{
    Clock, Interval, KeyframeFacts, PLAN_VERSION, Plan, PlanOptions, Reach, TrackPlan,
    assemble::{self, Zero},
    boundaries::{self, Key},
    grid::RATES,
    probe, segments,
    table::{self, TableView},
};
use crate::{limits, script::Asker};

/// Video timescales under this are made finer where hidden pictures have to be tucked in, a tick each.
const FINE_TIMESCALE: u32 = 10_000;
/// Keys nearer than this to the one before are not candidates where there are a great many (intra-only video), and in
/// audio, where every frame is one; milliseconds.
const THIN_MS: u32 = 250;
/// A great many.
const THIN_ABOVE: usize = 20_000;
/// Hidden audio frames that are a codec's priming: Apple's AAC has 2,112 samples, others up to 4 frames. They stay.
const PRIMING_MOST: u32 = 4;
/// Where more are hidden, so many stay: a decoder needs them to have the first shown one right.
const PRIMING_FRAMES: u32 = 2;

/// A track on its way into the plan.
struct Prepared<'a> {
    track: usize,
    kind: TrackKind,
    timescale: Timescale,
    factor: u32,
    moved: Vec<(u32, i64)>,
    samples: &'a [TableSample],
    /// Samples that are played, half-open.
    usable: std::ops::Range<u32>,
}

impl Prepared<'_> {
    fn view(&self) -> TableView<'_> {
        TableView::unshifted(self.samples, self.factor, &self.moved)
    }

    fn first_pts(&self) -> i64 {
        // Pictures are out of order by at most a GOP's head; the earliest is among the first few.
        let head = self.usable.start..self.usable.end.min(self.usable.start + 256);
        head.map(|n| self.view().pts(n)).min().unwrap_or(0)
    }

    fn end(&self) -> i64 {
        let tail = self.usable.end.saturating_sub(256).max(self.usable.start)..self.usable.end;
        tail.map(|n| self.view().end(n)).max().unwrap_or(0)
    }
}

/// Makes the plan.
pub(crate) async fn plan(
    ask: &Asker,
    movie: &Movie,
    index: &Mp4Index,
    options: &PlanOptions,
) -> Result<Plan, ContainerError> {
    let mut warnings = Vec::new();
    let prepared = prepare(movie, index, &mut warnings);
    let reference =
        assemble::reference(movie, |t| prepared.iter().any(|p| p.track == t)).ok_or_else(|| {
            ContainerError::Unsupported {
                format: Format::Mp4,
                offset: 0,
                what: "a file without video or audio samples".into(),
            }
        })?;
    let zero = Zero::earliest(
        prepared.iter().filter(|p| p.kind != TrackKind::Subtitle).map(|p| (p.first_pts(), p.timescale)),
    );
    let main = prepared.iter().find(|p| p.track == reference).ok_or_else(no_reference)?;
    let clock = main.timescale;
    let shift = zero.shift(clock);
    let end = main.end().saturating_add(shift);

    let mut keys = keys_of(main, shift);
    let mut open_gop = false;
    if main.kind == TrackKind::Video {
        open_gop = look_at(ask, movie, main, shift, options.reach, &mut keys).await?;
    }
    let facts = KeyframeFacts {
        count: u64::try_from(keys.len()).unwrap_or(u64::MAX),
        longest_gap_ms: assemble::millis(boundaries::longest_gap(&keys, end), clock),
        open_gop,
        index_rebuilt: false,
    };
    let keys = boundaries::usable(&keys, end, clock, options);
    let mut intervals = assemble::intervals(&keys, end, clock, options);
    let last_end = prepared
        .iter()
        .filter(|p| p.kind != TrackKind::Subtitle)
        .map(|p| p.timescale.rescale(p.end().saturating_add(zero.shift(p.timescale)), clock))
        .max()
        .unwrap_or(end);
    assemble::beyond(&mut intervals, end, last_end, clock, options, |_| (u64::from(main.usable.end), None));

    let mut tracks = Vec::with_capacity(prepared.len());
    for track in &prepared {
        tracks.push(track_plan(track, reference, &intervals, clock, zero, end.max(last_end), options));
    }
    let first_frames = first_frames(ask, movie, &prepared).await?;
    Ok(Plan {
        version: PLAN_VERSION,
        file_len: movie.len,
        file_tracks: movie.tracks.len(),
        reference,
        clock,
        intervals,
        end: end.max(last_end),
        tracks,
        keyframes: facts,
        first_frames,
        warnings,
    })
}

fn no_reference() -> ContainerError {
    ContainerError::malformed(Format::Mp4, 0, "the reference track has no samples")
}

fn prepare<'a>(movie: &Movie, index: &'a Mp4Index, warnings: &mut Vec<String>) -> Vec<Prepared<'a>> {
    let mut prepared = Vec::new();
    for (n, track) in movie.tracks.iter().enumerate() {
        let Some(samples) = index.tables.get(n).filter(|s| !s.is_empty()) else { continue };
        if track.kind == TrackKind::Other {
            continue;
        }
        let usable = usable(track.kind, samples, movie.len);
        if usable.end < count(samples) {
            warnings.push(format!(
                "track {n}: the file ends before sample {} of {}",
                usable.end,
                samples.len()
            ));
        }
        if track.kind == TrackKind::Video && usable.start > 0 {
            warnings
                .push(format!("track {n}: {} pictures before the first keyframe are left out", usable.start));
        }
        if samples.iter().any(|s| s.description != samples[0].description) {
            warnings.push(format!(
                "track {n}: the codec configuration changes midway; only the first is announced"
            ));
        }
        if usable.is_empty() {
            continue;
        }
        let hidden = track.kind == TrackKind::Video && samples.iter().any(|s| s.hidden);
        let scale = track.timescale.get();
        let factor = if hidden && scale < FINE_TIMESCALE { FINE_TIMESCALE.div_ceil(scale) } else { 1 };
        let moved = if hidden { table::move_hidden(samples, factor) } else { Vec::new() };
        if !moved.is_empty() {
            warnings.push(format!("track {n}: the edit list hides {} pictures", moved.len()));
        }
        let timescale = Timescale::new(scale.saturating_mul(factor)).unwrap_or(track.timescale);
        prepared.push(Prepared { track: n, kind: track.kind, timescale, factor, moved, samples, usable });
    }
    prepared
}

/// Which samples are played: video from its first keyframe, audio without what the edit list hides beyond priming,
/// everything up to where the file ends.
fn usable(kind: TrackKind, samples: &[TableSample], file_len: u64) -> std::ops::Range<u32> {
    let inside = |s: &TableSample| s.offset.checked_add(u64::from(s.size)).is_some_and(|end| end <= file_len);
    let end = samples.iter().position(|s| !inside(s)).unwrap_or(samples.len());
    let inside = &samples[..end];
    let end = count(inside);
    match kind {
        TrackKind::Video => {
            let first = inside.iter().position(|s| s.sync || s.random_access);
            first.map_or(end, |n| u32::try_from(n).unwrap_or(u32::MAX))..end
        }
        TrackKind::Audio => {
            // What ends before time 0 the edit list has moved there: priming, or more that a cut left behind.
            let shown = |s: &TableSample| !s.hidden && s.pts.saturating_add(i64::from(s.duration)) > 0;
            let first = u32::try_from(inside.iter().position(shown).unwrap_or(0)).unwrap_or(0);
            let start = if first > PRIMING_MOST { first - PRIMING_FRAMES } else { 0 };
            start..end
        }
        TrackKind::Subtitle | TrackKind::Other => 0..end,
    }
}

fn count(samples: &[TableSample]) -> u32 {
    u32::try_from(samples.len()).unwrap_or(u32::MAX)
}

/// Every place where decoding may begin, with the smallest time of the run that begins there.
fn keys_of(main: &Prepared<'_>, shift: i64) -> Vec<Key> {
    let view = main.view().shifted(shift);
    let is_key = |s: &TableSample| main.kind == TrackKind::Audio || s.sync || s.random_access;
    let many =
        main.kind == TrackKind::Audio || main.samples.iter().filter(|s| is_key(s)).count() > THIN_ABOVE;
    let apart = if many { boundaries::ticks(THIN_MS, main.timescale) } else { 1 };
    let mut keys: Vec<Key> = Vec::new();
    for n in main.usable.clone() {
        let Some(sample) = view.get(n) else { break };
        let pts = view.pts(n);
        match keys.last_mut() {
            Some(last) if !is_key(sample) || pts < last.start.saturating_add(apart) => {
                last.start = last.start.min(pts);
            }
            _ => keys.push(Key {
                start: pts,
                stored: sample.pts,
                place: u64::from(n),
                relative: None,
                kind: if main.kind == TrackKind::Audio { RandomAccess::Clean } else { RandomAccess::Unknown },
            }),
        }
    }
    keys
}

/// Reads the types of a few keys; of all, if one of them is not clean or has pictures shown before it. Tells whether
/// any is open.
async fn look_at(
    ask: &Asker,
    movie: &Movie,
    main: &Prepared<'_>,
    shift: i64,
    reach: Reach,
    keys: &mut [Key],
) -> Result<bool, ContainerError> {
    let Some(track) = movie.tracks.get(main.track) else { return Ok(false) };
    let view = main.view().shifted(shift);
    let leading = |key: &Key| u32::try_from(key.place).is_ok_and(|n| key.start < view.pts(n));
    let mut doubt = keys.iter().any(leading);
    for n in probe::few(keys.len(), movie.len, reach) {
        let Some(key) = keys.get_mut(n) else { continue };
        let payload = view.bytes(u32::try_from(key.place).unwrap_or(u32::MAX));
        key.kind = probe::classify(ask, &track.codec, &track.strip_prefix, payload).await?;
        doubt |= !key.is_clean();
    }
    if doubt {
        for n in 0..keys.len().min(limits::PROBES_MAX) {
            let Some(key) = keys.get_mut(n).filter(|k| k.kind == RandomAccess::Unknown) else { continue };
            if reach == Reach::Ends {
                // The tables tell which have pictures shown before them; more cannot be known.
                key.kind = if leading(key) { RandomAccess::OpenGop } else { RandomAccess::Clean };
                continue;
            }
            let payload = view.bytes(u32::try_from(key.place).unwrap_or(u32::MAX));
            key.kind = probe::classify(ask, &track.codec, &track.strip_prefix, payload).await?;
        }
    }
    for key in keys.iter_mut() {
        // A CRA without leading pictures is as good as an IDR.
        if key.kind == RandomAccess::OpenGop && !leading(key) {
            key.kind = RandomAccess::Clean;
        }
    }
    Ok(keys.iter().any(|k| matches!(k.kind, RandomAccess::OpenGop | RandomAccess::RecoveryPoint)))
}

fn track_plan(
    track: &Prepared<'_>,
    reference: usize,
    intervals: &[Interval],
    clock: Timescale,
    zero: Zero,
    title_end: i64,
    options: &PlanOptions,
) -> TrackPlan {
    let shift = zero.shift(track.timescale);
    let view = track.view().shifted(shift);
    let mut end = track.end().saturating_add(shift);
    let pieces = if track.kind == TrackKind::Subtitle {
        end = clock.rescale(title_end, track.timescale);
        segments::pieces_of_intervals(intervals, clock, track.timescale)
    } else if track.track == reference && track.kind == TrackKind::Video {
        video_pieces(&view, intervals, track.usable.end)
    } else {
        segments::pieces_by_time(
            intervals,
            clock,
            track.timescale,
            track.usable.clone(),
            |n| view.pts(n),
            |from, to| view.payload(from, to),
        )
    };
    let segments = segments::from_pieces(&pieces, end, track.timescale, options);
    let bytes = view.payload(track.usable.start, track.usable.end);
    let ticks = u64::try_from(end.saturating_sub(track.first_pts().saturating_add(shift))).unwrap_or(0);
    TrackPlan {
        track: track.track,
        timescale: track.timescale,
        shift,
        clock: Clock::Table { factor: track.factor },
        segments,
        bytes_per_second: assemble::per_second(bytes, ticks, track.timescale),
        frame_rate: (track.kind == TrackKind::Video)
            .then(|| constant_rate(track).or_else(|| average_rate(track)))
            .flatten(),
        moved: track.moved.clone(),
    }
}

fn video_pieces(view: &TableView<'_>, intervals: &[Interval], end: u32) -> Vec<segments::Piece> {
    let place = |n: usize| intervals.get(n).map_or(end, |i| u32::try_from(i.place).unwrap_or(end)).min(end);
    (0..intervals.len())
        .map(|n| {
            let (from, to) = (place(n), place(n + 1));
            segments::Piece {
                start: intervals.get(n).filter(|_| from < to).map(|i| i.start),
                samples: (from, to),
                bytes: view.payload(from, to),
                independent: intervals.get(n).is_some_and(|i| assemble::independent(i.kind)),
            }
        })
        .collect()
}

/// Pictures per second where all of them (but the last) last equally long.
fn constant_rate(track: &Prepared<'_>) -> Option<Rational> {
    let (first, rest) = track.samples.split_first()?;
    let rest = &rest[..rest.len().saturating_sub(1)];
    if first.duration == 0 || rest.iter().any(|s| s.duration != first.duration) {
        return None;
    }
    let scale = track.timescale.get() / track.factor;
    let common = u32::try_from(assemble::gcd(u64::from(scale), u64::from(first.duration))).ok()?;
    Some(Rational { num: scale / common, den: first.duration / common })
}

/// Pictures per second on the average, hidden ones apart.
fn average_rate(track: &Prepared<'_>) -> Option<Rational> {
    let (from, to) = (track.usable.start as usize, track.usable.end as usize);
    let shown = track.samples.get(from..to)?.iter().filter(|s| !s.hidden);
    let (pictures, ticks) = shown.fold((0u64, 0u64), |(n, t), s| (n + 1, t + u64::from(s.duration)));
    let num = pictures.checked_mul(u64::from(track.timescale.get() / track.factor))?;
    let common = assemble::gcd(num, ticks);
    let (mut num, mut den) = (num / common.max(1), ticks / common.max(1));
    // Durations rounded to the timescale give not quite the rate they mean.
    let near = RATES.iter().map(|(n, d)| (*n, *d)).find(|(n, d)| {
        let (stated, meant) = (u128::from(num) * u128::from(*d), u128::from(den) * u128::from(*n));
        stated.abs_diff(meant) * 4_000 <= meant
    });
    if let Some((num, den)) = near {
        return Some(Rational { num, den });
    }
    while num > u64::from(u32::MAX) || den > u64::from(u32::MAX) {
        (num, den) = (num / 2, den / 2);
    }
    Some(Rational { num: u32::try_from(num).ok()?, den: u32::try_from(den).ok().filter(|d| *d > 0)? })
}

async fn first_frames(
    ask: &Asker,
    movie: &Movie,
    prepared: &[Prepared<'_>],
) -> Result<Vec<super::FirstFrame>, ContainerError> {
    let mut frames = Vec::new();
    for track in prepared {
        if !movie.tracks.get(track.track).is_some_and(|t| t.codec.wants_first_frame()) {
            continue;
        }
        let payload = track.view().bytes(track.usable.start);
        if !payload.is_empty() {
            frames.push(assemble::first_frame(ask, track.track, payload).await?);
        }
    }
    Ok(frames)
}
