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

/// Bytes of a handshake.
pub(crate) const HANDSHAKE_LENGTH: usize = 68;

/// Bytes of it up to the peer id: whose torrent it is can be told from them.
pub(crate) const NAMED_LENGTH: usize = 48;

/// What it begins with.
pub(crate) const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

impl Handshake {
    /// As it stands on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HANDSHAKE_LENGTH] {
        let mut bytes = [0; HANDSHAKE_LENGTH];
        bytes[..20].copy_from_slice(PROTOCOL);
        bytes[20..28].copy_from_slice(&self.reserved.0);
        bytes[28..NAMED_LENGTH].copy_from_slice(self.info_hash.as_bytes());
        bytes[NAMED_LENGTH..].copy_from_slice(&self.peer_id.0);
        bytes
    }

    /// Reads what comes behind the protocol's name.
    pub(crate) fn from_bytes(bytes: &[u8; HANDSHAKE_LENGTH]) -> Self {
        let (mut reserved, mut info_hash, mut peer_id) = ([0; 8], [0; 20], [0; 20]);
        reserved.copy_from_slice(&bytes[20..28]);
        info_hash.copy_from_slice(&bytes[28..NAMED_LENGTH]);
        peer_id.copy_from_slice(&bytes[NAMED_LENGTH..]);
        Self { reserved: Reserved(reserved), info_hash: InfoHash(info_hash), peer_id: PeerId(peer_id) }
    }
}
