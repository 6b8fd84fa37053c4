//! Why a connection ends: always the peer's fault, so it is dropped.

/// What a peer did that is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A message is longer than anything it may hold.
    #[error("message {name} has {length} bytes: more than {limit}")]
    TooLong {
        /// Which.
        name: &'static str,
        /// As stated, in bytes after the length prefix.
        length: u32,
        /// What is allowed.
        limit: u32,
    },
    /// A message is not as long as it has to be.
    #[error("message {name} has {length} bytes: not {expected}")]
    WrongLength {
        /// Which.
        name: &'static str,
        /// As stated, in bytes after the length prefix.
        length: u32,
        /// What it has to be.
        expected: u32,
    },
    /// A message of a protocol extension that both ends did not announce.
    #[error("message {name} without its extension")]
    NotNegotiated {
        /// Which.
        name: &'static str,
    },
    /// A message that has its place, and this is not it.
    #[error("message {name} comes twice or too late")]
    OutOfPlace {
        /// Which.
        name: &'static str,
    },
    /// An extension message that cannot be read.
    #[error("message {name}: {fault}")]
    Malformed {
        /// Which.
        name: &'static str,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// An extension message that is no bencode.
    #[error("message {name}: {source}")]
    Bencode {
        /// Which.
        name: &'static str,
        /// Where it goes wrong.
        source: bencode::Error,
    },
    /// The first bytes are neither a handshake nor, where it is allowed, an encrypted one.
    #[error("the handshake is not BitTorrent's")]
    NotBitTorrent,
    /// The handshake is about another torrent than was agreed.
    #[error("the handshake is for another torrent")]
    OtherTorrent,
    /// Our policy and the peer's on encryption have nothing in common.
    #[error("encryption: {0}")]
    Encryption(&'static str),
}

/// A message was not sent: the peer does not speak its extension (or has not said so yet).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer does not speak {name}")]
pub struct NotNegotiated {
    /// Which message.
    pub name: &'static str,
}
