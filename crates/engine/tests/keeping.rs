//! What survives: an end without warning, a disk that fails, many torrents at once, and what a private torrent keeps quiet.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use engine::{Add, Config, Limits, PieceState, Session, State};
use support::{finished, host, make};

/// A runtime that can go without warning, and every task with it.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn after_an_end_without_warning_only_the_last_seconds_are_fetched_again() {
    let made = make(&[("a.bin", 20_000_000)], 65_536, false);
    let seeding = runtime();
    let seeder = seeding.block_on(seeding_host(&made));
    let addr = seeder.addr();
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = || Config::loopback(data.path(), state.path());
    let add = || Add { peers: vec![addr], ..Add::metainfo(made.torrent.clone()) };

    let first = runtime();
    let had = first.block_on(async {
        let session = Session::start(config()).await.unwrap();
        let limits = Limits { download: Some(2_500_000), upload: None };
        let (torrent, _) = session.add(Add { limits, ..add() }).await.unwrap();
        tokio::time::sleep(Duration::from_secs(4)).await;
        torrent.snapshot().have
    });
    assert!((4_000_000..16_000_000).contains(&had), "{had}");
    first.shutdown_background();

    let second = runtime();
    second.block_on(async {
        let session = Session::start(config()).await.unwrap();
        let (torrent, _) = session.add(add()).await.unwrap();
        finished(&torrent).await;
        made.assert_same(data.path());
        let snapshot = torrent.snapshot();
        assert!(
            snapshot.downloaded <= 20_000_000 - had / 2,
            "{had} were there, {} fetched",
            snapshot.downloaded
        );
        session.stop().await;
    });
    seeding.block_on(seeder.session.stop());
}

/// Pieces so large that none is whole when a download of them is ended.
const LARGE: u32 = 16 << 20;

#[test]
fn after_an_end_without_warning_blocks_of_pieces_that_were_not_whole_are_kept() {
    let made = make(&[("a.bin", 20_000_000)], LARGE, false);
    let seeding = runtime();
    let seeder = seeding.block_on(seeding_host(&made));
    let addr = seeder.addr();
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = || Config::loopback(data.path(), state.path());
    let add = || Add { peers: vec![addr], ..Add::metainfo(made.torrent.clone()) };
    let first = runtime();
    let fetched = first.block_on(async {
        let session = Session::start(config()).await.unwrap();
        let limits = Limits { download: Some(1_500_000), upload: None };
        let (torrent, _) = session.add(Add { limits, sequential: true, ..add() }).await.unwrap();
        tokio::time::sleep(Duration::from_secs(7)).await;
        assert_eq!(torrent.snapshot().have, 0, "no piece is whole");
        let runs = torrent.pieces().await.unwrap().runs;
        assert_eq!(runs.first().map(|(state, _)| *state), Some(PieceState::Partial), "{runs:?}");
        torrent.snapshot().downloaded
    });
    assert!((6_000_000..16_000_000).contains(&fetched), "{fetched}");
    first.shutdown_background();
    runtime().block_on(async {
        let session = Session::start(config()).await.unwrap();
        let (torrent, _) = session.add(add()).await.unwrap();
        finished(&torrent).await;
        made.assert_same(data.path());
        let snapshot = torrent.snapshot();
        // What came within the last three seconds was not remembered.
        assert!(
            snapshot.downloaded <= 20_000_000 - fetched / 3,
            "{fetched} were there, {} fetched",
            snapshot.downloaded
        );
        assert_eq!(snapshot.corrupt, 0);
        session.stop().await;
    });
    seeding.block_on(seeder.session.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_of_a_former_run_that_have_rotted_cost_their_piece_and_no_peer() {
    let made = make(&[("a.bin", 20_000_000)], LARGE, false);
    let seeder = seeding_host(&made).await;
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = || Config::loopback(data.path(), state.path());
    let add = || Add { peers: vec![seeder.addr()], ..Add::metainfo(made.torrent.clone()) };
    let session = Session::start(config()).await.unwrap();
    let limits = Limits { download: Some(3_000_000), upload: None };
    let (torrent, _) = session.add(Add { limits, sequential: true, ..add() }).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let fetched = torrent.snapshot().downloaded;
    session.stop().await;
    assert!(fetched > 1_000_000, "{fetched}");

    // The disk turned a byte, and neither length nor time shows it.
    let path = data.path().join("made/a.bin.part");
    let changed = std::fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(changed).unwrap();

    // The only peer goes on serving: it is not held to be who sent it.
    let session = Session::start(config()).await.unwrap();
    let (torrent, _) = session.add(add()).await.unwrap();
    torrent.set_limits(Limits::default()).await.unwrap();
    finished(&torrent).await;
    made.assert_same(data.path());
    let corrupt = torrent.snapshot().corrupt;
    assert!(corrupt >= u64::from(LARGE), "nothing was taken over: {corrupt} bytes were corrupt");
    session.stop().await;
    seeder.session.stop().await;
}

async fn seeding_host(made: &support::Made) -> support::Host {
    let seeder = host().await;
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    seeder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torrent_whose_disk_fails_says_why_and_the_others_go_on() {
    let made = make(&[("a.bin", 1_000_000)], 32_768, false);
    let other = make(&[("b.bin", 1_500_000)], 32_768, false);
    let (seeder, leecher) = (host().await, host().await);
    for made in [&made, &other] {
        made.write(seeder.data.path());
        let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
        finished(&seed).await;
    }
    // A file where the torrent needs a folder.
    let broken = tempfile::tempdir().unwrap();
    std::fs::write(broken.path().join("made"), "in the way").unwrap();
    let add = Add {
        peers: vec![seeder.addr()],
        output: Some(broken.path().to_owned()),
        ..Add::metainfo(made.torrent.clone())
    };
    let (torrent, _) = leecher.session.add(add).await.unwrap();
    let failed = tokio::time::timeout(Duration::from_secs(10), torrent.wait_finished()).await.unwrap();
    assert!(failed.is_err());
    assert_eq!(torrent.snapshot().state, State::Failed);
    let add = Add { peers: vec![seeder.addr()], ..Add::metainfo(other.torrent.clone()) };
    let (healthy, _) = leecher.session.add(add).await.unwrap();
    finished(&healthy).await;

    std::fs::remove_file(broken.path().join("made")).unwrap();
    torrent.resume().await.unwrap();
    finished(&torrent).await;
    made.assert_same(broken.path());
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_on_disk_is_found_by_a_recheck_and_fetched_again() {
    let made = make(&[("a.bin", 1_000_000)], 32_768, false);
    let (seeder, leecher) = (host().await, host().await);
    made.write(seeder.data.path());
    let (seed, _) = seeder.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    finished(&seed).await;
    let add = Add { peers: vec![seeder.addr()], ..Add::metainfo(made.torrent.clone()) };
    let (torrent, _) = leecher.session.add(add).await.unwrap();
    finished(&torrent).await;
    let path = leecher.data.path().join("made/a.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[500_000..500_100].fill(0);
    std::fs::write(&path, bytes).unwrap();
    torrent.recheck().await.unwrap();
    finished(&torrent).await;
    made.assert_same(leecher.data.path());
    assert_eq!(torrent.snapshot().downloaded, 1_000_000 + 32_768);
    leecher.session.stop().await;
    seeder.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_torrent_takes_no_trackers_from_others() {
    let made = make(&[("a.bin", 100_000)], 16_384, true);
    let host = host().await;
    let (torrent, _) = host.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
    let link = format!("{}&tr=http%3A%2F%2F127.0.0.1%3A1%2Fannounce", made.magnet);
    let (again, new) = host.session.add(Add::magnet(link)).await.unwrap();
    assert!(!new);
    assert_eq!(again.snapshot().private, Some(true));
    assert!(again.trackers().await.unwrap().is_empty());
    assert!(!torrent.magnet().contains("announce"));
    host.session.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_idle_torrents_cost_little_and_come_back() {
    const TORRENTS: usize = 300;
    let all: Vec<_> =
        (0..TORRENTS).map(|number| make(&[("a.bin", 16_384 + number)], 16_384, false)).collect();
    let mut host = host().await;
    let before = resident();
    for made in &all {
        made.write(host.data.path());
        host.session.add(Add::metainfo(made.torrent.clone())).await.unwrap();
        // The next has a file of the same name and another length.
        let torrent = host.session.torrents().pop().unwrap();
        finished(&torrent).await;
    }
    let each = resident().saturating_sub(before) / TORRENTS as u64;
    assert!(each < 30 << 10, "{each} bytes a torrent");
    host.session.stop().await;
    let config = Config { restore: true, ..Config::loopback(host.data.path(), host.state.path()) };
    host.session = Session::start(config).await.unwrap();
    assert_eq!(host.session.torrents().len(), TORRENTS);
    host.session.stop().await;
}

/// Bytes of memory that this process holds.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
