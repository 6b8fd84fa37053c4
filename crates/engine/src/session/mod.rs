//! The session: every torrent, one listener, one way out.

mod adding;
mod core;
mod fetch;
mod listener;
mod registry;

use std::{sync::Arc, time::Duration};

use metainfo::InfoHash;
use tokio::sync::{broadcast, oneshot};

pub(crate) use self::core::Core;
use crate::{
    Add, Config, EngineError, Event, Limits, SessionStats, Torrent,
    torrent::{inbox::Command, saved::Saved},
};

/// What happens to a removed torrent's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// They stay.
    Keep,
    /// Those that the torrent made are deleted, and the folders that are empty then.
    Remove,
}

/// How long [`Session::stop`] waits for trackers to hear that we leave, and for files to be written.
const STOP_TIMEOUT: Duration = Duration::from_secs(8);

/// Every torrent of this process. Cheap to clone; [`stop`](Self::stop) ends it, dropping does not.
#[derive(Clone)]
pub struct Session {
    core: Arc<Core>,
}

impl Session {
    /// Opens the port, takes up what the state directory remembers if [`Config::restore`] says so.
    ///
    /// # Errors
    /// [`EngineError::Config`] when a setting cannot be carried out, [`EngineError::Io`] when the port or a directory
    /// cannot be opened.
    pub async fn start(config: Config) -> Result<Self, EngineError> {
        let restore = config.restore;
        let core = Core::start(config).await?;
        listener::start(&core)?;
        let session = Self { core };
        if restore {
            session.restore().await;
        }
        Ok(session)
    }

    async fn restore(&self) {
        let directory = self.core.config.state_dir.clone();
        let all = tokio::task::spawn_blocking(move || Saved::all(&directory)).await.unwrap_or_default();
        for (info_hash, saved) in all {
            if let Err(error) = adding::restore(&self.core, info_hash, saved).await {
                tracing::warn!(%info_hash, %error, "torrent not taken up again");
            }
        }
    }

    /// Adds a torrent, or finds the one that is already here; whether it is new. One that is here learns the peers and,
    /// unless private, the trackers of `add`. Returns before its files are checked.
    ///
    /// # Errors
    /// [`EngineError::Source`] when it is no torrent, [`EngineError::Stopped`] after [`stop`](Self::stop).
    pub async fn add(&self, add: Add) -> Result<(Torrent, bool), EngineError> {
        adding::add(&self.core, add).await
    }

    /// Every torrent, in the order they were added.
    #[must_use]
    pub fn torrents(&self) -> Vec<Torrent> {
        self.core.torrents.all()
    }

    /// The torrent of this hash.
    #[must_use]
    pub fn get(&self, info_hash: InfoHash) -> Option<Torrent> {
        self.core.torrents.get(info_hash)
    }

    /// Stops a torrent, tells its trackers and forgets it. What it still owes is in its snapshot: asking first is the
    /// caller's affair.
    ///
    /// # Errors
    /// [`EngineError::UnknownTorrent`], or [`EngineError::Io`] when its files could not be deleted.
    pub async fn remove(&self, info_hash: InfoHash, data: Data) -> Result<(), EngineError> {
        let torrent =
            self.core.torrents.remove(info_hash).ok_or(EngineError::UnknownTorrent { info_hash })?;
        let removed =
            torrent.ask(|done| Command::Stop { remove: data == Data::Remove, forget: true, done }).await;
        self.core.tell(Event::Removed { info_hash });
        match removed {
            Err(EngineError::Stopped) => Ok(()),
            other => other,
        }
    }

    /// What happens from now on. A listener that is slow misses the oldest and is told how many.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.core.events.subscribe()
    }

    /// The session at this moment.
    #[must_use]
    pub fn stats(&self) -> SessionStats {
        self.core.stats()
    }

    /// The way out, to change it while the session runs.
    #[cfg(test)]
    pub(crate) fn egress(&self) -> &crate::egress::Egress {
        &self.core.egress
    }

    /// Sets the rates over all torrents, at once.
    pub fn set_limits(&self, limits: Limits) {
        self.core.down.set(limits.download);
        self.core.up.set(limits.upload);
    }

    /// Stops every torrent: trackers are told, resume data is written, connections are closed. Takes at most a few
    /// seconds, whatever trackers do. Every handle answers [`EngineError::Stopped`] from then on.
    pub async fn stop(&self) {
        self.core.stopping.send_replace(true);
        let torrents = self.core.torrents.close();
        let all = async {
            let mut ending = Vec::with_capacity(torrents.len());
            for torrent in &torrents {
                let (done, answer) = oneshot::channel();
                torrent.tell(Command::Stop { remove: false, forget: false, done }).await;
                ending.push(answer);
            }
            for answer in ending {
                let _ = answer.await;
            }
            self.core.discovery.stop().await;
            if let Err(error) = self.core.storage.stop().await {
                tracing::warn!(%error, "storage did not end well");
            }
        };
        if tokio::time::timeout(STOP_TIMEOUT, all).await.is_err() {
            tracing::warn!("torrents did not end within {} s", STOP_TIMEOUT.as_secs());
        }
    }
}
