//! A title described for `GET /video/{id}`.

use container::{Timescale, Track, TrackKind};
use packager::{
    CodecList, Delivery, Planned, RenditionId, SegmentFormat, SegmentPlan, Transcodes, transcode::AAC_LC,
};
use serde::Serialize;

/// Everything that is told of a title. The surface adds `file`.
#[derive(Clone, Debug, Serialize)]
pub struct TitleInfo {
    /// Bytes of the file.
    pub size: u64,
    /// `matroska` or `mp4`.
    pub format: container::Format,
    /// The title inside the file.
    pub title: Option<String>,
    /// Seconds, from the samples.
    pub duration: f64,
    /// Tracks in file order.
    pub tracks: Vec<TrackInfo>,
    /// Chapters in time order.
    pub chapters: Vec<ChapterInfo>,
    /// Files within the file (fonts).
    pub attachments: Vec<AttachmentInfo>,
    /// What the index says of keyframes.
    pub keyframes: KeyframeInfo,
    /// What can be asked for.
    pub renditions: Vec<RenditionInfo>,
    /// What is odd about the file, for people.
    pub warnings: Vec<String>,
    /// What a player should ask for, and why.
    pub decision: Decision,
}

/// One track.
#[derive(Clone, Debug, Serialize)]
pub struct TrackInfo {
    /// Place in the file, from 0.
    pub index: usize,
    /// Video, audio, subtitle or other.
    pub kind: container::TrackKind,
    /// Short name: `h264`, `aac`.
    pub codec: String,
    /// RFC 6381, where there is one.
    pub codec_string: Option<String>,
    /// BCP 47.
    pub language: Option<String>,
    /// The title the file gives it.
    pub name: Option<String>,
    /// How players choose.
    #[serde(flatten)]
    pub flags: container::TrackFlags,
    /// Pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Frames a second, where constant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_rate: Option<f64>,
    /// `sdr`, `pq` or `hlg`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamic_range: Option<&'static str>,
    /// Samples a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
    /// Channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<u16>,
    /// The rendition that carries it; `None` if it is not sent.
    pub rendition: Option<String>,
}

/// One chapter.
#[derive(Clone, Debug, Serialize)]
pub struct ChapterInfo {
    /// Seconds.
    pub start: f64,
    /// Seconds.
    pub end: Option<f64>,
    /// Its name; may be empty.
    pub title: String,
}

/// One file within the file.
#[derive(Clone, Debug, Serialize)]
pub struct AttachmentInfo {
    /// As the file names it: never a path.
    pub name: String,
    /// Its media type as stated.
    pub media_type: String,
    /// Bytes.
    pub size: u64,
}

/// What the index says of keyframes.
#[derive(Clone, Debug, Serialize)]
pub struct KeyframeInfo {
    /// Random access points that the index names.
    pub count: u64,
    /// Longest stretch between two.
    pub longest_gap_seconds: f64,
    /// Some begin with pictures that refer to what came before.
    pub open_gop: bool,
    /// The index was absent or not believed, and the file was looked through.
    pub index_rebuilt: bool,
    /// Segments of the video.
    pub segments: usize,
    /// Longest segment, seconds.
    pub segment_seconds_max: f64,
    /// Mean segment, seconds.
    pub segment_seconds_mean: f64,
    /// Every segment can be decoded alone (closed GOPs).
    pub independent: bool,
}

/// One rendition.
#[derive(Clone, Debug, Serialize)]
pub struct RenditionInfo {
    /// Its name in paths.
    pub name: String,
    /// What it carries.
    pub kind: container::TrackKind,
    /// RFC 6381.
    pub codecs: Option<String>,
    /// Most bits a second of any segment.
    pub bandwidth_peak: u64,
    /// Bits a second over all.
    pub bandwidth_average: u64,
    /// The containers it can be had in: `fmp4`, `ts`.
    pub containers: Vec<&'static str>,
    /// It is decoded and encoded anew for whoever asks.
    pub transcoded: bool,
    /// Pixels, of transcoded video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels, of transcoded video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// How a title is to be delivered to a player.
#[derive(Clone, Debug, Serialize)]
pub struct Decision {
    /// What to do.
    pub mode: DecisionMode,
    /// Why, for people.
    pub reason: String,
    /// Which tracks, and what is left out and why.
    #[serde(flatten)]
    pub delivery: Delivery,
}

/// The ways a title can be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DecisionMode {
    /// The file as it is.
    Direct,
    /// Cut into segments, nothing re-encoded.
    Cut,
    /// Video cut; the sound cannot be played by this player and there is no other.
    CutVideoOnly,
    /// Some track is decoded and encoded anew; which and why, its tracks say.
    Transcode,
    /// Nothing this player can decode.
    Refused,
}

/// Everything that is told of a title.
pub(crate) fn describe(
    planned: &Planned,
    transcodes: Option<&Transcodes>,
    codecs: Option<&CodecList>,
) -> TitleInfo {
    let movie = &planned.movie;
    let seconds = |ns: u64| Timescale::MICROS.seconds(i64::try_from(ns / 1_000).unwrap_or(i64::MAX));
    let names = rendition_names(planned);
    let tracks = movie.tracks.iter().enumerate();
    TitleInfo {
        size: movie.len,
        format: movie.format,
        title: movie.title.clone(),
        duration: planned.plan.duration_seconds(),
        tracks: tracks
            .map(|(n, t)| track_info(n, t, names.iter().find(|(_, track)| *track == n).map(|(r, _)| *r)))
            .collect(),
        chapters: movie
            .chapters
            .iter()
            .map(|c| ChapterInfo {
                start: seconds(c.start_ns),
                end: c.end_ns.map(seconds),
                title: c.title.clone(),
            })
            .collect(),
        attachments: movie
            .attachments
            .iter()
            .map(|a| AttachmentInfo {
                name: a.name.clone(),
                media_type: a.media_type.clone(),
                size: a.bytes.len(),
            })
            .collect(),
        keyframes: keyframes(planned),
        renditions: renditions(planned, transcodes, &names),
        warnings: planned.plan.warnings.clone(),
        decision: decide(planned, transcodes, codecs),
    }
}

/// How a title is delivered to a player that decodes `codecs`.
pub(crate) fn decide(
    planned: &Planned,
    transcodes: Option<&Transcodes>,
    codecs: Option<&CodecList>,
) -> Decision {
    let delivery = Delivery::with(planned, transcodes, SegmentFormat::Fmp4, codecs);
    let has_audio = planned.of_kind(TrackKind::Audio).next().is_some();
    let silent = delivery.audio.is_empty() && delivery.audio_aac.is_empty();
    let mode = match (delivery.is_playable(), delivery.video.is_some() && has_audio && silent) {
        (false, _) => DecisionMode::Refused,
        (true, _) if delivery.needs_transcode() => DecisionMode::Transcode,
        (true, true) => DecisionMode::CutVideoOnly,
        (true, false) => DecisionMode::Cut,
    };
    Decision { mode, reason: delivery.reason(), delivery }
}

/// The renditions of a title with the tracks they show. `source` of an audio-only file is its default audio, which has
/// its own name too.
fn rendition_names(planned: &Planned) -> Vec<(RenditionId, usize)> {
    let count = |kind| planned.of_kind(kind).count();
    let audio = (0..count(TrackKind::Audio)).map(RenditionId::Audio);
    let subtitles = (0..count(TrackKind::Subtitle)).map(RenditionId::Subtitles);
    let all = [RenditionId::Source].into_iter().chain(audio).chain(subtitles).chain([RenditionId::IFrames]);
    all.filter_map(|r| Some((r, planned.rendition_track(r).ok()?))).collect()
}

fn track_info(index: usize, track: &Track, rendition: Option<RenditionId>) -> TrackInfo {
    let video = track.video.as_ref();
    let audio = track.audio.as_ref();
    TrackInfo {
        index,
        kind: track.kind,
        codec: track.codec.name().to_owned(),
        codec_string: track.codec.rfc6381(),
        language: track.language.clone(),
        name: track.name.clone(),
        flags: track.flags,
        width: video.map(|v| v.width),
        height: video.map(|v| v.height),
        frame_rate: video
            .and_then(|v| v.frame_rate)
            .filter(|r| r.den > 0)
            .map(|r| f64::from(r.num) / f64::from(r.den)),
        dynamic_range: video.map(|v| match v.color.map(|c| c.transfer) {
            Some(16) => "pq",
            Some(18) => "hlg",
            _ => "sdr",
        }),
        sample_rate: audio.map(|a| a.sample_rate),
        channels: audio.map(|a| a.channels),
        rendition: rendition.map(|r| r.to_string()),
    }
}

fn keyframes(planned: &Planned) -> KeyframeInfo {
    let facts = &planned.plan.keyframes;
    let reference = planned.plan.track(planned.plan.reference);
    let lengths = reference.map_or_else(Vec::new, |track| {
        let length = |s: &SegmentPlan| track.timescale.seconds(i64::try_from(s.duration).unwrap_or(i64::MAX));
        track.segments.iter().map(length).collect()
    });
    let count = u32::try_from(lengths.len()).unwrap_or(u32::MAX);
    KeyframeInfo {
        count: facts.count,
        longest_gap_seconds: Timescale::MILLIS
            .seconds(i64::try_from(facts.longest_gap_ms).unwrap_or(i64::MAX)),
        open_gop: facts.open_gop,
        index_rebuilt: facts.index_rebuilt,
        segments: lengths.len(),
        segment_seconds_max: lengths.iter().copied().fold(0.0, f64::max),
        segment_seconds_mean: lengths.iter().sum::<f64>() / f64::from(count.max(1)),
        independent: planned.plan.independent(),
    }
}

fn renditions(
    planned: &Planned,
    transcodes: Option<&Transcodes>,
    names: &[(RenditionId, usize)],
) -> Vec<RenditionInfo> {
    let formats = [("fmp4", SegmentFormat::Fmp4), ("ts", SegmentFormat::Ts)];
    let carried = formats.map(|(name, format)| (name, Delivery::decide(planned, format, None)));
    let carries = |delivery: &Delivery, rendition: RenditionId| match rendition {
        RenditionId::Source | RenditionId::IFrames => delivery.is_playable(),
        RenditionId::Audio(n) => delivery.audio.contains(&n),
        RenditionId::Subtitles(n) => delivery.subtitles.contains(&n),
        RenditionId::H264(_) | RenditionId::Aac(_) => false,
    };
    names
        .iter()
        .filter_map(|(rendition, track)| {
            let (peak, average) = bits_per_second(planned, *rendition);
            let track = planned.movie.tracks.get(*track)?;
            let containers: Vec<_> =
                carried.iter().filter(|(_, d)| carries(d, *rendition)).map(|(name, _)| *name).collect();
            (!containers.is_empty()).then(|| RenditionInfo {
                name: rendition.to_string(),
                kind: track.kind,
                codecs: track.codec.rfc6381(),
                bandwidth_peak: peak,
                bandwidth_average: average,
                containers,
                transcoded: false,
                width: None,
                height: None,
            })
        })
        .chain(transcodes.into_iter().flat_map(transcoded))
        .collect()
}

fn transcoded(transcodes: &Transcodes) -> Vec<RenditionInfo> {
    let info = |rendition: RenditionId, kind, codecs: String, size: Option<(u32, u32)>| {
        let (bandwidth_peak, bandwidth_average) = transcodes.bits_per_second(rendition);
        RenditionInfo {
            name: rendition.to_string(),
            kind,
            codecs: Some(codecs),
            bandwidth_peak,
            bandwidth_average,
            containers: vec!["fmp4"],
            transcoded: true,
            width: size.map(|s| s.0),
            height: size.map(|s| s.1),
        }
    };
    let video = transcodes.rungs.iter().map(|rung| {
        info(rung.rendition(), TrackKind::Video, rung.codec_string(), Some((rung.width, rung.height)))
    });
    let audio = transcodes.audio.iter().enumerate().filter(|(_, aac)| aac.is_some());
    let audio = audio.map(|(n, _)| info(RenditionId::Aac(n), TrackKind::Audio, AAC_LC.to_owned(), None));
    video.chain(audio).collect()
}

/// Of the densest segment, and over all. An estimate for Matroska; of the I-frames nothing is known beforehand.
fn bits_per_second(planned: &Planned, rendition: RenditionId) -> (u64, u64) {
    let Ok(track) = planned.rendition_track(rendition) else { return (0, 0) };
    let Some(plan) = planned.plan.track(track).filter(|_| rendition != RenditionId::IFrames) else {
        return (0, 0);
    };
    let timescale = u128::from(plan.timescale.get());
    let rate = |bytes: u128, ticks: u128| {
        u64::try_from((bytes * 8 * timescale).div_ceil(ticks.max(1))).unwrap_or(u64::MAX)
    };
    let each = plan.segments.iter().map(|s| (u128::from(s.payload_bytes), u128::from(s.duration)));
    let total = each.clone().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let average = rate(total.0, total.1);
    (each.map(|(bytes, ticks)| rate(bytes, ticks)).max().unwrap_or(0).max(average), average)
}
