//! One torrent's state, shared between its handles and the threads: what is verified, what is on its way, what failed.

use std::{
    collections::HashMap,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use metainfo::{Bitfield, FileIndex, PieceIndex};

use crate::{
    Contents, Event, PartialPiece, Sink, StorageError,
    assembly::Assembly,
    files::{Files, OnDisk, Stamp},
    keeper::KeeperJob,
    memory::Memory,
    resume::{FileRecord, Record},
    threads::Threads,
};

#[derive(Debug)]
pub(crate) enum Backing {
    Files(Box<Files>),
    Memory(Memory),
}

pub(crate) struct Torrent {
    pub(crate) threads: Arc<Threads>,
    pub(crate) number: u64,
    pub(crate) contents: Contents,
    pub(crate) backing: Backing,
    pub(crate) sink: Sink,
    pub(crate) have: RwLock<Bitfield>,
    pub(crate) doubtful: Mutex<Bitfield>,
    pub(crate) assemblies: Mutex<HashMap<PieceIndex, Assembly>>,
    /// Held by the one that writes.
    pub(crate) writing: Mutex<()>,
    /// Blocks of a former run, until they are adopted.
    pub(crate) partial: Mutex<Vec<PartialPiece>>,
    /// Pieces each file still lacks.
    left: Vec<AtomicU32>,
    /// Files that have been said to be whole.
    finished: Vec<AtomicBool>,
    failure: Mutex<Option<StorageError>>,
    /// Blocks are not taken: it failed, is checked, or was closed.
    refusing: AtomicBool,
    pub(crate) checking: AtomicBool,
    pub(crate) closed: AtomicBool,
    /// Its files are being moved, which may take long: saves wait.
    pub(crate) moving: AtomicBool,
    /// A save is due.
    dirty: AtomicBool,
    pub(crate) saved: Mutex<Saved>,
}

/// What the resume data says, or will.
pub(crate) struct Saved {
    /// Where it is kept, if it is.
    pub(crate) path: Option<PathBuf>,
    /// Verified, and not yet known to be on the disk itself.
    pub(crate) unsynced: Vec<PieceIndex>,
    pub(crate) claimed: Bitfield,
    pub(crate) stamps: Vec<Option<Stamp>>,
    pub(crate) extra: Bytes,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a torrent begins with.
pub(crate) struct Beginning {
    pub(crate) have: Bitfield,
    pub(crate) doubtful: Bitfield,
    pub(crate) partial: Vec<PartialPiece>,
    pub(crate) failure: Option<StorageError>,
    pub(crate) saved: Saved,
}

impl Torrent {
    pub(crate) fn new(
        threads: Arc<Threads>,
        number: u64,
        contents: Contents,
        backing: Backing,
        sink: Sink,
        beginning: Beginning,
    ) -> Self {
        let left = contents.files().iter().map(|_| AtomicU32::new(0)).collect();
        let finished = contents.files().iter().map(|_| AtomicBool::new(false)).collect();
        let torrent = Self {
            threads,
            number,
            contents,
            backing,
            sink,
            have: RwLock::new(beginning.have),
            doubtful: Mutex::new(beginning.doubtful),
            assemblies: Mutex::default(),
            writing: Mutex::default(),
            partial: Mutex::new(beginning.partial),
            left,
            finished,
            refusing: AtomicBool::new(beginning.failure.is_some()),
            failure: Mutex::new(beginning.failure),
            checking: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            moving: AtomicBool::new(false),
            dirty: AtomicBool::new(false),
            saved: Mutex::new(beginning.saved),
        };
        torrent.count_left();
        if let Some(files) = torrent.files() {
            let places = files.read_places();
            for number in torrent.whole_files() {
                let named = places.on_disk[number] == OnDisk::Named;
                torrent.finished[number].store(named, Ordering::Release);
            }
        }
        torrent
    }

    pub(crate) fn has(&self, piece: PieceIndex) -> bool {
        self.have.read().unwrap_or_else(PoisonError::into_inner).has(piece)
    }

    pub(crate) fn has_all(&self, range: Range<u64>) -> bool {
        let layout = self.contents.layout();
        let have = self.have.read().unwrap_or_else(PoisonError::into_inner);
        range.end <= layout.total() && layout.pieces_of(range).all(|piece| have.has(PieceIndex(piece)))
    }

    pub(crate) fn files(&self) -> Option<&Files> {
        match &self.backing {
            Backing::Files(files) => Some(files),
            Backing::Memory(_) => None,
        }
    }

    pub(crate) fn tell(&self, events: Vec<Event>) {
        if !events.is_empty() && !self.closed.load(Ordering::Acquire) {
            (self.sink)(events);
        }
    }

    pub(crate) fn failure(&self) -> Option<StorageError> {
        lock(&self.failure).clone()
    }

    pub(crate) fn refuses(&self) -> bool {
        self.refusing.load(Ordering::Acquire)
    }

    /// No more writes from now on; said once.
    pub(crate) fn fail(&self, error: StorageError) {
        let mut failure = lock(&self.failure);
        if failure.is_some() || self.closed.load(Ordering::Acquire) {
            return;
        }
        tracing::debug!(info_hash = %self.contents.info_hash(), %error, "storing stopped");
        *failure = Some(error.clone());
        self.refusing.store(true, Ordering::Release);
        drop(failure);
        lock(&self.assemblies).clear();
        self.tell(vec![Event::Failed(error)]);
    }

    pub(crate) fn retry(&self) {
        let mut failure = lock(&self.failure);
        *failure = None;
        let refusing = self.checking.load(Ordering::Acquire) || self.closed.load(Ordering::Acquire);
        self.refusing.store(refusing, Ordering::Release);
    }

    pub(crate) fn set_checking(&self, checking: bool) {
        let failure = lock(&self.failure);
        self.checking.store(checking, Ordering::Release);
        let refusing = checking || failure.is_some() || self.closed.load(Ordering::Acquire);
        self.refusing.store(refusing, Ordering::Release);
    }

    pub(crate) fn set_closed(&self) {
        let _failure = lock(&self.failure);
        self.closed.store(true, Ordering::Release);
        self.refusing.store(true, Ordering::Release);
    }

    /// A piece is here; the files that are whole by it.
    pub(crate) fn verified(&self, piece: PieceIndex) -> Vec<usize> {
        if !self.have.write().unwrap_or_else(PoisonError::into_inner).insert(piece) {
            return Vec::new();
        }
        lock(&self.doubtful).remove(piece);
        let Some(files) = self.files() else { return Vec::new() };
        lock(&self.saved).unsynced.push(piece);
        let mut whole = Vec::new();
        for span in files.map.spans(self.contents.layout().range(piece)) {
            let number = span.file.as_usize();
            if self.left[number].fetch_sub(1, Ordering::AcqRel) == 1 && !self.contents.files()[number].pad {
                whole.push(number);
            }
        }
        whole
    }

    /// Pieces that a file lacks.
    pub(crate) fn left(&self, file: usize) -> u32 {
        self.left[file].load(Ordering::Acquire)
    }

    /// Counts anew what each file lacks.
    pub(crate) fn count_left(&self) {
        let Some(files) = self.files() else { return };
        let have = self.have.read().unwrap_or_else(PoisonError::into_inner);
        let mut counts = vec![0u32; self.left.len()];
        for piece in self.contents.layout().all().filter(|piece| !have.has(*piece)) {
            for span in files.map.spans(self.contents.layout().range(piece)) {
                counts[span.file.as_usize()] += 1;
            }
        }
        for ((left, finished), count) in self.left.iter().zip(&self.finished).zip(counts) {
            left.store(count, Ordering::Release);
            finished.fetch_and(count == 0, Ordering::AcqRel);
        }
    }

    /// The files that are whole, wanted or not.
    pub(crate) fn whole_files(&self) -> Vec<usize> {
        (0..self.left.len())
            .filter(|number| {
                let file = &self.contents.files()[*number];
                !file.pad && file.length > 0 && self.left(*number) == 0
            })
            .collect()
    }

    /// A save is due: at once after quiet, else within seconds.
    pub(crate) fn mark_dirty(self: &Arc<Self>) {
        if self.files().is_some() && !self.dirty.swap(true, Ordering::AcqRel) {
            self.threads.keeper.push([KeeperJob::Dirty(self.clone())]);
        }
    }

    pub(crate) fn take_dirty(&self) -> bool {
        self.dirty.swap(false, Ordering::AcqRel)
    }

    /// Reads bytes of the torrent, verified or not.
    pub(crate) fn read_raw(&self, range: Range<u64>, bytes: &mut [u8]) -> Result<(), StorageError> {
        match &self.backing {
            Backing::Files(files) => files.read(range, bytes, false).map(|_| ()),
            Backing::Memory(memory) => {
                let (start, end) = (range.start, range.end);
                let found = memory.read(range).ok_or(StorageError::NotVerified { start, end })?;
                bytes.copy_from_slice(&found);
                Ok(())
            }
        }
    }

    /// Reads verified bytes; with `now` only if that needs no waiting.
    pub(crate) fn read(&self, range: Range<u64>, now: bool) -> Result<Option<Bytes>, StorageError> {
        let (start, end) = (range.start, range.end);
        if start > end || !self.has_all(range.clone()) {
            return Err(StorageError::NotVerified { start, end });
        }
        match &self.backing {
            Backing::Memory(memory) => match memory.read(range) {
                Some(bytes) => Ok(Some(bytes)),
                None => Err(StorageError::NotVerified { start, end }),
            },
            Backing::Files(files) => {
                let length = usize::try_from(end - start).unwrap_or(usize::MAX);
                self.threads.buffers.fill(length, |bytes| files.read(range, bytes, now))
            }
        }
    }

    /// Brings what was written to the disk, then claims it. `clean`: nothing is being written any more.
    pub(crate) fn save(&self, clean: bool) -> Result<(), StorageError> {
        let Some(files) = self.files() else { return Ok(()) };
        // In this order: what is taken note of first is on the disk when it is claimed.
        let mut partial: Vec<_> = lock(&self.assemblies)
            .iter()
            .filter(|(_, assembly)| !assembly.is_empty())
            .map(|(piece, assembly)| PartialPiece { piece: *piece, blocks: assembly.received().collect() })
            .collect();
        partial.extend(lock(&self.partial).iter().cloned());
        let verified = std::mem::take(&mut lock(&self.saved).unsynced);
        // Only what was whole before it is looked at stays as it looks.
        let whole: Vec<bool> = self.left.iter().map(|left| left.load(Ordering::Acquire) == 0).collect();
        for number in files.take_dirty() {
            let stamp = files.sync(number)?;
            lock(&self.saved).stamps[number] = stamp;
        }
        let have = self.have.read().unwrap_or_else(PoisonError::into_inner);
        let mut saved = lock(&self.saved);
        for piece in verified.into_iter().filter(|piece| have.has(*piece)) {
            saved.claimed.insert(piece);
        }
        drop(have);
        let Some(path) = saved.path.clone() else { return Ok(()) };
        let places = files.read_places();
        let records = saved.stamps.iter().enumerate().map(|(number, stamp)| FileRecord {
            stamp: *stamp,
            open: !clean && !whole.get(number).copied().unwrap_or(false),
            unwanted: places.wanted.get(number).is_some_and(|wanted| !wanted),
        });
        let record = Record {
            saved_at: now(),
            claimed: saved.claimed.clone(),
            partial,
            files: records.collect(),
            extra: saved.extra.clone(),
        };
        drop((places, saved));
        record.save(&path, &self.contents).map_err(|error| StorageError::from_io(path, 0, "saving", &error))
    }

    /// Gives whole files their names, and makes those without bytes once all wanted ones are whole.
    pub(crate) fn finish(&self, numbers: &[usize]) -> Result<(), StorageError> {
        let Some(files) = self.files() else { return Ok(()) };
        let mut events = Vec::new();
        for number in numbers {
            let absent = files.read_places().on_disk[*number] == OnDisk::Absent;
            if absent || self.left(*number) > 0 || self.finished[*number].load(Ordering::Acquire) {
                continue;
            }
            files.sync(*number)?;
            files.finish(*number)?;
            self.finished[*number].store(true, Ordering::Release);
            lock(&self.saved).stamps[*number] = files.stamp(*number)?;
            events.push(Event::FileFinished(file_index(*number)));
        }
        let places = files.read_places();
        let wanted: Vec<usize> = (0..self.left.len()).filter(|number| places.wanted[*number]).collect();
        drop(places);
        if wanted.iter().all(|number| self.left(*number) == 0) {
            let empty = |number: &&usize| self.contents.files()[**number].length == 0;
            for number in wanted.iter().filter(empty).filter(|n| !self.contents.files()[**n].pad) {
                if files.stamp(*number)?.is_none() {
                    files.finish(*number)?;
                    lock(&self.saved).stamps[*number] = files.stamp(*number)?;
                    events.push(Event::FileFinished(file_index(*number)));
                }
            }
        }
        self.tell(events);
        Ok(())
    }
}

impl std::fmt::Debug for Torrent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:?})", self.contents.info_hash(), self.have)
    }
}

fn file_index(number: usize) -> FileIndex {
    FileIndex(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Nanoseconds since 1970.
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
