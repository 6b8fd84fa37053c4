//! What torrents do with each other, in virtual time.

mod world;

use std::time::Duration;

use metainfo::PieceIndex;
use swarm::{Config, Input, Output, Privacy, ReaderAt, ReaderKey, Reason, Source, Wait};
use world::{MS, Nature, World};

const MIB: u64 = 1 << 20;
const S: Duration = Duration::from_secs(1);

#[test]
fn a_leecher_gets_everything_from_a_seeder_at_the_speed_of_the_link() {
    let mut world = World::new(32 * MIB, MIB);
    let (seed, leech) = (world.add(Nature::seed()), world.add(Nature::leech()));
    world.meet(leech, seed);
    let began = world.now;
    assert!(world.run(60 * S, |world| world.is_finished(leech)));
    world.assert_content(leech);
    let took = world.now - began;
    assert!(took < 3_450 * MS, "{took:?} instead of 3.2 s");
    let stats = world.nodes[leech].torrent.stats(world.now);
    assert_eq!((stats.counters.downloaded, stats.counters.wasted), (32 * MIB, 0));
    assert_eq!(world.nodes[seed].torrent.stats(world.now).counters.uploaded, 32 * MIB);
    world.run(5 * S, |_| false);
    assert!(world.dropped(leech, Reason::BothSeeds) || world.dropped(seed, Reason::BothSeeds));
}

#[test]
fn a_magnet_costs_one_round_trip_a_stage() {
    let mut world = World::new(4 * MIB, MIB);
    let latency = 50 * MS;
    let seed = world.add(Nature::seed().latency(latency).up(1 << 30));
    let leech = world.add(Nature::magnet().latency(latency));
    world.meet(leech, seed);
    let began = world.now;
    let first = |world: &World| world.nodes[leech].torrent.stats(world.now).counters.downloaded > 0;
    assert!(world.run(10 * S, first));
    let round_trips = (world.now - began).as_millis() / 100;
    // Handshake, extension handshakes (with the seed's first), metadata, blocks.
    assert!(round_trips <= 4, "{round_trips} round trips");
    assert!(world.run(10 * S, |world| world.is_finished(leech)));
    world.assert_content(leech);
}

#[test]
fn a_watched_torrent_asks_for_no_more_than_a_seek_can_bear() {
    let mut world = World::new(64 * MIB, MIB);
    let seed = world.add(Nature::seed().up(MIB).latency(10 * MS));
    let leech = world.add(Nature::leech());
    world.meet(leech, seed);
    world.read(leech, 1, 0..64 * MIB);
    world.run(6 * S, |_| false);
    let in_flight = world.nodes[leech].torrent.stats(world.now).in_flight;
    assert!((4..=24).contains(&in_flight), "{in_flight} blocks in flight at 64 a second");
    // The reader seeks: the first byte comes as soon as what is under way has drained.
    let began = world.now;
    let at = ReaderAt { file: 0..64 * MIB, wanted: 40 * MIB..64 * MIB, bytes_per_s: None, ahead: None };
    world.input(leech, Input::ReaderMoved { reader: ReaderKey(1), at });
    assert!(world.nodes[leech].sent["cancel"] > 0);
    let there = |world: &World| world.nodes[leech].torrent.have().unwrap().has(PieceIndex(40));
    assert!(world.run(10 * S, there));
    let took = world.now - began;
    assert!(took < 1_350 * MS, "{took:?} for a piece that takes 1.02 s");
}

#[test]
fn when_nobody_has_watched_for_a_moment_the_queue_is_deep() {
    let mut world = World::new(64 * MIB, MIB);
    let (seed, leech) = (world.add(Nature::seed().up(4 * MIB)), world.add(Nature::leech()));
    world.meet(leech, seed);
    world.read(leech, 1, 0..64 * MIB);
    world.run(4 * S, |_| false);
    assert!(world.nodes[leech].torrent.stats(world.now).in_flight < 100);
    world.input(leech, Input::ReaderClosed { reader: ReaderKey(1) });
    world.run(S, |_| false);
    assert!(world.nodes[leech].torrent.stats(world.now).in_flight < 100);
    world.run(5 * S, |_| false);
    assert!(world.nodes[leech].torrent.stats(world.now).in_flight > 100);
}

/// How often `who` has dialled.
fn dialled(world: &World, who: usize) -> usize {
    world.nodes[who].seen.iter().filter(|output| matches!(output, Output::Connect { .. })).count()
}

#[test]
fn the_only_seeder_of_somebody_who_watches_is_met_again_within_seconds_of_its_return() {
    let mut world = World::new(64 * MIB, MIB);
    // It waits to be dialled.
    let seed = world.add_with(Nature::seed().up(MIB), |config| config.limits.half_open_max = 0);
    let leech = world.add(Nature::leech());
    world.meet(leech, seed);
    world.read(leech, 1, 0..64 * MIB);
    world.run(3 * S, |_| false);
    world.input(seed, Input::Pause);
    let mut waits = Vec::new();
    for n in 1..=5 {
        let before = world.now;
        assert!(world.run(10 * S, |world| dialled(world, leech) == 1 + n));
        waits.push((world.now - before).as_secs());
    }
    assert_eq!(waits, [1, 2, 4, 4, 4]);
    world.input(seed, Input::Resume);
    let (back, had) = (world.now, world.nodes[leech].torrent.stats(world.now).counters.downloaded);
    let goes_on = |world: &World| world.nodes[leech].torrent.stats(world.now).counters.downloaded > had;
    assert!(world.run(10 * S, goes_on));
    assert!(world.now - back < 5 * S, "{:?}", world.now - back);
}

#[test]
fn without_a_reader_or_beside_another_who_serves_a_seeder_that_went_is_met_when_it_is_due() {
    for (reads, other) in [(false, false), (true, true)] {
        let mut world = World::new(64 * MIB, MIB);
        let seed = world.add_with(Nature::seed().up(MIB), |config| config.limits.half_open_max = 0);
        let leech = world.add(Nature::leech());
        world.meet(leech, seed);
        if other {
            let other = world.add(Nature::seed().up(MIB));
            world.meet(leech, other);
        }
        if reads {
            world.read(leech, 1, 0..64 * MIB);
        }
        world.run(3 * S, |_| false);
        world.input(seed, Input::Pause);
        let before = dialled(&world, leech);
        let gone = world.now;
        assert!(world.run(30 * S, |world| dialled(world, leech) > before));
        assert_eq!((world.now - gone).as_secs(), 20);
    }
}

#[test]
fn four_slow_seeders_share_the_urgent_piece() {
    let mut world = World::new(64 * MIB, MIB);
    let seeds: Vec<_> = (0..4).map(|_| world.add(Nature::seed().up(MIB))).collect();
    let leech = world.add(Nature::leech());
    for seed in seeds {
        world.meet(leech, seed);
    }
    world.run(S / 2, |_| false);
    let began = world.now;
    world.read(leech, 1, 30 * MIB..64 * MIB);
    let there = |world: &World| {
        (30..34).all(|piece| world.nodes[leech].torrent.have().unwrap().has(PieceIndex(piece)))
    };
    assert!(world.run(10 * S, there));
    let took = world.now - began;
    assert!(took < 1_700 * MS, "4 MiB took {took:?} where the links allow 1 s and drain for up to 0.4");
}

#[test]
fn a_corrupting_peer_is_banned_after_a_piece_and_the_honest_one_delivers() {
    let mut world = World::new(16 * MIB, MIB);
    let (bad, good) = (world.add(Nature::seed().corrupt()), world.add(Nature::seed()));
    let leech = world.add(Nature::leech());
    world.meet(leech, bad);
    world.meet(leech, good);
    assert!(world.run(60 * S, |world| world.is_finished(leech)));
    world.assert_content(leech);
    assert!(world.banned(leech, bad) && !world.banned(leech, good));
    let taken = world.nodes[leech].blocks_from[&bad];
    assert!(taken <= 64, "{taken} blocks taken from it");
}

#[test]
fn a_corrupting_peer_is_told_from_an_honest_one_that_shares_its_pieces() {
    let mut world = World::new(16 * MIB, MIB);
    let (bad, good) =
        (world.add(Nature::seed().corrupt().up(2 * MIB)), world.add(Nature::seed().up(2 * MIB)));
    let leech = world.add(Nature::leech());
    world.read(leech, 1, 0..16 * MIB);
    world.meet(leech, bad);
    world.meet(leech, good);
    assert!(world.run(60 * S, |world| world.is_finished(leech)));
    world.assert_content(leech);
    assert!(world.banned(leech, bad) && !world.banned(leech, good));
    let taken = world.nodes[leech].blocks_from[&bad];
    assert!(taken <= 128, "{taken} blocks taken from it");
}

#[test]
fn three_strangers_exchange_peers_but_not_of_a_private_torrent() {
    for private in [false, true] {
        let mut world = World::new(4 * MIB, MIB);
        world.private = private;
        let change = |config: &mut Config| {
            config.privacy = if private { Privacy::Private } else { Privacy::Public };
        };
        let seed = world.add_with(Nature::seed().up(100_000), change);
        let (a, b) = (world.add_with(Nature::leech(), change), world.add_with(Nature::leech(), change));
        world.meet(a, seed);
        world.meet(b, seed);
        world.run(10 * S, |_| false);
        let linked = world.nodes[a].links.values().any(|(other, _)| *other == b);
        assert_eq!(linked, !private);
        let said = world.nodes.iter().any(|node| node.sent.contains_key("ut_pex"));
        assert_eq!(said, !private);
    }
}

#[test]
fn a_private_torrent_takes_no_addresses_from_others_than_trackers() {
    let mut world = World::new(4 * MIB, MIB);
    world.private = true;
    let (seed, leech) = (world.add(Nature::seed()), world.add(Nature::leech()));
    let addrs = vec![world.nodes[seed].addr];
    for source in [Source::Dht, Source::Lsd, Source::Pex] {
        world.input(leech, Input::Candidates { source, addrs: addrs.clone() });
    }
    assert!(!world.nodes[leech].seen.iter().any(|output| matches!(output, Output::Connect { .. })));
    assert!(world.nodes[leech].torrent.is_private());
}

#[test]
fn super_seeding_uploads_each_piece_little_more_than_once() {
    let mut world = World::new(16 * MIB, 256 << 10);
    let seed = world.add_with(Nature::seed().up(2 * MIB), |config| config.super_seeding = true);
    let leeches: Vec<_> = (0..4).map(|_| world.add(Nature::leech())).collect();
    for leech in &leeches {
        world.meet(*leech, seed);
        world.meet(*leech, leeches[0]);
    }
    assert!(world.run(120 * S, |world| leeches.iter().all(|leech| world.is_finished(*leech))));
    let uploaded = world.nodes[seed].torrent.stats(world.now).counters.uploaded;
    assert!(uploaded < 24 * MIB, "{} MiB uploaded", uploaded / MIB);
}

#[test]
fn two_halves_make_a_whole() {
    let mut world = World::new(8 * MIB, MIB);
    let (low, high) = (world.add(Nature::leech().pieces(0..4)), world.add(Nature::leech().pieces(4..8)));
    world.meet(low, high);
    assert!(world.run(30 * S, |world| world.is_finished(low) && world.is_finished(high)));
    world.assert_content(low);
    world.assert_content(high);
}

#[test]
fn skipped_pieces_are_left_and_a_partial_seed_says_so() {
    let mut world = World::new(8 * MIB, MIB);
    let (seed, leech) = (world.add(Nature::seed()), world.add(Nature::leech()));
    world.input(leech, Input::Wanted(vec![(0..4, swarm::Priority::Skip)]));
    world.meet(leech, seed);
    assert!(world.run(30 * S, |world| world.is_finished(leech)));
    assert!(world.nodes[leech].seen.contains(&Output::Finished { downloaded: true, whole: false }));
    assert_eq!(world.nodes[leech].torrent.have().unwrap().count(), 4);
    assert_eq!(world.nodes[leech].torrent.stats(world.now).left, Some(4 * MIB));
    // Everything is wanted after all.
    world.nodes[leech].finished = None;
    world.input(leech, Input::Wanted(Vec::new()));
    assert!(world.run(60 * S, |world| world.is_finished(leech)));
    world.assert_content(leech);
}

#[test]
fn a_storage_failure_stops_the_torrent_and_nothing_is_fetched_again() {
    let mut world = World::new(8 * MIB, MIB);
    let (seed, leech) = (world.add(Nature::seed()), world.add(Nature::leech()));
    world.meet(leech, seed);
    world.fail_storage(leech, true);
    world.run(300 * S, |_| false);
    let node = &world.nodes[leech];
    assert!(node.seen.contains(&Output::Failed { reason: "disk full".into() }));
    let stats = node.torrent.stats(world.now);
    assert!(stats.counters.downloaded <= 2 * MIB, "{}", stats.counters.downloaded);
    assert_eq!((stats.connected, stats.wait), (0, Wait::Stopped));
}

#[test]
fn a_silent_seeder_of_the_urgent_piece_is_worked_around() {
    let mut world = World::new(16 * MIB, MIB);
    let mut nature = Nature::seed().up(MIB);
    nature.stalls_after = Some(20);
    let (stalls, good) = (world.add(nature), world.add(Nature::seed().up(MIB)));
    let leech = world.add(Nature::leech());
    world.meet(leech, stalls);
    world.meet(leech, good);
    world.read(leech, 1, 0..16 * MIB);
    let there = |world: &World| world.nodes[leech].torrent.have().unwrap().has(PieceIndex(1));
    assert!(world.run(10 * S, there), "{:?}", world.nodes[leech].torrent.stats(world.now));
}

#[test]
fn more_takers_than_slots_get_their_turns() {
    let mut world = World::new(4 * MIB, 256 << 10);
    let seed = world.add_with(Nature::seed().up(MIB), |config| config.limits.upload_slots_max = 2);
    let leeches: Vec<_> = (0..5).map(|_| world.add(Nature::leech())).collect();
    for leech in &leeches {
        world.meet(*leech, seed);
    }
    world.run(S, |_| false);
    let unchoked = world.nodes[seed].torrent.peers(world.now).iter().filter(|peer| !peer.choked).count();
    assert_eq!(unchoked, 2);
    assert!(world.run(300 * S, |world| leeches.iter().all(|leech| world.is_finished(*leech))));
}

#[test]
fn pausing_drops_everybody_and_resuming_meets_them_again() {
    let mut world = World::new(16 * MIB, MIB);
    let (seed, leech) = (world.add(Nature::seed()), world.add(Nature::leech()));
    world.meet(leech, seed);
    world.run(S, |_| false);
    world.input(leech, Input::Pause);
    world.run(30 * S, |_| false);
    assert_eq!(world.nodes[leech].torrent.stats(world.now).connected, 0);
    world.input(leech, Input::Resume);
    assert!(world.run(60 * S, |world| world.is_finished(leech)));
    world.assert_content(leech);
}

#[test]
fn two_that_dial_each_other_at_once_keep_one_connection() {
    let mut world = World::new(4 * MIB, MIB);
    let half = |pieces| Nature::leech().pieces(pieces).up(MIB);
    let (low, high) = (world.add(half(0..2)), world.add(half(2..4)));
    world.meet(low, high);
    world.meet(high, low);
    world.run(S, |_| false);
    assert_eq!((world.nodes[low].links.len(), world.nodes[high].links.len()), (1, 1));
    assert!(world.run(10 * S, |world| world.is_finished(low) && world.is_finished(high)));
}

#[test]
fn peers_without_the_fast_extension_are_served_and_serve() {
    let mut world = World::new(8 * MIB, MIB);
    world.fast = false;
    let seed = world.add_with(Nature::seed().up(2 * MIB), |config| config.limits.upload_slots_max = 1);
    let (a, b) = (world.add(Nature::leech()), world.add(Nature::leech()));
    world.meet(a, seed);
    world.meet(b, seed);
    world.meet(b, a);
    assert!(world.run(120 * S, |world| world.is_finished(a) && world.is_finished(b)));
    assert!(
        world
            .nodes
            .iter()
            .all(|node| !node.sent.contains_key("reject") && !node.sent.contains_key("have all"))
    );
}

#[test]
fn a_torrent_that_failed_goes_on_where_its_verified_pieces_end() {
    let mut world = World::new(8 * MIB, MIB);
    let (seed, leech) = (world.add(Nature::seed().up(4 * MIB)), world.add(Nature::leech()));
    world.meet(leech, seed);
    world.run(S, |_| false);
    world.fail_storage(leech, true);
    world.run(S, |_| false);
    world.fail_storage(leech, false);
    world.forget_unverified(leech);
    world.input(leech, Input::Resume);
    assert!(world.run(60 * S, |world| world.is_finished(leech)));
    world.assert_content(leech);
}

#[test]
fn an_idle_torrent_sleeps() {
    let mut world = World::new(16 * MIB, MIB);
    let seed = world.add(Nature::seed());
    assert_eq!(world.nodes[seed].torrent.next_timeout(), None);
}

#[test]
fn limits_turn_the_late_away() {
    let mut world = World::new(4 * MIB, MIB);
    let seed = world.add_with(Nature::seed().up(10_000), |config| config.limits.connections_max = 2);
    let leeches: Vec<_> = (0..4).map(|_| world.add(Nature::leech())).collect();
    for leech in leeches {
        world.meet(leech, seed);
    }
    world.run(5 * S, |_| false);
    assert_eq!(world.nodes[seed].torrent.stats(world.now).connected, 2);
}

#[test]
fn a_torrent_that_finds_nobody_asks_ever_less_often() {
    let mut world = World::new(MIB, MIB);
    let lonely = world.add(Nature::leech());
    world.run(3_600 * S, |_| false);
    let wishes = world.nodes[lonely].seen.iter().filter(|output| **output == Output::PeersWanted).count();
    assert!((6..=10).contains(&wishes), "{wishes} in an hour");
}

#[test]
fn a_peer_is_told_of_pieces_that_left_before_it_said_that_it_listens_for_that() {
    let layout = metainfo::PieceLayout::new(8 * MIB, 1 << 20).unwrap();
    let mut torrent = swarm::Torrent::new(Config::new(metainfo::InfoHash([7; 20]), [1; 20], 1));
    let have = metainfo::Bitfield::all(8);
    let info = swarm::Info { layout, metadata: bytes::Bytes::from_static(b"d"), private: false, have };
    torrent.handle(S, Input::Info(Box::new(info)));
    let hello = swarm::Hello {
        peer_id: [2; 20],
        fast: true,
        extended: true,
        dht: false,
        encrypted: false,
        utp: false,
    };
    let peer = torrent.accept(S, ([127, 0, 0, 1], 9).into(), hello).unwrap();
    let sent = |torrent: &mut swarm::Torrent| {
        let mut all = Vec::new();
        while let Some(output) = torrent.poll_output() {
            if let Output::Send { messages, .. } = output {
                all.extend(messages);
            }
        }
        all
    };
    let gone = |messages: &[swarm::Message]| -> Vec<u32> {
        let gone = messages.iter().filter_map(|message| match message {
            swarm::Message::DontHave(piece) => Some(*piece),
            _ => None,
        });
        gone.collect()
    };
    assert!(sent(&mut torrent).contains(&swarm::Message::HaveAll));
    torrent.handle(
        S,
        Input::Stored(vec![swarm::Stored::Lost(PieceIndex(3)), swarm::Stored::Lost(PieceIndex(4))]),
    );
    assert_eq!(gone(&sent(&mut torrent)), [0; 0]);
    let extensions = peer_wire::Extensions { dont_have: true, ..peer_wire::Extensions::default() };
    let theirs = peer_wire::ExtendedHandshake { extensions, ..peer_wire::ExtendedHandshake::default() };
    let batch = vec![swarm::Message::ExtendedHandshake(Box::new(theirs))];
    torrent.handle(S, Input::Messages { peer, batch });
    assert_eq!(gone(&sent(&mut torrent)), [3, 4]);
    torrent.handle(S, Input::Stored(vec![swarm::Stored::Lost(PieceIndex(5))]));
    assert_eq!(gone(&sent(&mut torrent)), [5]);
}
