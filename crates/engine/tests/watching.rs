//! Torrents that were added to be watched: what is fetched beside what is read, and what happens when nobody reads any more.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{sync::Arc, time::Duration};

use byte_source::{ByteRange, ByteSource};
use engine::{
    Add, Config, EngineError, Event, FileIndex, Select, Snapshot, State, Torrent, WhenIdle, WhenWatched,
};
use support::{Host, Made, finished, host, host_with, make};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

async fn swarm(made: &Made, change: impl FnOnce(&mut Config)) -> (Host, Host, Torrent) {
    let seeder = host().await;
    let leecher = host_with(|config| {
        config.watched_after = Duration::from_millis(600);
        change(config);
    })
    .await;
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    let add = Add { peers: vec![seeder.addr()], watch: true, ..Add::metainfo(made.torrent.clone()) };
    let (torrent, _) = leecher.session.add(add).await.unwrap();
    (seeder, leecher, torrent)
}

/// Reads a little of the first file now and then.
async fn read(torrent: &Torrent, times: u64) {
    let reader = torrent.reader(FileIndex(0)).unwrap();
    for time in 0..times {
        let range = ByteRange::new(time * 20_000, (time + 1) * 20_000);
        timeout(SOON, reader.read_at(range)).await.expect("in time").unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What is here of each file after a while.
async fn here(torrent: &Torrent, first: u64, second: u64) {
    for _ in 0..100 {
        let have: Vec<u64> = torrent.files().unwrap().iter().map(|file| file.have).collect();
        if have == [first, second] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:?} {:#?}", torrent.files(), torrent.snapshot());
}

const FILES: &[(&str, usize)] = &[("a.mkv", 6_553_600), ("b.mkv", 3_000_000)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_fetches_nothing_more_and_watching_finishes_the_file() {
    let made = make(FILES, 65_536, false);
    let (seeder, leecher, torrent) = swarm(&made, |_| {}).await;
    read(&torrent, 2).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    let looked = torrent.snapshot();
    assert!(looked.downloaded <= 5 << 20 && looked.wanted == 0, "{looked:?}");
    assert!(looked.completed.is_none() && looked.seeding_time == Duration::ZERO, "{looked:?}");
    read(&torrent, 10).await;
    here(&torrent, 6_553_600, 0).await;
    finished(&torrent).await;
    assert_eq!(torrent.snapshot().wanted, 6_553_600);
    for file in torrent.files().unwrap() {
        assert_eq!(torrent.file(file.index).unwrap(), file);
    }
    assert!(matches!(torrent.file(FileIndex(2)), Err(EngineError::UnknownFile { files: 2, .. })));
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watching_finishes_the_torrent_or_nothing_where_that_is_said() {
    let made = make(FILES, 65_536, false);
    let (seeder, leecher, torrent) = swarm(&made, |config| config.when_watched = WhenWatched::Torrent).await;
    read(&torrent, 10).await;
    here(&torrent, 6_553_600, 3_000_000).await;
    leecher.session.stop().await;
    seeder.session.stop().await;

    let (seeder, leecher, torrent) = swarm(&made, |config| config.when_watched = WhenWatched::Read).await;
    read(&torrent, 10).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(torrent.snapshot().wanted, 0);
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_private_torrent_what_is_watched_is_finished_and_it_never_stops_for_idleness() {
    let made = make(FILES, 65_536, true);
    let (seeder, leecher, torrent) = swarm(&made, |config| {
        config.when_watched = WhenWatched::Read;
        config.when_idle = WhenIdle::Pause;
        config.idle_after = Duration::from_millis(500);
    })
    .await;
    read(&torrent, 10).await;
    here(&torrent, 6_553_600, 0).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(torrent.snapshot().state, State::Seeding);
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_reads_stops_and_goes_on_with_the_next_reader_also_after_a_restart() {
    let made = make(FILES, 65_536, false);
    let (seeder, leecher, torrent) = swarm(&made, |config| {
        config.when_watched = WhenWatched::Read;
        config.when_idle = WhenIdle::Pause;
        config.idle_after = Duration::from_millis(700);
    })
    .await;
    let idles = async |torrent: &Torrent| {
        let mut watch = torrent.watch();
        // Before anything was read it is idle as well.
        let stopped = |now: &Arc<Snapshot>| now.state == State::Idle && now.peers == 0 && now.pieces_have > 0;
        timeout(Duration::from_secs(5), watch.wait_for(stopped)).await.expect("idle").unwrap();
    };
    read(&torrent, 2).await;
    idles(&torrent).await;
    let reader = torrent.reader(FileIndex(0)).unwrap();
    let hole = ByteRange::new(6_000_000, 6_100_000);
    let bytes = timeout(SOON, reader.read_at(hole)).await.expect("in time").unwrap();
    assert!(bytes == made.files[0].1[6_000_000..6_100_000]);
    drop(reader);
    idles(&torrent).await;
    leecher.session.stop().await;

    let mut config = Config::loopback(leecher.data.path(), leecher.state.path());
    (config.restore, config.when_watched, config.when_idle) = (true, WhenWatched::Read, WhenIdle::Pause);
    let session = engine::Session::start(config).await.unwrap();
    let torrent = session.torrents().pop().unwrap();
    idles(&torrent).await;
    let reader = torrent.reader(FileIndex(0)).unwrap();
    let begun = std::time::Instant::now();
    let bytes = timeout(SOON, reader.read_at(hole)).await.expect("in time").unwrap();
    assert!(bytes.len() == 100_000 && begun.elapsed() < Duration::from_millis(300), "{:?}", begun.elapsed());
    let hole = ByteRange::new(5_000_000, 5_100_000);
    timeout(SOON, reader.read_at(hole)).await.expect("in time").unwrap();
    session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_wants_is_idle_and_seeds_only_once_something_of_it_is_here() {
    let made = make(FILES, 65_536, false);
    let seeder = host().await;
    let leecher = host().await;
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    let mut events = leecher.session.subscribe();
    let add = Add {
        peers: vec![seeder.addr()],
        select: Select::Files(Vec::new()),
        ..Add::metainfo(made.torrent.clone())
    };
    let (torrent, _) = leecher.session.add(add).await.unwrap();
    let mut watch = torrent.watch();
    timeout(SOON, watch.wait_for(|snapshot| snapshot.state == State::Idle)).await.expect("idle").unwrap();
    assert!(torrent.snapshot().reason.as_ref().is_some_and(|reason| reason.contains("nobody reads")));
    finished(&torrent).await;
    // It stands ready all the same.
    read(&torrent, 2).await;
    timeout(SOON, watch.wait_for(|snapshot| snapshot.state == State::Seeding)).await.expect("some").unwrap();
    assert!(torrent.snapshot().pieces_have > 0);
    leecher.session.stop().await;
    let mut states = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::State { state, .. } = event {
            states.push(state);
        }
    }
    let at = |wanted: State| states.iter().position(|state| *state == wanted);
    assert!(at(State::Idle).is_some() && at(State::Idle) < at(State::Seeding), "{states:?}");
    seeder.session.stop().await;
}
