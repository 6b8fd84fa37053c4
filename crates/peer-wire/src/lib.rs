//! One BitTorrent connection as a value: handshake, encryption, messages.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
