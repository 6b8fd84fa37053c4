//! What a torrent can tell of itself: counters that are exact, rates over the last seconds, and why a reader waits.

use core::net::SocketAddr;
use std::{ops::Range, time::Duration};

use metainfo::PieceIndex;

use crate::{PeerKey, ReaderAt, ReaderKey, Source};

/// Bytes counted since the torrent value was made. Exact: what trackers are told is made of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Payload given to peers (handed to their sockets).
    pub uploaded: u64,
    /// Payload received, wasted bytes included.
    pub downloaded: u64,
    /// Payload of pieces that turned out corrupt.
    pub corrupt: u64,
    /// Payload received twice or not asked for.
    pub wasted: u64,
}

/// Why a reader waits, in facts. The first that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Nothing is missing.
    Nothing,
    /// Paused, or stopped by an error.
    Stopped,
    /// Nobody is connected.
    NoPeers {
        /// Addresses that could be tried.
        candidates: usize,
        /// Attempts under way.
        connecting: usize,
    },
    /// The info dictionary is not here yet (BEP 9).
    Metadata {
        /// Peers that have it.
        peers: usize,
    },
    /// Nobody connected has what is missing.
    NoSource {
        /// Peers connected.
        peers: usize,
    },
    /// Those who have it do not serve us yet.
    Choked {
        /// Peers that have what we want.
        peers: usize,
    },
    /// It is coming.
    Rate {
        /// Peers that serve us.
        peers: usize,
        /// Bytes per second from all of them.
        bytes_per_s: u64,
    },
}

/// A torrent as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Exact counters.
    pub counters: Counters,
    /// Bytes of wanted pieces not verified yet.
    pub left_wanted: u64,
    /// Bytes of the torrent not verified yet: what trackers are told. `None` before the info dictionary is known.
    pub left: Option<u64>,
    /// Pieces verified.
    pub pieces_have: u32,
    /// Pieces of the torrent; 0 before the info dictionary is known.
    pub pieces: u32,
    /// Payload bytes per second received, over the last seconds.
    pub down_bytes_per_s: u64,
    /// Payload bytes per second given, over the last seconds.
    pub up_bytes_per_s: u64,
    /// Connections.
    pub connected: usize,
    /// Attempts under way.
    pub connecting: usize,
    /// Connected peers that have everything.
    pub seeds: usize,
    /// Addresses known.
    pub candidates: usize,
    /// Blocks asked for and not here yet.
    pub in_flight: usize,
    /// Whole copies of the torrent among connected peers and us, in thousandths.
    pub availability_per_mille: u32,
    /// Peers that sent something of the info dictionary.
    pub metadata_answered: usize,
    /// Why a reader waits.
    pub wait: Wait,
}

/// One reader as numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReaderStats {
    /// Which.
    pub reader: ReaderKey,
    /// Where it is and what it wants.
    pub at: ReaderAt,
    /// What is fetched for it before all else, in bytes of the torrent.
    pub window: Range<u64>,
    /// Payload bytes per second that come into its window, over the last five seconds.
    pub bytes_per_s: u64,
    /// Over how long that could be measured: little after a seek.
    pub measured: Duration,
}

/// Who has a piece that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sources {
    /// The first piece that is missing.
    pub piece: PieceIndex,
    /// Connected peers that have it.
    pub peers: usize,
    /// Those of them that serve us.
    pub serving: usize,
}

/// One connection as numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStats {
    /// Which.
    pub peer: PeerKey,
    /// Where; `None` for a web seed.
    pub addr: Option<SocketAddr>,
    /// How we know of it; `None` when it came to us.
    pub source: Option<Source>,
    /// What it calls itself (BEP 10), else what its peer id says; cut to 64 characters.
    pub client: String,
    /// Its peer id.
    pub peer_id: [u8; 20],
    /// Whether it connected to us.
    pub incoming: bool,
    /// Whether the connection is encrypted.
    pub encrypted: bool,
    /// Whether it goes over uTP.
    pub utp: bool,
    /// How many pieces it has.
    pub pieces: u32,
    /// Bytes received from it.
    pub downloaded: u64,
    /// Bytes given to it.
    pub uploaded: u64,
    /// Payload bytes per second from it.
    pub down_bytes_per_s: u64,
    /// Payload bytes per second to it.
    pub up_bytes_per_s: u64,
    /// Whether it chokes us.
    pub choking: bool,
    /// Whether it wants something of us.
    pub interested: bool,
    /// Whether we choke it.
    pub choked: bool,
    /// Whether we want something of it.
    pub interesting: bool,
    /// Whether it owes us blocks for too long.
    pub snubbed: bool,
    /// Blocks asked of it and not here yet.
    pub in_flight: usize,
    /// How many may be.
    pub in_flight_max: usize,
    /// The shortest time from request to block seen.
    pub round_trip: Option<Duration>,
}
