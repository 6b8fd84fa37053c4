//! What is being watched.
//!
//! [`Media`] opens a film over a `ByteSource` once however many ask, keeps its plan (beside the segment cache, by
//! content), and closes it when nobody has asked for a while. A [`Title`] answers for its playlists, its init segments
//! and its segments; each segment is made once however many ask and streams while it is made. [`FileSource`] is the
//! byte source of a file on disk, [`ContentKey`] the name of what is in it.
//!
//! Where segments begin and what is in them is `packager`'s; which file a `video_id` is, the library's.

#![warn(missing_docs)]

mod body;
mod budget;
mod buffers;
mod cache;
mod config;
mod content;
mod error;
mod feed;
mod file_source;
mod info;
mod job;
mod key;
mod layout_stream;
pub mod limits;
mod making;
mod media;
mod opening;
mod recent;
mod stats;
mod title;
pub mod transcode;
mod workshop;

pub use body::{SegmentBody, SegmentStream};
pub use config::{CacheConfig, MediaConfig};
pub use content::ContentKey;
pub use error::{MediaError, NotPlayableReason};
pub use file_source::{FileIdentity, FileSource};
pub use info::{
    AttachmentInfo, ChapterInfo, Decision, DecisionMode, KeyframeInfo, RenditionInfo, TitleInfo, TrackInfo,
};
pub use media::Media;
pub use packager::{CodecList, Delivery, RenditionId, SegmentFormat, SegmentIndex, playlist::MasterOptions};
pub use stats::Stats;
pub use title::{SubtitleFormat, Title};
