//! The titles that are open.

use std::{
    collections::HashMap,
    fmt,
    path::Path,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use byte_source::ByteSource;
use tokio::{sync::watch, time::Instant};

use crate::{
    ContentKey, FileIdentity, MediaConfig, MediaError, Stats, Title, buffers,
    cache::DiskCache,
    limits::{OPEN_TITLES_MAX, PATH_TRUST, REMEMBERED_KEYS_MAX},
    opening::{self, Origin},
    stats::{Counters, bump},
    transcode::TranscodeStatus,
    workshop::Workshop,
};

/// Opens titles and makes segments. Clones share everything.
#[derive(Clone, Debug)]
pub struct Media {
    shared: Arc<Shared>,
}

struct Shared {
    idle_close: Duration,
    born: Instant,
    state: Mutex<State>,
    workshop: Arc<Workshop>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct State {
    titles: HashMap<Arc<str>, Slot>,
    /// So that a file is not hashed each time it is opened.
    keys: HashMap<FileIdentity, ContentKey>,
}

type Opened = Option<Result<Arc<Title>, MediaError>>;

enum Slot {
    Open(Arc<Title>),
    /// Being opened; who wants it subscribes.
    Opening(Arc<watch::Sender<Opened>>),
}

impl Media {
    /// Starts with nothing open. Makes the cache directory; what is in it is looked at in the background.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`MediaError::Cache`] if the directory cannot be made or written, or another server uses it.
    pub fn new(config: MediaConfig) -> Result<Self, MediaError> {
        let counters = Arc::new(Counters::default());
        let disk = config.cache.as_ref().map(|c| DiskCache::open(c, Arc::clone(&counters))).transpose()?;
        let mut workshop =
            Workshop::new(config.in_flight_bytes, config.recent_bytes, disk, Arc::clone(&counters));
        workshop.encoders = config.encoders;
        let shared = Arc::new(Shared {
            idle_close: config.idle_close,
            born: Instant::now(),
            state: Mutex::default(),
            workshop: Arc::new(workshop),
            counters,
        });
        tokio::spawn(close_idle(Arc::downgrade(&shared), config.idle_close));
        Ok(Self { shared })
    }

    /// The title of the file at `path`, opened and planned if it is not open. Cheap when it is: call it per request.
    /// A file replaced or written to since is opened anew.
    ///
    /// # Errors
    /// [`MediaError::NotFound`] without a file, [`MediaError::NotPlayable`], or the disk's.
    ///
    /// # Cancel safety
    /// Safe: the opening goes on for whoever else waits, and stops when nobody does.
    pub async fn open_file(&self, video_id: &str, path: &Path) -> Result<Arc<Title>, MediaError> {
        if let Some(title) = self.get(video_id) {
            if self.shared.still_there(&title, path) {
                return Ok(title);
            }
            self.shared.drop_title(&title);
        }
        self.shared.wait(video_id, || Origin::File(path.to_owned())).await
    }

    /// The title of a source, opened and planned if `video_id` is not open already.
    ///
    /// # Errors
    /// As [`open_file`](Self::open_file).
    ///
    /// # Cancel safety
    /// As [`open_file`](Self::open_file).
    pub async fn open(
        &self,
        video_id: &str,
        source: Arc<dyn ByteSource>,
        content: ContentKey,
    ) -> Result<Arc<Title>, MediaError> {
        if let Some(title) = self.get(video_id) {
            if !title.is_stale() {
                return Ok(title);
            }
            self.shared.drop_title(&title);
        }
        self.shared.wait(video_id, || Origin::Source(source.clone(), content.clone())).await
    }

    /// The title if it is open; asking counts as use.
    #[must_use]
    pub fn get(&self, video_id: &str) -> Option<Arc<Title>> {
        let state = self.shared.state();
        let Some(Slot::Open(title)) = state.titles.get(video_id) else { return None };
        title.used_ms.store(self.shared.now_ms(), Ordering::Relaxed);
        Some(Arc::clone(title))
    }

    /// How transcoding stands; `None` where there is nothing that encodes.
    #[must_use]
    pub fn transcoding(&self) -> Option<TranscodeStatus> {
        self.shared.workshop.encoders.as_ref()?.status()
    }

    /// Closes a title whose bytes are gone: whoever asks next opens it anew.
    pub fn close(&self, video_id: &str) {
        if let Some(title) = self.get(video_id) {
            self.shared.drop_title(&title);
        }
    }

    /// Numbers of now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let Shared { counters, workshop, .. } = &*self.shared;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let titles_open = self.shared.state().open().count() as u64;
        let mut stats = Stats {
            titles_open,
            titles_opened: of(&counters.titles_opened),
            titles_closed_idle: of(&counters.titles_closed_idle),
            plans_made: of(&counters.plans_made),
            plans_loaded: of(&counters.plans_loaded),
            segments_made: of(&counters.segments_made),
            segments_shared: of(&counters.segments_shared),
            segments_from_memory: of(&counters.segments_from_memory),
            segments_from_cache: of(&counters.segments_from_cache),
            segments_cancelled: of(&counters.segments_cancelled),
            segment_bytes_sent: of(&counters.segment_bytes_sent),
            in_flight_bytes: workshop.budget.held_bytes(),
            recent_bytes: workshop.recent_bytes(),
            cache_evicted: of(&counters.cache_evicted),
            cache_skipped: of(&counters.cache_skipped),
            cache_corrupt: of(&counters.cache_corrupt),
            ..Stats::default()
        };
        if let Some(disk) = &workshop.disk {
            disk.count(&mut stats);
        }
        stats
    }

    /// Waits until what is to be written to the cache is written. For shutdown.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn flush(&self) {
        if let Some(disk) = &self.shared.workshop.disk {
            disk.flush().await;
        }
    }
}

impl State {
    fn open(&self) -> impl Iterator<Item = &Arc<Title>> {
        self.titles.values().filter_map(|slot| match slot {
            Slot::Open(title) => Some(title),
            Slot::Opening(_) => None,
        })
    }

    fn remember(&mut self, identity: FileIdentity, content: ContentKey) {
        if self.keys.len() >= REMEMBERED_KEYS_MAX {
            // Hashing a file again costs a tenth of a millisecond: no bookkeeping is worth it.
            self.keys.clear();
        }
        self.keys.insert(identity, content);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the start.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether the file at `path` is the one that `title` was opened from. Looked at every other second at most.
    fn still_there(&self, title: &Title, path: &Path) -> bool {
        if title.is_stale() {
            return false;
        }
        let Some(file) = title.file() else { return true };
        let now = self.now_ms();
        let trusted_ms = u64::try_from(PATH_TRUST.as_millis()).unwrap_or(u64::MAX);
        if now.saturating_sub(title.checked_ms.load(Ordering::Relaxed)) < trusted_ms {
            return true;
        }
        let same = FileIdentity::at(path) == Some(file);
        if same {
            title.checked_ms.store(now, Ordering::Relaxed);
        }
        same
    }

    /// Takes it off the list, if it is the one that is on it. Whoever has it goes on with it.
    fn drop_title(&self, title: &Arc<Title>) {
        let dropped = {
            let mut state = self.state();
            match state.titles.get(title.video_id()) {
                Some(Slot::Open(open)) if Arc::ptr_eq(open, title) => state.titles.remove(title.video_id()),
                _ => None,
            }
        };
        if dropped.is_some() {
            self.workshop.forget(title.content());
        }
    }

    async fn wait(
        self: &Arc<Self>,
        video_id: &str,
        origin: impl FnOnce() -> Origin,
    ) -> Result<Arc<Title>, MediaError> {
        let mut opened = {
            let mut state = self.state();
            match state.titles.get(video_id) {
                Some(Slot::Open(title)) => return Ok(Arc::clone(title)),
                Some(Slot::Opening(sender)) => sender.subscribe(),
                None => {
                    let (sender, receiver) = watch::channel(None);
                    let (sender, id) = (Arc::new(sender), Arc::<str>::from(video_id));
                    state.titles.insert(Arc::clone(&id), Slot::Opening(Arc::clone(&sender)));
                    let guard = OpeningGuard { shared: Arc::clone(self), id, sender };
                    tokio::spawn(guard.run(origin()));
                    receiver
                }
            }
        };
        match opened.wait_for(Option::is_some).await.map(|opened| opened.clone()) {
            Ok(Some(result)) => result,
            // It stops without a word only when nobody listens, or by a fault of ours.
            Ok(None) | Err(_) => Err(MediaError::Internal {
                title: video_id.to_owned(),
                detail: "opening it stopped".to_owned(),
            }),
        }
    }

    /// Makes room for one more title: of those nobody is using, the one not asked for longest is closed.
    fn make_room(state: &mut State) -> Option<Slot> {
        if state.titles.len() < OPEN_TITLES_MAX {
            return None;
        }
        let unused = state.open().filter(|t| Arc::strong_count(t) == 1);
        let oldest =
            unused.min_by_key(|t| t.used_ms.load(Ordering::Relaxed)).map(|t| t.video_id().to_owned());
        oldest.and_then(|id| state.titles.remove(id.as_str()))
    }

    fn close_idle(&self) {
        let idle_ms = u64::try_from(self.idle_close.as_millis()).unwrap_or(u64::MAX);
        let now = self.now_ms();
        let (closed, none_left) = {
            let mut state = self.state();
            let idle = |t: &Arc<Title>| {
                Arc::strong_count(t) == 1 && now.saturating_sub(t.used_ms.load(Ordering::Relaxed)) >= idle_ms
            };
            let closed: Vec<Arc<Title>> = state
                .titles
                .extract_if(|_, slot| matches!(slot, Slot::Open(title) if idle(title)))
                .filter_map(|(_, slot)| match slot {
                    Slot::Open(title) => Some(title),
                    Slot::Opening(_) => None,
                })
                .collect();
            (closed, state.titles.is_empty())
        };
        bump(&self.counters.titles_closed_idle, closed.len() as u64);
        for title in closed {
            tracing::debug!(title = title.video_id(), "closed: nobody asked for it");
            self.workshop.forget(title.content());
        }
        if none_left {
            buffers::trim();
        }
    }
}

/// An opening under way. However it ends, the slot does not stay "opening".
struct OpeningGuard {
    shared: Arc<Shared>,
    id: Arc<str>,
    sender: Arc<watch::Sender<Opened>>,
}

impl OpeningGuard {
    async fn run(self, origin: Origin) {
        let remembered = |identity: FileIdentity| self.shared.state().keys.get(&identity).cloned();
        let opening =
            opening::open(Arc::clone(&self.id), origin, Arc::clone(&self.shared.workshop), remembered);
        let mut opening = pin!(opening);
        let result = loop {
            tokio::select! {
                result = &mut opening => break result,
                () = self.sender.closed() => {
                    let state = self.shared.state();
                    // Somebody may have come between.
                    if self.sender.receiver_count() == 0 {
                        self.give_up(state);
                        return;
                    }
                }
            }
        };
        let _ = self.sender.send(Some(self.opened(result)));
    }

    fn opened(&self, result: Result<Title, MediaError>) -> Result<Arc<Title>, MediaError> {
        let title = Arc::new(result?);
        let now = self.shared.now_ms();
        title.used_ms.store(now, Ordering::Relaxed);
        title.checked_ms.store(now, Ordering::Relaxed);
        let closed = {
            let mut state = self.shared.state();
            if let Some(identity) = title.file() {
                state.remember(identity, title.content().clone());
            }
            let closed = Shared::make_room(&mut state);
            state.titles.insert(Arc::clone(&self.id), Slot::Open(Arc::clone(&title)));
            closed
        };
        drop(closed);
        tracing::debug!(title = title.video_id(), content = %title.content(), "opened");
        bump(&self.shared.counters.titles_opened, 1);
        Ok(title)
    }

    fn give_up(&self, mut state: MutexGuard<'_, State>) {
        let ours =
            matches!(state.titles.get(&self.id), Some(Slot::Opening(s)) if Arc::ptr_eq(s, &self.sender));
        if ours {
            state.titles.remove(&self.id);
        }
    }
}

impl Drop for OpeningGuard {
    fn drop(&mut self) {
        self.give_up(self.shared.state());
    }
}

/// Closes idle titles for as long as there is a [`Media`].
async fn close_idle(shared: Weak<Shared>, idle_close: Duration) {
    let every = (idle_close / 6).clamp(Duration::from_millis(50), Duration::from_secs(30));
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        shared.close_idle();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let titles: Vec<String> = self.state().titles.keys().map(ToString::to_string).collect();
        f.debug_struct("Shared").field("titles", &titles).finish_non_exhaustive()
    }
}
