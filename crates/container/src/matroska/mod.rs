//! Matroska and WebM (RFC 9559, RFC 8794): headers, Cues, and clusters walked block by block.
//!
//! Which cues become segment boundaries, and times made exact, are `packager`'s.

use std::collections::VecDeque;

use byte_source::ByteRange;
use bytes::Bytes;

use crate::{
    ContainerError, Movie, SampleRef,
    pull::{Pull, PullParser},
};

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

/// Reads everything but the clusters.
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

/// One frame of a block, found by a [`BlockWalker`]. Laced blocks give one per frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Index into [`Movie::tracks`].
    pub track: usize,
    /// Times in ticks of [`MatroskaIndex::timestamp_scale_ns`], not of the track; payload place; sync flag.
    pub sample: SampleRef,
    /// Absolute offset of the (Simple)Block's or BlockGroup's element.
    pub element: u64,
    /// Absolute offset of its cluster's element.
    pub cluster: u64,
    /// The payload, where the walker had it in hand.
    pub data: Option<Bytes>,
}

/// Walks the clusters of a byte range and gives their blocks in file order, then [`Walked::End`].
#[derive(Debug)]
pub struct BlockWalker {
    _queue: VecDeque<Block>,
}

/// What a walk gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walked {
    /// A frame.
    Block(Block),
    /// The range is done.
    End,
}
