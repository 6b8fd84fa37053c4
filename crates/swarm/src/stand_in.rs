//! Types of `peer-wire` and `piece-picker` by the signatures agreed on, until those crates have landed.

use core::net::SocketAddr;

use bytes::Bytes;

/// A connection of one torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub u32);

/// A reader of one torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReaderKey(pub u32);

/// How much the user wants something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Not at all.
    Skip,
    /// After everything else.
    Low,
    /// As most.
    Normal,
    /// Before the rest.
    High,
}

/// A message between peers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "stands in for peer_wire::Message")]
pub enum Message {
    KeepAlive,
    Choke,
    Unchoke,
    Interested,
    NotInterested,
    Have(u32),
    Bitfield(Bytes),
    Piece { piece: u32, begin: u32, data: Bytes },
    Pex { added: Vec<SocketAddr> },
}
