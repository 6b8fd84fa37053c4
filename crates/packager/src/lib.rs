//! The plan of a film, and what is made from it: segments, playlists, a DASH manifest, subtitles by segment.
//!
//! One [`Plan`] per title says where segments begin and end, in ticks, and where their bytes lie. It is made once by
//! the [`Planner`] from the container's index (and a few small reads that distrust it), refined before it is
//! published and never after. Everything else reads it: [`Cutter`] finds the samples of one segment, [`layout`] puts
//! them into CMAF without touching their payload, [`ts`] muxes them, [`playlist`] and [`dash`] list them,
//! [`delivery`] says which tracks a player can take and why not the others, [`transcode`] what could be made of those.
//!
//! A segment is a pure function of (file, plan, rendition, index): any order, any restart, the same bytes.
//!
//! Reading and writing container syntax is `container`'s; fetching bytes, caching and time-outs are `media`'s. Opens
//! nothing, knows no clock.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod cut;
pub mod dash;
pub mod delivery;
mod error;
pub mod layout;
pub mod limits;
pub mod plan;
pub mod playlist;
mod rendition;
mod script;
pub mod subtitles;
pub mod transcode;
pub mod ts;
mod walk;

pub use cut::{CutSample, CutSegment, CutTrack, Cutter};
pub use delivery::{CodecList, Delivery, SegmentFormat};
pub use error::PackagerError;
pub use layout::{Layout, Part, cmaf_layout, init_segment};
pub use plan::{Plan, PlanOptions, Planned, Planner, Reach, SegmentPlan, TrackPlan};
pub use rendition::{HEIGHTS, RenditionId, SegmentIndex};
pub use transcode::Transcodes;
pub use ts::ts_segment;
