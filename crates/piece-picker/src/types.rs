//! The words of the picker's callers: keys, demands, answers.

use std::{ops::Range, time::Duration};

use metainfo::Bitfield;

/// A connection to a peer. A key is never used again for another connection: received blocks are attributed to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub u32);

impl PeerKey {
    /// Who sent a block is not known: a former run received it. No connection has this key.
    pub(crate) const NOBODY: Self = Self(u32::MAX);
}

/// Somebody who reads a stretch of the torrent in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReaderKey(pub u32);

/// What a peer said it has right after the handshake (BEP 3, BEP 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// Nothing, or nothing said yet.
    None,
    /// Every piece.
    All,
    /// These pieces; of the torrent's number of pieces.
    Some(Bitfield),
}

/// How much a piece is wanted by the downloader. Readers' windows come before any of these, even over [`Priority::Skip`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Not at all.
    Skip,
    /// After everything else.
    Low,
    /// As usual.
    #[default]
    Normal,
    /// Before everything else.
    High,
}

/// What a reader needs: a window of bytes from its position on. Everything in it is fetched in strict position order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The window, in bytes of the torrent; its start is the reader's position. Cut to the torrent.
    pub bytes: Range<u64>,
    /// How fast the reader goes on from there, in bytes per second; `None`: all of the window is due at once.
    pub bytes_per_s: Option<u64>,
    /// When the first byte is due, since the engine's start. In the past for a reader that waits.
    pub deadline: Duration,
}

/// What became of a block that a peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It was missing and is now ours, to be written. Also for one whose request was cancelled too late.
    Accepted {
        /// It was the last one of its piece: verify it, then call `verified` or `corrupt`.
        piece_complete: bool,
    },
    /// It was requested, but another peer was faster: waste, counted.
    Duplicate,
    /// It was never requested from this peer.
    Unasked,
}

/// Which blocks of a piece came from one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// Who sent them; may have left since.
    pub peer: PeerKey,
    /// Their numbers within the piece, rising.
    pub blocks: Vec<u32>,
}

/// How far the torrent is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Verified pieces.
    pub pieces: u32,
    /// Verified bytes.
    pub bytes: u64,
    /// Pieces that are wanted (not [`Priority::Skip`]) and not yet verified.
    pub wanted_pieces_left: u32,
    /// Their bytes.
    pub wanted_bytes_left: u64,
    /// Bytes of accepted blocks, ever.
    pub received_bytes: u64,
    /// Bytes of requested blocks that came twice, ever. Corrupt pieces are not counted here.
    pub wasted_bytes: u64,
    /// Pieces that are begun and not verified.
    pub partial_pieces: u32,
    /// Requests in flight over all peers, races counted twice.
    pub requests: u32,
}

impl Progress {
    /// Whether every wanted piece is verified.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.wanted_pieces_left == 0
    }
}
