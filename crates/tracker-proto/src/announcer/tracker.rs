//! One tracker of a torrent: what it knows of us, how it fares, when it may be asked again.

use core::time::Duration;

use crate::{
    answer::{AnnounceAnswer, Failure, Retry},
    request::Event,
    scrape::ScrapeEntry,
    status::{TrackerState, TrackerStatus},
    url::TrackerUrl,
};

/// Where a tracker does not say: what BEP 15's and most others' say.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(30 * 60);
/// A tracker that asks for less is mistaken or means harm.
const INTERVAL_MIN: Duration = Duration::from_secs(30);
/// A tracker that asks for more would not be asked again before the peers it gave are gone.
const INTERVAL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Between two announces on demand, where a tracker gives no minimum.
const DEMAND_MIN: Duration = Duration::from_secs(60);
/// Between two tries on demand of a tracker that fails.
const RETRY_DEMAND_MIN: Duration = Duration::from_secs(5);
/// The first wait after a failure; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(10);
const RETRY_MAX: Duration = Duration::from_secs(60 * 60);
/// Intervals are stretched by up to a part in this many, so that torrents started together do not stay together.
const INTERVAL_SPREAD: u32 = 16;
/// What a tracker may have us keep for it.
const TRACKER_ID_BYTES_MAX: usize = 256;

/// Whether a tracker lists us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    No,
    /// A `started` went out and no answer came.
    Perhaps,
    Yes,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub(crate) since: Duration,
    event: Option<Event>,
}

#[derive(Debug)]
pub(crate) struct Tracker {
    pub(crate) url: TrackerUrl,
    pub(crate) tier: u32,
    pub(crate) known: Known,
    pub(crate) completed_told: bool,
    pub(crate) off: bool,
    pub(crate) in_flight: Option<Flight>,
    /// When it is asked by itself.
    pub(crate) due: Duration,
    pub(crate) tracker_id: Option<Vec<u8>>,
    /// Before this not even on demand.
    earliest: Duration,
    failures: u32,
    leaving: bool,
    message: Option<String>,
    peers: Option<u32>,
    counts: [Option<u32>; 3],
    last: Option<Duration>,
}

impl Tracker {
    pub(crate) fn new(url: TrackerUrl, tier: u32, now: Duration) -> Self {
        Self {
            url,
            tier,
            known: Known::No,
            completed_told: false,
            off: false,
            in_flight: None,
            due: now,
            tracker_id: None,
            earliest: now,
            failures: 0,
            leaving: false,
            message: None,
            peers: None,
            counts: [None; 3],
            last: None,
        }
    }

    pub(crate) fn is_working(&self) -> bool {
        self.known == Known::Yes && self.failures == 0
    }

    pub(crate) fn has_answered(&self) -> bool {
        self.last.is_some()
    }

    /// What its next regular announce says.
    pub(crate) fn event(&self, completed: bool) -> Option<Event> {
        match self.known {
            Known::No | Known::Perhaps => Some(Event::Started),
            Known::Yes if completed && !self.completed_told => Some(Event::Completed),
            Known::Yes => None,
        }
    }

    pub(crate) fn announcing(&mut self, now: Duration, event: Option<Event>) {
        if event == Some(Event::Stopped) {
            self.leaving = false;
        }
        self.in_flight = Some(Flight { since: now, event });
    }

    /// Whether the answer was awaited and the tracker now lists us.
    pub(crate) fn answered(&mut self, now: Duration, answer: &AnnounceAnswer, jitter: u64) -> bool {
        let Some(flight) = self.in_flight.take() else { return false };
        self.failures = 0;
        self.last = Some(now);
        self.message.clone_from(&answer.warning);
        if flight.event == Some(Event::Stopped) {
            self.known = Known::No;
            return false;
        }
        self.known = Known::Yes;
        self.completed_told |= flight.event == Some(Event::Completed);
        if let Some(id) = answer.tracker_id.as_ref().filter(|id| id.len() <= TRACKER_ID_BYTES_MAX) {
            self.tracker_id = Some(id.clone());
        }
        let [seeders, leechers, downloaded] = &mut self.counts;
        *seeders = answer.seeders.or(*seeders);
        *leechers = answer.leechers.or(*leechers);
        *downloaded = answer.downloaded.or(*downloaded);
        self.peers = u32::try_from(answer.peers.len()).ok();
        let least = answer.min_interval.unwrap_or(Duration::ZERO).min(INTERVAL_MAX);
        let interval =
            answer.interval.unwrap_or(INTERVAL_DEFAULT).clamp(INTERVAL_MIN, INTERVAL_MAX).max(least);
        self.due = now + interval + part(interval / INTERVAL_SPREAD, jitter);
        self.earliest = now + answer.min_interval.map_or(DEMAND_MIN.min(interval), |_| least);
        true
    }

    pub(crate) fn failed(&mut self, now: Duration, failure: &Failure, jitter: u64) {
        let Some(flight) = self.in_flight.take() else { return };
        self.message = Some(failure.to_string());
        if flight.event == Some(Event::Stopped) {
            // Told once: a tracker that is not there forgets us by itself.
            self.known = Known::No;
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if matches!(failure, Failure::NoAnswer { .. }) && self.known == Known::No {
            self.known = Known::Perhaps;
        }
        self.earliest = now + RETRY_DEMAND_MIN;
        match failure {
            Failure::Refused { retry: Some(Retry::Never), .. } => self.off = true,
            Failure::Refused { retry: Some(Retry::In(wait)), .. } => {
                self.due = now + (*wait).clamp(RETRY_MIN, INTERVAL_MAX);
                self.earliest = self.due;
            }
            _ => {
                let wait = (RETRY_MIN * (1 << (self.failures - 1).min(16))).min(RETRY_MAX);
                self.due = now + wait * 3 / 4 + part(wait / 2, jitter);
            }
        }
    }

    pub(crate) fn scraped(&mut self, entry: &ScrapeEntry) {
        self.counts = [Some(entry.seeders), Some(entry.leechers), Some(entry.downloaded)];
    }

    pub(crate) fn hurry(&mut self, now: Duration) {
        self.due = self.due.min(self.earliest.max(now));
    }

    pub(crate) fn stopping(&mut self) {
        let heard = match self.in_flight {
            Some(Flight { event: Some(Event::Stopped), .. }) => false,
            Some(_) => true,
            None => self.known != Known::No,
        };
        self.leaving |= heard && !self.off;
    }

    pub(crate) fn owes_stopped(&self) -> bool {
        self.leaving
    }

    pub(crate) fn resume(&mut self, now: Duration) {
        self.leaving = false;
        self.failures = 0;
        self.due = now;
        self.earliest = now;
    }

    pub(crate) fn status(&self, running: bool) -> TrackerStatus {
        let state = match (self.in_flight, self.failures, self.known) {
            (Some(_), ..) => TrackerState::Announcing,
            _ if !running => TrackerState::Stopped,
            _ if self.off => TrackerState::Off,
            (None, 0, Known::Yes) => TrackerState::Working,
            (None, 0, _) => TrackerState::Idle,
            _ => TrackerState::Failing,
        };
        let waits = running && !self.off && self.in_flight.is_none() && state != TrackerState::Idle;
        let [seeders, leechers, downloaded] = self.counts;
        TrackerStatus {
            url: self.url.to_string(),
            tier: self.tier,
            state,
            message: self.message.clone(),
            failures: self.failures,
            peers: self.peers,
            seeders,
            leechers,
            downloaded,
            last_announce: self.last,
            next_announce: waits.then_some(self.due),
        }
    }
}

/// A random part of `whole`, from nothing to all of it.
fn part(whole: Duration, random: u64) -> Duration {
    whole / 1000 * u32::try_from(random % 1001).unwrap_or(0)
}
