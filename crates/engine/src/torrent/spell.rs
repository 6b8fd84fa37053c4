//! Waiting over the short gaps between reads: a player that waits most of the time waits, however short each of its waits is.
//!
//! A value: times are arguments. Why it waits is said in `crate::wait`.

use std::time::{Duration, Instant};

/// Who has waited for less does not count as waiting: on a fast line every read waits a little.
pub(crate) const WAIT_MIN: Duration = Duration::from_millis(200);
/// A gap between two waits that is longer than this ends what they make together.
const GAP_MAX: Duration = Duration::from_millis(200);
/// What was waited counts up to this, so that it is soon forgotten.
const BALANCE_MAX: Duration = Duration::from_millis(600);

/// The waits of one reader: time that it waits less time that it does not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spell {
    begun: Instant,
    balance: Duration,
    /// As of when.
    at: Instant,
    waits: bool,
}

impl Spell {
    pub(crate) fn new(now: Instant, waits: bool) -> Self {
        Self { begun: now, balance: Duration::ZERO, at: now, waits }
    }

    /// From `now` on a read waits, or none does.
    pub(crate) fn turn(&mut self, now: Instant, waits: bool) {
        let balance = self.balance(now);
        if waits && !self.waits && (balance.is_zero() || now.duration_since(self.at) > GAP_MAX) {
            *self = Self::new(now, true);
        } else if waits != self.waits {
            *self = Self { balance, at: now, waits, ..*self };
        }
    }

    fn balance(&self, now: Instant) -> Duration {
        let passed = now.duration_since(self.at);
        if self.waits {
            self.balance.saturating_add(passed).min(BALANCE_MAX)
        } else {
            self.balance.saturating_sub(passed)
        }
    }

    /// Since when it has waited most of the time, if it does and not just for a moment.
    pub(crate) fn since(&self, now: Instant) -> Option<Instant> {
        let goes_on = self.waits || now.duration_since(self.at) <= GAP_MAX;
        (goes_on && self.balance(now) >= WAIT_MIN).then_some(self.begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Looks after every wait and every gap: how many of the looks after the first two seconds find a wait, and the last one.
    fn looks(now: Instant, wait_ms: u32, gap_ms: u32) -> (usize, usize, Option<Instant>) {
        let (mut spell, mut at, mut found, mut looked) = (Spell::new(now, false), now, 0, 0);
        let mut last = None;
        for _ in 0..200 {
            for (waits, lasts) in [(true, wait_ms), (false, gap_ms)] {
                spell.turn(at, waits);
                at += MS * lasts;
                last = spell.since(at);
                if at >= now + 2_000 * MS {
                    looked += 1;
                    found += usize::from(last.is_some());
                }
            }
        }
        (found, looked, last)
    }

    #[test]
    fn one_long_wait_counts_from_its_beginning_and_is_over_soon_after_its_end() {
        let now = Instant::now();
        let mut spell = Spell::new(now, true);
        assert_eq!(spell.since(now + 199 * MS), None);
        assert_eq!(spell.since(now + 200 * MS), Some(now));
        spell.turn(now + 5_000 * MS, false);
        assert_eq!(spell.since(now + 5_201 * MS), None);
        // A wait after a pause is another.
        spell.turn(now + 5_300 * MS, true);
        assert_eq!(spell.since(now + 5_499 * MS), None);
        assert_eq!(spell.since(now + 5_500 * MS), Some(now + 5_300 * MS));
    }

    #[test]
    fn short_waits_make_one_when_they_are_most_of_the_time() {
        let now = Instant::now();
        for (wait_ms, gap_ms) in [(150, 5), (50, 10), (180, 60), (20, 1)] {
            let (found, looked, last) = looks(now, wait_ms, gap_ms);
            assert_eq!((found, last), (looked, Some(now)), "{wait_ms} ms, then {gap_ms} ms");
        }
    }

    #[test]
    fn short_waits_that_are_the_smaller_part_are_none() {
        let now = Instant::now();
        for (wait_ms, gap_ms) in [(0, 100), (1, 20), (20, 100), (90, 100), (190, 250), (199, 300)] {
            let (found, _, _) = looks(now, wait_ms, gap_ms);
            assert_eq!(found, 0, "{wait_ms} ms, then {gap_ms} ms");
        }
    }

    #[test]
    fn reads_that_are_answered_at_once_never_wait() {
        let now = Instant::now();
        let mut spell = Spell::new(now, false);
        for n in 0..1_000 {
            spell.turn(now + MS * n, false);
            assert_eq!(spell.since(now + MS * n), None);
        }
    }
}
