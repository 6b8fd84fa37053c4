//! A source for tests: it keeps a record of every read, and bytes can be held back until the test lets them come.

use std::{
    future::poll_fn,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

use crate::{ByteRange, ByteSource, RangeSet, ReadFuture, ReadHint, SourceError};

/// Wraps a source; reads wait until the test has [`arrive`](Self::arrive)d their bytes. Records reads and hints.
#[derive(Debug)]
pub struct LateSource<S> {
    inner: S,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    here: RangeSet,
    reads: Vec<ByteRange>,
    hints: Vec<ReadHint>,
    waiting: Vec<Waker>,
}

impl<S: ByteSource> LateSource<S> {
    /// Nothing has arrived yet.
    pub fn new(inner: S) -> Self {
        Self { inner, state: Mutex::default() }
    }

    /// Everything is here from the start: an instrumented source.
    pub fn arrived(inner: S) -> Self {
        let late = Self::new(inner);
        late.arrive(ByteRange::new(0, late.inner.len()));
        late
    }

    /// Lets these bytes be read; wakes whoever waits.
    pub fn arrive(&self, range: ByteRange) {
        let waiting = {
            let mut state = self.state();
            state.here.insert(range);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Every range read so far, in the order of asking.
    pub fn reads(&self) -> Vec<ByteRange> {
        self.state().reads.clone()
    }

    /// Forgets the reads recorded so far.
    pub fn forget_reads(&self) {
        self.state().reads.clear();
    }

    /// How many bytes were read, a byte read twice counting twice.
    pub fn bytes_read(&self) -> u64 {
        self.state().reads.iter().map(|r| r.len()).sum()
    }

    /// Every hint so far that was not taken back.
    pub fn hints(&self) -> Vec<ReadHint> {
        self.state().hints.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: ByteSource> ByteSource for LateSource<S> {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&self, range: ByteRange) -> ReadFuture<'_> {
        self.state().reads.push(range);
        Box::pin(async move {
            poll_fn(|cx| {
                let mut state = self.state();
                if state.here.covers(range) {
                    return Poll::Ready(());
                }
                state.waiting.push(cx.waker().clone());
                Poll::Pending
            })
            .await;
            self.inner.read_at(range).await
        })
    }

    fn try_read_at(&self, range: ByteRange) -> Option<Result<bytes::Bytes, SourceError>> {
        if !self.state().here.covers(range) {
            return None;
        }
        let answer = self.inner.try_read_at(range)?;
        self.state().reads.push(range);
        Some(answer)
    }

    fn hint(&self, hint: ReadHint) {
        self.state().hints.push(hint);
        self.inner.hint(hint);
    }

    fn forget(&self, range: ByteRange) {
        self.state().hints.retain(|hint| !range.contains(hint.range.start()));
        self.inner.forget(range);
    }

    fn is_here(&self) -> bool {
        self.state().here.covers(ByteRange::new(0, self.inner.len()))
    }
}
