//! Sound that is encoded segment by segment, in any order, and joins without a gap or a click.
//!
//! All of it lies on one grid: frame `n` is the samples from `1024 n` of our time in the output's rate. A segment is a
//! run of frames; its encoder starts some frames earlier, on the same grid, and what comes out of those is dropped, as is
//! the encoder's delay. So whoever made the neighbour, and when, a frame is made from the same samples.

use std::ops::Range;

use container::{Timescale, Track};

use super::{Stretch, is_aac};
use crate::{Planned, SegmentIndex, SegmentPlan, TrackPlan, playlist::Rate};

/// Samples of an AAC frame.
pub const AAC_FRAME: u32 = 1_024;
/// Frames that an encoder is given before the first one that is wanted: one for its delay, one that overlaps, and two
/// for what it knows of the sound's loudness.
pub const ENCODER_WARM_UP_FRAMES: u32 = 4;
/// Frames that an encoder looks ahead: one that overlaps, one for the choice of windows.
const ENCODER_AHEAD_FRAMES: u32 = 2;
/// What a decoder needs before its sound is right, milliseconds: Opus asks for 80.
const DECODER_WARM_UP_MS: i64 = 100;
/// Rates that AAC has, of those that are kept as they are.
const RATES: [u32; 9] = [48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000];
/// Channels that come out at most; more are mixed down.
pub(crate) const AAC_CHANNELS_MAX: u16 = 2;
/// Bits a second of a channel.
const CHANNEL_BITS: u32 = 80_000;
/// A last segment shorter than this goes with the one before, milliseconds.
const TAIL_MS: u64 = 1_000;

/// An audio track as AAC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AacPlan {
    /// Index into [`Movie::tracks`](container::Movie::tracks).
    pub track: usize,
    /// Samples a second that come out, which are the unit of its times.
    pub timescale: Timescale,
    /// Channels that come out.
    pub channels: u16,
    /// Bits a second.
    pub bits: u32,
    /// The file's own sound is AAC: a player that takes any takes that.
    pub is_aac: bool,
    /// Its segments: whole frames that join.
    pub segments: Vec<SegmentPlan>,
    /// Unit of the track's own times.
    source_timescale: Timescale,
    /// Start and end of the track's own segments.
    source: Vec<(i64, i64)>,
}

/// What it takes to make a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AacWindow {
    /// The frames of the grid that come out.
    pub frames: Range<u64>,
    /// Source samples that sound within this are decoded; ticks of the source.
    pub decoded: Range<i64>,
    /// The cut segments of the track that they are in, half-open; empty where there is no sound.
    pub source: (u32, u32),
}

impl AacPlan {
    /// The plan of one track; `edges` are where segments should begin, ticks of `clock`.
    pub(crate) fn of(
        n: usize,
        track: &Track,
        plan: &TrackPlan,
        clock: Timescale,
        edges: &[i64],
    ) -> Option<Self> {
        let info = track.audio.as_ref();
        let rate = info.map(|a| a.sample_rate).filter(|rate| RATES.contains(rate)).unwrap_or(RATES[0]);
        let channels = info.map_or(AAC_CHANNELS_MAX, |a| a.channels).clamp(1, AAC_CHANNELS_MAX);
        let timescale = Timescale::new(rate)?;
        let span = |s: &SegmentPlan| {
            let start = i64::try_from(s.start).unwrap_or(i64::MAX);
            (start, start.saturating_add(i64::try_from(s.duration).unwrap_or(i64::MAX)))
        };
        let source: Vec<(i64, i64)> = plan.segments.iter().map(span).collect();
        let (start, end) = (source.first()?.0, source.last()?.1);
        Some(Self {
            track: n,
            timescale,
            channels,
            bits: u32::from(channels) * CHANNEL_BITS,
            is_aac: is_aac(&track.codec),
            segments: segments(start..end, plan.timescale, edges, clock, timescale),
            source_timescale: plan.timescale,
            source,
        })
    }

    /// What segment `index` takes; `None` if there is no such segment.
    #[must_use]
    pub fn window(&self, index: SegmentIndex) -> Option<AacWindow> {
        let segment = self.segments.get(index.as_usize())?;
        let frame = u64::from(AAC_FRAME);
        let frames = segment.start / frame..(segment.start + segment.duration) / frame;
        let decoded = decoded(&frames, self.timescale, self.source_timescale);
        let from = self.source.partition_point(|(_, end)| *end <= decoded.start);
        let to = self.source.partition_point(|(start, _)| *start < decoded.end).max(from);
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Some(AacWindow { frames, decoded, source: (number(from), number(to)) })
    }

    /// The encoder is told an average; a loud second may take half as much more.
    pub(crate) fn rate(&self) -> Rate {
        let headers = u64::from(self.timescale.get() / AAC_FRAME + 1) * 32 + 300;
        let average = u64::from(self.bits) + headers;
        Rate { peak: average + u64::from(self.bits) / 2, average }
    }
}

/// Where segments of sound begin: where those of transcoded video do, and every interval.
pub(crate) fn edges(planned: &Planned, stretches: &[Stretch]) -> Vec<i64> {
    // What begins first begins with the sound, whether that is earlier or later.
    let starts = stretches.iter().skip(1).map(|s| i64::try_from(s.segment.start).unwrap_or(i64::MAX));
    let intervals = planned.plan.intervals.iter().skip(1).map(|i| i.start);
    let mut edges: Vec<i64> = starts.chain(intervals).collect();
    edges.sort_unstable();
    edges.dedup();
    edges
}

/// The segments of sound that lasts over `sound` (ticks of `source`): each begins with the first frame of the grid at or
/// after its edge, the first with the frame that the sound begins in.
fn segments(
    sound: Range<i64>,
    source: Timescale,
    edges: &[i64],
    clock: Timescale,
    rate: Timescale,
) -> Vec<SegmentPlan> {
    let first = grid_floor(sound.start.max(0), source, rate);
    let last = grid_ceil(sound.end, source, rate).max(first + 1);
    let tail = TAIL_MS * u64::from(rate.get()) / 1_000 / u64::from(AAC_FRAME);
    let mut starts = vec![first];
    for edge in edges {
        let at = grid_ceil((*edge).max(0), clock, rate);
        let after_last = starts.last().is_some_and(|before| at > *before);
        if after_last && at + tail <= last {
            starts.push(at);
        }
    }
    let ends: Vec<u64> = starts.iter().skip(1).copied().chain([last]).collect();
    let frame = u64::from(AAC_FRAME);
    let segment = |(start, end): (u64, u64)| SegmentPlan {
        start: start * frame,
        duration: (end - start) * frame,
        intervals: (0, 0),
        samples: (0, 0),
        payload_bytes: 0,
        independent: true,
    };
    starts.into_iter().zip(ends).map(segment).collect()
}

/// The frame that an instant is in; the instant is not negative.
fn grid_floor(ticks: i64, scale: Timescale, rate: Timescale) -> u64 {
    let samples = u128::try_from(ticks).unwrap_or(0) * u128::from(rate.get());
    u64::try_from(samples / (u128::from(scale.get()) * u128::from(AAC_FRAME))).unwrap_or(u64::MAX)
}

/// The first frame that does not begin before an instant.
fn grid_ceil(ticks: i64, scale: Timescale, rate: Timescale) -> u64 {
    let samples = u128::try_from(ticks).unwrap_or(0) * u128::from(rate.get());
    u64::try_from(samples.div_ceil(u128::from(scale.get()) * u128::from(AAC_FRAME))).unwrap_or(u64::MAX)
}

/// The stretch of the source that these frames are made from, with what encoder and decoder need on either side.
fn decoded(frames: &Range<u64>, rate: Timescale, source: Timescale) -> Range<i64> {
    let sample = |frame: u64| i64::try_from(frame.saturating_mul(u64::from(AAC_FRAME))).unwrap_or(i64::MAX);
    let from = sample(frames.start.saturating_sub(u64::from(ENCODER_WARM_UP_FRAMES)));
    let to = sample(frames.end.saturating_add(u64::from(ENCODER_AHEAD_FRAMES)));
    let run_in = Timescale::MILLIS.rescale(DECODER_WARM_UP_MS, source);
    rate.rescale(from, source).saturating_sub(run_in)..rate.rescale_ceil(to, source)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scale(rate: u32) -> Timescale {
        Timescale::new(rate).unwrap()
    }

    #[test]
    fn segments_begin_with_the_first_frame_at_or_after_the_edge() {
        let made = segments(0..480_000, scale(48_000), &[0, 1_000, 5_000], Timescale::MILLIS, scale(48_000));
        // A second is frame 46.875, five are 234.375, ten are 468.75.
        assert_eq!(made.iter().map(|s| s.start / 1_024).collect::<Vec<_>>(), [0, 47, 235]);
        assert_eq!(made.iter().map(|s| s.duration / 1_024).sum::<u64>(), 469);
    }

    #[test]
    fn late_sound_begins_late_and_a_scrap_is_folded() {
        let made =
            segments(7_000..10_400, Timescale::MILLIS, &[0, 5_000, 10_000], Timescale::MILLIS, scale(48_000));
        assert_eq!(made.len(), 1);
        assert_eq!((made[0].start, made[0].duration), (328 * 1_024, (488 - 328) * 1_024));
    }

    #[test]
    fn a_window_reaches_to_both_sides() {
        let source: Vec<(i64, i64)> = (0..4).map(|n| (n * 240_000, (n + 1) * 240_000)).collect();
        let rate = scale(48_000);
        let plan = AacPlan {
            track: 1,
            timescale: rate,
            channels: 2,
            bits: 160_000,
            is_aac: false,
            segments: segments(0..960_000, rate, &[0, 5_000, 10_000, 15_000], Timescale::MILLIS, rate),
            source_timescale: rate,
            source,
        };
        let window = plan.window(SegmentIndex::new(1)).unwrap();
        assert_eq!(window.frames, 235..469);
        assert_eq!(window.decoded, (231 * 1_024 - 4_800)..(471 * 1_024));
        assert_eq!(window.source, (0, 3));
        assert_eq!(plan.window(SegmentIndex::new(0)).unwrap().source, (0, 2));
        assert_eq!(plan.window(SegmentIndex::new(4)), None);
    }

    proptest! {
        #[test]
        fn every_frame_is_in_exactly_one_segment(
            gaps in prop::collection::vec(1i64..400_000, 1..60),
            start in 0i64..9_000_000, length in 1i64..90_000_000,
            rate in prop::sample::select(RATES.to_vec()),
            source in prop::sample::select(vec![1_000u32, 44_100, 48_000, 90_000, 96_000]),
        ) {
            let edges: Vec<i64> = gaps.iter().scan(0, |t, gap| { *t += gap; Some(*t) }).collect();
            let made = segments(start..start + length, scale(source), &edges, Timescale::MPEG, scale(rate));
            prop_assert!(made.iter().all(|s| s.duration > 0 && s.start % 1_024 == 0 && s.duration % 1_024 == 0));
            prop_assert!(made.windows(2).all(|p| p[0].start + p[0].duration == p[1].start));
            // All of the sound, and less than a frame more on either side.
            let (first, last) = (made[0], made[made.len() - 1]);
            let exact = |samples: u64| u128::from(samples) * u128::from(source);
            let sound = |ticks: i64| u128::try_from(ticks).unwrap() * u128::from(rate);
            prop_assert!(exact(first.start) <= sound(start) && sound(start) < exact(first.start + 1_024));
            let end = last.start + last.duration;
            prop_assert!(exact(end) >= sound(start + length));
            prop_assert!(exact(end - 1_024) < sound(start + length).max(exact(first.start + 1)));
        }

        #[test]
        fn a_frame_is_decoded_from_the_same_samples_whatever_segment_it_is_in(
            frame in 0u64..5_000_000, before in 0u64..400, after in 1u64..400,
            source in prop::sample::select(vec![1_000u32, 44_100, 48_000, 90_000]),
        ) {
            let (rate, source) = (scale(48_000), scale(source));
            let alone = decoded(&(frame..frame + 1), rate, source);
            let within = decoded(&(frame.saturating_sub(before)..frame + after), rate, source);
            prop_assert!(within.start <= alone.start && within.end >= alone.end);
        }
    }
}
