//! One torrent's bytes: blocks in, verified bytes out.

use std::{ops::Range, path::PathBuf, sync::Arc};

use bytes::Bytes;
use metainfo::{Bitfield, Block, BlockIndex, PieceIndex};

use crate::{Contents, Pending, Place, Sink, StorageError};

/// A piece of which some blocks are on disk, unverified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialPiece {
    /// Which piece.
    pub piece: PieceIndex,
    /// Its blocks that are here, in order.
    pub blocks: Vec<u32>,
}

/// What a check looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The pieces whose files changed, or that nothing is known of.
    Doubtful,
    /// Every piece. What was verified counts as nothing until it is found again.
    All,
}

/// The bytes of one torrent. A cheap handle; clones speak of the same torrent.
#[derive(Clone, Debug)]
pub struct Store {
    contents: Contents,
}

impl Store {
    pub(crate) fn open(contents: Contents, _place: Place, _sink: Sink) -> Result<Self, StorageError> {
        Ok(Self { contents })
    }

    /// What is stored here.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The verified pieces, as of now.
    #[must_use]
    pub fn have(&self) -> Bitfield {
        Bitfield::none(self.contents.layout().pieces())
    }

    /// Whether a piece is verified.
    #[must_use]
    pub fn has(&self, _piece: PieceIndex) -> bool {
        false
    }

    /// Pieces that may be here and have to be checked first; none once [`check`](Self::check) is through.
    #[must_use]
    pub fn doubtful(&self) -> Bitfield {
        Bitfield::none(self.contents.layout().pieces())
    }

    /// Takes over the blocks that a former run left of unverified pieces: they need not be fetched, and count as written.
    /// Not called, they are forgotten, and the pieces are fetched whole. Call it once, before the first write.
    #[must_use]
    pub fn adopt_partial(&self) -> Vec<PartialPiece> {
        Vec::new()
    }

    /// Writes blocks, of any pieces, in any order; each exactly as long as [`metainfo::PieceLayout::block`] says.
    /// Returns at once; the pieces' fate comes as [`Event`](crate::Event)s. A block that is written a second time before
    /// its piece is decided is ignored. Slices are not copied and not held for long.
    pub fn write(&self, _blocks: Vec<(BlockIndex, Bytes)>) {}

    /// Reads for uploads, without waiting for a disk: one entry for each of `blocks`, `None` where the bytes are not
    /// verified or not in the page cache (send those to [`request_reads`](Self::request_reads)). Neighbours are read
    /// together and share one buffer. For a runtime's own threads.
    #[must_use]
    pub fn try_read(&self, blocks: &[Block]) -> Vec<Option<Bytes>> {
        vec![None; blocks.len()]
    }

    /// Reads for uploads on the storage's threads; each answer is an [`Event::Read`](crate::Event::Read) with its token.
    pub fn request_reads(&self, _blocks: Vec<(u64, Block)>) {}

    /// Reads bytes of the torrent without waiting for a disk; `None` when they are not at hand.
    #[must_use]
    pub fn try_read_range(&self, _range: Range<u64>) -> Option<Bytes> {
        None
    }

    /// Reads bytes of the torrent, all of them verified.
    ///
    /// Its errors: [`StorageError::NotVerified`], or those of the system.
    pub fn read_range(&self, range: Range<u64>) -> Pending<Bytes> {
        Pending::ready(Err(StorageError::NotVerified { start: range.start, end: range.end }))
    }

    /// Reads and hashes pieces on all cores; progress comes as [`Event::Checking`](crate::Event::Checking). Blocks written
    /// meanwhile are [`Lost`](crate::Event::Lost). Answers with the pieces that are here. Dropping the answer cancels it:
    /// what was found until then stands, the rest stays doubtful.
    pub fn check(&self, _what: Check) -> Pending<Bitfield> {
        Pending::ready(Ok(self.have()))
    }

    /// Says which files are wanted, one entry a file; all are at first. An unwanted file is not made: what its neighbours'
    /// pieces bring of it is put aside, and put into it once it is wanted.
    pub fn select(&self, _wanted: Vec<bool>) -> Pending<()> {
        Pending::ready(Ok(()))
    }

    /// Memory only: how useful a piece is; of those held, the lowest go first. Called often: it should be quick.
    pub fn set_usefulness(&self, _usefulness: Arc<dyn Fn(PieceIndex) -> u64 + Send + Sync>) {}

    /// Keeps a few bytes of the caller's (counters) in the resume data, saved with it.
    pub fn set_extra(&self, _extra: Bytes) {}

    /// The bytes that [`set_extra`](Self::set_extra) gave, in this run or the last.
    #[must_use]
    pub fn extra(&self) -> Bytes {
        Bytes::new()
    }

    /// Why no more writes are taken.
    #[must_use]
    pub fn failure(&self) -> Option<StorageError> {
        None
    }

    /// Writes what is queued, saves the resume data now.
    pub fn save(&self) -> Pending<()> {
        Pending::ready(Ok(()))
    }

    /// Like [`save`](Self::save), then closes the files; nothing is taken or given afterwards.
    pub fn close(&self) -> Pending<()> {
        Pending::ready(Ok(()))
    }

    /// Moves the files beneath another folder: renamed where that is one file system, else copied, then removed.
    pub fn move_to(&self, _directory: PathBuf) -> Pending<()> {
        Pending::ready(Ok(()))
    }

    /// Closes it and removes its own files, its resume data, and the folders that are empty then.
    pub fn remove_data(&self) -> Pending<()> {
        Pending::ready(Ok(()))
    }
}
