//! Looking at what is on disk: every piece, or the doubtful ones, read and hashed on all cores.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use metainfo::{Bitfield, PieceIndex};
use sha1::{Digest, Sha1};

use crate::{
    Check, Event, StorageError, hash::hash_pieces, pending::Promise, torrent::Torrent, torrent::lock,
};

/// Between two reports of how far it is.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// Runs on a thread of its own; blocks are refused meanwhile.
pub(crate) fn run(torrent: &Arc<Torrent>, what: Check, promise: Promise<Bitfield>) {
    torrent.threads.settle_writes();
    lock(&torrent.assemblies).clear();
    let result = check(torrent, what, &promise);
    torrent.set_checking(false);
    let finished = torrent.finish(&torrent.whole_files());
    torrent.mark_dirty();
    promise.set(finished.and(result));
}

fn check(torrent: &Torrent, what: Check, promise: &Promise<Bitfield>) -> Result<Bitfield, StorageError> {
    let layout = torrent.contents.layout();
    let have = || torrent.have.write().unwrap_or_else(PoisonError::into_inner);
    let Some(files) = torrent.files() else { return Ok(have().clone()) };
    if what == Check::All {
        torrent.retry();
        files.find_again()?;
        lock(&torrent.partial).clear();
        *have() = Bitfield::none(layout.pieces());
        *lock(&torrent.doubtful) = Bitfield::all(layout.pieces());
        let mut saved = lock(&torrent.saved);
        saved.claimed = Bitfield::none(layout.pieces());
        saved.unsynced.clear();
        saved.stamps.fill(None);
    }
    // What another program wrote may not be on the disk yet.
    files.all_dirty();
    let mut pieces: Vec<PieceIndex> = lock(&torrent.doubtful).iter().collect();
    let of = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
    let (checked, found) = (AtomicU32::new(0), AtomicU32::new(0));
    let report = |found: u32, checked: u32| torrent.tell(vec![Event::Checking { checked, of, found }]);
    let last = Mutex::new(Instant::now());
    let failure = Mutex::new(None);
    let read = |range: Range<u64>, bytes: &mut [u8]| files.read(range, bytes, false).map(drop);
    let each = |piece: PieceIndex, hash: Result<[u8; 20], StorageError>| {
        let hash = match hash {
            Ok(hash) => Some(hash),
            Err(StorageError::Changed { .. } | StorageError::InTheWay { .. }) => None,
            Err(error) => {
                *lock(&failure) = Some(error);
                return false;
            }
        };
        lock(&torrent.doubtful).remove(piece);
        let right = hash.is_some_and(|hash| torrent.contents.hash(piece) == Some(hash.as_slice()));
        if right {
            found.fetch_add(1, Ordering::Relaxed);
            torrent.verified(piece);
        }
        let checked = checked.fetch_add(1, Ordering::Relaxed) + 1;
        let mut last = lock(&last);
        if last.elapsed() >= REPORT_EVERY {
            *last = Instant::now();
            report(found.load(Ordering::Relaxed), checked);
        }
        !promise.is_abandoned()
    };
    // A file just begun is one large hole: known to be zeros, it is not read.
    let zeros = Zeros::default();
    pieces.retain(|piece| {
        let hole = files.is_hole(layout.range(*piece));
        if hole {
            each(*piece, Ok(zeros.hash(layout.length(*piece))));
        }
        !hole
    });
    hash_pieces(layout, &pieces, &read, &each);
    torrent.count_left();
    report(found.into_inner(), checked.into_inner());
    let failure = lock(&failure).take();
    match failure {
        Some(error) => Err(error),
        None if promise.is_abandoned() => Err(StorageError::Cancelled),
        None => Ok(have().clone()),
    }
}

/// Hashes of runs of zeros: a torrent has two lengths of pieces.
#[derive(Default)]
struct Zeros {
    known: Mutex<BTreeMap<u32, [u8; 20]>>,
}

impl Zeros {
    fn hash(&self, length: u32) -> [u8; 20] {
        *lock(&self.known).entry(length).or_insert_with(|| Sha1::digest(vec![0; length as usize]).into())
    }
}
