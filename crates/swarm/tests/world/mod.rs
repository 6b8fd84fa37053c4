//! A few torrents in one room: real [`Torrent`] values joined by queues with latency and rate, in virtual time.

#![expect(clippy::unwrap_used, reason = "tests may, and this is their room")]

use core::net::SocketAddr;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use metainfo::{Bitfield, InfoHash, PieceIndex, PieceLayout};
use sha1::{Digest, Sha1};
use swarm::{
    BlockRead, Config, Hello, Info, Input, Message, Output, PeerKey, ReaderAt, ReaderKey, Reason, Source,
    Stored, Torrent,
};

pub(crate) const MS: Duration = Duration::from_millis(1);

/// What a node is like.
#[derive(Clone, Debug)]
pub(crate) struct Nature {
    /// Bytes per second it can send.
    pub(crate) up: u64,
    /// One way, to anybody.
    pub(crate) latency: Duration,
    /// The pieces it begins with; `None`: a magnet, without even the metadata.
    pub(crate) have: Option<Vec<u32>>,
    /// It changes a byte of every block it sends.
    pub(crate) corrupts: bool,
    /// It swallows every request after so many blocks.
    pub(crate) stalls_after: Option<usize>,
}

impl Nature {
    pub(crate) fn seed() -> Self {
        Self { up: 10 << 20, latency: 5 * MS, have: Some(Vec::new()), corrupts: false, stalls_after: None }
            .all()
    }
    pub(crate) fn leech() -> Self {
        Self { have: Some(Vec::new()), ..Self::seed() }
    }
    pub(crate) fn magnet() -> Self {
        Self { have: None, ..Self::seed() }
    }
    fn all(self) -> Self {
        Self { have: Some((0..u32::MAX >> 10).collect()), ..self }
    }
    pub(crate) fn up(self, up: u64) -> Self {
        Self { up, ..self }
    }
    pub(crate) fn latency(self, latency: Duration) -> Self {
        Self { latency, ..self }
    }
    pub(crate) fn corrupt(self) -> Self {
        Self { corrupts: true, ..self }
    }
    pub(crate) fn pieces(self, have: impl IntoIterator<Item = u32>) -> Self {
        Self { have: Some(have.into_iter().collect()), ..self }
    }
}

pub(crate) struct Node {
    pub(crate) torrent: Torrent,
    pub(crate) addr: SocketAddr,
    pub(crate) nature: Nature,
    pub(crate) links: BTreeMap<PeerKey, (usize, PeerKey)>,
    pub(crate) seen: Vec<Output>,
    /// Messages sent, by name.
    pub(crate) sent: BTreeMap<&'static str, usize>,
    /// Blocks that came, by whom.
    pub(crate) blocks_from: BTreeMap<usize, usize>,
    pub(crate) finished: Option<Duration>,
    store: Vec<u8>,
    arrived: BTreeMap<PieceIndex, BTreeSet<u32>>,
    uplink_free: Duration,
    blocks_sent: usize,
    store_fails: bool,
}

enum Event {
    Input(usize, Box<Input>),
    Accept { by: usize, from: usize, dialler: PeerKey },
}

/// The room.
pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) nodes: Vec<Node>,
    pub(crate) layout: PieceLayout,
    pub(crate) content: Vec<u8>,
    pub(crate) private: bool,
    pub(crate) fast: bool,
    metadata: Bytes,
    events: BTreeMap<(Duration, u64), Event>,
    number: u64,
}

impl World {
    pub(crate) fn new(total: u64, piece_length: u64) -> Self {
        let mut content = vec![0; usize::try_from(total).unwrap()];
        let mut state = 1u64;
        for chunk in content.chunks_mut(8) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
        }
        let metadata: Vec<u8> = (0..100_000u32).map(|n| n.to_le_bytes()[1] ^ n.to_le_bytes()[0]).collect();
        Self {
            now: Duration::from_secs(1),
            nodes: Vec::new(),
            layout: PieceLayout::new(total, piece_length).unwrap(),
            content,
            private: false,
            fast: true,
            metadata: metadata.into(),
            events: BTreeMap::new(),
            number: 0,
        }
    }

    pub(crate) fn info_hash(&self) -> InfoHash {
        InfoHash(Sha1::digest(&self.metadata).into())
    }

    pub(crate) fn add(&mut self, nature: Nature) -> usize {
        self.add_with(nature, |_| {})
    }

    pub(crate) fn add_with(&mut self, nature: Nature, change: impl FnOnce(&mut Config)) -> usize {
        let index = self.nodes.len();
        let number = u8::try_from(index).unwrap();
        let mut config = Config::new(self.info_hash(), [number; 20], u64::from(number) + 77);
        config.listen_port = Some(6881);
        change(&mut config);
        let mut node = Node {
            torrent: Torrent::new(config),
            addr: SocketAddr::from(([10, 0, number, 1], 6881)),
            links: BTreeMap::new(),
            seen: Vec::new(),
            sent: BTreeMap::new(),
            blocks_from: BTreeMap::new(),
            finished: None,
            store: vec![0; self.content.len()],
            arrived: BTreeMap::new(),
            uplink_free: Duration::ZERO,
            blocks_sent: 0,
            store_fails: false,
            nature: nature.clone(),
        };
        let pieces = nature.have.map(|pieces| {
            let mut have = Bitfield::none(self.layout.pieces());
            for piece in pieces.into_iter().take_while(|piece| *piece < self.layout.pieces()) {
                have.insert(PieceIndex(piece));
                let range = self.layout.range(PieceIndex(piece));
                let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                node.store[range.clone()].copy_from_slice(&self.content[range]);
            }
            have
        });
        self.nodes.push(node);
        if let Some(have) = pieces {
            let info = self.info(have);
            self.input(index, Input::Info(Box::new(info)));
        }
        index
    }

    fn info(&self, have: Bitfield) -> Info {
        Info { layout: self.layout, metadata: self.metadata.clone(), private: self.private, have }
    }

    /// Tells `who` of `whom`.
    pub(crate) fn meet(&mut self, who: usize, whom: usize) {
        let addrs = vec![self.nodes[whom].addr];
        self.input(who, Input::Candidates { source: Source::Tracker, addrs });
    }

    pub(crate) fn read(&mut self, who: usize, reader: u32, wanted: std::ops::Range<u64>) {
        let at = ReaderAt { file: 0..self.layout.total(), wanted, bytes_per_s: None, ahead: None };
        self.input(who, Input::ReaderOpened { reader: ReaderKey(reader), at });
    }

    pub(crate) fn fail_storage(&mut self, who: usize, fails: bool) {
        self.nodes[who].store_fails = fails;
    }

    /// What storage does when it is opened again.
    pub(crate) fn forget_unverified(&mut self, who: usize) {
        self.nodes[who].arrived.clear();
    }

    pub(crate) fn input(&mut self, who: usize, input: Input) {
        if let Input::Messages { peer, batch } = &input
            && let Some((from, _)) = self.nodes[who].links.get(peer).copied()
        {
            let blocks = batch.iter().filter(|message| matches!(message, Message::Piece { .. })).count();
            *self.nodes[who].blocks_from.entry(from).or_default() += blocks;
        }
        self.nodes[who].torrent.handle(self.now, input);
        self.drain(who);
    }

    fn at(&mut self, when: Duration, event: Event) {
        self.number += 1;
        self.events.insert((when, self.number), event);
    }

    fn drain(&mut self, who: usize) {
        while let Some(output) = self.nodes[who].torrent.poll_output() {
            self.carry_out(who, &output);
            if !matches!(output, Output::Send { .. } | Output::Write(_) | Output::Read(_)) {
                self.nodes[who].seen.push(output);
            }
        }
    }

    fn carry_out(&mut self, who: usize, output: &Output) {
        let latency = self.nodes[who].nature.latency;
        match output {
            Output::Connect { peer, addr } => {
                let target = self.nodes.iter().position(|node| node.addr == *addr);
                let event = match target {
                    Some(by) => Event::Accept { by, from: who, dialler: *peer },
                    None => {
                        Event::Input(who, Box::new(Input::Disconnected { peer: *peer, misbehaved: false }))
                    }
                };
                self.at(self.now + latency, event);
            }
            Output::Disconnect { peer, .. } => {
                if let Some((other, key)) = self.nodes[who].links.remove(peer) {
                    let gone = Input::Disconnected { peer: key, misbehaved: false };
                    self.at(self.now + latency, Event::Input(other, Box::new(gone)));
                }
            }
            Output::Send { peer, messages } => self.transmit(who, *peer, messages.clone()),
            Output::Write(blocks) => {
                if self.nodes[who].store_fails {
                    let failed = Stored::Failed { reason: "disk full".into() };
                    return self.at(self.now + MS, Event::Input(who, Box::new(Input::Stored(vec![failed]))));
                }
                for write in blocks {
                    let place = self.layout.block(write.block);
                    let start =
                        usize::try_from(self.layout.offset(place.piece)).unwrap() + place.begin as usize;
                    let node = &mut self.nodes[who];
                    node.store[start..start + write.data.len()].copy_from_slice(&write.data);
                    let blocks = node.arrived.entry(place.piece).or_default();
                    assert!(blocks.insert(write.block.block), "block {} was written twice", write.block);
                    if blocks.len() == self.layout.blocks(place.piece) as usize {
                        node.arrived.remove(&place.piece);
                        let range = self.layout.range(place.piece);
                        let range =
                            usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                        let right = node.store[range.clone()] == self.content[range];
                        let stored =
                            if right { Stored::Verified(place.piece) } else { Stored::Corrupt(place.piece) };
                        self.at(self.now + MS, Event::Input(who, Box::new(Input::Stored(vec![stored]))));
                    }
                }
            }
            Output::Read(blocks) => {
                let node = &self.nodes[who];
                let read = |read: &swarm::ReadBlock| {
                    let start = usize::try_from(self.layout.offset(read.block.piece)).unwrap()
                        + read.block.begin as usize;
                    let mut data = node.store[start..start + read.block.length as usize].to_vec();
                    if node.nature.corrupts {
                        data[0] ^= 1;
                    }
                    BlockRead { peer: read.peer, block: read.block, data: Some(data.into()) }
                };
                let blocks = blocks.iter().map(read).collect();
                self.at(self.now, Event::Input(who, Box::new(Input::BlocksRead(blocks))));
            }
            Output::MetadataComplete(bytes) => {
                assert_eq!(*bytes, self.metadata);
                let info = self.info(Bitfield::none(self.layout.pieces()));
                self.at(self.now, Event::Input(who, Box::new(Input::Info(Box::new(info)))));
            }
            Output::Finished { .. } => self.nodes[who].finished = Some(self.now),
            _ => {}
        }
    }

    fn transmit(&mut self, who: usize, peer: PeerKey, messages: Vec<Message>) {
        let Some((other, key)) = self.nodes[who].links.get(&peer).copied() else { return };
        for message in messages {
            let node = &mut self.nodes[who];
            *node.sent.entry(message.name()).or_default() += 1;
            let mut payload = 0;
            if let Message::Piece { data, .. } = &message {
                payload = data.len() as u64;
                node.blocks_sent += 1;
                if node.nature.stalls_after.is_some_and(|blocks| node.blocks_sent > blocks) {
                    continue;
                }
            }
            let takes = Duration::from_nanos(payload * 1_000_000_000 / node.nature.up);
            node.uplink_free = node.uplink_free.max(self.now) + takes;
            let (left, arrives) = (node.uplink_free, node.uplink_free + node.nature.latency);
            if payload > 0 {
                self.at(left, Event::Input(who, Box::new(Input::Sent { peer, bytes: payload })));
            }
            let batch = vec![message];
            self.at(arrives, Event::Input(other, Box::new(Input::Messages { peer: key, batch })));
        }
    }

    fn hello(&self, who: usize) -> Hello {
        let peer_id = [u8::try_from(who).unwrap(); 20];
        Hello { peer_id, fast: self.fast, extended: true, dht: false, encrypted: false, utp: false }
    }

    fn accept(&mut self, by: usize, from: usize, dialler: PeerKey) {
        let back = self.now + self.nodes[by].nature.latency;
        let (addr, hello) = (SocketAddr::new(self.nodes[from].addr.ip(), 50_000), self.hello(from));
        match self.nodes[by].torrent.accept(self.now, addr, hello) {
            Ok(key) => {
                self.nodes[by].links.insert(key, (from, dialler));
                self.nodes[from].links.insert(dialler, (by, key));
                let connected = Input::Connected { peer: dialler, hello: self.hello(by) };
                self.at(back, Event::Input(from, Box::new(connected)));
                self.drain(by);
            }
            Err(_) => {
                let refused = Input::Disconnected { peer: dialler, misbehaved: false };
                self.at(back, Event::Input(from, Box::new(refused)));
            }
        }
    }

    /// Lets the next thing happen; false when nothing ever will.
    pub(crate) fn step(&mut self) -> bool {
        let timers = self.nodes.iter().enumerate();
        let timer = timers.filter_map(|(who, node)| Some((node.torrent.next_timeout()?, who))).min();
        let event = self.events.first_key_value().map(|(key, _)| key.0);
        match (timer, event) {
            (Some((due, who)), event) if event.is_none_or(|at| due < at) => {
                self.now = self.now.max(due);
                self.input(who, Input::Timeout);
            }
            (_, Some(_)) => {
                let Some(((at, _), event)) = self.events.pop_first() else { return false };
                self.now = self.now.max(at);
                match event {
                    Event::Input(who, input) => self.input(who, *input),
                    Event::Accept { by, from, dialler } => self.accept(by, from, dialler),
                }
            }
            _ => return false,
        }
        true
    }

    /// Runs until `done` or for `limit`; whether it was done.
    pub(crate) fn run(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        let mut steps = 0u64;
        while !done(self) {
            if self.now >= end || !self.step() {
                return false;
            }
            steps += 1;
            assert!(steps < 5_000_000, "time stands still at {:?}", self.now);
        }
        true
    }

    pub(crate) fn is_finished(&self, who: usize) -> bool {
        self.nodes[who].finished.is_some()
    }

    pub(crate) fn assert_content(&self, who: usize) {
        assert!(self.nodes[who].store == self.content, "node {who} has other bytes");
    }

    pub(crate) fn dropped(&self, who: usize, why: Reason) -> bool {
        self.nodes[who]
            .seen
            .iter()
            .any(|output| matches!(output, Output::Disconnect { reason, .. } if *reason == why))
    }

    pub(crate) fn banned(&self, who: usize, whom: usize) -> bool {
        let ip = self.nodes[whom].addr.ip();
        self.nodes[who].seen.contains(&Output::Banned { ip })
    }
}
