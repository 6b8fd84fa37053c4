//! The thread that keeps what was written: resume data every few seconds, names of whole files, selections, removal.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use crate::{
    StorageError,
    pending::Promise,
    queue::Taken,
    relocate,
    threads::Threads,
    torrent::{Torrent, lock},
};

/// Between two saves of a torrent that is being written: what a crash costs at most.
const SAVE_EVERY: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(crate) enum KeeperJob {
    /// Something is to be saved.
    Dirty(Arc<Torrent>),
    /// These files are whole.
    Finish(Arc<Torrent>, Vec<usize>),
    Select(Arc<Torrent>, Vec<bool>, Promise<()>),
    Save(Arc<Torrent>, Promise<()>),
    Close(Arc<Torrent>, Promise<()>),
    Remove(Arc<Torrent>, Promise<()>),
    Stop(Promise<()>),
}

pub(crate) fn run(threads: &Threads) {
    let mut keeper = Keeper { threads, due: Vec::new(), saved: HashMap::new() };
    let mut jobs = Vec::new();
    loop {
        let until = keeper.due.iter().map(|(due, _)| *due).min();
        match threads.keeper.take(1, |_| 1, until, &mut jobs) {
            Taken::Jobs => jobs.drain(..).for_each(|job| keeper.work(job)),
            Taken::TimeUp => {}
            Taken::Stopped => break,
        }
        keeper.save_due();
    }
    for torrent in threads.open_torrents() {
        keeper.save(&torrent, false);
    }
}

struct Keeper<'a> {
    threads: &'a Threads,
    due: Vec<(Instant, Arc<Torrent>)>,
    /// When each torrent was last saved; forgotten after a while of quiet.
    saved: HashMap<u64, Instant>,
}

impl Keeper<'_> {
    fn work(&mut self, job: KeeperJob) {
        match job {
            KeeperJob::Dirty(torrent) => {
                let now = Instant::now();
                let due = self.saved.get(&torrent.number).map_or(now, |saved| *saved + SAVE_EVERY);
                self.due.push((due, torrent));
            }
            KeeperJob::Finish(torrent, numbers) => {
                if let Err(error) = torrent.finish(&numbers) {
                    torrent.fail(error);
                }
                torrent.mark_dirty();
            }
            KeeperJob::Select(torrent, wanted, promise) => {
                promise.set(select(&torrent, &wanted));
                torrent.mark_dirty();
            }
            KeeperJob::Save(torrent, promise) => {
                self.threads.settle_writes();
                let result = finish_and_save(&torrent, false);
                self.saved.insert(torrent.number, Instant::now());
                if let Err(error) = &result {
                    torrent.fail(error.clone());
                }
                promise.set(torrent.failure().map_or(result, Err));
            }
            KeeperJob::Close(torrent, promise) => promise.set(self.close(&torrent)),
            KeeperJob::Remove(torrent, promise) => {
                // What is to be removed need not be saved first.
                let _ = self.close(&torrent);
                promise.set(remove(&torrent));
            }
            KeeperJob::Stop(promise) => {
                let mut result = Ok(());
                for torrent in self.threads.open_torrents() {
                    result = self.close(&torrent).and(result);
                }
                self.threads.stop();
                promise.set(result);
            }
        }
    }

    fn save_due(&mut self) {
        let now = Instant::now();
        let due: Vec<_> = self.due.extract_if(.., |(due, _)| *due <= now).collect();
        for (_, torrent) in due {
            let gone = torrent.closed.load(Ordering::Acquire);
            // Once it is moved it says that it is dirty.
            if torrent.take_dirty() && !gone && !torrent.moving.load(Ordering::Acquire) {
                self.save(&torrent, false);
                self.saved.insert(torrent.number, Instant::now());
            }
        }
        self.saved.retain(|_, saved| now.saturating_duration_since(*saved) < SAVE_EVERY);
    }

    fn save(&mut self, torrent: &Torrent, clean: bool) {
        if let Err(error) = torrent.save(clean) {
            torrent.fail(error);
        }
    }

    fn close(&mut self, torrent: &Arc<Torrent>) -> Result<(), StorageError> {
        if torrent.closed.load(Ordering::Acquire) {
            return Ok(());
        }
        self.threads.settle_writes();
        let result = finish_and_save(torrent, true);
        torrent.set_closed();
        self.threads.pool.close(torrent.number, None);
        let mut open = lock(&self.threads.open);
        let hash = torrent.contents.info_hash();
        if open.get(&hash).is_some_and(|other| other.as_ptr() == Arc::as_ptr(torrent)) {
            open.remove(&hash);
        }
        result
    }
}

fn finish_and_save(torrent: &Torrent, clean: bool) -> Result<(), StorageError> {
    let finished = torrent.finish(&torrent.whole_files());
    torrent.take_dirty();
    torrent.save(clean).and(finished)
}

fn select(torrent: &Torrent, wanted: &[bool]) -> Result<(), StorageError> {
    let Some(files) = torrent.files() else { return Ok(()) };
    files.select(wanted)?;
    torrent.finish(&torrent.whole_files())
}

fn remove(torrent: &Torrent) -> Result<(), StorageError> {
    if let Some(path) = &lock(&torrent.saved).path {
        let _ = std::fs::remove_file(path);
    }
    torrent.files().map_or(Ok(()), relocate::remove)
}
