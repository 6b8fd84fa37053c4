//! The shell around a real torrent: what `engine` does with sockets and disks, done with events.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use metainfo::{BLOCK_LENGTH, Bitfield, InfoHash, PieceIndex, PieceLayout};
use peer_wire::Message;
use swarm::{BlockRead, Config, Hello, Info, Input, Output, PeerKey, Stored, Torrent};

use crate::{
    player::Player,
    world::{ConnId, Event, Kind, NodeId, World},
};

/// From a whole piece's last block to its verdict: hashing goes along, writing is behind.
const VERIFY: Duration = Duration::from_micros(300);
/// From a read to its block.
const READ: Duration = Duration::from_micros(200);

/// What a block contains: one byte says whether it is right.
pub(crate) static GOOD: [u8; BLOCK_LENGTH as usize] = [0x47; BLOCK_LENGTH as usize];
pub(crate) static BAD: [u8; BLOCK_LENGTH as usize] = [0x42; BLOCK_LENGTH as usize];

/// A block's bytes, right or wrong.
pub(crate) fn block_data(length: u32, good: bool) -> Bytes {
    let all: &'static [u8] = if good { &GOOD } else { &BAD };
    Bytes::from_static(&all[..(length as usize).min(all.len())])
}

/// Blocks of a piece on disk.
#[derive(Debug, Default)]
struct Begun {
    blocks: BTreeMap<u32, bool>,
}

/// A real torrent.
#[derive(Debug)]
pub(crate) struct Real {
    pub(crate) torrent: Torrent,
    pub(crate) layout: PieceLayout,
    pub(crate) players: Vec<Player>,
    conns: BTreeMap<PeerKey, (ConnId, usize)>,
    disk: BTreeMap<PieceIndex, Begun>,
    timer: Option<(Duration, u64)>,
    timers: u64,
    /// Wake-ups at one and the same time: a torrent that spins is a bug.
    spins: (Duration, u32),
    pub(crate) finished_at: Option<Duration>,
    pub(crate) banned: u32,
    pub(crate) corrupt_pieces: u32,
}

pub(crate) fn hello(node: NodeId) -> Hello {
    let mut peer_id = *b"-HW0001-000000000000";
    peer_id[12..].copy_from_slice(&(node as u64).to_be_bytes());
    Hello { peer_id, fast: true, extended: true, dht: false, encrypted: false, utp: false }
}

impl Real {
    pub(crate) fn new(layout: PieceLayout, have: Bitfield, node: NodeId, seed: u64, now: Duration) -> Self {
        let mut config = Config::new(InfoHash([7; 20]), hello(node).peer_id, seed);
        config.listen_port = Some(6881);
        let mut torrent = Torrent::new(config);
        let info = Info { layout, metadata: Bytes::from_static(b"d4:infoe"), private: false, have };
        torrent.handle(now, Input::Info(Box::new(info)));
        Self {
            torrent,
            layout,
            players: Vec::new(),
            conns: BTreeMap::new(),
            disk: BTreeMap::new(),
            timer: None,
            timers: 0,
            spins: (Duration::ZERO, 0),
            finished_at: None,
            banned: 0,
            corrupt_pieces: 0,
        }
    }
}

impl World {
    /// Feeds a real torrent and does what it wants done.
    pub(crate) fn handle(&mut self, node: NodeId, input: Input) {
        let now = self.now;
        let Some(real) = self.real(node) else { return };
        real.torrent.handle(now, input);
        self.outputs(node);
    }

    pub(crate) fn outputs(&mut self, node: NodeId) {
        let now = self.now;
        while let Some(output) = self.real(node).and_then(|real| real.torrent.poll_output()) {
            match output {
                Output::Connect { peer, addr } => self.connect(node, addr, Some(peer)),
                Output::Disconnect { peer, .. } => {
                    let conn = self.real(node).and_then(|real| real.conns.remove(&peer));
                    if let Some((conn, end)) = conn {
                        self.close(conn, end);
                    }
                }
                Output::Send { peer, messages } => {
                    let conn = self.real(node).and_then(|real| real.conns.get(&peer).copied());
                    if let Some((conn, end)) = conn {
                        self.send(conn, end, messages);
                    }
                }
                Output::Write(blocks) => {
                    let Some(real) = self.real(node) else { return };
                    let mut results = Vec::new();
                    for write in blocks {
                        let piece = write.block.piece;
                        let begun = real.disk.entry(piece).or_default();
                        begun.blocks.insert(write.block.block, write.data.first() == Some(&GOOD[0]));
                        if begun.blocks.len() == real.layout.blocks(piece) as usize {
                            let good = begun.blocks.values().all(|good| *good);
                            real.disk.remove(&piece);
                            real.corrupt_pieces += u32::from(!good);
                            results.push(if good { Stored::Verified(piece) } else { Stored::Corrupt(piece) });
                        }
                    }
                    if !results.is_empty() {
                        self.plan(now + VERIFY, Event::Stored { node, results });
                    }
                }
                Output::Read(reads) => {
                    let blocks = reads
                        .into_iter()
                        .map(|read| BlockRead {
                            peer: read.peer,
                            block: read.block,
                            data: Some(block_data(read.block.length, true)),
                        })
                        .collect();
                    self.plan(now + READ, Event::Read { node, blocks });
                }
                Output::PiecesVerified(_) => self.wake_players(node),
                Output::Banned { .. } => {
                    if let Some(real) = self.real(node) {
                        real.banned += 1;
                    }
                }
                Output::Finished { .. } => {
                    if let Some(real) = self.real(node) {
                        real.finished_at.get_or_insert(now);
                    }
                }
                Output::PeersWanted
                | Output::MetadataComplete(_)
                | Output::Failed { .. }
                | Output::DhtNode(_) => {}
            }
        }
        self.set_timer(node);
    }

    fn set_timer(&mut self, node: NodeId) {
        let Some(real) = self.real(node) else { return };
        let due = real.torrent.next_timeout();
        match due {
            None => real.timer = None,
            Some(due) if real.timer.is_some_and(|(at, _)| at == due) => {}
            Some(due) => {
                real.timers += 1;
                let number = real.timers;
                real.timer = Some((due, number));
                self.plan(due, Event::Timer { node, number });
            }
        }
    }

    pub(crate) fn timer(&mut self, node: NodeId, number: u64) {
        let now = self.now;
        let Some(real) = self.real(node) else { return };
        if real.timer.is_none_or(|(_, current)| current != number) {
            return;
        }
        real.timer = None;
        real.spins = if real.spins.0 == now { (now, real.spins.1 + 1) } else { (now, 0) };
        assert!(real.spins.1 < 1_000, "the torrent's timer spins at {now:?}");
        self.handle(node, Input::Timeout);
    }

    /// The accepting end of a connection; whether it takes it.
    pub(crate) fn accept(&mut self, conn: ConnId, node: NodeId, from: NodeId) -> bool {
        let now = self.now;
        let mut addr = self.nodes[from].addr;
        addr.set_port(50_000);
        match &mut self.nodes[node].kind {
            Kind::Fake(_) => true,
            Kind::Real(real) => match real.torrent.accept(now, addr, hello(from)) {
                Ok(key) => {
                    real.conns.insert(key, (conn, 1));
                    self.conns[conn].ends[1].key = Some(key);
                    true
                }
                Err(_) => {
                    self.outputs(node);
                    false
                }
            },
        }
    }

    /// An end of a connection learns that it is there.
    pub(crate) fn connected(&mut self, conn: ConnId, node: NodeId, end: usize) {
        let other = self.conns[conn].ends[1 - end].node;
        let key = self.conns[conn].ends[end].key;
        match &mut self.nodes[node].kind {
            Kind::Fake(_) => self.fake_connected(conn, end),
            Kind::Real(real) => {
                if let (0, Some(peer)) = (end, key) {
                    real.conns.insert(peer, (conn, end));
                    self.handle(node, Input::Connected { peer, hello: hello(other) });
                } else {
                    self.outputs(node);
                }
            }
        }
    }

    pub(crate) fn received(&mut self, conn: ConnId, to: usize, message: Message) {
        let node = self.conns[conn].ends[to].node;
        match (&self.nodes[node].kind, self.conns[conn].ends[to].key) {
            (Kind::Fake(_), _) => self.fake_received(conn, to, &message),
            (Kind::Real(_), Some(peer)) => self.handle(node, Input::Messages { peer, batch: vec![message] }),
            (Kind::Real(_), None) => {}
        }
    }

    /// Payload went to a socket.
    pub(crate) fn written(&mut self, conn: ConnId, from: usize, bytes: u64) {
        let end = &self.conns[conn].ends[from];
        if let (node, Some(peer), Kind::Real(_)) = (end.node, end.key, &self.nodes[end.node].kind) {
            self.handle(node, Input::Sent { peer, bytes });
        }
    }

    pub(crate) fn told_closed(&mut self, conn: ConnId, to: usize) {
        let node = self.conns[conn].ends[to].node;
        let key = self.conns[conn].ends[to].key;
        match (&mut self.nodes[node].kind, key) {
            (Kind::Real(real), Some(peer)) => {
                if real.conns.remove(&peer).is_some() {
                    self.handle(node, Input::Disconnected { peer, misbehaved: false });
                }
            }
            (Kind::Fake(fake), _) => fake.forget(conn),
            (Kind::Real(_), None) => {}
        }
    }

    pub(crate) fn refused(&mut self, node: NodeId, peer: PeerKey) {
        self.handle(node, Input::Disconnected { peer, misbehaved: false });
    }

    pub(crate) fn stored(&mut self, node: NodeId, results: Vec<Stored>) {
        self.handle(node, Input::Stored(results));
    }

    pub(crate) fn blocks_read(&mut self, node: NodeId, blocks: Vec<BlockRead>) {
        self.handle(node, Input::BlocksRead(blocks));
    }
}
