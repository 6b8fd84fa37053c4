//! Cutting: which samples make one segment, and where their payload lies.
//!
//! MP4 answers from its tables without a read. Matroska is walked between two boundaries; where the payload passes
//! through our hands anyway it is kept.

use byte_source::ByteRange;
use bytes::Bytes;
use container::{ContainerError, Index, Pull, PullParser, Timescale};

use crate::{PackagerError, Planned, RenditionId, SegmentIndex, plan::merge, script::Script, ts};

mod matroska;
pub(crate) use matroska::clusters_of;
mod mp4;
mod rank;
pub(crate) use rank::{Found, rank};

/// One sample of a segment, in ticks of our time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutSample {
    /// Presentation time; may be before [`dts`](Self::dts) (signed composition offset).
    pub pts: i64,
    /// Decode time: by rank, the presentation times of the segment sorted.
    pub dts: i64,
    /// Ticks to the next sample's decode time, or to the segment's end.
    pub duration: u32,
    /// Decoding can start here.
    pub sync: bool,
    /// Where the payload lies in the file.
    pub bytes: ByteRange,
    /// The payload, where it was in hand; [`CutTrack::prefix`] still goes before it.
    pub data: Option<Bytes>,
}

/// The samples of one track in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutTrack {
    /// Index into [`Movie::tracks`](container::Movie::tracks).
    pub track: usize,
    /// Decode time of the first sample, ticks (`tfdt`).
    pub base_time: u64,
    /// Ticks per second.
    pub timescale: Timescale,
    /// In decode order.
    pub samples: Vec<CutSample>,
    /// Bytes that go before every payload (Matroska header stripping); usually empty.
    pub prefix: Bytes,
}

/// The samples of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutSegment {
    /// Of which rendition.
    pub rendition: RenditionId,
    /// Which segment.
    pub index: SegmentIndex,
    /// One track for CMAF; video, then the default audio for a muxed TS segment.
    pub tracks: Vec<CutTrack>,
}

impl CutSegment {
    /// Payload that is not in hand, merged into ranges to read. Empty when the segment can be muxed.
    #[must_use]
    pub fn missing(&self) -> Vec<ByteRange> {
        let samples = self.tracks.iter().flat_map(|t| &t.samples);
        merge(samples.filter(|s| s.data.is_none()).map(|s| s.bytes), MERGE_GAP_BYTES)
    }

    /// Takes the bytes of one of the [`missing`](Self::missing) ranges.
    pub fn fill(&mut self, range: ByteRange, bytes: &Bytes) {
        for sample in self.tracks.iter_mut().flat_map(|t| &mut t.samples) {
            if sample.data.is_some() || !range.covers(sample.bytes) {
                continue;
            }
            let from = sample.bytes.start().saturating_sub(range.start());
            let to = from.saturating_add(sample.bytes.len());
            if let (Ok(from), Ok(to)) = (usize::try_from(from), usize::try_from(to))
                && to <= bytes.len()
            {
                sample.data = Some(bytes.slice(from..to));
            }
        }
    }
}

/// Reading this much too much costs less than another read.
const MERGE_GAP_BYTES: u64 = 32 << 10;

/// Finds the samples of one segment. Gives one [`CutSegment`]; for MP4 without any [`Pull::Need`].
#[derive(Debug)]
pub struct Cutter {
    script: Script<CutSegment>,
}

impl Cutter {
    /// For CMAF: the rendition's track alone.
    ///
    /// # Errors
    /// [`PackagerError::NoSuchRendition`], [`PackagerError::NoSuchSegment`].
    pub fn new(
        planned: &Planned,
        rendition: RenditionId,
        index: SegmentIndex,
    ) -> Result<Self, PackagerError> {
        Self::with(planned, rendition, index, None)
    }

    /// For MPEG-TS: `source` comes with the default audio's samples of the same stretch.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn for_ts(
        planned: &Planned,
        rendition: RenditionId,
        index: SegmentIndex,
    ) -> Result<Self, PackagerError> {
        let beside = match rendition {
            RenditionId::Source if planned.video().is_some() => ts::muxed_audio(planned),
            _ => None,
        };
        Self::with(planned, rendition, index, beside)
    }

    fn with(
        planned: &Planned,
        rendition: RenditionId,
        index: SegmentIndex,
        beside: Option<usize>,
    ) -> Result<Self, PackagerError> {
        let segment = *planned.segment(rendition, index)?;
        let mut around = segment.intervals;
        if beside.is_some() && index.as_usize() + 1 == planned.segments(rendition)?.len() {
            // What is muxed in may go on when the pictures are over.
            around.1 = u32::try_from(planned.plan.intervals.len()).unwrap_or(u32::MAX);
        }
        let beside = beside.map(|track| (track, around));
        let track = planned.rendition_track(rendition)?;
        let planned = planned.clone();
        let script = Script::new(move |ask| async move {
            let tracks = match &planned.movie.index {
                Index::Mp4(_) => {
                    let own = mp4::own(&planned, rendition, track, &segment);
                    let beside = beside.and_then(|(t, around)| mp4::beside(&planned, t, around));
                    own.into_iter().chain(beside).collect()
                }
                Index::Matroska(_) => {
                    matroska::cut(&ask, &planned, rendition, track, &segment, beside).await?
                }
            };
            Ok(CutSegment { rendition, index, tracks })
        });
        Ok(Self { script })
    }
}

impl PullParser for Cutter {
    type Item = CutSegment;

    fn poll(&mut self) -> Result<Pull<CutSegment>, ContainerError> {
        self.script.poll()
    }

    fn feed(&mut self, range: ByteRange, bytes: Bytes) {
        self.script.feed(range, bytes);
    }
}
