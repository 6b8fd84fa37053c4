//! The 68 bytes that open a connection (BEP 3), and the bits that say what else is spoken (BEP 4, 5, 6, 10).

use std::fmt;

use metainfo::InfoHash;

/// How a peer names itself: 20 bytes of its choosing (BEP 20).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 20]);

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for PeerId {
    /// As text where it is, escaped where it is not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

/// The eight reserved bytes of the handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reserved(pub [u8; 8]);

impl Reserved {
    /// Fast extension (BEP 6) and extension protocol (BEP 10): what this crate speaks; and the DHT bit (BEP 5) where `dht`.
    #[must_use]
    pub fn ours(dht: bool) -> Self {
        Self([0, 0, 0, 0, 0, 0x10, 0, 0x04 | u8::from(dht)])
    }

    /// Whether the fast extension is spoken (BEP 6).
    #[must_use]
    pub fn fast(self) -> bool {
        self.0[7] & 0x04 != 0
    }

    /// Whether the extension protocol is spoken (BEP 10).
    #[must_use]
    pub fn extended(self) -> bool {
        self.0[5] & 0x10 != 0
    }

    /// Whether the peer has a DHT node (BEP 5).
    #[must_use]
    pub fn dht(self) -> bool {
        self.0[7] & 0x01 != 0
    }
}

/// What each end says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// What else is spoken.
    pub reserved: Reserved,
    /// Which torrent this is about.
    pub info_hash: InfoHash,
    /// Who speaks.
    pub peer_id: PeerId,
}
