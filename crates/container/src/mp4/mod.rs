//! ISO base media files (ISO/IEC 14496-12, -14, -15; QuickTime): `moov` at either end, sample tables, edit lists,
//! fragments.
//!
//! Boxes read, by section: `ftyp` is passed over; `moov` 8.2 > `mvhd`, `udta`/`meta` (title, chapters), `trak` 8.3 >
//! `tkhd`, `edts`/`elst` 8.6.6, `mdia` 8.4 > `mdhd`, `elng`, `hdlr`, `minf`/`stbl` > `stsd` 8.5.2, `stts` and `ctts`
//! 8.6.1, `stsc` 8.7.4, `stsz`/`stz2` 8.7.3, `stco`/`co64` 8.7.5, `stss` 8.6.2, `stps`, `sbgp` 8.9.2. Fragments 8.8:
//! `mvex`/`trex`, `moof` > `traf` > `tfhd`, `tfdt`, `trun`.
//!
//! Which samples become segment boundaries is `packager`'s. What a sample is to its decoder is [`crate::codec`]'s.

mod boxes;
mod chapter_track;
mod edits;
mod esds;
mod fragments;
mod moov;
mod opener;
mod stsd;
mod tables;
mod trak;
mod udta;

use std::sync::Arc;

use bytes::Bytes;

pub use self::opener::Opener;
use crate::codec::CodecConfig;

/// One sample of a table, times in ticks of its track. Uncompressed sound has up to 1024 audio samples in one.
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
    /// The edit list hides it: begins before what is shown, and is needed to decode that. Video only; samples that the
    /// list cuts off the end are not in the table.
    pub hidden: bool,
    /// Which `stsd` entry it is of, from 0.
    pub description: u16,
}

/// Every sample of every track.
#[derive(Clone, Debug, Default)]
pub struct Mp4Index {
    /// Per entry of [`Movie::tracks`](crate::Movie::tracks), its samples in decode order. They all lie in the file.
    pub tables: Vec<Arc<[TableSample]>>,
    /// Per track, the sum of all its samples' durations in its ticks: before the edit list, without what a truncated
    /// file lost.
    pub durations: Vec<u64>,
    /// Per track, the codec of each `stsd` entry ([`TableSample::description`] counts them); the first is the track's.
    pub descriptions: Vec<Vec<CodecConfig>>,
    /// The file is fragmented (`moof`).
    pub fragmented: bool,
    /// Samples that the file speaks of lie past its end, or a table ends early: they are not in the tables.
    pub truncated: bool,
    /// Some track's edit list cuts or repeats material beyond its first stretch, or changes speed: only the first
    /// stretch's start is applied, and everything after it is shown once.
    pub edits_simplified: bool,
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

/// Opens a file in memory and forgets it. For fuzzing.
#[doc(hidden)]
pub fn fuzz_open(file: &Bytes) {
    let _opened = crate::pull::drive_memory(&mut Opener::new(file.len() as u64), file);
}
