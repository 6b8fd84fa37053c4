//! Futures without a runtime: a value that one thread sets and one task, or thread, waits for; and room to write.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use crate::StorageError;

/// What takes time: a future for any runtime, or [`wait`](Self::wait) for a thread.
///
/// # Cancel safety
/// Dropping it gives up the answer; the work itself goes on unless its docs say otherwise.
#[must_use = "nothing tells how it went unless this is awaited"]
#[derive(Debug)]
pub struct Pending<T> {
    slot: Arc<Slot<T>>,
}

/// The setting end of a [`Pending`]; dropped unset, the other end hears [`StorageError::Closed`].
#[derive(Debug)]
pub(crate) struct Promise<T> {
    slot: Arc<Slot<T>>,
}

#[derive(Debug)]
struct Slot<T> {
    state: Mutex<State<T>>,
    set: Condvar,
}

#[derive(Debug)]
struct State<T> {
    value: Option<Result<T, StorageError>>,
    waker: Option<Waker>,
    abandoned: bool,
}

pub(crate) fn promise<T>() -> (Promise<T>, Pending<T>) {
    let state = State { value: None, waker: None, abandoned: false };
    let slot = Arc::new(Slot { state: Mutex::new(state), set: Condvar::new() });
    (Promise { slot: slot.clone() }, Pending { slot })
}

impl<T> Pending<T> {
    /// One whose answer is known.
    pub(crate) fn ready(value: Result<T, StorageError>) -> Self {
        let (promise, pending) = promise();
        promise.set(value);
        pending
    }

    /// Waits on this thread; not for tasks.
    ///
    /// # Errors
    /// Those of the work, or [`StorageError::Closed`].
    pub fn wait(self) -> Result<T, StorageError> {
        let state = self.slot.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self
            .slot
            .set
            .wait_while(state, |state| state.value.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        state.value.take().unwrap_or(Err(StorageError::Closed))
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, StorageError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.slot.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        self.slot.state.lock().unwrap_or_else(PoisonError::into_inner).abandoned = true;
    }
}

impl<T> Promise<T> {
    pub(crate) fn set(self, value: Result<T, StorageError>) {
        self.put(value);
    }

    /// Whether nobody waits any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.slot.state.lock().unwrap_or_else(PoisonError::into_inner).abandoned
    }

    fn put(&self, value: Result<T, StorageError>) {
        let mut state = self.slot.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.value.is_none() {
            state.value = Some(value);
            let waker = state.waker.take();
            drop(state);
            self.slot.set.notify_all();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        // After `set` this finds a value, or the taken value's task gone for good.
        if Arc::strong_count(&self.slot) > 1 {
            self.put(Err(StorageError::Closed));
        }
    }
}

/// Bytes on their way to the disk, and who waits for there to be fewer.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    state: Mutex<Flight>,
}

#[derive(Debug, Default)]
struct Flight {
    bytes: u64,
    max: u64,
    waiting: Vec<Waker>,
}

impl InFlight {
    pub(crate) fn new(max: u64) -> Self {
        Self { state: Mutex::new(Flight { bytes: 0, max: max.max(1), waiting: Vec::new() }) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Flight> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    pub(crate) fn has_room(&self) -> bool {
        let state = self.lock();
        state.bytes < state.max
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.lock().bytes += bytes;
    }

    pub(crate) fn remove(&self, bytes: u64) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(bytes);
        if state.bytes < state.max && !state.waiting.is_empty() {
            let waiting = std::mem::take(&mut state.waiting);
            drop(state);
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

/// Resolves once fewer bytes are in flight than the bound. See [`Storage::room`](crate::Storage::room).
#[must_use = "room is waited for by awaiting this"]
#[derive(Debug)]
pub struct Room {
    pub(crate) in_flight: Arc<InFlight>,
}

impl Future for Room {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.in_flight.lock();
        if state.bytes < state.max {
            return Poll::Ready(());
        }
        // One waker per task, however often it polls.
        if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            state.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }
}
