//! Exact times from rounded ones: the frame rate behind a DefaultDuration, and the grid behind millisecond times.
//!
//! Matroska rounds times to a tick, nearly always a millisecond. Where frames are equally long, the exact times are
//! `first + n * frame`; a grid is accepted only if every time that was seen lies on it.

use container::{Rational, Timescale};

use super::Clock;

/// Rates that video comes in. Others are kept as milliseconds.
pub(crate) const RATES: [(u32, u32); 22] = [
    (24_000, 1_001),
    (24, 1),
    (25, 1),
    (30_000, 1_001),
    (30, 1),
    (50, 1),
    (60_000, 1_001),
    (60, 1),
    (48_000, 1_001),
    (48, 1),
    (100, 1),
    (120_000, 1_001),
    (120, 1),
    (240, 1),
    (25, 2),
    (15, 1),
    (15_000, 1_001),
    (12, 1),
    (12_000, 1_001),
    (10, 1),
    (20, 1),
    (5, 1),
];

/// A stored time may be this far off the grid: half a millisecond of its own rounding, and as much of the first one's.
const OFF_NS_MAX: i128 = 1_050_000;
/// Sound is stored by some muxers with a millisecond of jitter more.
const AUDIO_OFF_NS_MAX: i128 = 2_050_000;
/// Frames shorter than this would be taken for their neighbours.
const FRAME_NS_MIN: i128 = 4_000_000;
const NS: i128 = 1_000_000_000;

/// The known rate of frames that last `frame_ns`, which muxers round to a nanosecond or so.
pub(crate) fn known_rate(frame_ns: u64) -> Option<Rational> {
    RATES
        .iter()
        .find(|(num, den)| {
            let exact = NS * i128::from(*den);
            // 23.976 and 24 are a thousandth apart; a fifty-thousandth tells them and forgives rounding.
            (i128::from(frame_ns) * i128::from(*num) - exact).abs() * 50_000 <= exact
        })
        .map(|(num, den)| Rational { num: *num, den: *den })
}

/// The rate itself if it is a known one, in whatever terms it is stated.
pub(crate) fn known(rate: Rational) -> Option<Rational> {
    let frame_ns = NS * i128::from(rate.den) / i128::from(rate.num.max(1));
    known_rate(u64::try_from(frame_ns).ok()?)
}

/// The grid of video at `rate` on which all of `times_ns` lie; the first is the first picture's. With its timescale.
pub(crate) fn video(rate: Rational, first_ns: i64, times_ns: &[i64]) -> Option<(Timescale, Clock)> {
    // At least some thousand ticks a second, so that a shift by audio priming does not bend the times.
    let times = if rate.num < 1_000 { 1_000 } else { 1 };
    let timescale = Timescale::new(rate.num.checked_mul(times)?)?;
    let frame = rate.den.checked_mul(times)?;
    let first = origin(timescale, frame, first_ns, times_ns, OFF_NS_MAX)?;
    Some((timescale, Clock::Grid { first, frame }))
}

/// The grid of audio frames of `frame` samples on which all of `times_ns` lie.
pub(crate) fn audio(rate: Timescale, frame: u32, first_ns: i64, times_ns: &[i64]) -> Option<Clock> {
    if i128::from(frame) * NS < FRAME_NS_MIN * i128::from(rate.get()) {
        return None;
    }
    Some(Clock::Grid { first: origin(rate, frame, first_ns, times_ns, AUDIO_OFF_NS_MAX)?, frame })
}

/// Where frame 0 is: the first time, moved by the middle of what the others are off, since the first was rounded, too.
/// `None` if one of them is off too far.
fn origin(timescale: Timescale, frame: u32, first_ns: i64, times_ns: &[i64], most: i128) -> Option<i64> {
    if frame == 0 {
        return None;
    }
    let scale = i128::from(timescale.get());
    let off = |ns: i64| {
        let since = i128::from(ns) - i128::from(first_ns);
        let n = (2 * since * scale + i128::from(frame) * NS).div_euclid(2 * i128::from(frame) * NS);
        since - n * i128::from(frame) * NS / scale
    };
    let (mut least, mut greatest) = (0i128, 0i128);
    for ns in times_ns {
        let off = off(*ns);
        least = least.min(off);
        greatest = greatest.max(off);
    }
    if greatest - least > most || greatest > most || -least > most {
        return None;
    }
    Some(ticks_of_ns(i128::from(first_ns) + (least + greatest) / 2, timescale))
}

fn ticks_of_ns(ns: i128, timescale: Timescale) -> i64 {
    let scaled = ns * i128::from(timescale.get());
    i64::try_from((2 * scaled + NS).div_euclid(2 * NS)).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

impl Clock {
    /// A time stored in nanoseconds, in ticks before the shift: on the grid if it is near it, else as it is.
    pub(crate) fn ticks(self, ns: i64, timescale: Timescale) -> i64 {
        let stored = ticks_of_ns(i128::from(ns), timescale);
        let Self::Grid { first, frame } = self else { return stored };
        let on_grid = self.time(self.frame_at(stored)).unwrap_or(first);
        // Two milliseconds, but never as far as a neighbour.
        let near = (u64::from(timescale.get()) / 500).min(u64::from(frame) / 3);
        if on_grid.abs_diff(stored) <= near { on_grid } else { stored }
    }

    /// Number of the grid's frame that is nearest to `ticks` (before the shift); 0 without a grid.
    pub(crate) fn frame_at(self, ticks: i64) -> i64 {
        let Self::Grid { first, frame } = self else { return 0 };
        let frame = i64::from(frame.max(1));
        ticks.saturating_sub(first).saturating_add(frame / 2).div_euclid(frame)
    }

    /// Time of the grid's frame `n`, ticks before the shift.
    pub(crate) fn time(self, n: i64) -> Option<i64> {
        let Self::Grid { first, frame } = self else { return None };
        Some(first.saturating_add(n.saturating_mul(i64::from(frame))))
    }

    /// Ticks of a frame of the grid.
    pub(crate) fn frame(self) -> Option<u32> {
        match self {
            Self::Grid { frame, .. } => Some(frame),
            Self::Table { .. } | Self::Stored => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn rounded_durations_are_known_rates() {
        let rate = |ns| known_rate(ns).map(|r| (r.num, r.den));
        assert_eq!(rate(41_708_333), Some((24_000, 1_001)));
        assert_eq!(rate(41_666_666), Some((24, 1)));
        assert_eq!(rate(16_683_333), Some((60_000, 1_001)));
        assert_eq!(rate(80_000_000), Some((25, 2)));
        assert_eq!(rate(52_500_000), None);
    }

    #[test]
    fn a_default_duration_that_lies_is_found_out() {
        let rate = Rational { num: 25, den: 1 };
        assert!(video(rate, 0, &[40 * MS, 80 * MS, 1_200 * MS]).is_some());
        assert!(video(rate, 0, &[40 * MS, 80 * MS, 1_217 * MS]).is_none());
    }

    #[test]
    fn what_is_off_the_grid_keeps_its_own_time() {
        let clock = Clock::Grid { first: 0, frame: 1_000 };
        let scale = Timescale::new(25_000).unwrap();
        assert_eq!(clock.ticks(41 * MS, scale), 1_000);
        assert_eq!(clock.ticks(50 * MS, scale), 1_250);
    }

    proptest! {
        #[test]
        fn rounded_times_go_back_to_the_exact_grid(
            rate in prop::sample::select(RATES.to_vec()),
            offset_us in 0i64..2_000_000,
            frames in prop::collection::vec(0i64..200_000, 3..40),
        ) {
            let (num, den) = (i128::from(rate.0), i128::from(rate.1));
            let exact_ns = |n: i64| i128::from(offset_us) * 1_000 + i128::from(n) * NS * den / num;
            let stored = |n: i64| i64::try_from((exact_ns(n) + 500_000).div_euclid(1_000_000)).unwrap() * MS;
            let times: Vec<i64> = frames.iter().map(|n| stored(*n)).collect();
            let (scale, clock) = video(Rational { num: rate.0, den: rate.1 }, stored(0), &times).unwrap();
            let first = clock.ticks(stored(0), scale);
            for n in frames {
                let ticks = clock.ticks(stored(n), scale);
                let frame = i64::from(clock.frame().unwrap());
                prop_assert_eq!(ticks - first, n * frame);
                let ns = i128::from(ticks) * NS / i128::from(scale.get());
                prop_assert!((ns - exact_ns(n)).abs() < 1_000_000);
            }
        }

        #[test]
        fn audio_frames_are_found_again(offset_ms in 0i64..3_000, n in 0i64..500_000) {
            let rate = Timescale::new(44_100).unwrap();
            let exact = |n: i64| i128::from(offset_ms) * 1_000_000 + i128::from(n) * 1_024 * NS / 44_100;
            let stored = |n: i64| i64::try_from((exact(n) + 500_000).div_euclid(1_000_000)).unwrap() * MS;
            let times: Vec<i64> = [1, 2, 3, n].map(stored).into();
            let clock = audio(rate, 1_024, stored(0), &times).unwrap();
            let first = clock.ticks(stored(0), rate);
            prop_assert_eq!(clock.ticks(stored(n), rate) - first, n * 1_024);
        }
    }
}
