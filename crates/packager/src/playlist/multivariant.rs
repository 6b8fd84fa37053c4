//! The multivariant playlist: a variant for each audio codec, since one codec that a player lacks drops a variant.

use container::{Rational, Track, TrackKind, VideoInfo};

use super::{
    MasterOptions,
    attributes::Attributes,
    query,
    rates::{Rate, iframe_rate, track_rate},
};
use crate::{
    Delivery, PackagerError, Planned, RenditionId, SegmentFormat, Transcodes,
    transcode::{AAC_CHANNELS_MAX, AAC_LC, Rung},
    ts,
};

/// Audio tracks of one codec string's family.
struct Group {
    id: String,
    codec: String,
    /// Cut or transcoded, with the number among the file's audio tracks.
    tracks: Vec<(RenditionId, usize)>,
}

/// What a playlist is made from.
struct Offer<'a> {
    planned: &'a Planned,
    transcodes: Option<&'a Transcodes>,
    delivery: &'a Delivery,
    format: SegmentFormat,
}

impl Offer<'_> {
    fn rate(&self, rendition: RenditionId) -> Rate {
        match self.transcodes {
            Some(transcodes) if rendition.is_transcoded() => transcodes.rate(rendition),
            _ => track_rate(self.planned, rendition),
        }
    }
}

/// The multivariant playlist.
///
/// # Errors
/// [`PackagerError::NotPlayable`] with the reasons, if the player can take none of the tracks.
pub fn multivariant(planned: &Planned, options: &MasterOptions) -> Result<String, PackagerError> {
    multivariant_with(planned, None, options)
}

/// The multivariant playlist of a server that can transcode: what the player takes as it is, first; then the video in
/// smaller sizes, and sound that it does not take as AAC.
///
/// # Errors
/// As [`multivariant`].
pub fn multivariant_with(
    planned: &Planned,
    transcodes: Option<&Transcodes>,
    options: &MasterOptions,
) -> Result<String, PackagerError> {
    let delivery = Delivery::with(planned, transcodes, options.format, options.codecs.as_ref());
    if !delivery.is_playable() {
        return Err(PackagerError::NotPlayable(delivery.reason()));
    }
    let format = options.format;
    let version = if format == SegmentFormat::Ts { 4 } else { 7 };
    let mut text = format!("#EXTM3U\n#EXT-X-VERSION:{version}\n");
    if planned.plan.independent() || (delivery.video.is_none() && !delivery.ladder.is_empty()) {
        text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    let offer = Offer { planned, transcodes, delivery: &delivery, format };
    let groups = groups(planned, &delivery);
    for group in &groups {
        text.push_str(&audio_group(planned, group, format, delivery.video.is_some()));
    }
    text.push_str(&subtitle_group(planned, &delivery, format));
    let cut = delivery.video.map(|_| RenditionId::Source);
    let mut videos: Vec<Option<RenditionId>> =
        cut.into_iter().chain(delivery.ladder.iter().map(|h| RenditionId::H264(*h))).map(Some).collect();
    if videos.is_empty() {
        videos.push(None);
    }
    for video in videos {
        if groups.is_empty() {
            text.push_str(&variant(&offer, video, None));
        }
        for group in &groups {
            text.push_str(&variant(&offer, video, Some(group)));
        }
    }
    text.push_str(&iframes(planned, &delivery, format));
    Ok(text)
}

fn groups(planned: &Planned, delivery: &Delivery) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let cut = delivery.audio.iter().filter_map(|n| {
        let track = audio_track(planned, *n)?;
        let codec = track.codec.rfc6381().unwrap_or_default();
        Some((RenditionId::Audio(*n), *n, track.codec.name().to_owned(), codec))
    });
    let aac = delivery.audio_aac.iter();
    let aac = aac.map(|n| (RenditionId::Aac(*n), *n, "aac".to_owned(), AAC_LC.to_owned()));
    for (rendition, n, name, codec) in cut.chain(aac) {
        // Transcoded sound goes with what is cut if that is of the same kind of AAC.
        let mut alike = groups.iter_mut();
        let group = match rendition {
            RenditionId::Aac(_) => alike.find(|g| g.codec == codec),
            _ => alike.find(|g| g.id == name),
        };
        match group {
            Some(group) => group.tracks.push((rendition, n)),
            None => {
                let id = if groups.iter().any(|g| g.id == name) { format!("{name}-lc") } else { name };
                groups.push(Group { id, codec, tracks: vec![(rendition, n)] });
            }
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
    for (place, (rendition, n)) in group.tracks.iter().enumerate() {
        let Some((index, track)) = planned.of_kind(TrackKind::Audio).nth(*n) else { continue };
        let name = names.unique(track, &format!("Audio {}", n + 1));
        let uri = format!("{rendition}/stream.m3u8{}", query(format));
        let channels = track.audio.as_ref().map(|a| a.channels).filter(|c| *c != 0);
        let channels = match rendition {
            RenditionId::Aac(_) => Some(channels.map_or(AAC_CHANNELS_MAX, |c| c.min(AAC_CHANNELS_MAX))),
            _ => channels,
        };
        let channels = channels.map(|c| c.to_string());
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

fn variant(offer: &Offer<'_>, shown: Option<RenditionId>, group: Option<&Group>) -> String {
    let Offer { planned, transcodes, delivery, format } = *offer;
    let rung = shown.and_then(|r| transcodes?.rung(r));
    let video = delivery.video.filter(|_| rung.is_none()).and_then(|n| planned.movie.tracks.get(n));
    let audio = group.map(|g| {
        let rates = g.tracks.iter().map(|(rendition, _)| offer.rate(*rendition));
        rates.max_by_key(|r| r.peak).unwrap_or_default()
    });
    let rate = match (shown, audio) {
        (Some(shown), audio) => offer.rate(shown).plus(audio.unwrap_or_default()),
        (None, audio) => audio.unwrap_or_default(),
    };
    let codecs: Vec<String> = rung
        .map(Rung::codec_string)
        .or_else(|| video.and_then(|t| t.codec.rfc6381()))
        .into_iter()
        .chain(group.map(|g| g.codec.clone()))
        .filter(|c| !c.is_empty())
        .collect();
    let path = match (shown, group.and_then(|g| g.tracks.first())) {
        (Some(shown), _) => shown.to_string(),
        (None, Some((rendition, _))) => rendition.to_string(),
        (None, None) => "source".to_owned(),
    };
    let mut line = with_rate(Attributes::of("#EXT-X-STREAM-INF"), rate).quoted("CODECS", &codecs.join(","));
    if let Some(rung) = rung {
        line = frame_rate(size(line, rung.width, rung.height), rung.frame_rate).plain("VIDEO-RANGE", "SDR");
    } else if let Some(info) = video.and_then(|t| t.video.as_ref()) {
        line = picture(line, info);
    }
    line = line.maybe("AUDIO", group.map(|g| g.id.as_str()));
    line = line.maybe("SUBTITLES", (!delivery.subtitles.is_empty()).then_some(SUBTITLE_GROUP));
    format!("{}{path}/stream.m3u8{}\n", line.line(), query(format))
}

fn size(line: Attributes, width: u32, height: u32) -> Attributes {
    line.plain("RESOLUTION", format_args!("{width}x{height}"))
}

fn frame_rate(line: Attributes, rate: Option<Rational>) -> Attributes {
    match rate.filter(|r| r.num > 0 && r.den > 0) {
        Some(rate) => {
            line.plain("FRAME-RATE", format_args!("{:.3}", f64::from(rate.num) / f64::from(rate.den)))
        }
        None => line,
    }
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
    let line = frame_rate(line, info.frame_rate);
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
