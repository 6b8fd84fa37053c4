//! Where readers and the torrent's task meet: which pieces are here, who waits for which, and what readers want. Pieces are
//! marked by the storage's threads themselves, so that a reader wakes without a detour.

use std::{
    collections::BTreeMap,
    future::Future,
    ops::Range,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use metainfo::{Bitfield, PieceIndex, PieceLayout};
use storage::Store;
use swarm::{ReaderAt, ReaderKey};
use tokio::sync::Notify;

use super::spell::Spell;

/// The readers of one torrent.
pub(crate) struct Readers {
    state: Mutex<State>,
    /// Something for the task to take.
    changed: Notify,
}

/// A file whose reads come no further apart than this is being read.
const READING_GAP: Duration = Duration::from_secs(30);

struct State {
    store: Option<Store>,
    have: Bitfield,
    /// Why nothing more comes.
    failure: Option<Arc<str>>,
    /// Nothing ever comes again.
    ended: bool,
    waiters: Vec<Waiter>,
    changes: BTreeMap<ReaderKey, Change>,
    /// Where a reader was last.
    latest: Option<ReaderAt>,
    /// The demands that are open.
    demands: BTreeMap<ReaderKey, (ReaderAt, Spell)>,
    /// Since when files are read without a long pause and when they were last, by their first byte.
    read: BTreeMap<u64, (Instant, Instant)>,
    /// When anything was last asked for.
    active: Instant,
    next_key: u32,
    next_waiter: u64,
}

struct Waiter {
    id: u64,
    pieces: Range<u32>,
    waker: Waker,
    since: Instant,
}

/// A demand, and the read that waits at its position.
#[derive(Clone, Debug)]
pub(crate) struct Demanded {
    pub(crate) at: ReaderAt,
    /// The pieces it waits for, and since when.
    pub(crate) waits: Option<(Range<u32>, Instant)>,
    /// Since when its reads have waited most of the time, if they do.
    pub(crate) spell: Option<Instant>,
}

/// What the task has not heard of a demand yet.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// It is new.
    pub(crate) opened: bool,
    /// It is somewhere else.
    pub(crate) at: Option<ReaderAt>,
    /// It ended.
    pub(crate) closed: bool,
}

impl Readers {
    pub(crate) fn new() -> Self {
        let state = State {
            store: None,
            have: Bitfield::none(0),
            failure: None,
            ended: false,
            waiters: Vec::new(),
            changes: BTreeMap::new(),
            latest: None,
            demands: BTreeMap::new(),
            read: BTreeMap::new(),
            active: Instant::now(),
            next_key: 0,
            next_waiter: 0,
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The torrent's bytes can be read from `store`, those of `have` at once.
    pub(crate) fn opened(&self, store: Store, have: Bitfield) {
        let mut state = self.lock();
        state.store = Some(store);
        state.have = have;
        state.failure = None;
        state.wake_ready();
    }

    pub(crate) fn store(&self) -> Option<Store> {
        self.lock().store.clone()
    }

    /// The pieces that are here, as of now.
    pub(crate) fn have(&self) -> Bitfield {
        self.lock().have.clone()
    }

    pub(crate) fn is_complete(&self) -> bool {
        let state = self.lock();
        !state.have.is_empty() && state.have.is_full()
    }

    pub(crate) fn verified(&self, pieces: impl Iterator<Item = PieceIndex>) {
        let mut state = self.lock();
        for piece in pieces {
            state.have.insert(piece);
        }
        state.wake_ready();
    }

    pub(crate) fn lost(&self, piece: PieceIndex) {
        self.lock().have.remove(piece);
    }

    /// Nothing more comes, for this reason; whoever waits hears it.
    pub(crate) fn failed(&self, reason: &str) {
        let mut state = self.lock();
        state.failure = Some(reason.into());
        state.waiters.drain(..).for_each(|waiter| waiter.waker.wake());
    }

    /// The files are closed; what reads have begun they finish.
    pub(crate) fn closed(&self) {
        self.lock().store = None;
    }

    /// The torrent has ended, for good.
    pub(crate) fn ended(&self) {
        self.failed("the torrent was stopped");
        let mut state = self.lock();
        state.store = None;
        state.ended = true;
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// Things are well again.
    pub(crate) fn recovered(&self) {
        self.lock().failure = None;
    }

    /// Demands that are open.
    pub(crate) fn open_count(&self) -> usize {
        self.lock().demands.len()
    }

    /// The demands that are open; `layout` tells which read waits where.
    pub(crate) fn demanded(&self, layout: &PieceLayout) -> BTreeMap<ReaderKey, Demanded> {
        let (state, now) = (self.lock(), Instant::now());
        let waits = |at: &ReaderAt| {
            let first = layout.pieces_of(at.wanted.clone()).next()?;
            let here = state.waiters.iter().filter(|waiter| waiter.pieces.start == first);
            here.min_by_key(|waiter| waiter.since).map(|waiter| (waiter.pieces.clone(), waiter.since))
        };
        let demanded = |(key, (at, spell)): (&ReaderKey, &(ReaderAt, Spell))| {
            (*key, Demanded { at: at.clone(), waits: waits(at), spell: spell.since(now) })
        };
        state.demands.iter().map(demanded).collect()
    }

    /// The first bytes of files that have been read for `long` without a long pause, the last time just now.
    pub(crate) fn read_for(&self, long: Duration) -> Vec<u64> {
        let state = self.lock();
        let lasts = |(begun, last): &(Instant, Instant)| last.duration_since(*begun) >= long;
        state.read.iter().filter(|(_, times)| lasts(times)).map(|(file, _)| *file).collect()
    }

    /// Idleness counts from now on.
    pub(crate) fn wake(&self) {
        self.lock().active = Instant::now();
    }

    /// For how long nobody has asked for anything; nothing, while a read waits.
    pub(crate) fn idle_for(&self) -> Duration {
        let state = self.lock();
        if state.waiters.is_empty() { state.active.elapsed() } else { Duration::ZERO }
    }

    /// Where a reader was last, and the pieces that are here.
    pub(crate) fn latest(&self) -> Option<(ReaderAt, Bitfield)> {
        let state = self.lock();
        Some((state.latest.clone()?, state.have.clone()))
    }

    /// Resolves when there are changes to take.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What the task has not heard yet, in no particular order between demands.
    pub(crate) fn take_changes(&self) -> BTreeMap<ReaderKey, Change> {
        std::mem::take(&mut self.lock().changes)
    }

    /// Whether all of `pieces` are here.
    pub(crate) fn has_all(&self, pieces: Range<u32>) -> bool {
        let mut state = self.lock();
        state.active = Instant::now();
        state.has_all(&pieces)
    }

    /// Waits until all of `pieces` are here; the reason if they will not come.
    pub(crate) fn wait(self: &Arc<Self>, pieces: Range<u32>) -> Wait {
        Wait { readers: self.clone(), pieces, id: None }
    }

    /// States a demand; it lasts until the returned value is dropped.
    pub(crate) fn demand(self: &Arc<Self>, at: ReaderAt) -> Demand {
        let key = {
            let mut state = self.lock();
            let key = ReaderKey(state.next_key);
            state.next_key = state.next_key.wrapping_add(1);
            state.latest = Some(at.clone());
            state.asked(&at);
            state.demands.insert(key, (at.clone(), Spell::new(Instant::now(), at.ahead.is_none())));
            state.changes.insert(key, Change { opened: true, at: Some(at.clone()), closed: false });
            key
        };
        self.changed.notify_one();
        Demand { readers: self.clone(), key, at }
    }
}

impl State {
    /// Somebody asks for something.
    fn asked(&mut self, at: &ReaderAt) {
        let now = Instant::now();
        self.active = now;
        let times = self.read.entry(at.file.start).or_insert((now, now));
        if now.duration_since(times.1) > READING_GAP {
            times.0 = now;
        }
        times.1 = now;
    }

    fn has_all(&self, pieces: &Range<u32>) -> bool {
        pieces.clone().all(|piece| self.have.has(PieceIndex(piece)))
    }

    fn wake_ready(&mut self) {
        let mut index = 0;
        while index < self.waiters.len() {
            if self.has_all(&self.waiters[index].pieces) {
                self.waiters.swap_remove(index).waker.wake();
            } else {
                index += 1;
            }
        }
    }
}

/// What a reader wants now; withdrawn when dropped.
pub(crate) struct Demand {
    readers: Arc<Readers>,
    key: ReaderKey,
    at: ReaderAt,
}

impl Demand {
    pub(crate) fn at(&self) -> &ReaderAt {
        &self.at
    }

    /// Moves it. A torrent that is complete is not told: there is nothing it could do.
    pub(crate) fn set(&mut self, wanted: Range<u64>, bytes_per_s: Option<u64>, ahead: Option<Duration>) {
        let at = ReaderAt { file: self.at.file.clone(), wanted, bytes_per_s, ahead };
        if self.at == at {
            return;
        }
        self.at = at;
        let mut state = self.readers.lock();
        state.latest = Some(self.at.clone());
        state.asked(&self.at);
        if let Some((at, spell)) = state.demands.get_mut(&self.key) {
            at.clone_from(&self.at);
            spell.turn(Instant::now(), self.at.ahead.is_none());
        }
        if state.have.is_full() && !state.have.is_empty() {
            return;
        }
        state.changes.entry(self.key).or_default().at = Some(self.at.clone());
        drop(state);
        self.readers.changed.notify_one();
    }
}

impl Drop for Demand {
    fn drop(&mut self) {
        let mut state = self.readers.lock();
        state.active = Instant::now();
        state.demands.remove(&self.key);
        let change = state.changes.entry(self.key).or_default();
        if change.opened {
            state.changes.remove(&self.key);
            return;
        }
        *change = Change { opened: false, at: None, closed: true };
        drop(state);
        self.readers.changed.notify_one();
    }
}

/// Resolves once its pieces are here.
pub(crate) struct Wait {
    readers: Arc<Readers>,
    pieces: Range<u32>,
    id: Option<u64>,
}

impl Future for Wait {
    type Output = Result<(), Arc<str>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let readers = self.readers.clone();
        let mut state = readers.lock();
        if state.has_all(&self.pieces) {
            return Poll::Ready(Ok(()));
        }
        if let Some(reason) = &state.failure {
            return Poll::Ready(Err(reason.clone()));
        }
        let id = *self.id.get_or_insert_with(|| {
            state.next_waiter += 1;
            state.next_waiter
        });
        match state.waiters.iter_mut().find(|waiter| waiter.id == id) {
            Some(waiter) => waiter.waker.clone_from(context.waker()),
            None => {
                let (pieces, waker) = (self.pieces.clone(), context.waker().clone());
                state.waiters.push(Waiter { id, pieces, waker, since: Instant::now() });
            }
        }
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.readers.lock().waiters.retain(|waiter| waiter.id != id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readers(pieces: u32) -> Arc<Readers> {
        let readers = Arc::new(Readers::new());
        readers.lock().have = Bitfield::none(pieces);
        readers
    }

    fn at(wanted: Range<u64>) -> ReaderAt {
        ReaderAt { file: 0..1_000, wanted, bytes_per_s: None, ahead: None }
    }

    #[tokio::test]
    async fn a_wait_ends_exactly_when_its_last_piece_is_here() {
        let readers = readers(4);
        let mut wait = std::pin::pin!(readers.wait(1..3));
        let mut context = Context::from_waker(Waker::noop());
        assert!(wait.as_mut().poll(&mut context).is_pending());
        readers.verified([PieceIndex(0), PieceIndex(1)].into_iter());
        assert_eq!(readers.lock().waiters.len(), 1);
        readers.verified([PieceIndex(2)].into_iter());
        assert!(readers.lock().waiters.is_empty());
        assert_eq!(wait.await, Ok(()));
    }

    #[tokio::test]
    async fn a_failure_ends_every_wait_and_a_dropped_wait_leaves_nothing() {
        let readers = readers(4);
        let mut context = Context::from_waker(Waker::noop());
        {
            let mut dropped = std::pin::pin!(readers.wait(0..1));
            assert!(dropped.as_mut().poll(&mut context).is_pending());
        }
        assert!(readers.lock().waiters.is_empty());
        let waiting = tokio::spawn(readers.wait(0..4));
        tokio::task::yield_now().await;
        readers.failed("disk full");
        assert_eq!(waiting.await.unwrap(), Err("disk full".into()));
    }

    #[tokio::test]
    async fn it_is_known_who_waits_for_what() {
        let readers = readers(10);
        let layout = PieceLayout::new(1_000, 100).unwrap();
        let ahead = readers.demand(at(300..600));
        let waiting = readers.demand(at(700..1_000));
        let mut wait = std::pin::pin!(readers.wait(7..8));
        assert!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let waits: Vec<_> = readers
            .demanded(&layout)
            .into_values()
            .map(|demanded| demanded.waits.map(|(pieces, _)| pieces))
            .collect();
        assert_eq!(waits, [None, Some(7..8)]);
        assert_eq!(readers.idle_for(), Duration::ZERO);
        drop((ahead, waiting));
        assert!(readers.demanded(&layout).is_empty());
    }

    #[test]
    fn a_file_is_read_while_its_reads_follow_each_other() {
        let readers = readers(4);
        let mut demand = readers.demand(at(0..10));
        assert!(readers.read_for(Duration::from_millis(5)).is_empty());
        std::thread::sleep(Duration::from_millis(6));
        demand.set(10..20, None, None);
        assert_eq!(readers.read_for(Duration::from_millis(5)), [0]);
    }

    #[test]
    fn a_demand_that_the_task_never_heard_of_ends_unheard() {
        let readers = readers(4);
        drop(readers.demand(at(0..10)));
        assert!(readers.take_changes().is_empty());
        let mut demand = readers.demand(at(0..10));
        assert!(readers.take_changes().values().all(|change| change.opened && !change.closed));
        demand.set(10..20, None, None);
        demand.set(20..30, None, None);
        let changes = readers.take_changes();
        assert_eq!(changes.values().next().unwrap().at, Some(at(20..30)));
        drop(demand);
        assert!(readers.take_changes().values().all(|change| change.closed));
        assert_eq!(readers.open_count(), 0);
    }
}
