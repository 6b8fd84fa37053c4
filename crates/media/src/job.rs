//! A segment while it is being made: one maker appends, any number of readers follow at their own pace.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use crate::{MediaError, budget::Hold};

/// What was made so far. Memory it holds is accounted for by its [`Hold`] until the last reader has gone.
#[derive(Debug, Default)]
pub(crate) struct Job {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    chunks: Vec<Bytes>,
    len: Option<u64>,
    end: Option<Result<(), MediaError>>,
    /// One per reader that waits, by the reader's number.
    waiting: Vec<(u64, Waker)>,
    next_reader: u64,
    hold: Option<Arc<Hold>>,
}

impl Job {
    /// One that is already made.
    pub(crate) fn made(chunks: Vec<Bytes>, hold: Option<Arc<Hold>>) -> Self {
        let len = chunks.iter().map(|c| c.len() as u64).sum();
        let state = State { chunks, len: Some(len), end: Some(Ok(())), hold, ..State::default() };
        Self { state: Mutex::new(state) }
    }

    /// What was made, if it was made without an error.
    pub(crate) fn chunks(&self) -> Option<Vec<Bytes>> {
        let state = self.state();
        matches!(state.end, Some(Ok(()))).then(|| state.chunks.clone())
    }

    /// What accounts for its memory.
    pub(crate) fn hold(&self) -> Weak<Hold> {
        self.state().hold.as_ref().map(Arc::downgrade).unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, f: impl FnOnce(&mut State)) {
        let waiting = {
            let mut state = self.state();
            f(&mut state);
            mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

/// The maker's end. Dropped without [`finish`](Self::finish), it tells the readers that the maker is gone.
#[derive(Debug)]
pub(crate) struct JobWriter {
    job: Arc<Job>,
    title: Arc<str>,
}

impl JobWriter {
    pub(crate) fn new(job: Arc<Job>, title: Arc<str>) -> Self {
        Self { job, title }
    }

    /// States the length before the bytes are there.
    pub(crate) fn announce(&self, len: u64) {
        self.job.state().len = Some(len);
    }

    /// Appends.
    pub(crate) fn push(&self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.job.change(|state| state.chunks.push(bytes));
        }
    }

    /// The memory this takes is accounted for by `hold`.
    pub(crate) fn account(&self, hold: Arc<Hold>) {
        self.job.state().hold = Some(hold);
    }

    /// Gives back what was held for making beyond what was made.
    pub(crate) fn settle(&self) {
        let state = self.job.state();
        let made = state.chunks.iter().map(|c| c.len() as u64).sum();
        if let Some(hold) = &state.hold {
            hold.shrink_to(made);
        }
    }

    /// Nothing more comes.
    pub(crate) fn finish(&self, result: Result<(), MediaError>) {
        self.end(result);
    }

    fn end(&self, result: Result<(), MediaError>) {
        self.job.change(|state| {
            if state.end.is_some() {
                return;
            }
            if result.is_ok() {
                state.len = Some(state.chunks.iter().map(|c| c.len() as u64).sum());
            }
            state.end = Some(result);
        });
    }
}

impl Drop for JobWriter {
    fn drop(&mut self) {
        let title = self.title.to_string();
        self.end(Err(MediaError::Internal { title, detail: "the segment's maker stopped".to_owned() }));
    }
}

/// A reader of a job, from its beginning.
#[derive(Debug)]
pub(crate) struct JobReader {
    job: Arc<Job>,
    number: u64,
    at: usize,
}

impl JobReader {
    pub(crate) fn new(job: Arc<Job>) -> Self {
        let number = {
            let mut state = job.state();
            state.next_reader += 1;
            state.next_reader
        };
        Self { job, number, at: 0 }
    }

    /// What it reads.
    pub(crate) fn job(&self) -> Arc<Job> {
        Arc::clone(&self.job)
    }

    /// The length, once it is known.
    pub(crate) fn len(&self) -> Option<u64> {
        self.job.state().len
    }

    /// Waits until there is something to read, and passes nothing over; an error before the first byte is told here.
    pub(crate) fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MediaError>> {
        let mut state = self.job.state();
        match (&state.end, state.chunks.is_empty()) {
            (_, false) | (Some(Ok(())), true) => Poll::Ready(Ok(())),
            (Some(Err(error)), true) => Poll::Ready(Err(error.clone())),
            (None, true) => {
                wait(&mut state, self.number, cx);
                Poll::Pending
            }
        }
    }

    /// The next bytes; `None` at the end.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, MediaError>>> {
        let mut state = self.job.state();
        if let Some(chunk) = state.chunks.get(self.at) {
            self.at += 1;
            return Poll::Ready(Some(Ok(chunk.clone())));
        }
        match &state.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error.clone()))),
            None => {
                wait(&mut state, self.number, cx);
                Poll::Pending
            }
        }
    }
}

fn wait(state: &mut State, number: u64, cx: &Context<'_>) {
    match state.waiting.iter_mut().find(|(n, _)| *n == number) {
        Some((_, waker)) => waker.clone_from(cx.waker()),
        None => state.waiting.push((number, cx.waker().clone())),
    }
}

impl Drop for JobReader {
    fn drop(&mut self) {
        self.job.state().waiting.retain(|(n, _)| *n != self.number);
    }
}
