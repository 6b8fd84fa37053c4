//! The cache on disk: plans, and segments that cost more to make than to keep.
//!
//! ```text
//! {dir}/segments/{content}/{rendition}/{index}.{m4s|ts|vtt|…}     one file a segment, see `file`
//! {dir}/plans/{content}.plan                                      one file a title
//! {dir}/tmp/                                                      being written; emptied at start
//! {dir}/lock                                                      held while it is in use
//! ```
//!
//! One thread writes and deletes, behind the responses: a bounded queue, and what does not fit it is not written.
//! Room is made before a byte is written, so that the limit, counted in blocks of the disk with directories and
//! plans, holds at any moment. Files come into being whole, by renaming; a reader checks length and checksum, so what
//! a crash leaves is at worst a segment to be made again. What is there from before is looked through in the
//! background, and can be read meanwhile. Who leaves first is decided in [`ledger`].

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, SyncSender},
    },
    thread::JoinHandle,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use self::{
    file::Found,
    ledger::{Item, Ledger},
    writer::Writer,
};
use crate::{
    CacheConfig, ContentKey, MediaError, Stats,
    key::SegmentKey,
    limits::{CACHE_QUEUE_BYTES_MAX, CACHE_QUEUE_MAX, CACHED_FILE_BYTES_MAX},
    stats::{Counters, bump},
};

mod file;
mod ledger;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use self::file::BYTES_VERSION;

/// Whether a segment is in the cache, as far as known without looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Present,
    Absent,
    /// What is there from before is still being looked through.
    Unknown,
}

#[derive(Debug)]
pub(crate) struct DiskCache {
    inner: Arc<Inner>,
    queue: Option<SyncSender<Work>>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    ledger: Mutex<Ledger>,
    scanned: AtomicBool,
    stopping: AtomicBool,
    queued_bytes: AtomicU64,
    counters: Arc<Counters>,
    /// The most that was ever on the disk, seen between any two steps of a write.
    #[cfg(test)]
    peak: AtomicU64,
    /// Held, not read: a second server would not know what this one writes.
    _lock: File,
}

#[derive(Debug)]
enum Work {
    Write(Item, Vec<Bytes>),
    Remove(Item),
    /// The title was used just now.
    Touch(ContentKey),
    Flush(oneshot::Sender<()>),
}

impl Inner {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, item: &Item) -> PathBuf {
        match item {
            Item::Plan(content) => self.dir.join("plans").join(format!("{content}.plan")),
            Item::Segment(key) => self.dir.join("segments").join(key.to_string()),
        }
    }
}

/// What a file says it is of.
fn name_of(item: &Item) -> String {
    match item {
        Item::Plan(content) => format!("{content}.plan"),
        Item::Segment(key) => key.to_string(),
    }
}

impl DiskCache {
    /// Opens the cache, making its directory.
    ///
    /// # Errors
    /// [`MediaError::Cache`] if it cannot be made or written, or another server uses it.
    pub(crate) fn open(config: &CacheConfig, counters: Arc<Counters>) -> Result<Self, MediaError> {
        let dir = config.dir.clone();
        let lock = prepare(&dir).map_err(|detail| MediaError::Cache { dir: dir.clone(), detail })?;
        let inner = Arc::new(Inner {
            dir,
            ledger: Mutex::new(Ledger::new(config.limit_bytes)),
            scanned: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            queued_bytes: AtomicU64::new(0),
            counters,
            #[cfg(test)]
            peak: AtomicU64::new(0),
            _lock: lock,
        });
        let (queue, work) = mpsc::sync_channel(CACHE_QUEUE_MAX);
        let writer = Writer::new(Arc::clone(&inner));
        let writer = std::thread::Builder::new()
            .name("cache-writer".to_owned())
            .spawn(move || writer.run(&work))
            .map_err(|e| MediaError::Cache { dir: config.dir.clone(), detail: format!("no thread: {e}") })?;
        Ok(Self { inner, queue: Some(queue), writer: Some(writer) })
    }

    /// Whether the segment is there.
    pub(crate) fn presence(&self, key: &SegmentKey) -> Presence {
        if self.inner.ledger().contains(&Item::Segment(key.clone())) {
            Presence::Present
        } else if self.inner.scanned.load(Ordering::Acquire) {
            Presence::Absent
        } else {
            Presence::Unknown
        }
    }

    /// The segment's bytes, if they are there and whole.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn read(&self, key: &SegmentKey) -> Option<Bytes> {
        self.read_item(Item::Segment(key.clone())).await
    }

    /// The kept plan.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn read_plan(&self, content: &ContentKey) -> Option<Bytes> {
        self.read_item(Item::Plan(content.clone())).await
    }

    async fn read_item(&self, item: Item) -> Option<Bytes> {
        let (path, name) = (self.inner.path(&item), name_of(&item));
        let found = tokio::task::spawn_blocking(move || file::read(&path, &name)).await;
        match found {
            Ok(Ok(Found::Whole(bytes))) => Some(bytes),
            Ok(Ok(Found::Nothing)) | Err(_) => None,
            Ok(Ok(Found::Damaged(what))) => {
                bump(&self.inner.counters.cache_corrupt, 1);
                tracing::warn!(file = name_of(&item), what, "cache file is damaged: made again");
                self.send(Work::Remove(item));
                None
            }
            Ok(Err(error)) => {
                tracing::warn!(file = name_of(&item), %error, "cache file cannot be read: made again");
                self.send(Work::Remove(item));
                None
            }
        }
    }

    /// Keeps a segment, if there is room in the queue and on the disk.
    pub(crate) fn offer(&self, key: SegmentKey, chunks: Vec<Bytes>) {
        self.write(Item::Segment(key), chunks);
    }

    /// Keeps a plan.
    pub(crate) fn offer_plan(&self, content: ContentKey, plan: Bytes) {
        self.write(Item::Plan(content), vec![plan]);
    }

    fn write(&self, item: Item, chunks: Vec<Bytes>) {
        let bytes = bytes_of(&chunks);
        let queued = self.inner.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = bytes <= CACHED_FILE_BYTES_MAX && queued.saturating_add(bytes) <= CACHE_QUEUE_BYTES_MAX;
        if !(fits && self.send(Work::Write(item, chunks))) {
            self.inner.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            bump(&self.inner.counters.cache_skipped, 1);
        }
    }

    fn send(&self, work: Work) -> bool {
        self.queue.as_ref().is_some_and(|q| q.try_send(work).is_ok())
    }

    /// The title was opened, or closed.
    pub(crate) fn watch(&self, content: &ContentKey, watched: bool) {
        self.inner.ledger().watch(content, watched, now());
        self.send(Work::Touch(content.clone()));
    }

    /// The segment was asked for, wherever it came from.
    pub(crate) fn playhead(&self, key: &SegmentKey) {
        self.inner.ledger().playhead(key);
    }

    /// Waits until everything offered so far is written.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn flush(&self) {
        let Some(queue) = self.queue.clone() else { return };
        let (done, wait) = oneshot::channel();
        // The queue may be full: a place in it is waited for on a thread that may wait.
        let sent = tokio::task::spawn_blocking(move || queue.send(Work::Flush(done)).is_ok()).await;
        if sent.unwrap_or(false) {
            let _ = wait.await;
        }
    }

    /// Puts its numbers in.
    pub(crate) fn count(&self, stats: &mut Stats) {
        let ledger = self.inner.ledger();
        stats.cache_bytes = ledger.used();
        stats.cache_limit_bytes = ledger.limit();
        stats.cache_files = ledger.files();
    }
}

impl Drop for DiskCache {
    fn drop(&mut self) {
        self.inner.stopping.store(true, Ordering::Release);
        self.queue = None;
        // The lock is given back when the writer has ended; whoever opens the directory next finds it free.
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn bytes_of(chunks: &[Bytes]) -> u64 {
    chunks.iter().map(|c| c.len() as u64).sum()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Makes the directories and sees whether they can be written. Says what is wrong and what would help.
fn prepare(dir: &Path) -> Result<File, String> {
    let help = "make it writable for the user that runs the server, choose another with --cache-path, or turn the \
                cache off with --cache false";
    let told = |what: &str, error: io::Error| format!("{what}: {error}; {help}");
    for sub in ["segments", "plans", "tmp"] {
        fs::create_dir_all(dir.join(sub)).map_err(|e| told(&format!("cannot make `{sub}` in it"), e))?;
    }
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join("lock"))
        .map_err(|e| told("cannot open its lock", e))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            return Err("another server uses it; give each its own with --cache-path".to_owned());
        }
        Err(fs::TryLockError::Error(error)) => return Err(told("cannot lock it", error)),
    }
    // Only now: who uses it clears `tmp`.
    let probe = dir.join("tmp").join("probe");
    fs::write(&probe, b"")
        .and_then(|()| fs::remove_file(&probe))
        .map_err(|e| told("cannot write to it", e))?;
    Ok(lock)
}
