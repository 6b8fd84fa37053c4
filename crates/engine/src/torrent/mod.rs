//! A torrent's handle: what others see of the task that runs it.

use std::sync::Arc;

use bytes::Bytes;
use metainfo::{FileIndex, InfoHash};
use tokio::sync::watch;

use crate::{
    EngineError, FileInfo, Limits, PeerInfo, Pieces, Priority, Reader, SeedGoal, Snapshot, TrackerInfo,
};

/// A torrent of a [`Session`](crate::Session). Cheap to clone; dropping it changes nothing.
#[derive(Clone)]
pub struct Torrent {
    shared: Arc<Shared>,
}

struct Shared {
    info_hash: InfoHash,
    snapshot: watch::Receiver<Arc<Snapshot>>,
}

impl Torrent {
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
        None
    }

    /// A magnet link that leads to it; of a private torrent with its trackers.
    #[must_use]
    pub fn magnet(&self) -> String {
        format!("magnet:?xt=urn:btih:{}", self.shared.info_hash)
    }

    /// Its files, once the metadata is here.
    ///
    /// # Errors
    /// [`EngineError::NoMetadata`] before that.
    pub fn files(&self) -> Result<Vec<FileInfo>, EngineError> {
        Err(EngineError::NoMetadata { info_hash: self.info_hash() })
    }

    /// Its peers.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, EngineError> {
        Err(EngineError::Stopped)
    }

    /// Its trackers.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]
    pub async fn trackers(&self) -> Result<Vec<TrackerInfo>, EngineError> {
        Err(EngineError::Stopped)
    }

    /// Its pieces.
    ///
    /// # Errors
    /// [`EngineError::NoMetadata`], [`EngineError::Stopped`]
    pub async fn pieces(&self) -> Result<Pieces, EngineError> {
        Err(EngineError::Stopped)
    }

    /// Stops it until [`resume`](Self::resume): connections are closed, trackers are told.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]
    pub async fn pause(&self) -> Result<(), EngineError> {
        Err(EngineError::Stopped)
    }

    /// Starts it again, after a pause, an error or its seeding goal.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]
    pub async fn resume(&self) -> Result<(), EngineError> {
        Err(EngineError::Stopped)
    }

    /// Hashes what is on disk; returns at once, the snapshot tells how far it is.
    ///
    /// # Errors
    /// [`EngineError::NoMetadata`], [`EngineError::Stopped`]
    pub async fn recheck(&self) -> Result<(), EngineError> {
        Err(EngineError::Stopped)
    }

    /// Asks the trackers now, within their minimum interval.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]
    pub async fn reannounce(&self) -> Result<(), EngineError> {
        Err(EngineError::Stopped)
    }

    /// Sets how much files are wanted; those not named stay as they are.
    ///
    /// # Errors
    /// [`EngineError::NoMetadata`], [`EngineError::UnknownFile`], [`EngineError::Stopped`]
    pub async fn set_files(&self, files: Vec<(FileIndex, Priority)>) -> Result<(), EngineError> {
        let _ = files;
        Err(EngineError::Stopped)
    }

    /// Sets its own rates.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]
    pub async fn set_limits(&self, limits: Limits) -> Result<(), EngineError> {
        let _ = limits;
        Err(EngineError::Stopped)
    }

    /// Sets how long it seeds; `None` is the session's goal.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]
    pub async fn set_seed_goal(&self, goal: Option<SeedGoal>) -> Result<(), EngineError> {
        let _ = goal;
        Err(EngineError::Stopped)
    }

    /// In order rather than rarest first.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]
    pub async fn set_sequential(&self, sequential: bool) -> Result<(), EngineError> {
        let _ = sequential;
        Err(EngineError::Stopped)
    }

    /// Peers to try.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]
    pub async fn add_peers(&self, peers: Vec<std::net::SocketAddr>) -> Result<(), EngineError> {
        let _ = peers;
        Err(EngineError::Stopped)
    }

    /// Waits until the metadata is here.
    ///
    /// # Errors
    /// [`EngineError::Failed`], [`EngineError::Stopped`]
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn wait_metadata(&self) -> Result<(), EngineError> {
        Err(EngineError::Stopped)
    }

    /// Waits until everything wanted is here.
    ///
    /// # Errors
    /// [`EngineError::Failed`], [`EngineError::Stopped`]
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn wait_finished(&self) -> Result<(), EngineError> {
        Err(EngineError::Stopped)
    }

    /// A reader of one file, at its beginning; any number may be open, each with its own position.
    ///
    /// # Errors
    /// [`EngineError::NoMetadata`], [`EngineError::UnknownFile`], [`EngineError::Stopped`]
    pub fn reader(&self, file: FileIndex) -> Result<Reader, EngineError> {
        let _ = file;
        Err(EngineError::NoMetadata { info_hash: self.info_hash() })
    }
}
