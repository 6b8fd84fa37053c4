//! From metadata to files that can be written: opening, checking what is there, and what becomes of it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use metainfo::{Bitfield, Info, Metainfo};
use storage::{Check, Contents, FileEntry, Place, Sink, StorageError, Store, Unfinished};
use swarm::Input;

use super::{
    inbox::{Inbox, Opened},
    saved::{Saved, write_whole},
    task::{Phase, Task},
};
use crate::{EngineError, Event, StorageKind};

/// Web seeds of one torrent at a time.
const WEB_SEEDS_MAX: usize = 8;

/// What storage has to know of a torrent.
fn contents(info: &Info) -> Result<Contents, StorageError> {
    let files = info.files();
    let entries: Vec<FileEntry> = files
        .iter()
        .map(|(index, file)| FileEntry {
            path: files.stored_path(index).unwrap_or_default().split('/').map(str::to_owned).collect(),
            length: file.length(),
            pad: !file.is_stored(),
        })
        .collect();
    Contents::new(info.info_hash(), info.layout(), entries, info.piece_hashes().clone())
}

impl Task {
    /// Opens the files on a thread that may wait for the disk.
    pub(super) fn open_files(&mut self) {
        let Some(metainfo) = self.metainfo.clone() else { return };
        let storage = self.core.storage.clone();
        let config = &self.core.config;
        let place = match config.storage {
            StorageKind::Disk => {
                Place::Directory { path: self.saved.output.clone(), unfinished: Unfinished::Suffixed }
            }
            StorageKind::Memory => Place::Memory { bytes_max: config.memory_limit },
        };
        let (sender, readers) = (self.stored_sender.clone(), self.shared.readers.clone());
        let sink: Sink = Arc::new(move |events: Vec<storage::Event>| {
            // Readers are woken here, without a detour over the task.
            let verified = events.iter().filter_map(|event| match event {
                storage::Event::Verified(piece) => Some(*piece),
                _ => None,
            });
            readers.verified(verified);
            // A torrent that has ended needs no results.
            let _ = sender.send(events);
        });
        let (inbox, recheck) = (self.context.inbox.clone(), self.recheck);
        self.recheck = false;
        let previous = self.store.take();
        self.shared.readers().closed();
        let job = tokio::spawn(async move {
            if let Some(previous) = previous {
                let _ = previous.close().await;
            }
            let opened = tokio::task::spawn_blocking(move || {
                let store = storage.open(contents(metainfo.info())?, place, sink)?;
                let doubtful = recheck || store.doubtful().count() > 0;
                Ok(Opened { have: store.have(), store, doubtful })
            });
            let opened = opened.await.unwrap_or(Err(StorageError::Closed));
            let _ = inbox.send(Inbox::Opened(Box::new(opened))).await;
        });
        self.job = Some(job.abort_handle());
        self.checks_all = recheck;
    }

    pub(super) fn take_opened(&mut self, now: Duration, opened: Result<Opened, StorageError>) {
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => return self.fail(now, error.to_string()),
        };
        self.store = Some(opened.store.clone());
        self.guard_room();
        if let (Some(gone), false) = (opened.store.failure(), self.checks_all) {
            // Files that were here are not: nobody's wish but the user's fetches them again, once.
            if !std::mem::take(&mut self.fetch_anew) {
                return self.fail(now, gone.to_string());
            }
            self.checks_all = true;
            return self.check(now, &opened.store, Check::All);
        }
        if opened.doubtful {
            let what = if self.checks_all { Check::All } else { Check::Doubtful };
            self.check(now, &opened.store, what);
        } else {
            self.ready(now, opened.have);
        }
    }

    fn check(&mut self, now: Duration, store: &Store, what: Check) {
        let pieces = store.contents().layout().pieces();
        self.phase = Phase::Checking(0, pieces);
        let (checked, inbox) = (store.check(what), self.context.inbox.clone());
        let job = tokio::spawn(async move {
            let checked = checked.await;
            let _ = inbox.send(Inbox::Checked(checked)).await;
        });
        self.job = Some(job.abort_handle());
        self.publish(now);
    }

    /// The user wants everything hashed again.
    pub(super) fn begin_recheck(&mut self, now: Duration) -> Result<(), EngineError> {
        let info_hash = self.shared_info_hash();
        if self.metainfo.is_none() {
            return Err(EngineError::NoMetadata { info_hash });
        }
        match (&self.phase, self.store.clone()) {
            (Phase::Ready, Some(store)) => {
                self.swarm.handle(now, Input::Pause);
                self.check(now, &store, Check::All);
            }
            (Phase::Failed(_), _) => {
                self.recheck = true;
                self.phase = Phase::Opening;
                self.shared.readers.recovered();
                self.open_files();
            }
            // It is being opened or checked already.
            _ => {}
        }
        Ok(())
    }

    pub(super) fn take_checked(&mut self, now: Duration, checked: Result<Bitfield, StorageError>) {
        match checked {
            Ok(have) => self.ready(now, have),
            Err(StorageError::Cancelled | StorageError::Closed) => {}
            Err(error) => self.fail(now, error.to_string()),
        }
    }

    /// What is on disk is known: the torrent runs, or goes on.
    fn ready(&mut self, now: Duration, have: Bitfield) {
        let (Some(store), Some(metainfo)) = (self.store.clone(), self.metainfo.clone()) else { return };
        self.job = None;
        self.phase = Phase::Ready;
        let partial =
            store.adopt_partial().into_iter().map(|partial| (partial.piece, partial.blocks)).collect();
        self.shared.readers.opened(store, have.clone());
        if self.informed {
            self.swarm.handle(now, Input::Rechecked(have));
            self.swarm.handle(now, Input::Restored(partial));
            self.apply_priorities(now);
            self.go_on(now);
        } else {
            self.informed = true;
            let info = metainfo.info();
            let info = swarm::Info {
                layout: info.layout(),
                metadata: info.raw().clone(),
                private: info.is_private(),
                have,
            };
            // Before the metadata, so that nothing is asked for that nobody wants.
            self.swarm.handle(now, Input::Sequential(self.saved.sequential));
            self.apply_priorities(now);
            self.swarm.handle(now, Input::Info(Box::new(info)));
            self.swarm.handle(now, Input::Restored(partial));
            let pieces = metainfo.info().layout().pieces();
            self.tell_pieces(pieces);
            self.go_on(now);
        }
        self.carry_out(now);
        self.publish(now);
    }

    /// The swarm sent the info dictionary, and its hash is right.
    pub(super) fn take_metadata(&mut self, now: Duration, bytes: Bytes) {
        if self.metainfo.is_some() {
            return;
        }
        let info = match Info::parse(bytes) {
            Ok(info) => info,
            Err(error) => return self.fail(now, format!("the metadata cannot be used: {error}")),
        };
        let tiers = self.saved.trackers.clone();
        let metainfo = Metainfo::from_info(info, tiers, self.saved.web_seeds.clone());
        self.learn(Arc::new(metainfo));
        self.save_metainfo();
        self.core.tell(Event::Metadata { info_hash: self.shared_info_hash() });
        self.publish(now);
    }

    /// Keeps the metadata, so that the next start needs no swarm.
    pub(super) fn save_metainfo(&self) {
        let Some(metainfo) = self.metainfo.clone() else { return };
        let path = Saved::metainfo_path(&self.core.config.state_dir, self.shared_info_hash());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = write_whole(&path, metainfo.bytes()) {
                tracing::warn!(%error, "metadata not saved");
            }
        });
    }

    /// Stops with a reason; other torrents go on.
    pub(super) fn fail(&mut self, now: Duration, reason: String) {
        tracing::warn!(info_hash = %self.shared_info_hash(), reason, "torrent stopped");
        self.shared.readers.failed(&reason);
        self.phase = Phase::Failed(reason);
        self.swarm.handle(now, Input::Pause);
        self.trackers.stop();
        self.carry_out(now);
        self.touch();
        self.publish(now);
    }

    pub(super) fn add_web_seeds(&mut self, now: Duration) {
        let Some(metainfo) = self.metainfo.clone() else { return };
        if self.phase != Phase::Ready
            || self.is_at_rest()
            || !self.web_seeds.is_empty()
            || self.swarm.is_finished()
        {
            return;
        }
        let urls: Vec<_> = self.saved.web_seeds.iter().take(WEB_SEEDS_MAX).cloned().collect();
        for url in urls {
            let Some(peer) = self.swarm.add_web_seed(now) else { return };
            let commands = self.hold(peer, false);
            self.web_seeds.push(peer);
            let (metainfo, context) = (metainfo.clone(), self.context.clone());
            tokio::spawn(crate::webseed::run(peer, url, metainfo, context, commands));
        }
    }

    pub(super) fn shared_info_hash(&self) -> metainfo::InfoHash {
        self.shared.info_hash()
    }
}
