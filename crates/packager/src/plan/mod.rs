//! The plan of a title: where segments begin and end, in ticks, and where their bytes lie.
//!
//! Times in a plan are *our time*: zero is the earliest presentation time of any audio or video track, so that no
//! decode time is ever negative and no edit list is needed. One shift per title, expressed in each track's ticks.
//!
//! How it is made: [`planner`](Planner). What a segment's samples are: [`cut`](crate::cut).

use std::sync::Arc;

use byte_source::ByteRange;
use container::{Index, Movie, Rational, Timescale, Track, TrackKind, codec::RandomAccess};
use serde::{Deserialize, Serialize};

use crate::{PackagerError, RenditionId, SegmentIndex};

mod assemble;
mod boundaries;
mod grid;
mod matroska;
mod mp4;
mod planner;
mod probe;
mod segments;
mod table;

pub(crate) use grid::RATES;
pub use planner::Planner;
pub(crate) use segments::{first_at_or_after, first_tick_at_or_after};
pub(crate) use table::TableView;

/// Goes up whenever a plan made by older code would cut differently.
pub const PLAN_VERSION: u32 = 1;

/// What segments should be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanOptions {
    /// Segments are as near to this as keyframes allow, milliseconds.
    pub target_ms: u32,
    /// A last segment shorter than this is folded into the one before, milliseconds.
    pub tail_ms: u32,
    /// Clean starting points (IDR) at least this often make open-GOP ones unnecessary, milliseconds.
    pub clean_gap_ms: u32,
    /// Where may be read to check the index.
    pub reach: Reach,
}

/// Where a planner may read besides the index, and so how much it distrusts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reach {
    /// Anywhere: samples between the ends are looked at, and what the index leaves out is searched for.
    #[default]
    Anywhere,
    /// At the first two keyframes only, beside the index: each other place costs a piece of a torrent. What is found there is
    /// taken to be so everywhere, and the header's duration is believed; a file without an index is refused.
    Ends,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self { target_ms: 5_000, tail_ms: 1_000, clean_gap_ms: 12_000, reach: Reach::Anywhere }
    }
}

/// A title, planned. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The file; codec configurations completed from first frames, [`Track::timescale`] that of our segments.
    pub movie: Arc<Movie>,
    /// Its plan.
    pub plan: Arc<Plan>,
}

/// Where segments begin and end. Made once, kept beside the cache in a form without field names, never changed: no
/// field may be left out when it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_VERSION`] of the code that made it.
    pub version: u32,
    /// Length of the file it was made for, bytes.
    pub file_len: u64,
    /// How many tracks that file has.
    pub file_tracks: usize,
    /// The track whose keyframes the boundaries are: the video, or the default audio of an audio-only file.
    pub reference: usize,
    /// Unit of [`Interval::start`] and [`end`](Self::end): the reference track's.
    pub clock: Timescale,
    /// The stretches between boundaries, in order; the first begins at or after 0.
    pub intervals: Vec<Interval>,
    /// End of the last sample of any audio or video track, ticks of [`clock`](Self::clock).
    pub end: i64,
    /// Tracks that can be cut, in file order.
    pub tracks: Vec<TrackPlan>,
    /// What was seen of the reference track's keyframes.
    pub keyframes: KeyframeFacts,
    /// First frames that complete a codec's configuration.
    pub first_frames: Vec<FirstFrame>,
    /// What is odd about the file, for people.
    pub warnings: Vec<String>,
}

/// A stretch between two boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// Smallest presentation time of the run of samples that begins at the keyframe; ticks of [`Plan::clock`].
    pub start: i64,
    /// The keyframe's own time as stored: Matroska, nanoseconds; MP4, ticks of the track.
    pub key: i64,
    /// Where it is: Matroska, offset of its cluster; MP4, number of the sample in its table.
    pub place: u64,
    /// Matroska: offset of its block's element from the cluster's first payload byte, where known.
    pub relative: Option<u64>,
    /// What the keyframe is to a decoder.
    pub kind: RandomAccess,
}

/// How a track's stored times become ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// MP4: exact as they stand, times this factor.
    Table {
        /// Our ticks per tick of the table: 1, but where hidden pictures need finer ones.
        factor: u32,
    },
    /// Matroska: rounded times are put back on the grid `first + n * frame`; what is off the grid keeps its own.
    Grid {
        /// Time of frame 0 as stored, in ticks, before the shift.
        first: i64,
        /// Ticks of a frame.
        frame: u32,
    },
    /// Matroska: as stored.
    Stored,
}

/// The plan of one track.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrackPlan {
    /// Index into [`Movie::tracks`].
    pub track: usize,
    /// Ticks per second of everything here.
    pub timescale: Timescale,
    /// Ticks to add to a stored time to get our time.
    pub shift: i64,
    /// How stored times become ticks.
    pub clock: Clock,
    /// Its segments, in order. They cover every sample, none is empty.
    pub segments: Vec<SegmentPlan>,
    /// Bytes per second over the whole track; an estimate in Matroska.
    pub bytes_per_second: u64,
    /// Pictures per second: exact where constant, else the average; `None` where unknown, and for audio.
    pub frame_rate: Option<Rational>,
    /// MP4: samples that the edit list hides, with the times they are given instead (ticks, before the shift).
    pub moved: Vec<(u32, i64)>,
}

/// One segment of one track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentPlan {
    /// Decode time of the first sample (`tfdt`): the smallest presentation time, ticks of our time.
    pub start: u64,
    /// Ticks to the next segment's start, or to the end of the last sample.
    pub duration: u64,
    /// Intervals covered, half-open; more than one where a track has nothing in some.
    pub intervals: (u32, u32),
    /// MP4: samples of the table, half-open; `(0, 0)` in Matroska.
    pub samples: (u32, u32),
    /// Bytes of payload: exact for MP4, for Matroska an upper estimate.
    pub payload_bytes: u64,
    /// Decodes by itself: begins with a clean random access point.
    pub independent: bool,
}

/// What was seen of keyframes, for people and for the choice to transcode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyframeFacts {
    /// Random access points that the index names.
    pub count: u64,
    /// Longest stretch between two, milliseconds.
    pub longest_gap_ms: u64,
    /// Some begin with pictures that refer to what came before.
    pub open_gop: bool,
    /// The index was absent or not believed, and the file was looked through.
    pub index_rebuilt: bool,
}

/// The beginning of a track's first frame, kept because the codec's configuration is completed from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstFrame {
    /// Index into [`Movie::tracks`].
    pub track: usize,
    /// Its first bytes.
    pub bytes: Vec<u8>,
}

impl Plan {
    /// The plan of a track, if it can be cut.
    #[must_use]
    pub fn track(&self, track: usize) -> Option<&TrackPlan> {
        self.tracks.iter().find(|t| t.track == track)
    }

    /// End of the last sample, seconds.
    #[must_use]
    pub fn duration_seconds(&self) -> f64 {
        self.clock.seconds(self.end)
    }

    /// Whether every segment of the reference track decodes by itself.
    #[must_use]
    pub fn independent(&self) -> bool {
        self.track(self.reference).is_some_and(|t| t.segments.iter().all(|s| s.independent))
    }
}

impl Planned {
    /// The video track that is cut; `None` in an audio-only file.
    #[must_use]
    pub fn video(&self) -> Option<usize> {
        let reference = self.plan.reference;
        self.movie.tracks.get(reference).filter(|t| t.kind == TrackKind::Video).map(|_| reference)
    }

    /// Tracks of a kind in file order, whether they can be cut or not: what `audio-{n}` and `subtitles-{n}` count.
    pub fn of_kind(&self, kind: TrackKind) -> impl Iterator<Item = (usize, &Track)> {
        self.movie.tracks.iter().enumerate().filter(move |(_, t)| t.kind == kind)
    }

    /// The audio track that plays unless the viewer says otherwise, as `n` of `audio-{n}`: the first flagged default
    /// that can be cut, else the first that can.
    #[must_use]
    pub fn default_audio(&self) -> Option<usize> {
        let mut planned =
            self.of_kind(TrackKind::Audio).enumerate().filter(|(_, (i, _))| self.plan.track(*i).is_some());
        let first = planned.next()?;
        if first.1.1.flags.default {
            return Some(first.0);
        }
        Some(planned.find(|(_, (_, t))| t.flags.default).map_or(first.0, |(n, _)| n))
    }

    /// Which track a rendition shows.
    ///
    /// # Errors
    /// [`PackagerError::NoSuchRendition`] if the file has no such track or it cannot be cut.
    pub fn rendition_track(&self, rendition: RenditionId) -> Result<usize, PackagerError> {
        let nth = |kind, n| self.of_kind(kind).nth(n).map(|(i, _)| i);
        let track = match rendition {
            RenditionId::Source => Some(self.plan.reference),
            RenditionId::IFrames => self.video(),
            RenditionId::Audio(n) => nth(TrackKind::Audio, n),
            RenditionId::Subtitles(n) => nth(TrackKind::Subtitle, n),
            // What is made by a transcoder is not cut: see `transcode`.
            RenditionId::H264(_) | RenditionId::Aac(_) => None,
        };
        track.filter(|t| self.plan.track(*t).is_some()).ok_or(PackagerError::NoSuchRendition(rendition))
    }

    /// The segments of a rendition.
    ///
    /// # Errors
    /// [`PackagerError::NoSuchRendition`].
    pub fn segments(&self, rendition: RenditionId) -> Result<&[SegmentPlan], PackagerError> {
        let track = self.rendition_track(rendition)?;
        let plan = self.plan.track(track).ok_or(PackagerError::NoSuchRendition(rendition))?;
        Ok(&plan.segments)
    }

    /// One segment of a rendition.
    ///
    /// # Errors
    /// [`PackagerError::NoSuchRendition`], [`PackagerError::NoSuchSegment`].
    pub fn segment(
        &self,
        rendition: RenditionId,
        index: SegmentIndex,
    ) -> Result<&SegmentPlan, PackagerError> {
        let segments = self.segments(rendition)?;
        segments.get(index.as_usize()).ok_or(PackagerError::NoSuchSegment {
            rendition,
            index,
            count: segments.len(),
        })
    }

    /// Where the bytes of a segment lie, sorted and merged: what to hint to a source. In Matroska a few bytes more on
    /// either side may be read, where tracks are interleaved unevenly.
    ///
    /// # Errors
    /// As [`Self::segment`].
    pub fn byte_ranges(
        &self,
        rendition: RenditionId,
        index: SegmentIndex,
    ) -> Result<Vec<ByteRange>, PackagerError> {
        let segment = self.segment(rendition, index)?;
        let track = self.rendition_track(rendition)?;
        Ok(match &self.movie.index {
            Index::Mp4(_) => self.table(track).map_or_else(Vec::new, |view| {
                let (from, to) = match rendition {
                    RenditionId::IFrames => (segment.samples.0, segment.samples.0 + 1),
                    _ => segment.samples,
                };
                merge((from..to).map(|n| view.bytes(n)), 0)
            }),
            Index::Matroska(_) => vec![self.interval_bytes(segment.intervals)],
        })
    }

    /// The sample table of an MP4's track, in our time.
    pub(crate) fn table(&self, track: usize) -> Option<TableView<'_>> {
        let Index::Mp4(index) = &self.movie.index else { return None };
        Some(TableView::of(index.tables.get(track)?, self.plan.track(track)?))
    }

    /// The clusters of a Matroska file; nothing for others.
    pub(crate) fn clusters(&self) -> ByteRange {
        match &self.movie.index {
            Index::Matroska(index) => ByteRange::new(index.first_cluster.unwrap_or(0), index.clusters_end),
            Index::Mp4(_) => ByteRange::default(),
        }
    }

    /// Where the clusters of these intervals lie: from the cluster of the first one's keyframe to that of the
    /// following one's, and a little into it where the keyframe is not its first block.
    pub(crate) fn interval_bytes(&self, intervals: (u32, u32)) -> ByteRange {
        let Index::Matroska(index) = &self.movie.index else { return ByteRange::default() };
        let at = |n: u32| self.plan.intervals.get(n as usize);
        // Whatever comes before the first keyframe belongs to the first interval: audio may begin long before.
        let start = match intervals.0 {
            0 => index.first_cluster.unwrap_or(0),
            n => at(n).map_or(0, |i| i.place),
        };
        let end = at(intervals.1).map_or(index.clusters_end, |i| {
            i.place.saturating_add(i.relative.map_or(0, |r| r.saturating_add(CLUSTER_HEAD_BYTES)))
        });
        ByteRange::new(start, end.min(index.clusters_end))
    }
}

/// What comes before a cluster's first payload byte, with the widest sizes.
const CLUSTER_HEAD_BYTES: u64 = 12;

/// Sorts ranges and merges those that are at most `gap` bytes apart.
pub(crate) fn merge(ranges: impl Iterator<Item = ByteRange>, gap: u64) -> Vec<ByteRange> {
    let mut sorted: Vec<ByteRange> = ranges.filter(|r| !r.is_empty()).collect();
    sorted.sort_unstable();
    let mut merged: Vec<ByteRange> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start() <= last.end().saturating_add(gap) => *last = last.hull(range),
            _ => merged.push(range),
        }
    }
    merged
}
