//! The samples of a stretch of one track, read as they are asked for.

use std::{collections::VecDeque, fmt, ops::Range};

use bytes::Bytes;
use container::Sample;
use packager::{CutSample, CutSegment, CutTrack, Cutter, RenditionId, SegmentIndex};

use crate::{
    MediaError,
    limits::{FEED_BATCH_BYTES, FEED_BATCH_SAMPLES},
    making::{Material, driven, read, told},
};

/// The samples of a stretch of one track in decode order, a batch at a time: payload is read when its batch is asked
/// for, so that a GOP of a minute takes no more memory than one of a second.
pub(crate) struct SampleFeed {
    material: Material,
    /// The rendition whose cut segments are fed.
    rendition: RenditionId,
    segments: Range<u32>,
    keep: Keep,
    /// What is left of the segment being fed, without its samples.
    track: Option<CutTrack>,
    left: VecDeque<CutSample>,
}

/// Which samples of the cut segments are wanted; ticks of the track in our time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All up to the last one that is shown before this.
    ShownBefore(i64),
    /// Those that sound within.
    Within(Range<i64>),
}

impl SampleFeed {
    pub(crate) fn new(material: Material, rendition: RenditionId, segments: Range<u32>, keep: Keep) -> Self {
        Self { material, rendition, segments, keep, track: None, left: VecDeque::new() }
    }

    /// The next samples, at least one; `None` after the last.
    ///
    /// # Errors
    /// Why they cannot be had; nothing comes after that.
    ///
    /// # Cancel safety
    /// Not safe: samples may be lost.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Sample>>, MediaError> {
        while self.left.is_empty() {
            let Some(n) = self.segments.next() else { return Ok(None) };
            self.cut(n).await?;
        }
        self.batch().await.map(Some)
    }

    async fn cut(&mut self, n: u32) -> Result<(), MediaError> {
        let title = &self.material.title;
        let mut cutter = Cutter::new(&self.material.planned, self.rendition, SegmentIndex::new(n))
            .map_err(|e| told(title, e))?;
        let mut cut = driven(title, &mut cutter, &*self.material.source).await?;
        let Some(mut track) = cut.tracks.pop() else { return Ok(()) };
        let mut samples = std::mem::take(&mut track.samples);
        match &self.keep {
            Keep::ShownBefore(end) if self.segments.is_empty() => {
                let last = samples.iter().rposition(|s| s.pts < *end).map_or(0, |at| at + 1);
                samples.truncate(last);
            }
            Keep::ShownBefore(_) => {}
            Keep::Within(span) => {
                samples
                    .retain(|s| s.pts < span.end && s.pts.saturating_add(i64::from(s.duration)) > span.start);
            }
        }
        self.left = samples.into();
        self.track = Some(track);
        Ok(())
    }

    async fn batch(&mut self) -> Result<Vec<Sample>, MediaError> {
        let title = &self.material.title;
        let mut bytes = 0u64;
        let mut samples = Vec::new();
        while let Some(sample) = self.left.front() {
            bytes = bytes.saturating_add(sample.bytes.len());
            if !samples.is_empty() && (bytes > FEED_BATCH_BYTES || samples.len() >= FEED_BATCH_SAMPLES) {
                break;
            }
            samples.extend(self.left.pop_front());
        }
        let Some(track) = &self.track else { return Ok(Vec::new()) };
        let track = CutTrack { samples, ..track.clone() };
        let mut cut =
            CutSegment { rendition: self.rendition, index: SegmentIndex::new(0), tracks: vec![track] };
        for range in cut.missing() {
            let bytes = read(title, &*self.material.source, range).await?;
            cut.fill(range, &bytes);
        }
        let lost = || MediaError::Internal {
            title: title.to_string(),
            detail: "a sample's payload was not read".to_owned(),
        };
        let track = cut.tracks.pop().ok_or_else(lost)?;
        let prefix = track.prefix;
        let whole = |data: Bytes| if prefix.is_empty() { data } else { [&*prefix, &*data].concat().into() };
        track
            .samples
            .into_iter()
            .map(|s| {
                let data = s.data.map(whole).ok_or_else(lost)?;
                Ok(Sample { pts: s.pts, dts: s.dts, duration: s.duration, sync: s.sync, data })
            })
            .collect()
    }
}

impl fmt::Debug for SampleFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SampleFeed")
            .field("rendition", &self.rendition)
            .field("segments", &self.segments)
            .field("keep", &self.keep)
            .finish_non_exhaustive()
    }
}
