//! Watches a film that is still in a swarm, over HTTP as a player would, and compares it with the same film cut from the
//! local file by a server of its own.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{
    boxes,
    playlist::{Playlist, addresses, join},
    swarm::Swarm,
};
use crate::{client, say};

/// The whole walk, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(90);
/// What a lie costs whoever tells it is decided once the piece's honest blocks are here.
const BAN_WAIT: Duration = Duration::from_secs(20);
/// Seconds that a magnet's metadata is waited for.
const METADATA_WAIT: f64 = 30.0;
/// Seconds that the end of a film's sound may be away from the end of its last GOP.
const LAST_OFF_S: f64 = 2.0;
/// Bytes of the file that are compared at a place.
const RANGE_BYTES: u64 = 200_000;

/// The film in the swarm, as the server names it.
#[derive(Clone, Debug)]
pub(super) struct Streamed {
    pub(super) video_id: String,
    pub(super) name: String,
}

/// Adds the swarm's magnet; waits for its metadata.
pub(super) async fn add(address: SocketAddr, magnet: &str) -> Result<Streamed> {
    let asked = json!({ "magnet": magnet, "wait": METADATA_WAIT });
    let torrent = client::post(address, "/api/v1/torrents", &asked).await?;
    let files =
        torrent["files"].as_array().ok_or_else(|| anyhow!("the metadata does not come: {torrent}"))?;
    let file = files.first().context("the torrent has no files")?;
    let text = |key: &str| file[key].as_str().map(str::to_owned).with_context(|| format!("no {key}: {file}"));
    Ok(Streamed { video_id: text("video_id")?, name: text("path")? })
}

/// Plays the beginning, seeks, plays the end; `local` is where `local_id` is the same film on disk.
pub(super) async fn check(
    address: SocketAddr,
    swarm: &Swarm,
    local: SocketAddr,
    local_id: &str,
) -> Result<()> {
    let walk = async {
        let started = Instant::now();
        let film = add(address, &swarm.magnet).await?;
        say(format_args!("{}: metadata after {}", film.name, since(started)));
        let walk = Walk {
            swarm: (address, format!("/api/v1/video/{}", film.video_id)),
            local: (local, format!("/api/v1/video/{local_id}")),
            torrent: format!("/api/v1/torrents/{}", swarm.info_hash),
            started,
        };
        walk.segments().await?;
        walk.bytes().await?;
        walk.banned(swarm).await
    };
    timeout(PATIENCE, walk).await.map_err(|_| anyhow!("it took longer than {PATIENCE:?}"))?
}

struct Walk {
    /// Where the film is in the swarm, and its address there.
    swarm: (SocketAddr, String),
    /// Where it is on disk.
    local: (SocketAddr, String),
    torrent: String,
    started: Instant,
}

impl Walk {
    /// What the swarm's film and the local one give.
    async fn both(&self, path: &str) -> Result<(Vec<u8>, Vec<u8>)> {
        let of = async |(address, base): &(SocketAddr, String)| {
            client::fetch(*address, &format!("{base}{path}")).await
        };
        Ok((of(&self.swarm).await?, of(&self.local).await?))
    }

    /// The same text or bytes from both.
    async fn same(&self, path: &str) -> Result<Vec<u8>> {
        let (streamed, cut) = self.both(path).await?;
        ensure!(
            streamed == cut,
            "{path}: {} bytes from the swarm differ from the local film's",
            streamed.len()
        );
        Ok(streamed)
    }

    /// Playlists, then of each rendition the first segment, one far away, the last, and one near the beginning.
    async fn segments(&self) -> Result<()> {
        let (master, local) = self.both("/master.m3u8").await?;
        let (master, local) = (String::from_utf8(master)?, String::from_utf8(local)?);
        // How long the last segment is, is known once it is here: the average over all is an estimate until then.
        ensure!(
            without_average(&master) == without_average(&local),
            "/master.m3u8: {master}\nis not {local}"
        );
        say(format_args!("master playlist after {}", since(self.started)));
        let mut renditions = Vec::new();
        for playlist in addresses(&master).iter().filter(|path| !path.contains("iframes/")) {
            let path = join("/master.m3u8", playlist);
            let (playlist, local) = self.both(&path).await?;
            let playlist = Playlist::parse(std::str::from_utf8(&playlist)?)?;
            same_segments(&playlist, &Playlist::parse(std::str::from_utf8(&local)?)?)
                .context(path.clone())?;
            if let Some(init) = &playlist.init {
                self.same(&join(&path, init)).await?;
            }
            renditions.push((path, playlist));
        }
        ensure!(renditions.iter().any(|(_, playlist)| playlist.init.is_some()), "nothing to play: {master}");
        for (what, at) in [("first segment", 0.0), ("a seek", 0.7), ("the end", 1.0), ("and back", 0.3)] {
            let asked = Instant::now();
            let before = self.have().await?;
            ensure!(before.0 < before.1, "{what}: the film is here already: nothing is proven");
            for (path, playlist) in &renditions {
                let segment = join(path, &at_part(playlist, at)?.address);
                if at < 1.0 {
                    self.same(&segment).await.context(what)?;
                } else {
                    let (streamed, cut) = self.both(&segment).await.context(what)?;
                    same_last(&streamed, &cut).with_context(|| format!("{what}: {segment}"))?;
                }
            }
            let (have, wanted) = self.have().await?;
            say(format_args!(
                "{what}, {} renditions: {} (of {} KiB {} are here)",
                renditions.len(),
                since(asked),
                wanted >> 10,
                have >> 10
            ));
        }
        Ok(())
    }

    /// The file itself, as VLC and mpv read it: the end, then the middle.
    async fn bytes(&self) -> Result<()> {
        let video: Value = serde_json::from_slice(
            &client::fetch(self.local.0, &self.local.1).await.context("the local film")?,
        )?;
        let size = video["size"].as_u64().context("the local film has no size")?;
        for at in [size - RANGE_BYTES, size / 2] {
            let range = format!("{at}-{}", at + RANGE_BYTES - 1);
            let of = async |(address, base): &(SocketAddr, String)| {
                client::get(*address, &format!("{base}/file"), Some(&range)).await
            };
            let (streamed, disk) = (of(&self.swarm).await?, of(&self.local).await?);
            ensure!(streamed.status == 206, "file, bytes {range}: {}", streamed.status);
            ensure!(streamed.body == disk.body, "file, bytes {range}: other bytes than the local film's");
        }
        say(format_args!("the file's bytes at two places after {}", since(self.started)));
        Ok(())
    }

    /// Who sent wrong blocks is not listened to any more, and no wrong byte got through (that was compared).
    async fn banned(&self, swarm: &Swarm) -> Result<()> {
        let begun = Instant::now();
        loop {
            let torrent = self.torrent().await?;
            let corrupt = torrent["corrupt"].as_u64().unwrap_or(0);
            let peers: Vec<Value> = serde_json::from_slice(
                &client::fetch(self.swarm.0, &format!("{}/peers", self.torrent)).await?,
            )?;
            let liar = swarm.liar.address.to_string();
            let connected = peers.iter().any(|peer| peer["address"] == liar.as_str());
            if corrupt > 0 && !connected && !swarm.liar.is_believed() {
                say(format_args!(
                    "the peer that sent {} wrong blocks is banned; {} KiB were taken from it and thrown away",
                    swarm.liar.blocks(),
                    corrupt >> 10
                ));
                return Ok(());
            }
            if begun.elapsed() > BAN_WAIT {
                bail!(
                    "the corrupting peer sent {} blocks and is {}; {corrupt} bytes were found to be corrupt",
                    swarm.liar.blocks(),
                    if connected { "still connected" } else { "gone" }
                );
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn torrent(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&client::fetch(self.swarm.0, &self.torrent).await?)?)
    }

    /// Bytes that are here, bytes that are wanted.
    async fn have(&self) -> Result<(u64, u64)> {
        let torrent = self.torrent().await?;
        let number = |key: &str| torrent[key].as_u64().with_context(|| format!("no {key}: {torrent}"));
        Ok((number("have")?, number("wanted")?))
    }
}

/// The same segments and times; how long the last one is, is stated by the file until it is here.
fn same_segments(streamed: &Playlist, local: &Playlist) -> Result<()> {
    ensure!(streamed.init == local.init, "another init segment");
    ensure!(streamed.segments.len() == local.segments.len(), "another number of segments");
    let last = local.segments.len() - 1;
    for (n, (here, there)) in streamed.segments.iter().zip(&local.segments).enumerate() {
        ensure!(here.address == there.address, "segment {n} is at {}, not {}", here.address, there.address);
        let off = (here.seconds - there.seconds).abs();
        let may_be = if n == last { LAST_OFF_S } else { 0.0 };
        ensure!(off <= may_be, "segment {n} lasts {} s, not {} s", here.seconds, there.seconds);
    }
    Ok(())
}

/// The same samples from the same time on; how long the very last one lasts is stated by the file until it is here.
fn same_last(streamed: &[u8], cut: &[u8]) -> Result<()> {
    if cut.starts_with(b"WEBVTT") {
        ensure!(streamed == cut, "other text than the local film's");
        return Ok(());
    }
    let (here, there) = (boxes::times(streamed)?, boxes::times(cut)?);
    ensure!(here.start == there.start, "begins at {}, not {}", here.start, there.start);
    ensure!(boxes::payload(streamed) == boxes::payload(cut), "other samples than the local film's");
    Ok(())
}

/// A multivariant playlist but for `AVERAGE-BANDWIDTH`.
fn without_average(master: &str) -> Vec<String> {
    let attributes = master.lines().map(|line| {
        let kept = line.split(',').filter(|attribute| !attribute.starts_with("AVERAGE-BANDWIDTH="));
        kept.collect::<Vec<_>>().join(",")
    });
    attributes.collect()
}

/// The segment that `part` (0 to 1) of a playlist's time is in.
fn at_part(playlist: &Playlist, part: f64) -> Result<&super::playlist::Segment> {
    let total: f64 = playlist.segments.iter().map(|segment| segment.seconds).sum();
    let mut end = 0.0;
    let found = playlist.segments.iter().find(|segment| {
        end += segment.seconds;
        total * part < end
    });
    found.or(playlist.segments.last()).context("the playlist has no segments")
}

fn since(started: Instant) -> String {
    format!("{:.2} s", started.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_segment_may_be_said_to_last_a_little_more_or_less() {
        let playlist = |a: f64, b: f64| {
            let text = format!("#EXTM3U\n#EXTINF:{a},\n0.m4s\n#EXTINF:{b},\n1.m4s\n#EXT-X-ENDLIST\n");
            Playlist::parse(&text).unwrap()
        };
        assert!(same_segments(&playlist(4.0, 3.0), &playlist(4.0, 3.0)).is_ok());
        assert!(same_segments(&playlist(4.0, 3.5), &playlist(4.0, 3.0)).is_ok());
        for (a, b) in [(4.0, 0.9), (4.0, 6.0), (4.1, 3.0), (3.9, 3.0)] {
            assert!(same_segments(&playlist(a, b), &playlist(4.0, 3.0)).is_err(), "{a} {b}");
        }
        assert_eq!(
            without_average("#X:BANDWIDTH=2,AVERAGE-BANDWIDTH=1,CODECS=\"a,b\""),
            ["#X:BANDWIDTH=2,CODECS=\"a,b\""]
        );
    }

    #[test]
    fn a_part_of_the_time_is_in_one_segment() {
        let playlist = Playlist::parse(
            "#EXTM3U\n#EXTINF:2,\n0.m4s\n#EXTINF:6,\n1.m4s\n#EXTINF:2,\n2.m4s\n#EXT-X-ENDLIST\n",
        )
        .unwrap();
        for (part, address) in [(0.0, "0.m4s"), (0.7, "1.m4s"), (0.9, "2.m4s"), (1.0, "2.m4s")] {
            assert_eq!(at_part(&playlist, part).unwrap().address, address, "{part}");
        }
    }
}
