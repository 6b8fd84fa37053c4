//! One BitTorrent connection as a value: handshake (BEP 3), messages (BEP 3, 6, 10, 21, 54), metadata (9) and peer (11)
//! exchange, encryption (MSE). Bytes in, [`Event`]s out; [`Message`]s in, bytes out. Owns no socket, reads no clock.
//!
//! Beside it two sums that both ends of a connection do alike: which pieces a choked peer may have ([`allowed_fast`]) and
//! which of two peers goes first ([`peer_priority`]).
//!
//! What a message means for a torrent (is this piece one of ours, was this block asked for?) is decided in `swarm`: numbers
//! here are the peer's, within limits of size only. Time-outs are the engine's.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod connection;
mod error;
mod extended;
mod handshake;
mod message;
mod metadata;
mod pex;

pub use connection::{Connection, Encryption, EncryptionPolicy, Event, obfuscated};
pub use error::{NotNegotiated, ProtocolError};
pub use extended::{ExtendedHandshake, Extensions};
pub use handshake::{Handshake, PeerId, Reserved};
pub use message::{Message, RawBlock};
pub use metadata::MetadataMessage;
pub use pex::{Pex, PexFlags, PexPeer};

/// How large an info dictionary may be, in bytes: 32 MiB holds the hashes of a million and a half pieces.
pub const METADATA_LENGTH_MAX: u32 = 1 << 25;

/// Peers taken from one `ut_pex` message, of each kind and family. BEP 11 allows 50; first messages hold more.
pub const PEX_PEERS_MAX: usize = 200;
