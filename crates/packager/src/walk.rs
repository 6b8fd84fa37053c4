//! Walking Matroska clusters from a script: frames in nanoseconds, and the heads of clusters without their blocks.

use byte_source::ByteRange;
use bytes::Bytes;
use container::{
    ContainerError, Index, Movie, Timescale,
    matroska::{BlockWalker, CuePoint, MatroskaIndex, Payload, WalkOptions, Walked},
};

use crate::{plan::Clock, script::Asker};

/// A frame met on a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Index into the movie's tracks.
    pub(crate) track: usize,
    /// Presentation time as stored, nanoseconds, the codec's delay taken off.
    pub(crate) ns: i64,
    /// The same of the first frame of its lace; its own if it is alone.
    pub(crate) block_ns: i64,
    /// Which frame of its lace it is.
    pub(crate) lace: u32,
    /// Duration where the block states one, nanoseconds.
    pub(crate) duration_ns: u64,
    /// Where its payload lies.
    pub(crate) bytes: ByteRange,
    /// The container calls it a keyframe.
    pub(crate) sync: bool,
    /// Offset of its block's element.
    pub(crate) element: u64,
    /// Offset of its cluster.
    pub(crate) cluster: u64,
    /// The payload, where it was in hand.
    pub(crate) data: Option<Bytes>,
}

/// A walk over clusters.
#[derive(Debug)]
pub(crate) struct Walk {
    walker: BlockWalker,
    /// Nanoseconds per tick, and of each track's codec delay.
    scale_ns: i64,
    delays_ns: Vec<i64>,
    /// The block whose frames come: its element, its time, how many have come.
    lace: (u64, i64, u32),
}

/// Bytes read at a time where only heads of blocks are wanted: a head is 20, small audio frames stand close together.
const HOP_WINDOW_BYTES: u64 = 1 << 10;
/// Bytes read at a time where the payload of small frames is wanted among large ones.
const SMALL_WINDOW_BYTES: u64 = 64 << 10;

impl Walk {
    /// Heads only, of every track.
    pub(crate) fn hop(movie: &Movie, range: ByteRange) -> Self {
        Self::new(movie, range, Vec::new(), Payload::None, HOP_WINDOW_BYTES)
    }

    /// With the payload of these tracks, in one read.
    pub(crate) fn whole(movie: &Movie, range: ByteRange, tracks: Vec<usize>) -> Self {
        Self::new(movie, range, tracks, Payload::Whole, range.len())
    }

    /// With the payload of these tracks, in reads that are not large.
    pub(crate) fn small(movie: &Movie, range: ByteRange, tracks: Vec<usize>) -> Self {
        Self::new(movie, range, tracks, Payload::Whole, SMALL_WINDOW_BYTES)
    }

    fn new(movie: &Movie, range: ByteRange, tracks: Vec<usize>, payload: Payload, window: u64) -> Self {
        let scale_ns = match &movie.index {
            Index::Matroska(index) => i64::try_from(index.timestamp_scale_ns).unwrap_or(1_000_000),
            Index::Mp4(_) => 1,
        };
        let delays_ns = movie.tracks.iter().map(|t| i64::try_from(t.codec_delay_ns).unwrap_or(0)).collect();
        let walker = BlockWalker::new(movie, WalkOptions { range, tracks, payload, window });
        Self { walker, scale_ns, delays_ns, lace: (u64::MAX, 0, 0) }
    }

    /// The next frame; `None` at the end.
    pub(crate) async fn next(&mut self, ask: &Asker) -> Result<Option<Seen>, ContainerError> {
        let Walked::Block(block) = ask.drive(&mut self.walker).await? else { return Ok(None) };
        let delay = self.delays_ns.get(block.track).copied().unwrap_or(0);
        let ns = block.sample.pts.saturating_mul(self.scale_ns).saturating_sub(delay);
        self.lace = match self.lace {
            (element, block_ns, n) if element == block.element => (element, block_ns, n.saturating_add(1)),
            _ => (block.element, ns, 0),
        };
        Ok(Some(Seen {
            track: block.track,
            ns,
            block_ns: self.lace.1,
            lace: self.lace.2,
            duration_ns: u64::from(block.sample.duration).saturating_mul(self.scale_ns.unsigned_abs()),
            bytes: block.sample.bytes,
            sync: block.sample.sync,
            element: block.element,
            cluster: block.cluster,
            data: block.data,
        }))
    }
}

impl Seen {
    /// Its time in ticks before the shift. Frames of a lace are only stored with the time of the first one: on a grid
    /// they follow it.
    pub(crate) fn ticks(&self, clock: Clock, timescale: Timescale) -> i64 {
        match clock.frame() {
            Some(frame) => {
                let later = i64::from(self.lace).saturating_mul(i64::from(frame));
                clock.ticks(self.block_ns, timescale).saturating_add(later)
            }
            None => clock.ticks(self.ns, timescale),
        }
    }
}

/// A cue's time as its block's is counted here, nanoseconds.
pub(crate) fn cue_ns(movie: &Movie, index: &MatroskaIndex, cue: &CuePoint) -> i64 {
    let scale = i64::try_from(index.timestamp_scale_ns).unwrap_or(1_000_000);
    let delay = movie.tracks.get(cue.track).map_or(0, |t| i64::try_from(t.codec_delay_ns).unwrap_or(0));
    cue.time.saturating_mul(scale).saturating_sub(delay)
}

/// The head of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClusterHead {
    /// Offset of its element.
    pub(crate) offset: u64,
    /// Offset of its first payload byte.
    pub(crate) payload: u64,
    /// Where it ends; `None` if it does not say.
    pub(crate) end: Option<u64>,
}

/// Bytes read to see an element's head: identifier of 4, size of 8.
const HEAD_BYTES: u64 = 12;
const CLUSTER_ID: u32 = 0x1f43_b675;

/// The first cluster at or after `at`, an element's offset, and before `end`; other elements are stepped over.
pub(crate) async fn cluster_at(
    ask: &Asker,
    mut at: u64,
    end: u64,
) -> Result<Option<ClusterHead>, ContainerError> {
    // Between clusters lie Void, Tags and Cues, a few of them; more is not a file that was muxed by anyone.
    for _ in 0..64 {
        let head = ByteRange::new(at, end.min(at.saturating_add(HEAD_BYTES)));
        if head.len() < 2 {
            return Ok(None);
        }
        let bytes = ask.read(head).await?;
        let Some((id, size, len)) = element_head(&bytes) else { return Ok(None) };
        let payload = at.saturating_add(len);
        let to = size.map(|size| payload.saturating_add(size));
        if id == CLUSTER_ID {
            return Ok(Some(ClusterHead { offset: at, payload, end: to.map(|to| to.min(end)) }));
        }
        match to {
            Some(to) if to > at => at = to,
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// Identifier, size (`None`: unknown) and length of an EBML element's head (RFC 8794 §5, §6).
fn element_head(bytes: &[u8]) -> Option<(u32, Option<u64>, u64)> {
    let first = *bytes.first()?;
    let id_len = first.leading_zeros() as usize + 1;
    let id = bytes.get(..id_len).filter(|_| id_len <= 4)?;
    let id = id.iter().fold(0u32, |id, b| (id << 8) | u32::from(*b));
    let first = *bytes.get(id_len)?;
    let size_len = first.leading_zeros() as usize + 1;
    let size = bytes.get(id_len..id_len + size_len).filter(|_| size_len <= 8)?;
    let value = size.iter().fold(0u64, |v, b| (v << 8) | u64::from(*b));
    let ones = (1u64 << (7 * size_len)) - 1;
    let value = value & ones;
    Some((id, (value != ones).then_some(value), (id_len + size_len) as u64))
}

/// The block that a cue with a relative position names, read without walking to it; `None` if there is none of its
/// track and time, or it is laced.
pub(crate) async fn cued_block(
    ask: &Asker,
    movie: &Movie,
    index: &MatroskaIndex,
    cue: &CuePoint,
) -> Result<Option<Seen>, ContainerError> {
    let end = index.clusters_end;
    let window = |at: u64| ByteRange::new(at, end.min(at.saturating_add(CUED_BYTES)));
    let (Some(relative), Some(track)) = (cue.relative, movie.tracks.get(cue.track)) else { return Ok(None) };
    let head = window(cue.cluster);
    let bytes = ask.read(head).await?;
    let Some((CLUSTER_ID, _, head_len)) = element_head(&bytes) else { return Ok(None) };
    let Some(timestamp) = timestamp(tail(&bytes, head_len)) else { return Ok(None) };
    let element = cue.cluster.saturating_add(head_len).saturating_add(relative);
    if element >= end {
        return Ok(None);
    }
    // Most often the block comes right after the timestamp, and is here already.
    let near = head_len.saturating_add(relative);
    let bytes = match near.saturating_add(BLOCK_HEAD_BYTES) <= bytes.len() as u64 {
        true => bytes.slice(usize::try_from(near).unwrap_or(0)..),
        false => ask.read(window(element)).await?,
    };
    let Some(block) = block_head(&bytes, element) else { return Ok(None) };
    if block.number != track.number || timestamp.saturating_add(i64::from(block.timecode)) != cue.time {
        return Ok(None);
    }
    let (mut sync, mut duration) = (block.sync, 0);
    if let Some(group_end) = block.group_end.filter(|to| *to > block.payload.end() && *to <= end) {
        let range = ByteRange::new(block.payload.end(), group_end);
        if range.len() > CUED_BYTES {
            return Ok(None);
        }
        let facts = group_facts(&ask.read(range).await?);
        sync = !facts.referenced;
        duration = facts.duration;
    }
    let ns = cue_ns(movie, index, cue);
    Ok(Some(Seen {
        track: cue.track,
        ns,
        block_ns: ns,
        lace: 0,
        duration_ns: duration.saturating_mul(index.timestamp_scale_ns),
        bytes: block.payload,
        sync,
        element,
        cluster: cue.cluster,
        data: None,
    }))
}

/// Bytes read at a cluster's beginning, at a block's, and at most behind a block in its group.
const CUED_BYTES: u64 = 64;
/// Heads of a BlockGroup and its Block, track number, timecode and flags.
const BLOCK_HEAD_BYTES: u64 = 12 + 12 + 8 + 3;

fn tail(bytes: &[u8], from: u64) -> &[u8] {
    usize::try_from(from).ok().and_then(|from| bytes.get(from..)).unwrap_or_default()
}

/// The cluster's timestamp, where it is the first element of its payload (but for a checksum), as it should be.
fn timestamp(payload: &[u8]) -> Option<i64> {
    const TIMESTAMP: u32 = 0xe7;
    const CRC32: u32 = 0xbf;
    let (mut id, mut size, mut len) = element_head(payload)?;
    let mut at = 0;
    if id == CRC32 {
        at = len.saturating_add(size?);
        (id, size, len) = element_head(tail(payload, at))?;
    }
    let value = tail(payload, at.saturating_add(len)).get(..usize::try_from(size?).ok()?)?;
    let fits = id == TIMESTAMP && value.len() <= 8;
    fits.then(|| value.iter().fold(0u64, |v, b| (v << 8) | u64::from(*b))).and_then(|v| i64::try_from(v).ok())
}

/// What stands before a block's payload.
struct BlockHead {
    number: u64,
    timecode: i16,
    sync: bool,
    payload: ByteRange,
    group_end: Option<u64>,
}

fn block_head(bytes: &[u8], element: u64) -> Option<BlockHead> {
    const SIMPLE_BLOCK: u32 = 0xa3;
    const BLOCK_GROUP: u32 = 0xa0;
    const BLOCK: u32 = 0xa1;
    let (mut id, mut size, mut len) = element_head(bytes)?;
    let (mut at, mut group_end) = (0, None);
    if id == BLOCK_GROUP {
        group_end = Some(element.checked_add(len)?.checked_add(size?)?);
        at = len;
        (id, size, len) = element_head(tail(bytes, at))?;
    }
    if id != if group_end.is_some() { BLOCK } else { SIMPLE_BLOCK } {
        return None;
    }
    let body = tail(bytes, at.checked_add(len)?);
    let number_len = u64::from(body.first()?.leading_zeros()) + 1;
    let number = body.get(..usize::try_from(number_len).ok().filter(|n| *n <= 8)?)?;
    let number = number.iter().fold(0u64, |v, b| (v << 8) | u64::from(*b)) & ((1 << (7 * number_len)) - 1);
    let &[high, low, flags] = tail(body, number_len).get(..3)? else { return None };
    if flags & 0x06 != 0 {
        return None;
    }
    let start = element.checked_add(at)?.checked_add(len)?;
    let payload = ByteRange::new(start.checked_add(number_len + 3)?, start.checked_add(size?)?);
    let timecode = i16::from_be_bytes([high, low]);
    Some(BlockHead { number, timecode, sync: flags & 0x80 != 0, payload, group_end })
}

/// What stands behind a Block in its group.
#[derive(Default)]
struct GroupFacts {
    duration: u64,
    referenced: bool,
}

fn group_facts(mut bytes: &[u8]) -> GroupFacts {
    const BLOCK_DURATION: u32 = 0x9b;
    const REFERENCE_BLOCK: u32 = 0xfb;
    let mut facts = GroupFacts::default();
    while let Some((id, Some(size), len)) = element_head(bytes) {
        let value = tail(bytes, len);
        let value = value.get(..usize::try_from(size).unwrap_or(usize::MAX)).unwrap_or_default();
        match id {
            BLOCK_DURATION if value.len() <= 8 => {
                facts.duration = value.iter().fold(0u64, |v, b| (v << 8) | u64::from(*b));
            }
            REFERENCE_BLOCK => facts.referenced = true,
            _ => {}
        }
        bytes = tail(bytes, len.saturating_add(size));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_with_known_and_unknown_sizes() {
        assert_eq!(element_head(&[0x1f, 0x43, 0xb6, 0x75, 0x40, 0x02, 0xe7]), Some((CLUSTER_ID, Some(2), 6)));
        assert_eq!(
            element_head(&[0x1f, 0x43, 0xb6, 0x75, 0x01, 255, 255, 255, 255, 255, 255, 255]),
            Some((CLUSTER_ID, None, 12))
        );
        assert_eq!(element_head(&[0xec, 0x81]), Some((0xec, Some(1), 2)));
        assert_eq!(element_head(&[0x00, 0x81]), None);
    }

    #[test]
    fn a_block_in_a_group_is_taken_apart() {
        // BlockGroup of 12: Block of 6 (track 2, time -2, no lacing, two bytes), BlockDuration 300.
        let group = [0xa0, 0x8c, 0xa1, 0x86, 0x82, 0xff, 0xfe, 0x00, b'h', b'i', 0x9b, 0x82, 0x01, 0x2c];
        let head = block_head(&group, 1_000).unwrap();
        assert_eq!((head.number, head.timecode, head.payload), (2, -2, ByteRange::new(1_008, 1_010)));
        assert_eq!(head.group_end, Some(1_014));
        assert_eq!(group_facts(&group[10..]).duration, 300);
    }

    #[test]
    fn a_timestamp_may_have_a_checksum_before_it() {
        assert_eq!(timestamp(&[0xe7, 0x82, 0x01, 0x00]), Some(256));
        assert_eq!(timestamp(&[0xbf, 0x84, 1, 2, 3, 4, 0xe7, 0x81, 0x05]), Some(5));
        assert_eq!(timestamp(&[0xa3, 0x81, 0x05]), None);
    }
}
