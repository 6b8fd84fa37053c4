//! Hashing many pieces on all cores: checks of what is on disk, and the hashes of a torrent that is made.

use std::{
    fs::File,
    ops::Range,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use metainfo::{PieceIndex, PieceLayout};
use sha1::{Digest, Sha1};

use crate::{StorageError, torrent::lock};

/// Bytes read at once, and thus the memory of a thread.
const READ_BYTES: u64 = 1 << 20;

/// Fills a buffer with bytes of a torrent.
pub(crate) type Read<'a> = &'a (dyn Fn(Range<u64>, &mut [u8]) -> Result<(), StorageError> + Sync);

/// Hears what a piece hashes to, and says whether to go on.
pub(crate) type Each<'a> = &'a (dyn Fn(PieceIndex, Result<[u8; 20], StorageError>) -> bool + Sync);

/// Hashes `pieces` on all cores, neighbours by one thread. `read` fills a buffer with bytes of the torrent; `each` hears
/// of every piece, from all threads, and says whether to go on.
pub(crate) fn hash_pieces(layout: PieceLayout, pieces: &[PieceIndex], read: Read<'_>, each: Each<'_>) {
    let per_turn = usize::try_from(READ_BYTES / u64::from(layout.piece_length())).unwrap_or(1).max(1);
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let work = || {
        let mut buffer = Vec::new();
        while !stopped.load(Ordering::Relaxed) {
            let start = next.fetch_add(per_turn, Ordering::Relaxed);
            let turn = pieces.get(start..pieces.len().min(start + per_turn)).unwrap_or_default();
            if turn.is_empty() {
                return;
            }
            for run in turn.chunk_by(|piece, following| piece.0 + 1 == following.0) {
                if !hash_run(layout, run, read, each, &mut buffer, &stopped) {
                    stopped.store(true, Ordering::Relaxed);
                    return;
                }
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 1..cores.min(pieces.len().div_ceil(per_turn)) {
            scope.spawn(work);
        }
        work();
    });
}

/// Hashes neighbouring pieces; small ones are read together, large ones in parts.
fn hash_run(
    layout: PieceLayout,
    run: &[PieceIndex],
    read: Read<'_>,
    each: Each<'_>,
    buffer: &mut Vec<u8>,
    stopped: &AtomicBool,
) -> bool {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return true };
    let whole = layout.offset(*first)..layout.range(*last).end;
    let length = |range: &Range<u64>| usize::try_from(range.end - range.start).unwrap_or_default();
    if run.len() > 1 {
        buffer.resize(length(&whole).max(buffer.len()), 0);
        if read(whole.clone(), &mut buffer[..length(&whole)]).is_ok() {
            return run.iter().all(|piece| {
                let at = length(&(whole.start..layout.offset(*piece)));
                let bytes = &buffer[at..at + layout.length(*piece) as usize];
                each(*piece, Ok(Sha1::digest(bytes).into()))
            });
        }
        // One of them cannot be read: which?
    }
    run.iter().all(|piece| {
        let range = layout.range(*piece);
        let mut hasher = Sha1::new();
        let mut at = range.start;
        while at < range.end {
            if stopped.load(Ordering::Relaxed) {
                return false;
            }
            let part = at..range.end.min(at + READ_BYTES);
            buffer.resize(length(&part).max(buffer.len()), 0);
            if let Err(error) = read(part.clone(), &mut buffer[..length(&part)]) {
                return each(*piece, Err(error));
            }
            hasher.update(&buffer[..length(&part)]);
            at = part.end;
        }
        each(*piece, Ok(hasher.finalize().into()))
    })
}

/// A stretch of a torrent that is being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashFile {
    /// The file; `None` for a pad file, whose bytes are zeros.
    pub path: Option<PathBuf>,
    /// Bytes.
    pub length: u64,
}

/// Hashes files, one after the other as a torrent has them, in pieces of `piece_length`, on all cores. `progress` hears how
/// many bytes are done, from all threads, and says whether to go on.
///
/// # Errors
/// [`StorageError::Changed`] when a file is not of its stated length, [`StorageError::Contents`] for lengths that make no
/// torrent, [`StorageError::Cancelled`] when `progress` said so, and those of the system.
pub fn hash_files(
    files: &[HashFile],
    piece_length: u32,
    progress: &(dyn Fn(u64) -> bool + Sync),
) -> Result<Vec<[u8; 20]>, StorageError> {
    let mut starts = Vec::with_capacity(files.len());
    let mut total = 0u64;
    for file in files.iter().filter(|file| file.length > 0) {
        if let Some(path) = &file.path {
            let failed = |error| StorageError::from_io(path.clone(), file.length, "looking", &error);
            let found = std::fs::metadata(path).map_err(failed)?.len();
            if found != file.length {
                let detail = format!("{found} bytes instead of {}", file.length);
                return Err(StorageError::Changed { path: path.clone(), detail });
            }
        }
        starts.push((total, file));
        let contents = |detail: &str| StorageError::Contents { detail: detail.into() };
        total = total.checked_add(file.length).ok_or_else(|| contents("it has too many bytes"))?;
    }
    let layout = PieceLayout::new(total, u64::from(piece_length))
        .map_err(|error| StorageError::Contents { detail: error.to_string() })?;
    let pieces: Vec<_> = layout.all().collect();
    let hashes = Mutex::new(vec![[0; 20]; pieces.len()]);
    let failure = Mutex::new(None);
    let done = AtomicU64::new(0);
    let read = |range: Range<u64>, bytes: &mut [u8]| read_files(&starts, total, range, bytes);
    let each = |piece: PieceIndex, hash: Result<[u8; 20], StorageError>| match hash {
        Ok(hash) => {
            lock(&hashes)[piece.as_usize()] = hash;
            let length = u64::from(layout.length(piece));
            let going_on = progress(done.fetch_add(length, Ordering::Relaxed) + length);
            if !going_on {
                *lock(&failure) = Some(StorageError::Cancelled);
            }
            going_on
        }
        Err(error) => {
            *lock(&failure) = Some(error);
            false
        }
    };
    hash_pieces(layout, &pieces, &read, &each);
    let failure = lock(&failure).take();
    match failure {
        Some(error) => Err(error),
        None => Ok(std::mem::take(&mut *lock(&hashes))),
    }
}

fn read_files(
    starts: &[(u64, &HashFile)],
    total: u64,
    range: Range<u64>,
    mut bytes: &mut [u8],
) -> Result<(), StorageError> {
    let mut number = starts.partition_point(|(start, _)| *start <= range.start).saturating_sub(1);
    let mut at = range.start;
    while let Some((start, file)) = starts.get(number)
        && at < range.end.min(total)
    {
        let end = range.end.min(start + file.length);
        let (part, rest) = bytes.split_at_mut(usize::try_from(end - at).unwrap_or_default());
        match &file.path {
            None => part.fill(0),
            Some(path) => File::open(path)
                .and_then(|opened| opened.read_exact_at(part, at - start))
                .map_err(|error| StorageError::from_io(path.clone(), file.length, "reading", &error))?,
        }
        bytes = rest;
        at = end;
        number += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_pads_are_hashed_as_one_run_of_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..3_500_000u32).map(|at| at.to_le_bytes()[at as usize % 3]).collect();
        let mut whole = Vec::new();
        let mut files = Vec::new();
        for (number, length) in [10, 0, 1_000_003, 2_400_000].into_iter().enumerate() {
            let path = folder.path().join(number.to_string());
            std::fs::write(&path, &bytes[..length]).unwrap();
            whole.extend(&bytes[..length]);
            files.push(HashFile { path: Some(path), length: length as u64 });
            files.push(HashFile { path: None, length: 77 });
            whole.extend([0; 77]);
        }
        for piece_length in [1 << 14, 1 << 18, 3 << 20] {
            let expected: Vec<[u8; 20]> =
                whole.chunks(piece_length as usize).map(|piece| Sha1::digest(piece).into()).collect();
            let most = AtomicU64::new(0);
            let progress = |done| {
                most.fetch_max(done, Ordering::Relaxed);
                true
            };
            assert_eq!(hash_files(&files, piece_length, &progress).unwrap(), expected);
            assert_eq!(most.load(Ordering::Relaxed), whole.len() as u64);
        }
        assert_eq!(hash_files(&files, 1 << 14, &|_| false), Err(StorageError::Cancelled));
        files[0].length = 11;
        assert!(matches!(hash_files(&files, 1 << 14, &|_| true), Err(StorageError::Changed { .. })));
    }
}
