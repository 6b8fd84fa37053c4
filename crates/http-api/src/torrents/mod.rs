//! Torrents over HTTP: adding, watching, steering, and their files as bytes.
//!
//! The engine is started when the first torrent needs it ([`Torrents`]), so that a server of films alone opens no swarm
//! socket. Whatever is known of a torrent is the engine's [`engine::Snapshot`]; here it only becomes JSON.

mod add;
mod bytes;
mod control;
mod feed;
mod listings;
mod model;
mod view;
mod wait;

use std::{fmt, path::Path, sync::Arc, time::Duration};

use axum::http::StatusCode;
use engine::{Config, EngineError, FileIndex, FileInfo, InfoHash, Session, Torrent};
use library::Listing;
use tokio::sync::OnceCell;

use self::listings::Listings;
use crate::{
    limits::METADATA_WAIT,
    problem::{Problem, echo},
};

pub(crate) use add::{__path_add, add};
pub(crate) use bytes::send as send_file;
pub(crate) use control::{
    __path_pause, __path_reannounce, __path_recheck, __path_remove, __path_resume, __path_set, pause,
    reannounce, recheck, remove, resume, set,
};
pub(crate) use feed::Feed;
pub(crate) use view::{
    __path_files, __path_metainfo, __path_one, __path_peers, __path_pieces, __path_torrents, __path_trackers,
    files, metainfo, one, peers, pieces, torrents, trackers,
};
pub(crate) use wait::{__path_wait, wait};

/// The engine and how clients may use it. Clones share everything.
#[derive(Clone)]
pub struct Torrents(Arc<Inner>);

struct Inner {
    config: Config,
    session: OnceCell<Session>,
    listings: Listings,
    /// Whether clients may name addresses of this house to fetch from.
    fetch_private: bool,
}

impl fmt::Debug for Torrents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Torrents").field("started", &self.0.session.initialized()).finish_non_exhaustive()
    }
}

impl Torrents {
    /// An engine that is not running yet.
    #[must_use]
    pub fn new(config: Config, fetch_private: bool) -> Self {
        Self(Arc::new(Inner {
            config,
            session: OnceCell::new(),
            listings: Listings::default(),
            fetch_private,
        }))
    }

    /// The engine, started if it was not.
    ///
    /// # Errors
    /// What keeps it from starting: a port in use, an interface that is not there.
    pub async fn session(&self) -> Result<Session, EngineError> {
        self.0.session.get_or_try_init(|| Session::start(self.0.config.clone())).await.cloned()
    }

    /// The engine, if it runs.
    #[must_use]
    pub fn running(&self) -> Option<&Session> {
        self.0.session.get()
    }

    /// Starts it if it has torrents from an earlier run.
    ///
    /// # Errors
    /// As [`session`](Self::session).
    pub async fn restore(&self) -> Result<(), EngineError> {
        if has_entries(&self.0.config.state_dir) {
            self.session().await?;
        }
        Ok(())
    }

    /// Stops it, if it runs: trackers are told, resume data is written.
    pub async fn stop(&self) {
        if let Some(session) = self.running() {
            session.stop().await;
        }
    }

    pub(crate) fn fetch_private(&self) -> bool {
        self.0.fetch_private
    }

    /// Every torrent there is.
    pub(crate) fn all(&self) -> Vec<Torrent> {
        self.running().map(Session::torrents).unwrap_or_default()
    }

    /// What its files are: films, episodes, samples, and which one is meant by the torrent as a whole.
    ///
    /// # Errors
    /// Its metadata is not here yet.
    pub(crate) async fn listing(&self, torrent: &Torrent) -> Result<Arc<Listing>, Problem> {
        self.0.listings.of(torrent).await
    }

    /// The torrent that an address names.
    pub(crate) fn named(&self, info_hash: &str) -> Result<Torrent, Problem> {
        let info_hash = parse_info_hash(info_hash)?;
        self.get(info_hash)
    }

    pub(crate) fn get(&self, info_hash: InfoHash) -> Result<Torrent, Problem> {
        self.running().and_then(|session| session.get(info_hash)).ok_or_else(|| {
            Problem::not_found(format!("there is no torrent {info_hash}: POST /api/v1/torrents adds one"))
        })
    }
}

fn has_entries(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
}

fn parse_info_hash(text: &str) -> Result<InfoHash, Problem> {
    text.parse().map_err(|_| {
        Problem::bad_request(format!("\"{}\" is no info-hash: 40 hexadecimal digits", echo(text)))
    })
}

/// A file of a torrent, as `{info_hash}-{index}` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TorrentFile {
    pub(crate) info_hash: InfoHash,
    pub(crate) file: FileIndex,
}

impl TorrentFile {
    /// `None` if the id is of another kind.
    pub(crate) fn parse(id: &str) -> Option<Self> {
        let (hash, index) = id.split_once('-')?;
        let hex = hash.len() == 40 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        let canonical = index == "0" || !index.starts_with('0');
        if !hex || !canonical || index.is_empty() || !index.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Self { info_hash: hash.parse().ok()?, file: FileIndex(index.parse().ok()?) })
    }
}

impl fmt::Display for TorrentFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.info_hash, self.file.0)
    }
}

/// The file, of which the metadata is here.
pub(crate) fn file_of(torrent: &Torrent, id: TorrentFile) -> Result<FileInfo, Problem> {
    let file = torrent.file(id.file)?;
    if file.pad {
        let detail = format!("file number {} of torrent {} is padding", id.file.0, id.info_hash);
        return Err(Problem::not_found(detail));
    }
    Ok(file)
}

/// Waits a while for the metadata of a magnet.
pub(crate) async fn metadata(torrent: &Torrent) -> Result<(), Problem> {
    metadata_within(torrent, METADATA_WAIT).await
}

async fn metadata_within(torrent: &Torrent, wait: Duration) -> Result<(), Problem> {
    match tokio::time::timeout(wait, torrent.wait_metadata()).await {
        Ok(known) => Ok(known?),
        Err(_) => {
            let snapshot = torrent.snapshot();
            let why = match (&snapshot.reason, snapshot.peers) {
                (Some(reason), _) => reason.clone(),
                (None, 0) => "no peer has been found yet".to_owned(),
                (None, peers) => format!("{peers} peers are connected, none has sent it yet"),
            };
            let detail = format!("the metadata of torrent {} is not here yet: {why}", torrent.info_hash());
            Err(Problem::later("no_metadata", detail))
        }
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let detail = echo_long(&error.to_string());
        match error {
            EngineError::Source { .. } => Self::bad_request(detail),
            EngineError::UnknownTorrent { .. } | EngineError::UnknownFile { .. } => Self::not_found(detail),
            EngineError::NoMetadata { .. } => Self::later("no_metadata", detail),
            EngineError::Failed { .. } => Self::later("torrent_failed", detail),
            EngineError::Stopped => Self::later("stopping", detail),
            EngineError::Config { .. } => Self::later("engine_config", detail),
            EngineError::Io { .. } => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "io", detail),
        }
    }
}

/// Text of the engine may repeat a client's.
fn echo_long(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_torrent_has_one_name() {
        let hash = "0123456789abcdef0123456789abcdef01234567";
        let file = TorrentFile::parse(&format!("{hash}-12")).unwrap();
        assert_eq!((file.file, file.to_string()), (FileIndex(12), format!("{hash}-12")));
        assert_eq!(TorrentFile::parse(&format!("{hash}-0")).unwrap().file, FileIndex(0));
        for other in [
            hash.to_owned(),
            format!("{hash}-"),
            format!("{hash}-01"),
            format!("{hash}--1"),
            format!("x{hash}-1"),
        ] {
            assert_eq!(TorrentFile::parse(&other), None, "{other}");
        }
        assert_eq!(TorrentFile::parse("a-film-2020"), None);
    }
}
