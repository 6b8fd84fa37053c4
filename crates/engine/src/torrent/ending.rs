//! What is remembered of a torrent, and how it ends: trackers hear of it, files are closed, nothing waits for ever.

use std::{sync::PoisonError, time::Duration};

use swarm::Input;

use super::{
    inbox::Inbox,
    saved::Saved,
    task::{Reach, Task},
};
use crate::{EngineError, trackers};

/// How long trackers are waited for at the end.
const FAREWELL: Duration = Duration::from_secs(4);

/// Peers kept for the next start.
const PEERS_KEPT_MAX: usize = 50;

impl Task {
    /// Brings what is to be remembered up to date.
    pub(super) fn remember(&mut self, now: Duration) {
        let counters = self.swarm.stats(now).counters;
        let totals = self.totals(&counters);
        self.saved.uploaded = totals.uploaded;
        self.saved.downloaded = totals.downloaded;
        self.saved.wasted = totals.wasted;
        self.saved.corrupt = totals.corrupt;
        self.saved.owes_completed = self.trackers.owes_completed();
        self.remembered = counters;
        if let Some(since) = &mut self.seeding_since {
            self.saved.seeding_time += now.saturating_sub(*since).as_secs_f64();
            *since = now;
        }
        let peers = self.swarm.known_addrs(PEERS_KEPT_MAX);
        if !peers.is_empty() {
            self.saved.peers = peers;
        }
        self.unsaved = false;
        self.saved_at = now;
    }

    /// Writes what is remembered, on a thread that may wait for the disk.
    pub(super) fn save_now(&self) {
        let (saved, core, info_hash) = (self.saved.clone(), self.core.clone(), self.shared.info_hash);
        let (saving, moment) = (self.saving.clone(), core.now());
        tokio::task::spawn_blocking(move || {
            // One at a time, and never an older one after a newer.
            let mut latest = saving.lock().unwrap_or_else(PoisonError::into_inner);
            if *latest > moment {
                return;
            }
            *latest = moment;
            if let Err(error) = saved.store(&core.config.state_dir, info_hash) {
                tracing::warn!(%error, "state not saved");
            }
        });
    }

    /// Says goodbye: trackers are told, files are closed, what is remembered is written.
    pub(super) async fn end(mut self: Box<Self>) {
        let now = self.core.now();
        if let Some(job) = self.job.take() {
            job.abort();
        }
        self.swarm.handle(now, Input::Pause);
        self.carry_out(now);
        self.peers.keys().copied().collect::<Vec<_>>().into_iter().for_each(|peer| self.forget_peer(peer));
        self.reach = Reach::Private;
        self.shared.readers.ended();
        self.remember(now);
        self.trackers.stop();
        let store = self.store.take();
        let (remove, forget) = self.ends_with;
        let files = async {
            match store {
                Some(store) if remove => store.remove_data().await,
                Some(store) => store.close().await,
                None => Ok(()),
            }
        };
        let ((), closed) = tokio::join!(self.farewell(), files);
        let (saved, directory, info_hash) =
            (self.saved.clone(), self.core.config.state_dir.clone(), self.shared.info_hash);
        let (storage, saving) = (self.core.storage.clone(), self.saving.clone());
        let written = tokio::task::spawn_blocking(move || {
            let mut latest = saving.lock().unwrap_or_else(PoisonError::into_inner);
            *latest = Duration::MAX;
            if forget {
                Saved::forget(&directory, info_hash);
                storage.forget(info_hash).map_err(|error| EngineError::io("resume data", error))
            } else {
                saved.store(&directory, info_hash)
            }
        })
        .await
        .unwrap_or(Err(EngineError::Stopped));
        let closed = closed.map_err(|error| EngineError::io("closing the files", error));
        if let Some(done) = self.ending.take() {
            let _ = done.send(closed.and(written));
        }
    }

    /// Lets trackers hear that we leave, for a while.
    async fn farewell(&mut self) {
        let all = async {
            loop {
                let now = self.core.now();
                let stats = self.swarm.stats(now);
                let counters = trackers::Counters {
                    uploaded: stats.counters.uploaded,
                    downloaded: stats.counters.downloaded,
                    left: stats.left,
                    peers_wanted: 0,
                };
                self.trackers.poll(now, &counters);
                if self.trackers.is_stopped() {
                    return;
                }
                let due = self.trackers.next_timeout(now).map(|due| self.core.instant(due));
                tokio::select! {
                    message = self.inbox.recv() => {
                        if let Some(Inbox::Tracker(reply)) = message {
                            self.trackers.handle(self.core.now(), *reply);
                        }
                    }
                    () = async { tokio::time::sleep_until(due.unwrap_or_else(tokio::time::Instant::now)).await },
                        if due.is_some() => {}
                }
            }
        };
        let _ = tokio::time::timeout(FAREWELL, all).await;
    }
}
