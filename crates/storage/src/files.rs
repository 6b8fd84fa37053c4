//! The files of one torrent: positioned reads and writes over their borders, under which name each is. What is put aside for those
//! that nobody wants is in `files/parts`. Moving and removing them is in `relocate`.
//!
//! A file is made when its first byte comes, at once as long as it will be (sparse), under `name.part` unless told
//! otherwise, and gets its name when it is whole. One that already has the final name is used where it is.

mod parts;

use std::{
    collections::HashSet,
    fs::Metadata,
    io::{self, IoSlice},
    ops::Range,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use rustix::io::Errno;

use crate::{
    Contents, FileEntry, StorageError, Unfinished,
    beneath::Top,
    map::{FileMap, Span},
    pool::{Key, Open, Pool},
    raw::{index, read_all, read_now, write_all},
};

/// What unfinished files are called beyond their name.
pub(crate) const SUFFIX: &str = ".part";

/// Where a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnDisk {
    /// Nowhere. If nobody wants it, what comes of it goes to the file of parts.
    Absent,
    /// Under its name and [`SUFFIX`].
    Suffixed,
    /// Under its name.
    Named,
}

/// What a file looked like when it was last saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) length: u64,
    /// Nanoseconds since 1970.
    pub(crate) modified: i64,
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        let modified = found.mtime().saturating_mul(1_000_000_000).saturating_add(found.mtime_nsec());
        Self { length: found.len(), modified }
    }
}

#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) top: PathBuf,
    /// How often they were moved.
    pub(crate) moves: u64,
    pub(crate) on_disk: Vec<OnDisk>,
    pub(crate) wanted: Vec<bool>,
}

#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) contents: Contents,
    pub(crate) map: FileMap,
    pub(crate) pool: Arc<Pool>,
    pub(crate) torrent: u64,
    unfinished: Unfinished,
    /// Files whose name with the suffix is another file's name: they keep their own from the first byte.
    never_suffixed: HashSet<usize>,
    /// Read while bytes move, written while names change.
    places: RwLock<Places>,
    /// How long each file has been seen, or made: a shorter one was cut by somebody.
    lengths: Vec<AtomicU64>,
    /// Written since last saved; the last entry is the file of parts.
    dirty: Vec<AtomicBool>,
}

impl Files {
    /// Looks at what is there. Makes nothing.
    pub(crate) fn open(
        contents: Contents,
        top: PathBuf,
        unfinished: Unfinished,
        pool: Arc<Pool>,
        torrent: u64,
    ) -> Result<Self, StorageError> {
        let count = contents.files().len();
        let files = Self {
            map: FileMap::new(contents.layout(), contents.files()),
            pool,
            torrent,
            unfinished,
            never_suffixed: never_suffixed(&contents),
            places: RwLock::new(Places {
                top: top.clone(),
                moves: 0,
                on_disk: vec![OnDisk::Absent; count],
                wanted: vec![true; count],
            }),
            lengths: (0..=count).map(|_| AtomicU64::new(0)).collect(),
            dirty: (0..=count).map(|_| AtomicBool::new(false)).collect(),
            contents,
        };
        let opened = match Top::open(&top) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
            Err(error) => return Err(StorageError::from_io(top, 0, "opening", &error)),
        };
        let mut places = files.write_places();
        for number in 0..count {
            places.on_disk[number] = files.find(&opened, number)?;
        }
        drop(places);
        Ok(files)
    }

    fn find(&self, top: &Top, number: usize) -> Result<OnDisk, StorageError> {
        let file = &self.contents.files()[number];
        if file.pad {
            return Ok(OnDisk::Absent);
        }
        for on_disk in [OnDisk::Suffixed, OnDisk::Named] {
            if on_disk == OnDisk::Suffixed && self.never_suffixed.contains(&number) {
                continue;
            }
            let path = self.path(number, on_disk);
            let name = || top.name(&path);
            match top.look(&path) {
                Ok(None) => {}
                Ok(Some(found)) if !found.is_file() => {
                    return Err(StorageError::InTheWay { path: name(), detail: "not a regular file".into() });
                }
                Ok(Some(found)) if found.len() > file.length => {
                    let detail = format!("{} bytes where the torrent has {}", found.len(), file.length);
                    return Err(StorageError::InTheWay { path: name(), detail });
                }
                Ok(Some(found)) => {
                    self.lengths[number].store(found.len(), Ordering::Release);
                    return Ok(on_disk);
                }
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                    let detail = "a file where the torrent has a folder".into();
                    return Err(StorageError::InTheWay { path: name(), detail });
                }
                Err(error) => return Err(StorageError::from_io(name(), file.length, "looking", &error)),
            }
        }
        Ok(OnDisk::Absent)
    }

    pub(crate) fn read_places(&self) -> RwLockReadGuard<'_, Places> {
        self.places.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write_places(&self) -> RwLockWriteGuard<'_, Places> {
        self.places.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path beneath the top of a file, or of the file of parts.
    pub(crate) fn path(&self, number: usize, on_disk: OnDisk) -> Vec<String> {
        let Some(file) = self.contents.files().get(number) else {
            return vec![format!(".{}.parts", self.contents.info_hash())];
        };
        let mut path = file.path.clone();
        if on_disk == OnDisk::Suffixed
            && let Some(name) = path.last_mut()
        {
            name.push_str(SUFFIX);
        }
        path
    }

    pub(crate) fn error(
        &self,
        places: &Places,
        number: usize,
        doing: &str,
        error: &io::Error,
    ) -> StorageError {
        let on_disk = places.on_disk.get(number).copied().unwrap_or(OnDisk::Named);
        let path = self.path(number, on_disk);
        let name = path.iter().fold(places.top.clone(), |whole, step| whole.join(step));
        let length = self.contents.files().get(number).map_or(0, |file| file.length);
        StorageError::from_io(name, length, doing, error)
    }

    pub(crate) fn key(&self, number: usize) -> Key {
        Key { torrent: self.torrent, file: u32::try_from(number).unwrap_or(u32::MAX) }
    }

    /// Opens a file that is on disk, or the file of parts.
    pub(crate) fn opened(&self, places: &Places, number: usize, writing: bool) -> io::Result<Arc<Open>> {
        let on_disk = places.on_disk.get(number).copied().unwrap_or(OnDisk::Named);
        self.pool.get(self.key(number), writing, || {
            let file = Top::open(&places.top)?.file(&self.path(number, on_disk), writing)?;
            // One that came from elsewhere may be shorter; its end would otherwise look cut off.
            if let Some(entry) = self.contents.files().get(number)
                && writing
                && file.metadata()?.len() < entry.length
            {
                if file.metadata()?.len() < self.lengths[number].load(Ordering::Acquire) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                file.set_len(entry.length)?;
                self.lengths[number].store(entry.length, Ordering::Release);
            }
            Ok(file)
        })
    }

    /// Makes a file, or the file of parts.
    fn create(&self, places: &mut Places, number: usize) -> io::Result<()> {
        let suffixed = self.unfinished == Unfinished::Suffixed
            && number < self.parts_number()
            && !self.never_suffixed.contains(&number);
        let on_disk = if suffixed { OnDisk::Suffixed } else { OnDisk::Named };
        let file = Top::make(&places.top)?.new_file(&self.path(number, on_disk))?;
        if let Some(entry) = self.contents.files().get(number) {
            // Set before anything can fail: the file is there now.
            places.on_disk[number] = on_disk;
            file.set_len(entry.length)?;
            self.lengths[number].store(entry.length, Ordering::Release);
        }
        self.pool.put(self.key(number), Open::new(file, true));
        Ok(())
    }

    /// Writes neighbouring slices at the torrent's byte `offset`, over the borders of files.
    pub(crate) fn write(&self, offset: u64, slices: &[Bytes]) -> Result<(), StorageError> {
        let length: u64 = slices.iter().map(|slice| slice.len() as u64).sum();
        let whole = offset..offset + length;
        let mut all: Vec<IoSlice<'_>> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        let mut rest = all.as_mut_slice();
        for span in self.map.spans(whole.clone()) {
            // Most runs lie within one file: then there is nothing to cut.
            if span.range == whole {
                return self.write_span(&span, rest);
            }
            let bytes = index(span.range.end - span.range.start);
            let mut left = bytes;
            let mut cut = Vec::new();
            for slice in rest.iter() {
                if left == 0 {
                    break;
                }
                let part = slice.len().min(left);
                cut.push(IoSlice::new(&slice[..part]));
                left -= part;
            }
            self.write_span(&span, &mut cut)?;
            drop(cut);
            IoSlice::advance_slices(&mut rest, bytes);
        }
        Ok(())
    }

    fn write_span(&self, span: &Span, slices: &mut [IoSlice<'_>]) -> Result<(), StorageError> {
        let number = span.file.as_usize();
        if self.contents.files()[number].pad {
            return Ok(());
        }
        loop {
            let places = self.read_places();
            let aside = self.put_aside(&places, number) && self.fits_parts(span);
            let missing = match aside {
                true => !self.parts_open(&places)?,
                // Also for a piece that lies in an unwanted file alone, fetched for a reader or before that was deselected: there
                // is no place to put it aside, and what is verified must be on disk.
                false => places.on_disk[number] == OnDisk::Absent,
            };
            if !missing {
                return match aside {
                    true => self.write_part(&places, span, slices),
                    false => self
                        .write_at(&places, number, span.offset, slices)
                        .map_err(|error| self.error(&places, number, "writing", &error)),
                };
            }
            // Names change only while nobody looks at them, and another thread may have been faster: then it is looked again.
            drop(places);
            if aside { self.make_parts() } else { self.make(number) }?;
        }
    }

    /// Makes a file, unless another thread was faster, with what was put aside of it.
    fn make(&self, number: usize) -> Result<(), StorageError> {
        let mut places = self.write_places();
        if places.on_disk[number] == OnDisk::Absent {
            self.create(&mut places, number)
                .map_err(|error| self.error(&places, number, "making", &error))?;
            self.fetch_parts(&places, number)?;
        }
        Ok(())
    }

    fn write_at(
        &self,
        places: &Places,
        number: usize,
        offset: u64,
        slices: &mut [IoSlice<'_>],
    ) -> io::Result<()> {
        let open = self.opened(places, number, true)?;
        // Before the bytes: a save that comes between must not miss them.
        self.dirty[number].store(true, Ordering::Release);
        let written = write_all(&open.file, slices, offset);
        // And after: one that came between has seen the file without them.
        self.dirty[number].store(true, Ordering::Release);
        written
    }

    /// Reads bytes of the torrent. With `now`, only what needs no waiting: `false` when something would.
    pub(crate) fn read(&self, range: Range<u64>, bytes: &mut [u8], now: bool) -> Result<bool, StorageError> {
        let places = if now {
            match self.places.try_read() {
                Ok(places) => places,
                Err(_) => return Ok(false),
            }
        } else {
            self.read_places()
        };
        let mut rest = bytes;
        for span in self.map.spans(range) {
            let (part, after) = rest.split_at_mut(index(span.range.end - span.range.start));
            rest = after;
            let number = span.file.as_usize();
            let complete = if self.contents.files()[number].pad {
                part.fill(0);
                true
            } else if places.on_disk[number] == OnDisk::Absent {
                self.read_parts(&places, &span, part, now)?
            } else {
                self.read_at(&places, number, span.offset, part, now)?
            };
            if !complete {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn read_at(
        &self,
        places: &Places,
        number: usize,
        offset: u64,
        bytes: &mut [u8],
        now: bool,
    ) -> Result<bool, StorageError> {
        let read = if now {
            // Opening may wait for a disk: left to the threads.
            match self.pool.peek(self.key(number)) {
                Some(open) => return Ok(read_now(&open, offset, bytes)),
                None => return Ok(false),
            }
        } else {
            self.opened(places, number, false).and_then(|open| read_all(&open.file, offset, bytes))
        };
        read.map(|()| true).map_err(|error| self.error(places, number, "reading", &error))
    }

    /// Lets the system fetch bytes that will be read soon.
    pub(crate) fn will_read(&self, range: Range<u64>) {
        let places = self.read_places();
        for span in self.map.spans(range) {
            let number = span.file.as_usize();
            if places.on_disk[number] != OnDisk::Absent
                && let Ok(open) = self.opened(&places, number, false)
            {
                let length = std::num::NonZeroU64::new(span.range.end - span.range.start);
                let _ = rustix::fs::fadvise(&open.file, span.offset, length, rustix::fs::Advice::WillNeed);
            }
        }
    }

    /// Gives a whole file its name. Its bytes reach the disk first: a name is a promise.
    pub(crate) fn finish(&self, number: usize) -> Result<(), StorageError> {
        let mut places = self.write_places();
        let entry = &self.contents.files()[number];
        if entry.pad {
            return Ok(());
        }
        if entry.length == 0 && places.on_disk[number] == OnDisk::Absent {
            Top::make(&places.top)
                .and_then(|top| top.new_file(&entry.path))
                .map_err(|error| self.error(&places, number, "making", &error))?;
            places.on_disk[number] = OnDisk::Named;
        }
        if places.on_disk[number] == OnDisk::Suffixed {
            Top::open(&places.top)
                .and_then(|top| {
                    top.rename(&self.path(number, OnDisk::Suffixed), &self.path(number, OnDisk::Named))
                })
                .map_err(|error| {
                    let taken = error.kind() == io::ErrorKind::AlreadyExists;
                    places.on_disk[number] = if taken { OnDisk::Named } else { OnDisk::Suffixed };
                    let told = self.error(&places, number, "naming", &error);
                    places.on_disk[number] = OnDisk::Suffixed;
                    told
                })?;
            places.on_disk[number] = OnDisk::Named;
        }
        Ok(())
    }

    /// Lets the next save look at every file.
    pub(crate) fn all_dirty(&self) {
        let places = self.read_places();
        for (dirty, on_disk) in self.dirty.iter().zip(places.on_disk.iter().chain([&OnDisk::Named])) {
            dirty.fetch_or(*on_disk != OnDisk::Absent, Ordering::AcqRel);
        }
    }

    /// The files written since this was last asked.
    pub(crate) fn take_dirty(&self) -> Vec<usize> {
        (0..self.dirty.len()).filter(|number| self.dirty[*number].swap(false, Ordering::AcqRel)).collect()
    }

    /// Brings a file's bytes to the disk and says what it looks like then.
    ///
    /// # Errors
    /// [`StorageError::Changed`] when the name no longer leads to what was written.
    pub(crate) fn sync(&self, number: usize) -> Result<Option<Stamp>, StorageError> {
        let (open, moves) = {
            let places = self.read_places();
            if places.on_disk.get(number) == Some(&OnDisk::Absent) {
                return Ok(None);
            }
            match self.opened(&places, number, false) {
                Ok(open) => (open, places.moves),
                // The file of parts goes when everything is wanted.
                Err(error) if error.kind() == io::ErrorKind::NotFound && number == self.parts_number() => {
                    return Ok(None);
                }
                Err(error) => return Err(self.error(&places, number, "opening", &error)),
            }
        };
        // Not under the lock: it may take seconds, and others write meanwhile.
        let synced = rustix::fs::fdatasync(&open.file);
        let places = self.read_places();
        if places.moves != moves {
            drop(places);
            return self.sync(number);
        }
        synced.map_err(|error| self.error(&places, number, "flushing", &error.into()))?;
        let changed = |detail: &str| {
            let path = self.error(&places, number, "", &io::ErrorKind::NotFound.into());
            match path {
                StorageError::Changed { path, .. } => StorageError::Changed { path, detail: detail.into() },
                other => other,
            }
        };
        let Some(found) = self.look(&places, number)? else {
            return if number == self.parts_number() { Ok(None) } else { Err(changed("the file is gone")) };
        };
        let ours = open.file.metadata().map_err(|error| self.error(&places, number, "looking", &error))?;
        if (ours.dev(), ours.ino()) != (found.dev(), found.ino()) {
            return Err(changed("another file has taken its place"));
        }
        if found.len() < self.lengths[number].load(Ordering::Acquire) {
            return Err(changed("the file is shorter than it was"));
        }
        Ok(Some(Stamp::of(&found)))
    }

    /// What a file looks like; `None` when it is not there.
    pub(crate) fn stamp(&self, number: usize) -> Result<Option<Stamp>, StorageError> {
        Ok(self.look(&self.read_places(), number)?.as_ref().map(Stamp::of))
    }

    fn look(&self, places: &Places, number: usize) -> Result<Option<Metadata>, StorageError> {
        let on_disk = places.on_disk.get(number).copied().unwrap_or(OnDisk::Named);
        if on_disk == OnDisk::Absent {
            return Ok(None);
        }
        let found = Top::open(&places.top).and_then(|top| top.look(&self.path(number, on_disk)));
        match found {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map_err(|error| self.error(places, number, "looking", &error)),
        }
    }

    /// Looks again where files are; for a check, after the user changed something.
    pub(crate) fn find_again(&self) -> Result<(), StorageError> {
        let mut places = self.write_places();
        self.pool.close(self.torrent, None);
        let top = match Top::open(&places.top) {
            Ok(top) => top,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                places.on_disk.fill(OnDisk::Absent);
                return Ok(());
            }
            Err(error) => return Err(StorageError::from_io(places.top.clone(), 0, "opening", &error)),
        };
        for number in 0..self.parts_number() {
            places.on_disk[number] = self.find(&top, number)?;
        }
        Ok(())
    }

    /// Whether bytes `range`, all on disk, were never written: a hole. Only a hint.
    pub(crate) fn is_hole(&self, range: Range<u64>) -> bool {
        let places = self.read_places();
        self.map.spans(range).all(|span| {
            let number = span.file.as_usize();
            if self.contents.files()[number].pad || places.on_disk[number] == OnDisk::Absent {
                return self.contents.files()[number].pad;
            }
            let Ok(open) = self.opened(&places, number, false) else { return false };
            match rustix::fs::seek(&open.file, rustix::fs::SeekFrom::Data(span.offset)) {
                Ok(data) => data >= span.offset + (span.range.end - span.range.start),
                Err(Errno::NXIO) => true,
                Err(_) => false,
            }
        })
    }
}

fn never_suffixed(contents: &Contents) -> HashSet<usize> {
    let names: HashSet<&[String]> = contents.files().iter().map(|file| file.path.as_slice()).collect();
    let suffixed = |file: &FileEntry| {
        let mut path = file.path.clone();
        path.last_mut()?.push_str(SUFFIX);
        Some(path)
    };
    let taken = |file| suffixed(file).is_some_and(|path| names.contains(path.as_slice()));
    (0..).zip(contents.files()).filter(|(_, file)| taken(file)).map(|(number, _)| number).collect()
}
