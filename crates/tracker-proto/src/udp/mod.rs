//! The UDP tracker protocol (BEP 15, options of BEP 41): datagrams, and one request as a value.
//!
//! Owns no socket: datagrams in, datagrams out. Whose datagram it is, the caller's connected socket knows.

mod exchange;
#[cfg(test)]
mod tests;
mod wire;

pub use exchange::{Exchange, Outcome, Query, RETRANSMITS_MAX, Step, retransmit_after};
pub(crate) use wire::compact_peers;
pub use wire::{
    Answer, Body, CONNECTION_LIFETIME, ConnectionId, DATAGRAM_BYTES_MAX, Family, TransactionId, UdpError,
    announce, connect, read, scrape,
};
