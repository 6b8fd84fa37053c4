//! Torrents on a real disk: from blocks to files under their names, and back.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{collections::HashSet, fs, os::unix::fs::symlink};

use bytes::Bytes;
use common::{Bench, made, open, place};
use metainfo::{Block, BlockIndex, FileIndex, PieceIndex};
use storage::{Check, Event, Place, StorageError, Unfinished};

const MIXED: &[(&str, u64)] = &[
    ("film/a.mkv", 100_000),
    ("film/empty.txt", 0),
    (".pad/0", 31_072),
    ("film/sub/b.srt", 5_000),
    ("film/sub/c.srt", 20_000),
    ("film/d.bin", 300_000),
];

fn names(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn blocks_in_any_order_become_files_under_their_names() {
    for order in 0..4 {
        let made = made(1 << 15, MIXED);
        let bench = Bench::new(&made);
        let mut blocks = made.all_blocks();
        match order {
            0 => {}
            1 => blocks.reverse(),
            2 => blocks.sort_by_key(|(index, _)| (index.block, index.piece)),
            _ => blocks.sort_by_key(|(index, _)| (index.piece.0 * 7 + index.block * 3) % 11),
        }
        bench.store.write(blocks);
        let mut verified = HashSet::new();
        for _ in made.layout().all() {
            match bench.event() {
                Event::Verified(piece) => assert!(verified.insert(piece)),
                other => panic!("{other:?}"),
            }
        }
        assert!(bench.store.have().is_full());
        bench.store.close().wait().unwrap();
        let downloads = bench.path("");
        assert_eq!(
            names(&downloads),
            ["film/a.mkv", "film/d.bin", "film/empty.txt", "film/sub/b.srt", "film/sub/c.srt"]
        );
        for name in names(&downloads) {
            assert_eq!(fs::read(bench.path(&name)).unwrap(), made.file(&name), "{name}");
        }
    }
}

#[test]
fn an_unfinished_file_has_a_suffix_unless_told_otherwise() {
    let made = made(1 << 15, &[("a", 70_000)]);
    let bench = Bench::new(&made);
    assert_eq!(bench.write(made.blocks_of(0)), [Event::Verified(PieceIndex(0))]);
    assert_eq!(names(&bench.path("")), ["a.part"]);
    assert_eq!(fs::metadata(bench.path("a.part")).unwrap().len(), 70_000);

    let folder = tempfile::tempdir().unwrap();
    let place = Place::Directory { path: folder.path().join("downloads"), unfinished: Unfinished::FinalName };
    let bench = Bench::at(folder, &made, place);
    bench.write(made.blocks_of(0));
    assert_eq!(names(&bench.path("")), ["a"]);
}

#[test]
fn a_name_that_is_another_one_s_unfinished_name_is_kept_apart() {
    let made = made(1 << 15, &[("a", 40_000), ("a.part", 40_000)]);
    let bench = Bench::new(&made);
    bench.write(made.all_blocks());
    bench.store.close().wait().unwrap();
    for name in ["a", "a.part"] {
        assert_eq!(fs::read(bench.path(name)).unwrap(), made.file(name), "{name}");
    }
}

#[test]
fn a_wrong_piece_is_corrupt_once_and_can_be_written_again() {
    let made = made(1 << 15, &[("a", 70_000)]);
    let bench = Bench::new(&made);
    let mut wrong = made.blocks_of(1);
    wrong[1].1 = Bytes::from(vec![0; wrong[1].1.len()]);
    assert_eq!(bench.write(wrong), [Event::Corrupt(PieceIndex(1))]);
    assert!(!bench.store.has(PieceIndex(1)));
    assert!(matches!(
        bench.store.read_range(40_000..40_001).wait(),
        Err(StorageError::NotVerified { start: 40_000, end: 40_001 })
    ));
    assert_eq!(bench.write(made.blocks_of(1)), [Event::Verified(PieceIndex(1))]);
    assert_eq!(bench.store.read_range(40_000..50_000).wait().unwrap(), made.bytes[40_000..50_000]);
}

#[test]
fn the_first_of_two_blocks_counts_and_verified_ones_stay() {
    let made = made(1 << 15, &[("a", 70_000)]);
    let bench = Bench::new(&made);
    let first = made.blocks_of(0)[0].clone();
    let other = (first.0, Bytes::from(vec![9; 1 << 14]));
    bench.store.write(vec![first, other.clone()]);
    bench.store.write(vec![other.clone(), made.blocks_of(0)[1].clone()]);
    assert_eq!(bench.event(), Event::Verified(PieceIndex(0)));
    bench.store.write(vec![other]);
    bench.store.save().wait().unwrap();
    assert_eq!(bench.store.read_range(0..1 << 15).wait().unwrap(), made.bytes[..1 << 15]);
}

#[test]
fn only_verified_bytes_are_read() {
    let made = made(1 << 15, MIXED);
    let bench = Bench::new(&made);
    bench.write(made.blocks_of(3));
    let block = |piece: u32, begin: u32, length: u32| Block { piece: PieceIndex(piece), begin, length };
    // Piece 3 begins in a file, crosses a pad file and ends in it.
    bench.store.request_reads(vec![
        (1, block(3, 0, 1 << 14)),
        (2, block(2, 0, 1 << 14)),
        (3, block(3, 1 << 14, 1 << 14)),
    ]);
    let mut results = std::collections::HashMap::new();
    for _ in 0..3 {
        let Event::Read { token, result } = bench.event() else { panic!() };
        results.insert(token, result);
    }
    let start = 3 << 15;
    assert_eq!(results[&1].as_ref().unwrap(), &made.bytes[start..start + (1 << 14)]);
    assert_eq!(results[&3].as_ref().unwrap(), &made.bytes[start + (1 << 14)..start + (1 << 15)]);
    assert!(matches!(results[&2], Err(StorageError::NotVerified { .. })));
    let read = bench.store.try_read(&[block(3, 100, 1000), block(3, 1100, 50), block(2, 0, 1)]);
    assert_eq!(read[0].as_deref(), Some(&made.bytes[start + 100..start + 1100]));
    assert_eq!(read[1].as_deref(), Some(&made.bytes[start + 1100..start + 1150]));
    assert_eq!(read[2], None);
    assert_eq!(bench.store.try_read_range(0..1), None);
    assert_eq!(bench.store.failure(), None);
}

#[test]
fn a_stopped_download_goes_on_where_it_was() {
    let made = made(1 << 15, MIXED);
    let bench = Bench::new(&made);
    bench.write(made.blocks_of(0));
    bench.write(made.blocks_of(5));
    bench.store.set_extra(Bytes::from_static(b"uploaded 7"));
    let half = made.blocks_of(6)[1].clone();
    bench.store.write(vec![half.clone()]);
    let bench = Bench::within(bench.stop(), &made);
    assert_eq!(bench.store.have().iter().map(|piece| piece.0).collect::<Vec<_>>(), [0, 5]);
    assert_eq!((bench.store.doubtful().count(), &bench.store.extra()[..]), (0, &b"uploaded 7"[..]));
    let partial = bench.store.adopt_partial();
    assert_eq!(partial, [storage::PartialPiece { piece: PieceIndex(6), blocks: vec![1] }]);
    bench.store.write(vec![made.blocks_of(6)[0].clone()]);
    assert_eq!(bench.event(), Event::Verified(PieceIndex(6)));
}

#[test]
fn what_was_finished_is_trusted_until_it_is_changed() {
    let made = made(1 << 15, MIXED);
    let bench = Bench::new(&made);
    bench.write(made.all_blocks());
    let folder = bench.stop();
    let bench = Bench::within(folder, &made);
    assert!(bench.store.have().is_full() && bench.store.doubtful().count() == 0);
    let path = bench.path("film/d.bin");
    let folder = bench.stop();
    let mut bytes = fs::read(&path).unwrap();
    bytes[200_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let bench = Bench::within(folder, &made);
    // d.bin begins within piece 4.
    assert_eq!(bench.store.have().iter().map(|piece| piece.0).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(bench.store.doubtful().count(), made.layout().pieces() - 4);
    let have = bench.store.check(Check::Doubtful).wait().unwrap();
    let bad = made.layout().piece_of(100_000 + 31_072 + 25_000 + 200_000);
    assert_eq!(have.count(), made.layout().pieces() - 1);
    assert!(!have.has(bad) && bench.store.doubtful().count() == 0);
    assert_eq!(bench.write(made.blocks_of(bad.0)), [Event::Verified(bad)]);
    bench.store.save().wait().unwrap();
    assert_eq!(fs::read(&path).unwrap(), made.file("film/d.bin"));
}

#[test]
fn files_from_elsewhere_are_found_by_a_check() {
    let made = made(1 << 15, MIXED);
    let folder = tempfile::tempdir().unwrap();
    let downloads = folder.path().join("downloads");
    fs::create_dir_all(downloads.join("film/sub")).unwrap();
    for name in ["film/a.mkv", "film/empty.txt", "film/sub/b.srt", "film/sub/c.srt", "film/d.bin"] {
        fs::write(downloads.join(name), made.file(name)).unwrap();
    }
    // One that another program left unfinished.
    fs::write(downloads.join("film/a.mkv"), &made.file("film/a.mkv")[..40_000]).unwrap();
    let bench = Bench::within(folder, &made);
    assert_eq!(bench.store.have().count(), 0);
    assert_eq!(bench.store.doubtful().count(), made.layout().pieces());
    let have = bench.store.check(Check::Doubtful).wait().unwrap();
    assert_eq!(have.iter().map(|piece| piece.0).take(2).collect::<Vec<_>>(), [0, 4]);
    let missing: Vec<_> = made.layout().all().filter(|piece| !have.has(*piece)).collect();
    for piece in missing {
        assert_eq!(bench.write(made.blocks_of(piece.0)), [Event::Verified(piece)]);
    }
    let bench = Bench::within(bench.stop(), &made);
    assert!(bench.store.have().is_full());
    assert_eq!(fs::read(bench.path("film/a.mkv")).unwrap(), made.file("film/a.mkv"));
}

#[test]
fn a_check_that_nobody_waits_for_ends_and_leaves_the_rest_doubtful() {
    let made = made(1 << 14, &[("a", 20 << 20)]);
    let bench = Bench::new(&made);
    bench.write(made.all_blocks());
    drop(bench.store.check(Check::All));
    assert_eq!(bench.store.check(Check::All).wait(), Err(StorageError::Checking));
    let have = loop {
        match bench.store.check(Check::Doubtful).wait() {
            Err(StorageError::Checking) => std::thread::sleep(std::time::Duration::from_millis(5)),
            other => break other.unwrap(),
        }
    };
    assert!(have.is_full());
}

#[test]
fn unwanted_files_are_not_made_and_get_their_share_when_wanted() {
    let made = made(1 << 15, MIXED);
    let bench = Bench::new(&made);
    let all = vec![true; 6];
    let mut some = all.clone();
    some[4] = false;
    some[5] = false;
    bench.store.select(some).wait().unwrap();
    // a.mkv, the pad and b.srt are in pieces 0-4; c.srt and d.bin get something of 4.
    for piece in 0..5 {
        assert_eq!(bench.write(made.blocks_of(piece)), [Event::Verified(PieceIndex(piece))]);
    }
    bench.store.save().wait().unwrap();
    let parts = format!(".{}.parts", made.contents.info_hash());
    let found = names(&bench.path(""));
    assert_eq!(found, [parts.as_str(), "film/a.mkv", "film/empty.txt", "film/sub/b.srt"]);
    // What was put aside is read, also by the next run.
    assert_eq!(bench.store.read_range(4 << 15..5 << 15).wait().unwrap(), made.bytes[4 << 15..5 << 15]);
    let bench = Bench::within(bench.stop(), &made);
    assert_eq!((bench.store.have().count(), bench.store.doubtful().count()), (5, 0));
    bench.store.select(all).wait().unwrap();
    assert_eq!(bench.store.read_range(4 << 15..5 << 15).wait().unwrap(), made.bytes[4 << 15..5 << 15]);
    for piece in 5..made.layout().pieces() {
        assert_eq!(bench.write(made.blocks_of(piece)), [Event::Verified(PieceIndex(piece))]);
    }
    bench.store.close().wait().unwrap();
    for file in ["film/a.mkv", "film/d.bin", "film/sub/b.srt", "film/sub/c.srt"] {
        assert_eq!(fs::read(bench.path(file)).unwrap(), made.file(file), "{file}");
    }
    assert!(!bench.path(&parts).exists());
}

#[test]
fn a_piece_of_a_file_that_was_deselected_meanwhile_is_kept() {
    let made = made(1 << 14, &[("a", 10_000), ("b", 100_000)]);
    let bench = Bench::new(&made);
    bench.store.select(vec![true, false]).wait().unwrap();
    assert_eq!(bench.write(made.blocks_of(0)), [Event::Verified(PieceIndex(0))]);
    assert_eq!(bench.write(made.blocks_of(3)), [Event::Verified(PieceIndex(3))]);
    assert_eq!(bench.store.read_range(3 << 14..4 << 14).wait().unwrap(), made.bytes[3 << 14..4 << 14]);
    assert_eq!(bench.store.read_range(0..1 << 14).wait().unwrap(), made.bytes[..1 << 14]);
}

#[test]
fn pieces_of_an_unwanted_file_that_come_at_once_are_kept_whether_shared_or_not() {
    // Pieces 0 and 6 are shared with wanted files and have a place aside; those between have none.
    let made = made(1 << 14, &[("a", 10_000), ("b", 100_000), ("c", 10_000)]);
    let folder = tempfile::tempdir().unwrap();
    // One thread: what lies side by side in a batch is written at once.
    let storage =
        storage::Storage::start(storage::Options { threads: 1, ..common::options(folder.path()) }).unwrap();
    let (store, told) = open(&storage, &made, place(folder.path())).unwrap();
    store.select(vec![true, false, true]).wait().unwrap();
    store.write(made.all_blocks());
    let verified = || told.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
    let mut left = made.layout().pieces();
    while left > 0 {
        match verified() {
            Event::Verified(_) => left -= 1,
            Event::FileFinished(_) => {}
            other => panic!("{other:?}"),
        }
    }
    let all = made.bytes.len() as u64;
    assert_eq!(store.read_range(0..all).wait().unwrap(), made.bytes);
}

#[test]
fn links_do_not_lead_a_download_out_of_its_folder() {
    let made = made(1 << 15, &[("film/a", 40_000), ("film/b", 40_000)]);
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("downloads")).unwrap();
    symlink(outside.path(), folder.path().join("downloads/film")).unwrap();
    let storage = storage::Storage::start(common::options(folder.path())).unwrap();
    let refused = open(&storage, &made, place(folder.path())).map(|_| ());
    assert!(matches!(refused, Err(StorageError::InTheWay { .. })), "{refused:?}");
    // Put there after it was opened.
    fs::remove_file(folder.path().join("downloads/film")).unwrap();
    let (store, told) = open(&storage, &made, place(folder.path())).unwrap();
    symlink(outside.path(), folder.path().join("downloads/film")).unwrap();
    store.write(made.all_blocks());
    let failed = told.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
    assert!(matches!(failed, Event::Failed(StorageError::InTheWay { .. })), "{failed:?}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn a_longer_file_of_the_same_name_is_not_ours() {
    let made = made(1 << 15, &[("a", 40_000)]);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("downloads")).unwrap();
    fs::write(folder.path().join("downloads/a"), vec![7; 40_001]).unwrap();
    let storage = storage::Storage::start(common::options(folder.path())).unwrap();
    let error = open(&storage, &made, place(folder.path())).map(|_| ()).unwrap_err();
    assert!(error.to_string().ends_with(
        "downloads/a: 40001 bytes where the torrent has 40000: move it away or choose another folder"
    ));
}

#[test]
fn a_file_that_goes_while_it_is_written_stops_the_torrent() {
    for what in ["removed", "cut", "replaced"] {
        let made = made(1 << 15, &[("a", 100_000)]);
        let bench = Bench::new(&made);
        bench.write(made.blocks_of(0));
        let path = bench.path("a.part");
        match what {
            "removed" => fs::remove_file(&path).unwrap(),
            "cut" => drop(fs::File::create(&path).unwrap()),
            _ => {
                fs::rename(&path, bench.path("other")).unwrap();
                fs::write(&path, vec![0; 100_000]).unwrap();
            }
        }
        bench.store.write(made.blocks_of(2));
        let saved = bench.store.save().wait();
        assert!(matches!(saved, Err(StorageError::Changed { .. })), "{what}: {saved:?}");
        let error = bench.store.failure().unwrap();
        // Noticed by the save that was asked for, or by one that came by itself: then the block had no place any more.
        let told = [bench.event(), bench.event()];
        let fate = [Event::Verified(PieceIndex(2)), Event::Lost(PieceIndex(2))];
        assert!(told.contains(&Event::Failed(error.clone())), "{what}: {told:?}");
        assert!(told.iter().any(|event| fate.contains(event)), "{what}: {told:?}");
        assert!(error.to_string().contains("a.part: ") && error.to_string().ends_with("recheck"), "{error}");
        // Writes are refused until somebody sees to it; a check finds what is there and goes on.
        assert_eq!(bench.write(made.blocks_of(1)), [Event::Lost(PieceIndex(1))]);
        let have = bench.store.check(Check::All).wait().unwrap();
        assert_eq!(
            (have.count(), bench.store.failure()),
            (u32::from(told[0] == fate[0] && what == "cut"), None)
        );
        assert_eq!(bench.write(made.blocks_of(1)), [Event::Verified(PieceIndex(1))]);
    }
}

#[test]
fn a_file_that_is_gone_at_the_start_is_not_fetched_again_unasked() {
    let made = made(1 << 15, MIXED);
    let bench = Bench::new(&made);
    bench.write(made.all_blocks());
    let path = bench.path("film/a.mkv");
    let folder = bench.stop();
    fs::rename(&path, path.with_extension("away")).unwrap();
    let bench = Bench::within(folder, &made);
    assert!(
        matches!(bench.store.failure(), Some(StorageError::Changed { path: named, .. }) if named == path)
    );
    let folder = bench.stop();
    fs::rename(path.with_extension("away"), &path).unwrap();
    let bench = Bench::within(folder, &made);
    assert_eq!(bench.store.failure(), None);
    let folder = bench.stop();
    fs::remove_file(&path).unwrap();
    let bench = Bench::within(folder, &made);
    let have = bench.store.check(Check::All).wait().unwrap();
    assert_eq!((bench.store.failure(), have.count()), (None, made.layout().pieces() - 4));
}

#[test]
fn a_verified_file_that_is_cut_stops_the_torrent_when_it_is_read() {
    let made = made(1 << 15, &[("a", 100_000)]);
    let bench = Bench::new(&made);
    bench.write(made.all_blocks());
    bench.store.save().wait().unwrap();
    drop(fs::File::create(bench.path("a")).unwrap());
    let block = Block { piece: PieceIndex(1), begin: 0, length: 1 << 14 };
    assert_eq!(bench.store.try_read(&[block]), [None]);
    bench.store.request_reads(vec![(9, block)]);
    let (one, two) = (bench.event(), bench.event());
    assert!(matches!(one, Event::Failed(StorageError::Changed { .. })), "{one:?}");
    assert!(matches!(two, Event::Read { token: 9, result: Err(_) }), "{two:?}");
}

#[test]
fn moving_takes_everything_along() {
    let made = made(1 << 15, MIXED);
    let bench = Bench::new(&made);
    bench.store.select(vec![true, true, true, true, true, false]).wait().unwrap();
    for piece in 0..5 {
        bench.write(made.blocks_of(piece));
    }
    bench.store.save().wait().unwrap();
    let new = bench.folder.path().join("elsewhere");
    bench.store.move_to(new.clone()).wait().unwrap();
    assert_eq!(names(&bench.path("")), Vec::<String>::new());
    assert_eq!(names(&new).len(), 5);
    assert_eq!(bench.store.read_range(0..5 << 15).wait().unwrap(), made.bytes[..5 << 15]);
    bench.store.select(vec![true; 6]).wait().unwrap();
    for piece in 5..made.layout().pieces() {
        assert_eq!(bench.write(made.blocks_of(piece)), [Event::Verified(PieceIndex(piece))]);
    }
    bench.store.close().wait().unwrap();
    assert_eq!(fs::read(new.join("film/d.bin")).unwrap(), made.file("film/d.bin"));
}

#[test]
fn a_move_onto_a_name_that_is_taken_changes_nothing() {
    let made = made(1 << 15, &[("x/a", 40_000), ("x/b", 40_000)]);
    let bench = Bench::new(&made);
    bench.write(made.all_blocks());
    bench.store.save().wait().unwrap();
    let new = bench.folder.path().join("elsewhere");
    fs::create_dir_all(new.join("x")).unwrap();
    fs::write(new.join("x/b"), "mine").unwrap();
    assert!(matches!(bench.store.move_to(new.clone()).wait(), Err(StorageError::InTheWay { .. })));
    assert_eq!(names(&bench.path("")), ["x/a", "x/b"]);
    assert_eq!((names(&new), fs::read(new.join("x/b")).unwrap()), (vec!["x/b".into()], b"mine".to_vec()));
    assert_eq!(bench.store.read_range(0..80_000).wait().unwrap(), made.bytes);
}

#[test]
fn a_move_to_another_file_system_copies_what_was_written() {
    let made = made(1 << 15, &[("x/a", 400_000), ("x/b", 40_000)]);
    let bench = Bench::new(&made);
    bench.write(made.blocks_of(7));
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return };
    bench.store.move_to(other.path().to_owned()).wait().unwrap();
    assert_eq!(names(other.path()), ["x/a.part"]);
    assert_eq!(bench.store.read_range(7 << 15..8 << 15).wait().unwrap(), made.bytes[7 << 15..8 << 15]);
    assert_eq!(bench.write(made.blocks_of(12)), [Event::Verified(PieceIndex(12))]);
}

#[test]
fn removing_takes_only_its_own_files_and_folders_left_empty() {
    let made = made(1 << 15, MIXED);
    let bench = Bench::new(&made);
    bench.write(made.all_blocks());
    bench.store.save().wait().unwrap();
    fs::write(bench.path("film/mine.txt"), "mine").unwrap();
    bench.store.remove_data().wait().unwrap();
    assert_eq!(names(&bench.path("")), ["film/mine.txt"]);
    assert!(!bench.path("film/sub").exists());
    assert_eq!(fs::read_dir(bench.folder.path().join("state")).unwrap().count(), 0);
}

#[test]
fn more_files_than_descriptors_are_written_and_read() {
    let names: Vec<String> = (0..100).map(|number| format!("many/{number:03}")).collect();
    let files: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 3_000)).collect();
    let made = made(1 << 14, &files);
    let folder = tempfile::tempdir().unwrap();
    let options = storage::Options { descriptors_max: 4, ..common::options(folder.path()) };
    let storage = storage::Storage::start(options).unwrap();
    let (store, _told) = open(&storage, &made, place(folder.path())).unwrap();
    store.write(made.all_blocks());
    store.save().wait().unwrap();
    assert_eq!(store.read_range(0..300_000).wait().unwrap(), made.bytes);
}

#[test]
fn room_is_waited_for_and_comes() {
    let made = made(1 << 18, &[("a", 8 << 20)]);
    let folder = tempfile::tempdir().unwrap();
    let options = storage::Options { bytes_in_flight_max: 1 << 16, ..common::options(folder.path()) };
    let storage = storage::Storage::start(options).unwrap();
    let (store, _told) = open(&storage, &made, place(folder.path())).unwrap();
    store.write(made.all_blocks());
    let mut room = std::pin::pin!(storage.room());
    let (tell, told) = std::sync::mpsc::channel();
    struct Wake(std::sync::Mutex<std::sync::mpsc::Sender<()>>);
    impl std::task::Wake for Wake {
        fn wake(self: std::sync::Arc<Self>) {
            let _ = self.0.lock().unwrap().send(());
        }
    }
    let waker = std::sync::Arc::new(Wake(std::sync::Mutex::new(tell))).into();
    let mut context = std::task::Context::from_waker(&waker);
    while std::future::Future::poll(room.as_mut(), &mut context).is_pending() {
        told.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
    }
    assert!(storage.has_room());
    store.close().wait().unwrap();
    assert_eq!(storage.bytes_in_flight(), 0);
}

#[test]
fn a_torrent_is_open_once() {
    let made = made(1 << 15, &[("a", 40_000)]);
    let bench = Bench::new(&made);
    assert!(open(&bench.storage, &made, place(bench.folder.path())).is_err());
    bench.store.close().wait().unwrap();
    let (store, told) = open(&bench.storage, &made, place(bench.folder.path())).unwrap();
    store.write(made.blocks_of(0));
    assert_eq!(told.recv_timeout(std::time::Duration::from_secs(20)), Ok(Event::Verified(PieceIndex(0))));
}

#[test]
fn a_memory_store_says_what_it_drops() {
    let made = made(1 << 15, &[("a", 10 << 15)]);
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::at(folder, &made, Place::Memory { bytes_max: 3 << 15 });
    for piece in [0, 1, 2] {
        assert_eq!(bench.write(made.blocks_of(piece)), [Event::Verified(PieceIndex(piece))]);
    }
    bench
        .store
        .set_usefulness(std::sync::Arc::new(|piece| if piece.0 == 1 { 0 } else { u64::from(piece.0) + 1 }));
    bench.store.write(made.blocks_of(5));
    assert_eq!((bench.event(), bench.event()), (Event::Lost(PieceIndex(1)), Event::Verified(PieceIndex(5))));
    assert_eq!(bench.store.have().iter().map(|piece| piece.0).collect::<Vec<_>>(), [0, 2, 5]);
    assert_eq!(bench.store.try_read_range(5 << 15..6 << 15).unwrap(), made.bytes[5 << 15..6 << 15]);
    assert!(bench.store.try_read_range(1 << 15..2 << 15).is_none());
    let index = BlockIndex { piece: PieceIndex(7), block: 0 };
    let mut wrong = made.blocks_of(7);
    wrong[0] = (index, Bytes::from(vec![0; 1 << 14]));
    bench.store.write(wrong);
    assert_eq!((bench.event(), bench.event()), (Event::Lost(PieceIndex(0)), Event::Corrupt(PieceIndex(7))));
    assert_eq!(names(bench.folder.path()), Vec::<String>::new());
}

#[test]
fn whole_files_are_told_of_once() {
    let made = made(1 << 15, MIXED);
    let bench = Bench::new(&made);
    bench.store.write(made.all_blocks());
    bench.store.close().wait().unwrap();
    let mut files: Vec<_> = bench
        .told
        .try_iter()
        .filter_map(|event| match event {
            Event::FileFinished(FileIndex(file)) => Some(file),
            _ => None,
        })
        .collect();
    files.sort_unstable();
    assert_eq!(files, [0, 1, 3, 4, 5]);
}
