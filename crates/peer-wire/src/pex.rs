//! Exchange of peers (BEP 11), IPv4 and IPv6, as messages. When to send what, and private torrents, are for `swarm`.

use core::net::SocketAddr;

/// What the sender knows of a peer (BEP 11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PexFlags(pub u8);

impl PexFlags {
    /// It prefers encryption.
    pub const ENCRYPTION: Self = Self(0x01);
    /// It only uploads: a seed or a partial seed.
    pub const SEED: Self = Self(0x02);
    /// It speaks uTP.
    pub const UTP: Self = Self(0x04);
    /// It speaks `ut_holepunch` (BEP 55).
    pub const HOLEPUNCH: Self = Self(0x08);
    /// The sender reached it by dialling.
    pub const REACHABLE: Self = Self(0x10);

    /// Whether all of `flags` are set.
    #[must_use]
    pub fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These and `flags`.
    #[must_use]
    pub fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }
}

/// A peer that joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PexPeer {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What is known of it.
    pub flags: PexFlags,
}

/// One `ut_pex` message: who came and who went since the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pex {
    /// Peers that joined; from the wire at most [`PEX_PEERS_MAX`](crate::PEX_PEERS_MAX) of each family, the rest is dropped.
    pub added: Vec<PexPeer>,
    /// Peers that left, with the same limit.
    pub dropped: Vec<SocketAddr>,
}
