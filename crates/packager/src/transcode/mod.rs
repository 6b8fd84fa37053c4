//! What a transcoder makes of a film: which renditions, where their segments begin, and what becomes of the samples
//! that it hands back.
//!
//! Timing is the one plan's: a boundary of the cut video is a boundary of every rung, long GOPs have some more between,
//! and the times of pictures are the file's. Audio is encoded on the grid of 1,024 samples that begins at our time 0.
//! What encodes, how often and for whom is `media`'s.

mod aac;
mod ladder;
mod pack;
mod stretches;

use container::{Timescale, Track, TrackKind, codec::CodecConfig};

pub(crate) use aac::AAC_CHANNELS_MAX;
pub use aac::{AAC_FRAME, AacPlan, AacWindow, ENCODER_WARM_UP_FRAMES};
pub use ladder::Rung;
pub use pack::{aac_record, transcoded_init, transcoded_segment};
pub use stretches::Stretch;

use crate::{
    PackagerError, Planned, RenditionId, SegmentIndex, SegmentPlan,
    playlist::{Rate, track_rate},
};

/// Everything that could be transcoded of a title. Made from its plan when the title is opened by a server that has a
/// transcoder; nothing of it is kept.
#[derive(Clone, Debug, Default)]
pub struct Transcodes {
    /// The video's sizes, largest first; none without video.
    pub rungs: Vec<Rung>,
    /// The stretches of video that become segments; the same for every rung.
    pub stretches: Vec<Stretch>,
    /// By number of the audio track; `None` for one that has no samples.
    pub audio: Vec<Option<AacPlan>>,
    /// What saves nothing but bits on the way to the player is not offered: for a film that is still on its way here.
    pub only_needed: bool,
    segments: Vec<SegmentPlan>,
    /// Most segments a second in any stretch of time that a bit rate is measured over.
    starts_per_second: f64,
    clock: Option<Timescale>,
}

impl Transcodes {
    /// What can be made of a film.
    #[must_use]
    pub fn of(planned: &Planned) -> Self {
        let video =
            planned.video().and_then(|n| Some((planned.movie.tracks.get(n)?, planned.plan.track(n)?)));
        let mut all = Self::default();
        if let Some((track, plan)) = video {
            all.stretches = stretches::of(planned, plan);
            all.segments = all.stretches.iter().map(|s| s.segment).collect();
            all.starts_per_second = ladder::starts_per_second(&all.segments, plan.timescale);
            all.clock = Some(plan.timescale);
            all.rungs = ladder::of(track, plan);
        }
        let edges = aac::edges(planned, &all.stretches);
        all.audio = planned
            .of_kind(TrackKind::Audio)
            .map(|(n, track)| AacPlan::of(n, track, planned.plan.track(n)?, planned.plan.clock, &edges))
            .collect();
        all
    }

    /// Whether a rung is worth offering beside the source to a player that takes the source: H.264 made of H.264 has to be smaller and
    /// to need a thinner line, or players, which take the highest bit rate that the line carries, would have it encoded for nothing.
    /// Of other codecs every rung is: a player that says nothing may lack them.
    pub(crate) fn saves(&self, planned: &Planned, source: &Track, height: u16) -> bool {
        if !matches!(source.codec, CodecConfig::Avc(_)) {
            return true;
        }
        if self.only_needed {
            return false;
        }
        let Some(rung) = self.rungs.iter().find(|rung| rung.name == height) else { return false };
        let pixels = source.video.as_ref().map_or(0, |info| u64::from(info.width) * u64::from(info.height));
        let peak = track_rate(planned, RenditionId::Source).peak;
        u64::from(rung.width) * u64::from(rung.height) < pixels
            && rung.rate(self.starts_per_second).peak < peak
    }

    /// The rung of a rendition.
    #[must_use]
    pub fn rung(&self, rendition: RenditionId) -> Option<&Rung> {
        let RenditionId::H264(height) = rendition else { return None };
        self.rungs.iter().find(|r| r.name == height)
    }

    /// The audio of a rendition.
    #[must_use]
    pub fn aac(&self, rendition: RenditionId) -> Option<&AacPlan> {
        let RenditionId::Aac(n) = rendition else { return None };
        self.audio.get(n)?.as_ref()
    }

    /// The segments of a rendition, and the unit of their times.
    ///
    /// # Errors
    /// [`PackagerError::NoSuchRendition`].
    pub fn segments(&self, rendition: RenditionId) -> Result<(&[SegmentPlan], Timescale), PackagerError> {
        let missing = PackagerError::NoSuchRendition(rendition);
        if let Some(aac) = self.aac(rendition) {
            return Ok((&aac.segments, aac.timescale));
        }
        match (self.rung(rendition), self.clock) {
            (Some(_), Some(clock)) => Ok((&self.segments, clock)),
            _ => Err(missing),
        }
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
        let (segments, _) = self.segments(rendition)?;
        segments.get(index.as_usize()).ok_or(PackagerError::NoSuchSegment {
            rendition,
            index,
            count: segments.len(),
        })
    }

    /// Which segments of which cut rendition a segment is made from, half-open.
    #[must_use]
    pub fn fed_from(&self, rendition: RenditionId, index: SegmentIndex) -> Option<(RenditionId, (u32, u32))> {
        match rendition {
            RenditionId::H264(_) => Some((RenditionId::Source, self.stretches.get(index.as_usize())?.source)),
            RenditionId::Aac(n) => {
                let window = self.aac(rendition)?.window(index)?;
                Some((RenditionId::Audio(n), window.source))
            }
            _ => None,
        }
    }

    /// The bit rate of a rendition's segments, as the rate control bounds it.
    pub(crate) fn rate(&self, rendition: RenditionId) -> Rate {
        if let Some(rung) = self.rung(rendition) {
            return rung.rate(self.starts_per_second);
        }
        self.aac(rendition).map(AacPlan::rate).unwrap_or_default()
    }

    /// The same as peak and average, bits per second.
    #[must_use]
    pub fn bits_per_second(&self, rendition: RenditionId) -> (u64, u64) {
        let rate = self.rate(rendition);
        (rate.peak, rate.average)
    }

    /// Most bytes of payload that a segment becomes, and about as much as its samples take before.
    #[must_use]
    pub fn segment_bytes_max(&self, rendition: RenditionId, index: SegmentIndex) -> u64 {
        let Ok((_, timescale)) = self.segments(rendition) else { return 0 };
        let Ok(segment) = self.segment(rendition, index) else { return 0 };
        let bits = self.rate(rendition).peak;
        let ticks = u128::from(segment.duration);
        let bits = u128::from(bits) * ticks / u128::from(timescale.get());
        u64::try_from(bits / 8).unwrap_or(u64::MAX)
    }
}

/// RFC 6381 of the sound that is encoded.
pub const AAC_LC: &str = "mp4a.40.2";

/// Whether a codec is AAC already.
pub(crate) fn is_aac(codec: &CodecConfig) -> bool {
    matches!(codec, CodecConfig::Aac(_))
}
