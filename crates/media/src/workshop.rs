//! One maker per segment, however many ask.
//!
//! An asker finds the segment in memory, joins the maker that is at it, or becomes the reason for a new one. A maker
//! is first run in place: with everything in the page cache it is done before anybody would have been woken. Only
//! one that has to wait becomes a task. When the last asker has gone, an unfinished maker is stopped.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::task::AbortHandle;

use crate::{
    ContentKey, MediaError,
    budget::{Budget, Hold},
    cache::{DiskCache, Presence},
    job::{Job, JobReader, JobWriter},
    key::SegmentKey,
    limits::BUDGET_PATIENCE,
    recent::{Made, Recent},
    stats::{Counters, bump},
};

/// Makes the bytes; boxed once per segment made.
pub(crate) type Making = Pin<Box<dyn Future<Output = Result<(), MediaError>> + Send>>;

/// What making takes, known beforehand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Bytes in memory while it is made.
    pub(crate) memory_bytes: u64,
    /// Worth keeping on disk.
    pub(crate) cacheable: bool,
}

#[derive(Debug)]
pub(crate) struct Workshop {
    state: Mutex<State>,
    pub(crate) budget: Budget,
    pub(crate) disk: Option<DiskCache>,
    pub(crate) counters: Arc<Counters>,
}

#[derive(Debug)]
struct State {
    jobs: HashMap<SegmentKey, Running>,
    recent: Recent<SegmentKey>,
    next: u64,
}

#[derive(Debug)]
struct Running {
    /// Tells this job from a later one of the same name.
    number: u64,
    job: Arc<Job>,
    askers: usize,
    task: Option<AbortHandle>,
}

enum Found {
    Memory(Made),
    Running(Asking),
    New(Asking, u64),
}

impl Workshop {
    pub(crate) fn new(
        in_flight_bytes: u64,
        recent_bytes: u64,
        disk: Option<DiskCache>,
        counters: Arc<Counters>,
    ) -> Self {
        let state = State { jobs: HashMap::new(), recent: Recent::new(recent_bytes), next: 0 };
        Self { state: Mutex::new(state), budget: Budget::new(in_flight_bytes), disk, counters }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of finished segments in memory.
    pub(crate) fn recent_bytes(&self) -> u64 {
        self.state().recent.bytes()
    }

    /// Drops what is kept in memory of a title.
    pub(crate) fn forget(&self, content: &ContentKey) {
        let gone = self.state().recent.forget(|key| key.content == *content);
        drop(gone);
    }

    /// The bytes of `key`, made by `make` unless they are here, on disk, or being made.
    ///
    /// Returns once the first of them is there.
    ///
    /// # Errors
    /// The maker's, if it fails before the first byte; [`MediaError::Unavailable`] if there is no memory for it.
    ///
    /// # Cancel safety
    /// Safe: this asker is withdrawn.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        title: &Arc<str>,
        key: SegmentKey,
        cost: Cost,
        make: impl FnOnce(Arc<JobWriter>) -> Making + Send + 'static,
    ) -> Result<Asking, MediaError> {
        let mut asking = match self.find(&key) {
            Found::Memory(made) => {
                bump(&self.counters.segments_from_memory, 1);
                return self.from_memory(title, key, made).await;
            }
            Found::Running(asking) => {
                bump(&self.counters.segments_shared, 1);
                asking
            }
            Found::New(asking, number) => {
                let writer = JobWriter::new(asking.reader.job(), Arc::clone(title));
                let end = End { workshop: Arc::clone(self), key, number };
                let mut making = Box::pin(Self::run(end, Arc::clone(title), Arc::new(writer), cost, make));
                if poll_fn(|cx| Poll::Ready(making.as_mut().poll(cx))).await.is_pending() {
                    let task = tokio::spawn(making).abort_handle();
                    self.started(&asking, task);
                }
                asking
            }
        };
        poll_fn(|cx| asking.reader.poll_begun(cx)).await?;
        Ok(asking)
    }

    fn find(self: &Arc<Self>, key: &SegmentKey) -> Found {
        let mut state = self.state();
        let state = &mut *state;
        match state.jobs.entry(key.clone()) {
            Entry::Occupied(mut running) => {
                let running = running.get_mut();
                running.askers += 1;
                Found::Running(Asking::new(self, key, running))
            }
            Entry::Vacant(vacant) => {
                if let Some(made) = state.recent.get(key) {
                    return Found::Memory(made.clone());
                }
                state.next += 1;
                let running =
                    Running { number: state.next, job: Arc::new(Job::default()), askers: 1, task: None };
                let asking = Asking::new(self, key, &running);
                vacant.insert(running);
                Found::New(asking, state.next)
            }
        }
    }

    async fn from_memory(
        self: &Arc<Self>,
        title: &Arc<str>,
        key: SegmentKey,
        made: Made,
    ) -> Result<Asking, MediaError> {
        let hold = match made.hold.upgrade() {
            Some(hold) => hold,
            None => {
                let bytes = made.chunks.iter().map(|c| c.len() as u64).sum();
                let hold = self.hold(title, bytes).await?;
                if let Some(kept) = self.state().recent.get(&key) {
                    kept.hold = Arc::downgrade(&hold);
                }
                hold
            }
        };
        let job = Arc::new(Job::made(made.chunks, Some(hold)));
        Ok(Asking { reader: JobReader::new(job), demand: None })
    }

    async fn hold(&self, title: &str, bytes: u64) -> Result<Arc<Hold>, MediaError> {
        self.budget.hold(bytes, BUDGET_PATIENCE).await.ok_or_else(|| MediaError::Unavailable {
            title: title.to_owned(),
            detail: format!(
                "no memory for a segment of {bytes} bytes within {} s: too many slow viewers at once",
                BUDGET_PATIENCE.as_secs()
            ),
        })
    }

    fn started(&self, asking: &Asking, task: AbortHandle) {
        let Some(demand) = &asking.demand else { return };
        let mut state = self.state();
        if let Some(running) = state.jobs.get_mut(&demand.key).filter(|r| r.number == demand.number) {
            running.task = Some(task);
        }
    }

    async fn run(
        end: End,
        title: Arc<str>,
        writer: Arc<JobWriter>,
        cost: Cost,
        make: impl FnOnce(Arc<JobWriter>) -> Making + Send,
    ) {
        let workshop = Arc::clone(&end.workshop);
        let (result, keep) = match workshop.make(&title, &end.key, &writer, cost, make).await {
            Ok(from_disk) => (Ok(()), cost.cacheable && !from_disk),
            Err(error) => (Err(error), false),
        };
        writer.settle();
        writer.finish(result);
        let made = end.finished();
        if let (true, Some(disk), Some(chunks)) = (keep, &workshop.disk, made) {
            disk.offer(end.key.clone(), chunks);
        }
    }

    /// Whether the bytes came from the disk cache.
    async fn make(
        &self,
        title: &str,
        key: &SegmentKey,
        writer: &Arc<JobWriter>,
        cost: Cost,
        make: impl FnOnce(Arc<JobWriter>) -> Making + Send,
    ) -> Result<bool, MediaError> {
        writer.account(self.hold(title, cost.memory_bytes).await?);
        if let Some(disk) =
            self.disk.as_ref().filter(|d| cost.cacheable && d.presence(key) != Presence::Absent)
            && let Some(bytes) = disk.read(key).await
        {
            bump(&self.counters.segments_from_cache, 1);
            writer.announce(bytes.len() as u64);
            writer.push(bytes);
            return Ok(true);
        }
        make(Arc::clone(writer)).await?;
        bump(&self.counters.segments_made, 1);
        Ok(false)
    }
}

/// Takes a job off the list however its maker ends: done, failed, stopped or panicking.
#[derive(Debug)]
struct End {
    workshop: Arc<Workshop>,
    key: SegmentKey,
    number: u64,
}

impl End {
    /// Moves what was made from the list of jobs to what is kept in memory, in one step.
    fn finished(&self) -> Option<Vec<Bytes>> {
        let mut state = self.workshop.state();
        let state = &mut *state;
        let Entry::Occupied(running) = state.jobs.entry(self.key.clone()) else { return None };
        if running.get().number != self.number {
            return None;
        }
        let (job, _task) = {
            let running = running.remove();
            (running.job, running.task)
        };
        let chunks = job.chunks()?;
        let out = state.recent.insert(self.key.clone(), Made { chunks: chunks.clone(), hold: job.hold() });
        drop(out);
        Some(chunks)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut state = self.workshop.state();
        if let Entry::Occupied(running) = state.jobs.entry(self.key.clone())
            && running.get().number == self.number
        {
            running.remove();
        }
    }
}

/// One asker: reads the segment, and holds its maker to its work while it lives.
#[derive(Debug)]
pub(crate) struct Asking {
    reader: JobReader,
    demand: Option<Demand>,
}

#[derive(Debug)]
struct Demand {
    workshop: Weak<Workshop>,
    key: SegmentKey,
    number: u64,
}

impl Asking {
    fn new(workshop: &Arc<Workshop>, key: &SegmentKey, running: &Running) -> Self {
        let demand = Demand { workshop: Arc::downgrade(workshop), key: key.clone(), number: running.number };
        Self { reader: JobReader::new(Arc::clone(&running.job)), demand: Some(demand) }
    }

    /// The length, once it is known.
    pub(crate) fn len(&self) -> Option<u64> {
        self.reader.len()
    }

    /// The next bytes; `None` at the end.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, MediaError>>> {
        self.reader.poll_chunk(cx)
    }
}

impl Drop for Demand {
    fn drop(&mut self) {
        let Some(workshop) = self.workshop.upgrade() else { return };
        let stopped = {
            let mut state = workshop.state();
            let Entry::Occupied(mut running) = state.jobs.entry(self.key.clone()) else { return };
            if running.get().number != self.number {
                return;
            }
            running.get_mut().askers -= 1;
            if running.get().askers > 0 {
                return;
            }
            running.remove()
        };
        bump(&workshop.counters.segments_cancelled, 1);
        if let Some(task) = stopped.task {
            task.abort();
        }
    }
}
