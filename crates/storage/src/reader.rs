//! The threads that read what is not in the page cache. Reads of neighbours are one; what lies behind them is fetched
//! ahead, for whoever asks for a block mostly asks for the next.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use metainfo::Block;

use crate::{
    Event, StorageError,
    buffers::LENGTH_MAX,
    pending::Promise,
    queue::{Queue, Taken},
    torrent::Torrent,
};

/// Bytes behind a read that the system is told to fetch, within the same piece.
const AHEAD: u64 = 1 << 20;

pub(crate) enum ReaderJob {
    Blocks { torrent: Arc<Torrent>, blocks: Vec<(u64, Block)> },
    Range { torrent: Arc<Torrent>, range: Range<u64>, promise: Promise<Bytes> },
}

pub(crate) fn run(queue: &Queue<ReaderJob>) {
    let mut jobs = Vec::new();
    while queue.take(1, |_| 1, None, &mut jobs) == Taken::Jobs {
        for job in jobs.drain(..) {
            match job {
                ReaderJob::Blocks { torrent, blocks } => read_blocks(&torrent, blocks),
                ReaderJob::Range { torrent, range, promise } => {
                    if !promise.is_abandoned() {
                        promise.set(read_range(&torrent, range));
                    }
                }
            }
        }
    }
}

fn read_range(torrent: &Torrent, range: Range<u64>) -> Result<Bytes, StorageError> {
    let read = torrent.read(range, false);
    if let Err(error) = &read {
        note(torrent, error);
    }
    Ok(read?.unwrap_or_default())
}

/// A verified piece that cannot be read stops the torrent: it must not be offered any more.
fn note(torrent: &Torrent, error: &StorageError) {
    if !matches!(error, StorageError::NotVerified { .. }) {
        torrent.fail(error.clone());
    }
}

fn read_blocks(torrent: &Torrent, mut blocks: Vec<(u64, Block)>) {
    blocks.sort_by_key(|(_, block)| (block.piece, block.begin));
    let mut events = Vec::with_capacity(blocks.len());
    for run in runs(&blocks, |(_, block)| *block) {
        let range = range_of(torrent, &run.iter().map(|(_, block)| *block).collect::<Vec<_>>());
        if let (Some(files), Some((_, first))) = (torrent.files(), run.first()) {
            let piece_end = torrent.contents.layout().range(first.piece).end;
            let ahead = range.end..piece_end.min(range.end + AHEAD);
            if !ahead.is_empty() && torrent.has(first.piece) {
                files.will_read(ahead);
            }
        }
        let read = read_range(torrent, range);
        let mut at = 0;
        for (token, block) in run {
            let end = at + block.length as usize;
            let result = read.as_ref().map(|bytes| bytes.slice(at..end)).map_err(Clone::clone);
            events.push(Event::Read { token: *token, result });
            at = end;
        }
        if events.len() >= 64 {
            torrent.tell(std::mem::take(&mut events));
        }
    }
    torrent.tell(events);
}

/// Cuts a list of blocks into runs of neighbours that one buffer holds.
pub(crate) fn runs<T>(blocks: &[T], block: impl Fn(&T) -> Block) -> impl Iterator<Item = &[T]> {
    let mut rest = blocks;
    std::iter::from_fn(move || {
        let first = block(rest.first()?);
        let mut end = u64::from(first.begin) + u64::from(first.length);
        let mut count = 1;
        for next in rest[1..].iter().map(&block) {
            let after = end + u64::from(next.length);
            if next.piece != first.piece
                || u64::from(next.begin) != end
                || after - u64::from(first.begin) > LENGTH_MAX as u64
            {
                break;
            }
            end = after;
            count += 1;
        }
        let (run, after) = rest.split_at(count);
        rest = after;
        Some(run)
    })
}

/// The bytes of the torrent that a run of neighbours is.
pub(crate) fn range_of(torrent: &Torrent, run: &[Block]) -> Range<u64> {
    let layout = torrent.contents.layout();
    let start = run.first().map_or(0, |block| layout.offset(block.piece) + u64::from(block.begin));
    start..start + run.iter().map(|block| u64::from(block.length)).sum::<u64>()
}
