//! Keeps the catalog fresh: a scan at the start, then every so often or when asked.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Notify, watch};

use crate::{catalog::Catalog, scan::Scanner};

/// The library folders and what is known of them.
#[derive(Debug)]
pub struct Library {
    folders: Vec<PathBuf>,
    catalog: watch::Sender<Arc<Catalog>>,
    wanted: Notify,
    /// Taken out while a scan runs; scans never overlap because [`keep`](Self::keep) runs them one by one.
    scanner: Mutex<Scanner>,
}

impl Library {
    /// A library of these folders; empty until the first scan.
    #[must_use]
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self {
            folders,
            catalog: watch::Sender::new(Arc::default()),
            wanted: Notify::new(),
            scanner: Mutex::default(),
        }
    }

    /// The folders, as configured.
    #[must_use]
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// What is known now.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.borrow().clone()
    }

    /// Wakes on every change of the catalog.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Catalog>> {
        self.catalog.subscribe()
    }

    /// Asks [`keep`](Self::keep) for a scan now.
    pub fn request_scan(&self) {
        self.wanted.notify_one();
    }

    /// Scans once, on this thread. Watchers wake only if something changed.
    pub fn scan_blocking(&self) {
        let started = Instant::now();
        let scan = self.scanner.lock().unwrap_or_else(PoisonError::into_inner).scan(&self.folders);
        let catalog = Catalog::build(&self.folders, scan);
        let (videos, problems) = (catalog.video_count(), catalog.problems.len() + catalog.problems_left_off);
        let changed = self.catalog.send_if_modified(|now| {
            let changed = **now != catalog;
            if changed {
                *now = Arc::new(catalog);
            }
            changed
        });
        let took_ms = started.elapsed().as_millis();
        if changed {
            tracing::info!(videos, problems, took_ms, "library scanned");
            for problem in &self.catalog().problems {
                tracing::warn!(path = %problem.path.display(), what = problem.what, "not in the library");
            }
        } else {
            tracing::debug!(videos, problems, took_ms, "library scanned, unchanged");
        }
    }

    /// Scans now, then `every` so often and when [asked](Self::request_scan). Never returns.
    ///
    /// # Cancel safety
    /// Safe to drop at any time; a scan that has begun ends by itself.
    pub async fn keep(self: Arc<Self>, every: Duration) {
        loop {
            let this = Arc::clone(&self);
            if tokio::task::spawn_blocking(move || this.scan_blocking()).await.is_err() {
                tracing::error!("the library scan panicked: this is a bug");
            }
            let _ = tokio::time::timeout(every, self.wanted.notified()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_a_change_wakes_watchers() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.mkv"), "a").unwrap();
        let library = Library::new(vec![dir.path().to_owned()]);
        let mut changes = library.subscribe();
        assert!(!library.catalog().scanned);
        library.scan_blocking();
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        library.scan_blocking();
        assert!(!changes.has_changed().unwrap());
        fs::write(dir.path().join("b.mkv"), "b").unwrap();
        library.scan_blocking();
        assert!(changes.has_changed().unwrap());
        assert_eq!(library.catalog().shows().len(), 2);
    }

    #[tokio::test]
    async fn a_requested_scan_does_not_wait_for_the_clock() {
        let dir = tempfile::tempdir().unwrap();
        let library = Arc::new(Library::new(vec![dir.path().to_owned()]));
        let mut changes = library.subscribe();
        let keeper = tokio::spawn(Arc::clone(&library).keep(Duration::from_secs(3600)));
        changes.changed().await.unwrap();
        fs::write(dir.path().join("b.mkv"), "b").unwrap();
        library.request_scan();
        changes.changed().await.unwrap();
        assert_eq!(library.catalog().shows().len(), 1);
        keeper.abort();
    }
}
