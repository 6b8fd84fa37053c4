//! Which blocks to ask which peer for, now: one torrent's availability, block ledger, deadlines and endgame as a value.
//!
//! Every block is in exactly one state: absent, requested from a peer (or, under the waste budget, from two), received, or
//! in a verified piece. Windows of readers come first, in strict position order, split by block over the peers so that each block
//! comes from the one expected to deliver it soonest. Outside of windows a piece belongs to one peer, so that its blocks come
//! in order and a corrupt one has an author; rarest first with random ties, or sequentially.
//!
//! Owns no socket, reads no clock: `now` is the time since the engine's start, randomness a seed. How many requests a peer may have in
//! flight, whom to connect to and whom to ban is decided in `swarm`.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bulk;
mod ledger;
mod limits;
mod partial;
mod peer;
mod picker;
mod rarity;
mod set;
mod strays;
mod types;
mod urgent;
mod wanted;
mod windows;

#[cfg(test)]
mod model;
#[cfg(test)]
mod pictures;

pub use limits::{READERS_MAX, WASTE_PERCENT, WINDOW_PIECES_MAX};

pub use picker::Picker;
pub use types::{Availability, Contribution, Demand, PeerKey, Priority, Progress, ReaderKey, Received};
