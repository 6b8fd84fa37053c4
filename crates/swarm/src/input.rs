//! Everything that can happen to a torrent: what the shell feeds to [`Torrent::handle`](crate::Torrent::handle).

use core::net::SocketAddr;
use std::{ops::Range, time::Duration};

use bytes::Bytes;
use metainfo::{Bitfield, Block, PieceIndex};

use crate::{Info, Limits, Message, PeerKey, Priority, ReaderKey};

/// Who told us of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The user, a magnet's `x.pe`, resume data. Tried first.
    User,
    /// The local network (BEP 14).
    Lsd,
    /// A tracker.
    Tracker,
    /// A peer that connected to us and said where it listens.
    Incoming,
    /// A peer's exchange (BEP 11).
    Pex,
    /// The DHT (BEP 5).
    Dht,
}

/// What the handshake of a new connection said (BEP 3, 6, 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The peer's id.
    pub peer_id: [u8; 20],
    /// Whether it speaks the fast extension (BEP 6).
    pub fast: bool,
    /// Whether it speaks the extension protocol (BEP 10).
    pub extended: bool,
    /// Whether it has a DHT node (BEP 5).
    pub dht: bool,
    /// Whether the connection is encrypted.
    pub encrypted: bool,
    /// Whether it goes over uTP (BEP 29).
    pub utp: bool,
}

/// Where a reader is and what it wants. Offsets are bytes of the torrent, not of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReaderAt {
    /// The file's bytes within the torrent. What lies outside of it is never fetched for this reader.
    pub file: Range<u64>,
    /// What is wanted: from the next byte the reader takes up to where its request ends.
    pub wanted: Range<u64>,
    /// Bytes per second that it takes, where known (the media's bit rate); otherwise its progress is measured.
    pub bytes_per_s: Option<u64>,
    /// Nobody waits for it; it will be wanted after so long, and comes after what somebody waits for.
    pub ahead: Option<Duration>,
}

/// A block that was asked for with [`Output::Read`](crate::Output::Read).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRead {
    /// For whom.
    pub peer: PeerKey,
    /// Which bytes.
    pub block: Block,
    /// The bytes; `None` when they could not be read. The peer is refused, and the shell reports a disk that fails
    /// by [`Stored::Failed`].
    pub data: Option<Bytes>,
}

/// What became of what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The whole piece is stored and its hash is right.
    Verified(PieceIndex),
    /// The whole piece came and its hash is wrong.
    Corrupt(PieceIndex),
    /// A piece we had is gone: evicted from a memory store, or found missing.
    Lost(PieceIndex),
    /// Storage fails; the torrent stops with this reason.
    Failed {
        /// What the user is told.
        reason: String,
    },
}

/// Everything that can happen to a torrent.
#[derive(Clone, Debug)]
pub enum Input {
    /// Addresses where peers may listen. Those of a private torrent from [`Source::Pex`], [`Source::Dht`] and
    /// [`Source::Lsd`] are ignored.
    Candidates {
        /// Who says so.
        source: Source,
        /// Where.
        addrs: Vec<SocketAddr>,
    },
    /// An attempt ([`Output::Connect`](crate::Output::Connect)) led to a handshake for this torrent.
    Connected {
        /// The key of the attempt.
        peer: PeerKey,
        /// What the peer said.
        hello: Hello,
    },
    /// An attempt failed, or the connection ended. Not to be sent in answer to
    /// [`Output::Disconnect`](crate::Output::Disconnect), though that does no harm.
    Disconnected {
        /// Which.
        peer: PeerKey,
        /// Whether the peer broke the protocol (the wire says so): it is not dialled again.
        misbehaved: bool,
    },
    /// What a connection received since last time, in order.
    Messages {
        /// From whom.
        peer: PeerKey,
        /// What; of a web seed only `Piece`, `Reject` and `DontHave`.
        batch: Vec<Message>,
    },
    /// Bytes of blocks that have left for the peer's socket since last time. Paces reading from disk.
    Sent {
        /// To whom.
        peer: PeerKey,
        /// Payload bytes.
        bytes: u64,
    },
    /// Results of storage.
    Stored(Vec<Stored>),
    /// Blocks read from disk for peers.
    BlocksRead(Vec<BlockRead>),
    /// The info dictionary is known: at the beginning, or parsed from
    /// [`Output::MetadataComplete`](crate::Output::MetadataComplete).
    Info(Box<Info>),
    /// The disk was checked anew; the pieces that are there. Peers are dropped, those of a running torrent met again.
    Rechecked(Bitfield),
    /// Of pieces that are not verified, the blocks that a former run left in storage, as numbers within the piece: they are not
    /// fetched. Follows [`Input::Info`] or [`Input::Rechecked`]. At least one block of each piece is missing.
    Restored(Vec<(PieceIndex, Vec<u32>)>),
    /// A reader begins.
    ReaderOpened {
        /// Which, as the shell numbers them.
        reader: ReaderKey,
        /// Where.
        at: ReaderAt,
    },
    /// A reader has read, or has sought.
    ReaderMoved {
        /// Which.
        reader: ReaderKey,
        /// Where it is now.
        at: ReaderAt,
    },
    /// A reader ended; its demand ends at once.
    ReaderClosed {
        /// Which.
        reader: ReaderKey,
    },
    /// How much pieces are wanted, as ranges that follow each other from piece 0. What is not covered is
    /// [`Priority::Normal`].
    Wanted(Vec<(Range<u32>, Priority)>),
    /// Whether pieces are fetched in order when nobody watches.
    Sequential(bool),
    /// Connections are dropped and nothing is dialled until [`Input::Resume`].
    Pause,
    /// Goes on, also after a storage failure.
    Resume,
    /// Other limits.
    Limits(Limits),
    /// Whether a seed gives each piece away once first (BEP 16).
    SuperSeeding(bool),
    /// Whether blocks are given to anyone (a seeding goal is reached: `false`).
    Upload(bool),
    /// The connection limits of the session leave room (`true`) for new attempts or do not.
    MayConnect(bool),
    /// Nothing but time has passed: sent when [`Torrent::next_timeout`](crate::Torrent::next_timeout) is due.
    Timeout,
}
