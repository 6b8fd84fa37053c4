//! HLS playlists (RFC 8216): one multivariant playlist, and a complete (VOD) media playlist per rendition.
//!
//! Every address is relative to the playlist's own: `source/stream.m3u8` from the multivariant one, `0.m4s` from a
//! media playlist. The MPEG-TS form is asked for by the query `container=ts`, which playlists hand on.

mod attributes;
mod media;
mod multivariant;
mod rates;

pub use media::{media, transcoded_media};
pub use multivariant::{multivariant, multivariant_with};
pub(crate) use rates::{Rate, track_rate};

use crate::{CodecList, SegmentFormat};

/// For whom a multivariant playlist or manifest is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MasterOptions {
    /// What segments are packed in.
    pub format: SegmentFormat,
    /// What the player decodes; `None` if it did not say.
    pub codecs: Option<CodecList>,
}

/// What an address needs behind it so that the answer is of this form.
fn query(format: SegmentFormat) -> &'static str {
    match format {
        SegmentFormat::Fmp4 => "",
        SegmentFormat::Ts => "?container=ts",
    }
}
