//! What comes out is what is in the file: every picture and every sound, at its time, judged by ffmpeg.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use common::{House, hides_frames, is_matroska, open_gop, shown, sound_tick};
use e2e::{
    film::{Rendition, every, master},
    fixtures,
    oracle::{self, Unit},
};

/// Codecs that go into CMAF as they are.
const CUT: [&str; 12] =
    ["h264", "hevc", "vp8", "vp9", "av1", "aac", "opus", "flac", "ac3", "eac3", "mp3", "vorbis-is-not-cut"];

#[test]
fn pictures_are_those_of_the_source() {
    let house = House::open(true);
    every(&fixtures::good().unwrap(), |film| {
        let Some(stream) = streams(film, "video")?.into_iter().next() else { return Ok(()) };
        ensure!(CUT.contains(&stream.codec.as_str()), "a fixture of codec {}", stream.codec);
        let rendition = Rendition::fetch(house.server.address, &house.path(film, "source/stream.m3u8")?)?;
        let whole = rendition.file(".mp4")?;
        let (ours, theirs) = (oracle::frames(whole.path(), "0:v:0")?, oracle::frames(film, "0:v:0")?);
        let ours = if hides_frames(film) { &ours[ours.len().saturating_sub(theirs.len())..] } else { &ours };
        let tick = if is_matroska(film) { 0.001_01 } else { stream.tick * 1.01 };
        same(ours, &theirs, tick).context("pictures")
    });
}

#[test]
fn sound_is_that_of_the_source_packet_for_packet() {
    let house = House::open(true);
    every(&fixtures::good().unwrap(), |film| {
        for (n, stream) in streams(film, "audio")?.into_iter().enumerate() {
            if !CUT.contains(&stream.codec.as_str()) {
                continue;
            }
            let path = house.path(film, &format!("audio-{n}/stream.m3u8"))?;
            let rendition = Rendition::fetch(house.server.address, &path)?;
            let whole = rendition.file(".mp4")?;
            let theirs = oracle::packets(film, &format!("0:a:{n}"), None)?;
            let ours = oracle::packets(whole.path(), "0:a:0", None)?;
            let tick = if is_matroska(film) { sound_tick(film) } else { stream.tick * 1.01 };
            let theirs = shown(film, &theirs, ours.len());
            same(&ours, theirs, tick).with_context(|| format!("audio {n} ({})", stream.codec))?;
        }
        Ok(())
    });
}

#[test]
fn each_segment_decodes_alone() {
    let house = House::open(true);
    every(&fixtures::good().unwrap(), |film| {
        let kind = if streams(film, "video")?.is_empty() { "audio-0" } else { "source" };
        let rendition =
            Rendition::fetch(house.server.address, &house.path(film, &format!("{kind}/stream.m3u8"))?)?;
        for (n, (segment, fragment)) in rendition.segments.iter().zip(rendition.fragments()?).enumerate() {
            let (decoded, complaints) = oracle::decode(&[&rendition.init[..], &segment[..]].concat())?;
            if open_gop(film) && n > 0 {
                ensure!(decoded > 0, "segment {n}: nothing decodes");
                continue;
            }
            ensure!(complaints.is_empty(), "segment {n}: {complaints}");
            let sound = kind == "audio-0";
            ensure!(
                decoded == fragment.samples.len() || (sound && decoded + 1 >= fragment.samples.len()),
                "segment {n}: {decoded} frames of {} samples",
                fragment.samples.len()
            );
        }
        Ok(())
    });
}

#[test]
fn renditions_of_the_master_are_those_of_the_file() {
    let house = House::open(true);
    every(&fixtures::good().unwrap(), |film| {
        let master = master(house.server.address, house.id(film)?, "fmp4")?;
        let video = streams(film, "video")?;
        if let Some(stream) = video.first() {
            for variant in &master.variants {
                let resolution = variant.get("RESOLUTION").context("no RESOLUTION")?;
                ensure!(
                    resolution == stream.size || is_rotated(film),
                    "RESOLUTION {resolution}, the file has {}",
                    stream.size
                );
                ensure!(variant.get("CODECS").is_some_and(|c| !c.is_empty()), "no CODECS");
                ensure!(
                    variant.get("FRAME-RATE").is_some() || fixtures::name(film).contains("one-frame"),
                    "no FRAME-RATE"
                );
            }
        }
        let cut: Vec<_> =
            streams(film, "audio")?.into_iter().filter(|s| CUT.contains(&s.codec.as_str())).collect();
        if !video.is_empty() {
            let listed = master.media.iter().filter(|m| m.get("TYPE").as_deref() == Some("AUDIO")).count();
            ensure!(listed == cut.len(), "{listed} audio renditions, the file has {}", cut.len());
        }
        let text = ["subrip", "ass", "mov_text", "webvtt"];
        let subtitles =
            streams(film, "subtitle")?.iter().filter(|s| text.contains(&s.codec.as_str())).count();
        let listed = master.media.iter().filter(|m| m.get("TYPE").as_deref() == Some("SUBTITLES")).count();
        ensure!(listed == subtitles, "{listed} subtitle renditions, the file has {subtitles}");
        Ok(())
    });
}

fn is_rotated(film: &Path) -> bool {
    fixtures::name(film).starts_with("rotated")
}

struct Stream {
    codec: String,
    size: String,
    tick: f64,
}

/// The streams of a kind, cover pictures and chapter texts apart.
fn streams(film: &Path, kind: &str) -> Result<Vec<Stream>> {
    let field = |s: &serde_json::Value, name: &str| {
        s.get(name).and_then(|v| v.as_str()).unwrap_or_default().to_owned()
    };
    Ok(oracle::streams(film)?
        .iter()
        .filter(|s| field(s, "codec_type") == kind)
        .filter(|s| s.pointer("/disposition/attached_pic").and_then(serde_json::Value::as_i64) != Some(1))
        .map(|s| Stream {
            codec: field(s, "codec_name"),
            size: format!("{}x{}", s.get("width").unwrap_or(&0.into()), s.get("height").unwrap_or(&0.into())),
            tick: field(s, "time_base")
                .split_once('/')
                .and_then(|(a, b)| Some(a.parse::<f64>().ok()? / b.parse::<f64>().ok()?))
                .unwrap_or(0.001),
        })
        .collect())
}

/// The same content in the same order, and the same times but for one constant.
fn same(ours: &[Unit], theirs: &[Unit], tick: f64) -> Result<()> {
    // The first may itself be off by a rounding: the middle of all differences is the constant.
    let shifts = oracle::shifts(ours, theirs)?;
    let Some(middle) = shifts.get(shifts.len() / 2) else { return Ok(()) };
    for (n, (a, b)) in ours.iter().zip(theirs).enumerate() {
        let off = a.pts - b.pts - middle;
        ensure!(
            off.abs() <= tick,
            "number {n}: time is off by {:.3} ms (shift {:.3} ms)",
            off * 1e3,
            middle * 1e3
        );
    }
    Ok(())
}
