//! The clock of a Matroska track: its exact timescale, its grid, where it begins and ends.

use byte_source::ByteRange;
use container::{
    ContainerError, Rational, Timescale, Track, TrackKind, codec::CodecConfig, matroska::MatroskaIndex,
};

use super::{first::Head, tail::Tail};
use crate::{
    limits,
    plan::{Clock, FirstFrame, grid},
    script::Asker,
    walk::Seen,
};

/// A track's clock; times before the shift.
#[derive(Clone, Debug)]
pub(crate) struct Timing {
    pub(crate) timescale: Timescale,
    pub(crate) clock: Clock,
    /// Of the first sample shown, ticks.
    pub(crate) first: i64,
    /// Of the last sample, ticks.
    pub(crate) end: i64,
    pub(crate) frame_rate: Option<Rational>,
    pub(crate) first_frame: Option<FirstFrame>,
}

/// How long the last picture is shown where nothing tells, nanoseconds.
const PICTURE_NS: i64 = 40_000_000;

/// The clock of a video track; `keys` are the times of its keyframes, nanoseconds.
pub(crate) async fn video(
    ask: &Asker,
    n: usize,
    track: &Track,
    index: &MatroskaIndex,
    (head, tail): (&Head, &Tail),
    keys: impl Iterator<Item = i64>,
) -> Result<Timing, ContainerError> {
    let stated = track.default_duration_ns.and_then(grid::known_rate);
    let rate = stated.or_else(|| track.video.as_ref()?.frame_rate.and_then(grid::known));
    let times: Vec<i64> = head.times.iter().chain(&tail.times).copied().chain(keys).collect();
    let (timescale, clock) = rate
        .and_then(|rate| grid::video(rate, head.first.ns, &times))
        .unwrap_or((coarse(index), Clock::Stored));
    let frame_rate = match clock {
        Clock::Grid { .. } => rate,
        _ => average(&tail.times).or_else(|| average(&head.times)),
    };
    let last = tail.last.as_ref().unwrap_or(&head.first);
    let of_ns = |ns: i64| Timescale::new(1_000_000_000).map_or(0, |nanos| nanos.rescale(ns, timescale));
    let lasts = match (clock.frame(), i64::try_from(last.duration_ns).unwrap_or(0)) {
        // A stated duration is rounded like all times: it counts where it is another number of frames.
        (Some(frame), ns)
            if ns == 0 || of_ns(ns).abs_diff(i64::from(frame)) <= of_ns(2_000_000).unsigned_abs() =>
        {
            i64::from(frame)
        }
        (_, 0) => of_ns(usual(&tail.times).unwrap_or(PICTURE_NS)),
        (_, ns) => of_ns(ns),
    };
    let first_frame = match track.codec.wants_first_frame() {
        true => Some(FirstFrame { track: n, bytes: beginning(ask, track, &head.first).await? }),
        false => None,
    };
    Ok(Timing {
        timescale,
        clock,
        first: clock.ticks(head.earliest, timescale),
        end: clock.ticks(last.ns.max(head.earliest), timescale).saturating_add(lasts.max(1)),
        frame_rate,
        first_frame,
    })
}

/// The clock of an audio track: its sample rate.
pub(crate) async fn audio(
    ask: &Asker,
    n: usize,
    track: &Track,
    index: &MatroskaIndex,
    (head, tail): (&Head, &Tail),
) -> Result<Timing, ContainerError> {
    let mut codec = track.codec.clone();
    let mut first_frame = None;
    let constant = codec.frame_samples_constant();
    let mut begin = Vec::new();
    if constant.is_none() || codec.wants_first_frame() {
        begin = beginning(ask, track, &head.first).await?;
    }
    if codec.wants_first_frame() {
        codec.complete_from_frame(&begin)?;
        first_frame = Some(FirstFrame { track: n, bytes: begin.clone() });
    }
    let rate =
        track.audio.as_ref().and_then(|a| Timescale::new(a.sample_rate)).unwrap_or_else(|| coarse(index));
    let of_default = track.default_duration_ns.map(|ns| {
        let ticks = u128::from(ns) * u128::from(rate.get()) + 500_000_000;
        u32::try_from(ticks / 1_000_000_000).unwrap_or(0)
    });
    let frame = constant.or_else(|| codec.frame_samples_constant()).or_else(|| codec.frame_samples(&begin));
    let times: Vec<i64> = head.times.iter().chain(&tail.times).copied().collect();
    // SBR doubles the samples of a frame where the configuration does not always say so.
    let clock = [frame, frame.map(|f| f.saturating_mul(2)), of_default]
        .into_iter()
        .flatten()
        .find_map(|frame| grid::audio(rate, frame, head.first.ns, &times))
        .unwrap_or(Clock::Stored);
    let last = tail.last.as_ref().unwrap_or(&head.first);
    let end = match clock.frame() {
        Some(frame) => {
            let at = clock.frame_at(last.ticks(clock, rate));
            let lasts = last_samples(ask, track, &codec, last).await?.filter(|n| *n < frame).unwrap_or(frame);
            clock.time(at).unwrap_or(0).saturating_add(i64::from(lasts))
        }
        None => {
            let samples = codec.frame_samples(&beginning(ask, track, last).await?).or(of_default);
            let lasts = samples.unwrap_or(rate.get() / 40).max(1);
            clock.ticks(last.ns, rate).saturating_add(i64::from(lasts))
        }
    };
    Ok(Timing {
        timescale: rate,
        clock,
        first: clock.ticks(head.first.ns, rate),
        end,
        frame_rate: None,
        first_frame,
    })
}

/// Samples of the last frame where the codec lets it be shorter than the others.
async fn last_samples(
    ask: &Asker,
    track: &Track,
    codec: &CodecConfig,
    last: &Seen,
) -> Result<Option<u32>, ContainerError> {
    if !matches!(codec.name(), "flac" | "vorbis") {
        return Ok(None);
    }
    Ok(codec.frame_samples(&beginning(ask, track, last).await?))
}

/// The first bytes of a frame, as the codec sees them.
async fn beginning(ask: &Asker, track: &Track, seen: &Seen) -> Result<Vec<u8>, ContainerError> {
    let most = match track.kind {
        TrackKind::Audio if !track.codec.wants_first_frame() => limits::PROBE_BYTES,
        _ => limits::FIRST_FRAME_BYTES,
    };
    let range =
        ByteRange::new(seen.bytes.start(), seen.bytes.end().min(seen.bytes.start().saturating_add(most)));
    let bytes = match &seen.data {
        Some(data) => data.clone(),
        None => ask.read(range).await?,
    };
    Ok([&*track.strip_prefix, &*bytes].concat())
}

/// Times as stored: milliseconds, or microseconds where the file is finer.
fn coarse(index: &MatroskaIndex) -> Timescale {
    if index.timestamp_scale_ns.is_multiple_of(1_000_000) { Timescale::MILLIS } else { Timescale::MICROS }
}

/// The middle one of the steps between times, nanoseconds.
fn usual(times: &[i64]) -> Option<i64> {
    let mut steps: Vec<i64> =
        times.windows(2).map(|w| w[1].saturating_sub(w[0])).filter(|step| *step > 0).collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).copied()
}

/// Pictures per second over these times.
fn average(times: &[i64]) -> Option<Rational> {
    let (first, last) = (times.iter().min()?, times.iter().max()?);
    let micros = u32::try_from(last.saturating_sub(*first) / 1_000).ok().filter(|us| *us > 0)?;
    let frames = u32::try_from(times.len() - 1).ok()?;
    Some(Rational { num: frames.checked_mul(1_000_000)?, den: micros })
}
