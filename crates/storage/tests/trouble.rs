//! Crashes, full disks and disks that take no writes. Each runs a copy of this program, to be killed or to live in a mount
//! namespace of its own.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use common::{Bench, Made, made, open, options, place};
use metainfo::PieceIndex;
use storage::{Event, Storage, StorageError};

/// Where the copy finds its folder.
const FOLDER: &str = "HEADWATER_TEST_FOLDER";

/// This program again, running one test.
fn copy_of(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--ignored"]).env(FOLDER, folder).stdout(Stdio::null());
    command
}

fn folder() -> PathBuf {
    std::env::var_os(FOLDER).expect("run by its parent").into()
}

fn film() -> Made {
    made(1 << 16, &[("film/a.mkv", 9_000_000), ("film/b.srt", 10_000), ("film/c.mkv", 7_000_000)])
}

#[test]
#[ignore = "a part of a_crash_at_any_point_claims_nothing_that_is_not_on_disk"]
fn download_until_killed() {
    let made = film();
    let folder = folder();
    let storage = Storage::start(options(&folder)).unwrap();
    let (store, _told) = open(&storage, &made, place(&folder)).unwrap();
    let _ = store.adopt_partial();
    fs::write(folder.join("running"), "").unwrap();
    let mut missing: Vec<PieceIndex> = made.layout().all().filter(|piece| !store.has(*piece)).collect();
    missing.sort_by_key(|piece| (piece.0 / 8).wrapping_mul(0x9e37_79b9));
    for (number, piece) in missing.into_iter().enumerate() {
        for block in made.blocks_of(piece.0) {
            store.write(vec![block]);
        }
        std::thread::sleep(Duration::from_millis(2));
        if number % 5 == 4 {
            store.save().wait().unwrap();
        }
    }
    // Only the last run comes here; it is killed as well.
    store.save().wait().unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_crash_at_any_point_claims_nothing_that_is_not_on_disk() {
    let made = film();
    let mut folder = tempfile::tempdir().unwrap();
    let mut claimed = 0;
    let mut runs = 0;
    while claimed < made.layout().pieces() {
        let mut child = copy_of("download_until_killed", folder.path()).spawn().unwrap();
        let running = folder.path().join("running");
        while !running.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        // Longer from run to run, for machines on which little is done in the first ones.
        std::thread::sleep(Duration::from_millis(runs * 37 % 100 + runs * 5));
        child.kill().unwrap();
        fs::remove_file(running).unwrap();
        child.wait().unwrap();
        runs += 1;
        let state = folder.path().join("state").join(format!("{}.resume", made.contents.info_hash()));
        if !state.exists() {
            // Killed before its first save: nothing is claimed, everything would be checked.
            assert_eq!(claimed, 0);
            continue;
        }
        let bench = Bench::within(folder, &made);
        assert_eq!((bench.store.failure(), bench.store.doubtful().count()), (None, 0));
        let have = bench.store.have();
        for piece in have.iter() {
            let range = made.layout().range(piece);
            let bytes = bench.store.read_range(range.clone()).wait().unwrap();
            let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            assert!(bytes == made.bytes[range], "piece {piece} in run {runs}");
        }
        assert!(have.count() >= claimed, "a piece was forgotten in run {runs}");
        claimed = have.count();
        assert!(runs < 200, "only {claimed} pieces");
        // As after a crash: nothing is saved by this run.
        let saved = fs::read(&state).unwrap();
        folder = bench.stop();
        fs::write(state, saved).unwrap();
    }
    assert!(runs > 2, "killed too late to prove anything");
}

/// Runs a test on a file system of its own; where namespaces are not allowed it proves nothing.
fn on_its_own_disk(test: &str, mount: &str) {
    let folder = tempfile::tempdir().unwrap();
    let allowed = Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|status| status.success());
    if !allowed {
        return;
    }
    let copy = copy_of(test, folder.path());
    let program = copy.get_program().to_owned();
    let status = Command::new("unshare")
        .args(["-rm", "sh", "-c", &format!("{mount}; exec \"$0\" \"$@\"")])
        .arg(program)
        .args(copy.get_args())
        .env(FOLDER, folder.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{test}: {status}");
}

#[test]
fn a_full_disk_stops_the_torrent_and_it_goes_on_once_there_is_room() {
    let mount =
        format!("mkdir \"${FOLDER}/downloads\" && mount -t tmpfs -o size=1m tmpfs \"${FOLDER}/downloads\"");
    on_its_own_disk("write_to_a_full_disk", &mount);
}

#[test]
#[ignore = "a part of a_full_disk_stops_the_torrent_and_it_goes_on_once_there_is_room"]
fn write_to_a_full_disk() {
    let made = made(1 << 16, &[("a", 600_000)]);
    let folder = folder();
    let filler = folder.join("downloads/filler");
    fs::write(&filler, vec![1; 700_000]).unwrap();
    let storage = Storage::start(options(&folder)).unwrap();
    let (store, told) = open(&storage, &made, place(&folder)).unwrap();
    store.write(made.all_blocks());
    let mut lost = 0;
    let mut verified = 0;
    let mut failed = Vec::new();
    while lost + verified < made.layout().pieces() && failed.is_empty() {
        match told.recv_timeout(Duration::from_secs(20)).unwrap() {
            Event::Verified(_) => verified += 1,
            Event::Lost(_) => lost += 1,
            Event::Failed(error) => failed.push(error),
            other => panic!("{other:?}"),
        }
    }
    let path = folder.join("downloads/a.part");
    assert_eq!(failed, [StorageError::DiskFull { path: path.clone() }]);
    assert_eq!(
        failed[0].to_string(),
        format!("{}: the disk is full: free some space, then resume", path.display())
    );
    store.write(made.blocks_of(9));
    assert!(store.save().wait().is_err());
    assert!(!store.has(PieceIndex(9)), "nothing is taken until somebody sees to it");
    // What was verified before is still read.
    for piece in store.have().iter() {
        assert!(store.read_range(made.layout().range(piece)).wait().is_ok());
    }
    fs::remove_file(filler).unwrap();
    store.retry();
    store.write(made.all_blocks());
    store.close().wait().unwrap();
    assert!(store.have().is_full());
    assert_eq!(fs::read(folder.join("downloads/a")).unwrap(), made.bytes);
}

#[test]
fn a_disk_that_takes_no_writes_stops_the_torrent() {
    let mount = format!(
        "mkdir \"${FOLDER}/downloads\" && mount -t tmpfs tmpfs \"${FOLDER}/downloads\" && mount -o remount,ro \"${FOLDER}/downloads\""
    );
    on_its_own_disk("write_to_a_read_only_disk", &mount);
}

#[test]
#[ignore = "a part of a_disk_that_takes_no_writes_stops_the_torrent"]
fn write_to_a_read_only_disk() {
    let made = made(1 << 16, &[("a", 600_000)]);
    let folder = folder();
    let storage = Storage::start(options(&folder)).unwrap();
    let (store, told) = open(&storage, &made, place(&folder)).unwrap();
    store.write(made.blocks_of(0));
    let failed = told.recv_timeout(Duration::from_secs(20)).unwrap();
    let Event::Failed(StorageError::ReadOnly { path, .. }) = failed else { panic!("{failed:?}") };
    assert_eq!(path, folder.join("downloads/a"));
}
