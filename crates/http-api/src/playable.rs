//! What a `video_id` names: a film of the library, or a file of a torrent.

use std::sync::Arc;

use byte_source::ByteSource;
use engine::{FileInfo, Torrent};
use library::{ListedFile, Listing, Video};
use media::{ContentKey, MediaError, Title};

use crate::{
    problem::Problem,
    sidecar::Sibling,
    state::AppState,
    torrents::{self, TorrentFile, Torrents},
};

/// Something that can be opened as a [`Title`].
pub(crate) enum Playable {
    Film(Arc<Video>),
    Torrent(Box<TorrentVideo>),
}

/// A file of a torrent, here or not.
pub(crate) struct TorrentVideo {
    id: String,
    torrent: Torrent,
    file: FileInfo,
    listing: Arc<Listing>,
}

impl TorrentVideo {
    /// Waits a while for the metadata of a magnet.
    pub(crate) async fn of(torrents: &Torrents, torrent: Torrent, id: TorrentFile) -> Result<Self, Problem> {
        torrents::metadata(&torrent).await?;
        let file = torrents::file_of(&torrent, id)?;
        let listing = torrents.listing(&torrent).await?;
        Ok(Self { id: id.to_string(), torrent, file, listing })
    }

    /// What its name says.
    fn listed(&self) -> Option<&ListedFile> {
        self.listing.file(self.file.index.0)
    }

    /// The title; until its index is here this waits.
    async fn title(&self, state: &AppState) -> Result<Result<Arc<Title>, MediaError>, Problem> {
        let reader = Arc::new(self.torrent.reader(self.file.index)?);
        let content = ContentKey::new(&self.id)
            .ok_or_else(|| Problem::internal(format!("\"{}\" is no content key", self.id)))?;
        let source = Arc::clone(&reader) as Arc<dyn ByteSource>;
        let title = match state.0.media.open(&self.id, source, content).await {
            Ok(title) => title,
            Err(error) => return Ok(Err(error)),
        };
        let seconds = title.plan().duration_seconds();
        if seconds > 0.0 {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "bytes a second, as an estimate; a cast of a float saturates"
            )]
            let rate = (self.file.size as f64 / seconds) as u64;
            // Of the title's own reader, if this call opened it.
            reader.set_rate(rate);
        }
        Ok(Ok(title))
    }
}

impl Playable {
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Film(video) => video.id.as_str(),
            Self::Torrent(video) => &video.id,
        }
    }

    /// The show it belongs to; a torrent's file belongs to none.
    pub(crate) fn show_id(&self) -> Option<&str> {
        match self {
            Self::Film(video) => Some(&video.show_id),
            Self::Torrent(_) => None,
        }
    }

    /// What to call it.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Film(video) => video.title.clone(),
            Self::Torrent(video) => {
                if let Some(listed) = video.listed().filter(|listed| !listed.title.is_empty()) {
                    return listed.title.clone();
                }
                let name = video.file.path.rsplit('/').next().unwrap_or(&video.file.path);
                name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned()
            }
        }
    }

    /// Path relative to its library folder, or within its torrent.
    pub(crate) fn shown_path(&self) -> String {
        match self {
            Self::Film(video) => video.shown_path(),
            Self::Torrent(video) => video.file.path.clone(),
        }
    }

    /// Bytes.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Film(video) => video.size,
            Self::Torrent(video) => video.file.size,
        }
    }

    /// Subtitle files beside it.
    pub(crate) fn siblings(&self) -> Vec<Sibling<'_>> {
        match self {
            Self::Film(video) => video.sidecars.iter().map(Sibling::on_disk).collect(),
            Self::Torrent(video) => {
                let listed = video.listed().map(|listed| listed.subtitles.as_slice()).unwrap_or_default();
                listed.iter().map(|subtitle| Sibling::in_torrent(&video.torrent, subtitle)).collect()
            }
        }
    }

    /// The title, opened if it is not open.
    pub(crate) async fn open(&self, state: &AppState) -> Result<Arc<Title>, Problem> {
        Ok(self.try_open(state).await??)
    }

    /// The same, with what media says of a file that cannot be played.
    pub(crate) async fn try_open(&self, state: &AppState) -> Result<Result<Arc<Title>, MediaError>, Problem> {
        match self {
            Self::Film(video) => {
                let path = state.0.places.of(video).await?;
                Ok(state.0.media.open_file(video.id.as_str(), &path).await)
            }
            Self::Torrent(video) => video.title(state).await,
        }
    }
}
