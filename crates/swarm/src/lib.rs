//! One torrent as a value: peers, requests, choking, metadata, readers (BEP 3, 6, 9, 10, 11, 16, 21, 27, 40, 54).
//!
//! [`Torrent`] takes [`Input`]s with the time and gives [`Output`]s. It owns no socket, file, clock or global random
//! generator, so that a run can be replayed from a seed. Bytes of messages are `peer-wire`'s, which block to ask whom for is
//! `piece-picker`'s, hashing and writing `storage`'s, everything that waits `engine`'s.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod blame;
mod candidates;
mod choker;
mod climb;
mod config;
mod connect;
mod exchange;
mod fetch;
mod input;
mod metadata;
mod output;
mod peers;
mod pex;
mod pipeline;
mod rate;
mod readers;
mod receive;
mod report;
mod serve;
mod stats;
mod superseed;
mod timers;
mod torrent;
mod upload;

pub use config::{Config, Info, Limits, Privacy};
pub use input::{BlockRead, Hello, Input, ReaderAt, Source, Stored};
pub use output::{Output, ReadBlock, Reason, WriteBlock};
pub use peer_wire::Message;
pub use piece_picker::{PeerKey, Priority, ReaderKey};
pub use stats::{Counters, PeerStats, ReaderStats, Sources, Stats, Wait};
pub use torrent::Torrent;
