//! The second waist: a sample is one coded picture, one coded audio frame or one subtitle cue, of one track.

use byte_source::ByteRange;
use bytes::Bytes;

/// A sample that still lies in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleRef {
    /// Presentation time, in ticks of the track, as the file says (edit list and codec delay applied).
    pub pts: i64,
    /// Duration in ticks; 0 where the container does not say.
    pub duration: u32,
    /// Where its payload lies in the file. The track's [`strip_prefix`](crate::Track::strip_prefix) goes before it.
    pub bytes: ByteRange,
    /// Whether the container calls it a sync sample (keyframe).
    pub sync: bool,
}

/// A sample with its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Presentation time in ticks of the track.
    pub pts: i64,
    /// Decode time in ticks of the track.
    pub dts: i64,
    /// Duration in ticks.
    pub duration: u32,
    /// Whether decoding can start here.
    pub sync: bool,
    /// The coded bytes, in the container's form (H.264 and HEVC: length-prefixed NAL units; AAC: without ADTS).
    pub data: Bytes,
}
