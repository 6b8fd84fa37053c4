//! The session: every torrent, one listener, one way out.

use std::sync::Arc;

use metainfo::InfoHash;
use tokio::sync::broadcast;

use crate::{Add, Config, EngineError, Event, Limits, SessionStats, Torrent};

/// What happens to a removed torrent's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// They stay.
    Keep,
    /// Those that the torrent made are deleted, and the folders that are empty then.
    Remove,
}

/// How many events a slow listener may be behind before it loses the oldest.
const EVENTS_MAX: usize = 1024;

/// Every torrent of this process. Cheap to clone; [`stop`](Self::stop) ends it, dropping does not.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    events: broadcast::Sender<Event>,
}

impl Session {
    /// Opens the port, takes up what the state directory remembers if [`Config::restore`] says so.
    ///
    /// # Errors
    /// [`EngineError::Config`] when a setting cannot be carried out, [`EngineError::Io`] when the port or a directory
    /// cannot be opened.
    pub async fn start(config: Config) -> Result<Self, EngineError> {
        for dir in [&config.download_dir, &config.state_dir] {
            std::fs::create_dir_all(dir).map_err(|error| EngineError::io(dir.display(), error))?;
        }
        Ok(Self { inner: Arc::new(Inner { events: broadcast::channel(EVENTS_MAX).0 }) })
    }

    /// Adds a torrent, or finds the one that is already here; whether it is new. One that is here learns the peers and,
    /// unless private, the trackers of `add`. Returns before its files are checked.
    ///
    /// # Errors
    /// [`EngineError::Source`] when it is no torrent, [`EngineError::Stopped`] after [`stop`](Self::stop).
    pub async fn add(&self, add: Add) -> Result<(Torrent, bool), EngineError> {
        let _ = add;
        Err(EngineError::Stopped)
    }

    /// Every torrent, in the order they were added.
    #[must_use]
    pub fn torrents(&self) -> Vec<Torrent> {
        Vec::new()
    }

    /// The torrent of this hash.
    #[must_use]
    pub fn get(&self, info_hash: InfoHash) -> Option<Torrent> {
        let _ = info_hash;
        None
    }

    /// Stops a torrent, tells its trackers and forgets it. What it still owes is in its snapshot: asking first is the
    /// caller's affair.
    ///
    /// # Errors
    /// [`EngineError::UnknownTorrent`], or [`EngineError::Io`] when its files could not be deleted.
    pub async fn remove(&self, info_hash: InfoHash, data: Data) -> Result<(), EngineError> {
        let _ = data;
        Err(EngineError::UnknownTorrent { info_hash })
    }

    /// What happens from now on. A listener that is slow misses the oldest and is told how many.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// The session at this moment.
    #[must_use]
    pub fn stats(&self) -> SessionStats {
        SessionStats {
            torrents: 0,
            peers: 0,
            download_rate: 0,
            upload_rate: 0,
            downloaded: 0,
            uploaded: 0,
            listen_port: None,
            dht_nodes: 0,
            blocked: None,
            limits: Limits::default(),
        }
    }

    /// Sets the rates over all torrents, at once.
    pub fn set_limits(&self, limits: Limits) {
        let _ = limits;
    }

    /// Stops every torrent: trackers are told, resume data is written, connections are closed. Takes at most a few
    /// seconds, whatever trackers do. Every handle answers [`EngineError::Stopped`] from then on.
    pub async fn stop(&self) {}
}
