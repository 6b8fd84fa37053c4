//! Ticks and timescales.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// Ticks per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Timescale(NonZeroU32);

impl Timescale {
    /// One tick a millisecond.
    pub const MILLIS: Self = Self(NonZeroU32::new(1_000).expect("not zero"));
    /// One tick a microsecond.
    pub const MICROS: Self = Self(NonZeroU32::new(1_000_000).expect("not zero"));
    /// The 90 kHz of MPEG-TS.
    pub const MPEG: Self = Self(NonZeroU32::new(90_000).expect("not zero"));

    /// `None` for zero.
    #[must_use]
    pub const fn new(ticks_per_second: u32) -> Option<Self> {
        match NonZeroU32::new(ticks_per_second) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }

    /// Ticks per second.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// `ticks` of this scale in ticks of `to`, rounded to nearest, halves up. Saturates.
    #[must_use]
    pub fn rescale(self, ticks: i64, to: Self) -> i64 {
        if self == to {
            return ticks;
        }
        let (num, den) = (i128::from(ticks) * i128::from(to.get()), i128::from(self.get()));
        clamp((2 * num + den).div_euclid(2 * den))
    }

    /// `ticks` of this scale in ticks of `to`, rounded up: the first tick of `to` at or after that instant.
    #[must_use]
    pub fn rescale_ceil(self, ticks: i64, to: Self) -> i64 {
        let (num, den) = (i128::from(ticks) * i128::from(to.get()), i128::from(self.get()));
        clamp(-(-num).div_euclid(den))
    }

    /// `ticks` in seconds.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds for people and playlists; 2^53 ticks is millennia"
    )]
    pub fn seconds(self, ticks: i64) -> f64 {
        ticks as f64 / f64::from(self.get())
    }
}

fn clamp(ticks: i128) -> i64 {
    i64::try_from(ticks).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rescaling_rounds_to_nearest_and_up() {
        let (ms, mpeg) = (Timescale::MILLIS, Timescale::MPEG);
        assert_eq!(mpeg.rescale(3_003, ms), 33);
        assert_eq!(mpeg.rescale(-3_003, ms), -33);
        assert_eq!(mpeg.rescale_ceil(3_003, ms), 34);
        assert_eq!(ms.rescale(i64::MAX, mpeg), i64::MAX);
    }
}
