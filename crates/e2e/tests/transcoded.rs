//! Transcoded renditions against the source: the same pictures at the same times, an IDR picture at every boundary, and
//! what is seen and heard near what was there. ffmpeg judges.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use common::House;
use e2e::{
    boxes,
    film::{Rendition, every, master, text},
    fixtures,
    oracle::{self, Unit},
    playlist::Entry,
    server::Server,
};

/// The lowest rung, which every fixture has; its bit rate suffices for these pictures.
const RUNG: &str = "240p-h264";
/// Of a rendition as a whole, and of its worst picture.
const SSIM_MIN: f64 = 0.95;
const SSIM_PICTURE_MIN: f64 = 0.85;

fn house() -> House {
    let scratch = tempfile::tempdir().unwrap();
    let server =
        Server::transcoding(&fixtures::binary().unwrap(), &fixtures::folder(), scratch.path(), false)
            .unwrap();
    let ids = server.videos(fixtures::good().unwrap().len()).unwrap();
    House { server, ids, scratch }
}

fn films(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(|name| fixtures::folder().join(name)).collect()
}

#[test]
fn every_picture_of_the_source_is_there_at_its_time_and_looks_like_it() {
    let house = house();
    let names = ["h264.mp4", "hevc-closed.mkv", "long-gop.mp4", "ntsc-film.mkv", "vfr.mkv", "vp9.webm"];
    every(&films(&names), |film| {
        let rendition =
            Rendition::fetch(house.server.address, &house.path(film, &format!("{RUNG}/stream.m3u8"))?)?;
        let file = rendition.file(".mp4")?;
        let (ours, theirs) = (oracle::frames(file.path(), "0:v:0")?, oracle::frames(film, "0:v:0")?);
        same_times(&ours, &theirs)?;
        boundaries(&rendition)?;
        let (all, worst) = ssim(file.path(), film)?;
        ensure!(all >= SSIM_MIN && worst >= SSIM_PICTURE_MIN, "SSIM {all}, its worst picture {worst}");
        Ok(())
    });
}

/// As many, and each as long after the first as in the source; a millisecond of Matroska may be rounded away.
fn same_times(ours: &[Unit], theirs: &[Unit]) -> Result<()> {
    ensure!(ours.len() == theirs.len(), "{} pictures, the source has {}", ours.len(), theirs.len());
    let first = |units: &[Unit]| units.first().map(|u| u.pts).context("no picture");
    let (our_first, their_first) = (first(ours)?, first(theirs)?);
    for (n, (a, b)) in ours.iter().zip(theirs).enumerate() {
        let off = (a.pts - our_first) - (b.pts - their_first);
        ensure!(off.abs() <= 0.001_1, "picture {n} is {off:.6} s off");
    }
    Ok(())
}

/// Every segment begins with an IDR picture, which is its first, and they join.
fn boundaries(rendition: &Rendition) -> Result<()> {
    let fragments = rendition.fragments()?;
    for (n, (fragment, segment)) in fragments.iter().zip(&rendition.segments).enumerate() {
        let mdat = boxes::find(segment, &[b"mdat"])?;
        ensure!(begins_with_idr(mdat), "segment {n} begins with no IDR picture");
        // The offset to the first decode time is the smallest: nothing is shown before the IDR picture.
        let first = fragment.samples.first().context("an empty segment")?;
        let mut at = 0i64;
        let shown: Vec<i64> = fragment
            .samples
            .iter()
            .map(|(duration, _, offset)| {
                let pts = at + i64::from(*offset);
                at += i64::from(*duration);
                pts
            })
            .collect();
        ensure!(shown.iter().all(|pts| *pts >= i64::from(first.2)), "segment {n} has leading pictures");
        if let Some(next) = fragments.get(n + 1) {
            ensure!(
                next.base == fragment.base + fragment.duration(),
                "segments {n} and its next do not join"
            );
        }
    }
    Ok(())
}

/// The first NAL unit that is a slice is one of an IDR picture.
fn begins_with_idr(mut sample: &[u8]) -> bool {
    while let Some((length, rest)) = sample.split_first_chunk::<4>() {
        match rest.first().map(|header| header & 0x1f) {
            Some(5) => return true,
            Some(1) | None => return false,
            Some(_) => {}
        }
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        sample = rest.get(length..).unwrap_or_default();
    }
    false
}

/// Structural similarity of all pictures, and of the worst: both in order, whatever their times.
fn ssim(ours: &Path, theirs: &Path) -> Result<(f64, f64)> {
    let stats = tempfile::NamedTempFile::new()?;
    let filter = format!(
        "[1:v:0][0:v:0]scale2ref[b][a];[a]settb=1/1000,setpts=N[a1];[b]settb=1/1000,setpts=N[b1];\
         [a1][b1]ssim=stats_file={}",
        stats.path().display()
    );
    let out = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(ours)
        .arg("-i")
        .arg(theirs)
        .args(["-fps_mode", "passthrough", "-lavfi", &filter, "-f", "null", "-"])
        .output()?;
    ensure!(out.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&out.stderr).trim());
    let text = std::fs::read_to_string(stats.path())?;
    let each: Vec<f64> = text
        .lines()
        .filter_map(|line| line.split_whitespace().find_map(|f| f.strip_prefix("All:"))?.parse().ok())
        .collect();
    let count = u32::try_from(each.len())?;
    ensure!(count > 0, "ffmpeg compared nothing");
    Ok((each.iter().sum::<f64>() / f64::from(count), each.iter().copied().fold(1.0, f64::min)))
}

#[test]
fn a_seek_gets_the_pictures_that_playing_through_gets() {
    let (played, sought) = (house(), house());
    let film = &films(&["long-gop.mp4"])[0];
    let times = |house: &House, n: usize| {
        let path = house.path(film, &format!("{RUNG}/{n}.m4s")).unwrap();
        let fragment = boxes::fragment(&e2e::film::bytes(house.server.address, &path).unwrap()).unwrap();
        let mut at = i64::try_from(fragment.base).unwrap();
        let mut shown = Vec::new();
        for (duration, _, offset) in &fragment.samples {
            shown.push(at + i64::from(*offset));
            at += i64::from(*duration);
        }
        shown.sort_unstable();
        shown
    };
    let through: Vec<_> = (0..6).map(|n| times(&played, n)).collect();
    for n in [5, 2, 4, 0] {
        assert_eq!(times(&sought, n), through[n], "segment {n}");
    }
}

#[test]
fn what_is_listed_is_not_above_the_source_and_is_kept() {
    let house = house();
    every(&films(&["h264.mp4", "hevc-closed.mkv", "ntsc-film.mkv", "rotated.mp4"]), |film| {
        let master = master(house.server.address, house.id(film)?, "fmp4")?;
        let made = master.variants.iter().filter_map(|v| Some((v, v.uri.as_deref()?)));
        let made: Vec<_> = made.filter(|(_, uri)| uri.contains("h264/")).collect();
        let needed = film.file_stem().is_some_and(|name| name == "hevc-closed");
        ensure!(!needed || !made.is_empty(), "no rung is listed");
        let stated = |variant: &Entry| -> Result<u64> {
            Ok(variant.get("BANDWIDTH").context("no BANDWIDTH")?.parse()?)
        };
        let source =
            master.variants.iter().find(|v| v.uri.as_deref().is_some_and(|uri| uri.contains("source/")));
        let source = stated(source.context("no source")?)?;
        for (variant, uri) in made {
            let rendition = Rendition::fetch(house.server.address, uri)?;
            let stated = stated(variant)?;
            // A player that takes the source is not drawn to what is encoded from it for nothing.
            ensure!(needed || stated < source, "{uri}: {stated} bit/s beside a source of {source}");
            let target = rendition.playlist.target;
            let sizes: Vec<f64> =
                rendition.segments.iter().map(|s| f64::from(u32::try_from(s.len()).unwrap()) * 8.0).collect();
            for from in 0..sizes.len() {
                let (mut bits, mut seconds) = (0.0, 0.0);
                for (size, segment) in sizes.iter().zip(&rendition.playlist.segments).skip(from) {
                    (bits, seconds) = (bits + size, seconds + segment.duration);
                    if seconds >= target / 2.0 && seconds <= target * 1.5 {
                        #[expect(clippy::cast_precision_loss, reason = "bits a second")]
                        let most = stated as f64;
                        ensure!(bits / seconds <= most, "{uri}: {} bit/s, stated {stated}", bits / seconds);
                    }
                }
            }
        }
        Ok(())
    });
}

#[test]
fn sound_that_the_player_lacks_becomes_aac_frame_by_frame() {
    let house = house();
    every(&films(&["eac3.mkv", "opus.mp4", "late-audio.mkv"]), |film| {
        let rendition =
            Rendition::fetch(house.server.address, &house.path(film, "audio-0-aac/stream.m3u8")?)?;
        let fragments = rendition.fragments()?;
        for (n, fragment) in fragments.iter().enumerate() {
            ensure!(fragment.base % 1_024 == 0, "segment {n} begins off the grid: {}", fragment.base);
            ensure!(fragment.samples.iter().all(|s| s.0 == 1_024), "segment {n} has an odd frame");
            if let Some(next) = fragments.get(n + 1) {
                ensure!(
                    next.base == fragment.base + fragment.duration(),
                    "segment {n} and its next do not join"
                );
            }
        }
        let file = rendition.file(".mp4")?;
        let loud = |file: &Path| loudness(file).with_context(|| file.display().to_string());
        let (ours, theirs) = (loud(file.path())?, loud(film)?);
        // ffmpeg turns all channels down when it mixes six to two, ours keeps the dialogue as loud as it was.
        ensure!((ours - theirs).abs() <= 9.0, "mean volume {ours} dB, the source has {theirs} dB");
        Ok(())
    });
}

/// Mean volume of the first sound as stereo, decibels of full scale.
fn loudness(file: &Path) -> Result<f64> {
    let out = Command::new("ffmpeg")
        .args(["-v", "info", "-nostdin", "-i"])
        .arg(file)
        .args(["-map", "0:a:0", "-ac", "2", "-af", "volumedetect", "-f", "null", "-"])
        .output()?;
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    let volume = text.lines().find_map(|l| l.split_once("mean_volume: ")?.1.strip_suffix(" dB"));
    volume.context("no volume")?.trim().parse().context("a volume")
}

#[test]
fn the_decision_names_the_track_and_the_reason() {
    let house = house();
    let film = &films(&["eac3.mkv"])[0];
    let path = house.path(film, "").unwrap();
    let path = format!("{}?codecs=avc1,mp4a.40.2", path.trim_end_matches('/'));
    let video: serde_json::Value = serde_json::from_str(&text(house.server.address, &path).unwrap()).unwrap();
    let decision = &video["decision"];
    assert_eq!(decision["mode"], "transcode", "{decision}");
    let tracks = decision["tracks"].as_array().unwrap();
    let sound = tracks.iter().find(|t| t["kind"] == "audio").unwrap();
    assert_eq!(
        (&sound["action"], &sound["rendition"]),
        (&"transcode".into(), &"audio-0-aac".into()),
        "{sound}"
    );
    assert!(sound["reason"].as_str().unwrap().contains("does not decode ec-3"), "{sound}");
    let pictures = tracks.iter().find(|t| t["kind"] == "video").unwrap();
    assert_eq!(pictures["action"], "cut", "{pictures}");
}
