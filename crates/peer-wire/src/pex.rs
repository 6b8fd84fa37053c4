//! Exchange of peers (BEP 11), IPv4 and IPv6, as messages. When to send what, and private torrents, are for `swarm`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{ProtocolError, limits::PEX_PEERS_MAX};

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

const NAME: &str = "ut_pex";

impl Pex {
    /// Reads a message of a peer. Peers without a port are left out.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, ProtocolError> {
        let (value, _) =
            bencode::decode_prefix(bytes).map_err(|source| ProtocolError::Bencode { name: NAME, source })?;
        let dict = value.as_dict().ok_or(ProtocolError::Malformed { name: NAME, fault: "no dictionary" })?;
        let mut pex = Self::default();
        let list = |key| dict.get_bytes(key).unwrap_or_default();
        for (addrs, flags) in [("added", "added.f"), ("added6", "added6.f")] {
            let flags = list(flags);
            let flags = |at: usize| PexFlags(flags.get(at).copied().unwrap_or_default());
            pex.added.extend(
                peers(list(addrs), addrs.ends_with('6')).map(|(at, addr)| PexPeer { addr, flags: flags(at) }),
            );
        }
        for addrs in ["dropped", "dropped6"] {
            pex.dropped.extend(peers(list(addrs), addrs.ends_with('6')).map(|(_, addr)| addr));
        }
        Ok(pex)
    }

    /// As bencode. No more than [`PEX_PEERS_MAX`] of each kind and family.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut joined = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
        for peer in &self.added {
            let (addrs, flags) = &mut joined[usize::from(peer.addr.is_ipv6())];
            if flags.len() < PEX_PEERS_MAX {
                put(addrs, &peer.addr);
                flags.push(peer.flags.0);
            }
        }
        let mut left = [Vec::new(), Vec::new()];
        for addr in &self.dropped {
            let addrs = &mut left[usize::from(addr.is_ipv6())];
            if addrs.len() < PEX_PEERS_MAX * if addr.is_ipv6() { 18 } else { 6 } {
                put(addrs, addr);
            }
        }
        bencode::encode_dict(|dict| {
            for ((addrs, flags), names) in joined.iter().zip([("added", "added.f"), ("added6", "added6.f")]) {
                dict.bytes(names.0, addrs);
                dict.bytes(names.1, flags);
            }
            for (addrs, name) in left.iter().zip(["dropped", "dropped6"]) {
                dict.bytes(name, addrs);
            }
        })
    }
}

/// Compact addresses and their places, those without a port left out.
fn peers(bytes: &[u8], v6: bool) -> impl Iterator<Item = (usize, SocketAddr)> {
    let length = if v6 { 18 } else { 6 };
    bytes.chunks_exact(length).take(PEX_PEERS_MAX).enumerate().filter_map(move |(at, peer)| {
        let (ip, port) = peer.split_at_checked(length - 2)?;
        let port = u16::from_be_bytes(port.try_into().ok()?);
        let ip: IpAddr = if v6 {
            Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?).into()
        } else {
            Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?).into()
        };
        (port != 0).then_some((at, SocketAddr::new(ip, port)))
    })
}

fn put(bytes: &mut Vec<u8>, addr: &SocketAddr) {
    match addr.ip() {
        IpAddr::V4(ip) => bytes.extend(ip.octets()),
        IpAddr::V6(ip) => bytes.extend(ip.octets()),
    }
    bytes.extend(addr.port().to_be_bytes());
}
