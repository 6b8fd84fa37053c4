//! How large what a peer says may be. Lengths are of a message after its length prefix.

use metainfo::{BLOCK_LENGTH, PIECES_MAX};

/// How large an info dictionary may be, in bytes: 32 MiB holds the hashes of a million and a half pieces.
pub const METADATA_LENGTH_MAX: u32 = 1 << 25;

/// Peers taken from one `ut_pex` message, of each kind and family. BEP 11 allows 50; first messages hold more.
pub const PEX_PEERS_MAX: usize = 200;

/// Bytes of a block that is accepted: nobody here asks for more.
pub const BLOCK_LENGTH_MAX: u32 = BLOCK_LENGTH;

/// A bitfield while the number of pieces is not known.
pub(crate) const BITFIELD_MAX: u32 = PIECES_MAX / 8 + 1;

/// Bytes of a block of metadata (BEP 9).
pub(crate) const METADATA_BLOCK_MAX: u32 = 1 << 14;

/// A block of metadata, with its dictionary.
pub(crate) const METADATA_MAX: u32 = METADATA_BLOCK_MAX + 256;

/// Peers of all kinds and families: 200 each with 6 and 18 bytes and a flag, joined and left, and the dictionary.
pub(crate) const PEX_MAX: u32 = 1 << 14;

/// An extension handshake: clients in use say a few hundred bytes.
pub(crate) const EXTENDED_HANDSHAKE_MAX: u32 = 1 << 14;

/// A message that we do not know and skip.
pub(crate) const UNKNOWN_MAX: u32 = 1 << 15;

/// Characters of a client's name that are kept.
pub(crate) const CLIENT_MAX: usize = 64;
