//! Peers that nobody named: over the DHT, in the local network, and never those of a private torrent.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::{net::UdpSocket, time::Duration};

use bencode::encode_dict;
use engine::{Add, Config};
use support::{Host, finished, host_with, make};

/// A session whose DHT node is on `port`, entered at the node on `entry`.
async fn with_dht(port: u16, entry: u16, change: impl FnOnce(&mut Config)) -> Host {
    host_with(|config| {
        let file = encode_dict(|dict| {
            dict.bytes("id", u128::from(port).pow(7).to_be_bytes().repeat(2)[..20].as_ref());
            dict.bytes("nodes", "");
            dict.bytes("nodes6", "");
            dict.int("port", port);
            dict.int("version", 1);
        });
        std::fs::write(config.state_dir.join("dht"), file).unwrap();
        (config.dht, config.dht_bootstrap) = (true, vec![format!("127.0.0.1:{entry}")]);
        change(config);
    })
    .await
}

/// A UDP port that nobody has.
fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_magnet_alone_finds_its_seeder_over_the_dht() {
    let made = make(&[("film.mkv", 1_000_000)], 32_768, false);
    let (one, other) = (free_port(), free_port());
    let seeder = with_dht(one, other, |_| {}).await;
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    let leecher = with_dht(other, one, |_| {}).await;
    let (torrent, _) = leecher.session.add(Add::magnet(made.magnet.clone())).await.unwrap();
    finished(&torrent).await;
    made.assert_same(leecher.data.path());
    assert!(leecher.session.stats().dht_nodes > 0);
    seeder.session.stop().await;
    leecher.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_find_each_other_without_being_told() {
    let made = make(&[("film.mkv", 1_100_000)], 32_768, false);
    let (seeder, leecher) = (host_with(|c| c.lsd = true).await, host_with(|c| c.lsd = true).await);
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    let (torrent, _) = leecher.session.add(Add::magnet(made.magnet.clone())).await.unwrap();
    finished(&torrent).await;
    made.assert_same(leecher.data.path());
    seeder.session.stop().await;
    leecher.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_finds_a_private_torrent() {
    let made = make(&[("film.mkv", 1_200_000)], 32_768, true);
    let (one, other) = (free_port(), free_port());
    let seeder = with_dht(one, other, |c| c.lsd = true).await;
    let leecher = with_dht(other, one, |c| c.lsd = true).await;
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    let (torrent, _) = leecher.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(torrent.peers().await.unwrap().is_empty());
    assert_eq!(torrent.snapshot().have, 0);
    seeder.session.stop().await;
    leecher.session.stop().await;
}
