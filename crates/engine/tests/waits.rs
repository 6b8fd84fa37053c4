//! What somebody who waits is told: the facts, as a swarm of ours makes them true one after the other.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use byte_source::{ByteRange, ByteSource};
use engine::{Add, Cause, FileIndex, Limits, Select, Torrent, Wait};
use support::{Host, Made, finished, host, host_with, make};
use tokio::time::{Instant, timeout};

/// Waits for a wait that `is` says yes to.
async fn waits(torrent: &Torrent, within: Duration, is: impl Fn(&Cause) -> bool) -> Wait {
    let mut watch = torrent.watch();
    let found = watch.wait_for(|snapshot| snapshot.wait().is_some_and(|wait| is(&wait.cause)));
    match timeout(within, found).await {
        Ok(snapshot) => snapshot.unwrap().wait().unwrap().clone(),
        Err(_) => panic!("told instead: {:#?}", torrent.snapshot()),
    }
}

async fn waits_for_nothing(torrent: &Torrent) {
    let mut watch = torrent.watch();
    let found = watch.wait_for(|snapshot| snapshot.wait().is_none());
    timeout(Duration::from_secs(5), found).await.expect("an end of the wait").unwrap();
}

async fn swarm(made: &Made, upload: u64) -> (Host, Host, Torrent) {
    let seeder = host_with(|config| config.limits = Limits { upload: Some(upload), download: None }).await;
    let leecher = host().await;
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    let add =
        Add { peers: vec![seeder.addr()], select: Select::Nothing, ..Add::metainfo(made.torrent.clone()) };
    let (torrent, _) = leecher.session.add(add).await.unwrap();
    (seeder, leecher, torrent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_magnet_says_whom_it_looks_for_and_who_answered() {
    let made = make(&[("film.mkv", 1_000_000)], 65_536, false);
    let (one, other) = (host().await, host().await);
    let (torrent, _) = one.session.add(Add::magnet(made.magnet.clone())).await.unwrap();
    let alone = waits(&torrent, Duration::from_secs(3), |cause| matches!(cause, Cause::Peers { .. })).await;
    let later = SystemTime::now() + Duration::from_secs(3);
    let text = alone.text(later);
    assert!(
        text.starts_with("Looking for peers · given addresses only · ") && !text.ends_with("· 0 s"),
        "{text}"
    );
    assert_eq!(alone.file, None);
    // A peer that has no metadata either.
    let add = Add { peers: vec![one.addr()], ..Add::magnet(made.magnet.clone()) };
    other.session.add(add).await.unwrap();
    let asked =
        waits(&torrent, Duration::from_secs(5), |cause| matches!(cause, Cause::Metadata { .. })).await;
    assert_eq!(asked.cause, Cause::Metadata { peers: 1, answered: 0 });
    assert_eq!(asked.text(later), "Getting file list · 0 of 1 peer answered");
    torrent.pause().await.unwrap();
    waits_for_nothing(&torrent).await;
    one.session.stop().await;
    other.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_film_that_comes_too_slowly_is_told_with_rate_need_and_time() {
    let made = make(&[("film.mkv", 8_000_000)], 65_536, false);
    let (seeder, leecher, torrent) = swarm(&made, 300_000).await;
    let reader = Arc::new(torrent.reader(FileIndex(0)).unwrap());
    reader.set_rate(1_000_000);
    let reading = tokio::spawn({
        let reader = reader.clone();
        async move {
            // Each of these reads waits most of a second, well beyond what does not count as waiting.
            for at in (0..8_000_000u64).step_by(262_144) {
                reader.read_at(ByteRange::new(at, (at + 262_144).min(8_000_000))).await.unwrap();
            }
        }
    });
    let slow = |cause: &Cause| matches!(cause, Cause::Slow { seconds: Some(_), .. });
    let wait = waits(&torrent, Duration::from_secs(8), slow).await;
    let Cause::Slow { peers, rate, need, seconds: Some(seconds) } = wait.cause else { unreachable!() };
    assert_eq!((peers, need, wait.file), (1, 1_000_000, Some(FileIndex(0))));
    assert!((150_000..600_000).contains(&rate), "{rate}");
    // About 8 MB at 0.3 MB/s, less the 8 s that they play.
    assert!((5.0..45.0).contains(&seconds), "{seconds}");
    let snapshot = torrent.snapshot();
    let playback = snapshot.playback.as_ref().unwrap();
    assert_eq!(playback.readers.len(), 1);
    let watching = &playback.readers[0];
    assert!(watching.need == Some(1_000_000) && watching.window_end > watching.position, "{watching:?}");
    assert_eq!(playback.wait_of(FileIndex(0)).map(|wait| wait.file), Some(Some(FileIndex(0))));
    // A pause of the torrent is the reason then, and without a reader there is none.
    torrent.pause().await.unwrap();
    waits(&torrent, Duration::from_secs(2), |cause| *cause == Cause::Paused).await;
    reading.abort();
    drop(reader);
    waits_for_nothing(&torrent).await;
    leecher.session.stop().await;
    seeder.session.stop().await;
}

/// Reads a film in short reads, so far apart; which waits were told meanwhile.
async fn told_while_reading(torrent: &Torrent, need: u64, apart: Duration, lasts: Duration) -> Vec<Wait> {
    let reader = torrent.reader(FileIndex(0)).unwrap();
    reader.set_rate(need);
    let reading = async {
        let mut pace = tokio::time::interval(apart);
        for at in (0..).step_by(16_384) {
            reader.read_at(ByteRange::new(at, at + 16_384)).await.unwrap();
            pace.tick().await;
        }
    };
    let mut watch = torrent.watch();
    let mut told = Vec::new();
    let watching = async {
        loop {
            watch.changed().await.unwrap();
            told.extend(watch.borrow().wait().cloned());
        }
    };
    tokio::select! {
        () = reading => panic!("read to the end"),
        () = watching => {}
        () = tokio::time::sleep(lasts) => {}
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_player_that_waits_in_short_reads_is_told_that_it_is_slow_too() {
    let made = make(&[("film.mkv", 8_000_000)], 16_384, false);
    let (seeder, leecher, torrent) = swarm(&made, 300_000).await;
    // Each of these reads waits for about 50 ms.
    let lasts = Duration::from_secs(7);
    let told = told_while_reading(&torrent, 1_000_000, Duration::from_millis(1), lasts).await;
    let slow: Vec<_> = told.iter().filter(|wait| matches!(wait.cause, Cause::Slow { .. })).collect();
    assert!(slow.len() >= 5, "{told:#?}");
    // It is one wait, not many.
    let last = slow.last().unwrap().since;
    assert!(slow.iter().rev().take(5).all(|wait| wait.since == last), "{slow:#?}");
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_player_whose_reads_are_answered_at_once_is_told_of_no_wait() {
    let made = make(&[("film.mkv", 8_000_000)], 16_384, false);
    let (seeder, leecher, torrent) = swarm(&made, 2_000_000).await;
    // It says to need more than comes, and takes less.
    let lasts = Duration::from_secs(5);
    let told = told_while_reading(&torrent, 3_000_000, Duration::from_millis(20), lasts).await;
    assert!(told.is_empty(), "{told:#?}");
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_seeder_of_a_player_is_asked_again_within_seconds_of_its_return() {
    let made = make(&[("film.mkv", 4_000_000)], 65_536, false);
    let (seeder, leecher, torrent) = swarm(&made, 4_000_000).await;
    let reader = Arc::new(torrent.reader(FileIndex(0)).unwrap());
    reader.read_at(ByteRange::new(0, 65_536)).await.unwrap();
    let port = seeder.addr().port();
    seeder.session.stop().await;
    let reading = tokio::spawn(async move { reader.read_at(ByteRange::new(3_900_000, 3_900_100)).await });
    // Long enough for several attempts, none of which may last.
    tokio::time::sleep(Duration::from_secs(9)).await;
    let seeder = host_with(|config| config.listen_port = port).await;
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    let back = Instant::now();
    let read = timeout(Duration::from_secs(20), reading).await.expect("in time").unwrap().unwrap();
    assert_eq!(read, made.files[0].1[3_900_000..3_900_100]);
    assert!(back.elapsed() < Duration::from_secs(6), "{:?}", back.elapsed());
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeders_that_went_are_missed_after_fifteen_seconds_and_welcome_when_they_return() {
    let made = make(&[("film.mkv", 2_000_000)], 65_536, false);
    let (seeder, leecher, torrent) = swarm(&made, 4_000_000).await;
    let reader = Arc::new(torrent.reader(FileIndex(0)).unwrap());
    let first = timeout(Duration::from_secs(10), reader.read_at(ByteRange::new(0, 65_536))).await.unwrap();
    assert_eq!(first.unwrap().len(), 65_536);
    seeder.session.stop().await;
    let gone = Instant::now();
    let reading = tokio::spawn({
        let reader = reader.clone();
        async move { reader.read_at(ByteRange::new(1_900_000, 1_900_100)).await.unwrap() }
    });
    let piece = |cause: &Cause| matches!(cause, Cause::Peers { .. } | Cause::Piece { peers: 0, .. });
    waits(&torrent, Duration::from_secs(3), piece).await;
    let missed =
        waits(&torrent, Duration::from_secs(20), |cause| matches!(cause, Cause::NoSeeders { .. })).await;
    let after = gone.elapsed();
    assert!((13.0..18.0).contains(&after.as_secs_f64()), "{after:?}");
    let Cause::NoSeeders { have, peers: 0 } = missed.cause else { panic!("{missed:?}") };
    let snapshot = torrent.snapshot();
    let here = torrent.files().unwrap()[0].have;
    assert!((have - here as f64 / 2_000_000.0).abs() < 0.001 && have < 1.0, "{have} of {snapshot:?}");
    // Another one comes.
    let seeder = host().await;
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    torrent.add_peers(vec![seeder.addr()]).await.unwrap();
    let read = timeout(Duration::from_secs(10), reading).await.unwrap().unwrap();
    assert_eq!(read, made.files[0].1[1_900_000..1_900_100]);
    waits_for_nothing(&torrent).await;
    leecher.session.stop().await;
    seeder.session.stop().await;
}
