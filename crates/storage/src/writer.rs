//! The threads that hash and write. A piece's blocks always come to the same thread, so they are hashed in the order they
//! came in; what lies side by side in a batch is written by one system call.

use std::sync::Arc;

use bytes::Bytes;
use metainfo::{BLOCK_LENGTH, PieceIndex};

use crate::{
    Event,
    assembly::Assembly,
    keeper::KeeperJob,
    pending::Promise,
    queue::{Queue, Taken},
    threads::Threads,
    torrent::{Backing, Torrent, lock},
};

/// Bytes taken at once: what the second level cache holds between hashing and writing.
const BATCH_BYTES: usize = 1 << 20;

pub(crate) enum WriterJob {
    /// Blocks of one piece.
    Write { torrent: Arc<Torrent>, piece: PieceIndex, blocks: Vec<(u32, Bytes)> },
    /// Everything queued before is done.
    Barrier(Promise<()>),
}

impl WriterJob {
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Write { blocks, .. } => blocks.iter().map(|(_, bytes)| bytes.len()).sum(),
            Self::Barrier(_) => 0,
        }
    }
}

pub(crate) fn run(queue: &Queue<WriterJob>, threads: &Threads) {
    let mut jobs = Vec::new();
    let mut writer = Writer::default();
    while queue.take(BATCH_BYTES, WriterJob::bytes, None, &mut jobs) == Taken::Jobs {
        let bytes: usize = jobs.iter().map(WriterJob::bytes).sum();
        let mut of: Option<Arc<Torrent>> = None;
        for job in jobs.drain(..) {
            match job {
                WriterJob::Write { torrent, piece, blocks } => {
                    if let Some(before) = of.take_if(|before| !Arc::ptr_eq(before, &torrent)) {
                        writer.flush(&before, threads);
                    }
                    of = Some(torrent);
                    writer.pieces.push((piece, blocks));
                }
                WriterJob::Barrier(promise) => {
                    if let Some(before) = of.take() {
                        writer.flush(&before, threads);
                    }
                    promise.set(Ok(()));
                }
            }
        }
        if let Some(last) = of.take() {
            writer.flush(&last, threads);
        }
        threads.in_flight.remove(bytes as u64);
    }
}

/// A thread's own memory, used again for each batch.
#[derive(Default)]
struct Writer {
    pieces: Vec<(PieceIndex, Vec<(u32, Bytes)>)>,
    buffer: Vec<u8>,
}

/// A piece that a batch brought something of.
struct Touched {
    piece: PieceIndex,
    assembly: Assembly,
    /// Nothing of it was here before.
    fresh: bool,
}

impl Writer {
    fn flush(&mut self, torrent: &Arc<Torrent>, threads: &Threads) {
        let mut events = Vec::new();
        let mut whole = Vec::new();
        let jobs = std::mem::take(&mut self.pieces);
        if torrent.refuses() {
            lose(jobs.iter().map(|(piece, _)| *piece), &mut events);
        } else {
            let (mut touched, blocks) = hash(torrent, jobs, threads);
            // One at a time: two that write one file only spin on the kernel's lock of it, and the other can hash meanwhile.
            let writing = lock(&torrent.writing);
            let written = write(torrent, &mut touched, &blocks, &mut events);
            drop(blocks);
            // Who writes to memory may drop a piece that another has just verified: it has to be heard of in this order.
            let _order = torrent.files().is_none().then_some(writing);
            let result = written.and_then(|()| self.settle(torrent, touched, &mut events, &mut whole));
            torrent.mark_dirty();
            if let Err(error) = result {
                // First what was verified before it failed.
                torrent.tell(std::mem::take(&mut events));
                torrent.fail(error);
            }
            torrent.tell(std::mem::take(&mut events));
        }
        torrent.tell(events);
        if !whole.is_empty() {
            threads.keeper.push([KeeperJob::Finish(torrent.clone(), whole)]);
        }
    }

    /// Decides pieces whose blocks are all here, puts the others back.
    fn settle(
        &mut self,
        torrent: &Torrent,
        touched: Vec<Touched>,
        events: &mut Vec<Event>,
        whole: &mut Vec<usize>,
    ) -> Result<(), crate::StorageError> {
        for Touched { piece, mut assembly, .. } in touched {
            let offset = torrent.contents.layout().offset(piece);
            assembly.catch_up(&mut self.buffer, |range, bytes| {
                torrent.read_raw(offset + u64::from(range.start)..offset + u64::from(range.end), bytes)
            })?;
            if !assembly.is_complete() {
                lock(&torrent.assemblies).insert(piece, assembly);
                continue;
            }
            let right = torrent.contents.hash(piece) == Some(assembly.finish().as_slice());
            match &torrent.backing {
                Backing::Memory(memory) if !right => memory.drop_piece(piece),
                Backing::Memory(memory) if !memory.verified(piece) => {
                    lose([piece].into_iter(), events);
                    continue;
                }
                _ => {}
            }
            if right {
                whole.extend(torrent.verified(piece));
                events.push(Event::Verified(piece));
            } else {
                events.push(Event::Corrupt(piece));
            }
        }
        Ok(())
    }
}

/// Hashes blocks in the order they came. Gives the pieces, and the blocks to be written.
fn hash(
    torrent: &Torrent,
    jobs: Vec<(PieceIndex, Vec<(u32, Bytes)>)>,
    threads: &Threads,
) -> (Vec<Touched>, Vec<(u64, Bytes)>) {
    let layout = torrent.contents.layout();
    let mut touched: Vec<Touched> = Vec::with_capacity(jobs.len());
    let mut writes = Vec::with_capacity(jobs.iter().map(|(_, blocks)| blocks.len()).sum());
    for (piece, blocks) in jobs {
        if layout.piece(piece.0).is_none() || torrent.has(piece) {
            continue;
        }
        // The last ones first: a batch is mostly one piece after the other.
        let place = touched.iter().rposition(|touched| touched.piece == piece).unwrap_or_else(|| {
            let before = lock(&torrent.assemblies).remove(&piece);
            let fresh = before.is_none();
            let assembly = before.unwrap_or_else(|| Assembly::new(layout.length(piece)));
            touched.push(Touched { piece, assembly, fresh });
            touched.len() - 1
        });
        for (block, bytes) in blocks {
            if touched[place].assembly.take(block, &bytes, &threads.ahead) {
                let offset = layout.offset(piece) + u64::from(block) * u64::from(BLOCK_LENGTH);
                writes.push((offset, bytes));
            }
        }
    }
    if !writes.is_sorted_by_key(|(offset, _)| *offset) {
        writes.sort_unstable_by_key(|(offset, _)| *offset);
    }
    (touched, writes)
}

/// Writes blocks, in order of their offsets, side by side ones together.
fn write(
    torrent: &Torrent,
    touched: &mut Vec<Touched>,
    blocks: &[(u64, Bytes)],
    events: &mut Vec<Event>,
) -> Result<(), crate::StorageError> {
    let layout = torrent.contents.layout();
    match &torrent.backing {
        Backing::Files(files) => {
            let runs = blocks.chunk_by(|(offset, bytes), (next, _)| offset + bytes.len() as u64 == *next);
            for run in runs {
                let slices: Vec<Bytes> = run.iter().map(|(_, bytes)| bytes.clone()).collect();
                files.write(run[0].0, &slices)?;
            }
        }
        Backing::Memory(memory) => {
            for run in blocks.chunk_by(|(a, _), (b, _)| layout.piece_of(*a) == layout.piece_of(*b)) {
                let piece = layout.piece_of(run[0].0);
                let Some(place) = touched.iter().position(|touched| touched.piece == piece) else { continue };
                let mut fresh = touched[place].fresh;
                let mut kept = true;
                for (offset, bytes) in run {
                    let begin = usize::try_from(offset - layout.offset(piece)).unwrap_or(usize::MAX);
                    let outcome = memory.write(piece, begin, std::slice::from_ref(bytes), fresh);
                    fresh = false;
                    drop_pieces(torrent, outcome.dropped, touched, events);
                    kept &= outcome.kept;
                }
                if !kept {
                    touched.retain(|touched| touched.piece != piece);
                    lose([piece].into_iter(), events);
                }
            }
        }
    }
    Ok(())
}

/// Says of pieces that memory had no room for that they are gone.
fn drop_pieces(
    torrent: &Torrent,
    pieces: Vec<PieceIndex>,
    touched: &mut Vec<Touched>,
    events: &mut Vec<Event>,
) {
    for piece in pieces {
        torrent.have.write().unwrap_or_else(std::sync::PoisonError::into_inner).remove(piece);
        lock(&torrent.assemblies).remove(&piece);
        touched.retain(|touched| touched.piece != piece);
        lose([piece].into_iter(), events);
    }
}

fn lose(pieces: impl Iterator<Item = PieceIndex>, events: &mut Vec<Event>) {
    for piece in pieces {
        if events.last() != Some(&Event::Lost(piece)) {
            events.push(Event::Lost(piece));
        }
    }
}
