//! Whatever peers send and whatever happens in whatever order, a torrent does not panic, and what it asks of its shell
//! makes sense.

#![expect(clippy::unwrap_used, reason = "tests may, and this is their shell")]

use core::net::SocketAddr;
use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use metainfo::{Bitfield, InfoHash, PieceIndex, PieceLayout};
use peer_wire::{ExtendedHandshake, Extensions, MetadataMessage, Pex, PexFlags, PexPeer, RawBlock};
use proptest::{collection::vec, prelude::*};
use swarm::{
    BlockRead, Config, Hello, Info, Input, Limits, Message, Output, PeerKey, Priority, ReaderAt, ReaderKey,
    Source, Stored, Torrent,
};

const PIECES: u32 = 6;
const PIECE: u64 = 3 * 16_384 + 100;

#[derive(Clone, Debug)]
enum Act {
    Candidates(u8, Source),
    Accept(u8, bool),
    Connect,
    Fail,
    Drop(u8, bool),
    Messages(u8, Vec<Message>),
    AnswerRequests(u8, bool),
    Store(bool),
    Lost(u32),
    Read,
    Sent(u8, u64),
    Info(bool),
    Reader(u8, u64, u64),
    CloseReader(u8),
    Wanted(u32, u32, bool),
    Switch(u8),
    WebSeed,
    Time(u32),
}

fn raw() -> impl Strategy<Value = RawBlock> {
    let begin = prop_oneof![(0u32..5).prop_map(|n| n * 16_384), any::<u32>()];
    let length = prop_oneof![Just(16_384u32), Just(100), any::<u32>()];
    (0..PIECES + 2, begin, length).prop_map(|(piece, begin, length)| RawBlock { piece, begin, length })
}

fn message() -> impl Strategy<Value = Message> {
    let number = prop_oneof![0..PIECES, any::<u32>()];
    let handshake =
        (any::<[bool; 4]>(), any::<Option<u16>>(), any::<Option<u32>>(), any::<Option<u32>>(), any::<bool>())
            .prop_map(|([metadata, pex, dont_have, upload], port, reqq, size, upload_only)| {
                let extensions = Extensions { metadata, pex, dont_have, upload_only: upload };
                Message::ExtendedHandshake(Box::new(ExtendedHandshake {
                    extensions,
                    port,
                    request_queue: reqq,
                    metadata_size: size.map(|size| size % 100_000),
                    upload_only,
                    ..ExtendedHandshake::default()
                }))
            });
    let metadata = prop_oneof![
        any::<u32>().prop_map(|piece| MetadataMessage::Request { piece: piece % 8 }),
        (0u32..8, any::<u32>(), 0usize..20_000).prop_map(|(piece, total, length)| {
            MetadataMessage::Data { piece, total, data: vec![0; length].into() }
        }),
        any::<u32>().prop_map(|piece| MetadataMessage::Reject { piece }),
    ];
    let pex = vec(any::<(u8, u16)>(), 0..5).prop_map(|peers| {
        let addr = |(last, port): (u8, u16)| SocketAddr::from(([10, 9, 9, last], port));
        let added = peers.into_iter().map(|peer| PexPeer { addr: addr(peer), flags: PexFlags(0) }).collect();
        Message::Pex(Box::new(Pex { added, dropped: Vec::new() }))
    });
    prop_oneof![
        1 => Just(Message::Choke),
        3 => Just(Message::Unchoke),
        2 => Just(Message::Interested),
        1 => Just(Message::NotInterested),
        2 => number.clone().prop_map(|number| Message::Have(number % 8)),
        1 => number.clone().prop_map(Message::DontHave),
        1 => number.clone().prop_map(Message::AllowedFast),
        1 => any::<u8>().prop_map(|bits| Message::Bitfield(Bytes::from(vec![bits & 0xfc]))),
        1 => vec(any::<u8>(), 0..3).prop_map(|bits| Message::Bitfield(bits.into())),
        3 => Just(Message::HaveAll),
        1 => Just(Message::HaveNone),
        2 => raw().prop_map(Message::Request),
        1 => raw().prop_map(Message::Cancel),
        1 => raw().prop_map(Message::Reject),
        1 => (0..PIECES, 0u32..4, 0usize..17_000).prop_map(|(piece, block, length)| Message::Piece {
            piece,
            begin: block * 16_384,
            data: vec![1; length].into()
        }),
        1 => handshake,
        1 => metadata.prop_map(Message::Metadata),
        1 => pex,
        1 => any::<bool>().prop_map(Message::UploadOnly),
        1 => any::<u16>().prop_map(Message::Port),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let source = prop_oneof![Just(Source::User), Just(Source::Tracker), Just(Source::Pex), Just(Source::Dht)];
    prop_oneof![
        1 => (any::<u8>(), source).prop_map(|(last, source)| Act::Candidates(last, source)),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(last, fast)| Act::Accept(last, fast)),
        2 => Just(Act::Connect),
        1 => Just(Act::Fail),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(peer, bad)| Act::Drop(peer, bad)),
        12 => (any::<u8>(), vec(message(), 1..6)).prop_map(|(peer, batch)| Act::Messages(peer, batch)),
        8 => (any::<u8>(), any::<bool>()).prop_map(|(peer, reject)| Act::AnswerRequests(peer, reject)),
        3 => any::<bool>().prop_map(Act::Store),
        1 => (0..PIECES).prop_map(Act::Lost),
        2 => Just(Act::Read),
        1 => (any::<u8>(), 0u64..40_000).prop_map(|(peer, bytes)| Act::Sent(peer, bytes)),
        1 => any::<bool>().prop_map(Act::Info),
        2 => (0u8..3, 0..PIECE * 7, 0..PIECE * 7).prop_map(|(reader, start, end)| Act::Reader(reader, start, end)),
        1 => (0u8..3).prop_map(Act::CloseReader),
        1 => (0..PIECES + 1, 0..PIECES + 2, any::<bool>()).prop_map(|(a, b, skip)| Act::Wanted(a, b, skip)),
        1 => (0u8..10).prop_map(Act::Switch),
        1 => Just(Act::WebSeed),
        6 => (0u32..40_000).prop_map(Act::Time),
    ]
}

struct Shell {
    torrent: Torrent,
    now: Duration,
    attempts: Vec<PeerKey>,
    up: Vec<PeerKey>,
    ended: BTreeSet<PeerKey>,
    requests: Vec<(PeerKey, RawBlock)>,
    reads: Vec<swarm::ReadBlock>,
    arrived: Vec<(PieceIndex, BTreeSet<u32>)>,
    complete: Vec<PieceIndex>,
    layout: PieceLayout,
}

impl Shell {
    fn new() -> Self {
        let mut config = Config::new(InfoHash([7; 20]), [1; 20], 42);
        config.limits =
            Limits { connections_max: 6, half_open_max: 3, upload_slots_max: 2, ..Limits::default() };
        Self {
            torrent: Torrent::new(config),
            now: Duration::from_secs(1),
            attempts: Vec::new(),
            up: Vec::new(),
            ended: BTreeSet::new(),
            requests: Vec::new(),
            reads: Vec::new(),
            arrived: Vec::new(),
            complete: Vec::new(),
            layout: PieceLayout::new(PIECE * u64::from(PIECES) - 50, PIECE).unwrap(),
        }
    }

    fn peer(&self, number: u8) -> PeerKey {
        let known = self.up.get(usize::from(number) % self.up.len().max(1)).copied();
        known.unwrap_or(PeerKey(u32::from(number)))
    }

    fn hello(number: u8, fast: bool) -> Hello {
        Hello { peer_id: [number; 20], fast, extended: true, dht: true, encrypted: false, utp: false }
    }

    fn act(&mut self, act: Act) {
        let input = match act {
            Act::Candidates(last, source) => {
                Input::Candidates { source, addrs: vec![SocketAddr::from(([10, 0, 0, last], 6881))] }
            }
            Act::Accept(last, fast) => {
                let addr = SocketAddr::from(([10, 0, 1, last], 5_000));
                if let Ok(key) = self.torrent.accept(self.now, addr, Self::hello(last, fast)) {
                    self.up.push(key);
                }
                return self.drain();
            }
            Act::Connect => {
                let Some(peer) = self.attempts.pop() else { return };
                self.up.push(peer);
                let number = peer.0.to_le_bytes()[0];
                Input::Connected { peer, hello: Self::hello(number, number % 2 == 0) }
            }
            Act::Fail => {
                let Some(peer) = self.attempts.pop() else { return };
                Input::Disconnected { peer, misbehaved: false }
            }
            Act::Drop(number, misbehaved) => {
                let peer = self.peer(number);
                self.up.retain(|up| *up != peer);
                Input::Disconnected { peer, misbehaved }
            }
            Act::Messages(number, batch) => Input::Messages { peer: self.peer(number), batch },
            Act::AnswerRequests(number, reject) => {
                let peer = self.peer(number);
                let (mine, others) =
                    std::mem::take(&mut self.requests).into_iter().partition(|(from, _)| *from == peer);
                self.requests = others;
                let mine: Vec<(PeerKey, RawBlock)> = mine;
                let answer = |(_, raw): (PeerKey, RawBlock)| {
                    if reject {
                        return Message::Reject(raw);
                    }
                    let data = vec![raw.piece.to_le_bytes()[0]; raw.length as usize].into();
                    Message::Piece { piece: raw.piece, begin: raw.begin, data }
                };
                Input::Messages { peer, batch: mine.into_iter().map(answer).collect() }
            }
            Act::Store(right) => {
                let Some(piece) = self.complete.pop() else { return };
                self.arrived.retain(|(other, _)| *other != piece);
                Input::Stored(vec![if right { Stored::Verified(piece) } else { Stored::Corrupt(piece) }])
            }
            Act::Lost(piece) => {
                let piece = PieceIndex(piece);
                self.arrived.retain(|(other, _)| *other != piece);
                self.complete.retain(|other| *other != piece);
                Input::Stored(vec![Stored::Lost(piece)])
            }
            Act::Read => {
                let reads = std::mem::take(&mut self.reads);
                let read = |(at, read): (usize, swarm::ReadBlock)| BlockRead {
                    peer: read.peer,
                    block: read.block,
                    data: (at % 5 != 4).then(|| vec![0; read.block.length as usize].into()),
                };
                Input::BlocksRead(reads.into_iter().enumerate().map(read).collect())
            }
            Act::Sent(number, bytes) => Input::Sent { peer: self.peer(number), bytes },
            Act::Info(private) => Input::Info(Box::new(Info {
                layout: self.layout,
                metadata: vec![1; 20_000].into(),
                private,
                have: Bitfield::none(PIECES),
            })),
            Act::Reader(reader, start, end) => {
                let at = ReaderAt {
                    file: 0..PIECE * 6,
                    wanted: start..end,
                    bytes_per_s: Some(start),
                    ahead: None,
                };
                let reader = ReaderKey(u32::from(reader));
                if end % 2 == 0 {
                    Input::ReaderOpened { reader, at }
                } else {
                    Input::ReaderMoved { reader, at }
                }
            }
            Act::CloseReader(reader) => Input::ReaderClosed { reader: ReaderKey(u32::from(reader)) },
            Act::Wanted(a, b, skip) => {
                Input::Wanted(vec![(a..b, if skip { Priority::Skip } else { Priority::High })])
            }
            Act::Switch(0) => Input::Pause,
            Act::Switch(1 | 2) => Input::Resume,
            Act::Switch(3) => Input::Sequential(true),
            Act::Switch(4) => Input::Upload(false),
            Act::Switch(5) => Input::Upload(true),
            Act::Switch(6) => Input::SuperSeeding(true),
            Act::Switch(7) => {
                self.arrived.clear();
                self.complete.clear();
                Input::Rechecked(Bitfield::all(PIECES))
            }
            Act::Switch(8) => {
                self.arrived.clear();
                self.complete.clear();
                Input::Rechecked(Bitfield::none(PIECES))
            }
            Act::Switch(_) => Input::Limits(Limits {
                connections_max: 3,
                half_open_max: 2,
                upload_slots_max: 1,
                ..Limits::default()
            }),
            Act::WebSeed => {
                if let Some(key) = self.torrent.add_web_seed(self.now) {
                    self.up.push(key);
                }
                return self.drain();
            }
            Act::Time(ms) => {
                self.now += Duration::from_millis(u64::from(ms));
                Input::Timeout
            }
        };
        self.torrent.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        for _ in 0..100_000 {
            let Some(output) = self.torrent.poll_output() else {
                if let Some(due) = self.torrent.next_timeout() {
                    // What is due was done, unless it is up to the shell to make room first.
                    self.torrent.handle(self.now.max(due), Input::Timeout);
                    self.now = self.now.max(due);
                    while let Some(output) = self.torrent.poll_output() {
                        self.check(output);
                    }
                    let next = self.torrent.next_timeout();
                    assert!(next.is_none_or(|next| next > self.now), "{next:?} at {:?}", self.now);
                }
                return;
            };
            self.check(output);
        }
        panic!("outputs without end");
    }

    fn check(&mut self, output: Output) {
        match output {
            Output::Connect { peer, .. } => {
                assert!(
                    !self.attempts.contains(&peer) && !self.up.contains(&peer) && !self.ended.contains(&peer)
                );
                self.attempts.push(peer);
                assert!(self.attempts.len() <= 3);
            }
            Output::Disconnect { peer, .. } => {
                self.attempts.retain(|other| *other != peer);
                self.up.retain(|other| *other != peer);
                assert!(self.ended.insert(peer), "{peer:?} ended twice");
            }
            Output::Send { peer, messages } => {
                assert!(!self.ended.contains(&peer) && !messages.is_empty());
                for message in messages {
                    if let Message::Request(raw) = message {
                        assert!(self.layout.block_at(raw.piece, raw.begin, raw.length).is_some());
                        self.requests.push((peer, raw));
                    }
                }
            }
            Output::Write(blocks) => {
                for write in blocks {
                    assert_eq!(self.layout.block(write.block).length as usize, write.data.len());
                    let piece = write.block.piece;
                    if !self.arrived.iter().any(|(other, _)| *other == piece) {
                        self.arrived.push((piece, BTreeSet::new()));
                    }
                    let (_, blocks) = self.arrived.iter_mut().find(|(other, _)| *other == piece).unwrap();
                    assert!(blocks.insert(write.block.block), "{} written twice", write.block);
                    if blocks.len() == self.layout.blocks(piece) as usize {
                        self.complete.push(piece);
                    }
                }
            }
            Output::Read(blocks) => self.reads.extend(blocks),
            _ => {}
        }
        assert!(self.reads.len() < 20_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_that_happens_breaks_a_torrent(acts in vec(act(), 1..120)) {
        let mut shell = Shell::new();
        shell.act(Act::Info(false));
        for act in acts {
            shell.act(act);
            let _ = shell.torrent.stats(shell.now);
            let _ = shell.torrent.peers(shell.now);
        }
    }

    #[test]
    fn nothing_that_happens_breaks_a_magnet(acts in vec(act(), 1..80)) {
        let mut shell = Shell::new();
        for act in acts {
            shell.act(act);
            let _ = shell.torrent.stats(shell.now);
        }
    }
}
