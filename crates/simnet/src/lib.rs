//! A swarm in virtual time: the real `swarm::Torrent` values on links with latency, rate and loss, among peers that are slow,
//! choke, lie, stall or leave. Everything follows from a seed; a run prints the command that replays it.
//!
//! A byte is written to a sender's socket buffer, goes out over its uplink (one message at a time, connections in turn),
//! takes the latency, comes in over the receiver's downlink, in order. What is in a socket buffer is not taken back by a
//! CANCEL. Handshakes and encryption are `peer-wire`'s and not simulated; contents are one byte per block, good or bad.
//!
//! `world` moves messages, `real` is the shell around a torrent, `fake` the other peers, `player` reads, `scenario` sets scenes,
//! `report` compares with what the links allow, `bounds.toml` with what was reached before.

#![forbid(unsafe_code)]

mod bounds;
mod fake;
mod link;
mod player;
mod real;
mod report;
mod rng;
mod scenario;
mod world;

pub use bounds::{Bound, bounds, misses};
pub use report::{Report, Seek};
pub use scenario::{SCENARIOS, Scenario, run, scenario};
