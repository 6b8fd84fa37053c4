//! Bytes per second over a sliding window, true from the first bytes on.

use std::time::Duration;

/// Buckets of a window.
const BUCKETS: usize = 16;

/// How much passed in the last while.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    buckets: [u64; BUCKETS],
    sum: u64,
    width_ns: u64,
    /// Number of the bucket that holds the last known moment.
    newest: u64,
    /// Since when it measures, in nanoseconds.
    since_ns: u64,
}

impl Meter {
    /// Measures over about `window`.
    pub(crate) fn new(window: Duration) -> Self {
        let width_ns = nanos(window) / BUCKETS as u64;
        Self { buckets: [0; BUCKETS], sum: 0, width_ns: width_ns.max(1), newest: 0, since_ns: 0 }
    }

    /// Forgets everything: measuring begins now.
    pub(crate) fn restart(&mut self, now: Duration) {
        self.buckets = [0; BUCKETS];
        self.sum = 0;
        self.since_ns = nanos(now);
        self.newest = self.since_ns / self.width_ns;
    }

    pub(crate) fn add(&mut self, now: Duration, bytes: u64) {
        if self.sum == 0 && self.since_ns == 0 {
            self.restart(now);
        }
        self.advance(now);
        self.buckets[slot(self.newest)] += bytes;
        self.sum += bytes;
    }

    fn advance(&mut self, now: Duration) {
        let number = nanos(now) / self.width_ns;
        let steps = number.saturating_sub(self.newest);
        if steps >= BUCKETS as u64 {
            self.buckets = [0; BUCKETS];
            self.sum = 0;
        } else {
            for step in 1..=steps {
                let bucket = &mut self.buckets[slot(self.newest + step)];
                self.sum -= *bucket;
                *bucket = 0;
            }
        }
        self.newest = self.newest.max(number);
    }

    /// How long the window reaches back.
    pub(crate) fn span(&self, now: Duration) -> Duration {
        let now_ns = nanos(now);
        let oldest = (now_ns / self.width_ns).saturating_sub(BUCKETS as u64 - 1) * self.width_ns;
        Duration::from_nanos(now_ns.saturating_sub(oldest.max(self.since_ns)))
    }

    /// Bytes of the window.
    pub(crate) fn bytes(&self, now: Duration) -> u64 {
        let number = nanos(now) / self.width_ns;
        let steps = number.saturating_sub(self.newest).min(BUCKETS as u64);
        let gone: u64 = (1..=steps).map(|step| self.buckets[slot(self.newest + step)]).sum();
        self.sum - gone
    }

    /// Bytes per second; a window shorter than `span_min` counts as that long, so that one early block is no gigabit.
    pub(crate) fn rate(&self, now: Duration, span_min: Duration) -> u64 {
        rate_of(self.bytes(now), self.span(now).max(span_min))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a remainder by 16")]
fn slot(number: u64) -> usize {
    (number % BUCKETS as u64) as usize
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Bytes per second, when `bytes` passed in `time`.
pub(crate) fn rate_of(bytes: u64, time: Duration) -> u64 {
    let rate = u128::from(bytes) * 1_000_000_000 / time.as_nanos().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// The bytes that pass in `time` at `rate` bytes per second.
pub(crate) fn bytes_in(rate: u64, time: Duration) -> u64 {
    u64::try_from(u128::from(rate) * time.as_nanos() / 1_000_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_steady_flow_is_measured_at_its_rate_early_and_late() {
        let mut meter = Meter::new(1000 * MS);
        meter.restart(5000 * MS);
        for step in 1..4000u32 {
            meter.add(5000 * MS + step * MS, 1000);
            if step > 20 {
                let rate = meter.rate(5000 * MS + step * MS, MS);
                assert!((900_000..=1_100_000).contains(&rate), "{rate} after {step} ms");
            }
        }
        assert_eq!(meter.rate(20_000 * MS, MS), 0);
    }
}
