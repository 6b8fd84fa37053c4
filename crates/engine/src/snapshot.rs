//! What is known of a session and its torrents at one moment, for people and programs: plain values, ready for JSON.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use metainfo::{FileIndex, InfoHash};
use serde::{Deserialize, Serialize};

use crate::{Limits, Playback, SeedGoal, Wait};

/// What a torrent is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Looking for peers that have its metadata.
    Metadata,
    /// Hashing what is on disk.
    Checking,
    /// Fetching what is wanted, or what somebody reads.
    Downloading,
    /// Everything wanted is here; given to whoever asks.
    Seeding,
    /// Everything wanted is here and the seeding goal is reached; at rest.
    Finished,
    /// Nobody reads it, and it has stopped because of that (`when_idle`), or nothing of it is wanted and nothing is here; goes
    /// on when somebody does.
    Idle,
    /// Stopped by the user.
    Paused,
    /// Stopped by an error; the reason says which.
    Failed,
}

/// How much a file is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Not at all.
    Skip,
    /// After the others.
    Low,
    /// Like any other.
    #[default]
    Normal,
    /// Before the others.
    High,
}

/// What removing a torrent now would leave owed to a tracker's rules: the hit-and-run guard.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Owes {
    /// The tracker's host.
    pub tracker: String,
    /// What the tracker asks for.
    pub goal: SeedGoal,
    /// What is missing, in words.
    pub detail: String,
}

/// A torrent at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// Which it is.
    pub info_hash: InfoHash,
    /// Its name; of a magnet without metadata its `dn`.
    pub name: Option<String>,
    /// What it is doing.
    pub state: State,
    /// Why it waits or stopped, in facts.
    pub reason: Option<String>,
    /// Whether it is private (BEP 27); `None` until the metadata is here.
    pub private: Option<bool>,
    /// Where its files are.
    pub output: String,
    /// Bytes of all files; `None` until the metadata is here.
    pub size: Option<u64>,
    /// Bytes of the wanted files.
    pub wanted: u64,
    /// Bytes of the wanted files that are here and verified.
    pub have: u64,
    /// From 0 to 1: of `wanted`, or of the hashing while it is checked.
    pub progress: f64,
    /// How many pieces there are.
    pub pieces: u32,
    /// How many of them are here.
    pub pieces_have: u32,
    /// Bytes of a piece.
    pub piece_length: u32,
    /// Payload bytes a second that arrive.
    pub download_rate: u64,
    /// Payload bytes a second that leave.
    pub upload_rate: u64,
    /// Payload bytes taken, ever.
    pub downloaded: u64,
    /// Payload bytes given, ever.
    pub uploaded: u64,
    /// Payload bytes taken that were of no use: twice, or not asked for.
    pub wasted: u64,
    /// Payload bytes taken that did not match their hash.
    pub corrupt: u64,
    /// `uploaded` over what is wanted.
    pub ratio: f64,
    /// Seconds until everything wanted is here at the present rate.
    pub eta: Option<f64>,
    /// Peers connected.
    pub peers: usize,
    /// Of those, how many have everything.
    pub seeds: usize,
    /// Peers known and not connected.
    pub candidates: usize,
    /// Web seeds in use.
    pub web_seeds: usize,
    /// When it was added, RFC 3339.
    #[serde(with = "time")]
    pub added: SystemTime,
    /// When everything wanted was here, RFC 3339.
    #[serde(with = "time_option")]
    pub completed: Option<SystemTime>,
    /// Seconds of seeding, ever.
    #[serde(with = "seconds")]
    pub seeding_time: Duration,
    /// How long it is to seed.
    pub seed_goal: SeedGoal,
    /// What removing it now would leave owed.
    pub owes: Vec<Owes>,
    /// Its own rate limits.
    pub limits: Limits,
    /// In order rather than rarest first.
    pub sequential: bool,
    /// Readers that are open.
    pub readers: usize,
    /// Who reads it and what they wait for; `None` when nobody does. Not part of the JSON.
    #[serde(skip)]
    pub playback: Option<Arc<Playback>>,
}

impl Snapshot {
    /// The longest wait of those who read it; `None` when nobody waits.
    #[must_use]
    pub fn wait(&self) -> Option<&Wait> {
        self.playback.as_ref()?.wait.as_ref()
    }
}

/// A file of a torrent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileInfo {
    /// Its number, pad files counted.
    pub index: FileIndex,
    /// Where it is beneath the torrent's output folder, `/` between the parts; safe to show and to open.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Bytes that are here and verified.
    pub have: u64,
    /// How much it is wanted.
    pub priority: Priority,
    /// Zeros between files (BEP 47); never on disk.
    pub pad: bool,
}

/// A peer of a torrent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeerInfo {
    /// Where it is.
    pub address: SocketAddr,
    /// What it calls itself.
    pub client: Option<String>,
    /// `tcp`, `utp` or `web`.
    pub transport: &'static str,
    /// Whether the connection is obfuscated.
    pub encrypted: bool,
    /// Whether it connected to us.
    pub incoming: bool,
    /// How it became known: `tracker`, `dht`, `pex`, `lsd`, `given`, `incoming`.
    pub source: &'static str,
    /// From 0 to 1: how much of the torrent it has.
    pub progress: f64,
    /// Payload bytes a second from it.
    pub download_rate: u64,
    /// Payload bytes a second to it.
    pub upload_rate: u64,
    /// Payload bytes from it.
    pub downloaded: u64,
    /// Payload bytes to it.
    pub uploaded: u64,
    /// Whether it lets us ask.
    pub choking: bool,
    /// Whether it wants what we have.
    pub interested: bool,
    /// Whether we let it ask.
    pub choked: bool,
    /// Whether we want what it has.
    pub interesting: bool,
    /// Blocks asked for and not here.
    pub requests: usize,
}

/// What a tracker last said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackerState {
    /// Not asked yet.
    Idle,
    /// Being asked.
    Announcing,
    /// It answered.
    Working,
    /// It did not, or refused.
    Failing,
    /// Never asked, by the rules of a private torrent or of the egress.
    Disabled,
}

/// A tracker of a torrent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrackerInfo {
    /// Its address, without what identifies the user.
    pub url: String,
    /// Which tier it is in (BEP 12), from 0.
    pub tier: usize,
    /// What it last said.
    pub state: TrackerState,
    /// Its words or the error's.
    pub message: Option<String>,
    /// Seconds until it is asked next.
    pub next_announce: Option<f64>,
    /// Seeders it knows.
    pub seeders: Option<u64>,
    /// Leechers it knows.
    pub leechers: Option<u64>,
    /// Downloads it has seen.
    pub completed: Option<u64>,
}

/// What is known of one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PieceState {
    /// Here and verified.
    Have,
    /// Partly here, or asked for.
    Partial,
    /// Not here.
    Missing,
    /// Not here and not wanted.
    Skipped,
}

/// The pieces of a torrent, as runs: the state and how many in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pieces {
    /// How many pieces there are.
    pub count: u32,
    /// Bytes of every piece but the last.
    pub piece_length: u32,
    /// Runs of pieces in one state, in order.
    pub runs: Vec<(PieceState, u32)>,
}

/// A session at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionStats {
    /// Torrents.
    pub torrents: usize,
    /// Peers connected.
    pub peers: usize,
    /// Payload bytes a second that arrive.
    pub download_rate: u64,
    /// Payload bytes a second that leave.
    pub upload_rate: u64,
    /// Payload bytes taken since the start.
    pub downloaded: u64,
    /// Payload bytes given since the start.
    pub uploaded: u64,
    /// The port that peers connect to.
    pub listen_port: Option<u16>,
    /// Nodes in the DHT's table.
    pub dht_nodes: usize,
    /// Why no packet leaves, when none does.
    pub blocked: Option<String>,
    /// Rates over all torrents.
    pub limits: Limits,
}

/// Seconds since 1970 as RFC 3339 in UTC.
fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days to a date after Howard Hinnant's civil_from_days: years begin in March, so that the leap day is last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

pub(crate) mod time {
    use std::time::SystemTime;

    pub(crate) fn serialize<S: serde::Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::rfc3339(*time))
    }
}

mod time_option {
    use std::time::SystemTime;

    pub(super) fn serialize<S: serde::Serializer>(
        time: &Option<SystemTime>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => to.serialize_some(&super::rfc3339(*time)),
            None => to.serialize_none(),
        }
    }
}

mod seconds {
    use std::time::Duration;

    pub(super) fn serialize<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(time.as_secs_f64())
    }
}

pub(crate) mod seconds_option {
    use std::time::Duration;

    use serde::Deserialize;

    pub(crate) fn serialize<S: serde::Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => to.serialize_some(&time.as_secs_f64()),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(from)?;
        seconds
            .map(|seconds| Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_274_412, "2026-11-21T15:20:12Z"),
        ] {
            assert_eq!(rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
