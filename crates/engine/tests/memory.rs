//! Bytes that live in memory: a film larger than it streams through, and nothing is fetched again and again.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use byte_source::{ByteRange, ByteSource, ReadHint};
use engine::{Add, FileIndex, Limits, StorageKind, Torrent};
use support::{Host, Made, finished, host_with, make};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);
const PIECE_LENGTH: u32 = 65_536;
const PIECE: usize = PIECE_LENGTH as usize;

/// A seeder, and a leecher with little memory that is asked for everything.
async fn swarm(made: &Made, memory: u64, upload: Option<u64>) -> (Host, Host, Torrent) {
    let seeder = host_with(|config| config.limits = Limits { upload, download: None }).await;
    let leecher = host_with(|config| {
        config.storage = StorageKind::Memory;
        config.memory_limit = memory;
    })
    .await;
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    let add = Add { peers: vec![seeder.addr()], ..Add::metainfo(made.torrent.clone()) };
    let (torrent, _) = leecher.session.add(add).await.unwrap();
    (seeder, leecher, torrent)
}

/// Reads as an answer over HTTP does: piece by piece, with word of what follows.
async fn read(torrent: &Torrent, bytes: &[u8], from: usize, to: usize) {
    let reader = torrent.reader(FileIndex(0)).unwrap();
    for at in (from..to).step_by(PIECE) {
        let ahead = ByteRange::new(at as u64, (at + (16 << 20)).min(to) as u64);
        reader.hint(ReadHint { range: ahead, deadline_ms: 0 });
        let range = ByteRange::new(at as u64, (at + PIECE).min(to) as u64);
        let read = timeout(SOON, reader.read_at(range)).await;
        let read = read.unwrap_or_else(|_| panic!("at {at}: {:#?}", torrent.snapshot())).unwrap();
        assert!(read == bytes[at..(at + PIECE).min(to)], "at {at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_six_times_the_memory_streams_through_and_comes_once() {
    let made = make(&[("film.mkv", 24_000_000)], PIECE_LENGTH, false);
    let (seeder, leecher, torrent) = swarm(&made, 4_000_000, None).await;
    let bytes = &made.files[0].1;
    // Nobody reads: nothing is fetched that would only be thrown away again.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(torrent.snapshot().downloaded, 0);
    // One who knows of us alone, and takes next to nothing.
    let other = host_with(|config| config.limits = Limits { upload: None, download: Some(16_384) }).await;
    let add = Add { peers: vec![leecher.addr()], ..Add::metainfo(made.torrent.clone()) };
    let (onlooker, _) = other.session.add(add).await.unwrap();
    read(&torrent, bytes, 0, bytes.len()).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let once = torrent.snapshot();
    assert!(once.downloaded < 24_500_000, "{} bytes came", once.downloaded);
    assert!(
        u64::from(once.pieces_have) * u64::from(PIECE_LENGTH) <= 4_000_000,
        "{} pieces",
        once.pieces_have
    );
    assert!(once.progress < 0.2 && once.completed.is_none(), "{once:?}");
    // What is behind has gone, and others were told so (BEP 54).
    let known = onlooker.peers().await.unwrap();
    let ours = f64::from(once.pieces_have) / f64::from(once.pieces);
    assert!(known.len() == 1 && (known[0].progress - ours).abs() < 0.01, "{ours} {known:?}");
    other.session.stop().await;
    // Back to the start: it comes again, as far as it is read.
    read(&torrent, bytes, 0, 1_000_000).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let again = torrent.snapshot().downloaded - once.downloaded;
    assert!((1_000_000..5_500_000).contains(&again), "{again}");
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(torrent.snapshot().downloaded - once.downloaded, again);
    // A read of more than there is room for.
    let reader = torrent.reader(FileIndex(0)).unwrap();
    let read = timeout(SOON, reader.read_at(ByteRange::new(9_000_000, 15_000_000))).await.expect("in time");
    assert!(read.unwrap() == bytes[9_000_000..15_000_000]);
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_readers_far_apart_share_little_memory_and_both_go_on() {
    let made = make(&[("film.mkv", 24_000_000)], PIECE_LENGTH, false);
    let (seeder, leecher, torrent) = swarm(&made, 1_000_000, Some(6_000_000)).await;
    let bytes = &made.files[0].1;
    let begun = std::time::Instant::now();
    while torrent.reader(FileIndex(0)).is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::join!(read(&torrent, bytes, 0, 5_000_000), read(&torrent, bytes, 12_000_000, 17_000_000));
    let took = begun.elapsed();
    let came = torrent.snapshot().downloaded;
    assert!(came < 11_500_000, "{came} bytes came of 10 MB");
    assert!(took < Duration::from_secs(8), "{took:?} for 10 MB at 6 MB/s");
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fits_the_memory_is_fetched_whole() {
    let made = make(&[("film.mkv", 2_000_000)], PIECE_LENGTH, false);
    let (seeder, leecher, torrent) = swarm(&made, 4_000_000, None).await;
    finished(&torrent).await;
    assert_eq!(torrent.snapshot().have, 2_000_000);
    leecher.session.stop().await;
    seeder.session.stop().await;
}
