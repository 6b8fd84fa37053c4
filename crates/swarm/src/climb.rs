//! How much a watched peer's queue holds beyond the shortest round trip, found by trying.
//!
//! On a quiet path a few milliseconds keep the sender busy. Where answers take longer than the shortest one did (a sender
//! that serves others in turn, a path that others fill), a queue that short starves: fewer requests bring a lower rate, which
//! allows fewer requests. So now and then a little more is asked for, kept if the rate rises by it, and given up
//! again if not.

use std::time::Duration;

use crate::rate::rate_of;

/// No less.
pub(crate) const SLACK_MIN: Duration = Duration::from_millis(25);
/// No more: a seek waits for it.
const SLACK_MAX: Duration = Duration::from_millis(250);
/// A try lasts this many queues ...
const TRY_QUEUES: u32 = 4;
/// ... but at least ...
const TRY_MIN: Duration = Duration::from_millis(300);
/// ... and at most so long.
const TRY_MAX: Duration = Duration::from_millis(2_000);
/// After a try in vain the next waits for this many times as long, and after each further one for twice that: a seek that comes
/// during a try waits for more than it should.
const REST: u32 = 3;
/// The longest wait between tries, in the length of a try.
const REST_MAX: u32 = 12;
/// A rise in per cent that is none by chance.
const RISE_PERCENT: u64 = 8;

/// What a rate of before loses of its weight with each try: one part in so many.
const FADE: u64 = 12;

/// The search for the slack of one peer.
#[derive(Clone, Debug)]
pub(crate) struct Climb {
    slack: Duration,
    /// What is tried instead of `slack`, if anything.
    trial: Option<Duration>,
    began: Duration,
    bytes: u64,
    /// Bytes per second with `slack`; 0 when not measured.
    rate: u64,
    /// The wait for the next try, in the length of a try.
    rest: u32,
}

impl Climb {
    pub(crate) fn new() -> Self {
        Self { slack: SLACK_MIN, trial: None, began: Duration::ZERO, bytes: 0, rate: 0, rest: REST }
    }

    /// How much to have in flight beyond the round trip, in time.
    pub(crate) fn slack(&self) -> Duration {
        self.trial.unwrap_or(self.slack)
    }

    pub(crate) fn received(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// What is in flight was bounded by something else: a rate says nothing about the slack.
    pub(crate) fn interrupted(&mut self, now: Duration) {
        self.trial = None;
        self.rate = 0;
        self.restart(now);
    }

    fn restart(&mut self, now: Duration) {
        self.began = now;
        self.bytes = 0;
    }

    /// Goes on, given the shortest round trip.
    pub(crate) fn step(&mut self, now: Duration, round_trip: Duration) {
        let lasts = ((round_trip + self.slack()) * TRY_QUEUES).clamp(TRY_MIN, TRY_MAX);
        let lasts = if self.trial.is_some() { lasts } else { lasts * self.rest };
        let passed = now.saturating_sub(self.began);
        if passed < lasts {
            return;
        }
        let rate = rate_of(self.bytes, passed);
        match self.trial.take() {
            Some(trial) if rate > self.rate + self.rate / 100 * RISE_PERCENT => {
                self.slack = trial;
                self.rest = REST;
                self.trial = Some((trial * 2).min(SLACK_MAX)).filter(|next| *next > trial);
            }
            Some(_) => {
                self.slack = (self.slack * 4 / 5).max(SLACK_MIN);
                self.rest = (self.rest * 2).min(REST_MAX);
            }
            None => self.trial = Some((self.slack * 2).min(SLACK_MAX)),
        }
        // A sender whose token bucket is filled twice a second has good and bad stretches: a rise is one over the good ones.
        self.rate = rate.max(self.rate - self.rate / FADE);
        self.restart(now);
    }
}
