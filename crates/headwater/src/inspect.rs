//! `inspect`: what is in a film, where it would be cut, and what is odd about it.

use std::path::Path;

use anyhow::{Context, anyhow};
use container::{Timescale, TrackKind};
use media::{Media, MediaConfig, TitleInfo, TrackInfo};
use packager::{Plan, TrackPlan};
use serde::Serialize;

use crate::{
    cli::InspectArgs,
    config::Settings,
    failure::Failure,
    say,
    torrent::{self, Target, printable},
};

/// What is told of a film as JSON: what HTTP tells, and the plan.
#[derive(Serialize)]
struct Inspected<'a> {
    file: &'a str,
    #[serde(flatten)]
    info: TitleInfo,
    plan: PlanJson<'a>,
}

#[derive(Serialize)]
struct PlanJson<'a> {
    version: u32,
    /// Random access points that the index names.
    keyframes: u64,
    longest_keyframe_gap: f64,
    open_gop: bool,
    index_rebuilt: bool,
    warnings: &'a [String],
    tracks: Vec<TrackPlanJson>,
}

#[derive(Serialize)]
struct TrackPlanJson {
    track: usize,
    timescale: u32,
    segments: Vec<SegmentJson>,
}

#[derive(Serialize)]
struct SegmentJson {
    /// Seconds.
    start: f64,
    /// Seconds.
    duration: f64,
    /// Bytes of payload; an estimate in Matroska.
    bytes: u64,
    independent: bool,
}

pub(crate) fn inspect(args: &InspectArgs, settings: &Settings) -> Result<(), Failure> {
    let file = args.file.as_str();
    if file.ends_with(".idtorrent") {
        return Err(Failure::Failed(anyhow!("{file}: the small-file share format is not in this version")));
    }
    let target = Target::parse(file)?;
    if !matches!(target, Target::File(_)) || file.to_ascii_lowercase().ends_with(".torrent") {
        return torrent::inspect::inspect(&target, args, settings);
    }
    if args.save.is_some() {
        return Err(Failure::Usage("--save is for magnets and torrents".to_owned()));
    }
    let path = Path::new(file);
    let meta = path.metadata().with_context(|| file.to_owned())?;
    if !meta.is_file() {
        return Err(Failure::Failed(anyhow!("{file}: is not a file")));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .context("starting a thread")?;
    runtime.block_on(async {
        let media = Media::new(MediaConfig::default()).context("media")?;
        // The error names the file by itself.
        let title = media.open_file(file, path).await.map_err(anyhow::Error::new)?;
        let info = title.info(None).map_err(anyhow::Error::new)?;
        if args.json {
            let all = Inspected { file, info, plan: plan_json(title.plan()) };
            say(serde_json::to_string_pretty(&all).context("writing JSON")?);
        } else {
            print(file, &info, title.plan());
        }
        Ok(())
    })
}

fn plan_json(plan: &Plan) -> PlanJson<'_> {
    PlanJson {
        version: plan.version,
        keyframes: plan.keyframes.count,
        longest_keyframe_gap: Timescale::MILLIS
            .seconds(i64::try_from(plan.keyframes.longest_gap_ms).unwrap_or(i64::MAX)),
        open_gop: plan.keyframes.open_gop,
        index_rebuilt: plan.keyframes.index_rebuilt,
        warnings: &plan.warnings,
        tracks: plan.tracks.iter().map(track_json).collect(),
    }
}

fn track_json(track: &TrackPlan) -> TrackPlanJson {
    let seconds = |ticks: u64| track.timescale.seconds(i64::try_from(ticks).unwrap_or(i64::MAX));
    let segments = track.segments.iter().map(|segment| SegmentJson {
        start: seconds(segment.start),
        duration: seconds(segment.duration),
        bytes: segment.payload_bytes,
        independent: segment.independent,
    });
    TrackPlanJson { track: track.track, timescale: track.timescale.get(), segments: segments.collect() }
}

/// For people.
fn print(file: &str, info: &TitleInfo, plan: &Plan) {
    say(format_args!("{file}: {}, {}, {}", info.format, time(info.duration), size(info.size)));
    if let Some(title) = &info.title {
        say(format_args!("title     {}", printable(title)));
    }
    for track in &info.tracks {
        say(format_args!("track {:<3} {}", track.index, describe(track)));
    }
    for attachment in &info.attachments {
        let (name, kind) = (printable(&attachment.name), printable(&attachment.media_type));
        say(format_args!("attached  {name} ({kind}, {})", size(attachment.size)));
    }
    for chapter in &info.chapters {
        say(format_args!("chapter   {} {}", time(chapter.start), printable(&chapter.title)));
    }
    let keyframes = &plan.keyframes;
    say(format_args!(
        "keyframes {}, at most {:.1} s apart, {} GOPs{}",
        keyframes.count,
        Timescale::MILLIS.seconds(i64::try_from(keyframes.longest_gap_ms).unwrap_or(i64::MAX)),
        if keyframes.open_gop { "open" } else { "closed" },
        if keyframes.index_rebuilt { ", the index was rebuilt from the file" } else { "" },
    ));
    for rendition in &info.renditions {
        say(format_args!(
            "rendition {:<12} {:<24} {} kb/s, at most {}, as {}",
            rendition.name,
            rendition.codecs.as_deref().unwrap_or("text"),
            rendition.bandwidth_average / 1000,
            rendition.bandwidth_peak / 1000,
            rendition.containers.join(" or "),
        ));
    }
    let segments = &info.keyframes;
    say(format_args!(
        "segments  {}, {:.1} s on average, {:.1} s at most",
        segments.segments, segments.segment_seconds_mean, segments.segment_seconds_max
    ));
    for warning in &plan.warnings {
        say(format_args!("odd       {}", printable(warning)));
    }
    say(format_args!("delivery  {}", info.decision.reason));
}

fn describe(track: &TrackInfo) -> String {
    let kind = match track.kind {
        TrackKind::Video => "video",
        TrackKind::Audio => "audio",
        TrackKind::Subtitle => "subtitle",
        TrackKind::Other => "other",
    };
    let codec = match &track.codec_string {
        Some(string) => format!("{} ({string})", track.codec),
        None => printable(&track.codec),
    };
    let picture = track.width.zip(track.height).map(|(width, height)| format!("{width}x{height}"));
    let rate = track.frame_rate.map(|rate| format!("{rate:.3} fps"));
    let sound = track
        .sample_rate
        .zip(track.channels)
        .map(|(rate, channels)| format!("{rate} Hz, {channels} channels"));
    let flags = [
        ("default", track.flags.default),
        ("forced", track.flags.forced),
        ("for the deaf", track.flags.hearing_impaired),
    ];
    let flags = flags.into_iter().filter(|(_, set)| *set).map(|(flag, _)| flag.to_owned());
    let parts =
        [Some(kind.to_owned()), Some(codec), picture, rate, track.dynamic_range.map(str::to_owned), sound]
            .into_iter()
            .chain([track.language.as_deref().map(printable), track.name.as_deref().map(printable)])
            .flatten()
            .chain(flags);
    parts.collect::<Vec<_>>().join(", ")
}

fn time(seconds: f64) -> String {
    let (hours, rest) = ((seconds / 3600.0).floor(), seconds.rem_euclid(3600.0));
    format!("{hours:.0}:{:02.0}:{:06.3}", (rest / 60.0).floor(), rest.rem_euclid(60.0))
}

fn size(bytes: u64) -> String {
    let shown = |shift: u32, unit: &str| {
        format!("{}.{} {unit}", bytes >> shift, (bytes >> (shift - 4) & 15) * 10 / 16)
    };
    match bytes {
        0..1_048_576 => format!("{bytes} bytes"),
        1_048_576..1_073_741_824 => shown(20, "MiB"),
        _ => shown(30, "GiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_for_people() {
        assert_eq!(time(3725.5), "1:02:05.500");
        assert_eq!(size(3 << 19), "1.5 MiB");
        assert_eq!(size(999), "999 bytes");
        assert_eq!(printable("a\u{1b}[31mb"), "a\u{fffd}[31mb");
    }
}
