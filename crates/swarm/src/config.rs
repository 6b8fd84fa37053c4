//! What a torrent is told at its beginning: who we are, what it may hold, whether it is private (BEP 27).

use core::net::IpAddr;

use bytes::Bytes;
use metainfo::{Bitfield, InfoHash, PieceLayout};

use crate::peers::PEERS_MAX;

/// Whether peers may be found other than through the torrent's own trackers (BEP 27).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Peers from everywhere, and peers are told of peers (BEP 11).
    Public,
    /// Peers from trackers, incoming connections and the user only. Such a torrent holds no peer exchange.
    Private,
}

/// What one torrent may hold at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections, both ways, web seeds not counted.
    pub connections_max: usize,
    /// Attempts to connect that have not been answered.
    pub half_open_max: usize,
    /// Peers unchoked at a time, the optimistic one included.
    pub upload_slots_max: usize,
    /// Bytes of the pieces that all readers' windows touch together: where pieces have little room, what is fetched ahead must
    /// not push out what another reader has yet to read. `None` is without bound.
    pub window_bytes_max: Option<u64>,
}

impl Limits {
    /// No more than there are places for.
    pub(crate) fn within_table(mut self) -> Self {
        self.connections_max = self.connections_max.min(PEERS_MAX / 2);
        self.half_open_max = self.half_open_max.min(PEERS_MAX / 4);
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections_max: 120, half_open_max: 24, upload_slots_max: 8, window_bytes_max: None }
    }
}

/// What a torrent is told at its beginning.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which torrent this is.
    pub info_hash: InfoHash,
    /// Our peer id, to know ourselves when we meet.
    pub peer_id: [u8; 20],
    /// What the extension handshake calls us (BEP 10, `v`).
    pub client: String,
    /// Where we can be reached (BEP 10, `p`); `None` when nowhere.
    pub listen_port: Option<u16>,
    /// Where our DHT node is (BEP 5); told to peers of public torrents.
    pub dht_port: Option<u16>,
    /// Our addresses as others see them, for the order of candidates (BEP 40).
    pub external: Vec<IpAddr>,
    /// What is known of privacy; [`Info::private`] settles it. A magnet that carries a passkey begins as private.
    pub privacy: Privacy,
    /// Whether a public torrent exchanges peers with peers (BEP 11).
    pub exchange: bool,
    /// What it may hold.
    pub limits: Limits,
    /// Whether seeding gives each piece away once first (BEP 16).
    pub super_seeding: bool,
    /// Seed of every random choice.
    pub seed: u64,
}

impl Config {
    /// A public torrent with the limits of [`Limits::default`].
    #[must_use]
    pub fn new(info_hash: InfoHash, peer_id: [u8; 20], seed: u64) -> Self {
        Self {
            info_hash,
            peer_id,
            client: "Headwater".into(),
            listen_port: None,
            dht_port: None,
            external: Vec::new(),
            privacy: Privacy::Public,
            exchange: true,
            limits: Limits::default(),
            super_seeding: false,
            seed,
        }
    }
}

/// What the info dictionary and the disk say of the torrent.
#[derive(Clone, Debug)]
pub struct Info {
    /// Its pieces.
    pub layout: PieceLayout,
    /// The info dictionary as it was received, to serve it to others (BEP 9).
    pub metadata: Bytes,
    /// Whether it is private (BEP 27).
    pub private: bool,
    /// The pieces that are verified on disk.
    pub have: Bitfield,
}
