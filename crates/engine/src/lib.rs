//! The torrent engine: every swarm socket, one task per torrent, readers that wait for their bytes.
//!
//! [`Session`] is the way in: it listens, dials, limits and remembers. Each [`Torrent`] is a task that owns one
//! [`swarm::Torrent`], a value without a clock or a socket, and carries out what that value decides. [`Reader`] is a file
//! of a torrent as a [`byte_source::ByteSource`], whether its bytes are here or not.
//!
//! Which block to ask whom for is decided in `piece-picker`, whom to unchoke in `swarm`, how a message looks in
//! `peer-wire`, where bytes lie on disk in `storage`. Nothing here knows what the bytes mean.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod config;
mod discovery;
mod egress;
mod error;
mod event;
mod filter;
mod peer;
mod random;
mod rate;
mod reader;
mod session;
mod snapshot;
mod torrent;
mod trackers;
mod utp;
mod wait;
mod webseed;

/// What we call ourselves to peers, trackers and web seeds.
pub(crate) const CLIENT: &str = concat!("Headwater/", env!("CARGO_PKG_VERSION"));

/// Reads arbitrary bytes as what nodes of the DHT send; for the fuzzer.
#[doc(hidden)]
pub fn hear_in_dht(data: &[u8]) {
    discovery::hear_in_dht(data);
}

pub use config::{
    Add, Config, Encryption, Limits, SeedGoal, Select, Source, StorageKind, WhenIdle, WhenWatched,
};
pub use error::EngineError;
pub use event::Event;
pub use metainfo::{FileIndex, InfoHash};
pub use reader::Reader;
pub use session::{Data, Session};
pub use snapshot::{
    FileInfo, Owes, PeerInfo, PieceState, Pieces, Priority, SessionStats, Snapshot, State, TrackerInfo,
    TrackerState,
};
pub use torrent::Torrent;
pub use wait::{Cause, Means, Playback, Wait, Watching};
