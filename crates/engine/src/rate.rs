//! Rate limits: token buckets that connections draw from, whole reads and writes at a time. Without a limit they cost one
//! load of an atomic.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// What a bucket saves up while nobody draws from it, in seconds of its rate.
const BURST_SECONDS: f64 = 0.1;

/// Nothing is given out below this many bytes (or what a tenth of a second brings, if less): no timer per block.
const QUANTUM_BYTES: f64 = 16_384.0;

/// Bytes a second, shared by many connections.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// Bytes a second; `u64::MAX` is no limit.
    rate: AtomicU64,
    state: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn new(rate: Option<u64>) -> Self {
        let level = Level { tokens: 0.0, at: Instant::now() };
        Self { rate: AtomicU64::new(rate.unwrap_or(u64::MAX)), state: Mutex::new(level) }
    }

    pub(crate) fn set(&self, rate: Option<u64>) {
        self.rate.store(rate.unwrap_or(u64::MAX), Ordering::Relaxed);
        let mut level = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        level.tokens = level.tokens.min(0.0);
    }

    pub(crate) fn rate(&self) -> Option<u64> {
        Some(self.rate.load(Ordering::Relaxed)).filter(|rate| *rate != u64::MAX)
    }

    /// Takes up to `wanted` bytes, or says how long to wait before asking again.
    fn take(&self, now: Instant, wanted: usize) -> Result<usize, Duration> {
        let Some(rate) = self.rate() else { return Ok(wanted) };
        #[expect(clippy::cast_precision_loss, reason = "a rate's last bits do not matter")]
        let (rate, asked) = (rate.max(1) as f64, wanted as f64);
        let mut level = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let quantum = asked.min(QUANTUM_BYTES).min((rate * BURST_SECONDS).max(1.0));
        let burst = (rate * BURST_SECONDS).max(quantum);
        level.tokens =
            (level.tokens + rate * now.saturating_duration_since(level.at).as_secs_f64()).min(burst);
        level.at = now;
        if level.tokens < quantum {
            return Err(Duration::from_secs_f64((quantum - level.tokens) / rate));
        }
        let granted = level.tokens.min(asked);
        level.tokens -= granted;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and wanted")]
        Ok((granted as usize).max(1))
    }

    /// Gives back what was taken and not used.
    fn give_back(&self, unused: usize) {
        if unused > 0 && self.rate().is_some() {
            #[expect(clippy::cast_precision_loss, reason = "at most a buffer")]
            let unused = unused as f64;
            self.state.lock().unwrap_or_else(PoisonError::into_inner).tokens += unused;
        }
    }
}

/// The buckets of one direction of one torrent's connections: its own and the session's.
#[derive(Clone, Debug)]
pub(crate) struct Limiter {
    session: Arc<Bucket>,
    torrent: Arc<Bucket>,
}

impl Limiter {
    pub(crate) fn new(session: Arc<Bucket>, torrent: Arc<Bucket>) -> Self {
        Self { session, torrent }
    }

    pub(crate) fn is_unlimited(&self) -> bool {
        self.session.rate().is_none() && self.torrent.rate().is_none()
    }

    /// Takes up to `wanted` bytes from both, or says how long to wait before asking again.
    pub(crate) fn take(&self, wanted: usize) -> Result<usize, Duration> {
        if self.is_unlimited() {
            return Ok(wanted);
        }
        let now = Instant::now();
        let own = self.torrent.take(now, wanted)?;
        match self.session.take(now, own) {
            Ok(both) => {
                self.torrent.give_back(own - both);
                Ok(both)
            }
            Err(wait) => {
                self.torrent.give_back(own);
                Err(wait)
            }
        }
    }

    pub(crate) fn give_back(&self, unused: usize) {
        self.torrent.give_back(unused);
        self.session.give_back(unused);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_grants_everything() {
        let bucket = Bucket::new(None);
        assert_eq!(bucket.take(Instant::now(), 1 << 20), Ok(1 << 20));
    }

    #[test]
    fn a_second_brings_the_rate_and_waiting_is_as_long_as_it_takes() {
        let bucket = Bucket::new(Some(1_000_000));
        let start = Instant::now();
        let (mut taken, mut waited) = (0, Duration::ZERO);
        while waited < Duration::from_secs(1) {
            match bucket.take(start + waited, 65_536) {
                Ok(bytes) => taken += bytes,
                Err(wait) => waited += wait.max(Duration::from_micros(1)),
            }
        }
        assert!((900_000..1_100_000).contains(&taken), "{taken}");
    }

    #[test]
    fn the_tighter_of_two_limits_counts_and_the_other_gets_back_its_share() {
        let session = Arc::new(Bucket::new(Some(10_000)));
        let torrent = Arc::new(Bucket::new(Some(1_000_000)));
        let limiter = Limiter::new(session, torrent.clone());
        std::thread::sleep(Duration::from_millis(20));
        let granted = limiter.take(65_536);
        assert!(granted.is_err() || granted.is_ok_and(|bytes| bytes <= 1_000), "{granted:?}");
        let left = torrent.state.lock().unwrap().tokens;
        assert!(left > 10_000.0, "{left}");
    }
}
