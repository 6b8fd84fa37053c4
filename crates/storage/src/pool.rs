//! Open files of all torrents, a bounded number of them: what was used longest ago is closed.

use std::{
    collections::HashMap,
    fs::File,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// `f_type` of tmpfs (linux/magic.h).
const TMPFS: u64 = 0x0102_1994;

/// A file of a torrent: the torrent's number, and the file's within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) torrent: u64,
    pub(crate) file: u32,
}

/// An open file; shared while it is used, closed after.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) file: File,
    pub(crate) writable: bool,
    /// On tmpfs nothing is ever waited for, and it does not know `RWF_NOWAIT`.
    pub(crate) in_memory: bool,
}

impl Open {
    pub(crate) fn new(file: File, writable: bool) -> Self {
        // Its type differs from one architecture to the next.
        let in_memory =
            rustix::fs::fstatfs(&file).is_ok_and(|found| u64::try_from(found.f_type) == Ok(TMPFS));
        Self { file, writable, in_memory }
    }
}

#[derive(Debug)]
pub(crate) struct Pool {
    max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: HashMap<Key, (Arc<Open>, u64)>,
    clock: u64,
}

impl Pool {
    pub(crate) fn new(max: usize) -> Self {
        Self { max: max.max(1), state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file if it is open already.
    pub(crate) fn peek(&self, key: Key) -> Option<Arc<Open>> {
        let mut state = self.lock();
        state.clock += 1;
        let clock = state.clock;
        let (open, used) = state.open.get_mut(&key)?;
        *used = clock;
        Some(open.clone())
    }

    /// The file, opened by `open` if it is not open or only for reading.
    pub(crate) fn get(
        &self,
        key: Key,
        writing: bool,
        open: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<Arc<Open>> {
        match self.peek(key) {
            Some(found) if found.writable || !writing => Ok(found),
            _ => Ok(self.put(key, Open::new(open()?, writing))),
        }
    }

    pub(crate) fn put(&self, key: Key, open: Open) -> Arc<Open> {
        let open = Arc::new(open);
        let mut state = self.lock();
        state.clock += 1;
        let clock = state.clock;
        let mut closed = state.open.insert(key, (open.clone(), clock));
        if state.open.len() > self.max
            && let Some(oldest) = state.open.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key)
        {
            closed = state.open.remove(&oldest);
        }
        // Closing may take a while: not under the lock.
        drop(state);
        drop(closed);
        open
    }

    /// Closes the files of a torrent, or one of them.
    pub(crate) fn close(&self, torrent: u64, file: Option<u32>) {
        let mut state = self.lock();
        let keys: Vec<_> = state
            .open
            .keys()
            .filter(|key| key.torrent == torrent && file.is_none_or(|file| key.file == file))
            .copied()
            .collect();
        let closed: Vec<_> = keys.iter().filter_map(|key| state.open.remove(key)).collect();
        drop(state);
        drop(closed);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.lock().open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(file: u32) -> Key {
        Key { torrent: 1, file }
    }

    #[test]
    fn what_was_used_longest_ago_is_closed() {
        let pool = Pool::new(2);
        let open = || tempfile::tempfile();
        pool.get(key(0), false, open).unwrap();
        pool.get(key(1), false, open).unwrap();
        assert!(pool.peek(key(0)).is_some());
        pool.get(key(2), false, open).unwrap();
        assert!(pool.peek(key(1)).is_none() && pool.peek(key(0)).is_some() && pool.len() == 2);
    }

    #[test]
    fn a_file_open_for_reading_is_opened_again_for_writing() {
        let pool = Pool::new(2);
        assert!(!pool.get(key(0), false, tempfile::tempfile).unwrap().writable);
        assert!(pool.get(key(0), true, tempfile::tempfile).unwrap().writable);
        assert!(pool.get(key(0), false, || Err(io::ErrorKind::Other.into())).unwrap().writable);
        pool.close(1, None);
        assert_eq!(pool.len(), 0);
    }
}
