//! What both containers' plans have in common: the reference track, time zero, intervals, first frames.

use byte_source::ByteRange;
use container::{ContainerError, Movie, Timescale, TrackKind, codec::CodecConfig, codec::RandomAccess};

use super::{FirstFrame, Interval, PlanOptions, boundaries, boundaries::Key};
use crate::{limits, script::Asker};

/// The track whose keyframes the boundaries are: the first video that is a known codec (flagged default ones first),
/// else the first video, else audio in the same way. Only tracks for which `present` holds count.
pub(crate) fn reference(movie: &Movie, present: impl Fn(usize) -> bool) -> Option<usize> {
    [TrackKind::Video, TrackKind::Audio].into_iter().find_map(|kind| {
        let candidates = movie.tracks.iter().enumerate().filter(|(n, t)| t.kind == kind && present(*n));
        candidates
            .min_by_key(|(_, t)| (matches!(t.codec, CodecConfig::Other { .. }), !t.flags.default))
            .map(|(n, _)| n)
    })
}

/// Our time 0: the earliest presentation time of any audio or video track, as an exact fraction of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Zero {
    ticks: i64,
    timescale: Timescale,
}

impl Zero {
    /// The earliest of these times; 0 s if there are none.
    pub(crate) fn earliest(times: impl Iterator<Item = (i64, Timescale)>) -> Self {
        let exact = |(ticks, scale): &(i64, Timescale), other: &(i64, Timescale)| {
            let left = i128::from(*ticks) * i128::from(other.1.get());
            left.cmp(&(i128::from(other.0) * i128::from(scale.get())))
        };
        let (ticks, timescale) = times.min_by(exact).unwrap_or((0, Timescale::MILLIS));
        Self { ticks, timescale }
    }

    /// What to add to a stored time of this timescale to get our time.
    pub(crate) fn shift(self, timescale: Timescale) -> i64 {
        self.timescale.rescale(self.ticks, timescale).saturating_neg()
    }
}

/// The chosen boundaries as intervals.
pub(crate) fn intervals(keys: &[Key], end: i64, clock: Timescale, options: &PlanOptions) -> Vec<Interval> {
    let starts: Vec<i64> = keys.iter().map(|k| k.start).collect();
    boundaries::choose(&starts, end, clock, options)
        .into_iter()
        .take(limits::SEGMENTS_MAX)
        .filter_map(|n| keys.get(n))
        .map(|key| Interval {
            start: key.start,
            key: key.stored,
            place: key.place,
            relative: key.relative,
            kind: key.kind,
        })
        .collect()
}

/// Adds intervals of the target length where other tracks go on after the reference track's `end`. `place` tells where
/// such an interval's bytes begin.
pub(crate) fn beyond(
    intervals: &mut Vec<Interval>,
    end: i64,
    last_end: i64,
    clock: Timescale,
    options: &PlanOptions,
    place: impl Fn(i64) -> (u64, Option<u64>),
) {
    let (step, tail) =
        (boundaries::ticks(options.target_ms, clock).max(1), boundaries::ticks(options.tail_ms, clock));
    let mut at = end;
    while last_end.saturating_sub(at) > step.max(tail) && intervals.len() < limits::SEGMENTS_MAX {
        let (place, relative) = place(at);
        intervals.push(Interval { start: at, key: at, place, relative, kind: RandomAccess::No });
        at = at.saturating_add(step);
    }
}

/// Whether a segment that begins so decodes by itself. Where the codec does not say, the container is believed.
pub(crate) fn independent(kind: RandomAccess) -> bool {
    matches!(kind, RandomAccess::Clean | RandomAccess::Unknown)
}

/// Reads what completes a codec's configuration.
pub(crate) async fn first_frame(
    ask: &Asker,
    track: usize,
    payload: ByteRange,
) -> Result<FirstFrame, ContainerError> {
    let end = payload.end().min(payload.start().saturating_add(limits::FIRST_FRAME_BYTES));
    let bytes = ask.read(ByteRange::new(payload.start(), end)).await?;
    Ok(FirstFrame { track, bytes: bytes.to_vec() })
}

/// Ticks in whole milliseconds, never negative.
pub(crate) fn millis(ticks: i64, scale: Timescale) -> u64 {
    u64::try_from(scale.rescale(ticks, Timescale::MILLIS)).unwrap_or(0)
}

/// `amount` spread over `ticks`; all of it if there are none.
pub(crate) fn per_second(amount: u64, ticks: u64, scale: Timescale) -> u64 {
    if ticks == 0 {
        return amount;
    }
    u64::try_from(u128::from(amount) * u128::from(scale.get()) / u128::from(ticks)).unwrap_or(u64::MAX)
}

/// Greatest common divisor; the other number if one is 0.
pub(crate) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_the_earliest_time_compared_exactly() {
        let rate = Timescale::new(48_000).unwrap();
        let zero =
            Zero::earliest([(-1_024, rate), (-21, Timescale::MILLIS), (0, Timescale::MPEG)].into_iter());
        assert_eq!(zero.shift(rate), 1_024);
        assert_eq!(zero.shift(Timescale::MPEG), 1_920);
    }

    #[test]
    fn a_title_goes_on_in_steps_where_only_audio_is_left() {
        let mut intervals = Vec::new();
        beyond(&mut intervals, 10_000, 21_500, Timescale::MILLIS, &PlanOptions::default(), |_| (7, None));
        assert_eq!(intervals.iter().map(|i| i.start).collect::<Vec<_>>(), [10_000, 15_000]);
        beyond(&mut intervals, 10_000, 14_000, Timescale::MILLIS, &PlanOptions::default(), |_| (7, None));
        assert_eq!(intervals.len(), 2);
    }
}
