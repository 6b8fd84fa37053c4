//! Which tracker of a torrent is asked when, and what it is told (BEP 3, 12, 31).
//!
//! The first announce is due at once. Every tier has one tracker that answers and is kept up to date: the first of the tier
//! that does, moved to its front (BEP 12); while one keeps us waiting for [`PATIENCE`] the next is asked beside it. A tracker
//! hears `started` until it has answered it once, `completed` once, and `stopped` if it may have heard anything.
//!
//! Carries nothing itself: `engine::trackers` takes what [`Announcer::poll`] gives and brings back how it went.

use core::time::Duration;

use crate::{
    answer::{AnnounceAnswer, Failure},
    request::Event,
    scrape::ScrapeEntry,
    status::TrackerStatus,
    url::TrackerUrl,
};

#[cfg(test)]
mod tests;
mod tracker;

use seeded::Rng;
use tracker::Tracker;

/// Trackers of one torrent; a torrent that names more is answered by the first ones.
pub const TRACKERS_MAX: usize = 100;
/// How long a tracker may take before the next of its tier is asked as well.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// More peers than this are of no use at once.
const PEERS_WANTED_MAX: u32 = 200;

/// Trackers by tier (BEP 12).
pub type Tiers = Vec<Vec<TrackerUrl>>;

/// A tracker of one [`Announcer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackerKey(pub u32);

/// What a torrent has to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Payload bytes sent.
    pub uploaded: u64,
    /// Payload bytes received.
    pub downloaded: u64,
    /// Bytes until we have all; `None` while the metadata is not here.
    pub left: Option<u64>,
    /// How many more peers would be of use.
    pub peers_wanted: u32,
}

/// How strictly BEP 12 is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether every tier has a tracker that knows us (what magnets mean by several trackers), or a tier is only asked when
    /// none of the tiers before it answers (BEP 12 to the letter).
    pub every_tier: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { every_tier: true }
    }
}

/// One announce that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announce {
    /// Whom to bring the answer back for.
    pub tracker: TrackerKey,
    /// Its address.
    pub url: TrackerUrl,
    /// What has happened, if anything.
    pub event: Option<Event>,
    /// As given to [`Announcer::poll`].
    pub counters: Counters,
    /// How many peers to ask for: none when leaving.
    pub peers_wanted: u32,
    /// What the tracker gave to be given back.
    pub tracker_id: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Running,
    Stopping,
}

/// The trackers of one torrent as a value.
///
/// After every call, [`poll`](Self::poll) until it gives nothing, then sleep until [`next_timeout`](Self::next_timeout). Every
/// [`Announce`] is followed by exactly one [`handle_response`](Self::handle_response) or
/// [`handle_failure`](Self::handle_failure) for its tracker, except when a `stopped` for the same tracker comes meanwhile: that
/// takes the earlier one's place, whose outcome is not brought back.
#[derive(Debug)]
pub struct Announcer {
    /// In the order they were added: a [`TrackerKey`] is an index into it.
    trackers: Vec<Tracker>,
    /// Keys by tier, in the order they are asked.
    tiers: Vec<Vec<TrackerKey>>,
    options: Options,
    mode: Mode,
    completed: bool,
    key: u32,
    random: Rng,
}

impl Announcer {
    /// Trackers of `tiers`, each tier shuffled (BEP 12), an address that comes twice taken once.
    #[must_use]
    pub fn new(tiers: Tiers, options: Options, seed: u64) -> Self {
        let mut random = Rng::new(seed);
        let key = u32::try_from(random.next() >> 32).unwrap_or(1);
        let (mode, completed) = (Mode::Running, false);
        let mut announcer =
            Self { trackers: Vec::new(), tiers: Vec::new(), options, mode, completed, key, random };
        for mut tier in tiers {
            announcer.random.shuffle(&mut tier);
            let number = announcer.tiers.len();
            for url in tier {
                announcer.add(url, number, Duration::ZERO);
            }
        }
        announcer
    }

    /// A number that this torrent's announces have in common (BEP 7).
    #[must_use]
    pub fn key(&self) -> u32 {
        self.key
    }

    /// Adds a tracker to the end of a tier, or as a tier of its own after the last. `None` if it is there, or
    /// [`TRACKERS_MAX`] are. Not for private torrents: theirs are those of the torrent.
    pub fn add(&mut self, url: TrackerUrl, tier: usize, now: Duration) -> Option<TrackerKey> {
        if self.trackers.len() >= TRACKERS_MAX || self.trackers.iter().any(|t| t.url == url) {
            return None;
        }
        let key = TrackerKey(u32::try_from(self.trackers.len()).ok()?);
        let number = tier.min(self.tiers.len());
        if number == self.tiers.len() {
            self.tiers.push(Vec::new());
        }
        self.tiers[number].push(key);
        self.trackers.push(Tracker::new(url, u32::try_from(number).ok()?, now));
        Some(key)
    }

    /// The announce that is due now, if one is. Counters are told as they are given here.
    pub fn poll(&mut self, now: Duration, counters: &Counters) -> Option<Announce> {
        let (tracker, event) = self.agenda(now).due?;
        let found = self.tracker_mut(tracker)?;
        found.announcing(now, event);
        let peers_wanted =
            if event == Some(Event::Stopped) { 0 } else { counters.peers_wanted.min(PEERS_WANTED_MAX) };
        Some(Announce {
            tracker,
            url: found.url.clone(),
            event,
            counters: *counters,
            peers_wanted,
            tracker_id: found.tracker_id.clone(),
        })
    }

    /// When [`poll`](Self::poll) has something to give, if nothing else happens: `now` if at once.
    #[must_use]
    pub fn next_timeout(&self, now: Duration) -> Option<Duration> {
        let agenda = self.agenda(now);
        agenda.due.map(|_| now).or(agenda.next)
    }

    /// The tracker has answered.
    pub fn handle_response(&mut self, now: Duration, tracker: TrackerKey, answer: &AnnounceAnswer) {
        let jitter = self.random.next();
        let Some(found) = self.tracker_mut(tracker) else { return };
        if !found.answered(now, answer, jitter) {
            return;
        }
        let tier = found.tier as usize;
        // BEP 12: who answers is asked first from now on.
        if let Some(keys) = self.tiers.get_mut(tier)
            && let Some(at) = keys.iter().position(|k| *k == tracker)
        {
            keys[..=at].rotate_right(1);
        }
    }

    /// The announce came to nothing.
    pub fn handle_failure(&mut self, now: Duration, tracker: TrackerKey, failure: &Failure) {
        let jitter = self.random.next();
        if let Some(found) = self.tracker_mut(tracker) {
            found.failed(now, failure, jitter);
        }
    }

    /// What a scrape of the tracker found.
    pub fn handle_scrape(&mut self, tracker: TrackerKey, entry: &ScrapeEntry) {
        if let Some(found) = self.tracker_mut(tracker) {
            found.scraped(entry);
        }
    }

    /// We have downloaded the last piece: every tracker that knows us hears it once. Not for what was found complete.
    pub fn completed(&mut self) {
        self.completed = true;
    }

    /// Whether no tracker has heard of [`completed`](Self::completed) yet: to be kept over a restart and told again then. Once
    /// one has, the others are let be: after a restart nobody knows who they were.
    #[must_use]
    pub fn owes_completed(&self) -> bool {
        self.completed && !self.trackers.iter().any(|t| t.completed_told)
    }

    /// We leave: whoever may know us hears `stopped`, once, and nothing else is announced.
    pub fn stop(&mut self) {
        self.mode = Mode::Stopping;
        self.trackers.iter_mut().for_each(Tracker::stopping);
    }

    /// Whether everyone was told, or could not be.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.mode == Mode::Stopping
            && self.trackers.iter().all(|t| t.in_flight.is_none() && !t.owes_stopped())
    }

    /// We are back after [`stop`](Self::stop): everything begins anew.
    pub fn resume(&mut self, now: Duration) {
        if self.mode == Mode::Stopping {
            self.mode = Mode::Running;
            self.trackers.iter_mut().for_each(|t| t.resume(now));
        }
    }

    /// Asks again now, or as soon as each tracker allows.
    pub fn reannounce(&mut self, now: Duration) {
        self.trackers.iter_mut().for_each(|t| t.hurry(now));
    }

    /// A tracker's address.
    #[must_use]
    pub fn url(&self, tracker: TrackerKey) -> Option<&TrackerUrl> {
        self.trackers.get(tracker.0 as usize).map(|t| &t.url)
    }

    /// The trackers that have answered an announce.
    pub fn answered(&self) -> impl Iterator<Item = &TrackerUrl> {
        self.trackers.iter().filter(|t| t.has_answered()).map(|t| &t.url)
    }

    /// The addresses by tier, in the order they are asked: secrets included, for resume data.
    #[must_use]
    pub fn tiers(&self) -> Tiers {
        let url = |key: &TrackerKey| self.url(*key).cloned();
        self.tiers.iter().map(|tier| tier.iter().filter_map(url).collect()).collect()
    }

    /// Every tracker, by tier, in the order they are asked.
    #[must_use]
    pub fn status(&self) -> Vec<TrackerStatus> {
        let running = self.mode == Mode::Running;
        let status = |key: &TrackerKey| Some(self.trackers.get(key.0 as usize)?.status(running));
        self.tiers.iter().flatten().filter_map(status).collect()
    }

    fn tracker_mut(&mut self, key: TrackerKey) -> Option<&mut Tracker> {
        self.trackers.get_mut(key.0 as usize)
    }

    fn agenda(&self, now: Duration) -> Agenda {
        let mut agenda = Agenda::default();
        if self.mode == Mode::Stopping {
            let owing = self.trackers.iter().position(Tracker::owes_stopped);
            agenda.due =
                owing.map(|at| (TrackerKey(u32::try_from(at).unwrap_or(u32::MAX)), Some(Event::Stopped)));
            return agenda;
        }
        if self.completed {
            for key in self.tiers.iter().flatten() {
                let tracker = &self.trackers[key.0 as usize];
                if tracker.is_working() && !tracker.completed_told && tracker.in_flight.is_none() {
                    agenda.due = Some((*key, Some(Event::Completed)));
                    return agenda;
                }
            }
        }
        for tier in &self.tiers {
            let turn = self.turn(tier, now);
            match turn {
                Turn::Due(key) => {
                    agenda.due = Some((key, self.trackers[key.0 as usize].event(self.completed)));
                    return agenda;
                }
                Turn::At(at) | Turn::Exhausted(Some(at)) => {
                    agenda.next = Some(agenda.next.map_or(at, |next| next.min(at)));
                }
                Turn::Exhausted(None) => {}
            }
            if !self.options.every_tier && !matches!(turn, Turn::Exhausted(_)) {
                break;
            }
        }
        agenda
    }

    /// Whose turn it is in a tier: the first that may be asked, once its working tracker is due or if it has none.
    fn turn(&self, tier: &[TrackerKey], now: Duration) -> Turn {
        let trackers = || tier.iter().map(|key| (*key, &self.trackers[key.0 as usize]));
        let working = trackers().find(|(_, t)| t.is_working());
        if let Some((_, working)) = working
            && now < working.due
        {
            return Turn::At(working.due);
        }
        let mut next: Option<Duration> = None;
        let mut sooner = |at: Duration| next = Some(next.map_or(at, |next| next.min(at)));
        for (key, tracker) in trackers().filter(|(_, t)| !t.off) {
            match tracker.in_flight {
                Some(flight) if now < flight.since + PATIENCE => return Turn::At(flight.since + PATIENCE),
                Some(_) => {}
                None if tracker.due <= now => return Turn::Due(key),
                None => sooner(tracker.due),
            }
        }
        match working {
            Some(_) => next.map_or(Turn::At(Duration::MAX), Turn::At),
            None => Turn::Exhausted(next),
        }
    }
}

#[derive(Default)]
struct Agenda {
    due: Option<(TrackerKey, Option<Event>)>,
    next: Option<Duration>,
}

enum Turn {
    /// This one, now.
    Due(TrackerKey),
    /// Somebody answers, or may yet.
    At(Duration),
    /// Nobody answers; the next try, if one is left.
    Exhausted(Option<Duration>),
}
