//! The picker against a naive model: whatever happens, every block is in one state, asked once but for races, and comes in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use metainfo::{Bitfield, BlockIndex, PieceIndex, PieceLayout};
use proptest::prelude::*;

use crate::{Availability, Demand, PeerKey, Picker, Priority, ReaderKey, Received, partial::Slot};

#[derive(Clone, Debug)]
enum Step {
    Joins { peer: u32, kind: u8, bits: u64 },
    Leaves { peer: u32 },
    Has { peer: u32, piece: u32 },
    Drops { peer: u32, piece: u32 },
    Rate { peer: u32, rate: u64 },
    Chokes { peer: u32 },
    Stalls { peer: u32 },
    Rejects { peer: u32, nth: usize },
    Wants { from: u32, to: u32, priority: u8 },
    Sequential { on: bool },
    Reads { reader: u32, from: u64, length: u64, rate: Option<u64>, deadline: u64 },
    Closes { reader: u32 },
    Picks { peer: u32, budget: usize },
    Sends { peer: u32, nth: usize },
    SendsCancelled { peer: u32, nth: usize },
    Waits { millis: u64 },
    Judges { good: bool },
    Loses { piece: u32 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let peer = || 0..6u32;
    let piece = || 0..14u32;
    let step = prop_oneof![
        2 => (peer(), 0..3u8, any::<u64>()).prop_map(|(peer, kind, bits)| Step::Joins { peer, kind, bits }),
        1 => peer().prop_map(|peer| Step::Leaves { peer }),
        2 => (peer(), piece()).prop_map(|(peer, piece)| Step::Has { peer, piece }),
        1 => (peer(), piece()).prop_map(|(peer, piece)| Step::Drops { peer, piece }),
        2 => (peer(), 0..2_000_000u64).prop_map(|(peer, rate)| Step::Rate { peer, rate }),
        1 => peer().prop_map(|peer| Step::Chokes { peer }),
        1 => peer().prop_map(|peer| Step::Stalls { peer }),
        1 => (peer(), 0..8usize).prop_map(|(peer, nth)| Step::Rejects { peer, nth }),
        1 => (piece(), piece(), 0..4u8).prop_map(|(from, to, priority)| Step::Wants { from, to, priority }),
        1 => any::<bool>().prop_map(|on| Step::Sequential { on }),
        2 => (0..3u32, 0..1_100_000u64, 0..400_000u64, prop::option::of(1..3_000_000u64), 0..20_000u64)
            .prop_map(|(reader, from, length, rate, deadline)| Step::Reads { reader, from, length, rate, deadline }),
        1 => (0..3u32).prop_map(|reader| Step::Closes { reader }),
        12 => (peer(), 0..12usize).prop_map(|(peer, budget)| Step::Picks { peer, budget }),
        20 => (peer(), 0..6usize).prop_map(|(peer, nth)| Step::Sends { peer, nth }),
        3 => (peer(), 0..6usize).prop_map(|(peer, nth)| Step::SendsCancelled { peer, nth }),
        3 => (0..3_000u64).prop_map(|millis| Step::Waits { millis }),
        6 => prop::bool::weighted(0.8).prop_map(|good| Step::Judges { good }),
        1 => piece().prop_map(|piece| Step::Loses { piece }),
    ];
    prop::collection::vec(step, 0..400)
}

/// What a naive bookkeeper knows.
struct World {
    picker: Picker,
    now: Duration,
    /// Who was asked for what and has not answered.
    asked: BTreeMap<BlockIndex, BTreeSet<PeerKey>>,
    /// Cancelled or forgotten requests.
    cancelled: BTreeMap<PeerKey, Vec<BlockIndex>>,
    received: BTreeMap<BlockIndex, PeerKey>,
    complete: Vec<PieceIndex>,
    peers: BTreeMap<u32, PeerKey>,
    next_key: u32,
    races: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        // 14 pieces of 5 blocks; the last piece has 3, the last of them short.
        let layout = PieceLayout::new(13 * 81_920 + 2 * 16_384 + 100, 81_920).unwrap();
        let picker = Picker::new(layout, Bitfield::none(layout.pieces()), seed);
        Self {
            picker,
            now: Duration::from_secs(5),
            asked: BTreeMap::new(),
            cancelled: BTreeMap::new(),
            received: BTreeMap::new(),
            complete: Vec::new(),
            peers: BTreeMap::new(),
            next_key: 0,
            races: 0,
        }
    }

    fn key(&self, peer: u32) -> PeerKey {
        self.peers.get(&peer).copied().unwrap_or(PeerKey(9_999))
    }

    fn forget(&mut self, key: PeerKey, of: impl Fn(BlockIndex) -> bool) {
        for (block, peers) in &mut self.asked {
            if of(*block) && peers.remove(&key) {
                self.cancelled.entry(key).or_default().push(*block);
            }
        }
        self.asked.retain(|_, peers| !peers.is_empty());
    }

    fn picked(&mut self, key: PeerKey, blocks: &[BlockIndex]) {
        for block in blocks {
            assert!(self.picker.peer_has_piece(key, block.piece), "{key:?} does not have {block}");
            assert!(
                !self.picker.have().has(block.piece) && !self.received.contains_key(block),
                "{block} is ours"
            );
            let peers = self.asked.entry(*block).or_default();
            assert!(peers.insert(key), "{block} asked twice from {key:?}");
            assert!(peers.len() <= 2, "{block} asked from {peers:?}");
            self.races += u64::from(peers.len() > 1);
        }
    }

    fn arrives(&mut self, key: PeerKey, block: BlockIndex, asked: bool) {
        let new = !self.picker.have().has(block.piece) && !self.received.contains_key(&block);
        let answer = self.picker.received(key, block, self.now);
        match answer {
            Received::Accepted { piece_complete } => {
                assert!(new, "{block} accepted twice");
                self.received.insert(block, key);
                let blocks = self.picker.layout().blocks(block.piece);
                let whole =
                    (0..blocks).all(|n| self.received.contains_key(&BlockIndex { block: n, ..block }));
                assert_eq!(piece_complete, whole, "{block}");
                if whole {
                    self.complete.push(block.piece);
                }
                // The others that were asked for it are cancelled: `check` sees to it.
            }
            Received::Duplicate => assert!(!new, "{block} thrown away"),
            Received::Unasked => assert!(!asked, "{block} was asked for"),
        }
        if let Some(peers) = self.asked.get_mut(&block) {
            peers.remove(&key);
        }
    }

    fn judge(&mut self, good: bool) {
        let Some(piece) = self.complete.pop() else { return };
        if good {
            self.picker.verified(piece);
        } else {
            let contributions = self.picker.corrupt(piece);
            for contribution in contributions {
                for block in contribution.blocks {
                    let from = self.received.get(&BlockIndex { piece, block });
                    assert_eq!(from, Some(&contribution.peer), "{piece}.{block}");
                }
            }
        }
        self.received.retain(|block, _| block.piece != piece);
    }

    fn pick(&mut self, key: PeerKey, budget: usize) -> usize {
        let mut out = Vec::new();
        self.picker.pick(key, self.now, budget, &mut out);
        self.cancels();
        assert!(out.len() <= budget);
        self.picked(key, &out);
        out.len()
    }

    fn cancels(&mut self) {
        let mut cancels = Vec::new();
        self.picker.take_cancels(&mut cancels);
        for (key, block) in cancels {
            self.forget(key, |other| other == block);
        }
    }

    fn step(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Joins { peer, kind, bits } => {
                let mut field = Bitfield::none(14);
                (0..14).filter(|n| bits >> n & 1 == 1).for_each(|n| {
                    field.insert(PieceIndex(n));
                });
                let has = match kind {
                    0 => Availability::All,
                    1 => Availability::None,
                    _ => Availability::Some(field.clone()),
                };
                let next = PeerKey(self.next_key);
                let key = *self.peers.entry(peer).or_insert(next);
                self.next_key += u32::from(key == next);
                self.picker.peer_joined(key, &has);
                let picker = &self.picker;
                let lost: Vec<_> =
                    (0..14).map(PieceIndex).filter(|piece| !picker.peer_has_piece(key, *piece)).collect();
                self.forget(key, |block| lost.contains(&block.piece));
            }
            Step::Leaves { peer } => {
                let key = self.key(peer);
                self.picker.peer_left(key, now);
                self.peers.remove(&peer);
                self.forget(key, |_| true);
            }
            Step::Has { peer, piece } => self.picker.peer_has(self.key(peer), PieceIndex(piece)),
            Step::Drops { peer, piece } => {
                let key = self.key(peer);
                self.picker.peer_lost_piece(key, PieceIndex(piece));
                self.forget(key, |block| block.piece.0 == piece);
            }
            Step::Rate { peer, rate } => {
                self.picker.set_peer_rate(self.key(peer), rate, Duration::from_millis(20));
            }
            Step::Chokes { peer } => {
                let key = self.key(peer);
                self.picker.choked(key, now);
                self.forget(key, |_| true);
            }
            Step::Stalls { peer } => self.picker.snubbed(self.key(peer), now),
            Step::Rejects { peer, nth } => {
                let key = self.key(peer);
                let block = self.picker.requests(key).nth(nth);
                if let Some(block) = block {
                    self.picker.rejected(key, block, now);
                    if self.picker.requests(key).any(|still| still == block) {
                        // It answered an earlier request, which was cancelled.
                        assert!(self.cancelled.get(&key).is_some_and(|blocks| blocks.contains(&block)));
                    } else {
                        self.asked.get_mut(&block).unwrap().remove(&key);
                    }
                }
            }
            Step::Wants { from, to, priority } => {
                let priorities = [Priority::Skip, Priority::Low, Priority::Normal, Priority::High];
                self.picker.set_wanted(from..to + 3, priorities[usize::from(priority)]);
            }
            Step::Sequential { on } => self.picker.set_sequential(on),
            Step::Reads { reader, from, length, rate, deadline } => {
                let deadline = Duration::from_millis(deadline);
                let demand = Demand { bytes: from..from + length, bytes_per_s: rate, deadline };
                self.picker.reader_moved(ReaderKey(reader), demand, now);
            }
            Step::Closes { reader } => self.picker.reader_closed(ReaderKey(reader), now),
            Step::Picks { peer, budget } => {
                self.pick(self.key(peer), budget);
            }
            Step::Sends { peer, nth } => {
                let key = self.key(peer);
                let block = self.picker.requests(key).nth(nth);
                if let Some(block) = block {
                    self.arrives(key, block, true);
                }
            }
            Step::SendsCancelled { peer, nth } => {
                let key = self.key(peer);
                let block = self.cancelled.get(&key).and_then(|blocks| blocks.get(nth)).copied();
                if let Some(block) = block {
                    self.arrives(key, block, false);
                }
            }
            Step::Waits { millis } => {
                self.now += Duration::from_millis(millis);
                self.picker.expired(self.now, &mut Vec::new());
            }
            Step::Judges { good } => self.judge(good),
            Step::Loses { piece } => {
                let piece = PieceIndex(piece);
                if !self.complete.contains(&piece) {
                    self.picker.lost(piece);
                    self.received.retain(|block, _| block.piece != piece);
                }
            }
        }
        self.cancels();
        self.check();
    }

    /// The picker's books agree with themselves and with ours.
    fn check(&self) {
        let picker = &self.picker;
        let mut asked: BTreeMap<BlockIndex, BTreeSet<PeerKey>> = BTreeMap::new();
        for (key, peer) in &picker.peers {
            for request in &peer.outstanding {
                assert!(asked.entry(request.block).or_default().insert(*key), "twice in a list");
            }
        }
        let ours: BTreeMap<_, _> =
            self.asked.iter().filter(|(_, peers)| !peers.is_empty()).map(|(k, v)| (*k, v.clone())).collect();
        assert_eq!(asked, ours, "requests");
        for (piece, partial) in &picker.partials {
            let (mut absent, mut requested, mut late_alone) = (0, 0, 0);
            for (block, slot) in partial.slots() {
                let index = BlockIndex { piece: *piece, block };
                let by_us = asked.get(&index);
                match slot {
                    Slot::Absent => {
                        absent += 1;
                        assert!(by_us.is_none() && !self.received.contains_key(&index));
                    }
                    Slot::Requested { by, raced, late, .. } => {
                        requested += 1;
                        late_alone += u32::from(late && !raced);
                        let mut peers = BTreeSet::from([by]);
                        let races = picker.races.iter().filter(|race| race.block == index);
                        peers.extend(races.map(|race| race.by));
                        assert_eq!(peers.len(), 1 + usize::from(raced));
                        assert_eq!(by_us, Some(&peers), "{index}");
                    }
                    Slot::Received { from } => {
                        assert!(by_us.is_none());
                        assert_eq!(self.received.get(&index), Some(&from));
                    }
                }
            }
            assert_eq!(
                (partial.absent(), partial.requested(), partial.late()),
                (absent, requested, late_alone)
            );
            let workers = picker.peers.values().filter(|peer| peer.current == Some(*piece)).count();
            assert_eq!(partial.workers as usize, workers);
            assert_eq!(picker.loose.has(*piece), absent > 0 && workers == 0, "loose {piece}");
            assert_eq!(picker.worked.has(*piece), absent > 0 && workers > 0, "worked {piece}");
            assert!(!partial.is_untouched() || workers > 0, "{piece} is partial for nothing");
        }
        assert_eq!(
            asked.len(),
            picker.partials.values().map(|partial| partial.requested() as usize).sum::<usize>()
        );
        assert_eq!(self.received.len(), picker.partials.values().map(received).sum::<usize>());
        let (mut left, mut bytes) = (0, 0);
        for piece in picker.layout.all() {
            let have = picker.have.has(piece);
            let begun = picker.partials.contains_key(&piece);
            assert!(!(have && begun));
            for class in 0..3 {
                let open = !have && !begun && picker.class(piece) == Some(class);
                assert_eq!(picker.open[class].has(piece), open, "open {piece} in {class}");
            }
            let wanted = picker.class(piece).is_some();
            assert_eq!(
                picker.need.has(piece),
                !have && (wanted || picker.windowed.has(piece)),
                "need {piece}"
            );
            assert_eq!(picker.windowed.has(piece), picker.windows.iter().any(|urgent| urgent.piece == piece));
            let holders = picker.peers.values().filter(|peer| peer.has.has(piece)).count();
            assert_eq!(picker.availability(piece) as usize, holders);
            if wanted && !have {
                left += 1;
                bytes += u64::from(picker.layout.length(piece));
            }
        }
        let rates = picker.peers.values().filter(|peer| peer.rate().is_some()).count();
        assert_eq!(picker.assumed_rate() == crate::limits::RATE_ASSUMED, rates == 0);
        let progress = picker.progress();
        assert_eq!((progress.wanted_pieces_left, progress.wanted_bytes_left), (left, bytes));
        assert_eq!(progress.requests as usize, asked.values().map(BTreeSet::len).sum::<usize>());
    }

    /// Everybody but a new seeder falls silent: still every wanted block comes.
    fn finishes(&mut self) {
        self.peers.insert(77, PeerKey(self.next_key));
        let key = PeerKey(self.next_key);
        self.next_key += 1;
        self.picker.peer_joined(key, &Availability::All);
        self.picker.set_peer_rate(key, 1 << 20, Duration::from_millis(20));
        for _ in 0..1_000 {
            while !self.complete.is_empty() {
                self.judge(true);
            }
            if self.picker.progress().is_finished() && !self.picker.urgent() {
                return;
            }
            self.pick(key, 4);
            let requests: Vec<_> = self.picker.requests(key).collect();
            for block in requests {
                self.arrives(key, block, true);
            }
            self.now += Duration::from_millis(100);
            self.picker.expired(self.now, &mut Vec::new());
            self.cancels();
            self.check();
        }
        panic!("{:?} after all that time", self.picker.progress());
    }
}

fn received(partial: &crate::partial::Partial) -> usize {
    partial.slots().filter(|(_, slot)| matches!(slot, Slot::Received { .. })).count()
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn no_block_is_lost_or_in_two_states_whatever_happens(seed in any::<u64>(), steps in steps()) {
        let mut world = World::new(seed);
        for step in steps {
            world.step(step);
        }
        world.finishes();
    }

    #[test]
    fn a_seed_replays(seed in any::<u64>(), steps in steps()) {
        let run = || {
            let mut world = World::new(seed);
            let mut log = Vec::new();
            for step in steps.clone() {
                world.step(step);
                log.push((world.asked.clone(), world.picker.progress()));
            }
            log
        };
        prop_assert!(run() == run());
    }
}
