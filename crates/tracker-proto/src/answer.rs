//! What a tracker answers to an announce, whichever way it came.

use core::{net::SocketAddr, time::Duration};

/// More than any tracker sends; the rest of an answer is not looked at.
pub const PEERS_MAX: usize = 2_000;

/// A peer that a tracker names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackerPeer {
    /// Where it listens. Its port is never 0.
    pub addr: SocketAddr,
    /// Its peer id, where the answer is not compact.
    pub id: Option<[u8; 20]>,
}

/// A good answer to an announce (BEP 3, 7, 23; BEP 15 has a part of it).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnnounceAnswer {
    /// How long until the next regular announce; `None` where the tracker does not say.
    pub interval: Option<Duration>,
    /// The least time between two announces.
    pub min_interval: Option<Duration>,
    /// To be given back with the next announce.
    pub tracker_id: Option<Vec<u8>>,
    /// Peers that have all.
    pub seeders: Option<u32>,
    /// Peers that do not.
    pub leechers: Option<u32>,
    /// How often the torrent was downloaded whole.
    pub downloaded: Option<u32>,
    /// Something the user should read although the announce was taken.
    pub warning: Option<String>,
    /// At most [`PEERS_MAX`].
    pub peers: Vec<TrackerPeer>,
}

/// When a tracker that refused may be asked again (BEP 31).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// After that long.
    In(Duration),
    /// It is no tracker.
    Never,
}

/// Why an announce came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It never got there: no address, no route, no connection, TLS refused, UDP without a `connect` answer.
    #[error("{reason}")]
    Unreachable {
        /// What went wrong, without the tracker's secrets.
        reason: String,
    },
    /// It was sent and no whole answer came: the tracker may know of us.
    #[error("{reason}")]
    NoAnswer {
        /// What went wrong, without the tracker's secrets.
        reason: String,
    },
    /// The tracker says no.
    #[error("{reason}")]
    Refused {
        /// In its words, bounded and without control characters.
        reason: String,
        /// When to come again, if it says.
        retry: Option<Retry>,
    },
}

/// Enough for a sentence.
const TEXT_CHARS_MAX: usize = 200;

/// A tracker's words, fit to be shown: bounded, one line.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(TEXT_CHARS_MAX * 4)];
    let text = String::from_utf8_lossy(cut);
    let mut text: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_CHARS_MAX).collect();
    text.truncate(text.trim_end().len());
    text
}
