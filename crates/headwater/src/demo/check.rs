//! Plays and seeks through a film over HTTP as a player would, and compares what it is told with what it gets.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    boxes,
    playlist::{Playlist, addresses, join},
};
use crate::{client, say};

/// A film that the server lists.
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) name: String,
    duration: f64,
    size: u64,
    /// Why it is not played.
    refused: Option<String>,
}

/// Every film the server lists; only those of the `wanted` file names, if any are.
pub(super) async fn videos(address: SocketAddr, wanted: &[String]) -> Result<Vec<Listed>> {
    let shows: Vec<Value> = serde_json::from_slice(&client::fetch(address, "/api/v1/shows").await?)?;
    let ids = shows.iter().flat_map(|show| {
        let episodes = show["episodes"].as_array().map(Vec::as_slice).unwrap_or_default();
        std::iter::once(show).chain(episodes).filter_map(|v| v["video_id"].as_str())
    });
    let mut found = Vec::new();
    for id in ids {
        let video: Value =
            serde_json::from_slice(&client::fetch(address, &format!("/api/v1/video/{id}")).await?)?;
        let name = video["file"].as_str().unwrap_or_default().to_owned();
        if !wanted.is_empty() && !wanted.contains(&name) {
            continue;
        }
        let decision = &video["decision"];
        let reason = || decision["reason"].as_str().unwrap_or("no reason").to_owned();
        found.push(Listed {
            id: id.to_owned(),
            name,
            duration: video["duration"].as_f64().unwrap_or(0.0),
            size: video["size"].as_u64().unwrap_or(0),
            refused: (decision["mode"] == "refused").then(reason),
        });
    }
    Ok(found)
}

/// Checks one film; says what was checked.
pub(super) async fn video(address: SocketAddr, listed: &Listed, must_play: bool) -> Result<()> {
    let base = format!("/api/v1/video/{}", listed.id);
    ranges(address, &base, listed.size).await.context("ranges of the file")?;
    if let Some(reason) = &listed.refused {
        ensure!(!must_play, "it is refused: {reason}");
        say(format_args!("{}: not played: {reason}", listed.name));
        return Ok(());
    }
    let started = Instant::now();
    let mut total = Counted::default();
    for container in ["fmp4", "ts"] {
        let path = format!("{base}/master.m3u8?container={container}");
        let answer = client::get(address, &path, None).await?;
        if container == "ts" && answer.status == 422 {
            say(format_args!("{}: has no MPEG-TS form", listed.name));
            continue;
        }
        ensure!(answer.status == 200, "{path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
        let master = String::from_utf8(answer.body)?;
        let playlists = addresses(&master);
        ensure!(!playlists.is_empty(), "{path}: lists nothing");
        for playlist in playlists {
            let playlist = join(&path, &playlist);
            if playlist.contains("/iframes/") {
                continue;
            }
            let counted =
                rendition(address, &playlist, listed.duration).await.with_context(|| playlist.clone())?;
            total.segments += counted.segments;
            total.bytes += counted.bytes;
            total.renditions += 1;
        }
    }
    let dash = client::fetch_text(address, &format!("{base}/manifest.mpd")).await?;
    ensure!(dash.contains("<MPD"), "the DASH manifest is none");
    say(format_args!(
        "{}: {:.1} s, {} playlists, {} segments in order and at random, {:.1} MB, in {:.2} s",
        listed.name,
        listed.duration,
        total.renditions,
        total.segments,
        total.bytes as f64 / 1e6,
        started.elapsed().as_secs_f64()
    ));
    Ok(())
}

#[derive(Default)]
struct Counted {
    renditions: usize,
    segments: usize,
    bytes: usize,
}

/// Plays one media playlist in order, then at random: true durations, no gap, the same bytes.
async fn rendition(address: SocketAddr, path: &str, duration: f64) -> Result<Counted> {
    let playlist = Playlist::parse(&client::fetch_text(address, path).await?)?;
    let timescale = match &playlist.init {
        Some(init) => Some(boxes::timescale(&client::fetch(address, &join(path, init)).await?)?),
        None => None,
    };
    let (mut counted, mut hashes, mut end) = (Counted::default(), BTreeMap::new(), None);
    for (n, segment) in playlist.segments.iter().enumerate() {
        let bytes = client::fetch(address, &join(path, &segment.address)).await?;
        ensure!(!bytes.is_empty(), "segment {n} is empty");
        if let Some(timescale) = timescale {
            let times = boxes::times(&bytes).with_context(|| format!("segment {n}"))?;
            ensure!(
                end.is_none_or(|end| end == times.start),
                "segment {n} begins at {}, the one before ended at {end:?}",
                times.start
            );
            // The first segment covers from the film's beginning, though a late track starts later.
            let begin = if n == 0 { 0 } else { times.start };
            let seconds = |begin: u64| (times.start + times.duration - begin) as f64 / f64::from(timescale);
            let off = [begin, times.start].map(|begin| (seconds(begin) - segment.seconds).abs());
            ensure!(
                off.iter().any(|off| *off <= 0.001),
                "segment {n} is listed as {} s and is {} s",
                segment.seconds,
                seconds(times.start)
            );
            end = Some(times.start + times.duration);
        } else if segment.address.contains(".ts") {
            let whole =
                bytes.len() % 188 == 0 && bytes.chunks(188).all(|packet| packet.first() == Some(&0x47));
            ensure!(whole, "segment {n} is not made of MPEG-TS packets");
        } else {
            ensure!(bytes.starts_with(b"WEBVTT"), "segment {n} is not WebVTT");
        }
        ensure!(
            segment.seconds.round() <= playlist.target,
            "segment {n} of {} s is longer than the target",
            segment.seconds
        );
        counted.segments += 1;
        counted.bytes += bytes.len();
        hashes.insert(n, hash(&bytes));
    }
    let listed: f64 = playlist.segments.iter().map(|s| s.seconds).sum();
    // Tracks need not be equally long; none is longer than the film.
    ensure!(listed <= duration + 0.1, "the playlist is {listed} s long, the film {duration} s");
    for n in shuffled(playlist.segments.len()) {
        let Some(segment) = playlist.segments.get(n) else { continue };
        let again = hash(&client::fetch(address, &join(path, &segment.address)).await?);
        ensure!(hashes.get(&n) == Some(&again), "segment {n} has other bytes the second time");
    }
    Ok(counted)
}

/// The file by pieces: lengths, and the same bytes whichever way they are asked for.
async fn ranges(address: SocketAddr, base: &str, size: u64) -> Result<()> {
    let path = format!("{base}/file");
    let middle = size / 2;
    let wide =
        client::get(address, &path, Some(&format!("{middle}-{}", (middle + 999).min(size - 1)))).await?;
    ensure!(wide.status == 206, "a range is answered with {}", wide.status);
    let narrow = client::get(address, &path, Some(&format!("{middle}-{middle}"))).await?;
    ensure!(
        narrow.body.as_slice() == wide.body.get(..1).unwrap_or_default(),
        "one byte differs from the same in a range"
    );
    let suffix = client::get(address, &path, Some("-7")).await?;
    ensure!(suffix.body.len() as u64 == size.min(7), "a suffix of 7 bytes has {}", suffix.body.len());
    let beyond = client::get(address, &path, Some(&format!("{size}-"))).await?;
    ensure!(beyond.status == 416, "a range past the end is answered with {}", beyond.status);
    Ok(())
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// 0..n in an order that is mixed and always the same.
fn shuffled(n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|i| {
        let mut hasher = DefaultHasher::new();
        i.hash(&mut hasher);
        hasher.finish()
    });
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_holds_everything_once() {
        let mut order = shuffled(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
