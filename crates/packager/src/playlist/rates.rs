//! Bit rates of renditions: the peak of any segment, and the average.

use container::Index;

use crate::{Planned, RenditionId};

/// Bits per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Of the densest segment.
    pub(crate) peak: u64,
    /// Over everything.
    pub(crate) average: u64,
}

impl Rate {
    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            peak: self.peak.saturating_add(other.peak),
            average: self.average.saturating_add(other.average),
        }
    }
}

/// Header of a CMAF segment without its sample table.
const HEADER_BYTES: u64 = 150;
/// Bytes of the sample table for a sample: size and composition offset.
const SAMPLE_HEADER_BYTES: u64 = 8;

/// The rate of a rendition's segments. Exact for MP4 but for a few header bytes; for Matroska from where its clusters
/// lie, which counts interleaved tracks too.
pub(crate) fn track_rate(planned: &Planned, rendition: RenditionId) -> Rate {
    let (Ok(track), Ok(segments)) = (planned.rendition_track(rendition), planned.segments(rendition)) else {
        return Rate::default();
    };
    let timescale = planned.plan.track(track).map_or(planned.plan.clock, |t| t.timescale);
    let (mut peak, mut bytes, mut ticks) = (0, 0u64, 0u64);
    for segment in segments {
        let samples = u64::from(segment.samples.1.saturating_sub(segment.samples.0));
        let size = segment.payload_bytes + HEADER_BYTES + samples * SAMPLE_HEADER_BYTES;
        peak = peak.max(bits(size, segment.duration, timescale.get()));
        bytes = bytes.saturating_add(size);
        ticks = ticks.saturating_add(segment.duration);
    }
    let average = bits(bytes, ticks, timescale.get());
    Rate { peak: peak.max(average), average }
}

/// The rate of the I-frame rendition: the first picture of each segment over the segment's time.
pub(crate) fn iframe_rate(planned: &Planned) -> Rate {
    let Some(track) = planned.video() else { return Rate::default() };
    let timescale = planned.plan.clock.get();
    let source = track_rate(planned, RenditionId::Source);
    if !matches!(planned.movie.index, Index::Mp4(_)) {
        // The pictures' sizes are not known without reading; a first picture is rarely a third of its segment.
        return Rate { peak: source.peak / 3, average: source.average / 4 };
    }
    let segments = planned.segments(RenditionId::IFrames).unwrap_or_default();
    let Some(view) = planned.table(track) else { return Rate::default() };
    let rates =
        segments.iter().map(|s| bits(view.bytes(s.samples.0).len() + HEADER_BYTES, s.duration, timescale));
    let peak = rates.clone().max().unwrap_or(0);
    let average = rates.sum::<u64>() / u64::try_from(segments.len().max(1)).unwrap_or(1);
    Rate { peak, average }
}

fn bits(bytes: u64, ticks: u64, timescale: u32) -> u64 {
    let ticks = u128::from(ticks.max(1));
    u64::try_from((u128::from(bytes) * 8 * u128::from(timescale)).div_ceil(ticks)).unwrap_or(u64::MAX)
}
