//! What several threads do to one torrent at once: tried often enough that each order comes up.

#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use common::{Bench, made, options};
use metainfo::PieceIndex;
use storage::{Event, Options, Place, Storage};

/// Everything that was written is decided and said.
fn settled(storage: &Storage) {
    let begun = Instant::now();
    while storage.bytes_in_flight() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "it goes on and on");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn memory_holds_what_it_was_last_said_to_hold() {
    let made = made(1 << 19, &[("a", 32 << 19)]);
    for round in 0..30 {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::start(Options { threads: 4, ..options(folder.path()) }).unwrap();
        let (tell, told) = mpsc::channel();
        let sink = move |events: Vec<Event>| {
            // As when this thread is put to sleep just before it is heard.
            if events.iter().any(|event| matches!(event, Event::Verified(_))) {
                std::thread::sleep(Duration::from_millis(1));
            }
            events.into_iter().for_each(|event| tell.send(event).unwrap());
        };
        let place = Place::Memory { bytes_max: 3 << 19 };
        let store = storage.open(made.contents.clone(), place, Arc::new(sink)).unwrap();
        // What came just now is as likely to go as any other.
        store.set_usefulness(Arc::new(move |piece| u64::from((piece.0 * 13 + round) % 32)));
        for piece in 0..made.layout().pieces() {
            let mut blocks = made.blocks_of(piece);
            if round % 2 == 1 {
                blocks.reverse();
            }
            for block in blocks {
                store.write(vec![block]);
            }
        }
        settled(&storage);
        let mut last = BTreeMap::new();
        for event in told.try_iter() {
            match event {
                Event::Verified(piece) => last.insert(piece, true),
                Event::Lost(piece) => last.insert(piece, false),
                other => panic!("round {round}: {other:?}"),
            };
        }
        for (PieceIndex(piece), said) in last {
            let range = made.layout().range(PieceIndex(piece));
            let read = store.try_read_range(range.clone());
            assert_eq!(read.is_some(), said, "round {round}: piece {piece}");
            assert_eq!(store.has(PieceIndex(piece)), said, "round {round}: piece {piece}");
            let bytes = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            assert!(read.is_none_or(|read| read == made.bytes[bytes]), "round {round}: piece {piece}");
        }
        storage.stop().wait().unwrap();
    }
}

#[test]
fn what_is_put_aside_while_its_file_becomes_wanted_is_not_lost() {
    // Piece 0 is shared by both files.
    let made = made(1 << 14, &[("a", 10_000), ("b", 6_000)]);
    for round in 0..100 {
        let bench = Bench::new(&made);
        bench.store.select(vec![true, false]).wait().unwrap();
        let wanted = std::thread::spawn({
            let store = bench.store.clone();
            move || {
                // Different moments in different rounds.
                std::thread::sleep(Duration::from_micros(round % 100 * 4));
                store.select(vec![true, true]).wait()
            }
        });
        bench.store.write(made.blocks_of(0));
        let event = bench.event();
        wanted.join().unwrap().unwrap();
        assert_eq!(event, Event::Verified(PieceIndex(0)), "round {round}");
        let read = bench.store.read_range(0..16_000).wait().unwrap();
        assert!(read == made.bytes, "round {round}: other bytes");
        bench.store.select(vec![true, true]).wait().unwrap();
        bench.store.close().wait().unwrap();
        for file in ["a", "b"] {
            let found = std::fs::read(bench.path(file));
            let names = || -> Vec<_> {
                std::fs::read_dir(bench.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect()
            };
            assert!(
                found.is_ok_and(|bytes| bytes == made.file(file)),
                "round {round}: {file} in {:?}",
                names()
            );
        }
    }
}
