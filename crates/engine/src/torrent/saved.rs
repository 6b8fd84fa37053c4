//! What is remembered of a torrent beside its metadata and resume data: where it goes, what is wanted of it, what it gave.

use std::{
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use metainfo::InfoHash;
use serde::{Deserialize, Serialize};

use crate::{EngineError, Limits, Priority, SeedGoal};

/// Files of the state directory larger than this are not ours.
const SAVED_BYTES_MAX: u64 = 64 << 20;

/// One torrent as it is remembered, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Saved {
    /// Of this format.
    pub(crate) version: u32,
    /// What it was added by, until its metadata is here.
    pub(crate) magnet: Option<String>,
    pub(crate) output: PathBuf,
    /// Seconds since 1970.
    pub(crate) added: u64,
    /// Seconds since 1970; when everything wanted was here.
    pub(crate) completed: Option<u64>,
    /// We downloaded the last piece and no tracker has heard of it yet.
    pub(crate) owes_completed: bool,
    pub(crate) uploaded: u64,
    pub(crate) downloaded: u64,
    pub(crate) wasted: u64,
    pub(crate) corrupt: u64,
    /// Seconds.
    pub(crate) seeding_time: f64,
    pub(crate) paused: bool,
    /// It was added to be watched.
    pub(crate) watch: bool,
    /// Nobody has read it for a while, and it stopped for that.
    pub(crate) idle: bool,
    /// Of files that are not normal.
    pub(crate) priorities: Vec<(u32, Priority)>,
    pub(crate) sequential: bool,
    pub(crate) super_seed: bool,
    pub(crate) seed_goal: Option<SeedGoal>,
    pub(crate) limits: Limits,
    /// Tiers, added ones included. Passkeys are in them: the file is the user's alone.
    pub(crate) trackers: Vec<Vec<String>>,
    pub(crate) web_seeds: Vec<String>,
    /// Peers that answered.
    pub(crate) peers: Vec<SocketAddr>,
}

/// The format that is written.
const VERSION: u32 = 1;

impl Saved {
    pub(crate) fn new(output: PathBuf) -> Self {
        Self { version: VERSION, output, added: seconds(SystemTime::now()), ..Self::default() }
    }

    fn path(directory: &Path, info_hash: InfoHash) -> PathBuf {
        directory.join(format!("{info_hash}.json"))
    }

    pub(crate) fn metainfo_path(directory: &Path, info_hash: InfoHash) -> PathBuf {
        directory.join(format!("{info_hash}.torrent"))
    }

    /// Reads what is remembered; `None` when nothing is, or nothing that can be read.
    pub(crate) fn load(directory: &Path, info_hash: InfoHash) -> Option<Self> {
        let path = Self::path(directory, info_hash);
        if std::fs::metadata(&path).ok()?.len() > SAVED_BYTES_MAX {
            return None;
        }
        match serde_json::from_slice::<Self>(&std::fs::read(&path).ok()?) {
            Ok(saved) if saved.version <= VERSION => Some(saved),
            Ok(saved) => {
                tracing::warn!(%info_hash, version = saved.version, "state of a newer version is ignored");
                None
            }
            Err(error) => {
                tracing::warn!(%info_hash, %error, "unreadable state is ignored");
                None
            }
        }
    }

    /// Writes it, whole or not at all.
    pub(crate) fn store(&self, directory: &Path, info_hash: InfoHash) -> Result<(), EngineError> {
        let path = Self::path(directory, info_hash);
        let bytes = serde_json::to_vec(self).map_err(|error| EngineError::io(path.display(), error))?;
        write_whole(&path, &bytes)
    }

    /// Forgets a torrent.
    pub(crate) fn forget(directory: &Path, info_hash: InfoHash) {
        for path in [Self::path(directory, info_hash), Self::metainfo_path(directory, info_hash)] {
            if let Err(error) = std::fs::remove_file(&path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "not removed");
            }
        }
    }

    /// The torrents that are remembered, in the order they were added.
    pub(crate) fn all(directory: &Path) -> Vec<(InfoHash, Self)> {
        let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
        let mut all: Vec<_> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                let info_hash: InfoHash = name.to_str()?.strip_suffix(".json")?.parse().ok()?;
                Some((info_hash, Self::load(directory, info_hash)?))
            })
            .collect();
        all.sort_by_key(|(info_hash, saved)| (saved.added, *info_hash));
        all
    }
}

/// Writes a file under another name first, so that a crash leaves the old one or the new one.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), EngineError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_data()
        })
        .and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|error| EngineError::io(path.display(), error))
}

/// Remembers when everything wanted was here first.
pub(crate) fn complete(saved: &mut Saved) {
    saved.completed.get_or_insert_with(|| seconds(SystemTime::now()));
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

pub(crate) fn moment(seconds: u64) -> SystemTime {
    // Year 9999 at most, so that it can be shown.
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(253_402_300_799))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_found_again_in_the_order_it_was_added() {
        let directory = tempfile::tempdir().unwrap();
        for (number, added) in [(1, 30), (2, 10), (3, 20)] {
            let saved = Saved { added, uploaded: 7, ..Saved::new("out".into()) };
            saved.store(directory.path(), InfoHash([number; 20])).unwrap();
        }
        std::fs::write(directory.path().join("dht.json"), "{}").unwrap();
        let all = Saved::all(directory.path());
        assert_eq!(all.iter().map(|(hash, _)| hash.0[0]).collect::<Vec<_>>(), [2, 3, 1]);
        assert_eq!(all[0].1.uploaded, 7);
        Saved::forget(directory.path(), InfoHash([2; 20]));
        assert_eq!(Saved::all(directory.path()).len(), 2);
    }

    #[test]
    fn nonsense_and_newer_versions_are_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let hash = InfoHash([1; 20]);
        std::fs::write(Saved::path(directory.path(), hash), "{\"version\": 1,").unwrap();
        assert_eq!(Saved::load(directory.path(), hash), None);
        std::fs::write(Saved::path(directory.path(), hash), "{\"version\": 99}").unwrap();
        assert_eq!(Saved::load(directory.path(), hash), None);
    }
}
