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
    ContentKey, MediaError, NotPlayableReason,
    budget::{Budget, Hold},
    cache::{DiskCache, Presence},
    job::{Job, JobReader, JobWriter},
    key::SegmentKey,
    limits::{BUDGET_PATIENCE, CROWD_DIVISOR},
    recent::{Made, Recent},
    stats::{Counters, bump},
    transcode::Encoders,
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
    pub(crate) encoders: Option<Arc<dyn Encoders>>,
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
        Self {
            state: Mutex::new(state),
            budget: Budget::new(in_flight_bytes),
            disk,
            counters,
            encoders: None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of finished segments in memory.
    pub(crate) fn recent_bytes(&self) -> u64 {
        self.state().recent.bytes()
    }

    /// Whether so much is being sent that what can be streamed with less memory should be; not said of what is here or
    /// being made already.
    pub(crate) fn is_crowded_for(&self, key: &SegmentKey) -> bool {
        if self.budget.held_bytes() <= self.budget.total_bytes() / CROWD_DIVISOR {
            return false;
        }
        let mut state = self.state();
        !state.jobs.contains_key(key) && state.recent.get(key).is_none()
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
        let limit = self.budget.total_bytes();
        if bytes > limit {
            return Err(MediaError::NotPlayable {
                title: title.to_owned(),
                reason: NotPlayableReason::Limit,
                detail: format!(
                    "making this segment takes {bytes} bytes of memory, the limit is {limit}; as CMAF it streams"
                ),
            });
        }
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
        let made = end.finish(&writer, result);
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
    /// Moves what was made from the list of jobs to what is kept in memory, and tells the readers, in one step: a
    /// reader that is done must not look like one that has gone.
    fn finish(&self, writer: &JobWriter, result: Result<(), MediaError>) -> Option<Vec<Bytes>> {
        let (chunks, _out, _running) = {
            let mut state = self.workshop.state();
            let state = &mut *state;
            let running = match state.jobs.entry(self.key.clone()) {
                Entry::Occupied(running) if running.get().number == self.number => Some(running.remove()),
                _ => None,
            };
            writer.finish(result);
            let chunks = running.as_ref()?.job.chunks()?;
            let hold = running.as_ref()?.job.hold();
            let out = state.recent.insert(self.key.clone(), Made { chunks: chunks.clone(), hold });
            (chunks, out, running)
        };
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use packager::RenditionId;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::key::Form;

    const COST: Cost = Cost { memory_bytes: 1 << 20, cacheable: false };

    fn workshop(in_flight_bytes: u64) -> Arc<Workshop> {
        Arc::new(Workshop::new(in_flight_bytes, 1 << 20, None, Arc::default()))
    }

    fn key(index: u32) -> SegmentKey {
        let content = ContentKey::new("film").unwrap();
        SegmentKey { content, rendition: RenditionId::Source, form: Form::Ts, index }
    }

    /// A maker of two chunks that waits at the gate before each.
    fn gated(
        gate: &Arc<Semaphore>,
        runs: &Arc<AtomicUsize>,
    ) -> impl FnOnce(Arc<JobWriter>) -> Making + Send + 'static {
        let (gate, runs) = (Arc::clone(gate), Arc::clone(runs));
        move |writer| {
            Box::pin(async move {
                runs.fetch_add(1, Ordering::Relaxed);
                for chunk in ["one ", "two"] {
                    gate.acquire().await.unwrap().forget();
                    writer.push(Bytes::from_static(chunk.as_bytes()));
                }
                Ok(())
            })
        }
    }

    async fn read(mut asking: Asking) -> Result<Vec<u8>, MediaError> {
        let mut out = Vec::new();
        while let Some(chunk) = poll_fn(|cx| asking.poll_chunk(cx)).await {
            out.extend(chunk?);
        }
        Ok(out)
    }

    fn counted(workshop: &Workshop, of: impl Fn(&Counters) -> &std::sync::atomic::AtomicU64) -> u64 {
        of(&workshop.counters).load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn the_first_bytes_go_out_while_the_rest_is_made() {
        let (shop, gate, runs) = (workshop(1 << 30), Arc::new(Semaphore::new(1)), Arc::default());
        let title: Arc<str> = "film".into();
        let mut first = shop.ask(&title, key(0), COST, gated(&gate, &runs)).await.unwrap();
        let second = shop.ask(&title, key(0), COST, gated(&gate, &runs)).await.unwrap();
        assert_eq!(first.len(), None);
        let chunk = poll_fn(|cx| first.poll_chunk(cx)).await.unwrap().unwrap();
        assert_eq!(chunk, "one ");
        gate.add_permits(1);
        assert_eq!(read(first).await.unwrap(), b"two");
        assert_eq!(read(second).await.unwrap(), b"one two");
        let third = shop.ask(&title, key(0), COST, gated(&gate, &runs)).await.unwrap();
        assert_eq!(third.len(), Some(7));
        assert_eq!(read(third).await.unwrap(), b"one two");
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        assert_eq!(counted(&shop, |c| &c.segments_from_memory), 1);
        assert_eq!(counted(&shop, |c| &c.segments_cancelled), 0);
        assert_eq!(shop.budget.held_bytes(), 0);
    }

    #[tokio::test]
    async fn a_maker_that_panics_fails_its_askers_and_no_later_one() {
        let shop = workshop(1 << 30);
        let title: Arc<str> = "film".into();
        let panics = |_writer: Arc<JobWriter>| -> Making {
            Box::pin(async {
                tokio::task::yield_now().await;
                panic!("as it should");
            })
        };
        let error = shop.ask(&title, key(0), COST, panics).await.unwrap_err();
        assert!(matches!(error, MediaError::Internal { .. }), "{error}");
        let (gate, runs) = (Arc::new(Semaphore::new(2)), Arc::default());
        let asking = shop.ask(&title, key(0), COST, gated(&gate, &runs)).await.unwrap();
        assert_eq!(read(asking).await.unwrap(), b"one two");
    }

    #[tokio::test]
    async fn a_failure_is_told_to_all_and_not_kept() {
        let shop = workshop(1 << 30);
        let title: Arc<str> = "film".into();
        let gate = Arc::new(Semaphore::new(0));
        let fails = |gate: Arc<Semaphore>| {
            move |_writer: Arc<JobWriter>| -> Making {
                Box::pin(async move {
                    gate.acquire().await.unwrap().forget();
                    Err(MediaError::Unavailable { title: "film".to_owned(), detail: "no peers".to_owned() })
                })
            }
        };
        let askers = (0..3).map(|_| shop.ask(&title, key(0), COST, fails(Arc::clone(&gate))));
        let all = async { futures_util::future::join_all(askers).await };
        let (all, ()) = tokio::join!(all, async { gate.add_permits(1) });
        assert!(all.iter().all(|r| matches!(r, Err(MediaError::Unavailable { .. }))));
        gate.add_permits(1);
        assert!(shop.ask(&title, key(0), COST, fails(Arc::clone(&gate))).await.is_err());
        assert_eq!(gate.available_permits(), 0, "it was tried again");
    }

    #[tokio::test(start_paused = true)]
    async fn slow_readers_hold_their_memory_and_newcomers_are_told_to_come_again() {
        let shop = workshop(1 << 20);
        let title: Arc<str> = "film".into();
        let (gate, runs) = (Arc::new(Semaphore::new(100)), Arc::default());
        let slow = shop.ask(&title, key(0), COST, gated(&gate, &runs)).await.unwrap();
        assert_eq!(shop.budget.held_bytes(), 64 << 10, "what was set aside for making is given back");
        let hungry = Cost { memory_bytes: 1 << 20, cacheable: false };
        let error = shop.ask(&title, key(1), hungry, gated(&gate, &runs)).await.unwrap_err();
        assert!(matches!(error, MediaError::Unavailable { .. }), "{error}");
        drop(slow);
        assert!(shop.ask(&title, key(1), hungry, gated(&gate, &runs)).await.is_ok());
    }

    #[tokio::test]
    async fn a_segment_that_never_fits_is_refused_at_once() {
        let shop = workshop(1 << 20);
        let (gate, runs) = (Arc::new(Semaphore::new(2)), Arc::default());
        let cost = Cost { memory_bytes: 2 << 20, cacheable: false };
        let error = shop.ask(&"film".into(), key(0), cost, gated(&gate, &runs)).await.unwrap_err();
        assert!(matches!(error, MediaError::NotPlayable { reason: NotPlayableReason::Limit, .. }), "{error}");
    }

    #[tokio::test]
    async fn who_leaves_last_stops_the_maker() {
        let (shop, gate, runs) = (workshop(1 << 30), Arc::new(Semaphore::new(1)), Arc::default());
        let title: Arc<str> = "film".into();
        let first = shop.ask(&title, key(0), COST, gated(&gate, &runs)).await.unwrap();
        let second = shop.ask(&title, key(0), COST, gated(&gate, &runs)).await.unwrap();
        drop(first);
        assert_eq!(counted(&shop, |c| &c.segments_cancelled), 0);
        drop(second);
        assert_eq!(counted(&shop, |c| &c.segments_cancelled), 1);
        tokio::task::yield_now().await;
        assert_eq!(shop.budget.held_bytes(), 0);
        assert!(shop.state().jobs.is_empty());
    }
}
