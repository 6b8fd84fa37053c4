//! What a session and a torrent are told at their start. Where the values come from (flags, files) is the surface's affair.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use bytes::Bytes;
use metainfo::{FileIndex, InfoHash};
use serde::{Deserialize, Serialize};

/// Whether connections are obfuscated (MSE).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// Asked for first; plain when the peer knows no other.
    #[default]
    Prefer,
    /// RC4 or no connection.
    Require,
    /// Plain only.
    Disable,
}

/// Where the bytes of torrents live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StorageKind {
    /// Files beneath the download directory.
    #[default]
    Disk,
    /// Memory, up to [`Config::memory_limit`] for each torrent: what is furthest behind every reader goes first.
    Memory,
}

/// What is fetched, beside what its readers ask for, of a torrent that was added to be [watched](Add::watch).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenWatched {
    /// The file that is watched, to its end.
    #[default]
    File,
    /// Every file.
    Torrent,
    /// Nothing. Of a private torrent the file all the same: its tracker counts what is begun and not finished.
    Read,
}

/// What becomes of a public torrent that was added to be [watched](Add::watch) when nobody reads it any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenIdle {
    /// It is finished and seeded, as any other.
    #[default]
    Seed,
    /// It stops, until somebody reads it again.
    Pause,
}

/// How long to seed: until the first goal that is stated is reached. Without any, for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeedGoal {
    /// Bytes uploaded over bytes of the wanted files.
    pub ratio: Option<f64>,
    /// Seconds of seeding.
    #[serde(with = "crate::snapshot::seconds_option")]
    pub time: Option<Duration>,
}

impl SeedGoal {
    /// Stops as soon as everything wanted is here.
    pub const AT_ONCE: Self = Self { ratio: Some(0.0), time: None };
    /// Seeds until stopped.
    pub const FOREVER: Self = Self { ratio: None, time: None };
}

/// Upper bounds of rates, in bytes a second; `None` is without bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// What is taken.
    pub download: Option<u64>,
    /// What is given.
    pub upload: Option<u64>,
}

/// Opening a film and looking at its index takes a few seconds on a slow line.
const WATCHED_AFTER: Duration = Duration::from_secs(10);
/// A player that pauses for longer has to find its way back.
const IDLE_AFTER: Duration = Duration::from_secs(180);

/// What a session is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where torrents go that name no output of their own.
    pub download_dir: PathBuf,
    /// Where metadata, resume data and the DHT's table are kept.
    pub state_dir: PathBuf,
    /// Whether torrents remembered in `state_dir` are taken up again at the start (`serve`), or only those that are added
    /// again (`download`).
    pub restore: bool,
    /// TCP and UDP port; 0 is any free one.
    pub listen_port: u16,
    /// Addresses to listen on; empty is every one of the bound interface.
    pub listen_addresses: Vec<IpAddr>,
    /// Whether peers may connect at all.
    pub listen: bool,
    /// Every swarm packet leaves through this interface, or not at all.
    pub bind_interface: Option<String>,
    /// `socks5://[user:password@]host:port`: every swarm packet goes through it, or nowhere.
    pub proxy: Option<String>,
    /// Find peers over the DHT (BEP 5, 32).
    pub dht: bool,
    /// Where the DHT is entered, as `host:port`; empty is the well-known nodes.
    pub dht_bootstrap: Vec<String>,
    /// Exchange peers with peers (BEP 11).
    pub pex: bool,
    /// Find peers in the local network (BEP 14).
    pub lsd: bool,
    /// Ask the router to map the port (UPnP, NAT-PMP, PCP).
    pub port_mapping: bool,
    /// Speak uTP (BEP 29).
    pub utp: bool,
    /// Speak TCP; off is for tests of uTP.
    pub tcp: bool,
    /// Obfuscation of connections.
    pub encryption: Encryption,
    /// Rates over all torrents.
    pub limits: Limits,
    /// Connections over all torrents.
    pub peers_max: usize,
    /// Connections of one torrent.
    pub peers_per_torrent_max: usize,
    /// Where bytes live.
    pub storage: StorageKind,
    /// Bytes that [`StorageKind::Memory`] may hold.
    pub memory_limit: u64,
    /// What is fetched beside what is read.
    pub when_watched: WhenWatched,
    /// Who has read a file for so long watches it; less is looking what it is.
    pub watched_after: Duration,
    /// What becomes of what nobody reads.
    pub when_idle: WhenIdle,
    /// After so long without a read nobody reads it.
    pub idle_after: Duration,
    /// Lists of addresses never spoken to: p2p, DAT or CIDR lines.
    pub ip_filters: Vec<PathBuf>,
    /// How long torrents seed that have no goal of their own.
    pub seed_goal: SeedGoal,
    /// What trackers ask for, by host name: removal before it is reached is warned of.
    pub tracker_goals: BTreeMap<String, SeedGoal>,
}

impl Config {
    /// The defaults, for torrents in `download_dir` that are remembered in `state_dir`.
    #[must_use]
    pub fn new(download_dir: impl Into<PathBuf>, state_dir: impl Into<PathBuf>) -> Self {
        Self {
            download_dir: download_dir.into(),
            state_dir: state_dir.into(),
            restore: false,
            listen_port: 0,
            listen_addresses: Vec::new(),
            listen: true,
            bind_interface: None,
            proxy: None,
            dht: true,
            dht_bootstrap: Vec::new(),
            pex: true,
            lsd: true,
            port_mapping: true,
            utp: true,
            tcp: true,
            encryption: Encryption::Prefer,
            limits: Limits::default(),
            peers_max: 500,
            peers_per_torrent_max: 80,
            storage: StorageKind::Disk,
            memory_limit: 1 << 30,
            when_watched: WhenWatched::default(),
            watched_after: WATCHED_AFTER,
            when_idle: WhenIdle::default(),
            idle_after: IDLE_AFTER,
            ip_filters: Vec::new(),
            seed_goal: SeedGoal::FOREVER,
            tracker_goals: BTreeMap::new(),
        }
    }

    /// The defaults for tests and demonstrations: 127.0.0.1 only, nobody is looked for and no router is asked.
    #[must_use]
    pub fn loopback(download_dir: impl Into<PathBuf>, state_dir: impl Into<PathBuf>) -> Self {
        Self {
            listen_addresses: vec![IpAddr::from([127, 0, 0, 1])],
            dht: false,
            lsd: false,
            port_mapping: false,
            ..Self::new(download_dir, state_dir)
        }
    }
}

/// What is added.
#[derive(Clone, Debug)]
pub enum Source {
    /// A `magnet:` link (BEP 9).
    Magnet(String),
    /// The bytes of a `.torrent` (BEP 3).
    Metainfo(Bytes),
    /// A hash alone; its metadata comes from the swarm.
    InfoHash(InfoHash),
}

/// Which files are wanted at first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Select {
    /// Every file; of a magnet, those of its `so` (BEP 53).
    #[default]
    All,
    /// None: only what readers ask for.
    Nothing,
    /// Those of these numbers.
    Files(Vec<FileIndex>),
    /// Those whose path within the torrent, or its last part, matches one of these patterns (`*`, `?`, case-blind).
    Matching(Vec<String>),
}

/// A torrent to add.
#[derive(Clone, Debug)]
pub struct Add {
    /// What it is.
    pub source: Source,
    /// The folder its files go into; `None` is the session's.
    pub output: Option<PathBuf>,
    /// Which files are wanted.
    pub select: Select,
    /// Peers to try beside those that are found.
    pub peers: Vec<SocketAddr>,
    /// Trackers beside its own; ignored for private torrents.
    pub trackers: Vec<String>,
    /// In order rather than rarest first.
    pub sequential: bool,
    /// It is added to be watched: nothing is fetched but what is read, until a file counts as watched; then what
    /// [`Config::when_watched`] says. Files chosen by `select` are fetched at once.
    pub watch: bool,
    /// Not started until resumed.
    pub paused: bool,
    /// Hash what is on disk, whatever the resume data says.
    pub recheck: bool,
    /// Give every piece away once, a piece at a time (BEP 16).
    pub super_seed: bool,
    /// How long to seed; `None` is the session's.
    pub seed_goal: Option<SeedGoal>,
    /// Rates of this torrent.
    pub limits: Limits,
}

impl Add {
    /// `source` with the defaults.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self {
            source,
            output: None,
            select: Select::All,
            peers: Vec::new(),
            trackers: Vec::new(),
            sequential: false,
            watch: false,
            paused: false,
            recheck: false,
            super_seed: false,
            seed_goal: None,
            limits: Limits::default(),
        }
    }

    /// A magnet with the defaults.
    #[must_use]
    pub fn magnet(link: impl Into<String>) -> Self {
        Self::new(Source::Magnet(link.into()))
    }

    /// A `.torrent` with the defaults.
    #[must_use]
    pub fn metainfo(bytes: impl Into<Bytes>) -> Self {
        Self::new(Source::Metainfo(bytes.into()))
    }
}
