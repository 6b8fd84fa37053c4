//! What a run showed, against what the links allow.

use std::{fmt, time::Duration};

/// One seek, or a start.
#[derive(Clone, Debug)]
pub struct Seek {
    /// When.
    pub at: Duration,
    /// Where to, in bytes.
    pub position: u64,
    /// When its first piece was whole.
    pub first: Option<Duration>,
    /// When its first 4 MiB were.
    pub four: Option<Duration>,
    /// What the links allow for the first piece.
    pub first_bound: Duration,
    /// What they allow for the first 4 MiB.
    pub four_bound: Duration,
}

impl fmt::Display for Seek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = |at: Option<Duration>| at.map_or(f64::INFINITY, |at| (at - self.at).as_secs_f64());
        write!(
            f,
            "at {:.3} s to {:.1} MiB: first byte {:.3} s of {:.3}, 4 MiB {:.3} s of {:.3}",
            self.at.as_secs_f64(),
            self.position as f64 / f64::from(1 << 20),
            took(self.first),
            self.first_bound.as_secs_f64(),
            took(self.four),
            self.four_bound.as_secs_f64(),
        )
    }
}

/// A run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which scenario.
    pub name: &'static str,
    /// Which seeds.
    pub seeds: Vec<u64>,
    /// Starts and seeks of all players that were not served from what was there.
    pub seeks: Vec<Seek>,
    /// When each run ended, for seeks that were not served by then.
    pub ended: Duration,
    /// Time in which players stood still, per time in which they should have played.
    pub stall_time: Duration,
    /// The same: the time they played.
    pub play_time: Duration,
    /// Payload that came.
    pub downloaded: u64,
    /// Payload that came twice or unasked.
    pub wasted: u64,
    /// Corrupt pieces and banned peers.
    pub corrupt: (u32, u32),
    /// Everybody's completion, per what the links allow.
    pub complete_ratio: Option<f64>,
}

/// Ratios of what was reached to what the links allow, for the middle and nearly the worst seek.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ratios {
    /// The middle.
    pub p50: f64,
    /// 19 of 20 are better.
    pub p95: f64,
}

fn percentile(sorted: &[f64], part: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "few values"
    )]
    let at = (sorted.len() as f64 * part) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

fn ratios(mut all: Vec<f64>) -> Ratios {
    all.sort_by(f64::total_cmp);
    Ratios { p50: percentile(&all, 0.5), p95: percentile(&all, 0.95) }
}

impl Report {
    pub(crate) fn new(name: &'static str, seed: u64) -> Self {
        Self {
            name,
            seeds: vec![seed],
            seeks: Vec::new(),
            ended: Duration::ZERO,
            stall_time: Duration::ZERO,
            play_time: Duration::ZERO,
            downloaded: 0,
            wasted: 0,
            corrupt: (0, 0),
            complete_ratio: None,
        }
    }

    /// Takes another run of the same scenario into account.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.seeds.extend(other.seeds);
        self.seeks.extend(other.seeks);
        self.ended = self.ended.max(other.ended);
        self.stall_time += other.stall_time;
        self.play_time += other.play_time;
        self.downloaded += other.downloaded;
        self.wasted += other.wasted;
        self.corrupt = (self.corrupt.0 + other.corrupt.0, self.corrupt.1 + other.corrupt.1);
        self.complete_ratio = match (self.complete_ratio, other.complete_ratio) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        self
    }

    fn times(&self, done: impl Fn(&Seek) -> (Option<Duration>, Duration)) -> (Vec<f64>, Vec<f64>) {
        let needed = self.seeks.iter().filter(|seek| done(seek).1 > Duration::ZERO);
        needed
            .map(|seek| {
                let (at, bound) = done(seek);
                let took = at.unwrap_or(self.ended.max(seek.at)).saturating_sub(seek.at).as_secs_f64();
                (took / bound.as_secs_f64(), took)
            })
            .unzip()
    }

    /// The first piece after a start or seek.
    #[must_use]
    pub fn first(&self) -> Ratios {
        ratios(self.times(|seek| (seek.first, seek.first_bound)).0)
    }

    /// The same in seconds.
    #[must_use]
    pub fn first_seconds(&self) -> Ratios {
        ratios(self.times(|seek| (seek.first, seek.first_bound)).1)
    }

    /// The first 4 MiB after a start or seek.
    #[must_use]
    pub fn four(&self) -> Ratios {
        ratios(self.times(|seek| (seek.four, seek.four_bound)).0)
    }

    /// Part of the time in which players stood still.
    #[must_use]
    pub fn stalls(&self) -> f64 {
        let all = (self.stall_time + self.play_time).as_secs_f64();
        if all > 0.0 { self.stall_time.as_secs_f64() / all } else { 0.0 }
    }

    /// Part of the payload that came for nothing.
    #[must_use]
    pub fn waste(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let waste = self.wasted as f64 / self.downloaded.max(1) as f64;
        waste
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, four, seconds) = (self.first(), self.four(), self.first_seconds());
        write!(
            f,
            "{:<22} first byte {:5.2}x p95 {:5.2}x ({:.3} s, {:.3} s)  4 MiB {:5.2}x p95 {:5.2}x  stalls {:4.1} %  waste {:4.2} %",
            self.name,
            first.p50,
            first.p95,
            seconds.p50,
            seconds.p95,
            four.p50,
            four.p95,
            self.stalls() * 100.0,
            self.waste() * 100.0,
        )?;
        if let Some(ratio) = self.complete_ratio {
            write!(f, "  all complete {ratio:.2}x")?;
        }
        if self.corrupt.0 > 0 {
            write!(f, "  corrupt {} banned {}", self.corrupt.0, self.corrupt.1)?;
        }
        let seeds: Vec<String> = self.seeds.iter().map(u64::to_string).collect();
        write!(f, "\n    cargo run -p simnet -- {} --seed {}", self.name, seeds.join(","))
    }
}
