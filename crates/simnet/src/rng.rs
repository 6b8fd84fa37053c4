//! Chance in a scenario: times, places and lengths, from its seed.

use std::time::Duration;

/// What chance decides in a scenario.
#[derive(Clone, Debug)]
pub(crate) struct Rng(seeded::Rng);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seeded::Rng::new(seed ^ 0x5157_1d3a_9c0f_ee11))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.next()
    }

    /// A number within `range`.
    pub(crate) fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start).max(1)
    }

    /// A place in a list of `length`.
    pub(crate) fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.within(0..length as u64)).unwrap_or(0)
    }

    pub(crate) fn time(&mut self, range: std::ops::Range<Duration>) -> Duration {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.within(micros(range.start)..micros(range.end)))
    }

    /// True once in `of`; never for 0.
    pub(crate) fn once_in(&mut self, of: u64) -> bool {
        of > 0 && self.next().is_multiple_of(of)
    }
}
