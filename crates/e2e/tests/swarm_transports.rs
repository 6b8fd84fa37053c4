//! Ways to a peer: encrypted only, plain only, uTP only, IPv6, a web seed; and a magnet's metadata over each other.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use e2e::{
    server::{Server, find},
    swarm::{Recipe, Share, clients::Libtorrent, has_ipv6, ours::Ours},
};
use serde_json::Value;

/// Of the one peer that libtorrent is connected to.
fn peer(libtorrent: &mut Libtorrent) -> Value {
    for _ in 0..200 {
        let stats = libtorrent.stats().unwrap();
        if let Some(peer) = stats["peers"].get(0).filter(|_| stats["uploaded"].as_u64() > Some(0)) {
            return peer.clone();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("libtorrent has no peer");
}

/// Fetches from libtorrent, slowly enough to look at the connection meanwhile.
fn fetch_while_looking(seeder: &[&str], ours: &[&str]) -> Value {
    let share = Share::new(&Recipe::mib(8)).unwrap();
    let mut seeder = Libtorrent::seed(&share, &[&["--upload-limit", "6000000"], seeder].concat()).unwrap();
    let address = seeder.address.to_string();
    let mut ours = Ours::download(&share, &[&["--peer", &address], ours].concat()).unwrap();
    let peer = peer(&mut seeder);
    ours.finished().unwrap();
    share.check().unwrap();
    peer
}

#[test]
fn who_only_speaks_encrypted_is_spoken_to_encrypted() {
    let peer = fetch_while_looking(&["--encryption", "forced", "--tcp-only"], &["--no-utp"]);
    assert_eq!(peer["rc4"], true, "{peer}");
}

#[test]
fn who_only_speaks_plain_is_reached_all_the_same() {
    let peer = fetch_while_looking(&["--encryption", "disabled", "--tcp-only"], &[]);
    assert_eq!(peer["rc4"], false, "{peer}");
}

#[test]
fn encryption_can_be_required_and_then_a_plain_peer_is_not_spoken_to() {
    let peer = fetch_while_looking(&["--tcp-only"], &["--encryption", "require"]);
    assert_eq!(peer["rc4"], true, "{peer}");
    let share = Share::new(&Recipe::mib(1)).unwrap();
    let mut seeder = Libtorrent::seed(&share, &["--encryption", "disabled"]).unwrap();
    let address = seeder.address.to_string();
    let _ours = Ours::download(&share, &["--encryption", "require", "--peer", &address]).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(seeder.stats().unwrap()["uploaded"].as_u64(), Some(0));
}

#[test]
fn encrypted_connections_are_taken_and_plain_ones_refused_where_encryption_is_required() {
    let share = Share::new(&Recipe::mib(8)).unwrap();
    let ours = Ours::seed(&share, &["--encryption", "require"]).unwrap();
    let address = ours.address.to_string();
    let leecher = Libtorrent::leech(&share, &["--encryption", "forced", "--peer", &address]).unwrap();
    leecher.finished().unwrap();
    share.check().unwrap();
}

#[test]
fn utp_alone_is_enough_to_fetch() {
    let config = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(config.path(), "[torrent]\ntcp = false\n").unwrap();
    let config = config.path().display().to_string();
    let peer = fetch_while_looking(&["--utp-only"], &["--config", &config]);
    assert_eq!(peer["utp"], true, "{peer}");
}

#[test]
fn utp_alone_is_enough_to_give() {
    let share = Share::new(&Recipe::mib(8)).unwrap();
    let ours = Ours::seed(&share, &[]).unwrap();
    let leecher = Libtorrent::leech(&share, &["--utp-only", "--peer", &ours.address.to_string()]).unwrap();
    leecher.finished().unwrap();
    share.check().unwrap();
}

#[test]
fn ipv6_both_ways() {
    if !has_ipv6() {
        eprintln!("no ::1 here: IPv6 was not tested");
        return;
    }
    let share = Share::new(&Recipe::mib(8)).unwrap();
    let (torrent, save) = (share.torrent().display().to_string(), share.seed_dir().display().to_string());
    let seeder =
        Libtorrent::start(&share, "::1", &["--seed", "--torrent", &torrent, "--save", &save]).unwrap();
    let mut ours = Ours::download(&share, &["--peer", &seeder.address.to_string()]).unwrap();
    ours.finished().unwrap();
    share.check().unwrap();
    drop(seeder);
    share.forget().unwrap();
    let ours = Ours::seed(&share, &[]).unwrap();
    let save = share.leech_dir().display().to_string();
    let peer = format!("[::1]:{}", ours.address.port());
    let leecher =
        Libtorrent::start(&share, "::1", &["--torrent", &torrent, "--save", &save, "--peer", &peer]).unwrap();
    leecher.finished().unwrap();
    share.check().unwrap();
}

#[test]
fn a_magnet_begins_with_a_hash_and_a_peer() {
    let share = Share::new(&Recipe::mib(8)).unwrap();
    let seeder = Libtorrent::seed(&share, &[]).unwrap();
    let magnet = format!("magnet:?xt=urn:btih:{}&x.pe={}", share.info_hash, seeder.address);
    let mut ours = Ours::fetch(&share, &magnet, &[]).unwrap();
    ours.finished().unwrap();
    share.check().unwrap();
}

#[test]
fn a_magnet_of_ours_is_enough_for_libtorrent() {
    let share = Share::new(&Recipe::mib(8)).unwrap();
    let ours = Ours::seed(&share, &[]).unwrap();
    let save = share.leech_dir().display().to_string();
    let peer = ours.address.to_string();
    let leecher = Libtorrent::start(
        &share,
        "127.0.0.1",
        &["--magnet", &share.magnet, "--save", &save, "--peer", &peer],
    )
    .unwrap();
    leecher.finished().unwrap();
    share.check().unwrap();
}

#[test]
fn a_web_seed_is_a_peer_that_speaks_ranges() {
    let probe = Share::new(&Recipe::mib(16)).unwrap();
    let nginx = Server::nginx(
        &find(&["nginx"]).unwrap(),
        &probe.scratch("nginx").unwrap(),
        "",
        &format!("location / {{ root {}; }}", probe.seed_dir().display()),
        &format!("/{}", probe.name),
    )
    .unwrap();
    // The same content, now with the address that it can be had at.
    let url = format!("http://{}/{}", nginx.address, probe.name);
    let share = probe.again(&Recipe { web_seeds: vec![url], ..Recipe::mib(16) }).unwrap();
    let mut ours = Ours::download(&share, &[]).unwrap();
    ours.finished().unwrap();
    share.check().unwrap();
    // Between a peer and a web seed the work is shared.
    share.forget().unwrap();
    let seeder = Libtorrent::seed(&share, &["--upload-limit", "4000000"]).unwrap();
    let mut ours = Ours::download(&share, &["--peer", &seeder.address.to_string()]).unwrap();
    ours.finished().unwrap();
    share.check().unwrap();
}

#[test]
fn a_peer_that_goes_away_in_the_middle_leaves_the_rest_to_another() {
    let share = Share::new(&Recipe::mib(16)).unwrap();
    let seeders = [(); 2].map(|()| Libtorrent::seed(&share, &["--upload-limit", "5000000"]).unwrap());
    let [first, second] = &seeders;
    let peers = ["--peer", &first.address.to_string(), "--peer", &second.address.to_string()];
    let mut ours = Ours::download(&share, &peers).unwrap();
    ours.progress("a tenth", |line| line["progress"].as_f64() > Some(0.1)).unwrap();
    let [first, _second] = seeders;
    drop(first);
    ours.finished().unwrap();
    share.check().unwrap();
}
