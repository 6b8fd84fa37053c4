//! Units of time.

use crate::{error::Error, sys};

/// A timestamp beyond this is refused: FFmpeg multiplies timestamps, and signed overflow in C is undefined.
const TICKS_MAX: i64 = 1 << 53;

/// What one tick of a timestamp lasts, in seconds: `num / den`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeBase {
    /// Numerator, at least 1.
    pub num: u32,
    /// Denominator, at least 1.
    pub den: u32,
}

impl TimeBase {
    /// `1 / timescale` seconds a tick.
    pub fn per_second(timescale: u32) -> Self {
        Self { num: 1, den: timescale }
    }

    pub(crate) fn rational(self) -> Result<sys::AVRational, Error> {
        match (i32::try_from(self.num), i32::try_from(self.den)) {
            (Ok(num @ 1..), Ok(den @ 1..)) => Ok(sys::AVRational { num, den }),
            _ => Err(Error::Setting { what: "time base", value: format!("{}/{}", self.num, self.den) }),
        }
    }
}

/// A timestamp for FFmpeg; `None` is its "no value".
pub(crate) fn ticks(time: Option<i64>) -> Result<i64, Error> {
    match time {
        None => Ok(sys::NO_TIME),
        Some(time) if time.abs_diff(0) <= TICKS_MAX.unsigned_abs() => Ok(time),
        Some(time) => {
            Err(Error::Limit { what: "timestamp", value: time.unsigned_abs(), limit: TICKS_MAX as u64 })
        }
    }
}

/// `ticks` of `from` in ticks of `to`, to the nearest.
pub(crate) fn rescale(ticks: i64, from: sys::AVRational, to: sys::AVRational) -> i64 {
    let num = i128::from(from.num) * i128::from(to.den);
    let den = i128::from(from.den) * i128::from(to.num);
    if den <= 0 {
        return ticks;
    }
    let scaled = (i128::from(ticks) * num * 2 + den).div_euclid(den * 2);
    i64::try_from(scaled).unwrap_or(if scaled < 0 { i64::MIN } else { i64::MAX })
}

/// How long each frame lasts, by its timestamp, while FFmpeg holds it: not every version carries durations through.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    open: std::collections::BTreeMap<i64, i64>,
}

impl Durations {
    /// More than any decoder, filter or look-ahead holds back. The oldest go first.
    const HELD_MAX: usize = 1024;

    pub(crate) fn insert(&mut self, pts: i64, duration: i64) {
        if self.open.len() >= Self::HELD_MAX {
            self.open.pop_first();
        }
        self.open.insert(pts, duration);
    }

    pub(crate) fn take(&mut self, pts: i64) -> i64 {
        self.open.remove(&pts).unwrap_or(0)
    }

    pub(crate) fn clear(&mut self) {
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rescaled_time_is_the_nearest_tick_also_below_zero() {
        let (ms, film) = (sys::AVRational { num: 1, den: 1000 }, sys::AVRational { num: 1001, den: 24000 });
        assert_eq!(rescale(24, film, ms), 1001);
        assert_eq!(rescale(1, film, ms), 42);
        assert_eq!(rescale(-1, film, ms), -42);
        assert_eq!(rescale(1001, ms, film), 24);
    }

    #[test]
    fn durations_are_bounded() {
        let mut held = Durations::default();
        for pts in 0..5000 {
            held.insert(pts, 1);
        }
        assert_eq!((held.open.len(), held.take(4999), held.take(4999)), (Durations::HELD_MAX, 1, 0));
    }

    #[test]
    fn a_timestamp_that_c_could_overflow_is_refused() {
        assert!(ticks(Some(i64::MIN)).is_err() && ticks(Some(i64::MAX)).is_err());
        assert_eq!(ticks(Some(-5)).unwrap(), -5);
    }
}
