//! Replays the fuzzers' seeds, and a few hundred damaged copies of each, without a fuzzer: the change gate runs this.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use hostile::{MESSAGES, Mutator, RECORDS, film, message, record, walk};

const COPIES: u64 = 300;
const SEED: u64 = 11;

fn files(kind: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(kind);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

/// Each file as it is, then its damaged copies; a panic is preceded by the copy's number.
fn replay(kind: &str, run: impl Fn(&Bytes)) {
    let mutator = Mutator::new(SEED);
    for (path, whole) in files(kind) {
        run(&Bytes::from(whole.clone()));
        let marks = Mutator::landmarks(&whole);
        for number in 0..COPIES {
            let damaged = Bytes::from(mutator.damage(number, &whole, &marks));
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&damaged)));
            assert!(outcome.is_ok(), "{}, damage {number} of seed {SEED}", path.display());
        }
    }
}

#[test]
fn films_are_opened_planned_and_packed_or_refused() {
    replay("film", |bytes| {
        let _ = film(bytes);
    });
}

#[test]
fn blocks_are_walked_to_an_end() {
    replay("film", walk);
}

#[test]
fn the_seeds_themselves_are_packed() {
    for (path, whole) in files("film") {
        assert_eq!(film(&Bytes::from(whole)), hostile::Reached::Packed, "{}", path.display());
    }
}

#[test]
fn records_and_frames_are_read_or_refused() {
    for kind in RECORDS {
        replay(kind, |bytes| record(kind, bytes));
    }
}

#[test]
fn what_the_swarm_sends_is_read_or_refused() {
    for (kind, _) in MESSAGES {
        replay(kind, |bytes| message(kind, bytes));
    }
}

#[test]
fn every_fuzz_target_has_seeds_here() {
    let manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/Cargo.toml")).unwrap();
    let targets = manifest.lines().filter_map(|l| l.strip_prefix("name = \"")?.strip_suffix('"')).skip(1);
    for target in targets {
        assert!(
            ["film", "walk"].contains(&target)
                || RECORDS.contains(&target)
                || MESSAGES.iter().any(|(name, _)| *name == target),
            "{target} is replayed by no test"
        );
    }
}
