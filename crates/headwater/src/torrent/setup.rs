//! From settings to an engine.

use std::path::{Path, PathBuf};

use engine::{Config, Encryption, Limits, SeedGoal, StorageKind};
use sha1::{Digest, Sha1};

use crate::config::{self, Settings};

/// What the engine is told, for torrents in `download_dir` that are remembered in `state_dir`.
pub(crate) fn engine_config(settings: &Settings, download_dir: PathBuf, state_dir: PathBuf) -> Config {
    let torrent = &settings.torrent;
    Config {
        listen_port: torrent.listen_port,
        bind_interface: torrent.bind_interface.clone(),
        proxy: torrent.proxy.clone(),
        dht: torrent.dht,
        dht_bootstrap: torrent.dht_bootstrap.clone(),
        pex: torrent.pex,
        lsd: torrent.lsd,
        port_mapping: torrent.upnp,
        utp: torrent.utp,
        tcp: torrent.tcp,
        encryption: match torrent.encryption {
            config::Encryption::Prefer => Encryption::Prefer,
            config::Encryption::Require => Encryption::Require,
            config::Encryption::Disable => Encryption::Disable,
        },
        limits: Limits { download: torrent.download_limit, upload: torrent.upload_limit },
        peers_max: torrent.max_peers,
        storage: match torrent.storage {
            config::Store::Disk => StorageKind::Disk,
            config::Store::Memory => StorageKind::Memory,
        },
        memory_limit: torrent.memory_limit,
        when_watched: torrent.when_watched,
        when_idle: torrent.when_idle,
        idle_after: settings.idle_after,
        ip_filters: torrent.ip_filter.clone(),
        seed_goal: SeedGoal { ratio: torrent.seed_ratio, time: torrent.seed_time },
        tracker_goals: torrent.tracker_goals.clone(),
        ..Config::new(download_dir, state_dir)
    }
}

/// Where `command` remembers what it does in `dir`: the same command in the same place resumes, another is not disturbed.
pub(crate) fn state_dir(settings: &Settings, command: &str, dir: &Path) -> PathBuf {
    let place = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let hash = Sha1::digest(place.as_os_str().as_encoded_bytes());
    let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    settings.data_dir.join(command).join(name)
}
