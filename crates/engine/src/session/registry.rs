//! The session's torrents: by hash, by the hash that encryption hides it in, in the order they were added.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use metainfo::InfoHash;

use crate::Torrent;

#[derive(Default)]
pub(crate) struct Registry {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_hash: HashMap<InfoHash, (u64, Torrent)>,
    by_obfuscated: HashMap<[u8; 20], InfoHash>,
    added: u64,
    closed: bool,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn all(&self) -> Vec<Torrent> {
        let mut all: Vec<_> = self.lock().by_hash.values().cloned().collect();
        all.sort_unstable_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, torrent)| torrent).collect()
    }

    pub(crate) fn get(&self, info_hash: InfoHash) -> Option<Torrent> {
        self.lock().by_hash.get(&info_hash).map(|(_, torrent)| torrent.clone())
    }

    /// The torrent that an encrypted handshake names.
    pub(crate) fn obfuscated(&self, hidden: &[u8; 20]) -> Option<Torrent> {
        let state = self.lock();
        let info_hash = state.by_obfuscated.get(hidden)?;
        state.by_hash.get(info_hash).map(|(_, torrent)| torrent.clone())
    }

    /// Puts in what `make` makes, unless it is here already: whether it was new. `None` once the session stops.
    pub(crate) fn insert(
        &self,
        info_hash: InfoHash,
        make: impl FnOnce() -> Torrent,
    ) -> Option<(Torrent, bool)> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        if let Some((_, torrent)) = state.by_hash.get(&info_hash) {
            return Some((torrent.clone(), false));
        }
        let torrent = make();
        state.added += 1;
        let number = state.added;
        state.by_hash.insert(info_hash, (number, torrent.clone()));
        state.by_obfuscated.insert(peer_wire::obfuscated(&info_hash), info_hash);
        Some((torrent, true))
    }

    pub(crate) fn remove(&self, info_hash: InfoHash) -> Option<Torrent> {
        let mut state = self.lock();
        state.by_obfuscated.remove(&peer_wire::obfuscated(&info_hash));
        state.by_hash.remove(&info_hash).map(|(_, torrent)| torrent)
    }

    /// Takes no more torrents; those that are here, which stay to be looked at.
    pub(crate) fn close(&self) -> Vec<Torrent> {
        self.lock().closed = true;
        self.all()
    }
}
