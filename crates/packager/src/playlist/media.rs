//! Media playlists: every segment with its true duration.

use std::fmt::Write;

use container::{Timescale, TrackKind};

use super::query;
use crate::{PackagerError, Planned, RenditionId, SegmentFormat, SegmentPlan, Transcodes};

/// The media playlist of a rendition ([`RenditionId::IFrames`]: `EXT-X-I-FRAMES-ONLY`).
///
/// Durations come from the samples, and add up to the end of the last one. The first runs from our time 0: a track
/// that begins late begins late in its first segment.
///
/// # Errors
/// [`PackagerError::NoSuchRendition`].
pub fn media(
    planned: &Planned,
    rendition: RenditionId,
    format: SegmentFormat,
) -> Result<String, PackagerError> {
    let track = planned.rendition_track(rendition)?;
    let segments = planned.segments(rendition)?;
    let timescale = planned.plan.track(track).map_or(planned.plan.clock, |t| t.timescale);
    let kind = planned.movie.tracks.get(track).map(|t| t.kind);
    let subtitles = kind == Some(TrackKind::Subtitle);
    let iframes = rendition == RenditionId::IFrames;
    Ok(list(segments, timescale, subtitles, iframes, format))
}

/// The media playlist of a transcoded rendition.
///
/// # Errors
/// [`PackagerError::NoSuchRendition`]; [`PackagerError::NotPlayable`] for MPEG-TS, which is only cut.
pub fn transcoded_media(
    transcodes: &Transcodes,
    rendition: RenditionId,
    format: SegmentFormat,
) -> Result<String, PackagerError> {
    let (segments, timescale) = transcodes.segments(rendition)?;
    if format == SegmentFormat::Ts {
        return Err(PackagerError::NotPlayable(format!("{rendition} is made as fMP4 only")));
    }
    Ok(list(segments, timescale, false, false, format))
}

fn list(
    segments: &[SegmentPlan],
    timescale: Timescale,
    subtitles: bool,
    iframes: bool,
    format: SegmentFormat,
) -> String {
    let lengths = lengths_us(segments, timescale);
    let target = lengths.iter().max().map_or(1, |us| us.div_ceil(1_000_000)).max(1);

    let version = match format {
        SegmentFormat::Fmp4 => 7,
        SegmentFormat::Ts => 4,
    };
    let mut text = format!("#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{target}\n");
    text.push_str("#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n");
    if iframes {
        text.push_str("#EXT-X-I-FRAMES-ONLY\n");
    }
    if segments.iter().all(|s| s.independent) {
        text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    if format == SegmentFormat::Fmp4 && !subtitles {
        text.push_str("#EXT-X-MAP:URI=\"init.mp4\"\n");
    }
    let (extension, query) = if subtitles { ("vtt", query(format)) } else { (format.extension(), "") };
    text.reserve(lengths.len() * 32);
    for (n, us) in lengths.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = writeln!(text, "#EXTINF:{}.{:06},\n{n}.{extension}{query}", us / 1_000_000, us % 1_000_000);
    }
    text.push_str("#EXT-X-ENDLIST\n");
    text
}

/// Durations in microseconds: differences of rounded edges, so that rounding does not add up.
fn lengths_us(segments: &[SegmentPlan], timescale: Timescale) -> Vec<u64> {
    let us = |ticks: u64| {
        let ticks = i64::try_from(ticks).unwrap_or(i64::MAX);
        u64::try_from(timescale.rescale(ticks, Timescale::MICROS)).unwrap_or(0)
    };
    let mut from = 0;
    segments
        .iter()
        .map(|s| {
            let to = us(s.start.saturating_add(s.duration));
            let length = to.saturating_sub(from);
            from = to;
            length
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_does_not_add_up() {
        // 3 frames of 1001/24000 s are 0.125125 s, 1000 such segments 125.125 s.
        let segment = |n: u64| SegmentPlan {
            start: n * 7,
            duration: 7,
            intervals: (0, 1),
            samples: (0, 0),
            payload_bytes: 0,
            independent: true,
        };
        let segments: Vec<_> = (0..3_000).map(segment).collect();
        let lengths = lengths_us(&segments, Timescale::new(30).unwrap());
        assert_eq!(lengths.iter().sum::<u64>(), 700_000_000);
        assert!(lengths.iter().all(|us| us.abs_diff(233_333) <= 1));
    }

    #[test]
    fn the_first_duration_runs_from_zero() {
        let late = SegmentPlan {
            start: 2_000,
            duration: 3_000,
            intervals: (0, 1),
            samples: (0, 0),
            payload_bytes: 0,
            independent: true,
        };
        assert_eq!(lengths_us(&[late], Timescale::MILLIS), [5_000_000]);
    }
}
