//! Buffers that reads go into, used again once nobody holds a slice of them: fresh ones would have to be zeroed, and
//! large ones are given back to the system each time, page by page.

use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};

/// Longest buffer that is kept; longer reads get one of their own.
pub(crate) const LENGTH_MAX: usize = 256 << 10;

/// Buffers kept at most, 4 MiB.
const COUNT_MAX: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Buffers {
    kept: Mutex<Vec<Bytes>>,
}

impl Buffers {
    /// Fills `length` bytes; whatever `fill` gives beside them is passed on.
    pub(crate) fn fill<E>(
        &self,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<bool, E>,
    ) -> Result<Option<Bytes>, E> {
        if length > LENGTH_MAX {
            let mut bytes = vec![0; length];
            return Ok(fill(&mut bytes)?.then(|| bytes.into()));
        }
        let class = length.next_power_of_two().max(16 << 10);
        let mut buffer = self.take(class).unwrap_or_else(|| BytesMut::zeroed(class));
        let filled = fill(&mut buffer[..length]);
        let buffer = buffer.freeze();
        self.keep(buffer.clone());
        Ok(filled?.then(|| buffer.slice(..length)))
    }

    fn take(&self, class: usize) -> Option<BytesMut> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|buffer| buffer.len() == class && buffer.is_unique())?;
        kept.swap_remove(place).try_into_mut().ok()
    }

    fn keep(&self, buffer: Bytes) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == COUNT_MAX {
            // One that nobody else holds is of a length that is not asked for now.
            let place = kept.iter().position(Bytes::is_unique).unwrap_or_default();
            kept.swap_remove(place);
        }
        kept.push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(buffers: &Buffers, length: usize) -> Bytes {
        buffers.fill(length, |bytes| Ok::<_, ()>(bytes.len() == length)).unwrap().unwrap()
    }

    #[test]
    fn a_buffer_is_used_again_only_when_nobody_holds_it() {
        let buffers = Buffers::default();
        let first = fill(&buffers, 20_000);
        let second = fill(&buffers, 20_000);
        assert_ne!(first.as_ptr(), second.as_ptr());
        let place = first.as_ptr();
        let slice = first.slice(5..10);
        drop(first);
        assert_ne!(fill(&buffers, 30_000).as_ptr(), place);
        drop(slice);
        drop(second);
        let again: Vec<_> = (0..3).map(|_| fill(&buffers, 30_000)).collect();
        assert!(again.iter().any(|bytes| bytes.as_ptr() == place));
    }

    #[test]
    fn no_more_than_a_few_are_kept() {
        let buffers = Buffers::default();
        let held: Vec<_> = (0..100).map(|_| fill(&buffers, 100)).collect();
        assert_eq!(buffers.kept.lock().unwrap().len(), COUNT_MAX);
        drop(held);
    }
}
