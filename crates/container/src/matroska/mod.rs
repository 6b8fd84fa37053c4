//! Matroska and WebM (RFC 9559, RFC 8794): headers, Cues, and clusters walked block by block.
//!
//! [`Opener`] reads what is not media; [`BlockWalker`] finds the frames. Tags are not read, encryption is not undone, and
//! BlockAdditions are passed over. Which cues become segment boundaries, and times made exact, are `packager`'s.

mod codecs;
mod ebml;
mod ids;
mod index;
mod lacing;
mod opener;
mod tracks;
mod walker;

use byte_source::ByteRange;
use bytes::Bytes;

#[cfg(doc)]
use crate::Movie;
use crate::{ContainerError, Format, SampleRef, limits::INFLATED_BYTES_MAX};

pub use opener::Opener;
pub use walker::{BlockWalker, Payload, WalkOptions};

/// One entry of the Cues: a block of a track, said to be a keyframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CuePoint {
    /// Index into [`Movie::tracks`].
    pub track: usize,
    /// Time in ticks of the segment (one tick is [`MatroskaIndex::timestamp_scale_ns`]).
    pub time: i64,
    /// Absolute offset of the cluster element (its ID).
    pub cluster: u64,
    /// Offset of the block's element counted from the cluster's first payload byte, where the file says.
    pub relative: Option<u64>,
    /// Duration in ticks, where the file says (subtitle cues).
    pub duration: Option<u64>,
}

/// Where blocks lie, as far as the file tells without being read.
#[derive(Clone, Debug, Default)]
pub struct MatroskaIndex {
    /// Nanoseconds per tick of every block and cue time (1,000,000 nearly always).
    pub timestamp_scale_ns: u64,
    /// Payload of the Segment element; its end is the file's end where the size is unknown.
    pub segment: ByteRange,
    /// Absolute offset of the first Cluster element; `None` if there is none.
    pub first_cluster: Option<u64>,
    /// End of the last cluster as far as known: the next non-cluster top-level element after the clusters, or the end.
    pub clusters_end: u64,
    /// Cue points in file order of time; empty when there are none.
    pub cues: Vec<CuePoint>,
}

/// Whether these first bytes are an EBML header's.
#[must_use]
pub fn looks_like(head: &[u8]) -> bool {
    head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3])
}

/// One frame of a block, found by a [`BlockWalker`]. Laced blocks give one per frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Index into [`Movie::tracks`].
    pub track: usize,
    /// Times in ticks of [`MatroskaIndex::timestamp_scale_ns`] as stored, with no codec delay taken off; duration 0 where the
    /// block says none; payload place; sync flag.
    pub sample: SampleRef,
    /// Absolute offset of the (Simple)Block's or BlockGroup's element.
    pub element: u64,
    /// Absolute offset of its cluster's element.
    pub cluster: u64,
    /// The payload, where the walker had it in hand.
    pub data: Option<Bytes>,
}

/// What a walk gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walked {
    /// A frame.
    Block(Block),
    /// The range is done.
    End,
}

/// Unpacks a subtitle block of a track that is [`deflated`](crate::Track::deflated). `offset` is the block's, for the error.
///
/// # Errors
/// Not a zlib stream, or more than [`INFLATED_BYTES_MAX`] bytes.
pub fn inflate(block: &[u8], offset: u64) -> Result<Bytes, ContainerError> {
    miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(block, INFLATED_BYTES_MAX)
        .map(Bytes::from)
        .map_err(|error| ContainerError::malformed(Format::Matroska, offset, format!("zlib: {error}")))
}

/// Opens and walks whatever it is given; for fuzzing. Never panics, whatever the bytes.
#[doc(hidden)]
pub fn fuzz_open_and_walk(file: &Bytes) {
    use crate::pull::{Pull, PullParser, drive_memory};
    let Ok(movie) = drive_memory(&mut Opener::new(file.len() as u64), file) else { return };
    let range = ByteRange::new(0, file.len() as u64);
    for (payload, window) in [(Payload::Whole, 1 << 20), (Payload::None, 64), (Payload::Prefix(16), 512)] {
        let mut walker = BlockWalker::new(&movie, WalkOptions { range, tracks: Vec::new(), payload, window });
        // A budget of steps: a file of n bytes holds fewer than n blocks.
        for _ in 0..file.len().saturating_mul(2) + 64 {
            match walker.poll() {
                Ok(Pull::Need(need)) => {
                    let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(file.len());
                    walker.feed(need, file.slice(at(need.start())..at(need.end())));
                }
                Ok(Pull::Item(Walked::Block(_))) => {}
                Ok(Pull::Item(Walked::End)) | Err(_) => break,
            }
        }
    }
}
