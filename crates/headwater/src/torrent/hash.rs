//! The SHA-1 of every piece of some files, on all cores. Each thread takes the next piece, so that reading stays in order.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
};

use anyhow::{Context, Result, anyhow};
use metainfo::{PieceIndex, PieceLayout};
use sha1::{Digest, Sha1};

/// Bytes read at a time: what fits a core's cache, so that hashing finds them there.
const READ_BYTES: usize = 256 << 10;

/// A file, and how long it was when it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) path: PathBuf,
    pub(crate) length: u64,
}

/// The hashes one after the other, 20 bytes each; `progress` hears of each run of bytes that was hashed.
pub(crate) fn pieces(
    parts: &[Part],
    layout: &PieceLayout,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<u8>> {
    let starts: Vec<u64> = parts
        .iter()
        .scan(0, |at, part| {
            let start = *at;
            *at += part.length;
            Some(start)
        })
        .collect();
    let work =
        Work { parts, starts, layout, progress, next: AtomicU32::new(0), stop: AtomicBool::new(false) };
    let hashes = Mutex::new(vec![0; layout.pieces() as usize * 20]);
    let threads = thread::available_parallelism().map_or(1, usize::from).min(layout.pieces() as usize).max(1);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| work.run(&hashes))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread died"))?)
    })?;
    Ok(hashes.into_inner().unwrap_or_else(PoisonError::into_inner))
}

struct Work<'a> {
    parts: &'a [Part],
    /// Where each part begins.
    starts: Vec<u64>,
    layout: &'a PieceLayout,
    progress: &'a (dyn Fn(u64) + Sync),
    next: AtomicU32,
    stop: AtomicBool,
}

impl Work<'_> {
    fn run(&self, hashes: &Mutex<Vec<u8>>) -> Result<()> {
        let mut open = Open { part: usize::MAX, file: None };
        let mut buffer = vec![0; READ_BYTES];
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(piece) = self.layout.piece(number) else { return Ok(()) };
            let hash = match self.piece(piece, &mut open, &mut buffer) {
                Ok(hash) => hash,
                Err(error) => {
                    self.stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            };
            let at = piece.as_usize() * 20;
            let mut hashes = hashes.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = hashes.get_mut(at..at + 20) {
                place.copy_from_slice(&hash);
            }
        }
        Ok(())
    }

    fn piece(&self, piece: PieceIndex, open: &mut Open, buffer: &mut [u8]) -> Result<[u8; 20]> {
        let (range, mut hash) = (self.layout.range(piece), Sha1::new());
        let mut at = range.start;
        // The last part that begins at or before the piece; those of no bytes are stepped over.
        let mut number = self.starts.partition_point(|start| *start <= at).saturating_sub(1);
        while at < range.end {
            let (Some(part), Some(start)) = (self.parts.get(number), self.starts.get(number)) else {
                return Err(anyhow!("piece {piece} lies past the files"));
            };
            let end = range.end.min(start + part.length);
            while at < end {
                let len = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
                let Some(into) = buffer.get_mut(..len) else { break };
                open.read(number, &part.path, at - start, into)
                    .with_context(|| format!("{}", part.path.display()))?;
                hash.update(into);
                (self.progress)(len as u64);
                at += len as u64;
            }
            number += 1;
        }
        Ok(hash.finalize().into())
    }
}

/// The file that a thread reads at present.
struct Open {
    part: usize,
    file: Option<File>,
}

impl Open {
    fn read(&mut self, part: usize, path: &Path, offset: u64, into: &mut [u8]) -> io::Result<()> {
        if self.part != part {
            self.file = None;
            self.part = part;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(path)?),
        };
        file.read_exact_at(into, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::other(
                "it became shorter while it was read: make the torrent once nobody writes to it",
            ),
            _ => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_hashed_across_files_and_over_empty_ones() {
        let dir = tempfile::tempdir().unwrap();
        let content: Vec<u8> =
            (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let cuts = [0, 0, 1, 20_000, 20_000, 150_000, 200_000];
        let parts: Vec<Part> = cuts
            .windows(2)
            .enumerate()
            .map(|(n, cut)| {
                let path = dir.path().join(n.to_string());
                std::fs::write(&path, &content[cut[0]..cut[1]]).unwrap();
                Part { path, length: (cut[1] - cut[0]) as u64 }
            })
            .collect();
        let layout = PieceLayout::new(200_000, 16_384).unwrap();
        let expected: Vec<u8> =
            content.chunks(16_384).flat_map(|piece| Sha1::digest(piece).to_vec()).collect();
        let seen = std::sync::atomic::AtomicU64::new(0);
        let hashes = pieces(&parts, &layout, &|bytes| {
            seen.fetch_add(bytes, Ordering::Relaxed);
        });
        assert_eq!(hashes.unwrap(), expected);
        assert_eq!(seen.into_inner(), 200_000);
        std::fs::write(dir.path().join("4"), b"short").unwrap();
        let error = pieces(&parts, &layout, &|_| {}).unwrap_err();
        assert!(format!("{error:#}").contains("became shorter"), "{error:#}");
    }
}
