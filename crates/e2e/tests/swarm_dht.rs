//! The DHT with libtorrent's: a magnet that names no tracker and no peer, on loopback, announced by the one and found by the other.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;

use e2e::swarm::{PATIENCE, Recipe, Share, clients::Libtorrent, ours::Ours};

/// A node that has no torrent of ours: whom both know, and nobody else.
fn entry(share: &Share) -> Libtorrent {
    let other = Share::new(&Recipe::mib(1)).unwrap();
    let torrent = other.torrent().display().to_string();
    let save = share.scratch("entry").unwrap().display().to_string();
    Libtorrent::start(share, "127.0.0.1", &["--torrent", &torrent, "--save", &save, "--dht"]).unwrap()
}

/// A configuration of ours that enters the DHT there.
fn config(share: &Share, entry: &Libtorrent) -> String {
    let path = share.scratch("config").unwrap().join("c.toml");
    fs::write(&path, format!("[torrent]\ndht_bootstrap = [\"{}\"]\n", entry.address)).unwrap();
    path.display().to_string()
}

#[test]
fn what_libtorrent_announces_ours_finds() {
    let share = Share::new(&Recipe::mib(4)).unwrap();
    let entry = entry(&share);
    let node = entry.address.to_string();
    let _seeder = Libtorrent::seed(&share, &["--dht", "--dht-node", &node]).unwrap();
    let (out, config) = (share.leech_dir().display().to_string(), config(&share, &entry));
    let magnet = format!("magnet:?xt=urn:btih:{}", share.info_hash);
    let args = ["download", &magnet, "-o", &out, "--json", "--config", &config, "--no-lsd", "--no-upnp"];
    let mut ours = Ours::start(&share, &args).unwrap();
    ours.finished().unwrap();
    share.check().unwrap();
}

#[test]
fn what_ours_announces_libtorrent_finds() {
    let share = Share::new(&Recipe::mib(4)).unwrap();
    let entry = entry(&share);
    let node = entry.address.to_string();
    let (torrent, data) = (share.torrent().display().to_string(), share.seed_dir().display().to_string());
    let config = config(&share, &entry);
    let args = ["seed", &torrent, "--data", &data, "--json", "--config", &config, "--no-lsd", "--no-upnp"];
    let mut ours = Ours::start(&share, &args).unwrap();
    ours.process().expect("seeding", PATIENCE, |line| (line["type"] == "seeding").then_some(())).unwrap();
    let magnet = format!("magnet:?xt=urn:btih:{}", share.info_hash);
    let save = share.leech_dir().display().to_string();
    let leech = ["--magnet", &magnet, "--save", &save, "--dht", "--dht-node", &node];
    let leecher = Libtorrent::start(&share, "127.0.0.1", &leech).unwrap();
    leecher.finished().unwrap();
    share.check().unwrap();
}

#[test]
fn without_the_dht_nobody_is_found() {
    let share = Share::new(&Recipe::mib(1)).unwrap();
    let entry = entry(&share);
    let node = entry.address.to_string();
    let mut seeder = Libtorrent::seed(&share, &["--dht", "--dht-node", &node]).unwrap();
    let magnet = format!("magnet:?xt=urn:btih:{}", share.info_hash);
    let _ours = Ours::fetch(&share, &magnet, &["--config", &config(&share, &entry)]).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert_eq!(seeder.stats().unwrap()["uploaded"].as_u64(), Some(0));
}
