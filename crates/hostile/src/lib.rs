//! Everything that is done with a film's bytes between the disk and a player, and with what the swarm sends, on bytes that may be
//! anything.
//!
//! One place for what the fuzz targets (`fuzz/`) and the mutation test run, so that what one finds the other replays.
//! An error is a fine answer; a panic, a parser that goes in circles and a read outside the file are not.

mod drive;
mod film;
mod mutate;
mod peers;
mod records;
mod torrents;
mod trackers;
mod workers;

pub use film::{Reached, film, walk};
pub use mutate::Mutator;
pub use records::{RECORDS, record};

/// The name of a fuzz target, which is that of its folder of seeds, and what it runs.
pub type Target = (&'static str, fn(&[u8]));

/// What the swarm sends, how a torrent is named to us, and what server and worker say to each other.
pub const MESSAGES: &[Target] = &[
    ("bencode", torrents::bencode),
    ("dht", engine::hear_in_dht),
    ("magnet", torrents::magnet),
    ("metainfo", torrents::metainfo),
    ("mse", peers::mse),
    ("peer_wire", peers::wire),
    ("pex", peers::pex),
    ("resume", torrents::resume),
    ("tracker_http", trackers::http),
    ("tracker_udp", trackers::udp),
    ("ut_metadata", peers::metadata),
    ("worker", workers::both),
];

/// Reads `data` as what `kind`, one of [`MESSAGES`], reads.
///
/// # Panics
/// When the code under test does, or `kind` is not one of them.
pub fn message(kind: &str, data: &[u8]) {
    let (_, read) = MESSAGES.iter().find(|(name, _)| *name == kind).expect("a kind of message");
    read(data);
}
