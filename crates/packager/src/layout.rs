//! CMAF segments as virtual files: our header bytes and ranges of the source, in order.
//!
//! The length and the header are known before any payload is read, so a response can state its length and stream.

use byte_source::ByteRange;
use bytes::Bytes;

use crate::{CutSegment, PackagerError, Planned, RenditionId};

/// A piece of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// These bytes.
    Inline(Bytes),
    /// These bytes of the source file, untouched.
    Source(ByteRange),
}

/// A segment as pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// In order.
    pub parts: Vec<Part>,
    /// Bytes of all parts together.
    pub len: u64,
}

/// Lays a cut segment out as CMAF (`styp`, `moof`, `mdat`). Works without payload.
///
/// # Errors
/// [`PackagerError::NotPlayable`] if the codec does not go into CMAF.
pub fn cmaf_layout(planned: &Planned, segment: &CutSegment) -> Result<Layout, PackagerError> {
    let _ = (planned, segment);
    Err(PackagerError::NotPlayable("not laid out yet".to_owned()))
}

/// The init segment of a rendition (`ftyp`, `moov`): the same bytes every time.
///
/// # Errors
/// [`PackagerError::NoSuchRendition`]; [`PackagerError::NotPlayable`] if the codec does not go into CMAF.
pub fn init_segment(planned: &Planned, rendition: RenditionId) -> Result<Bytes, PackagerError> {
    planned.rendition_track(rendition)?;
    Err(PackagerError::NotPlayable("not made yet".to_owned()))
}
