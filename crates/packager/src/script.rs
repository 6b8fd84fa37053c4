//! A pull parser written as straight code: an `async` block that asks for bytes and is polled without a runtime.
//!
//! Planning and cutting are long conversations with a file ("the first cluster, then eight boundaries, then the tail,
//! unless …"). As an enum of states the thread would be lost; here it reads from top to bottom. Nothing waits on
//! anything but bytes, so the waker is a dummy, and progress is kept in the boxed future, which the parser owns.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use byte_source::ByteRange;
use bytes::Bytes;
use container::{ContainerError, Pull, PullParser};

/// The script's end of the conversation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asker {
    slot: Arc<Mutex<Slot>>,
    asked: Arc<AtomicU64>,
    last: Arc<Mutex<(ByteRange, Bytes)>>,
}

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Idle,
    Asked(ByteRange),
    Fed(ByteRange, Bytes),
}

impl Asker {
    /// These bytes. The range must lie within the file.
    pub(crate) async fn read(&self, range: ByteRange) -> Result<Bytes, ContainerError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        if let Some(bytes) = self.read_last(range) {
            return Ok(bytes);
        }
        self.asked.fetch_add(range.len(), Ordering::Relaxed);
        self.put(Slot::Asked(range));
        let bytes = poll_fn(|_| match self.take_fed(range) {
            Some(bytes) => Poll::Ready(bytes),
            None => Poll::Pending,
        })
        .await;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = (range, bytes.clone());
        Ok(bytes)
    }

    /// What was read last is read again now and then: one walk ends where the next begins. Nobody is asked for it twice.
    fn read_last(&self, range: ByteRange) -> Option<Bytes> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let from = usize::try_from(range.start().checked_sub(last.0.start())?).ok()?;
        let to = from.checked_add(usize::try_from(range.len()).ok()?)?;
        (to <= last.1.len()).then(|| last.1.slice(from..to))
    }

    /// Runs another parser inside this script until it gives an item.
    pub(crate) async fn drive<P: PullParser>(&self, parser: &mut P) -> Result<P::Item, ContainerError> {
        loop {
            match parser.poll()? {
                Pull::Item(item) => return Ok(item),
                Pull::Need(range) => {
                    let bytes = self.read(range).await?;
                    parser.feed(range, bytes);
                }
            }
        }
    }

    /// Bytes asked for so far.
    pub(crate) fn bytes_asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    fn put(&self, slot: Slot) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = slot;
    }

    fn take_fed(&self, wanted: ByteRange) -> Option<Bytes> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::take(&mut *slot) {
            Slot::Fed(range, bytes) if range == wanted => Some(bytes),
            other => {
                *slot = other;
                None
            }
        }
    }

    fn asked(&self) -> Option<ByteRange> {
        match &*self.slot.lock().unwrap_or_else(PoisonError::into_inner) {
            Slot::Asked(range) => Some(*range),
            _ => None,
        }
    }
}

type Running<T> = Pin<Box<dyn Future<Output = Result<T, ContainerError>> + Send>>;

/// The parser's end: gives one item.
pub(crate) struct Script<T> {
    asker: Asker,
    running: Option<Running<T>>,
}

impl<T> Script<T> {
    /// `script` is given the asker it shall read through.
    pub(crate) fn new<F>(script: impl FnOnce(Asker) -> F) -> Self
    where
        F: Future<Output = Result<T, ContainerError>> + Send + 'static,
    {
        let asker = Asker::default();
        let running: Running<T> = Box::pin(script(asker.clone()));
        Self { asker, running: Some(running) }
    }
}

impl<T> PullParser for Script<T> {
    type Item = T;

    fn poll(&mut self) -> Result<Pull<T>, ContainerError> {
        let Some(running) = &mut self.running else {
            return Err(ContainerError::malformed(
                container::Format::Codec,
                0,
                "this parser has already given its only item",
            ));
        };
        let mut cx = Context::from_waker(Waker::noop());
        match running.as_mut().poll(&mut cx) {
            Poll::Ready(result) => {
                self.running = None;
                result.map(Pull::Item)
            }
            Poll::Pending => Ok(Pull::Need(self.asker.asked().unwrap_or_default())),
        }
    }

    fn feed(&mut self, range: ByteRange, bytes: Bytes) {
        self.asker.put(Slot::Fed(range, bytes));
    }
}

impl<T> fmt::Debug for Script<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("asker", &self.asker).field("done", &self.running.is_none()).finish()
    }
}

#[cfg(test)]
mod tests {
    use container::pull::drive_memory;

    use super::*;

    #[test]
    fn a_script_is_fed_what_it_asks_for() {
        let file = Bytes::from_static(b"0123456789");
        let mut script = Script::new(|ask| async move {
            let a = ask.read(ByteRange::new(1, 3)).await?;
            let b = ask.read(ByteRange::new(8, 10)).await?;
            Ok([a, b].concat())
        });
        assert_eq!(drive_memory(&mut script, &file).unwrap(), b"1289");
    }

    #[test]
    fn what_was_just_read_is_not_asked_for_again() {
        let mut script = Script::new(|ask| async move {
            let a = ask.read(ByteRange::new(0, 8)).await?;
            let b = ask.read(ByteRange::new(0, 8)).await?;
            let c = ask.read(ByteRange::new(3, 5)).await?;
            Ok((a == b, c, ask.bytes_asked()))
        });
        let file = Bytes::from_static(b"0123456789");
        assert_eq!(drive_memory(&mut script, &file).unwrap(), (true, Bytes::from_static(b"34"), 8));
    }
}
