//! MPEG-TS segments for old players: video with the default audio, or one audio alone.
//!
//! Presentation times are our time in 90 kHz plus [`TS_OFFSET`], so that decode times before zero stay positive.

use bytes::Bytes;
use container::{Sample, Timescale, Track, TrackKind, write::mpegts::TsWriter};

use crate::{CutSegment, CutTrack, PackagerError, Planned, plan::RATES};

/// Added to every time, 90 kHz: ten seconds, as others do it.
pub const TS_OFFSET: i64 = 900_000;

/// Pictures a decoder may hold back where the bitstream does not say.
const REORDER_USUAL: u32 = 2;
/// Time of a picture where the file does not say, 90 kHz: 24 a second.
const PICTURE_USUAL: i64 = 3_750;
/// Time of a picture at most, for the delay; slower ones do not come with much reordering. 90 kHz: a tenth of a second.
const PICTURE_MAX: i64 = 9_000;
/// The delay at most, 90 kHz. hls.js takes a first picture whose two times are 15,000 apart for one that follows what it
/// played before, and shows it in the wrong place.
const DELAY_MAX: i64 = 14_000;

/// Muxes a segment that was cut by [`Cutter::for_ts`](crate::Cutter::for_ts) and has all its payload.
///
/// # Errors
/// [`PackagerError::Incomplete`] if payload is missing; [`PackagerError::NotPlayable`] if the codec does not go into
/// MPEG-TS.
pub fn ts_segment(planned: &Planned, segment: &CutSegment) -> Result<Bytes, PackagerError> {
    let mut tracks = Vec::with_capacity(segment.tracks.len());
    let mut samples = Vec::with_capacity(segment.tracks.len());
    for cut in &segment.tracks {
        let track =
            planned.movie.tracks.get(cut.track).ok_or(PackagerError::NoSuchRendition(segment.rendition))?;
        let muxed = samples_90k(reorder_delay(track), cut).ok_or_else(|| PackagerError::Incomplete {
            rendition: segment.rendition,
            index: segment.index,
            what: format!("payload of track {} is missing", cut.track),
        })?;
        tracks.push(track);
        samples.push(muxed);
    }
    let samples: Vec<&[Sample]> = samples.iter().map(Vec::as_slice).collect();
    let not_carried = |e: container::ContainerError| PackagerError::NotPlayable(e.to_string());
    TsWriter::new(&tracks).and_then(|writer| writer.write_segment(&samples)).map_err(not_carried)
}

/// The audio track that is muxed with the video: the default one if MPEG-TS can carry it, else the first that it can.
pub(crate) fn muxed_audio(planned: &Planned) -> Option<usize> {
    let audio: Vec<usize> = planned.of_kind(TrackKind::Audio).map(|(n, _)| n).collect();
    let default = planned.default_audio().and_then(|n| audio.get(n).copied());
    let fits = |n: &usize| {
        planned.plan.track(*n).is_some()
            && planned.movie.tracks.get(*n).is_some_and(|t| TsWriter::new(&[t]).is_ok())
    };
    default.into_iter().chain(audio).find(fits)
}

/// How long a decoder waits before it shows the first picture, 90 kHz: constant over the title. Where pictures are not
/// known to be equally long, enough for long ones.
fn reorder_delay(track: &Track) -> i64 {
    if track.kind != TrackKind::Video {
        return 0;
    }
    let rate = track.video.as_ref().and_then(|v| v.frame_rate).filter(|r| r.num > 0);
    let known = rate.is_some_and(|r| RATES.iter().any(|(num, den)| (r.num, r.den) == (*num, *den)));
    let picture = rate.map_or(PICTURE_USUAL, |r| {
        (i64::from(Timescale::MPEG.get()) * i64::from(r.den)).div_euclid(i64::from(r.num)) + 1
    });
    let picture = if known { picture.min(PICTURE_MAX) } else { PICTURE_MAX };
    (i64::from(track.codec.reorder_frames().unwrap_or(REORDER_USUAL)) * picture).min(DELAY_MAX)
}

/// A track's samples in 90 kHz; `None` if payload is missing. Decode times are the ranks less the reorder delay; earlier
/// where pictures are missing or uneven, so that they rise and none is after its presentation.
fn samples_90k(delay: i64, cut: &CutTrack) -> Option<Vec<Sample>> {
    let at = |ticks: i64| cut.timescale.rescale(ticks, Timescale::MPEG).saturating_add(TS_OFFSET);
    let mut most = i64::MAX;
    let mut samples = Vec::with_capacity(cut.samples.len());
    for sample in cut.samples.iter().rev() {
        let payload = sample.data.clone()?;
        let data = if cut.prefix.is_empty() { payload } else { [&*cut.prefix, &*payload].concat().into() };
        let pts = at(sample.pts);
        let dts = at(sample.dts).saturating_sub(delay).min(pts).min(most);
        most = dts.saturating_sub(1);
        let end = at(sample.dts.saturating_add(i64::from(sample.duration)));
        let duration = u32::try_from(end.saturating_sub(at(sample.dts))).unwrap_or(u32::MAX);
        samples.push(Sample { pts, dts, duration, sync: sample.sync, data });
    }
    samples.reverse();
    Some(samples)
}
