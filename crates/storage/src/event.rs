//! What comes home from the storage's threads.

use std::sync::Arc;

use bytes::Bytes;
use metainfo::{FileIndex, PieceIndex};

use crate::StorageError;

/// Where a torrent's [`Event`]s go, a batch at a time, called from the storage's threads: it should hand on and return.
/// How many are under way is bounded by what was asked (bytes in flight, reads asked), so its queue need not be.
pub type Sink = Arc<dyn Fn(Vec<Event>) + Send + Sync>;

/// What became of what was asked of a [`Store`](crate::Store).
///
/// Every piece that got a block written ends in exactly one of `Verified`, `Corrupt`, `Lost` or the torrent's `Failed`,
/// provided that all of its blocks were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// All blocks of the piece are here, its hash is right, it is written and can be read.
    Verified(PieceIndex),
    /// All blocks of the piece were here and its hash was wrong; they are forgotten.
    Corrupt(PieceIndex),
    /// The piece is no longer here: evicted from memory, or its blocks came while nothing could be written.
    Lost(PieceIndex),
    /// The torrent can take no more writes, for this reason; whatever was not verified is gone. Said once. Open it again to go on.
    Failed(StorageError),
    /// What [`Store::request_reads`](crate::Store::request_reads) asked for.
    Read {
        /// The caller's.
        token: u64,
        /// Exactly the bytes asked for.
        result: Result<Bytes, StorageError>,
    },
    /// The file is whole and has its final name.
    FileFinished(FileIndex),
    /// How far a check is; at most a few a second.
    Checking {
        /// Pieces looked at.
        checked: u32,
        /// Pieces to be looked at.
        of: u32,
        /// Of those looked at, how many are right.
        found: u32,
    },
}
