//! Ours between other clients: each of them as our seeder and as our leecher, over loopback.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use e2e::swarm::{
    Recipe, Share,
    clients::{Aria2, Libtorrent, Transmission},
    ours::Ours,
    trackers::Tracker,
};

/// A share whose torrent names a tracker. Others refuse the loopback addresses that a tracker names, so they come first and
/// ours, who hears of them, dials.
fn tracked(mib: u64) -> (Tracker, Share) {
    let tracker = Tracker::bittorrent_tracker().unwrap();
    let share = Share::new(&Recipe { trackers: vec![tracker.http()], ..Recipe::mib(mib) }).unwrap();
    (tracker, share)
}

#[test]
fn libtorrent_gives_to_us() {
    let share = Share::new(&Recipe::mib(64)).unwrap();
    let mut seeder = Libtorrent::seed(&share, &[]).unwrap();
    let mut ours = Ours::download(&share, &["--peer", &seeder.address.to_string()]).unwrap();
    let line = ours.finished().unwrap();
    share.check().unwrap();
    // Nothing was asked for twice of one peer.
    assert_eq!((line["wasted"].as_u64(), line["corrupt"].as_u64()), (Some(0), Some(0)), "{line}");
    assert_eq!(seeder.stats().unwrap()["uploaded"].as_u64(), Some(64 << 20));
}

#[test]
fn libtorrent_takes_from_us() {
    let share = Share::new(&Recipe::mib(64)).unwrap();
    let ours = Ours::seed(&share, &[]).unwrap();
    let leecher = Libtorrent::leech(&share, &["--peer", &ours.address.to_string()]).unwrap();
    leecher.finished().unwrap();
    share.check().unwrap();
}

#[test]
fn transmission_gives_to_us() {
    let share = Share::new(&Recipe::mib(8)).unwrap();
    let mut seeder = Transmission::start(&share, &share.seed_dir()).unwrap();
    seeder.finished(true).unwrap();
    let mut ours = Ours::download(&share, &["--peer", &seeder.address.to_string()]).unwrap();
    ours.finished().unwrap();
    share.check().unwrap();
}

#[test]
fn transmission_takes_from_us() {
    let (tracker, share) = tracked(8);
    let mut leecher = Transmission::start(&share, &share.leech_dir()).unwrap();
    tracker.announce("start").unwrap();
    let _ours = Ours::seed(&share, &[]).unwrap();
    leecher.finished(false).unwrap();
    share.check().unwrap();
}

#[test]
fn aria2_gives_to_us() {
    let share = Share::new(&Recipe::mib(64)).unwrap();
    let seeder = Aria2::start(&share, &share.seed_dir(), true).unwrap();
    seeder.listens().unwrap();
    let mut ours = Ours::download(&share, &["--peer", &seeder.address.to_string()]).unwrap();
    ours.finished().unwrap();
    share.check().unwrap();
}

#[test]
fn aria2_takes_from_us() {
    let (tracker, share) = tracked(64);
    let mut leecher = Aria2::start(&share, &share.leech_dir(), false).unwrap();
    tracker.announce("start").unwrap();
    let _ours = Ours::seed(&share, &[]).unwrap();
    leecher.finished().unwrap();
    share.check().unwrap();
}
