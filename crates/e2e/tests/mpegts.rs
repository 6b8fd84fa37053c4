//! The form for old players: MPEG-TS segments, picture and sound in one.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use anyhow::{Context, Result, ensure};
use common::{House, hides_frames, open_gop, shown, sound_tick};
use e2e::{
    film::{Rendition, every},
    fixtures,
    oracle::{self, Unit},
};

#[test]
fn pictures_and_sound_are_those_of_the_source() {
    let house = House::open(true);
    every(&fixtures::good().unwrap(), |film| {
        let streams = oracle::streams(film)?;
        let codec = |kind: &str| {
            streams
                .iter()
                .find(|s| s.get("codec_type").and_then(|v| v.as_str()) == Some(kind))
                .and_then(|s| s.get("codec_name")?.as_str().map(str::to_owned))
                .unwrap_or_default()
        };
        let (video, audio) = (codec("video"), codec("audio"));
        if !["h264", "hevc"].contains(&video.as_str()) {
            return Ok(());
        }
        let path = house.path(film, "source/stream.m3u8?container=ts")?;
        let rendition = Rendition::fetch(house.server.address, &path)?;
        ensure!(rendition.playlist.map.is_none(), "EXT-X-MAP in a TS playlist");
        for (n, segment) in rendition.segments.iter().enumerate() {
            ensure!(!segment.is_empty() && segment.len() % 188 == 0, "segment {n}: {} bytes", segment.len());
            ensure!(segment.chunks(188).all(|p| p[0] == 0x47), "segment {n}: lost sync");
        }
        let whole = rendition.file(".ts")?;
        let (ours, theirs) = (oracle::frames(whole.path(), "0:v:0")?, oracle::frames(film, "0:v:0")?);
        let ours = if hides_frames(film) { &ours[ours.len().saturating_sub(theirs.len())..] } else { &ours };
        same(ours, &theirs, 0.0).context("pictures")?;
        if ["aac", "ac3", "eac3", "mp3"].contains(&audio.as_str()) {
            let filter = (audio == "aac").then_some("aac_adtstoasc");
            let (ours, theirs) =
                (oracle::packets(whole.path(), "0:a:0", filter)?, oracle::packets(film, "0:a:0", None)?);
            same(&ours, shown(film, &theirs, ours.len()), sound_tick(film) - 0.001).context("sound")?;
        }
        for (n, segment) in rendition.segments.iter().enumerate().filter(|_| !open_gop(film)) {
            let (decoded, complaints) = oracle::decode(segment)?;
            ensure!(
                complaints.is_empty() && decoded > 0,
                "segment {n} alone: {decoded} frames, {complaints}"
            );
        }
        Ok(())
    });
}

fn same(ours: &[Unit], theirs: &[Unit], more: f64) -> Result<()> {
    let shifts = oracle::shifts(ours, theirs)?;
    let (Some(first), Some(last)) = (shifts.first(), shifts.last()) else { return Ok(()) };
    // A tick of 90 kHz here, up to a millisecond there.
    ensure!(last - first <= 0.002_05 + 2.0 * more, "times wander by {:.3} ms", (last - first) * 1e3);
    Ok(())
}
