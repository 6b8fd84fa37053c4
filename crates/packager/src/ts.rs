//! MPEG-TS segments for old players: video with the default audio, or one audio alone.
//!
//! Presentation times are our time in 90 kHz plus [`TS_OFFSET`], so that decode times before zero stay positive.

use bytes::Bytes;

use crate::{CutSegment, PackagerError, Planned};

/// Added to every time, 90 kHz: ten seconds, as others do it.
pub const TS_OFFSET: i64 = 900_000;

/// Muxes a segment that was cut by [`Cutter::for_ts`](crate::Cutter::for_ts) and has all its payload.
///
/// # Errors
/// [`PackagerError::Incomplete`] if payload is missing; [`PackagerError::NotPlayable`] if the codec does not go into
/// MPEG-TS.
pub fn ts_segment(planned: &Planned, segment: &CutSegment) -> Result<Bytes, PackagerError> {
    let _ = (planned, segment);
    Err(PackagerError::NotPlayable("not muxed yet".to_owned()))
}
