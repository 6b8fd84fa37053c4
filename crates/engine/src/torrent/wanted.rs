//! Which files are wanted, from the moment they are known, and when those have their names.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use metainfo::{Metainfo, PieceIndex};
use swarm::Input;

use super::{
    select,
    task::{Phase, Reach, Task},
};
use crate::{Priority, StorageKind};

/// How long whole files may be on their way to the disk before the torrent counts as finished all the same.
const NAMING_MAX: Duration = Duration::from_secs(60);

impl Task {
    /// The metadata is known: from the beginning, from an earlier run, or from the swarm.
    pub(super) fn learn(&mut self, metainfo: Arc<Metainfo>) {
        let info = metainfo.info();
        let private = info.is_private();
        self.private = Some(private);
        self.name = Some(info.name().to_owned());
        if private {
            self.reach = Reach::Private;
        } else if matches!(self.reach, Reach::Private) {
            let finder = self.core.discovery.finder(self.shared.info_hash, self.shared.inbox.clone());
            self.reach = Reach::Public(finder);
        }
        self.priorities = match self.select.take() {
            Some(select) => select::priorities(info, &select),
            None => {
                let mut priorities = vec![Priority::Normal; info.files().len()];
                for (file, priority) in &self.saved.priorities {
                    if let Some(place) = priorities.get_mut(*file as usize) {
                        *place = *priority;
                    }
                }
                priorities
            }
        };
        self.metainfo = Some(metainfo.clone());
        self.remember_priorities();
        let _ = self.shared.metainfo.set(metainfo);
        self.phase = Phase::Opening;
        self.open_files();
        self.changed = true;
    }

    pub(super) fn remember_priorities(&mut self) {
        let changed =
            self.priorities.iter().enumerate().filter(|(_, priority)| **priority != Priority::Normal);
        self.saved.priorities =
            changed.filter_map(|(file, priority)| Some((u32::try_from(file).ok()?, *priority))).collect();
        *self.shared.priorities.lock().unwrap_or_else(PoisonError::into_inner) = self.priorities.clone();
        self.unsaved = true;
    }

    /// Tells storage and the swarm which files are wanted.
    pub(super) fn apply_priorities(&mut self, now: Duration) {
        let Some(metainfo) = self.metainfo.clone() else { return };
        let info = metainfo.info();
        let none = vec![Priority::Skip; self.priorities.len()];
        let fetched = if self.only_windows() { &none } else { &self.priorities };
        let wanted = select::wanted_pieces(info, fetched);
        self.wanted = select::wanted_bytes(info, fetched);
        self.wanted_piece_bytes = select::wanted_piece_bytes(info, &wanted);
        if let Some(store) = &self.store {
            // A failure comes as an event as well.
            drop(store.select(self.priorities.iter().map(|priority| *priority != Priority::Skip).collect()));
        }
        self.swarm.handle(now, Input::Wanted(wanted));
        self.expect_names();
        self.changed = true;
    }

    /// Which wanted files are on their way to their final name. Storage says when they have it.
    pub(super) fn expect_names(&mut self) {
        self.unnamed.clear();
        let (Some(metainfo), StorageKind::Disk) = (&self.metainfo, self.core.config.storage) else { return };
        let info = metainfo.info();
        let (layout, have) = (info.layout(), self.shared.readers.have());
        for (index, file) in info.files().iter().filter(|(_, file)| file.is_stored() && file.length() > 0) {
            let wanted =
                self.priorities.get(index.as_usize()).is_none_or(|priority| *priority != Priority::Skip);
            if wanted && !layout.pieces_of(file.range()).all(|piece| have.has(PieceIndex(piece))) {
                self.unnamed.insert(index);
            }
        }
    }

    /// A name that does not come is not waited for: the bytes are there.
    pub(super) fn look_at_names(&mut self, now: Duration) {
        if self.unnamed.is_empty() || !self.swarm.is_finished() {
            self.whole_since = None;
        } else if now >= *self.whole_since.get_or_insert(now) + NAMING_MAX {
            self.unnamed.clear();
        }
    }
}
