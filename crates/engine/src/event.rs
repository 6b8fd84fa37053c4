//! What a session tells whoever listens: the turns in a torrent's life. Rates and progress are in its snapshot.

use metainfo::InfoHash;
use serde::Serialize;

use crate::State;

/// A turn in a torrent's life. `type` names the variant in JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A torrent is new here.
    Added {
        /// Which.
        info_hash: InfoHash,
    },
    /// A torrent's metadata is known: names, files, pieces.
    Metadata {
        /// Which.
        info_hash: InfoHash,
    },
    /// Its state is another one.
    State {
        /// Which.
        info_hash: InfoHash,
        /// What it is now.
        state: State,
        /// Why, where there is a reason.
        reason: Option<String>,
    },
    /// Everything wanted of it is here and verified.
    Finished {
        /// Which.
        info_hash: InfoHash,
    },
    /// Its seeding goal is reached; it rests.
    Seeded {
        /// Which.
        info_hash: InfoHash,
    },
    /// It was removed.
    Removed {
        /// Which.
        info_hash: InfoHash,
    },
}
