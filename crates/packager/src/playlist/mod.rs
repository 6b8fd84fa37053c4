//! HLS playlists (RFC 8216): one multivariant playlist, and a complete (VOD) media playlist per rendition.
//!
//! Every address is relative to the playlist's own: `source/stream.m3u8` from the multivariant one, `0.m4s` from a
//! media playlist. The MPEG-TS form is asked for by the query `container=ts`, which playlists hand on.

use crate::{CodecList, PackagerError, Planned, RenditionId, SegmentFormat};

/// For whom a multivariant playlist or manifest is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MasterOptions {
    /// What segments are packed in.
    pub format: SegmentFormat,
    /// What the player decodes; `None` if it did not say.
    pub codecs: Option<CodecList>,
}

/// The multivariant playlist.
///
/// # Errors
/// [`PackagerError::NotPlayable`] with the reasons, if the player can take none of the tracks.
pub fn multivariant(planned: &Planned, options: &MasterOptions) -> Result<String, PackagerError> {
    let _ = (planned, options);
    Err(PackagerError::NotPlayable("not listed yet".to_owned()))
}

/// The media playlist of a rendition ([`RenditionId::IFrames`]: `EXT-X-I-FRAMES-ONLY`).
///
/// # Errors
/// [`PackagerError::NoSuchRendition`].
pub fn media(
    planned: &Planned,
    rendition: RenditionId,
    format: SegmentFormat,
) -> Result<String, PackagerError> {
    let _ = (planned.segments(rendition)?, format);
    Ok(String::new())
}
