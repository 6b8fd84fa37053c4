//! What every handler sees.

use std::{sync::Arc, time::Instant};

use engine::Torrent;
use library::{Library, Video, VideoId};
use media::Media;
use tokio::sync::{Semaphore, watch};

use crate::{
    guard::HostPolicy,
    limits::EVENT_STREAMS_MAX,
    metrics::Metrics,
    places::Places,
    playable::{Playable, TorrentVideo},
    problem::{Problem, echo},
    torrents::{TorrentFile, Torrents},
};

/// Says when the server is going down, so that endless answers end.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Sender<bool>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Shutdown {
    /// Begins the shutdown.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Waits for it.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn begun(&self) {
        // The sender lives in `self`, so this cannot fail.
        let _ = self.0.subscribe().wait_for(|begun| *begun).await;
    }
}

/// Joins the library, media and torrents. Clones share everything.
#[derive(Clone, Debug)]
pub struct AppState(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) media: Media,
    pub(crate) library: Arc<Library>,
    torrents: Option<Torrents>,
    pub(crate) places: Places,
    pub(crate) hosts: HostPolicy,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shutdown: Shutdown,
    pub(crate) event_streams: Arc<Semaphore>,
    pub(crate) started: Instant,
}

impl AppState {
    /// What is served, and under which names; without `torrents`, films of the library only.
    #[must_use]
    pub fn new(
        media: Media,
        library: Arc<Library>,
        torrents: Option<Torrents>,
        hosts: HostPolicy,
        shutdown: Shutdown,
    ) -> Self {
        Self(Arc::new(Inner {
            media,
            library,
            torrents,
            places: Places::default(),
            hosts,
            metrics: Arc::default(),
            shutdown,
            event_streams: Arc::new(Semaphore::new(EVENT_STREAMS_MAX)),
            started: Instant::now(),
        }))
    }

    /// The torrents, where there are any.
    pub(crate) fn torrents(&self) -> Result<&Torrents, Problem> {
        self.0.torrents.as_ref().ok_or_else(|| Problem::not_found("this server has no torrents"))
    }

    /// The torrent of an id that names a file of one.
    pub(crate) fn torrent_of(&self, id: &str) -> Result<Option<(Torrent, TorrentFile)>, Problem> {
        let Some(file) = TorrentFile::parse(id) else { return Ok(None) };
        Ok(Some((self.torrents()?.get(file.info_hash)?, file)))
    }

    /// What an id that a client sent names. Of a magnet this waits a while for the metadata.
    pub(crate) async fn playable(&self, id: &str) -> Result<Playable, Problem> {
        match self.torrent_of(id)? {
            Some((torrent, file)) => {
                let video = TorrentVideo::of(self.torrents()?, torrent, file).await?;
                Ok(Playable::Torrent(Box::new(video)))
            }
            None => Ok(Playable::Film(self.video(id)?)),
        }
    }

    /// The video of the library of an id that a client sent.
    pub(crate) fn video(&self, id: &str) -> Result<Arc<Video>, Problem> {
        let parsed = VideoId::parse(id)
            .ok_or_else(|| Problem::bad_request(format!("\"{}\" is not a video id", echo(id))))?;
        let catalog = self.0.library.catalog();
        match catalog.video(&parsed) {
            Some(video) => Ok(Arc::clone(video)),
            None if !catalog.scanned => {
                Err(Problem::later("scanning", "the library is being scanned for the first time"))
            }
            None => Err(Problem::not_found(format!("there is no video {parsed}"))),
        }
    }
}
