//! What can go wrong at the engine's boundary.

use metainfo::{FileIndex, InfoHash};
use serde::Serialize;

/// Why the engine could not do what it was asked. `kind` names the variant in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EngineError {
    /// The configuration cannot be carried out.
    #[error("{what}: {detail}")]
    Config {
        /// Which setting, with its value.
        what: String,
        /// Why.
        detail: String,
    },
    /// The `.torrent`, magnet or hash is none, or one that is not supported.
    #[error("{detail}")]
    Source {
        /// What is wrong with it.
        detail: String,
    },
    /// There is no such torrent.
    #[error("there is no torrent {info_hash}")]
    UnknownTorrent {
        /// Its hash.
        info_hash: InfoHash,
    },
    /// The torrent has no such file.
    #[error("torrent {info_hash} has {files} files, no number {file}")]
    UnknownFile {
        /// The torrent.
        info_hash: InfoHash,
        /// What was asked for.
        file: FileIndex,
        /// How many there are.
        files: usize,
    },
    /// The metadata of a magnet is not here yet.
    #[error("the metadata of torrent {info_hash} is not here yet")]
    NoMetadata {
        /// The torrent.
        info_hash: InfoHash,
    },
    /// The torrent stopped with an error of its own.
    #[error("torrent {info_hash} stopped: {reason}")]
    Failed {
        /// The torrent.
        info_hash: InfoHash,
        /// Why.
        reason: String,
    },
    /// The disk or the network refused.
    #[error("{what}: {detail}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's words.
        detail: String,
    },
    /// The session or the torrent is no more.
    #[error("the torrent was removed or the session stopped")]
    Stopped,
}

impl EngineError {
    pub(crate) fn io(what: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self::Io { what: what.to_string(), detail: error.to_string() }
    }
}
