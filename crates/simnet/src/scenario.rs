//! The scenes: who is there, on which lines, and what the reader does.

use std::time::Duration;

use metainfo::{Bitfield, PieceLayout};
use swarm::{Input, Source};

use crate::{
    Report,
    fake::{Fake, Manner},
    link::{Line, transfer},
    real::Real,
    world::{Event, Kind, NodeId, World},
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// One scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name on the command line and in `bounds.toml`.
    pub name: &'static str,
    /// What happens.
    pub about: &'static str,
    /// The seeds of the recorded runs.
    pub seeds: &'static [u64],
    play: fn(&mut Stage),
}

const SEEDS: &[u64] = &[1, 2, 3, 4, 5, 6, 7, 8];

/// Every scenario.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "cold-start",
        about: "four seeders of 2 MiB/s, 20 ms away; nobody is connected when the reader comes",
        seeds: SEEDS,
        play: cold_start,
    },
    Scenario {
        name: "four-slow-seeders",
        about: "four seeders of 1 MiB/s next door, 1 MiB pieces: start, seeks, tail",
        seeds: SEEDS,
        play: four_slow_seeders,
    },
    Scenario {
        name: "one-slow-of-four",
        about: "three seeders of 1 MiB/s next door and one of 64 KiB/s: start and seeks",
        seeds: SEEDS,
        play: one_slow_of_four,
    },
    Scenario {
        name: "four-gusty-seeders",
        about: "four seeders of 1 MiB/s whose limiters hand out portions twice a second",
        seeds: SEEDS,
        play: four_gusty_seeders,
    },
    Scenario {
        name: "seek-into-a-hole",
        about: "eight seeders of 1 MiB/s, 10-80 ms away; a film of 1 MiB/s, 20 seeks",
        seeds: SEEDS,
        play: seek_into_a_hole,
    },
    Scenario {
        name: "one-fast-thirty-slow",
        about: "one seeder of 8 MiB/s among thirty of 32 KiB/s",
        seeds: SEEDS,
        play: one_fast_thirty_slow,
    },
    Scenario {
        name: "churn",
        about: "twenty seeders of 500 KiB/s that stay 15 s and come back",
        seeds: SEEDS,
        play: churn,
    },
    Scenario {
        name: "choking-peers",
        about: "twelve seeders of 1 MiB/s that serve 5 s and choke 10 s",
        seeds: SEEDS,
        play: choking_peers,
    },
    Scenario {
        name: "corrupt-peers",
        about: "two of eight seeders send a wrong block in twenty",
        seeds: SEEDS,
        play: corrupt_peers,
    },
    Scenario {
        name: "stall-in-urgent-piece",
        about: "one of four seeders stops in the middle of the piece that the reader waits for",
        seeds: SEEDS,
        play: stall_in_urgent_piece,
    },
    Scenario {
        name: "large-pieces",
        about: "16 MiB pieces, four seeders of 4 MiB/s",
        seeds: SEEDS,
        play: large_pieces,
    },
    Scenario {
        name: "two-readers",
        about: "two films of 700 KiB/s from six seeders of 500 KiB/s",
        seeds: SEEDS,
        play: two_readers,
    },
    Scenario {
        name: "flash-crowd",
        about: "200 leechers, ten of them watching, and one seeder of 4 MiB/s",
        seeds: &[1],
        play: flash_crowd,
    },
];

/// The scenario of a name.
#[must_use]
pub fn scenario(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

impl Scenario {
    /// Plays it with the seeds of the recorded runs.
    #[must_use]
    pub fn recorded(&self) -> Report {
        let runs = self.seeds.iter().map(|seed| run(self, *seed));
        runs.reduce(Report::and).unwrap_or_else(|| Report::new(self.name, 0))
    }
}

/// Plays a scenario.
#[must_use]
pub fn run(scenario: &Scenario, seed: u64) -> Report {
    let mut stage = Stage {
        world: World::new(seed),
        layout: layout(256 * MIB, MIB),
        ours: 0,
        seed,
        report: Report::new(scenario.name, seed),
    };
    (scenario.play)(&mut stage);
    stage.collect();
    stage.report
}

fn layout(total: u64, piece_length: u64) -> PieceLayout {
    PieceLayout::new(total, piece_length).expect("a layout within limits")
}

/// A world, one of whose nodes is looked at.
struct Stage {
    world: World,
    layout: PieceLayout,
    ours: NodeId,
    seed: u64,
    report: Report,
}

impl Stage {
    fn torrent(&mut self, total: u64, piece_length: u64) {
        self.layout = layout(total, piece_length);
    }

    fn real(&mut self, line: Line, has: bool) -> NodeId {
        let node = self.world.nodes.len();
        let pieces = self.layout.pieces();
        let have = if has { Bitfield::all(pieces) } else { Bitfield::none(pieces) };
        let real = Real::new(self.layout, have, node, self.seed * 1_000 + node as u64, self.world.now);
        self.world.add(line, Kind::Real(Box::new(real)))
    }

    /// The node that watches: a fast line, nothing on disk.
    fn us(&mut self, latency: Duration) {
        self.ours = self.real(Line::new(20 * MIB, 1_000 * MIB, latency), false);
    }

    fn fake(&mut self, up: u64, latency: Duration, manner: Manner) -> NodeId {
        let line = Line::new(up, 100 * MIB, latency);
        let node = self.world.add(line, Kind::Fake(Box::new(Fake::new(self.layout, manner))));
        let ours = self.ours;
        if let Some(fake) = self.world.fake(node) {
            fake.known_to.push(ours);
        }
        node
    }

    /// Everybody is announced to us.
    fn meet(&mut self) {
        for node in 0..self.world.nodes.len() {
            self.world.announce(node);
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.world.now + time;
        while self.world.step(until) {}
    }

    /// Until the player has its first 4 MiB, at most so long.
    fn await_four(&mut self, player: usize, at_most: Duration) {
        let (until, ours) = (self.world.now + at_most, self.ours);
        while !self.world.real(ours).is_none_or(|real| real.players[player].is_served())
            && self.world.step(until)
        {}
    }

    fn somewhere(&mut self) -> u64 {
        let total = self.layout.total();
        self.world.rng.within(0..total - 6 * MIB)
    }

    /// A player seeks so many times; each time its first 4 MiB are awaited and some more played.
    fn seeks(&mut self, player: usize, count: usize, plays: Duration) {
        for _ in 0..count {
            let position = self.somewhere();
            self.world.seek(self.ours, player, position, false);
            self.await_four(player, 60 * S);
            self.pass(plays);
        }
    }

    fn collect(&mut self) {
        let now = self.world.now;
        let report = &mut self.report;
        report.ended = now;
        for node in &self.world.nodes {
            let Kind::Real(real) = &node.kind else { continue };
            let counters = real.torrent.stats(now).counters;
            report.downloaded += counters.downloaded;
            report.wasted += counters.wasted;
            report.corrupt.0 += real.corrupt_pieces;
            report.corrupt.1 += real.banned;
            for player in &real.players {
                report.seeks.extend(player.seeks.iter().cloned());
                report.stall_time += player.stall_time;
                report.play_time += player.play_time;
            }
        }
    }
}

fn cold_start(stage: &mut Stage) {
    stage.us(MS);
    for _ in 0..4 {
        stage.fake(2 * MIB, 19 * MS, Manner::Honest);
    }
    stage.pass(S);
    let position = stage.somewhere();
    let player = stage.world.add_player(stage.ours, Some(MIB));
    stage.meet();
    stage.world.seek(stage.ours, player, position, true);
    stage.await_four(player, 60 * S);
    stage.pass(5 * S);
}

fn four_slow_seeders(stage: &mut Stage) {
    stage.us(MS / 20);
    for _ in 0..4 {
        stage.fake(MIB, MS / 20, Manner::Honest);
    }
    let player = stage.world.add_player(stage.ours, None);
    stage.meet();
    stage.pass(2 * S);
    stage.world.seek(stage.ours, player, 0, false);
    stage.await_four(player, 60 * S);
    stage.seeks(player, 10, Duration::ZERO);
    let tail = stage.layout.total() - 3 * MIB / 2;
    stage.world.seek(stage.ours, player, tail, false);
    stage.await_four(player, 60 * S);
}

fn one_slow_of_four(stage: &mut Stage) {
    stage.us(MS / 20);
    for slow in 0..4 {
        stage.fake(if slow == 2 { 64 * KIB } else { MIB }, MS / 20, Manner::Honest);
    }
    let player = stage.world.add_player(stage.ours, None);
    stage.meet();
    stage.world.seek(stage.ours, player, 0, false);
    stage.await_four(player, 60 * S);
    stage.pass(S);
    stage.seeks(player, 10, S);
}

fn four_gusty_seeders(stage: &mut Stage) {
    stage.us(MS / 20);
    for _ in 0..4 {
        let node = stage.fake(MIB, MS / 20, Manner::Honest);
        stage.world.nodes[node].line.gusts = 500 * MS;
    }
    let player = stage.world.add_player(stage.ours, Some(MIB));
    stage.meet();
    stage.pass(2 * S);
    for _ in 0..10 {
        let plays = stage.world.rng.time(2 * S..3 * S);
        stage.seeks(player, 1, plays);
    }
}

fn seek_into_a_hole(stage: &mut Stage) {
    stage.torrent(1_024 * MIB, MIB);
    stage.us(5 * MS);
    for _ in 0..8 {
        let latency = stage.world.rng.time(5 * MS..75 * MS);
        stage.fake(MIB, latency, Manner::Honest);
    }
    let player = stage.world.add_player(stage.ours, Some(MIB));
    stage.meet();
    stage.pass(S);
    stage.seeks(player, 20, 4 * S);
}

fn one_fast_thirty_slow(stage: &mut Stage) {
    stage.us(5 * MS);
    for slow in 0..31 {
        let latency = stage.world.rng.time(10 * MS..60 * MS);
        stage.fake(if slow == 17 { 8 * MIB } else { 32 * KIB }, latency, Manner::Honest);
    }
    let player = stage.world.add_player(stage.ours, Some(MIB));
    stage.meet();
    stage.pass(2 * S);
    stage.seeks(player, 10, 3 * S);
}

fn churn(stage: &mut Stage) {
    stage.us(5 * MS);
    for _ in 0..20 {
        let latency = stage.world.rng.time(10 * MS..60 * MS);
        let manner = Manner::Leaves { stays: 5 * S..25 * S, away: 2 * S..10 * S };
        let node = stage.fake(500 * KIB, latency, manner);
        let first = stage.world.now + stage.world.rng.time(2 * S..20 * S);
        stage.world.plan(first, Event::Changes { node });
    }
    let player = stage.world.add_player(stage.ours, Some(MIB));
    stage.meet();
    stage.pass(2 * S);
    stage.seeks(player, 10, 6 * S);
}

fn choking_peers(stage: &mut Stage) {
    stage.us(5 * MS);
    for _ in 0..12 {
        let latency = stage.world.rng.time(10 * MS..60 * MS);
        let manner = Manner::Chokes { serves: 4 * S..6 * S, chokes: 8 * S..12 * S };
        let node = stage.fake(MIB, latency, manner);
        let first = stage.world.now + stage.world.rng.time(S..15 * S);
        stage.world.plan(first, Event::Changes { node });
    }
    let player = stage.world.add_player(stage.ours, Some(MIB));
    stage.meet();
    stage.pass(6 * S);
    stage.seeks(player, 10, 5 * S);
}

fn corrupt_peers(stage: &mut Stage) {
    stage.us(5 * MS);
    for lies in 0..8 {
        let latency = stage.world.rng.time(10 * MS..60 * MS);
        let manner = if lies < 2 { Manner::Lies { one_in: 20 } } else { Manner::Honest };
        stage.fake(MIB, latency, manner);
    }
    let player = stage.world.add_player(stage.ours, Some(MIB));
    stage.meet();
    stage.pass(S);
    stage.seeks(player, 10, 4 * S);
}

fn stall_in_urgent_piece(stage: &mut Stage) {
    stage.us(MS);
    let mut staller = 0;
    for stalls in 0..4 {
        let manner = if stalls == 0 { Manner::Stalls { after_blocks: 20 } } else { Manner::Honest };
        let node = stage.fake(MIB, 5 * MS, manner);
        if stalls == 0 {
            staller = node;
        }
    }
    let player = stage.world.add_player(stage.ours, Some(MIB));
    stage.meet();
    stage.pass(2 * S);
    for _ in 0..6 {
        if let Some(fake) = stage.world.fake(staller) {
            fake.armed = true;
        }
        stage.seeks(player, 1, 4 * S);
        if let Some(fake) = stage.world.fake(staller) {
            fake.set_stalled(false);
        }
        for conn in 0..stage.world.conns.len() {
            for end in 0..2 {
                if stage.world.conns[conn].open && stage.world.conns[conn].ends[end].node == staller {
                    stage.world.feed(conn, end);
                }
            }
        }
        stage.pass(2 * S);
    }
}

fn large_pieces(stage: &mut Stage) {
    stage.torrent(2_048 * MIB, 16 * MIB);
    stage.us(5 * MS);
    for _ in 0..4 {
        let latency = stage.world.rng.time(5 * MS..40 * MS);
        stage.fake(4 * MIB, latency, Manner::Honest);
    }
    let player = stage.world.add_player(stage.ours, Some(MIB));
    stage.meet();
    stage.pass(S);
    stage.seeks(player, 10, 3 * S);
}

fn two_readers(stage: &mut Stage) {
    stage.torrent(1_024 * MIB, MIB);
    stage.us(5 * MS);
    for _ in 0..6 {
        let latency = stage.world.rng.time(5 * MS..60 * MS);
        stage.fake(500 * KIB, latency, Manner::Honest);
    }
    let players = [0, 0].map(|_| stage.world.add_player(stage.ours, Some(700 * KIB)));
    stage.meet();
    stage.pass(S);
    for round in 0..6 {
        let position = stage.somewhere();
        stage.world.seek(stage.ours, players[round % 2], position, false);
        stage.pass(15 * S);
    }
}

fn flash_crowd(stage: &mut Stage) {
    stage.torrent(8 * MIB, 256 * KIB);
    let seed_up = 4 * MIB;
    stage.ours = stage.real(Line::new(seed_up, 100 * MIB, 10 * MS), true);
    let (mut crowd, mut up_all) = (Vec::new(), seed_up);
    for _ in 0..200 {
        let latency = stage.world.rng.time(5 * MS..60 * MS);
        let up = stage.world.rng.within(250 * KIB..1_000 * KIB);
        up_all += up;
        let node = stage.real(Line::new(up, 4 * MIB, latency), false);
        crowd.push(node);
    }
    let begun = stage.world.now;
    let addrs: Vec<_> = stage.world.nodes.iter().map(|node| node.addr).collect();
    for (n, node) in crowd.iter().copied().enumerate() {
        let at = stage.world.rng.time(Duration::ZERO..20 * MS);
        stage.pass(at);
        let mut known = vec![addrs[stage.ours]];
        for _ in 0..30 {
            known.push(addrs[stage.world.rng.place(addrs.len())]);
        }
        stage.world.handle(node, Input::Candidates { source: Source::Tracker, addrs: known });
        if n % 20 == 0 {
            let player = stage.world.add_player(node, Some(200 * KIB));
            stage.world.seek(node, player, 0, true);
        }
    }
    let until = stage.world.now + 600 * S;
    let all_done = |stage: &mut Stage| {
        crowd.iter().all(|node| stage.world.real(*node).is_some_and(|real| real.finished_at.is_some()))
    };
    while !all_done(stage) && stage.world.now < until {
        stage.pass(S);
    }
    let last =
        crowd.iter().filter_map(|node| stage.world.real(*node).and_then(|real| real.finished_at)).max();
    let took = last.filter(|_| all_done(stage)).unwrap_or(until) - begun;
    let total = stage.layout.total();
    let bound = transfer(total, seed_up).max(transfer(total * 200, up_all)).max(transfer(total, 4 * MIB));
    stage.report.complete_ratio = Some(took.as_secs_f64() / bound.as_secs_f64());
}
