//! What can go wrong between a plan and a segment.

use container::ContainerError;

use crate::{RenditionId, SegmentIndex};

/// Why something was not made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PackagerError {
    /// The file's fault, or its bytes could not be had.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The title has no such rendition. The caller's fault.
    #[error("there is no rendition {0}")]
    NoSuchRendition(RenditionId),
    /// The rendition has fewer segments. The caller's fault.
    #[error("rendition {rendition} has {count} segments, there is no segment {index}")]
    NoSuchSegment {
        /// Of which rendition.
        rendition: RenditionId,
        /// What was asked.
        index: SegmentIndex,
        /// How many there are.
        count: usize,
    },
    /// The track cannot be put into this kind of segment, or cannot be cut at all.
    #[error("{0}")]
    NotPlayable(String),
    /// A plan that was kept does not fit the file. Plan it anew.
    #[error("the kept plan does not fit the file: {0}")]
    PlanMismatch(String),
    /// Payload that was not handed in, or more than fits. A bug of the caller.
    #[error("segment {index} of {rendition}: {what}")]
    Incomplete {
        /// Of which rendition.
        rendition: RenditionId,
        /// Which segment.
        index: SegmentIndex,
        /// What is missing.
        what: String,
    },
}
