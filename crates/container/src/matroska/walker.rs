//! Walks clusters block by block (RFC 9559, section 5.1.3).
//!
//! Bytes that make no sense cost the blocks up to the next cluster, which is looked for within a limit; a file that ends
//! early ends the walk.
//!
//! Either the payloads are wanted, and the range is read in large windows; or they are not, and the walker hops from
//! header to header. Times are the container's own: no codec delay is taken off, nothing is snapped to a grid.

use std::collections::VecDeque;

use byte_source::ByteRange;
use bytes::Bytes;

use super::{
    Block, Walked,
    ebml::{HEADER_BYTES_MAX, Header, header, malformed, vint},
    ids, lacing,
};
use crate::{
    ContainerError, Format, Index, Movie, SampleRef,
    limits::SAMPLE_BYTES_MAX,
    pull::{Pull, PullParser},
};

/// The smallest read: an element's header and a block's own fit in it.
const WINDOW_BYTES_MIN: u64 = 64;
/// Bytes looked through for the next cluster where the bytes make no sense.
const RESYNC_BYTES_MAX: u64 = 16 << 20;
/// The longest lace header: 255 sizes, most of them a few bytes of 255 long.
const LACE_HEADER_BYTES_MAX: u64 = 64 << 10;
/// Track number, timestamp and flags of a block.
const BLOCK_HEAD_BYTES_MAX: u64 = 8 + 2 + 1;

/// Which bytes of a block's payload come along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// None: headers only.
    None,
    /// As many as this at the front of each frame.
    Prefix(u32),
    /// All.
    Whole,
}

/// What is walked, and how.
#[derive(Clone, Debug)]
pub struct WalkOptions {
    /// Blocks whose element begins in this range are given. Begins at a cluster; else the walk begins at the next one.
    pub range: ByteRange,
    /// Indices into [`Movie::tracks`] of the tracks that are given; empty is all.
    pub tracks: Vec<usize>,
    /// What comes along.
    pub payload: Payload,
    /// Bytes of one read: the whole range where payloads are wanted, little where they are not.
    pub window: u64,
}

/// Walks the clusters of a byte range and gives their blocks in file order, then [`Walked::End`].
#[derive(Debug)]
pub struct BlockWalker {
    options: WalkOptions,
    tracks: Vec<TrackFacts>,
    len: u64,
    end: u64,
    scale_ns: u64,
    window_start: u64,
    window: Bytes,
    at: u64,
    cluster: Option<Cluster>,
    group: Option<Group>,
    searching: Option<u64>,
    asked: Option<ByteRange>,
    fed: bool,
    out: VecDeque<Block>,
}

#[derive(Debug)]
struct TrackFacts {
    number: u64,
    index: usize,
    /// Ticks of one frame, as nanoseconds, for the frames of a lace after the first.
    frame_ns: Option<u64>,
    wanted: bool,
}

#[derive(Clone, Copy, Debug)]
struct Cluster {
    element: u64,
    end: Option<u64>,
    timestamp: i64,
}

/// A BlockGroup that is being read: its parts come in any order, and its frames wait in the queue until it ends.
#[derive(Debug)]
struct Group {
    element: u64,
    end: u64,
    duration: Option<u64>,
    referenced: bool,
}

/// Where a step got to.
enum Step {
    Again,
    Need(ByteRange),
    End,
}

/// An unsigned integer payload.
enum Uint {
    Value(u64),
    Need(ByteRange),
    /// The file ends inside it.
    Cut,
    /// More than eight bytes.
    TooLong,
}

impl BlockWalker {
    /// A walk over part of `movie`, which must be a Matroska file's (another has no clusters: the walk ends at once).
    #[must_use]
    pub fn new(movie: &Movie, options: WalkOptions) -> Self {
        let (scale_ns, end) = match &movie.index {
            Index::Matroska(index) => (index.timestamp_scale_ns.max(1), index.segment.end()),
            Index::Mp4(_) => (1, 0),
        };
        let wanted = |n: usize| options.tracks.is_empty() || options.tracks.contains(&n);
        let tracks = movie
            .tracks
            .iter()
            .enumerate()
            .map(|(index, track)| TrackFacts {
                number: track.number,
                index,
                frame_ns: track.default_duration_ns.or_else(|| frame_ns(track)),
                wanted: wanted(index),
            })
            .collect();
        let len = movie.len;
        let options = WalkOptions { window: options.window.max(WINDOW_BYTES_MIN), ..options };
        Self {
            at: options.range.start(),
            end: options.range.end().min(end).min(len),
            options,
            tracks,
            len,
            scale_ns,
            window_start: 0,
            window: Bytes::new(),
            cluster: None,
            group: None,
            searching: None,
            asked: None,
            fed: false,
            out: VecDeque::new(),
        }
    }

    /// Where the walk stands: everything that begins before has been given.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at
    }

    fn from(&self, at: u64) -> &[u8] {
        let from = at.checked_sub(self.window_start).and_then(|n| usize::try_from(n).ok());
        from.and_then(|n| self.window.get(n..)).unwrap_or_default()
    }

    /// `len` bytes at `at`, or what to read for them. A file that ends before is `None`.
    fn bytes(&self, at: u64, len: u64) -> Option<Result<&[u8], ByteRange>> {
        let here = self.from(at);
        let wanted = usize::try_from(len).unwrap_or(usize::MAX);
        if let Some(bytes) = here.get(..wanted) {
            return Some(Ok(bytes));
        }
        if at.checked_add(len).is_none_or(|end| end > self.len) {
            return None;
        }
        // Within the range in large windows; past it only what is needed.
        let window_end = at.saturating_add(self.options.window).min(self.end);
        Some(Err(ByteRange::new(at, window_end.max(at + len).min(self.len))))
    }

    fn header_at(&self, at: u64) -> Result<Option<Result<Header, ByteRange>>, ContainerError> {
        let here = self.from(at);
        if let Some(found) = header(here, at)? {
            return Ok(Some(Ok(found)));
        }
        let len = (HEADER_BYTES_MAX as u64).min(self.len.saturating_sub(at));
        if here.len() as u64 >= len {
            return Ok(None);
        }
        Ok(self.bytes(at, len).map(|read| match read {
            // What is here does not hold a header, though it is long enough: more cannot help.
            Ok(_) => Err(ByteRange::new(at, at)),
            Err(need) => Err(need),
        }))
    }

    fn step(&mut self) -> Result<Step, ContainerError> {
        if let Some(start) = self.searching {
            return self.search(start);
        }
        if let Some(group) = &self.group
            && self.at >= group.end
        {
            self.at = group.end;
            self.close_group();
            return Ok(Step::Again);
        }
        if let Some(cluster) = self.cluster
            && cluster.end.is_some_and(|end| self.at >= end)
        {
            self.cluster = None;
        }
        if self.at >= self.end && self.group.is_none() {
            return Ok(Step::End);
        }
        let found = match self.header_at(self.at) {
            Ok(Some(Ok(found))) => found,
            Ok(Some(Err(need))) if need.is_empty() => return Ok(self.lost()),
            Ok(Some(Err(need))) => return Ok(Step::Need(need)),
            Ok(None) => return Ok(Step::End),
            Err(_) => return Ok(self.lost()),
        };
        let start = self.at + found.len;
        match (&self.group, self.cluster) {
            (Some(_), _) => self.in_group(found, start),
            (None, Some(cluster)) => self.in_cluster(cluster, found, start),
            (None, None) => Ok(self.top_level(found, start)),
        }
    }

    fn top_level(&mut self, found: Header, start: u64) -> Step {
        if found.id == ids::CLUSTER {
            let end = found.size.map(|size| start.saturating_add(size));
            self.cluster = Some(Cluster { element: self.at, end, timestamp: 0 });
            self.at = start;
            return Step::Again;
        }
        match found.size {
            Some(size) if ids::is_top_level(found.id) || found.id == ids::VOID => {
                self.at = start.saturating_add(size);
                Step::Again
            }
            _ => self.lost(),
        }
    }

    fn in_cluster(&mut self, cluster: Cluster, found: Header, start: u64) -> Result<Step, ContainerError> {
        if ids::is_top_level(found.id) && cluster.end.is_none() {
            self.cluster = None;
            return Ok(Step::Again);
        }
        let Some(size) = found.size else { return Ok(self.lost()) };
        let end = start.saturating_add(size);
        if cluster.end.is_some_and(|limit| end > limit) && found.id != ids::VOID {
            return Ok(self.lost());
        }
        match found.id {
            ids::TIMESTAMP => match self.uint(start, size) {
                Uint::Value(value) => {
                    let timestamp = i64::try_from(value).unwrap_or(i64::MAX >> 16);
                    self.cluster = Some(Cluster { timestamp, ..cluster });
                }
                Uint::Need(need) => return Ok(Step::Need(need)),
                Uint::Cut => return Ok(Step::End),
                // Blocks of an unknown time are of no use.
                Uint::TooLong => return Ok(self.lost()),
            },
            ids::SIMPLE_BLOCK => {
                if let Some(step) = self.block(self.at, start, size)? {
                    return Ok(step);
                }
            }
            ids::BLOCK_GROUP => {
                self.group = Some(Group { element: self.at, end, duration: None, referenced: false });
                self.at = start;
                return Ok(Step::Again);
            }
            _ => {}
        }
        self.at = end;
        Ok(Step::Again)
    }

    fn in_group(&mut self, found: Header, start: u64) -> Result<Step, ContainerError> {
        let Some(group) = &mut self.group else { return Ok(Step::Again) };
        let end = found.size.map_or(u64::MAX, |size| start.saturating_add(size));
        if end > group.end {
            return Ok(self.lost());
        }
        let size = end - start;
        match found.id {
            ids::BLOCK => {
                let element = group.element;
                self.out.clear();
                if let Some(step) = self.block(element, start, size)? {
                    return Ok(step);
                }
            }
            ids::BLOCK_DURATION => {
                let duration = match self.uint(start, size) {
                    Uint::Value(value) => Some(value),
                    Uint::Need(need) => return Ok(Step::Need(need)),
                    Uint::Cut => return Ok(Step::End),
                    Uint::TooLong => None,
                };
                if let Some(group) = &mut self.group {
                    group.duration = duration;
                }
            }
            ids::REFERENCE_BLOCK => group.referenced = true,
            _ => {}
        }
        self.at = end;
        Ok(Step::Again)
    }

    /// Tells the waiting frames what their group said.
    fn close_group(&mut self) {
        let Some(group) = self.group.take() else { return };
        let frames = self.out.len().max(1) as u64;
        for (n, block) in (0_u64..).zip(&mut self.out) {
            block.sample.sync = !group.referenced;
            let Some(duration) = group.duration else { continue };
            block.sample.duration = u32::try_from(duration / frames).unwrap_or(u32::MAX);
            if self.tracks.get(block.track).is_some_and(|track| track.frame_ns.is_none()) {
                let later = i64::try_from(duration.saturating_mul(n) / frames).unwrap_or(i64::MAX);
                block.sample.pts = block.sample.pts.saturating_add(later);
            }
        }
    }

    /// Queues the frames of a block, each with the time that a constant frame duration gives it.
    fn block(&mut self, element: u64, start: u64, size: u64) -> Result<Option<Step>, ContainerError> {
        let head = match self.bytes(start, size.min(BLOCK_HEAD_BYTES_MAX)) {
            Some(Ok(head)) => head,
            Some(Err(need)) => return Ok(Some(Step::Need(self.widen(need, start, size)))),
            None => return Ok(Some(Step::End)),
        };
        // A block that makes no sense costs only itself.
        let Ok(Some((Some(number), len))) = vint(head, start) else { return Ok(None) };
        let Some(&[high, low, flags]) = head.get(len..len + 3) else { return Ok(None) };
        let Some((index, frame_ns)) =
            self.tracks.iter().find(|t| t.number == number && t.wanted).map(|t| (t.index, t.frame_ns))
        else {
            return Ok(None);
        };
        let first = len as u64 + 3;
        let body = ByteRange::new(start + first, start.saturating_add(size));
        if body.end() > self.len {
            // The file is cut here.
            return Ok(Some(Step::End));
        }
        let lace = match flags >> 1 & 3 {
            0 => None,
            kind => {
                let header = match self.bytes(body.start(), body.len().min(LACE_HEADER_BYTES_MAX)) {
                    Some(Ok(header)) => header,
                    Some(Err(need)) => return Ok(Some(Step::Need(self.widen(need, start, size)))),
                    None => return Ok(Some(Step::End)),
                };
                match lacing::read(kind, header, body.len(), body.start()) {
                    Ok(Some(lace)) => Some(lace),
                    Ok(None) | Err(_) => return Ok(None),
                }
            }
        };
        if body.len() > SAMPLE_BYTES_MAX {
            let (value, limit) = (body.len(), SAMPLE_BYTES_MAX);
            return Err(ContainerError::limit(Format::Matroska, element, "length of a block", value, limit));
        }
        if let Some(step) = self.payload_missing(start, size, body, lace.is_some()) {
            return Ok(Some(step));
        }
        let cluster = self.cluster.map_or((self.options.range.start(), 0), |c| (c.element, c.timestamp));
        let pts = cluster.1.saturating_add(i64::from(i16::from_be_bytes([high, low])));
        let sync = flags & 0x80 != 0;
        let block = |bytes, pts, data| {
            let sample = SampleRef { pts, duration: 0, bytes, sync };
            Block { track: index, sample, element, cluster: cluster.0, data }
        };
        let Some(lace) = lace else {
            let data = self.data(body);
            self.out.push_back(block(body, pts, data));
            return Ok(None);
        };
        let mut offset = body.start() + lace.header as u64;
        for (n, size) in (0_u64..).zip(lace.sizes) {
            let bytes = ByteRange::new(offset, offset + size);
            offset += size;
            let ticks =
                n.saturating_mul(frame_ns.unwrap_or(0)).saturating_add(self.scale_ns / 2) / self.scale_ns;
            let pts = pts.saturating_add(i64::try_from(ticks).unwrap_or(i64::MAX));
            let data = self.data(bytes);
            self.out.push_back(block(bytes, pts, data));
        }
        Ok(None)
    }

    /// Where payloads are wanted, the whole element is read at once and not its head first.
    fn widen(&self, need: ByteRange, start: u64, size: u64) -> ByteRange {
        if self.options.payload != Payload::Whole || size > SAMPLE_BYTES_MAX {
            return need;
        }
        ByteRange::new(need.start(), need.end().max(start.saturating_add(size)).min(self.len))
    }

    fn payload_missing(&self, start: u64, size: u64, body: ByteRange, laced: bool) -> Option<Step> {
        let wanted = match self.options.payload {
            Payload::None => return None,
            // The frames of a lace lie anywhere in it.
            Payload::Prefix(_) if laced => body,
            Payload::Prefix(bytes) => {
                ByteRange::new(body.start(), body.end().min(body.start() + u64::from(bytes)))
            }
            Payload::Whole => body,
        };
        match self.bytes(wanted.start(), wanted.len()) {
            Some(Ok(_)) => None,
            Some(Err(need)) => {
                let need = ByteRange::new(need.start(), need.end().max(wanted.end()));
                Some(Step::Need(self.widen(need, start, size)))
            }
            None => Some(Step::End),
        }
    }

    fn data(&self, bytes: ByteRange) -> Option<Bytes> {
        let len = match self.options.payload {
            Payload::None => return None,
            Payload::Prefix(most) => bytes.len().min(u64::from(most)),
            Payload::Whole => bytes.len(),
        };
        let from = usize::try_from(bytes.start().checked_sub(self.window_start)?).ok()?;
        let to = from.checked_add(usize::try_from(len).ok()?)?;
        (to <= self.window.len()).then(|| self.window.slice(from..to))
    }

    fn uint(&self, start: u64, size: u64) -> Uint {
        if size > 8 {
            return Uint::TooLong;
        }
        match self.bytes(start, size) {
            Some(Ok(bytes)) => Uint::Value(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))),
            Some(Err(need)) => Uint::Need(need),
            None => Uint::Cut,
        }
    }

    /// The bytes here make no sense: the next cluster is looked for.
    fn lost(&mut self) -> Step {
        // Without its group's end nobody knows whether a block is a keyframe.
        self.group = None;
        self.out.clear();
        self.cluster = None;
        self.searching = Some(self.at);
        // The ID that stands here, if it is a cluster's, is the one that made no sense.
        self.at += 1;
        Step::Again
    }

    fn search(&mut self, start: u64) -> Result<Step, ContainerError> {
        if self.at >= self.end {
            return Ok(Step::End);
        }
        if self.at - start > RESYNC_BYTES_MAX {
            return Err(malformed(
                start,
                format!("no cluster within {RESYNC_BYTES_MAX} bytes of what makes no sense"),
            ));
        }
        let here = self.from(self.at);
        if here.len() < 4 {
            let need = ByteRange::new(
                self.at,
                self.at.saturating_add(self.options.window.max(64 << 10)).min(self.end),
            );
            return Ok(if need.len() < 4 { Step::End } else { Step::Need(need) });
        }
        match here.windows(4).position(|id| id == ids::CLUSTER.to_be_bytes()) {
            Some(found) => {
                self.at += found as u64;
                self.searching = None;
            }
            None => self.at += here.len() as u64 - 3,
        }
        Ok(Step::Again)
    }
}

/// Nanoseconds of one frame, where the codec's configuration fixes it.
fn frame_ns(track: &crate::Track) -> Option<u64> {
    let samples = u64::from(track.codec.frame_samples_constant()?);
    let rate = u64::from(track.audio.as_ref()?.sample_rate);
    (samples * 1_000_000_000).checked_div(rate)
}

impl PullParser for BlockWalker {
    type Item = Walked;

    fn poll(&mut self) -> Result<Pull<Walked>, ContainerError> {
        loop {
            if self.group.is_none()
                && let Some(block) = self.out.pop_front()
            {
                return Ok(Pull::Item(Walked::Block(block)));
            }
            match self.step()? {
                Step::Again => {}
                Step::End => return Ok(Pull::Item(Walked::End)),
                // Windows do not join: each begins with the element that the walk stands at, and only grows.
                Step::Need(need) => {
                    let need = ByteRange::new(need.start().min(self.at), need.end());
                    // Asking twice for the same would go on for ever: the bytes are here and do not help.
                    if self.asked.replace(need) == Some(need) && self.fed {
                        return Ok(Pull::Item(Walked::End));
                    }
                    self.fed = false;
                    return Ok(Pull::Need(need));
                }
            }
        }
    }

    fn feed(&mut self, range: ByteRange, bytes: Bytes) {
        self.window_start = range.start();
        self.window = bytes;
        self.fed = true;
    }
}
