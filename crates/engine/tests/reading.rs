//! Readers: bytes of a torrent that is still arriving.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use byte_source::{ByteRange, ByteSource, ReadHint};
use engine::{Add, FileIndex, Limits, Select, Torrent};
use support::{Host, Made, finished, host, host_with, make};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

/// A seeder of 1 MB a second, and a leecher that fetches what is read only.
async fn slow_swarm(made: &Made, select: Select) -> (Host, Host, Torrent) {
    let seeder = host_with(|config| config.limits = Limits { upload: Some(1_000_000), download: None }).await;
    let leecher = host().await;
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    let add = Add { peers: vec![seeder.addr()], select, ..Add::metainfo(made.torrent.clone()) };
    let (torrent, _) = leecher.session.add(add).await.unwrap();
    (seeder, leecher, torrent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seek_into_a_hole_is_served_before_the_rest() {
    let made = make(&[("film.mkv", 16_000_000)], 65_536, false);
    let (seeder, leecher, torrent) = slow_swarm(&made, Select::All).await;
    let reader = torrent.reader(FileIndex(0)).unwrap();
    let bytes = &made.files[0].1;
    for at in [0usize, 12_000_000, 6_000_000, 15_999_000, 500_000] {
        let end = (at + 100_000).min(bytes.len());
        let range = ByteRange::new(at as u64, end as u64);
        let read = timeout(SOON, reader.read_at(range)).await.expect("in time").unwrap();
        assert!(read == bytes[at..end], "at {at}");
    }
    assert!(torrent.snapshot().have < 16_000_000, "the whole came first");
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_readers_far_apart_are_both_served() {
    let made = make(&[("film.mkv", 16_000_000)], 65_536, false);
    let (seeder, leecher, torrent) = slow_swarm(&made, Select::Nothing).await;
    let bytes = &made.files[0].1;
    let read = async |from: usize| {
        let reader = torrent.reader(FileIndex(0)).unwrap();
        for at in (from..from + 600_000).step_by(60_000) {
            let range = ByteRange::new(at as u64, at as u64 + 60_000);
            let read = timeout(SOON, reader.read_at(range)).await.expect("in time").unwrap();
            assert!(read == bytes[at..at + 60_000], "at {at}");
        }
    };
    tokio::join!(read(1_000_000), read(11_000_000));
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_longer_than_any_window_comes_whole() {
    let made = make(&[("film.mkv", 16_000_000)], 65_536, false);
    let (seeder, leecher, torrent) = slow_swarm(&made, Select::Nothing).await;
    let reader = torrent.reader(FileIndex(0)).unwrap();
    let read = reader.read_at(ByteRange::new(1_000_000, 6_500_000));
    let read = timeout(2 * SOON, read).await.expect("in time").unwrap();
    assert!(read == made.files[0].1[1_000_000..6_500_000]);
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_goes_takes_its_demand_with_it() {
    let made = make(&[("film.mkv", 16_000_000)], 65_536, false);
    let (seeder, leecher, torrent) = slow_swarm(&made, Select::Nothing).await;
    let reader = torrent.reader(FileIndex(0)).unwrap();
    reader.hint(ReadHint { range: ByteRange::new(0, 16_000_000), deadline_ms: 0 });
    timeout(SOON, reader.read_at(ByteRange::new(0, 200_000))).await.expect("in time").unwrap();
    drop(reader);
    // What is under way still comes.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let before = torrent.snapshot().downloaded;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(torrent.snapshot().downloaded, before);
    assert_eq!(torrent.snapshot().readers, 0);
    assert!(before < 8_000_000, "{before}");
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_magnet_can_be_read_as_soon_as_its_metadata_is_here() {
    let made = make(&[("a.txt", 10_000), ("film.mkv", 3_000_000)], 32_768, false);
    let (seeder, leecher) = (host().await, host().await);
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    let add = Add { select: Select::Nothing, ..Add::magnet(made.magnet.clone()) };
    let (torrent, _) = leecher.session.add(add).await.unwrap();
    assert!(torrent.reader(FileIndex(1)).is_err());
    torrent.add_peers(vec![seeder.addr()]).await.unwrap();
    timeout(SOON, torrent.wait_metadata()).await.expect("in time").unwrap();
    let reader = torrent.reader(FileIndex(1)).unwrap();
    let tail =
        timeout(SOON, reader.read_at(ByteRange::new(2_900_000, 3_000_000))).await.expect("in time").unwrap();
    assert!(tail == made.files[1].1[2_900_000..]);
    assert!(torrent.reader(FileIndex(7)).is_err());
    assert!(reader.read_at(ByteRange::new(2_999_999, 3_000_001)).await.is_err());
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_holds_what_is_read_and_forgets_what_was() {
    let made = make(&[("film.mkv", 8_000_000)], 65_536, false);
    let seeder = host().await;
    let leecher = host_with(|config| {
        config.storage = engine::StorageKind::Memory;
        config.memory_limit = 2_000_000;
    })
    .await;
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    let add =
        Add { peers: vec![seeder.addr()], select: Select::Nothing, ..Add::metainfo(made.torrent.clone()) };
    let (torrent, _) = leecher.session.add(add).await.unwrap();
    let reader = loop {
        match torrent.reader(FileIndex(0)) {
            Ok(reader) => break reader,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    for round in 0..2 {
        for at in (0..8_000_000usize).step_by(200_000) {
            let range = ByteRange::new(at as u64, at as u64 + 200_000);
            let read = timeout(SOON, reader.read_at(range)).await.expect("in time").unwrap();
            assert!(read == made.files[0].1[at..at + 200_000], "round {round} at {at}");
        }
    }
    assert!(std::fs::read_dir(leecher.data.path()).unwrap().next().is_none());
    leecher.session.stop().await;
    seeder.session.stop().await;
}
