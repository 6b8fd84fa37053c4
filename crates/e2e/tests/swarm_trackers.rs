//! Trackers: opentracker and bittorrent-tracker, HTTP and UDP, and what ours tells them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use e2e::swarm::{PATIENCE, Recipe, Share, clients::Libtorrent, ours::Ours, trackers::Tracker};

/// Ours seeds, libtorrent fetches, then the other way about: they find each other by the tracker alone.
fn finds_peers(tracker: &Tracker, url: String) {
    let share = Share::new(&Recipe { trackers: vec![url], ..Recipe::mib(8) }).unwrap();
    tracker.allow(&share).unwrap();
    let seeder = Libtorrent::seed(&share, &[]).unwrap();
    // libtorrent announces a moment after it starts.
    let mut ours = Ours::download(&share, &[]).unwrap();
    ours.finished().unwrap();
    share.check().unwrap();
    drop(seeder);
}

#[test]
fn opentracker_over_http() {
    let tracker = Tracker::opentracker().unwrap();
    finds_peers(&tracker, tracker.http());
}

#[test]
fn opentracker_over_udp() {
    let tracker = Tracker::opentracker().unwrap();
    finds_peers(&tracker, tracker.udp());
}

/// `started` once, `completed` once and only by who downloaded, `stopped` always, and exact counters.
fn is_told_the_truth(tracker: &Tracker, url: String) {
    let share = Share::new(&Recipe { trackers: vec![url], ..Recipe::mib(8) }).unwrap();
    let mut seeder = Ours::seed(&share, &[]).unwrap();
    let start = tracker.announce("start").unwrap();
    assert_eq!(start["left"].as_u64(), Some(0), "{start}");
    let mut ours = Ours::download(&share, &[]).unwrap();
    ours.finished().unwrap();
    share.check().unwrap();
    let number = |value: &serde_json::Value, key: &str| {
        value[key]
            .as_u64()
            .or_else(|| value[key].as_str()?.parse().ok())
            .unwrap_or_else(|| panic!("{key}: {value}"))
    };
    let start = tracker.announce("start").unwrap();
    assert_eq!(number(&start, "left"), 8 << 20, "{start}");
    let complete = tracker.announce("complete").unwrap();
    assert_eq!((number(&complete, "left"), number(&complete, "downloaded")), (0, 8 << 20), "{complete}");
    let stop = tracker.announce("stop").unwrap();
    assert_eq!(number(&stop, "downloaded"), 8 << 20, "{stop}");
    seeder.process().signal("-INT").unwrap();
    assert_eq!(seeder.process().wait(PATIENCE).unwrap().code(), Some(130));
    let stop = tracker.announce("stop").unwrap();
    assert_eq!((number(&stop, "uploaded"), number(&stop, "downloaded")), (8 << 20, 0), "{stop}");
    std::thread::sleep(Duration::from_millis(200));
    let rest: Vec<_> = tracker.announces();
    assert!(rest.iter().all(|line| line["event"] == "update"), "{rest:?}");
}

#[test]
fn bittorrent_tracker_over_http_is_told_the_truth() {
    let tracker = Tracker::bittorrent_tracker().unwrap();
    is_told_the_truth(&tracker, tracker.http());
}

#[test]
fn bittorrent_tracker_over_udp_is_told_the_truth() {
    let tracker = Tracker::bittorrent_tracker().unwrap();
    is_told_the_truth(&tracker, tracker.udp());
}

#[test]
fn a_dead_tracker_in_the_first_tier_keeps_nobody_from_the_second() {
    let tracker = Tracker::bittorrent_tracker().unwrap();
    let dead = format!("http://127.0.0.1:{}/announce", e2e::swarm::free_port().unwrap());
    let share = Share::new(&Recipe { trackers: vec![dead, tracker.http()], ..Recipe::mib(8) }).unwrap();
    let _seeder = Ours::seed(&share, &[]).unwrap();
    tracker.announce("start").unwrap();
    let mut ours = Ours::download(&share, &[]).unwrap();
    ours.finished().unwrap();
    share.check().unwrap();
}
