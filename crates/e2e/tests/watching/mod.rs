//! A film, its seeders, and a server that watches it; and the same film as it is cut when it is all here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use e2e::{
    film::{bytes, text},
    fixtures,
    playlist::{Master, Media},
    reels::reel,
    server::Server as Library,
    swarm::{Recipe, Share, clients::Libtorrent, ours::Server},
};
use serde_json::{Value, json};

/// Small, so that a film of a few MiB has many.
const PIECE_LENGTH: u64 = 64 << 10;

/// What may come twice whatever was fetched: a start must be able to race a peer that does not answer.
const WASTE_FLOOR: f64 = 8.0 * 16_384.0;

pub(crate) struct Watching {
    pub(crate) share: Share,
    pub(crate) seeders: Vec<Libtorrent>,
    pub(crate) server: Server,
}

impl Watching {
    /// So many seeders of `rate` bytes a second each.
    pub(crate) fn start(name: &str, seeders: usize, rate: u64) -> Result<Self> {
        let recipe = Recipe { piece_length: PIECE_LENGTH, ..Recipe::default() };
        let share = Share::of(&reel(name)?, &recipe)?;
        let limit = rate.to_string();
        let seeders = (0..seeders)
            .map(|_| Libtorrent::seed(&share, &["--upload-limit", &limit]))
            .collect::<Result<_>>()?;
        let server = Server::start(&share, &[])?;
        Ok(Self { share, seeders, server })
    }

    pub(crate) fn id(&self) -> String {
        format!("{}-0", self.share.info_hash)
    }

    /// Names its seeders (`x.pe`).
    pub(crate) fn magnet(&self) -> String {
        let peers: String = self.seeders.iter().map(|seeder| format!("&x.pe={}", seeder.address)).collect();
        format!("magnet:?xt=urn:btih:{}{peers}", self.share.info_hash)
    }

    /// Adds it so that nothing is wanted but what is read.
    pub(crate) fn add(&self) -> Result<()> {
        let body = json!({ "magnet": self.magnet(), "files": [], "wait": 20 });
        let torrent = self.server.json("POST", "/api/v1/torrents", Some(&body))?;
        ensure!(torrent["files"][0]["video_id"] == self.id(), "no metadata: {torrent}");
        Ok(())
    }

    /// The multivariant playlist without this film's id, and every media playlist that it names, by the rest of its path.
    pub(crate) fn playlists(&self, container: &str) -> Result<(String, BTreeMap<String, String>)> {
        let get = |path: &str| text(self.server.http, path);
        playlists(&get, &self.id(), container)
    }

    /// Removes it with what arrived, unless it took more than it should.
    pub(crate) fn end(&self, how: &str, waste_most: f64) -> Result<()> {
        let at = format!("/api/v1/torrents/{}", self.share.info_hash);
        self.server.json("POST", &format!("{at}/pause"), None)?;
        let torrent =
            self.server.wait(&self.share.info_hash, "a pause", |torrent| torrent["state"] == "paused")?;
        let (took, wasted) =
            (torrent["downloaded"].as_f64().unwrap_or(0.0), torrent["wasted"].as_f64().unwrap_or(f64::MAX));
        ensure!(torrent["corrupt"] == 0, "{how}: corrupt: {torrent}");
        ensure!(wasted <= took * waste_most + WASTE_FLOOR, "{how}: {wasted} of {took} bytes wasted");
        self.server.json("DELETE", &format!("{at}?data=remove"), None)?;
        ensure!(!self.share.leech_dir().join(&self.share.name).exists(), "{how}: the file is still there");
        Ok(())
    }
}

type Playlists = (String, BTreeMap<String, String>);

fn playlists(get: &dyn Fn(&str) -> Result<String>, id: &str, container: &str) -> Result<Playlists> {
    let base = format!("/api/v1/video/{id}/");
    let path = format!("{base}master.m3u8?container={container}");
    let text = get(&path)?;
    let master = Master::parse(&path, &text)?;
    let all = master.variants.iter().chain(&master.media).chain(&master.iframes);
    let mut playlists = BTreeMap::new();
    for uri in all.filter_map(|entry| entry.uri.clone()) {
        let rest = uri.strip_prefix(&base).with_context(|| format!("{uri} is of another film"))?;
        playlists.insert(rest.to_owned(), get(&uri)?);
    }
    Ok((text, playlists))
}

/// What the local library gives of a film; paths without `/api/v1/video/{id}/`.
pub(crate) struct Known {
    pub(crate) master: String,
    pub(crate) playlists: BTreeMap<String, String>,
    /// Init segments too.
    pub(crate) segments: BTreeMap<String, Vec<u8>>,
    order: Vec<String>,
}

impl Known {
    /// As the library cuts it.
    pub(crate) fn local(share: &Share) -> Result<Self> {
        let scratch = tempfile::tempdir()?;
        let server = Library::headwater(&fixtures::binary()?, &share.seed_dir(), scratch.path(), false)?;
        let id = server.videos(1)?.remove(&share.name).context("the film is not in the library")?;
        Self::fetch(server.address, &id, &share.name)
    }

    /// As it comes while it downloads, in order.
    pub(crate) fn in_progress(watching: &Watching) -> Result<Self> {
        Self::fetch(watching.server.http, &watching.id(), &watching.share.name)
    }

    fn fetch(server: SocketAddr, id: &str, name: &str) -> Result<Self> {
        let base = format!("/api/v1/video/{id}/");
        let rest = |uri: &str| uri.strip_prefix(&base).map(str::to_owned).context("another film's");
        let get = |path: &str| text(server, path);
        let (master, first) = playlists(&get, id, "fmp4")?;
        let mut all = vec![first.clone()];
        // VP9 has no place in MPEG-TS.
        if !name.ends_with("webm") {
            all.push(playlists(&get, id, "ts")?.1);
        }
        // By their place, so that renditions go side by side as a player takes them.
        let mut order: BTreeSet<(usize, String)> = BTreeSet::new();
        for (path, text) in all.iter().flatten() {
            let playlist = Media::parse(&format!("{base}{path}"), text)?;
            if let Some(map) = &playlist.map {
                order.insert((0, rest(map)?));
            }
            for (n, segment) in playlist.segments.iter().enumerate() {
                order.insert((n, rest(&segment.uri)?));
            }
        }
        let order: Vec<String> = order.into_iter().map(|(_, path)| path).collect();
        let mut segments = BTreeMap::new();
        for path in &order {
            segments.insert(path.clone(), bytes(server, &format!("{base}{path}"))?);
        }
        Ok(Self { master, playlists: first, segments, order })
    }

    /// Init and media segments of a rendition, as a file would have them.
    pub(crate) fn rendition(&self, name: &str) -> Vec<&Vec<u8>> {
        let init = self.segments.get(&format!("{name}/init.mp4"));
        let media = (0..).map_while(|n| self.segments.get(&format!("{name}/{n}.m4s")));
        init.into_iter().chain(media).collect()
    }

    pub(crate) fn in_order(&self) -> Vec<&String> {
        self.order.iter().collect()
    }

    pub(crate) fn shuffled(&self, mut seed: u64) -> Vec<&String> {
        let mut order = self.in_order();
        for i in (1..order.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            order.swap(i, usize::try_from(seed >> 33).unwrap() % (i + 1));
        }
        order
    }
}

/// The pieces that the index and the first `seconds` of pictures lie in, as ffprobe and the file's bytes tell.
pub(crate) fn needed(share: &Share, seconds: f64) -> Result<BTreeSet<u64>> {
    let path = share.seed_dir().join(&share.name);
    let file = fs::read(&path)?;
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time,pos,size,flags"])
        .args(["-of", "json"])
        .arg(&path)
        .output()?;
    let found: Value = serde_json::from_slice(&output.stdout)?;
    let number = |packet: &Value, key: &str| packet[key].as_str().and_then(|text| text.parse::<f64>().ok());
    let packets = found["packets"].as_array().context("no packets")?;
    let mut ranges = index(&file)?;
    let mut keys = 0;
    let begin = packets.iter().filter_map(|packet| number(packet, "pts_time")).fold(f64::MAX, f64::min);
    for packet in packets {
        let (Some(at), Some(pos), Some(size)) =
            (number(packet, "pts_time"), number(packet, "pos"), number(packet, "size"))
        else {
            continue;
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "offsets of a small file"
        )]
        let range = (pos as u64, (pos + size) as u64);
        let is_key = packet["flags"].as_str().is_some_and(|flags| flags.starts_with('K'));
        keys += usize::from(is_key);
        if at - begin < seconds - 0.001 {
            ranges.push(range);
        } else if is_key && keys == 2 {
            // Looked at before the playlist is written: whether GOPs are open.
            ranges.push((range.0, range.0 + 1));
        }
    }
    let pieces = |(from, to): &(u64, u64)| from / PIECE_LENGTH..=(to - 1) / PIECE_LENGTH;
    Ok(ranges.iter().flat_map(pieces).collect())
}

/// Where the index is: the head, and what it points at.
fn index(file: &[u8]) -> Result<Vec<(u64, u64)>> {
    let len = file.len() as u64;
    let mut ranges = vec![(0, 1)];
    if file.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) {
        // Cues; ffmpeg writes them behind the last cluster.
        let cues = file.windows(4).rposition(|id| id == [0x1c, 0x53, 0xbb, 0x6b]).context("no Cues")?;
        ranges.push((cues as u64, len));
        return Ok(ranges);
    }
    let mut at = 0;
    while at + 8 <= len {
        let head = &file[usize::try_from(at)?..];
        let mut size = u64::from(u32::from_be_bytes(head[..4].try_into()?));
        if size == 1 {
            size = u64::from_be_bytes(head[8..16].try_into()?);
        }
        ensure!(size >= 8, "a box of {size} bytes at {at}");
        // Of what is no index the head says how long it is.
        let all = [&b"moov"[..], b"moof", b"sidx", b"mfra"].contains(&&head[4..8]);
        ranges.push((at, if all { at + size } else { at + 16.min(size) }));
        at += size;
    }
    Ok(ranges)
}
