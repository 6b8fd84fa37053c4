//! One torrent as a value: peers, requests, choking, metadata, readers.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
