//! What is said to trackers over HTTP (BEP 3, 7, 23, 31) and UDP (BEP 15, 41), what they answer, and when they are asked
//! again (BEP 12).
//!
//! Pure: owns no socket and reads no clock. Resolving, connecting, TLS and time limits are `engine::trackers`'s affair. Times are
//! durations since the engine's start, randomness is a seed.
//!
//! An engine asks [`Announcer::poll`] what is due, builds the [`AnnounceRequest`], carries it as
//! [`AnnounceRequest::http_target`] or [`udp::Exchange`], and brings the [`AnnounceAnswer`] or the [`Failure`] back.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod announcer;
mod answer;
mod http;
mod request;
mod scrape;
mod status;
pub mod udp;
mod url;

pub use announcer::{Announce, Announcer, Counters, Options, PATIENCE, TRACKERS_MAX, Tiers, TrackerKey};
pub use answer::{AnnounceAnswer, Failure, PEERS_MAX, Retry, TrackerPeer};
pub use http::{BODY_BYTES_MAX, ReadError, read_announce, read_scrape};
pub use request::{AnnounceRequest, Encryption, Event, Identity};
pub use scrape::{SCRAPE_HASHES_MAX, ScrapeEntry, scrape_target, scrape_url};
pub use status::{TrackerState, TrackerStatus};
pub use url::{Scheme, TrackerUrl, URL_BYTES_MAX, UrlError};
