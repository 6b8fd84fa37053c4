//! Picks drawn as strings: a piece is a word, a block a letter. `.` is absent, `a` requested from peer a, `A` requested from a
//! and raced by another, `#` received; a verified piece is `=`.

use std::{collections::BTreeMap, time::Duration};

use metainfo::{BLOCK_LENGTH, Bitfield, BlockIndex, PieceIndex, PieceLayout};

use crate::{Availability, Demand, PeerKey, Picker, Priority, ReaderKey, Received, partial::Slot};

const MS: Duration = Duration::from_millis(1);
const BLOCK: u64 = BLOCK_LENGTH as u64;
const READER: ReaderKey = ReaderKey(1);

/// A torrent of pieces of four blocks, and peers by letter, each at a rate of 64 blocks a second.
struct Scene {
    picker: Picker,
    now: Duration,
    complete: Vec<PieceIndex>,
}

fn key(peer: char) -> PeerKey {
    PeerKey(peer.into())
}

fn block(piece: u32, block: u32) -> BlockIndex {
    BlockIndex { piece: PieceIndex(piece), block }
}

impl Scene {
    /// `peers` are like `a: 1101` (which pieces it has) or `a: *` (all), with `@n` for n blocks a second.
    fn new(pieces: u32, peers: &[&str]) -> Self {
        let layout = PieceLayout::new(u64::from(pieces) * 4 * BLOCK, 4 * BLOCK).unwrap();
        let picker = Picker::new(layout, Bitfield::none(pieces), 1);
        let mut scene = Self { picker, now: Duration::from_secs(100), complete: Vec::new() };
        for peer in peers {
            scene.join(peer);
        }
        scene
    }

    fn join(&mut self, peer: &str) {
        let (name, has) = peer.split_once(": ").unwrap();
        let (has, rate) = has.split_once('@').unwrap_or((has, "64"));
        let has = match has.trim() {
            "*" => Availability::All,
            bits => {
                let mut field = Bitfield::none(self.picker.layout().pieces());
                (0..).zip(bits.chars()).filter(|(_, bit)| *bit == '1').for_each(|(piece, _)| {
                    field.insert(PieceIndex(piece));
                });
                Availability::Some(field)
            }
        };
        let peer = key(name.chars().next().unwrap());
        self.picker.peer_joined(peer, &has);
        self.picker.set_peer_rate(peer, rate.parse::<u64>().unwrap() * BLOCK, MS);
    }

    /// A reader at the beginning of a piece wants that many.
    fn reads(&mut self, piece: u32, pieces: u32) {
        let at = u64::from(piece) * 4 * BLOCK;
        let bytes = at..at + u64::from(pieces) * 4 * BLOCK;
        let demand = Demand { bytes, bytes_per_s: Some(8 * BLOCK), deadline: self.now };
        self.picker.reader_moved(READER, demand, self.now);
    }

    fn pick(&mut self, peer: char, blocks: usize) -> usize {
        let mut out = Vec::new();
        self.picker.pick(key(peer), self.now, blocks, &mut out);
        out.len()
    }

    fn sends(&mut self, peer: char, block: BlockIndex) -> Received {
        let received = self.picker.received(key(peer), block, self.now);
        if received == (Received::Accepted { piece_complete: true }) {
            self.complete.push(block.piece);
        }
        received
    }

    /// A peer delivers all that it was asked for.
    fn delivers(&mut self, peer: char) {
        for block in self.picker.requests(key(peer)).collect::<Vec<_>>() {
            self.sends(peer, block);
        }
    }

    fn verifies(&mut self) {
        for piece in std::mem::take(&mut self.complete) {
            self.picker.verified(piece);
        }
    }

    fn waits(&mut self, millis: u32) {
        self.now += MS * millis;
        self.picker.expired(self.now, &mut Vec::new());
    }

    fn cancels(&mut self) -> String {
        let mut cancels = Vec::new();
        self.picker.take_cancels(&mut cancels);
        let mut by_peer: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for (peer, block) in cancels {
            by_peer.entry(peer.0).or_default().push(block.to_string());
        }
        let words = by_peer
            .iter()
            .map(|(peer, blocks)| format!("{}: {}", char::from_u32(*peer).unwrap(), blocks.join(" ")));
        words.collect::<Vec<_>>().join(", ")
    }

    fn drawn(&self) -> String {
        let letter = |key: PeerKey| char::from_u32(key.0).unwrap();
        let piece = |piece: PieceIndex| -> String {
            if self.picker.have().has(piece) {
                return "=".into();
            }
            (0..4)
                .map(|n| match self.picker.slot(block(piece.0, n)) {
                    None | Some(Slot::Absent) => '.',
                    Some(Slot::Requested { by, raced: false, .. }) => letter(by),
                    Some(Slot::Requested { by, raced: true, .. }) => letter(by).to_ascii_uppercase(),
                    Some(Slot::Received { .. }) => '#',
                })
                .collect()
        };
        self.picker.layout().all().map(piece).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn a_window_is_asked_for_in_order_then_the_rest() {
    let mut scene = Scene::new(5, &["a: *"]);
    scene.reads(2, 2);
    scene.pick('a', 6);
    assert_eq!(scene.drawn(), ".... .... aaaa aa.. ....");
    scene.picker.set_sequential(true);
    scene.pick('a', 5);
    assert_eq!(scene.drawn(), "aaa. .... aaaa aaaa ....");
}

#[test]
fn what_a_former_run_received_is_not_asked_for_and_a_wrong_hash_blames_nobody() {
    let mut scene = Scene::new(3, &["a: *"]);
    scene.picker.restored(PieceIndex(1), &[0, 2, 3]);
    scene.picker.restored(PieceIndex(7), &[0]);
    assert_eq!(scene.drawn(), ".... #.## ....");
    // What is begun comes first.
    scene.pick('a', 1);
    assert_eq!(scene.drawn(), ".... #a## ....");
    scene.delivers('a');
    assert_eq!(scene.complete, [PieceIndex(1)]);
    assert_eq!(scene.picker.corrupt(PieceIndex(1)), []);
    assert_eq!(scene.drawn(), ".... .... ....");
    // Now it is the peer's alone.
    scene.pick('a', 12);
    scene.delivers('a');
    assert_eq!(scene.picker.corrupt(PieceIndex(1)).len(), 1);
}

#[test]
fn equal_peers_share_every_piece_of_a_window() {
    let mut scene = Scene::new(4, &["a: *", "b: *", "c: *", "d: *"]);
    scene.reads(0, 2);
    for _ in 0..2 {
        for peer in ['a', 'b', 'c', 'd'] {
            scene.pick(peer, 1);
        }
    }
    assert_eq!(scene.drawn(), "abcd abcd .... ....");
}

#[test]
fn whoever_is_asked_first_leaves_the_others_their_share() {
    let mut scene = Scene::new(8, &["a: *", "b: *"]);
    scene.pick('b', 0);
    scene.reads(0, 4);
    scene.pick('a', 4);
    scene.pick('b', 4);
    assert_eq!(scene.drawn(), "abab abab .... .... .... .... .... ....");
}

#[test]
fn a_slow_peer_gets_what_the_reader_will_come_to() {
    let mut scene = Scene::new(8, &["f: * @640", "s: * @60"]);
    scene.pick('f', 0);
    scene.reads(0, 6);
    scene.pick('s', 1);
    assert_eq!(scene.drawn(), ".... .... .s.. .... .... .... .... ....");
    scene.pick('f', 12);
    assert_eq!(scene.drawn(), "ffff ffff fsff f... .... .... .... ....");
}

#[test]
fn the_only_peer_of_a_piece_gets_it_however_slow() {
    let mut scene = Scene::new(3, &["f: 011 @640", "s: * @1"]);
    scene.pick('f', 0);
    scene.reads(0, 1);
    assert_eq!((scene.pick('f', 1), scene.pick('s', 1)), (1, 1));
    assert!(scene.drawn().starts_with("s... "), "{}", scene.drawn());
}

#[test]
fn nobody_waits_for_a_peer_that_is_not_asked() {
    let mut scene = Scene::new(2, &["f: * @640", "s: * @6"]);
    scene.pick('f', 0);
    scene.reads(0, 1);
    scene.waits(200);
    scene.pick('s', 1);
    assert_eq!(scene.drawn(), "s... ....");
}

#[test]
fn in_bulk_a_piece_belongs_to_one_peer() {
    let mut scene = Scene::new(4, &["a: *", "b: *"]);
    scene.picker.set_sequential(true);
    for peer in ['a', 'b', 'a', 'b', 'a'] {
        scene.pick(peer, 2);
    }
    assert_eq!(scene.drawn(), "aaaa bbbb aa.. ....");
}

#[test]
fn begun_pieces_are_finished_before_new_ones_are_begun() {
    let mut scene = Scene::new(6, &["a: *", "b: *"]);
    scene.pick('a', 2);
    scene.delivers('a');
    scene.picker.peer_left(key('a'), scene.now);
    scene.pick('b', 2);
    assert_eq!(scene.drawn().matches("##bb").count(), 1, "{}", scene.drawn());
}

#[test]
fn when_no_piece_is_left_to_begin_others_help() {
    let mut scene = Scene::new(1, &["a: *", "b: *"]);
    scene.pick('a', 1);
    scene.pick('b', 2);
    assert_eq!(scene.drawn(), "a.bb");
}

#[test]
fn a_very_slow_owner_is_helped_at_once() {
    let mut scene = Scene::new(9, &["s: * @1", "f: *"]);
    scene.picker.set_sequential(true);
    let layout = PieceLayout::new(9 * 64 * BLOCK, 64 * BLOCK).unwrap();
    scene.picker = Picker::new(layout, Bitfield::none(9), 1);
    scene.join("s: * @1");
    scene.join("f: *");
    scene.pick('s', 1);
    scene.pick('f', 1);
    let pieces: Vec<_> = ['s', 'f'].map(|peer| scene.picker.requests(key(peer)).next().unwrap()).into();
    assert_eq!(pieces[0].piece, pieces[1].piece);
    assert_eq!((pieces[0].block, pieces[1].block), (0, 63));
}

#[test]
fn rarest_first_by_priority() {
    let mut scene = Scene::new(6, &["a: *", "b: 110111", "c: 100111", "d: 000011"]);
    scene.picker.set_wanted(4..5, Priority::High);
    scene.picker.set_wanted(5..6, Priority::Low);
    scene.picker.set_wanted(3..4, Priority::Skip);
    let mut order = Vec::new();
    for _ in 0..5 {
        scene.pick('a', 4);
        scene.delivers('a');
        order.extend(scene.complete.iter().map(|piece| piece.0));
        scene.verifies();
    }
    assert_eq!(order, [4, 2, 1, 0, 5]);
    assert!(scene.picker.progress().is_finished());
}

#[test]
fn ties_of_rarity_fall_by_the_seed() {
    let first = |seed| {
        let layout = PieceLayout::new(100 * 4 * BLOCK, 4 * BLOCK).unwrap();
        let mut picker = Picker::new(layout, Bitfield::none(100), seed);
        picker.peer_joined(key('a'), &Availability::All);
        let mut out = Vec::new();
        picker.pick(key('a'), MS, 1, &mut out);
        out[0].piece
    };
    assert_eq!(first(1), first(1));
    let different: std::collections::BTreeSet<_> = (0..20).map(first).collect();
    assert!(different.len() > 10);
}

#[test]
fn a_seek_cancels_and_partial_pieces_stay() {
    let mut scene = Scene::new(5, &["a: *"]);
    scene.reads(0, 1);
    scene.pick('a', 3);
    scene.sends('a', block(0, 0));
    scene.reads(3, 1);
    assert_eq!(scene.cancels(), "a: 0.1 0.2");
    assert_eq!(scene.drawn(), "#... .... .... .... ....");
    scene.pick('a', 2);
    assert_eq!(scene.drawn(), "#... .... .... aa.. ....");
}

#[test]
fn reading_on_cancels_nothing() {
    let mut scene = Scene::new(6, &["a: *"]);
    scene.reads(0, 2);
    scene.pick('a', 10);
    for _ in 0..4 {
        let first = scene.picker.requests(key('a')).next().unwrap();
        scene.sends('a', first);
    }
    scene.verifies();
    scene.reads(1, 2);
    assert_eq!(scene.cancels(), "");
    assert!(scene.drawn().starts_with("= aaaa "), "{}", scene.drawn());
}

#[test]
fn a_reader_that_opens_makes_bulk_give_way() {
    let mut scene = Scene::new(5, &["a: *"]);
    scene.picker.set_sequential(true);
    scene.pick('a', 8);
    scene.reads(3, 1);
    assert_eq!(scene.cancels(), "a: 0.0 0.1 0.2 0.3 1.0 1.1 1.2 1.3");
    assert_eq!(scene.picker.in_flight(key('a')), 0);
}

#[test]
fn a_closed_reader_of_skipped_pieces_leaves_nothing_in_flight() {
    let mut scene = Scene::new(3, &["a: *"]);
    scene.picker.set_wanted(0..3, Priority::Skip);
    assert!(!scene.picker.is_interesting(key('a')));
    scene.reads(1, 1);
    assert!(scene.picker.is_interesting(key('a')));
    assert_eq!(scene.pick('a', 9), 4);
    scene.picker.reader_closed(READER, scene.now);
    assert_eq!(scene.cancels(), "a: 1.0 1.1 1.2 1.3");
    assert!(!scene.picker.is_interesting(key('a')));
}

#[test]
fn a_block_that_comes_after_its_cancel_is_accepted() {
    let mut scene = Scene::new(5, &["a: *", "b: *"]);
    scene.reads(0, 1);
    scene.pick('a', 2);
    scene.reads(3, 1);
    assert_eq!(scene.sends('a', block(0, 0)), Received::Accepted { piece_complete: false });
    assert_eq!(scene.sends('a', block(0, 0)), Received::Unasked);
    assert_eq!(scene.sends('b', block(0, 1)), Received::Unasked);
}

#[test]
fn a_late_urgent_block_is_raced_and_the_loser_cancelled() {
    let mut scene = Scene::new(3, &["a: *", "b: *"]);
    scene.reads(0, 1);
    scene.pick('a', 1);
    for _ in 0..3 {
        scene.pick('b', 1);
        scene.delivers('b');
    }
    assert_eq!(scene.drawn(), "a### .... ....");
    scene.picker.set_wanted(0..3, Priority::Skip);
    assert_eq!(scene.pick('b', 1), 0);
    scene.waits(200);
    assert_eq!(scene.pick('b', 4), 1);
    assert_eq!(scene.drawn(), "A### .... ....");
    assert_eq!(scene.sends('b', block(0, 0)), Received::Accepted { piece_complete: true });
    assert_eq!(scene.cancels(), "a: 0.0");
    assert_eq!(scene.sends('a', block(0, 0)), Received::Duplicate);
    assert_eq!(scene.picker.progress().wasted_bytes, BLOCK);
}

#[test]
fn late_blocks_are_raced_only_within_the_waste_budget() {
    let mut scene = Scene::new(20, &["a: *", "b: *"]);
    scene.picker.set_wanted(0..20, Priority::Skip);
    scene.reads(0, 20);
    scene.pick('a', 80);
    scene.waits(5_000);
    assert_eq!(scene.pick('b', 80), 8);
    // What was asked twice may still come twice, although all of it is here: until that is unlikely, or refused.
    scene.delivers('b');
    assert_eq!(scene.pick('b', 80), 0);
    let first = scene.complete[0];
    scene.picker.rejected(key('a'), block(first.0, 0), scene.now);
    assert_eq!(scene.pick('b', 80), 1);
    scene.delivers('b');
    scene.waits(4_500);
    assert_eq!(scene.pick('b', 80), 8);
}

#[test]
fn the_last_blocks_of_a_slow_peer_are_raced() {
    let mut scene = Scene::new(2, &["s: * @1", "f: *"]);
    scene.picker.set_sequential(true);
    scene.pick('s', 4);
    scene.pick('f', 4);
    assert_eq!(scene.drawn(), "ssss ffff");
    scene.delivers('f');
    assert_eq!(scene.pick('f', 2), 2);
    assert_eq!(scene.drawn(), "ssSS ####");
}

#[test]
fn equal_peers_do_not_race_at_the_end() {
    let mut scene = Scene::new(2, &["a: *", "b: *"]);
    scene.pick('a', 4);
    scene.pick('b', 4);
    scene.delivers('b');
    assert_eq!(scene.pick('b', 4), 0);
}

#[test]
fn a_choke_frees_the_blocks_and_a_stalled_peer_is_cancelled() {
    let mut scene = Scene::new(2, &["a: *", "b: *"]);
    scene.reads(0, 2);
    scene.pick('a', 2);
    scene.picker.choked(key('a'), scene.now);
    assert_eq!((scene.drawn().as_str(), scene.cancels().as_str()), (".... ....", ""));
    scene.pick('a', 2);
    scene.picker.snubbed(key('a'), scene.now);
    assert_eq!((scene.drawn().as_str(), scene.cancels().as_str()), (".... ....", "a: 0.0 0.1"));
}

#[test]
fn a_refused_piece_is_asked_of_others() {
    let mut scene = Scene::new(2, &["a: *", "b: *"]);
    scene.reads(0, 2);
    scene.pick('a', 1);
    scene.picker.rejected(key('a'), block(0, 0), scene.now);
    scene.pick('a', 1);
    scene.pick('b', 1);
    assert_eq!(scene.drawn(), "b... a...");
}

#[test]
fn a_block_that_is_asked_for_again_outlives_the_refusal_of_its_cancelled_request() {
    let mut scene = Scene::new(5, &["a: *"]);
    scene.reads(0, 1);
    scene.pick('a', 4);
    scene.reads(3, 1);
    scene.pick('a', 4);
    scene.reads(0, 1);
    scene.pick('a', 4);
    let drawn = scene.drawn();
    assert!(drawn.starts_with("aaaa "), "{drawn}");
    for n in 0..4 {
        scene.picker.rejected(key('a'), block(0, n), scene.now);
    }
    assert_eq!(scene.drawn(), drawn);
    assert_eq!(scene.sends('a', block(0, 0)), Received::Accepted { piece_complete: false });
}

#[test]
fn the_only_one_who_has_a_piece_is_asked_again_for_what_it_refused() {
    let mut scene = Scene::new(1, &["a: *"]);
    scene.pick('a', 1);
    scene.picker.rejected(key('a'), block(0, 0), scene.now);
    assert_eq!(scene.pick('a', 1), 0);
    scene.waits(10_000);
    assert_eq!(scene.pick('a', 1), 1);
}

#[test]
fn a_request_long_past_its_time_is_taken_away() {
    let mut scene = Scene::new(1, &["a: *"]);
    scene.pick('a', 4);
    scene.waits(20_000);
    assert_eq!((scene.drawn().as_str(), scene.cancels().as_str()), ("....", "a: 0.0 0.1 0.2 0.3"));
}

#[test]
fn expiry_is_told_once_and_in_time() {
    let mut scene = Scene::new(1, &["a: *"]);
    scene.pick('a', 2);
    let at = scene.picker.next_expiry().unwrap();
    assert!(at > scene.now && at < scene.now + 200 * MS);
    let mut out = Vec::new();
    scene.picker.expired(at, &mut out);
    assert_eq!(out, [(key('a'), block(0, 0))]);
    scene.picker.expired(at, &mut out);
    assert_eq!(out.len(), 1);
}

#[test]
fn the_sender_of_a_corrupt_piece_is_named() {
    let mut scene = Scene::new(1, &["a: *"]);
    scene.pick('a', 4);
    scene.delivers('a');
    let guilty = scene.picker.corrupt(PieceIndex(0));
    assert_eq!(guilty.len(), 1);
    assert_eq!((guilty[0].peer, guilty[0].blocks.as_slice()), (key('a'), [0, 1, 2, 3].as_slice()));
    assert_eq!(scene.drawn(), "....");
}

#[test]
fn suspects_get_whole_pieces_to_themselves_until_they_prove_honest() {
    let mut scene = Scene::new(4, &["a: *", "b: *"]);
    scene.reads(0, 1);
    scene.pick('a', 2);
    scene.pick('b', 2);
    scene.delivers('a');
    scene.delivers('b');
    assert_eq!(scene.picker.corrupt(PieceIndex(0)).len(), 2);
    scene.pick('a', 2);
    scene.pick('b', 2);
    assert!(scene.drawn().starts_with("aa.. ") && scene.drawn().contains("bb.."), "{}", scene.drawn());
    scene.pick('a', 2);
    scene.delivers('a');
    let good = scene.picker.verified(PieceIndex(0));
    assert_eq!(good.len(), 1, "to be compared with the bad copy");
    assert!(!scene.picker.peers[&key('a')].parole && scene.picker.peers[&key('b')].parole);
}

#[test]
fn two_readers_are_served_earliest_deadline_first() {
    let mut scene = Scene::new(8, &["a: *"]);
    scene.reads(6, 2);
    let early = Demand { bytes: 0..4 * BLOCK, bytes_per_s: None, deadline: scene.now - 50 * MS };
    scene.picker.reader_opened(ReaderKey(2), early, scene.now);
    scene.pick('a', 10);
    assert_eq!(scene.drawn(), "aaaa .... .... .... .... .... aaaa aa..");
}

#[test]
fn pieces_that_are_choked_but_allowed_are_picked_among() {
    let mut scene = Scene::new(4, &["a: *"]);
    let mut out = Vec::new();
    scene.picker.pick_among(key('a'), &[PieceIndex(2), PieceIndex(9)], scene.now, 3, &mut out);
    assert_eq!(scene.drawn(), ".... .... aaa. ....");
}

#[test]
fn a_lost_piece_is_fetched_again() {
    let mut scene = Scene::new(1, &["a: *"]);
    scene.pick('a', 4);
    scene.delivers('a');
    scene.verifies();
    assert!(scene.picker.progress().is_finished());
    scene.picker.lost(PieceIndex(0));
    assert_eq!(scene.pick('a', 4), 4);
}
