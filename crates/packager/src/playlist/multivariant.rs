//! The multivariant playlist: a variant for each audio codec, since one codec that a player lacks drops a variant.

use container::{Track, TrackKind, VideoInfo};

use super::{
    MasterOptions,
    attributes::Attributes,
    query,
    rates::{Rate, iframe_rate, track_rate},
};
use crate::{Delivery, PackagerError, Planned, RenditionId, SegmentFormat, ts};

/// Audio tracks of one codec string's family.
struct Group {
    id: String,
    codec: String,
    /// `n` of `audio-{n}`.
    tracks: Vec<usize>,
}

/// The multivariant playlist.
///
/// # Errors
/// [`PackagerError::NotPlayable`] with the reasons, if the player can take none of the tracks.
pub fn multivariant(planned: &Planned, options: &MasterOptions) -> Result<String, PackagerError> {
    let delivery = Delivery::decide(planned, options.format, options.codecs.as_ref());
    if !delivery.is_playable() {
        return Err(PackagerError::NotPlayable(delivery.reason()));
    }
    let format = options.format;
    let version = if format == SegmentFormat::Ts { 4 } else { 7 };
    let mut text = format!("#EXTM3U\n#EXT-X-VERSION:{version}\n");
    if planned.plan.independent() {
        text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    let groups = groups(planned, &delivery);
    for group in &groups {
        text.push_str(&audio_group(planned, group, format, delivery.video.is_some()));
    }
    text.push_str(&subtitle_group(planned, &delivery, format));
    if groups.is_empty() {
        text.push_str(&variant(planned, &delivery, None, format));
    }
    for group in &groups {
        text.push_str(&variant(planned, &delivery, Some(group), format));
    }
    text.push_str(&iframes(planned, &delivery, format));
    Ok(text)
}

fn groups(planned: &Planned, delivery: &Delivery) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for n in &delivery.audio {
        let Some(track) = audio_track(planned, *n) else { continue };
        let name = track.codec.name();
        match groups.iter_mut().find(|g| g.id == name) {
            Some(group) => group.tracks.push(*n),
            None => groups.push(Group {
                id: name.to_owned(),
                codec: track.codec.rfc6381().unwrap_or_default(),
                tracks: vec![*n],
            }),
        }
    }
    groups
}

fn audio_track(planned: &Planned, n: usize) -> Option<&Track> {
    planned.of_kind(TrackKind::Audio).nth(n).map(|(_, t)| t)
}

fn audio_group(planned: &Planned, group: &Group, format: SegmentFormat, has_video: bool) -> String {
    let muxed = (format == SegmentFormat::Ts && has_video).then(|| ts::muxed_audio(planned)).flatten();
    let mut names = Names::default();
    let mut lines = String::new();
    for (place, n) in group.tracks.iter().enumerate() {
        let Some((index, track)) = planned.of_kind(TrackKind::Audio).nth(*n) else { continue };
        let name = names.unique(track, &format!("Audio {}", n + 1));
        let uri = format!("audio-{n}/stream.m3u8{}", query(format));
        let channels = track.audio.as_ref().map(|a| a.channels.to_string()).filter(|c| c != "0");
        let described = track.flags.visual_impaired.then_some("public.accessibility.describes-video");
        lines.push_str(
            &Attributes::of("#EXT-X-MEDIA")
                .plain("TYPE", "AUDIO")
                .quoted("GROUP-ID", &group.id)
                .quoted("NAME", &name)
                .maybe("LANGUAGE", track.language.as_deref())
                .flag("DEFAULT", place == 0)
                .flag("AUTOSELECT", !track.flags.commentary || place == 0)
                .maybe("CHARACTERISTICS", described)
                .maybe("CHANNELS", channels.as_deref())
                // What is muxed into the variant's own segments has no playlist of its own (§4.3.4.2.1).
                .maybe("URI", (muxed != Some(index)).then_some(uri.as_str()))
                .line(),
        );
    }
    lines
}

const SUBTITLE_GROUP: &str = "subtitles";

fn subtitle_group(planned: &Planned, delivery: &Delivery, format: SegmentFormat) -> String {
    let mut names = Names::default();
    let mut lines = String::new();
    let mut default_given = false;
    for n in &delivery.subtitles {
        let Some((_, track)) = planned.of_kind(TrackKind::Subtitle).nth(*n) else { continue };
        let name = names.unique(track, &format!("Subtitles {}", n + 1));
        let default = track.flags.default && !std::mem::replace(&mut default_given, track.flags.default);
        let for_deaf = track.flags.hearing_impaired.then_some(
            "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound",
        );
        lines.push_str(
            &Attributes::of("#EXT-X-MEDIA")
                .plain("TYPE", "SUBTITLES")
                .quoted("GROUP-ID", SUBTITLE_GROUP)
                .quoted("NAME", &name)
                .maybe("LANGUAGE", track.language.as_deref())
                .flag("DEFAULT", default)
                .flag("AUTOSELECT", default || track.flags.forced || !track.flags.commentary)
                .flag("FORCED", track.flags.forced)
                .maybe("CHARACTERISTICS", for_deaf)
                .quoted("URI", &format!("subtitles-{n}/stream.m3u8{}", query(format)))
                .line(),
        );
    }
    lines
}

fn variant(planned: &Planned, delivery: &Delivery, group: Option<&Group>, format: SegmentFormat) -> String {
    let video = delivery.video.and_then(|n| planned.movie.tracks.get(n));
    let audio = group.map(|g| {
        let rates = g.tracks.iter().map(|n| track_rate(planned, RenditionId::Audio(*n)));
        rates.max_by_key(|r| r.peak).unwrap_or_default()
    });
    let rate = match (video, audio) {
        (Some(_), audio) => track_rate(planned, RenditionId::Source).plus(audio.unwrap_or_default()),
        (None, audio) => audio.unwrap_or_default(),
    };
    let codecs: Vec<String> = video
        .and_then(|t| t.codec.rfc6381())
        .into_iter()
        .chain(group.map(|g| g.codec.clone()))
        .filter(|c| !c.is_empty())
        .collect();
    let path = match (video, group.and_then(|g| g.tracks.first())) {
        (None, Some(n)) => format!("audio-{n}"),
        _ => "source".to_owned(),
    };
    let mut line = with_rate(Attributes::of("#EXT-X-STREAM-INF"), rate).quoted("CODECS", &codecs.join(","));
    if let Some(info) = video.and_then(|t| t.video.as_ref()) {
        line = picture(line, info);
    }
    line = line.maybe("AUDIO", group.map(|g| g.id.as_str()));
    line = line.maybe("SUBTITLES", (!delivery.subtitles.is_empty()).then_some(SUBTITLE_GROUP));
    format!("{}{path}/stream.m3u8{}\n", line.line(), query(format))
}

fn iframes(planned: &Planned, delivery: &Delivery, format: SegmentFormat) -> String {
    let Some(track) = delivery.video.and_then(|n| planned.movie.tracks.get(n)) else { return String::new() };
    let codec = track.codec.rfc6381().unwrap_or_default();
    let mut line = with_rate(Attributes::of("#EXT-X-I-FRAME-STREAM-INF"), iframe_rate(planned));
    line = line.quoted("CODECS", &codec);
    if let Some(info) = &track.video {
        line = resolution(line, info);
        line = line.plain("VIDEO-RANGE", range(info));
    }
    line.quoted("URI", &format!("iframes/stream.m3u8{}", query(format))).line()
}

fn with_rate(line: Attributes, rate: Rate) -> Attributes {
    line.plain("BANDWIDTH", rate.peak.max(1))
        .plain("AVERAGE-BANDWIDTH", rate.average.clamp(1, rate.peak.max(1)))
}

fn picture(line: Attributes, info: &VideoInfo) -> Attributes {
    let line = resolution(line, info);
    let line = match info.frame_rate.filter(|r| r.num > 0 && r.den > 0) {
        Some(rate) => {
            line.plain("FRAME-RATE", format_args!("{:.3}", f64::from(rate.num) / f64::from(rate.den)))
        }
        None => line,
    };
    line.plain("VIDEO-RANGE", range(info))
}

/// As shown: pixels made square, rotation applied.
fn resolution(line: Attributes, info: &VideoInfo) -> Attributes {
    if info.width == 0 || info.height == 0 {
        return line;
    }
    let aspect = info.pixel_aspect.filter(|r| r.num > 0 && r.den > 0);
    let width = aspect.map_or(u64::from(info.width), |r| {
        (u64::from(info.width) * u64::from(r.num) + u64::from(r.den) / 2) / u64::from(r.den)
    });
    let height = u64::from(info.height);
    match info.rotation {
        90 | 270 => line.plain("RESOLUTION", format_args!("{height}x{width}")),
        _ => line.plain("RESOLUTION", format_args!("{width}x{height}")),
    }
}

fn range(info: &VideoInfo) -> &'static str {
    match info.color.map(|c| c.transfer) {
        Some(16) => "PQ",
        Some(18) => "HLG",
        _ => "SDR",
    }
}

/// Names within a group, each once, as RFC 8216 §4.3.4.1.1 wants them.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn unique(&mut self, track: &Track, otherwise: &str) -> String {
        let stated = track.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
        let base = stated.or(track.language.as_deref()).unwrap_or(otherwise).replace('"', "");
        let mut name = base.clone();
        let mut count = 1;
        while self.0.contains(&name) {
            count += 1;
            name = format!("{base} ({count})");
        }
        self.0.push(name.clone());
        name
    }
}
