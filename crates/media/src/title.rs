//! One film, open.

use std::sync::Arc;

use bytes::Bytes;
use container::Movie;

use packager::{CodecList, RenditionId, SegmentFormat, SegmentIndex, playlist::MasterOptions};

use crate::{Decision, MediaError, SegmentBody, TitleInfo};

/// The forms a whole subtitle track is sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubtitleFormat {
    /// WebVTT.
    Vtt,
    /// SubStation Alpha, only of tracks that are.
    Ass,
}

/// One film, open and planned.
#[derive(Debug)]
pub struct Title {
    video_id: String,
    movie: Movie,
}

impl Title {
    /// Its id.
    #[must_use]
    pub fn video_id(&self) -> &str {
        &self.video_id
    }

    /// What is in the file.
    #[must_use]
    pub fn movie(&self) -> &Movie {
        &self.movie
    }

    /// Everything that is told of it, with the decision for a player that can decode `codecs`.
    ///
    /// # Errors
    /// [`MediaError::Internal`] only.
    pub fn info(&self, _codecs: Option<&CodecList>) -> Result<TitleInfo, MediaError> {
        Err(self.not_built())
    }

    /// How it would be delivered to a player that can decode `codecs`.
    #[must_use]
    pub fn decide(&self, _codecs: Option<&CodecList>) -> Decision {
        Decision { mode: crate::DecisionMode::Cut, reason: "not built yet".to_owned() }
    }

    /// The multivariant playlist. Paths in it are relative to `master.m3u8`.
    ///
    /// # Errors
    /// [`MediaError::NotPlayable`] when nothing is left that this player can decode.
    pub fn master(&self, _options: &MasterOptions) -> Result<String, MediaError> {
        Err(self.not_built())
    }

    /// The media playlist of a rendition (`source`, `audio-0`, `subtitles-0`, `iframes`).
    ///
    /// # Errors
    /// [`MediaError::NotFound`] for a rendition this title does not have in that container.
    pub fn playlist(&self, _rendition: RenditionId, _format: SegmentFormat) -> Result<Bytes, MediaError> {
        Err(self.not_built())
    }

    /// The MPEG-DASH manifest.
    ///
    /// # Errors
    /// [`MediaError::NotPlayable`] when there is nothing to list.
    pub fn dash(&self, _options: &MasterOptions) -> Result<Bytes, MediaError> {
        Err(self.not_built())
    }

    /// The init segment of a rendition.
    ///
    /// # Errors
    /// [`MediaError::NotFound`].
    pub fn init(&self, _rendition: RenditionId) -> Result<Bytes, MediaError> {
        Err(self.not_built())
    }

    /// A strong entity tag, quotes included, for what belongs to the title as a whole (playlists, init segments):
    /// changes with the content, the plan's version and `what`.
    #[must_use]
    pub fn etag(&self, what: &str) -> String {
        format!("\"{what}\"")
    }

    /// The entity tag of a segment, without making it: for conditional requests. Quotes included.
    ///
    /// # Errors
    /// [`MediaError::NotFound`].
    pub fn segment_etag(
        &self,
        _rendition: RenditionId,
        _index: SegmentIndex,
        _format: SegmentFormat,
    ) -> Result<String, MediaError> {
        Err(self.not_built())
    }

    /// A segment: `index` counts from 0 as in the playlist. For `subtitles-{n}` it is WebVTT, mapped for the container.
    ///
    /// # Errors
    /// [`MediaError::NotFound`], or why its first bytes could not be had; later errors come through the stream.
    ///
    /// # Cancel safety
    /// Safe: the demand is withdrawn.
    pub async fn segment(
        self: &Arc<Self>,
        _rendition: RenditionId,
        _index: SegmentIndex,
        _format: SegmentFormat,
    ) -> Result<SegmentBody, MediaError> {
        Err(self.not_built())
    }

    /// A whole subtitle track (`n` counts subtitle tracks from 0), read from the file as it streams.
    ///
    /// # Errors
    /// [`MediaError::NotFound`] for no such track, [`MediaError::BadRequest`] for a form it cannot be given in.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn subtitles(
        self: &Arc<Self>,
        _n: usize,
        _form: SubtitleFormat,
    ) -> Result<SegmentBody, MediaError> {
        Err(self.not_built())
    }

    /// A file within the file, by name, with its media type as stated (hostile: the surface decides what to send).
    ///
    /// # Errors
    /// [`MediaError::NotFound`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn attachment(self: &Arc<Self>, _name: &str) -> Result<(String, SegmentBody), MediaError> {
        Err(self.not_built())
    }

    fn not_built(&self) -> MediaError {
        MediaError::Internal { title: self.video_id.clone(), detail: "not built yet".to_owned() }
    }
}
