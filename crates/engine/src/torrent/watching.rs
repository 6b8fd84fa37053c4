//! Torrents that somebody watches: what readers wait for, what is fetched beside their windows, and what happens when nobody
//! reads any more.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use metainfo::{FileIndex, Info, PieceIndex};
use swarm::{Input, ReaderStats, Stats};

use super::{
    readers::Demanded,
    spell::WAIT_MIN,
    task::{Phase, Reach, Task},
};
use crate::{
    Playback, Priority, State, Wait, Watching, WhenIdle, WhenWatched,
    wait::{Facts, Means, Reading, cause},
};

/// What is remembered between two looks at the readers.
#[derive(Debug)]
pub(super) struct Watch {
    /// Moments of the session's clock are so long after this.
    epoch: SystemTime,
    /// Since when peers are looked for.
    begun: Duration,
    /// Since when nobody is connected.
    alone: Option<Duration>,
    /// Since when nobody connected has what a reader waits for.
    sourceless: Option<Duration>,
    /// Files that count as watched in this run.
    watched: Vec<FileIndex>,
}

impl Watch {
    pub(super) fn new(now: Duration) -> Self {
        let epoch = SystemTime::now().checked_sub(now).unwrap_or(SystemTime::UNIX_EPOCH);
        Self { epoch, begun: now, alone: None, sourceless: None, watched: Vec::new() }
    }
}

/// A reader with what its read waits for.
struct Waiting {
    since: Duration,
    reading: Reading,
}

impl Task {
    /// Who reads, and what they wait for.
    pub(super) fn playback(&mut self, now: Duration, state: State, stats: &Stats) -> Option<Arc<Playback>> {
        let demanded = self.demanded();
        let peers = stats.connected + self.web_seeds.len();
        self.look_around(now, peers, &demanded);
        let facts = self.facts(now, state, stats, peers);
        let mut playback = Playback::default();
        if let Some(metainfo) = self.metainfo.clone() {
            let known = self.swarm.readers(now);
            // Who reads a file without saying how fast it is played reads what others play.
            let mut needs = std::collections::BTreeMap::new();
            for demanded in demanded.values() {
                let need = needs.entry(demanded.at.file.start).or_insert(None);
                *need = (*need).max(demanded.at.bytes_per_s);
            }
            for (key, mut demanded) in demanded {
                let need = needs.get(&demanded.at.file.start).copied().flatten();
                demanded.at.bytes_per_s = demanded.at.bytes_per_s.or(need);
                let known = known.iter().find(|reader| reader.reader == key);
                playback.readers.extend(self.watching(now, metainfo.info(), &demanded, known, &facts));
            }
        }
        let waits = playback.readers.iter().filter_map(|reader| reader.wait.as_ref());
        playback.wait = waits.min_by_key(|wait| wait.since).cloned();
        if playback.wait.is_none() {
            let since = match facts.peers {
                0 if !facts.known => self.watch.alone.unwrap_or(self.watch.begun),
                _ => self.watch.begun,
            };
            playback.wait =
                cause(&facts, None).map(|cause| Wait { cause, since: self.watch.epoch + since, file: None });
        }
        (playback != Playback::default()).then(|| Arc::new(playback))
    }

    fn demanded(&self) -> std::collections::BTreeMap<swarm::ReaderKey, Demanded> {
        let Some(metainfo) = &self.metainfo else { return std::collections::BTreeMap::new() };
        self.shared.readers().demanded(&metainfo.info().layout())
    }

    /// Notes since when there is nobody, or nobody who has what is waited for.
    fn look_around(
        &mut self,
        now: Duration,
        peers: usize,
        demanded: &std::collections::BTreeMap<swarm::ReaderKey, Demanded>,
    ) {
        let since = |held: Option<Duration>, holds: bool| if holds { held.or(Some(now)) } else { None };
        self.watch.alone = since(self.watch.alone, peers == 0 && !self.is_at_rest());
        let mut waits = demanded.values().filter_map(|demanded| demanded.waits.as_ref());
        let sourceless = |(pieces, _): &(Range<u32>, _)| {
            self.swarm.sources(pieces.clone()).is_some_and(|sources| sources.peers == 0)
        };
        // While nobody waits, a player that comes back finds the count as it left it, unless somebody came.
        let holds = match waits.next() {
            Some(first) => std::iter::once(first).chain(waits).any(sourceless),
            None => self.watch.sourceless.is_some() && peers == 0,
        };
        self.watch.sourceless = since(self.watch.sourceless, holds && !self.is_at_rest());
    }

    fn facts(&self, now: Duration, state: State, stats: &Stats, peers: usize) -> Facts {
        let failed = match &self.phase {
            Phase::Failed(reason) => Some(reason.clone()),
            _ => None,
        };
        let checking = match self.phase {
            Phase::Opening => Some(0.0),
            Phase::Checking(done, of) => Some(f64::from(done) / f64::from(of.max(1))),
            _ => None,
        };
        let (dht, lsd) = match &self.reach {
            Reach::Private => (false, false),
            Reach::Public(finder) => (finder.has_dht(), finder.has_lsd()),
        };
        Facts {
            failed,
            paused: state == State::Paused,
            checking,
            blocked: self.core.egress.blocked(),
            known: self.metainfo.is_some(),
            answered: stats.metadata_answered,
            peers,
            candidates: stats.candidates,
            connecting: stats.connecting,
            means: Means { dht, lsd, trackers: self.trackers.count() },
            sourceless: self.watch.sourceless.map_or(Duration::ZERO, |since| now.saturating_sub(since)),
        }
    }

    fn watching(
        &self,
        now: Duration,
        info: &Info,
        demanded: &Demanded,
        known: Option<&ReaderStats>,
        facts: &Facts,
    ) -> Option<Watching> {
        let at = &demanded.at;
        let file = info.files().at(at.file.start)?;
        let need = at.bytes_per_s;
        let rate = known.map_or(0, |known| known.bytes_per_s);
        let within = |offset: u64| offset.clamp(at.file.start, at.file.end) - at.file.start;
        let window_end = known.map_or(at.wanted.end, |known| known.window.end.max(at.wanted.start));
        let waiting = self.waiting(now, info, demanded, known);
        let wait = waiting.and_then(|waiting| {
            let cause = cause(facts, Some(&waiting.reading))?;
            let since = match cause {
                crate::Cause::NoSeeders { .. } => self.watch.sourceless.unwrap_or(waiting.since),
                crate::Cause::Peers { .. } => self.watch.alone.unwrap_or(waiting.since),
                _ => waiting.since,
            };
            Some(Wait { cause, since: self.watch.epoch + since, file: Some(file) })
        });
        let position = within(at.wanted.start);
        Some(Watching { file, position, window_end: within(window_end), rate, need, wait })
    }

    /// What the read waits for that is at this demand's position, if one does and has for a moment, or short reads do most of
    /// the time.
    #[expect(clippy::cast_precision_loss, reason = "a share is shown to two digits")]
    fn waiting(
        &self,
        now: Duration,
        info: &Info,
        demanded: &Demanded,
        known: Option<&ReaderStats>,
    ) -> Option<Waiting> {
        let (layout, have) = (info.layout(), self.shared.readers().have());
        let long = demanded.waits.as_ref().map(|(pieces, since)| (pieces, self.core.moment(*since)));
        let long = long.filter(|(_, since)| now.saturating_sub(*since) >= WAIT_MIN);
        let spell = demanded.spell.map(|since| self.core.moment(since));
        let (pieces, since) = match (long, spell) {
            (Some((pieces, since)), spell) => (pieces.clone(), spell.unwrap_or(since)),
            (None, Some(since)) => {
                let ahead = demanded.at.wanted.start..known?.window.end;
                let pieces = if ahead.is_empty() { 0..0 } else { layout.pieces_of(ahead) };
                self.swarm.sources(pieces.clone())?;
                (pieces, since)
            }
            (None, None) => return None,
        };
        let sources = self.swarm.sources(pieces.clone());
        let missing = |bytes: Range<u64>| -> u64 {
            let absent = layout.pieces_of(bytes.clone()).map(PieceIndex).filter(|piece| !have.has(*piece));
            let length = |piece: PieceIndex| {
                let piece = layout.range(piece);
                piece.end.min(bytes.end).saturating_sub(piece.start.max(bytes.start))
            };
            absent.map(length).sum()
        };
        let (file, from) = (&demanded.at.file, demanded.at.wanted.start);
        let size = (file.end - file.start).max(1);
        let reading = Reading {
            brief: long.is_none(),
            piece: sources.map_or(pieces.start, |sources| sources.piece.0),
            sources: sources.map_or(0, |sources| sources.peers),
            serving: sources.map_or(0, |sources| sources.serving),
            rate: known.map_or(0, |known| known.bytes_per_s),
            measured: known.map_or(Duration::ZERO, |known| known.measured),
            need: demanded.at.bytes_per_s,
            left: file.end.saturating_sub(from),
            missing: missing(from..file.end.max(from)),
            have: 1.0 - missing(file.clone()) as f64 / size as f64,
        };
        Some(Waiting { since, reading })
    }

    /// What is fetched beside readers' windows once a file is watched. What a private tracker gave is finished.
    fn when_watched(&self) -> WhenWatched {
        match self.core.config.when_watched {
            WhenWatched::Read if self.private == Some(true) => WhenWatched::File,
            when => when,
        }
    }

    /// Wants what is to be finished of a torrent that was added to be watched.
    pub(super) fn look_at_watched(&mut self, now: Duration) {
        let when = self.when_watched();
        if !self.saved.watch || when == WhenWatched::Read || self.phase != Phase::Ready {
            return;
        }
        let Some(metainfo) = self.metainfo.clone() else { return };
        let files = metainfo.info().files();
        let read = self.shared.readers().read_for(self.core.config.watched_after);
        let new: Vec<_> = read
            .into_iter()
            .filter_map(|start| files.at(start))
            .filter(|file| !self.watch.watched.contains(file))
            .collect();
        if new.is_empty() {
            return;
        }
        let before = self.priorities.clone();
        for (index, priority) in self.priorities.iter_mut().enumerate() {
            let chosen = when == WhenWatched::Torrent || new.iter().any(|file| file.as_usize() == index);
            if chosen && *priority == Priority::Skip {
                *priority = Priority::Normal;
            }
        }
        self.watch.watched.extend(new);
        if self.priorities != before {
            self.remember_priorities();
            self.apply_priorities(now);
            self.carry_out(now);
        }
    }

    /// Whether this torrent stops when nobody reads it: never one of a private tracker, which is owed seeding.
    fn may_idle(&self) -> bool {
        self.saved.watch
            && self.core.config.when_idle == WhenIdle::Pause
            && self.private == Some(false)
            && self.phase == Phase::Ready
    }

    /// When to look whether anybody still reads.
    pub(super) fn idle_due(&self, now: Duration) -> Option<Duration> {
        (self.may_idle() && !self.is_at_rest())
            .then(|| now + self.core.config.idle_after.saturating_sub(self.shared.readers().idle_for()))
    }

    /// Stops when nobody has read for a while.
    pub(super) fn look_at_idle(&mut self, now: Duration) {
        let may = self.may_idle() && !self.is_at_rest();
        if may && self.shared.readers().idle_for() >= self.core.config.idle_after {
            self.saved.idle = true;
            self.swarm.handle(now, Input::Pause);
            self.trackers.stop();
            self.carry_out(now);
            self.unsaved = true;
            self.publish(now);
        }
    }

    /// It was started by the user: peers are looked for from now on.
    pub(super) fn watch_anew(&mut self, now: Duration) {
        self.watch.begun = now;
        self.shared.readers().wake();
    }

    /// Somebody reads again.
    pub(super) fn wake_from_idle(&mut self, now: Duration) {
        if std::mem::take(&mut self.saved.idle) {
            self.watch.begun = now;
            self.go_on(now);
            self.touch();
            self.publish(now);
        }
    }
}
