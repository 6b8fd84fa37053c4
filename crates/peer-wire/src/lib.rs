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

mod allowed_fast;
mod connection;
mod decode;
mod encode;
mod error;
mod extended;
mod handshake;
mod limits;
mod message;
mod metadata;
mod mse;
mod pex;
mod priority;

pub use allowed_fast::allowed_fast;
pub use connection::{Connection, Encryption, EncryptionPolicy, Event};
pub use error::{NotNegotiated, ProtocolError};
pub use extended::{ExtendedHandshake, Extensions};
pub use handshake::{Handshake, PeerId, Reserved};
pub use limits::{BLOCK_LENGTH_MAX, METADATA_LENGTH_MAX, PEX_PEERS_MAX};
pub use message::{Message, RawBlock};
pub use metadata::MetadataMessage;
pub use mse::obfuscated;
pub use pex::{Pex, PexFlags, PexPeer};
pub use priority::peer_priority;
