//! The distributed hash table (BEP 5, 32, 43): finds the peers of a public torrent without a tracker.
//!
//! [`node`] is one node as a value, IPv4 and IPv6 have one each; [`task`] gives them sockets, time and a file that keeps
//! whom they knew. Why it is our own: design 0008.

mod file;
pub(super) mod fuzz;
mod krpc;
mod lookup;
mod node;
mod store;
mod table;
mod task;
#[cfg(test)]
mod tests;

pub(super) use task::{Dht, Options, Search};
