//! Percentiles.

use std::time::Duration;

/// Sorted times.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// The value at percentile `p` of 100, in milliseconds; 0 without a measurement.
    pub(crate) fn ms(&self, p: usize) -> f64 {
        let at = (self.0.len() * p / 100).min(self.0.len().saturating_sub(1));
        self.0.get(at).map_or(0.0, |t| t.as_secs_f64() * 1e3)
    }

    /// `p50 / p95 / p99`.
    pub(crate) fn row(&self) -> String {
        format!("{:.2} / {:.2} / {:.2}", self.ms(50), self.ms(95), self.ms(99))
    }
}

/// Two decimals.
pub(crate) fn f2(x: f64) -> String {
    format!("{x:.2}")
}
