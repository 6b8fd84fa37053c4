//! The thread that writes and deletes files of the cache.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering, mpsc::Receiver},
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;

use super::{Inner, Work, bytes_of, file, ledger::Item, name_of};
use crate::{ContentKey, key::SegmentKey, limits::CACHE_SCAN_TITLES_MAX, stats::bump};

/// What a new file may take beyond its own blocks: one for its extents, one for each directory that grows or is made.
const SLACK_BYTES: u64 = 4 * 4096;

pub(super) struct Writer {
    inner: Arc<Inner>,
    /// What each directory takes.
    dirs: HashMap<PathBuf, u64>,
    next_temp: u64,
}

impl Writer {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner, dirs: HashMap::new(), next_temp: 0 }
    }

    pub(super) fn run(mut self, work: &Receiver<Work>) {
        self.scan();
        self.inner.scanned.store(true, Ordering::Release);
        while let Ok(work) = work.recv() {
            if self.inner.stopping.load(Ordering::Acquire) {
                return;
            }
            match work {
                Work::Write(item, chunks) => {
                    self.write(&item, &chunks);
                    self.inner.queued_bytes.fetch_sub(bytes_of(&chunks), Ordering::Relaxed);
                }
                Work::Remove(item) => self.remove(&item),
                Work::Touch(content) => self.touch(&content),
                Work::Flush(done) => {
                    // Whoever asked may have gone.
                    let _ = done.send(());
                }
            }
        }
    }

    fn write(&mut self, item: &Item, chunks: &[Bytes]) {
        let again = matches!(item, Item::Plan(_));
        if !again && self.inner.ledger().contains(item) {
            return;
        }
        let need = file::rounded(bytes_of(chunks) + file::TRAILER_BYTES) + SLACK_BYTES;
        if !self.make_room(need) {
            bump(&self.inner.counters.cache_skipped, 1);
            return;
        }
        self.inner.ledger().adjust(0, need);
        let written = self.write_file(item, chunks);
        {
            let mut ledger = self.inner.ledger();
            ledger.adjust(need, 0);
            if let Ok(bytes) = &written {
                ledger.put(item, *bytes);
            }
        }
        self.weigh_dirs_of(item);
        if let Err(error) = written {
            bump(&self.inner.counters.cache_skipped, 1);
            tracing::warn!(file = name_of(item), %error, "cache file could not be written");
        }
    }

    fn write_file(&mut self, item: &Item, chunks: &[Bytes]) -> io::Result<u64> {
        self.next_temp += 1;
        let temp = self.inner.dir.join("tmp").join(format!("{}.tmp", self.next_temp));
        let path = self.inner.path(item);
        let written = file::write(&temp, &name_of(item), chunks).and_then(|bytes| {
            #[cfg(test)]
            self.inner.weigh_all();
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::rename(&temp, &path)?;
            #[cfg(test)]
            self.inner.weigh_all();
            Ok(bytes)
        });
        if written.is_err() {
            let _ = fs::remove_file(&temp);
        }
        written
    }

    /// Puts files out until `need` bytes fit; whether they do.
    fn make_room(&mut self, need: u64) -> bool {
        loop {
            let victim = {
                let ledger = self.inner.ledger();
                if ledger.fits(need) {
                    return true;
                }
                if need > ledger.limit() {
                    return false;
                }
                ledger.victim()
            };
            let Some(victim) = victim else { return false };
            self.remove(&victim);
            bump(&self.inner.counters.cache_evicted, 1);
        }
    }

    fn remove(&mut self, item: &Item) {
        let path = self.inner.path(item);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(file = name_of(item), %error, "cache file cannot be deleted");
                // It goes on taking its room, but is not chosen again.
                let mut ledger = self.inner.ledger();
                let bytes = ledger.take(item).unwrap_or(0);
                ledger.adjust(0, bytes);
                return;
            }
        }
        self.inner.ledger().take(item);
        if matches!(item, Item::Segment(_)) {
            // Directories that are not empty refuse to go.
            for dir in path.ancestors().skip(1).take(2) {
                if fs::remove_dir(dir).is_err() {
                    break;
                }
                let bytes = self.dirs.remove(dir).unwrap_or(0);
                self.inner.ledger().adjust(bytes, 0);
            }
        }
    }

    fn weigh_dirs_of(&mut self, item: &Item) {
        let path = self.inner.path(item);
        let count = if matches!(item, Item::Plan(_)) { 1 } else { 3 };
        path.ancestors().skip(1).take(count).for_each(|dir| self.weigh(dir));
    }

    fn weigh(&mut self, dir: &Path) {
        let now = fs::metadata(dir).map_or(0, |m| file::allocated(&m));
        let before = self.dirs.insert(dir.to_owned(), now).unwrap_or(0);
        self.inner.ledger().adjust(before, now);
    }

    fn touch(&self, content: &ContentKey) {
        let dir = self.inner.dir.join("segments").join(content.as_str());
        // Only orders eviction after a restart: a directory that is not there, or not ours to touch, is no loss.
        let _ = fs::File::open(dir).and_then(|d| d.set_modified(SystemTime::now()));
    }

    /// Takes what is there from before into account, and puts out what is over the limit.
    fn scan(&mut self) {
        let dir = self.inner.dir.clone();
        for (_, temp) in entries(&dir.join("tmp")) {
            let _ = fs::remove_file(temp);
        }
        for sub in ["", "segments", "plans", "tmp"] {
            self.weigh(&dir.join(sub));
        }
        for (name, path) in entries(&dir.join("plans")).take(CACHE_SCAN_TITLES_MAX) {
            let content = name.strip_suffix(".plan").and_then(ContentKey::new);
            let (Some(content), Ok(metadata)) = (content, fs::metadata(&path)) else { continue };
            let mut ledger = self.inner.ledger();
            ledger.put(&Item::Plan(content.clone()), file::allocated(&metadata));
            ledger.found(&content, seconds(&metadata));
        }
        for (name, path) in entries(&dir.join("segments")).take(CACHE_SCAN_TITLES_MAX) {
            if self.inner.stopping.load(Ordering::Acquire) {
                return;
            }
            if let Some(content) = ContentKey::new(&name) {
                self.scan_title(&content, &path);
            }
        }
        if !self.make_room(0) {
            tracing::warn!("the cache's directories alone take more than its limit");
        }
    }

    fn scan_title(&mut self, content: &ContentKey, dir: &Path) {
        for (rendition, dir) in entries(dir) {
            for (file, path) in entries(&dir) {
                let key = SegmentKey::parse(content, &rendition, &file);
                let (Some(key), Ok(metadata)) = (key, fs::metadata(&path)) else { continue };
                self.inner.ledger().put(&Item::Segment(key), file::allocated(&metadata));
            }
            self.weigh(&dir);
        }
        self.weigh(dir);
        if let Ok(metadata) = fs::metadata(dir) {
            self.inner.ledger().found(content, seconds(&metadata));
        }
    }
}

/// Name and path of what is in a directory; nothing of one that cannot be read.
fn entries(dir: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    let list = fs::read_dir(dir).into_iter().flatten().flatten();
    list.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
}

fn seconds(metadata: &fs::Metadata) -> u64 {
    let modified = metadata.modified().ok();
    modified.and_then(|m| m.duration_since(UNIX_EPOCH).ok()).map_or(0, |d| d.as_secs())
}
