//! A torrent's handle: what others see of the task that runs it.

mod commands;
mod ending;
mod goals;
pub(crate) mod inbox;
mod opening;
mod outputs;
pub(crate) mod readers;
mod room;
pub(crate) mod saved;
mod select;
mod spell;
mod summary;
mod task;
mod wanted;
mod watching;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;
use metainfo::{Bitfield, FileIndex, Info, InfoHash, Magnet, Metainfo, PieceIndex};
use tokio::sync::{oneshot, watch};

use self::{
    inbox::{Answer, Command, Inbox, InboxSender},
    readers::Readers,
    saved::Saved,
};
use crate::{
    EngineError, FileInfo, Limits, PeerInfo, Pieces, Priority, Reader, SeedGoal, Select, Snapshot, State,
    StorageKind, TrackerInfo, peer::PeerContext, session::Core,
};

/// A torrent of a [`Session`](crate::Session). Cheap to clone; dropping it changes nothing.
#[derive(Clone)]
pub struct Torrent {
    shared: Arc<Shared>,
}

/// What handles and the task share.
pub(crate) struct Shared {
    info_hash: InfoHash,
    inbox: InboxSender,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    metainfo: OnceLock<Arc<Metainfo>>,
    priorities: Mutex<Vec<Priority>>,
    trackers: Mutex<Vec<Vec<String>>>,
    readers: Arc<Readers>,
    context: Arc<PeerContext>,
}

/// How a torrent begins.
pub(crate) struct Plan {
    pub(crate) info_hash: InfoHash,
    pub(crate) name: Option<String>,
    pub(crate) metainfo: Option<Arc<Metainfo>>,
    /// What is held of its privacy until the metadata says it.
    pub(crate) private_until_known: bool,
    pub(crate) added: SystemTime,
    pub(crate) saved: Saved,
    /// Which files are wanted, if that is not what `saved` says.
    pub(crate) select: Option<Select>,
    pub(crate) peers: Vec<SocketAddr>,
    pub(crate) recheck: bool,
    /// Whether files that are gone are fetched anew: somebody has just asked for them.
    pub(crate) fetch_anew: bool,
}

impl Shared {
    pub(crate) fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    pub(crate) fn readers(&self) -> &Arc<Readers> {
        &self.readers
    }
}

impl Torrent {
    /// Starts a torrent's task.
    pub(crate) fn spawn(core: &Arc<Core>, plan: Plan, save: bool) -> Self {
        let (shared, task) = task::Task::new(core, plan);
        tokio::spawn(Box::new(task).run(save));
        Self { shared }
    }

    pub(crate) fn context(&self) -> Arc<PeerContext> {
        self.shared.context.clone()
    }

    pub(crate) async fn tell(&self, command: Command) {
        // A task that has ended drops the command, and with it the answer's other end.
        let _ = self.shared.inbox.send(Inbox::Command(Box::new(command))).await;
    }

    pub(crate) async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, EngineError> {
        let (answer, answered) = oneshot::channel();
        self.tell(command(answer)).await;
        answered.await.map_err(|_| EngineError::Stopped)?
    }

    /// Which it is.
    #[must_use]
    pub fn info_hash(&self) -> InfoHash {
        self.shared.info_hash
    }

    /// The torrent at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.borrow().clone()
    }

    /// Snapshots as they change, at most about two a second.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.shared.snapshot.clone()
    }

    /// Its `.torrent`, once the metadata is here: of a magnet, made from what the swarm sent.
    #[must_use]
    pub fn metainfo(&self) -> Option<Bytes> {
        self.shared.metainfo.get().map(|metainfo| metainfo.bytes().clone())
    }

    /// A magnet link that leads to it; of a private torrent with its trackers.
    #[must_use]
    pub fn magnet(&self) -> String {
        let mut magnet = match self.shared.metainfo.get() {
            Some(metainfo) => metainfo.magnet(),
            None => Magnet { name: self.snapshot().name.clone(), ..Magnet::new(self.info_hash()) },
        };
        let trackers = self.shared.trackers.lock().unwrap_or_else(PoisonError::into_inner);
        magnet.trackers = trackers.iter().flatten().cloned().collect();
        magnet.to_string()
    }

    fn known(&self) -> Result<&Arc<Metainfo>, EngineError> {
        let info_hash = self.info_hash();
        self.shared.metainfo.get().ok_or(EngineError::NoMetadata { info_hash })
    }

    /// Its files, once the metadata is here.
    ///
    /// # Errors
    /// [`EngineError::NoMetadata`] before that.
    pub fn files(&self) -> Result<Vec<FileInfo>, EngineError> {
        let info = self.known()?.info();
        let have = self.shared.readers.have();
        let priorities = self.shared.priorities.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let priority = |index: FileIndex| priorities.get(index.as_usize()).copied().unwrap_or_default();
        let file = |(index, file)| file_info(info, index, file, &have, priority(index));
        Ok(info.files().iter().map(file).collect())
    }

    /// One of its files, once the metadata is here: costs no more than that file.
    ///
    /// # Errors
    /// [`EngineError::NoMetadata`], [`EngineError::UnknownFile`]
    pub fn file(&self, index: FileIndex) -> Result<FileInfo, EngineError> {
        let info = self.known()?.info();
        let file = info.files().get(index).ok_or_else(|| self.unknown(info, index))?;
        let priorities = self.shared.priorities.lock().unwrap_or_else(PoisonError::into_inner);
        let priority = priorities.get(index.as_usize()).copied().unwrap_or_default();
        drop(priorities);
        Ok(file_info(info, index, file, &self.shared.readers.have(), priority))
    }

    fn unknown(&self, info: &Info, file: FileIndex) -> EngineError {
        EngineError::UnknownFile { info_hash: self.info_hash(), file, files: info.files().len() }
    }

    /// Its peers.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, EngineError> {
        self.ask(Command::Peers).await
    }

    /// Its trackers.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]
    pub async fn trackers(&self) -> Result<Vec<TrackerInfo>, EngineError> {
        self.ask(Command::Trackers).await
    }

    /// Its pieces.
    ///
    /// # Errors
    /// [`EngineError::NoMetadata`], [`EngineError::Stopped`]
    pub async fn pieces(&self) -> Result<Pieces, EngineError> {
        self.ask(Command::Pieces).await
    }

    /// Stops it until [`resume`](Self::resume): connections are closed, trackers are told.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]
    pub async fn pause(&self) -> Result<(), EngineError> {
        self.ask(Command::Pause).await
    }

    /// Starts it again, after a pause, an error or its seeding goal.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]
    pub async fn resume(&self) -> Result<(), EngineError> {
        self.ask(Command::Resume).await
    }

    /// Hashes what is on disk; returns at once, the snapshot tells how far it is.
    ///
    /// # Errors
    /// [`EngineError::NoMetadata`], [`EngineError::Stopped`]
    pub async fn recheck(&self) -> Result<(), EngineError> {
        self.ask(Command::Recheck).await
    }

    /// Asks the trackers now, within their minimum interval.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]
    pub async fn reannounce(&self) -> Result<(), EngineError> {
        self.ask(Command::Reannounce).await
    }

    /// Sets how much files are wanted; those not named stay as they are.
    ///
    /// # Errors
    /// [`EngineError::NoMetadata`], [`EngineError::UnknownFile`], [`EngineError::Stopped`]
    pub async fn set_files(&self, files: Vec<(FileIndex, Priority)>) -> Result<(), EngineError> {
        self.ask(|answer| Command::SetFiles(files, answer)).await
    }

    /// Sets its own rates.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]
    pub async fn set_limits(&self, limits: Limits) -> Result<(), EngineError> {
        self.ask(|answer| Command::SetLimits(limits, answer)).await
    }

    /// Sets how long it seeds; `None` is the session's goal.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]
    pub async fn set_seed_goal(&self, goal: Option<SeedGoal>) -> Result<(), EngineError> {
        self.ask(|answer| Command::SetSeedGoal(goal, answer)).await
    }

    /// In order rather than rarest first.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]
    pub async fn set_sequential(&self, sequential: bool) -> Result<(), EngineError> {
        self.ask(|answer| Command::SetSequential(sequential, answer)).await
    }

    /// Peers to try.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]
    pub async fn add_peers(&self, peers: Vec<SocketAddr>) -> Result<(), EngineError> {
        self.ask(|answer| Command::AddPeers(peers, answer)).await
    }

    /// Waits until `done` says something of a snapshot; an error of the torrent ends the wait.
    async fn wait_until(&self, done: impl Fn(&Snapshot) -> bool) -> Result<(), EngineError> {
        let mut snapshots = self.shared.snapshot.clone();
        let reached = snapshots.wait_for(|snapshot| done(snapshot) || snapshot.state == State::Failed).await;
        let snapshot = reached.map_err(|_| EngineError::Stopped)?;
        if done(&snapshot) {
            return Ok(());
        }
        let reason = snapshot.reason.clone().unwrap_or_default();
        Err(EngineError::Failed { info_hash: self.info_hash(), reason })
    }

    /// Waits until the metadata is here.
    ///
    /// # Errors
    /// [`EngineError::Failed`], [`EngineError::Stopped`]
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn wait_metadata(&self) -> Result<(), EngineError> {
        self.wait_until(|snapshot| snapshot.size.is_some()).await
    }

    /// Waits until everything wanted is here.
    ///
    /// # Errors
    /// [`EngineError::Failed`], [`EngineError::Stopped`]
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn wait_finished(&self) -> Result<(), EngineError> {
        self.wait_until(|snapshot| match snapshot.state {
            State::Seeding | State::Finished => true,
            State::Idle => snapshot.wanted == 0,
            _ => false,
        })
        .await
    }

    /// Verified bytes in a row from where a reader was last, up to the end of its file: what plays without waiting. `None`
    /// before anything was read.
    #[must_use]
    pub fn ahead(&self) -> Option<u64> {
        let layout = self.known().ok()?.info().layout();
        let (at, have) = self.shared.readers.latest()?;
        let rest = at.wanted.start..at.file.end;
        let missing = layout.pieces_of(rest.clone()).find(|piece| !have.has(PieceIndex(*piece)));
        let end = missing.map_or(rest.end, |piece| layout.offset(PieceIndex(piece)));
        Some(end.saturating_sub(rest.start))
    }

    /// A reader of one file, at its beginning; any number may be open, each with its own position.
    ///
    /// # Errors
    /// [`EngineError::NoMetadata`], [`EngineError::UnknownFile`]
    pub fn reader(&self, file: FileIndex) -> Result<Reader, EngineError> {
        let info = self.known()?.info();
        let stored = info.files().get(file).filter(|file| file.is_stored());
        let bytes = stored.ok_or_else(|| self.unknown(info, file))?.range();
        let piecewise = self.shared.context.core.config.storage == StorageKind::Memory;
        Ok(Reader::new(self.shared.readers.clone(), info.layout(), file, bytes, piecewise))
    }
}

/// A file as it stands.
fn file_info(
    info: &Info,
    index: FileIndex,
    file: &metainfo::File,
    have: &Bitfield,
    priority: Priority,
) -> FileInfo {
    let (files, layout) = (info.files(), info.layout());
    let here = files.pieces(index, &layout).filter(|piece| have.has(PieceIndex(*piece)));
    let overlap = here.map(|piece| {
        let (piece, file) = (layout.range(PieceIndex(piece)), file.range());
        piece.end.min(file.end).saturating_sub(piece.start.max(file.start))
    });
    FileInfo {
        index,
        path: files.stored_path(index).unwrap_or_default(),
        size: file.length(),
        have: overlap.sum(),
        priority,
        pad: !file.is_stored(),
    }
}
