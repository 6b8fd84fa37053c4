//! ISO base media files (ISO/IEC 14496-12): `moov` at either end, sample tables, fragments, edit lists.
//!
//! Which samples become segment boundaries is `packager`'s.

use std::sync::Arc;

use byte_source::ByteRange;
use bytes::Bytes;

use crate::{
    ContainerError, Movie,
    pull::{Pull, PullParser},
};

/// One sample of a table, times in ticks of its track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSample {
    /// Absolute offset of its payload.
    pub offset: u64,
    /// Bytes of payload.
    pub size: u32,
    /// Presentation time: composition time with the edit list applied. May be negative.
    pub pts: i64,
    /// Duration in ticks, from the decode times.
    pub duration: u32,
    /// `stss` or fragment flags say that it is a sync sample.
    pub sync: bool,
    /// In an `sbgp 'rap '` group (HEVC CRA outside `stss`) or `stps`: random access with leading pictures.
    pub random_access: bool,
    /// The edit list hides it: needed to decode what follows, not to be shown.
    pub hidden: bool,
    /// Which `stsd` entry it is of, from 0.
    pub description: u16,
}

/// Every sample of every track.
#[derive(Clone, Debug, Default)]
pub struct Mp4Index {
    /// Per entry of [`Movie::tracks`], its samples in decode order.
    pub tables: Vec<Arc<[TableSample]>>,
    /// The file is fragmented (`moof`).
    pub fragmented: bool,
}

/// Whether these first bytes are a box that MP4 files begin with.
#[must_use]
pub fn looks_like(head: &[u8]) -> bool {
    head.len() >= 8
        && matches!(
            &head[4..8],
            b"ftyp" | b"moov" | b"mdat" | b"free" | b"skip" | b"wide" | b"styp" | b"pnot"
        )
}

/// Reads `moov`, and where the file is fragmented every `moof`.
#[derive(Debug)]
pub struct Opener {
    len: u64,
}

impl Opener {
    /// For a file of `len` bytes.
    #[must_use]
    pub fn new(len: u64) -> Self {
        Self { len }
    }
}

impl PullParser for Opener {
    type Item = Movie;
    fn poll(&mut self) -> Result<Pull<Movie>, ContainerError> {
        Ok(Pull::Need(ByteRange::new(0, self.len)))
    }
    fn feed(&mut self, _range: ByteRange, _bytes: Bytes) {}
}
