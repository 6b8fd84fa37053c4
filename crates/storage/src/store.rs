//! One torrent's bytes: blocks in, verified bytes out.

use std::{
    collections::HashMap,
    ops::Range,
    path::PathBuf,
    sync::{Arc, PoisonError, Weak, atomic::Ordering},
};

use bytes::Bytes;
use metainfo::{Bitfield, Block, BlockIndex, InfoHash, PieceIndex};

use crate::{
    Contents, Pending, Place, Sink, StorageError,
    assembly::Assembly,
    check,
    files::Files,
    keeper::KeeperJob,
    memory::Memory,
    pending::{Promise, promise},
    reader::{self, ReaderJob},
    relocate::{self, resume_path},
    resume::{Record, believe},
    threads::Threads,
    torrent::{Backing, Beginning, Saved, Torrent, lock},
    writer::WriterJob,
};

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
    torrent: Arc<Torrent>,
}

impl Store {
    pub(crate) fn open(
        threads: &Arc<Threads>,
        contents: Contents,
        place: Place,
        sink: Sink,
    ) -> Result<Self, StorageError> {
        let info_hash = contents.info_hash();
        let is_open = |open: &HashMap<InfoHash, Weak<Torrent>>| {
            let path = PathBuf::from(info_hash.to_string());
            let twice = open.get(&info_hash).is_some_and(|torrent| torrent.strong_count() > 0);
            let detail = "this torrent is open already".into();
            if twice { Err(StorageError::InTheWay { path, detail }) } else { Ok(()) }
        };
        is_open(&lock(&threads.open))?;
        let number = threads.next_number();
        let pieces = contents.layout().pieces();
        let mut beginning = Beginning {
            have: Bitfield::none(pieces),
            doubtful: Bitfield::none(pieces),
            partial: Vec::new(),
            failure: None,
            saved: Saved {
                path: None,
                unsynced: Vec::new(),
                claimed: Bitfield::none(pieces),
                stamps: vec![None; contents.files().len() + 1],
                extra: Bytes::new(),
            },
        };
        let backing = match place {
            Place::Memory { bytes_max } => Backing::Memory(Memory::new(contents.layout(), bytes_max)),
            Place::Directory { path, unfinished } => {
                let pool = threads.pool.clone();
                let files = Files::open(contents.clone(), path, unfinished, pool, number)?;
                remember(threads, &files, &mut beginning)?;
                Backing::Files(Box::new(files))
            }
        };
        let torrent = Arc::new(Torrent::new(threads.clone(), number, contents, backing, sink, beginning));
        let mut open = lock(&threads.open);
        is_open(&open)?;
        open.insert(info_hash, Arc::downgrade(&torrent));
        drop(open);
        // Whole, but not yet named when the last run ended.
        let whole = torrent.whole_files();
        if !whole.is_empty() && torrent.failure().is_none() {
            threads.keeper.push([KeeperJob::Finish(torrent.clone(), whole)]);
        }
        Ok(Self { torrent })
    }

    /// What is stored here.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.torrent.contents
    }

    /// The verified pieces, as of now.
    #[must_use]
    pub fn have(&self) -> Bitfield {
        self.torrent.have.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a piece is verified.
    #[must_use]
    pub fn has(&self, piece: PieceIndex) -> bool {
        self.torrent.has(piece)
    }

    /// Pieces that may be here and have to be checked first; none once [`check`](Self::check) is through.
    #[must_use]
    pub fn doubtful(&self) -> Bitfield {
        lock(&self.torrent.doubtful).clone()
    }

    /// Takes over the blocks that a former run left of unverified pieces: they need not be fetched, and count as written.
    /// Not called, they are forgotten, and the pieces are fetched whole. Call it once, before the first write. A piece is hashed when
    /// its last block is written, so one that was complete lacks its last block here.
    #[must_use]
    pub fn adopt_partial(&self) -> Vec<PartialPiece> {
        let mut partial = std::mem::take(&mut *lock(&self.torrent.partial));
        let layout = self.torrent.contents.layout();
        for PartialPiece { piece, blocks } in &mut partial {
            if blocks.len() >= layout.blocks(*piece) as usize {
                blocks.pop();
            }
        }
        partial.retain(|partial| !partial.blocks.is_empty());
        let mut assemblies = lock(&self.torrent.assemblies);
        for PartialPiece { piece, blocks } in &partial {
            let length = layout.length(*piece);
            assemblies.insert(*piece, Assembly::restored(length, blocks));
        }
        partial
    }

    /// Writes blocks, of any pieces, in any order; each exactly as long as [`metainfo::PieceLayout::block`] says.
    /// Returns at once; the pieces' fate comes as [`Event`](crate::Event)s. A block that is written a second time before
    /// its piece is decided is ignored, as are blocks of verified pieces. Slices are not copied and not held for long.
    ///
    /// One call for what one read of a socket brought costs a lock and a wake-up, not one for each block.
    pub fn write(&self, blocks: Vec<(BlockIndex, Bytes)>) {
        let threads = &self.torrent.threads;
        let mut jobs: Vec<Vec<WriterJob>> = Vec::new();
        jobs.resize_with(threads.writers(), Vec::new);
        let mut bytes = 0;
        for (index, slice) in blocks {
            bytes += slice.len() as u64;
            let jobs = &mut jobs[threads.writer(&self.torrent, index.piece)];
            match jobs.last_mut() {
                Some(WriterJob::Write { piece, blocks, .. }) if *piece == index.piece => {
                    blocks.push((index.block, slice));
                }
                _ => jobs.push(WriterJob::Write {
                    torrent: self.torrent.clone(),
                    piece: index.piece,
                    blocks: vec![(index.block, slice)],
                }),
            }
        }
        threads.in_flight.add(bytes);
        for (writer, jobs) in jobs.into_iter().enumerate().filter(|(_, jobs)| !jobs.is_empty()) {
            let of_jobs: usize = jobs.iter().map(WriterJob::bytes).sum();
            if !threads.write(writer, jobs) {
                threads.in_flight.remove(of_jobs as u64);
            }
        }
    }

    /// Reads for uploads, without waiting for a disk: one entry for each of `blocks`, `None` where the bytes are not
    /// verified or not in the page cache (send those to [`request_reads`](Self::request_reads)). Neighbours are read
    /// together and share one buffer. For a runtime's own threads.
    #[must_use]
    pub fn try_read(&self, blocks: &[Block]) -> Vec<Option<Bytes>> {
        let mut read = Vec::with_capacity(blocks.len());
        for run in reader::runs(blocks, |block| *block) {
            let range = reader::range_of(&self.torrent, run);
            let bytes = self.torrent.read(range, true).ok().flatten();
            let mut at = 0;
            for block in run {
                let end = at + block.length as usize;
                read.push(bytes.as_ref().map(|bytes| bytes.slice(at..end)));
                at = end;
            }
        }
        read
    }

    /// Reads for uploads on the storage's threads; each answer is an [`Event::Read`](crate::Event::Read) with its token. No
    /// answer comes once the torrent is closed.
    pub fn request_reads(&self, blocks: Vec<(u64, Block)>) {
        if !blocks.is_empty() {
            self.torrent.threads.readers.push([ReaderJob::Blocks { torrent: self.torrent.clone(), blocks }]);
        }
    }

    /// Reads bytes of the torrent without waiting for a disk; `None` when they are not at hand.
    #[must_use]
    pub fn try_read_range(&self, range: Range<u64>) -> Option<Bytes> {
        self.torrent.read(range, true).ok().flatten()
    }

    /// Reads bytes of the torrent, all of them verified.
    ///
    /// Its errors: [`StorageError::NotVerified`], or those of the system.
    pub fn read_range(&self, range: Range<u64>) -> Pending<Bytes> {
        let (promise, pending) = promise();
        self.torrent.threads.readers.push([ReaderJob::Range {
            torrent: self.torrent.clone(),
            range,
            promise,
        }]);
        pending
    }

    /// Reads and hashes pieces on all cores; progress comes as [`Event::Checking`](crate::Event::Checking). Blocks written
    /// meanwhile are [`Lost`](crate::Event::Lost). Answers with the pieces that are here. Dropping the answer cancels it:
    /// what was found until then stands, the rest stays doubtful. A check of all forgives a failure.
    pub fn check(&self, what: Check) -> Pending<Bitfield> {
        if self.torrent.checking.swap(true, Ordering::AcqRel) {
            return Pending::ready(Err(StorageError::Checking));
        }
        self.torrent.set_checking(true);
        let (promise, pending) = promise();
        let torrent = self.torrent.clone();
        let name = "storage-check".to_owned();
        let started =
            std::thread::Builder::new().name(name).spawn(move || check::run(&torrent, what, promise));
        if started.is_err() {
            self.torrent.set_checking(false);
        }
        pending
    }

    /// Says which files are wanted, one entry a file; all are at first, or what the last run said. An unwanted file is not
    /// made: what its neighbours' pieces bring of it is put aside, and put into it once it is wanted. One that is on disk
    /// stays there.
    pub fn select(&self, wanted: Vec<bool>) -> Pending<()> {
        self.ask(|torrent, promise| KeeperJob::Select(torrent, wanted, promise))
    }

    /// Memory only: how useful a piece is; of those held, the lowest go first, and a piece that comes when all others are
    /// more useful is not kept. Of equals the oldest goes. Called for each piece held whenever room is needed: it should
    /// be quick.
    pub fn set_usefulness(&self, usefulness: Arc<dyn Fn(PieceIndex) -> u64 + Send + Sync>) {
        if let Backing::Memory(memory) = &self.torrent.backing {
            memory.set_usefulness(usefulness);
        }
    }

    /// Keeps a few bytes of the caller's (counters) in the resume data, saved with it.
    pub fn set_extra(&self, extra: Bytes) {
        lock(&self.torrent.saved).extra = extra;
        self.torrent.mark_dirty();
    }

    /// The bytes that [`set_extra`](Self::set_extra) gave, in this run or the last.
    #[must_use]
    pub fn extra(&self) -> Bytes {
        lock(&self.torrent.saved).extra.clone()
    }

    /// Why no more writes are taken.
    #[must_use]
    pub fn failure(&self) -> Option<StorageError> {
        self.torrent.failure()
    }

    /// Takes writes again after a failure that has been seen to: the disk has room, the file is writable. What was
    /// written and not verified before it is gone. If nothing was seen to, it fails again at the first write.
    pub fn retry(&self) {
        self.torrent.retry();
    }

    /// Writes what is queued, saves the resume data now.
    pub fn save(&self) -> Pending<()> {
        self.ask(KeeperJob::Save)
    }

    /// Like [`save`](Self::save), then closes the files; nothing is taken or given afterwards.
    pub fn close(&self) -> Pending<()> {
        self.ask(KeeperJob::Close)
    }

    /// Moves the files beneath another folder: renamed where that is one file system, else copied, then removed. Stop
    /// writing first: whatever is read or written meanwhile waits.
    pub fn move_to(&self, directory: PathBuf) -> Pending<()> {
        let (promise, pending) = promise();
        let torrent = self.torrent.clone();
        torrent.moving.store(true, Ordering::Release);
        let work = move || {
            torrent.threads.settle_writes();
            let result = torrent.files().map_or(Ok(()), |files| relocate::move_to(files, &directory));
            torrent.moving.store(false, Ordering::Release);
            torrent.mark_dirty();
            promise.set(result);
        };
        // Not started, the promise is dropped, and that is the answer.
        if std::thread::Builder::new().name("storage-move".into()).spawn(work).is_err() {
            self.torrent.moving.store(false, Ordering::Release);
        }
        pending
    }

    /// Closes it and removes its own files, its resume data, and the folders that are empty then.
    pub fn remove_data(&self) -> Pending<()> {
        self.ask(KeeperJob::Remove)
    }

    fn ask(&self, job: impl FnOnce(Arc<Torrent>, Promise<()>) -> KeeperJob) -> Pending<()> {
        let (promise, pending) = promise();
        self.torrent.threads.keeper.push([job(self.torrent.clone(), promise)]);
        pending
    }
}

/// What the last run knew, as far as the disk still bears it out.
fn remember(threads: &Threads, files: &Files, beginning: &mut Beginning) -> Result<(), StorageError> {
    let contents = &files.contents;
    let path = threads.state_directory.as_ref().map(|folder| resume_path(folder, contents.info_hash()));
    let record = match &path {
        Some(path) => Record::load(path, contents)
            .map_err(|error| StorageError::from_io(path.clone(), 0, "reading", &error))?,
        None => None,
    };
    let believed = believe(record.as_ref(), files)?;
    beginning.saved.path = path;
    if let Some(record) = record {
        let mut places = files.write_places();
        for (wanted, file) in places.wanted.iter_mut().zip(&record.files) {
            *wanted = !file.unwanted;
        }
        beginning.saved.extra = record.extra;
    }
    for (number, stamp) in beginning.saved.stamps.iter_mut().enumerate() {
        *stamp = files.stamp(number)?;
    }
    beginning.saved.claimed = believed.have.clone();
    beginning.have = believed.have;
    beginning.doubtful = believed.doubtful;
    beginning.partial = believed.partial;
    beginning.failure = believed.gone;
    Ok(())
}
