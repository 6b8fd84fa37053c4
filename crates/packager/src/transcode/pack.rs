//! What an encoder hands back, as a segment: checked, given decode times, and laid out as any cut segment is.

use bytes::Bytes;
use container::{
    Sample, Timescale, Track,
    codec::{AacConfig, AvcConfig, CodecConfig},
};

use super::{AAC_FRAME, Transcodes};
use crate::{
    CutSegment, CutTrack, PackagerError, Planned, RenditionId, SegmentIndex,
    cut::{Found, rank},
    layout,
};

/// The init segment of a transcoded rendition (`ftyp`, `moov`). `record` is what the encoder wrote: an
/// `AVCDecoderConfigurationRecord` or an `AudioSpecificConfig`.
///
/// # Errors
/// [`PackagerError::NoSuchRendition`]; [`PackagerError::Container`] for a record that is none.
pub fn transcoded_init(
    planned: &Planned,
    transcodes: &Transcodes,
    rendition: RenditionId,
    record: &Bytes,
) -> Result<Bytes, PackagerError> {
    let missing = || PackagerError::NoSuchRendition(rendition);
    let (_, timescale) = transcodes.segments(rendition)?;
    let track = |n: Option<usize>| n.and_then(|n| planned.movie.tracks.get(n)).cloned().ok_or_else(missing);
    let track = if let Some(rung) = transcodes.rung(rendition) {
        let track = track(planned.video())?;
        let mut video = track.video.clone().unwrap_or_default();
        (video.width, video.height) = (rung.width, rung.height);
        (video.pixel_aspect, video.rotation, video.color, video.interlaced) = (None, 0, None, false);
        Track {
            codec: CodecConfig::Avc(AvcConfig::parse(record)?),
            video: Some(video),
            timescale,
            strip_prefix: Bytes::new(),
            ..track
        }
    } else {
        let aac = transcodes.aac(rendition).ok_or_else(missing)?;
        let track = track(Some(aac.track))?;
        let mut audio = track.audio.clone().unwrap_or_default();
        (audio.sample_rate, audio.channels, audio.bit_depth) = (timescale.get(), aac.channels, 16);
        Track {
            codec: CodecConfig::Aac(AacConfig::parse(record)?),
            audio: Some(audio),
            timescale,
            codec_delay_ns: 0,
            strip_prefix: Bytes::new(),
            ..track
        }
    };
    layout::init_of(&track).map_err(|e| PackagerError::NotPlayable(e.to_string()))
}

/// The samples of a transcoded segment as an encoder hands them back, in decode order: ready for
/// [`cmaf_layout`](crate::cmaf_layout). Presentation times stay what they are; decode times are those that a cut segment
/// would have.
///
/// # Errors
/// [`PackagerError::Incomplete`] if they are not what was asked for: no picture, the first one no IDR, one from
/// another segment, a frame of sound missing or twice.
pub fn transcoded_segment(
    transcodes: &Transcodes,
    rendition: RenditionId,
    index: SegmentIndex,
    samples: Vec<Sample>,
) -> Result<CutSegment, PackagerError> {
    let segment = *transcodes.segment(rendition, index)?;
    let (_, timescale) = transcodes.segments(rendition)?;
    let wrong = |what: String| PackagerError::Incomplete { rendition, index, what };
    let start = i64::try_from(segment.start).unwrap_or(i64::MAX);
    let end = start.saturating_add(i64::try_from(segment.duration).unwrap_or(i64::MAX));
    check(rendition, &samples, start..end).map_err(wrong)?;
    let found = samples
        .into_iter()
        .map(|s| {
            // Nothing of it lies in a file; the length is looked at.
            let bytes = byte_source::ByteRange::new(0, s.data.len() as u64);
            Found { pts: s.pts, sync: s.sync, bytes, data: Some(s.data) }
        })
        .collect();
    let track = CutTrack {
        track: transcodes.aac(rendition).map_or(0, |a| a.track),
        base_time: segment.start,
        timescale,
        samples: rank(found, start, end),
        prefix: Bytes::new(),
    };
    Ok(CutSegment { rendition, index, tracks: vec![track] })
}

fn check(rendition: RenditionId, samples: &[Sample], span: std::ops::Range<i64>) -> Result<(), String> {
    let first = samples.first().ok_or_else(|| "the encoder made nothing of it".to_owned())?;
    if let Some(outside) = samples.iter().find(|s| !span.contains(&s.pts)) {
        return Err(format!("a sample of tick {} is not within {span:?}", outside.pts));
    }
    if matches!(rendition, RenditionId::H264(_)) {
        let mut shown: Vec<i64> = samples.iter().map(|s| s.pts).collect();
        shown.sort_unstable();
        if let Some(twice) = shown.windows(2).find(|p| p[0] == p[1]) {
            return Err(format!("two pictures of tick {}", twice[0]));
        }
        // The first in decode order has to be the first shown, too: nothing may lead it.
        if !first.sync || shown.first() != Some(&first.pts) {
            return Err(format!("it does not begin with an IDR picture but with tick {}", first.pts));
        }
        return Ok(());
    }
    let expected = (span.start..span.end).step_by(AAC_FRAME as usize);
    let count = expected.clone().count();
    if samples.len() != count {
        return Err(format!("{} frames of sound instead of {count}", samples.len()));
    }
    match samples.iter().zip(expected).find(|(s, at)| s.pts != *at) {
        Some((sample, at)) => Err(format!("a frame of sound of tick {} instead of {at}", sample.pts)),
        None => Ok(()),
    }
}

/// The `AudioSpecificConfig` of what a transcoded audio rendition is encoded to: AAC-LC.
#[must_use]
pub fn aac_record(timescale: Timescale, channels: u16) -> Option<Bytes> {
    AacConfig::from_parts(2, timescale.get(), channels, None).map(|config| config.record())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(pictures: &[(i64, bool)]) -> Vec<Sample> {
        pictures
            .iter()
            .map(|(pts, sync)| Sample {
                pts: *pts,
                dts: 0,
                duration: 0,
                sync: *sync,
                data: Bytes::from_static(b"x"),
            })
            .collect()
    }

    #[test]
    fn only_what_was_asked_for_is_taken() {
        let video = |pictures: &[(i64, bool)]| check(RenditionId::H264(720), &samples(pictures), 0..40);
        assert_eq!(video(&[(0, true), (30, false), (10, false), (20, false)]), Ok(()));
        for wrong in [
            &[] as &[(i64, bool)],
            &[(0, false), (10, false)],
            &[(10, true), (0, false)],
            &[(0, true), (10, false), (10, false)],
            &[(0, true), (40, false)],
            &[(-1, true), (10, false)],
        ] {
            assert!(video(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn sound_is_every_frame_of_the_grid() {
        let sound = |frames: &[(i64, bool)]| check(RenditionId::Aac(0), &samples(frames), 2_048..5_120);
        assert_eq!(sound(&[(2_048, true), (3_072, true), (4_096, true)]), Ok(()));
        for wrong in [
            [(2_048, true), (3_072, true)].as_slice(),
            &[(2_048, true), (4_096, true), (3_072, true)],
            &[(1_024, true), (2_048, true), (3_072, true)],
        ] {
            assert!(sound(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn aac_has_its_two_bytes() {
        let record = |rate, channels| aac_record(Timescale::new(rate).unwrap(), channels).unwrap();
        assert_eq!(record(48_000, 2)[..2], [0x11, 0x90]);
        assert_eq!(record(44_100, 1)[..2], [0x12, 0x08]);
    }
}
