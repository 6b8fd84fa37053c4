//! What torrents' files are, read once per torrent: what an info-hash names never changes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use engine::{InfoHash, Torrent};
use library::Listing;

use crate::{
    limits::{LISTINGS_FILES_MAX, LISTINGS_MAX},
    problem::Problem,
};

/// Those that were asked for; past its limits everything is forgotten, which only costs reading again.
#[derive(Debug, Default)]
pub(super) struct Listings(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_torrent: HashMap<InfoHash, Arc<Listing>>,
    files: usize,
}

impl Listings {
    /// What the torrent's files are, once its metadata is here.
    ///
    /// # Cancel safety
    /// Safe: what was begun is thrown away.
    pub(super) async fn of(&self, torrent: &Torrent) -> Result<Arc<Listing>, Problem> {
        let info_hash = torrent.info_hash();
        if let Some(listing) = self.known().by_torrent.get(&info_hash) {
            return Ok(Arc::clone(listing));
        }
        let files = torrent.files()?;
        let name = torrent.snapshot().name.clone().unwrap_or_default();
        // A stranger's torrent may have files enough for a second's work.
        let read = tokio::task::spawn_blocking(move || {
            let stored = files.iter().filter(|file| !file.pad);
            Listing::of(&name, stored.map(|file| (file.index.0, file.path.as_str(), file.size)))
        });
        let listing =
            Arc::new(read.await.map_err(|error| Problem::internal(format!("{info_hash}: {error}")))?);
        self.known().keep(info_hash, &listing);
        Ok(listing)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn keep(&mut self, info_hash: InfoHash, listing: &Arc<Listing>) {
        // Two who ask at once both read it.
        if self.by_torrent.contains_key(&info_hash) {
            return;
        }
        let files = listing.files().len();
        if self.by_torrent.len() >= LISTINGS_MAX || self.files + files > LISTINGS_FILES_MAX {
            *self = Self::default();
        }
        self.by_torrent.insert(info_hash, Arc::clone(listing));
        self.files += files;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_are_kept_within_their_limits() {
        let hash = |n: usize| -> InfoHash { format!("{n:040x}").parse().unwrap() };
        let listing = |files: u32| {
            let paths: Vec<String> = (0..files).map(|n| format!("x/{n}")).collect();
            let files = paths.iter().zip(0..).map(|(path, n)| (n, path.as_str(), 1));
            Arc::new(Listing::of("x", files))
        };
        let mut known = Known::default();
        let (one, many) = (listing(1), listing(90_000));
        for n in 0..LISTINGS_MAX {
            known.keep(hash(n), &one);
            known.keep(hash(n), &one);
        }
        assert_eq!((known.by_torrent.len(), known.files), (LISTINGS_MAX, LISTINGS_MAX));
        known.keep(hash(LISTINGS_MAX), &one);
        assert_eq!((known.by_torrent.len(), known.files), (1, 1));
        for n in 0..10 {
            known.keep(hash(n), &many);
            assert!(known.files <= LISTINGS_FILES_MAX);
        }
    }
}
