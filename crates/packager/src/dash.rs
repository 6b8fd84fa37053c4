//! A static MPEG-DASH manifest (ISO/IEC 23009-1) over the same CMAF segments as the HLS playlists.

use std::fmt::Write;

use container::{Track, TrackKind};

use crate::{
    Delivery, PackagerError, Planned, RenditionId, SegmentFormat, SegmentPlan,
    playlist::{MasterOptions, track_rate},
};

/// The manifest; [`MasterOptions::format`] is not looked at, DASH is CMAF here.
///
/// # Errors
/// [`PackagerError::NotPlayable`] with the reasons, if the player can take none of the tracks.
pub fn manifest(planned: &Planned, options: &MasterOptions) -> Result<String, PackagerError> {
    let delivery = Delivery::decide(planned, SegmentFormat::Fmp4, options.codecs.as_ref());
    if !delivery.is_playable() {
        return Err(PackagerError::NotPlayable(delivery.reason()));
    }
    let mut sets = String::new();
    if let Some(track) = delivery.video.and_then(|n| planned.movie.tracks.get(n)) {
        sets.push_str(&media_set(planned, track, RenditionId::Source, true)?);
    }
    for (place, n) in delivery.audio.iter().enumerate() {
        if let Some((_, track)) = planned.of_kind(TrackKind::Audio).nth(*n) {
            sets.push_str(&media_set(planned, track, RenditionId::Audio(*n), place == 0)?);
        }
    }
    for n in &delivery.subtitles {
        if let Some((_, track)) = planned.of_kind(TrackKind::Subtitle).nth(*n) {
            sets.push_str(&text_set(track, *n));
        }
    }
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" profiles=\"urn:mpeg:dash:profile:isoff-live:2011,\
         urn:mpeg:dash:profile:cmaf:2019\" type=\"static\" mediaPresentationDuration=\"PT{:.3}S\" \
         minBufferTime=\"PT4S\">\n <Period id=\"0\" start=\"PT0S\">\n{sets} </Period>\n</MPD>\n",
        planned.plan.duration_seconds(),
    ))
}

fn media_set(
    planned: &Planned,
    track: &Track,
    rendition: RenditionId,
    main: bool,
) -> Result<String, PackagerError> {
    let (kind, mime) = match track.kind {
        TrackKind::Video => ("video", "video/mp4"),
        _ => ("audio", "audio/mp4"),
    };
    let segments = planned.segments(rendition)?;
    let starts_clean = if segments.iter().all(|s| s.independent) { " startWithSAP=\"1\"" } else { "" };
    let mut xml = format!(
        "  <AdaptationSet contentType=\"{kind}\" mimeType=\"{mime}\" segmentAlignment=\"true\"{starts_clean}{}>\n",
        language(track)
    );
    xml.push_str(&role(track, main));
    if let Some(name) = track.name.as_deref() {
        let _ = writeln!(xml, "   <Label>{}</Label>", escaped(name));
    }
    let _ = write!(
        xml,
        "   <Representation id=\"{rendition}\" bandwidth=\"{}\" codecs=\"{}\"",
        track_rate(planned, rendition).peak.max(1),
        escaped(&track.codec.rfc6381().unwrap_or_default())
    );
    if let Some(video) = &track.video {
        let _ = write!(xml, " width=\"{}\" height=\"{}\"", video.width, video.height);
        if let Some(aspect) = video.pixel_aspect.filter(|r| r.num > 0 && r.den > 0) {
            let _ = write!(xml, " sar=\"{}:{}\"", aspect.num, aspect.den);
        }
        if let Some(rate) = video.frame_rate.filter(|r| r.num > 0 && r.den > 0) {
            let slash = if rate.den == 1 { String::new() } else { format!("/{}", rate.den) };
            let _ = write!(xml, " frameRate=\"{}{slash}\"", rate.num);
        }
    }
    if let Some(audio) = track.audio.as_ref().filter(|_| track.kind == TrackKind::Audio) {
        let _ = write!(xml, " audioSamplingRate=\"{}\"", audio.sample_rate);
    }
    xml.push_str(">\n");
    if let Some(audio) = track.audio.as_ref().filter(|a| a.channels > 0) {
        let _ = writeln!(
            xml,
            "    <AudioChannelConfiguration schemeIdUri=\"urn:mpeg:dash:23003:3:audio_channel_configuration:2011\" \
             value=\"{}\"/>",
            audio.channels
        );
    }
    let _ = writeln!(
        xml,
        "    <SegmentTemplate timescale=\"{}\" initialization=\"{rendition}/init.mp4\" \
         media=\"{rendition}/$Number$.m4s\" startNumber=\"0\">\n     <SegmentTimeline>",
        track.timescale.get()
    );
    xml.push_str(&timeline(segments));
    xml.push_str(
        "     </SegmentTimeline>\n    </SegmentTemplate>\n   </Representation>\n  </AdaptationSet>\n",
    );
    Ok(xml)
}

/// `S` elements; equal durations in a row are one with `r`. The first segment covers from 0, as in the HLS playlist: at a
/// seek to 0 dash.js asks for nothing where no segment is said to be.
fn timeline(segments: &[SegmentPlan]) -> String {
    let mut spans: Vec<(u64, u64)> = segments.iter().map(|s| (s.start, s.duration)).collect();
    if let Some((start, duration)) = spans.first_mut() {
        *duration = duration.saturating_add(std::mem::take(start));
    }
    let mut xml = String::new();
    for run in spans.chunk_by(|a, b| a.1 == b.1) {
        let (start, duration) = run[0];
        let repeat = if run.len() > 1 { format!(" r=\"{}\"", run.len() - 1) } else { String::new() };
        let _ = writeln!(xml, "      <S t=\"{start}\" d=\"{duration}\"{repeat}/>");
    }
    xml
}

fn text_set(track: &Track, n: usize) -> String {
    format!(
        "  <AdaptationSet contentType=\"text\" mimeType=\"text/vtt\"{}>\n{}   <Representation \
         id=\"subtitles-{n}\" bandwidth=\"256\">\n    <BaseURL>subtitles/{n}.vtt</BaseURL>\n   \
         </Representation>\n  </AdaptationSet>\n",
        language(track),
        role(track, false),
    )
}

fn language(track: &Track) -> String {
    track.language.as_deref().map_or_else(String::new, |tag| format!(" lang=\"{}\"", escaped(tag)))
}

/// Roles of ISO/IEC 23009-1 §5.8.5.5.
fn role(track: &Track, main: bool) -> String {
    let flags = track.flags;
    let value = match track.kind {
        _ if flags.commentary => "commentary",
        TrackKind::Subtitle if flags.forced => "forced-subtitle",
        TrackKind::Subtitle if flags.hearing_impaired => "caption",
        TrackKind::Subtitle => "subtitle",
        TrackKind::Audio if flags.visual_impaired => "description",
        _ if main => "main",
        _ => "alternate",
    };
    format!("   <Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"{value}\"/>\n")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(256) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_durations_are_written_once() {
        let mut start = 0;
        let segments: Vec<SegmentPlan> = [10, 10, 10, 7]
            .map(|duration| {
                let segment = SegmentPlan {
                    start,
                    duration,
                    intervals: (0, 1),
                    samples: (0, 0),
                    payload_bytes: 0,
                    independent: true,
                };
                start += duration;
                segment
            })
            .into();
        assert_eq!(
            timeline(&segments).replace("      ", ""),
            "<S t=\"0\" d=\"10\" r=\"2\"/>\n<S t=\"30\" d=\"7\"/>\n"
        );
    }

    #[test]
    fn names_cannot_break_the_markup() {
        assert_eq!(escaped("a<b>&\"c\"\n"), "a&lt;b&gt;&amp;&quot;c&quot;");
    }
}
