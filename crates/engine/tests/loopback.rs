//! Two sessions on loopback: what one seeds the other gets.

mod support;

use std::time::Duration;

use engine::{Add, Config, Data, Priority, SeedGoal, Select, Session, State};
use support::{finished, host, host_with, make};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_seeds_the_other_downloads_and_gives_on() {
    let made = make(&[("a.bin", 3_000_000), ("folder/b.bin", 1_234_567), ("empty", 0)], 65_536, false);
    let (seeder, leecher, third) = (host().await, host().await, host().await);
    made.write(seeder.data.path());
    let (seed, new) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    assert!(new);
    finished(&seed).await;
    assert_eq!(seed.snapshot().downloaded, 0);

    let add = Add { peers: vec![seeder.addr()], ..Add::metainfo(made.torrent.clone()) };
    let (torrent, _) = leecher.session.add(add).await.unwrap();
    finished(&torrent).await;
    made.assert_same(leecher.data.path());
    let snapshot = torrent.snapshot();
    assert_eq!((snapshot.state, snapshot.have, snapshot.progress), (State::Seeding, 4_234_567, 1.0));
    assert_eq!(snapshot.downloaded - snapshot.wasted, 4_234_567);

    let add = Add { peers: vec![leecher.addr()], ..Add::metainfo(made.torrent.clone()) };
    let (torrent, _) = third.session.add(add).await.unwrap();
    finished(&torrent).await;
    made.assert_same(third.data.path());
    for host in [seeder, leecher, third] {
        host.session.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_magnet_needs_one_peer_and_a_restart_needs_none() {
    let made = make(&[("film.mkv", 2_000_000)], 32_768, false);
    let (seeder, mut leecher) = (host().await, host().await);
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;

    let add = Add { peers: vec![seeder.addr()], ..Add::magnet(made.magnet.clone()) };
    let (torrent, _) = leecher.session.add(add).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), torrent.wait_metadata()).await.unwrap().unwrap();
    assert_eq!(torrent.files().unwrap()[0].path, "made/film.mkv");
    finished(&torrent).await;
    made.assert_same(leecher.data.path());
    leecher.session.stop().await;
    seeder.session.stop().await;

    let mut config = engine::Config::loopback(leecher.data.path(), leecher.state.path());
    config.restore = true;
    leecher.session = engine::Session::start(config).await.unwrap();
    let torrent = leecher.session.torrents().pop().expect("remembered");
    finished(&torrent).await;
    let snapshot = torrent.snapshot();
    assert_eq!(snapshot.name.as_deref(), Some("made"));
    assert!(snapshot.downloaded >= 2_000_000 && snapshot.completed.is_some(), "{snapshot:#?}");
    leecher.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_selected_is_fetched_until_more_is() {
    let made = make(&[("a.mkv", 1_000_000), ("b.txt", 300_000), ("c.mkv", 700_000)], 16_384, false);
    let (seeder, leecher) = (host().await, host().await);
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    let add = Add {
        peers: vec![seeder.addr()],
        select: Select::Matching(vec!["a.*".into()]),
        ..Add::metainfo(made.torrent.clone())
    };
    let (torrent, _) = leecher.session.add(add).await.unwrap();
    finished(&torrent).await;
    let files = torrent.files().unwrap();
    let have: Vec<_> = files.iter().map(|file| (file.priority, file.have == file.size)).collect();
    assert_eq!(have, [(Priority::Normal, true), (Priority::Skip, false), (Priority::Skip, false)]);
    let wanted = files.iter().map(|file| (file.index, Priority::High)).collect();
    torrent.set_files(wanted).await.unwrap();
    assert_eq!(torrent.snapshot().state, State::Downloading);
    finished(&torrent).await;
    made.assert_same(leecher.data.path());
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_limit_holds_and_can_be_lifted() {
    let made = make(&[("a.bin", 4_000_000)], 65_536, false);
    let (seeder, leecher) = (host().await, host().await);
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    let limits = engine::Limits { download: Some(1_000_000), upload: None };
    let add = Add { peers: vec![seeder.addr()], limits, ..Add::metainfo(made.torrent.clone()) };
    let (torrent, _) = leecher.session.add(add).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let downloaded = torrent.snapshot().downloaded;
    assert!((500_000..2_200_000).contains(&downloaded), "{downloaded}");
    torrent.set_limits(engine::Limits::default()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(3), torrent.wait_finished()).await.unwrap().unwrap();
    made.assert_same(leecher.data.path());
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pausing_stops_and_resuming_goes_on() {
    let made = make(&[("a.bin", 6_000_000)], 65_536, false);
    let (seeder, leecher) = (host().await, host().await);
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    let limits = engine::Limits { download: Some(2_000_000), upload: None };
    let add = Add { peers: vec![seeder.addr()], limits, ..Add::metainfo(made.torrent.clone()) };
    let (torrent, _) = leecher.session.add(add).await.unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    torrent.pause().await.unwrap();
    let (state, before) = (torrent.snapshot().state, torrent.snapshot().downloaded);
    assert_eq!(state, State::Paused);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(torrent.snapshot().downloaded, before);
    torrent.set_limits(engine::Limits::default()).await.unwrap();
    torrent.resume().await.unwrap();
    finished(&torrent).await;
    made.assert_same(leecher.data.path());
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seeding_goal_ends_seeding_and_resuming_overrides_it() {
    let made = make(&[("a.bin", 500_000)], 16_384, false);
    let seeder = host_with(|config| config.seed_goal = SeedGoal { ratio: Some(1.0), time: None }).await;
    let leecher = host_with(|config| config.seed_goal = SeedGoal::AT_ONCE).await;
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    let add = Add { peers: vec![seeder.addr()], ..Add::metainfo(made.torrent.clone()) };
    let (torrent, _) = leecher.session.add(add).await.unwrap();
    finished(&torrent).await;
    for torrent in [&torrent, &seed] {
        let mut snapshots = torrent.watch();
        let rests = snapshots.wait_for(|snapshot| snapshot.state == State::Finished);
        tokio::time::timeout(Duration::from_secs(5), rests).await.unwrap().unwrap();
    }
    torrent.resume().await.unwrap();
    assert_eq!(torrent.snapshot().state, State::Seeding);
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removing_with_its_data_leaves_nothing() {
    let made = make(&[("a.bin", 500_000)], 16_384, false);
    let (seeder, leecher) = (host().await, host().await);
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    let add = Add { peers: vec![seeder.addr()], ..Add::metainfo(made.torrent.clone()) };
    let (torrent, _) = leecher.session.add(add).await.unwrap();
    finished(&torrent).await;
    leecher.session.remove(torrent.info_hash(), Data::Remove).await.unwrap();
    assert!(leecher.session.torrents().is_empty());
    let left = |dir: &tempfile::TempDir| std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!((left(&leecher.data), left(&leecher.state)), (0, 0));
    assert!(torrent.pause().await.is_err());
    // The handle of the one that is gone keeps nothing from coming again.
    let add = Add { peers: vec![seeder.addr()], ..Add::metainfo(made.torrent.clone()) };
    let (again, new) = leecher.session.add(add).await.unwrap();
    assert!(new);
    finished(&again).await;
    made.assert_same(leecher.data.path());
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_without_room_waits_for_some() {
    let (one, two) = (make(&[("a.bin", 400_000)], 16_384, false), make(&[("b.bin", 600_000)], 16_384, false));
    let seeder = host().await;
    let leecher = host_with(|config| config.peers_max = 1).await;
    for made in [&one, &two] {
        made.write(seeder.data.path());
        let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
        finished(&seed).await;
    }
    let add =
        |made: &support::Made| Add { peers: vec![seeder.addr()], ..Add::metainfo(made.torrent.clone()) };
    let (first, _) = leecher.session.add(add(&one)).await.unwrap();
    let (second, _) = leecher.session.add(add(&two)).await.unwrap();
    finished(&first).await;
    finished(&second).await;
    assert!(leecher.session.stats().peers <= 1);
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encryption_is_what_both_ends_agree_on() {
    use engine::Encryption::{Disable, Prefer, Require};
    let made = make(&[("a.bin", 400_000)], 16_384, false);
    for (ours, theirs, works) in [
        (Prefer, Prefer, true),
        (Prefer, Require, true),
        (Prefer, Disable, true),
        (Require, Prefer, true),
        (Require, Require, true),
        (Disable, Prefer, true),
        (Require, Disable, false),
        (Disable, Require, false),
    ] {
        let seeder = host_with(|config| config.encryption = theirs).await;
        let leecher = host_with(|config| config.encryption = ours).await;
        made.write(seeder.data.path());
        let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
        finished(&seed).await;
        let add = Add { peers: vec![seeder.addr()], ..Add::metainfo(made.torrent.clone()) };
        let (torrent, _) = leecher.session.add(add).await.unwrap();
        if works {
            finished(&torrent).await;
            made.assert_same(leecher.data.path());
        } else {
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(torrent.snapshot().downloaded, 0, "{ours:?} with {theirs:?}");
        }
        leecher.session.stop().await;
        seeder.session.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_gone_stop_a_torrent_until_somebody_asks_for_them_again() {
    let made = make(&[("a.bin", 1_500_000)], 32_768, false);
    let seeder = host().await;
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = || Config::loopback(data.path(), state.path());
    let add = || Add { peers: vec![seeder.addr()], ..Add::metainfo(made.torrent.clone()) };
    let session = Session::start(config()).await.unwrap();
    let (torrent, _) = session.add(add()).await.unwrap();
    finished(&torrent).await;
    session.stop().await;
    for entry in std::fs::read_dir(data.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
    }

    let session = Session::start(Config { restore: true, ..config() }).await.unwrap();
    let torrent = session.torrents().pop().unwrap();
    let failed = tokio::time::timeout(Duration::from_secs(10), torrent.wait_finished()).await.unwrap();
    assert!(failed.is_err());
    assert_eq!(torrent.snapshot().state, State::Failed);
    session.stop().await;

    let session = Session::start(config()).await.unwrap();
    let (torrent, _) = session.add(add()).await.unwrap();
    finished(&torrent).await;
    made.assert_same(data.path());
    session.stop().await;
    seeder.session.stop().await;
}
