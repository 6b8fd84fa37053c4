//! Who reads from a real torrent: takes bytes as they become whole, in order, up to what its buffer holds, and plays them.

use std::{ops::Range, time::Duration};

use metainfo::PieceIndex;
use piece_picker::ReaderKey;
use swarm::{Input, ReaderAt};

use crate::{
    link::transfer,
    report::Seek,
    world::{Event, NodeId, World},
};

/// How often a player looks at its buffer.
const TICK: Duration = Duration::from_millis(50);
/// It tells where it is after taking this much.
const STEP: u64 = 128 << 10;
/// It starts with this much time of film in its buffer ...
const START: Duration = Duration::from_millis(500);
/// ... and takes no more than this.
const BUFFER: Duration = Duration::from_secs(10);
/// The first so many bytes after a seek are timed.
const FOUR: u64 = 4 << 20;

/// A player of one file, the whole torrent.
#[derive(Debug)]
pub(crate) struct Player {
    reader: ReaderKey,
    /// Bytes per second of the film; `None`: takes all it can get.
    rate: Option<u64>,
    position: u64,
    end: u64,
    told: u64,
    played: u64,
    playing: bool,
    open: bool,
    ticked: Duration,
    pub(crate) play_time: Duration,
    pub(crate) stall_time: Duration,
    pub(crate) seeks: Vec<Seek>,
}

fn bytes_in(rate: u64, time: Duration) -> u64 {
    u64::try_from(u128::from(rate) * time.as_micros() / 1_000_000).unwrap_or(u64::MAX)
}

impl Player {
    fn at(&self) -> ReaderAt {
        ReaderAt { file: 0..self.end, wanted: self.position..self.end, bytes_per_s: self.rate, ahead: None }
    }

    /// Whether the latest seek has what it is timed for.
    pub(crate) fn is_served(&self) -> bool {
        self.seeks.last().is_none_or(|seek| seek.four.is_some() || self.position == self.end)
    }
}

impl World {
    /// A new player, without a position yet.
    pub(crate) fn add_player(&mut self, node: NodeId, rate: Option<u64>) -> usize {
        let now = self.now;
        let Some(real) = self.real(node) else { return 0 };
        real.players.push(Player {
            reader: ReaderKey(0),
            rate,
            position: 0,
            end: real.layout.total(),
            told: 0,
            played: 0,
            playing: false,
            open: false,
            ticked: now,
            play_time: Duration::ZERO,
            stall_time: Duration::ZERO,
            seeks: Vec::new(),
        });
        real.players.len() - 1
    }

    /// A player goes to `position`: its old request ends, a new one begins.
    pub(crate) fn seek(&mut self, node: NodeId, player: usize, position: u64, cold: bool) {
        let now = self.now;
        let (first_bound, four_bound) = self.bounds(node, position..position + FOUR, cold);
        self.close_player(node, player);
        let Some(real) = self.real(node) else { return };
        let next = real.players.iter().map(|player| player.reader.0).max().unwrap_or(0) + 1;
        let Some(known) = real.players.get_mut(player) else { return };
        let begins = known.seeks.is_empty();
        known.reader = ReaderKey(next);
        (known.position, known.told, known.played) = (position, position, position);
        (known.playing, known.open, known.ticked) = (false, true, now);
        known.seeks.push(Seek { at: now, position, first: None, four: None, first_bound, four_bound });
        let (reader, at) = (known.reader, known.at());
        self.handle(node, Input::ReaderOpened { reader, at });
        self.take(node, player);
        if begins {
            self.plan(now + TICK, Event::Plays { node, player });
        }
    }

    pub(crate) fn close_player(&mut self, node: NodeId, player: usize) {
        let Some(known) = self.real(node).and_then(|real| real.players.get_mut(player)) else { return };
        if std::mem::take(&mut known.open) {
            let reader = known.reader;
            self.handle(node, Input::ReaderClosed { reader });
        }
    }

    pub(crate) fn wake_players(&mut self, node: NodeId) {
        let count = self.real(node).map_or(0, |real| real.players.len());
        for player in 0..count {
            // Not now: the torrent is still giving its outputs.
            self.plan(self.now, Event::Takes { node, player });
        }
    }

    /// A player takes what is there and fits into its buffer.
    pub(crate) fn take(&mut self, node: NodeId, player: usize) {
        let now = self.now;
        let Some(real) = self.real(node) else { return };
        let Some(have) = real.torrent.have() else { return };
        let Some(known) = real.players.get_mut(player).filter(|known| known.open) else { return };
        let layout = real.layout;
        let mut whole = known.position;
        while whole < known.end && have.has(layout.piece_of(whole)) {
            whole = layout.range(layout.piece_of(whole)).end;
        }
        if let Some(seek) = known.seeks.last_mut() {
            if whole > seek.position {
                seek.first.get_or_insert(now);
            }
            if whole >= (seek.position + FOUR).min(known.end) {
                seek.four.get_or_insert(now);
            }
        }
        let fits = known.rate.map_or(u64::MAX, |rate| known.played.saturating_add(bytes_in(rate, BUFFER)));
        known.position = known.position.max(whole.min(fits)).min(known.end);
        if known.position >= known.told + STEP || known.position == known.end && known.told < known.end {
            known.told = known.position;
            let (reader, at) = (known.reader, known.at());
            self.handle(node, Input::ReaderMoved { reader, at });
        }
    }

    /// Time passes for a player.
    pub(crate) fn plays(&mut self, node: NodeId, player: usize) {
        let now = self.now;
        if let Some(known) = self.real(node).and_then(|real| real.players.get_mut(player))
            && known.open
            && let Some(rate) = known.rate
        {
            let passed = now.saturating_sub(known.ticked);
            known.ticked = now;
            let started = known.played > known.seeks.last().map_or(0, |seek| seek.position);
            let finished = known.played >= known.end;
            if known.playing {
                known.play_time += passed;
                known.played = (known.played + bytes_in(rate, passed)).min(known.position);
                known.playing = known.played < known.position;
            } else if started && !finished {
                known.stall_time += passed;
            }
            let enough = known.position >= known.played + bytes_in(rate, START);
            known.playing |= enough || known.position == known.end && !finished;
        }
        self.take(node, player);
        self.plan(now + TICK, Event::Plays { node, player });
    }

    /// What the links allow, from now: the first piece, and all pieces of `wanted`.
    fn bounds(&self, node: NodeId, wanted: Range<u64>, cold: bool) -> (Duration, Duration) {
        let crate::world::Kind::Real(real) = &self.nodes[node].kind else {
            return (Duration::ZERO, Duration::ZERO);
        };
        let mut sources = Vec::new();
        // Whether to connect with more, and when, is not a matter of the links.
        let connected = |other: NodeId| {
            let mut open = self.conns.iter().filter(|conn| conn.open);
            cold || open.any(|conn| {
                [0, 1].map(|end| conn.ends[end].node).iter().all(|end| [node, other].contains(end))
            })
        };
        for (id, other) in self.nodes.iter().enumerate() {
            let serves = match &other.kind {
                crate::world::Kind::Fake(fake) => fake.serves_rightly(),
                crate::world::Kind::Real(real) => real.torrent.is_seed(),
            };
            if other.up && serves && connected(id) {
                let latency = other.line.latency + self.nodes[node].line.latency;
                // Connecting, the first words, the request.
                sources.push((latency * if cold { 9 } else { 2 }, other.line.up_bytes_per_s));
            }
        }
        let have = real.torrent.have();
        let missing = |pieces: Range<u32>| -> u64 {
            let pieces = pieces.map(PieceIndex);
            let missing = pieces.filter(|piece| have.is_none_or(|have| !have.has(*piece)));
            missing.map(|piece| u64::from(real.layout.length(piece))).sum()
        };
        let down = self.nodes[node].line.down_bytes_per_s;
        let first = real.layout.piece_of(wanted.start).0;
        let time = |pieces| soonest(&sources, down, missing(pieces));
        (time(first..first + 1), time(real.layout.pieces_of(wanted)))
    }
}

/// When `bytes` can be here, from sources that begin after a delay and go on at a rate each.
fn soonest(sources: &[(Duration, u64)], down: u64, bytes: u64) -> Duration {
    let sum = |time: Duration| -> u64 {
        sources.iter().map(|(delay, rate)| bytes_in(*rate, time.saturating_sub(*delay))).sum()
    };
    let (mut low, mut high) = (Duration::ZERO, Duration::from_secs(3_600));
    while bytes > 0 && high - low > Duration::from_micros(10) {
        let middle = (low + high) / 2;
        if sum(middle) >= bytes { high = middle } else { low = middle }
    }
    let nearest = sources.iter().map(|(delay, _)| *delay).min().unwrap_or_default();
    if bytes == 0 { Duration::ZERO } else { high.max(nearest + transfer(bytes, down)) }
}
