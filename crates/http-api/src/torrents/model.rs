//! What torrents look like as JSON, and what may be said about them.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use engine::{
    FileIndex, FileInfo, Limits, PeerInfo, Pieces, Priority, SeedGoal, Snapshot, Torrent, TrackerInfo,
};
use library::{FileKind, ListedFile, Listing};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::{TorrentFile, Torrents, wait::WaitJson};
use crate::{
    disposition::media_type,
    limits::{NAMED_PEERS_MAX, NAMED_TRACKERS_MAX},
    problem::{Problem, echo},
};

/// A torrent: its state with the reason for any wait, and its files once they are known.
#[derive(Serialize, ToSchema)]
#[schema(as = Torrent)]
pub(super) struct TorrentJson {
    /// `info_hash`, `name`, `state`, `reason`, `size`, `have`, `progress`, rates, peers and the like; see the answer.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    snapshot: Snapshot,
    /// Leads to it.
    magnet: String,
    /// The `video_id` to play when the torrent as a whole is meant: a series' first episode, the first of numbered
    /// lessons, or the biggest film that is neither sample nor extra; of music, the first piece. `null` until the metadata
    /// is here, and where nothing can be played.
    default_video: Option<String>,
    /// The longest wait of those who read it; `null` when nobody waits.
    wait: Option<WaitJson>,
    /// `null` until the metadata is here.
    files: Option<Vec<FileJson>>,
}

impl TorrentJson {
    pub(super) async fn of(torrents: &Torrents, torrent: &Torrent) -> Result<Self, Problem> {
        let snapshot = torrent.snapshot();
        let mut whole = Self {
            wait: snapshot.wait().map(WaitJson::of),
            snapshot: Snapshot::clone(&snapshot),
            magnet: torrent.magnet(),
            default_video: None,
            files: None,
        };
        if let Ok(files) = torrent.files() {
            let listing = torrents.listing(torrent).await?;
            whole.default_video = listing.default_file().map(|index| video_id(torrent, FileIndex(index)));
            whole.files = Some(files_json(torrent, files, &listing));
        }
        Ok(whole)
    }
}

/// A file of a torrent.
#[derive(Serialize, ToSchema)]
#[schema(as = TorrentFile)]
pub(super) struct FileJson {
    /// `index`, `path`, `size`, `have`, `priority` (`skip`, `low`, `normal`, `high`), `pad`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    info: FileInfo,
    /// Names it in `/api/v1/video/{video_id}…`; the bytes of any file can be had there.
    video_id: String,
    media_type: &'static str,
    /// `video`, `audio`, `subtitle`, `sample`, `extra`, `image`, `text`, `other`: by its name and size.
    #[schema(value_type = String)]
    kind: FileKind,
    /// Whether there is something to play, by its name.
    playable: bool,
    /// What to call it: the film's title, or the series with index and episode title. `null` where nothing is to play.
    title: Option<String>,
    year: Option<u16>,
    /// `S01E02`, `S01E02-E03`.
    episode: Option<String>,
}

impl FileJson {
    fn of(torrent: &Torrent, info: FileInfo, listed: Option<&ListedFile>) -> Self {
        Self {
            video_id: video_id(torrent, info.index),
            media_type: media_type(&info.path),
            kind: listed.map_or(FileKind::Other, |listed| listed.kind),
            playable: listed.is_some_and(|listed| listed.playable),
            title: listed.map(|listed| listed.title.clone()).filter(|title| !title.is_empty()),
            year: listed.and_then(|listed| listed.year),
            episode: listed.and_then(|listed| listed.episode).map(|episode| episode.to_string()),
            info,
        }
    }
}

fn video_id(torrent: &Torrent, file: FileIndex) -> String {
    TorrentFile { info_hash: torrent.info_hash(), file }.to_string()
}

pub(super) fn files_json(torrent: &Torrent, files: Vec<FileInfo>, listing: &Listing) -> Vec<FileJson> {
    files
        .into_iter()
        .map(|info| {
            let listed = listing.file(info.index.0);
            FileJson::of(torrent, info, listed)
        })
        .collect()
}

/// Peers as they are, for the description only.
#[derive(ToSchema)]
#[schema(as = Peer, value_type = Object)]
#[expect(dead_code, reason = "describes another crate's type")]
pub(super) struct PeerSchema(PeerInfo);

/// Trackers as they are, for the description only.
#[derive(ToSchema)]
#[schema(as = Tracker, value_type = Object)]
#[expect(dead_code, reason = "describes another crate's type")]
pub(super) struct TrackerSchema(TrackerInfo);

/// Runs of pieces, for the description only.
#[derive(ToSchema)]
#[schema(as = Pieces, value_type = Object)]
#[expect(dead_code, reason = "describes another crate's type")]
pub(super) struct PiecesSchema(Pieces);

/// What is added, and how. One of `magnet` and `url`, unless the `.torrent` itself comes with it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = AddTorrent)]
pub(super) struct AddJson {
    /// A magnet link, or an info-hash alone.
    pub(super) magnet: Option<String>,
    /// Where a `.torrent` is (`http`, `https`).
    pub(super) url: Option<String>,
    /// Patterns of the files that are wanted (`*`, `?`); absent: all.
    pub(super) select: Option<Vec<String>>,
    /// Numbers of the files that are wanted; absent: all.
    pub(super) files: Option<Vec<u32>>,
    /// Peers to try, `address:port`.
    #[schema(value_type = Vec<String>)]
    pub(super) peers: Vec<SocketAddr>,
    /// Trackers beside its own; ignored for private torrents.
    pub(super) trackers: Vec<String>,
    /// In order rather than rarest first.
    pub(super) sequential: bool,
    /// It is added to be watched: nothing is fetched but what is read, until a file counts as watched; then what the server's
    /// `torrent.when_watched` says. Not with `select` or `files`.
    pub(super) watch: bool,
    /// Not started until resumed.
    pub(super) paused: bool,
    /// Hash what is on disk, whatever is remembered.
    pub(super) recheck: bool,
    /// Seed until this many times its size was given.
    pub(super) seed_ratio: Option<f64>,
    /// Seed for so many seconds.
    pub(super) seed_time: Option<f64>,
    /// Bytes a second.
    pub(super) download_limit: Option<u64>,
    /// Bytes a second.
    pub(super) upload_limit: Option<u64>,
    /// Seconds to wait for a magnet's metadata before answering, at most 30 [default: 2].
    pub(super) wait: Option<f64>,
}

impl AddJson {
    pub(super) fn check(&self) -> Result<(), Problem> {
        at_most("peers", self.peers.len(), NAMED_PEERS_MAX)?;
        at_most("trackers", self.trackers.len(), NAMED_TRACKERS_MAX)?;
        if self.select.is_some() && self.files.is_some() {
            return Err(Problem::bad_request("both select and files are given: name the files one way"));
        }
        if self.watch && (self.select.is_some() || self.files.is_some()) {
            return Err(Problem::bad_request("watch is given with select or files: what is watched decides"));
        }
        self.seed_goal().map(|_| ())
    }

    pub(super) fn seed_goal(&self) -> Result<Option<SeedGoal>, Problem> {
        if self.seed_ratio.is_none() && self.seed_time.is_none() {
            return Ok(None);
        }
        goal(self.seed_ratio, self.seed_time).map(Some)
    }
}

/// What is to be otherwise. What is absent stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = ChangeTorrent)]
pub(super) struct ChangeJson {
    /// By number: `skip`, `low`, `normal`, `high`.
    #[schema(value_type = Object)]
    pub(super) files: BTreeMap<u32, Priority>,
    /// Bytes a second; `null` is without limit.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    pub(super) download_limit: Option<Option<u64>>,
    /// Bytes a second; `null` is without limit.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    pub(super) upload_limit: Option<Option<u64>>,
    /// In order rather than rarest first.
    pub(super) sequential: Option<bool>,
    /// `{ratio, time}`; `null` is what the server does.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<Object>)]
    pub(super) seed_goal: Option<Option<GoalJson>>,
    /// Peers to try, `address:port`.
    #[schema(value_type = Vec<String>)]
    pub(super) peers: Vec<SocketAddr>,
}

/// How long to seed; nothing is for ever.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct GoalJson {
    ratio: Option<f64>,
    /// Seconds.
    time: Option<f64>,
}

impl ChangeJson {
    pub(super) fn check(&self) -> Result<(), Problem> {
        at_most("peers", self.peers.len(), NAMED_PEERS_MAX)
    }

    pub(super) fn priorities(&self) -> Vec<(FileIndex, Priority)> {
        self.files.iter().map(|(file, priority)| (FileIndex(*file), *priority)).collect()
    }

    /// The new limits, if either is to change.
    pub(super) fn limits(&self, now: Limits) -> Option<Limits> {
        (self.download_limit.is_some() || self.upload_limit.is_some()).then(|| Limits {
            download: self.download_limit.unwrap_or(now.download),
            upload: self.upload_limit.unwrap_or(now.upload),
        })
    }
}

impl GoalJson {
    pub(super) fn goal(&self) -> Result<SeedGoal, Problem> {
        goal(self.ratio, self.time)
    }
}

fn goal(ratio: Option<f64>, time: Option<f64>) -> Result<SeedGoal, Problem> {
    if let Some(ratio) = ratio.filter(|ratio| !ratio.is_finite() || *ratio < 0.0) {
        return Err(Problem::bad_request(format!("a seeding ratio of {ratio}: expected a number from 0 on")));
    }
    let time = time
        .map(|seconds| {
            Duration::try_from_secs_f64(seconds).map_err(|_| {
                Problem::bad_request(format!("a seeding time of {seconds}: expected seconds from 0 on"))
            })
        })
        .transpose()?;
    Ok(SeedGoal { ratio, time })
}

fn at_most(what: &str, count: usize, limit: usize) -> Result<(), Problem> {
    if count > limit {
        return Err(Problem::bad_request(format!("{what} holds {count}, the limit is {limit}")));
    }
    Ok(())
}

/// Tells `null` from absent.
#[expect(clippy::option_option, reason = "absent, null and a value are three things in a patch")]
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Reads a request's JSON.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::bad_request(format!("the body: {}", echo_error(&error))))
}

fn echo_error(error: &serde_json::Error) -> String {
    // serde repeats what it found: enough of it to recognise.
    echo(&error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_takes_a_limit_away_and_absence_leaves_it() {
        let now = Limits { download: Some(5), upload: Some(7) };
        let change: ChangeJson = parse(br#"{"download_limit": null}"#).unwrap();
        assert_eq!(change.limits(now), Some(Limits { download: None, upload: Some(7) }));
        let change: ChangeJson = parse(br#"{"upload_limit": 9}"#).unwrap();
        assert_eq!(change.limits(now), Some(Limits { download: Some(5), upload: Some(9) }));
        let change: ChangeJson = parse(br#"{"files": {"3": "skip", "0": "high"}}"#).unwrap();
        assert_eq!(change.limits(now), None);
        assert_eq!(change.priorities(), [(FileIndex(0), Priority::High), (FileIndex(3), Priority::Skip)]);
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for (body, named) in [
            (&b"{\"magnt\": \"x\"}"[..], "magnt"),
            (b"{\"peers\": [\"nowhere\"]}", "socket address"),
            (b"[", "EOF"),
        ] {
            let problem = parse::<AddJson>(body).unwrap_err().to_string();
            assert!(problem.contains(named), "{problem}");
        }
        assert!(parse::<AddJson>(br#"{"magnet":"x","seed_ratio":-1}"#).unwrap().check().is_err());
        assert!(parse::<AddJson>(br#"{"magnet":"x","seed_time":1e300}"#).unwrap().check().is_err());
        assert!(parse::<ChangeJson>(br#"{"files":{"0":"urgent"}}"#).is_err());
        assert!(parse::<AddJson>(br#"{"magnet":"x","watch":true,"files":[0]}"#).unwrap().check().is_err());
    }
}
