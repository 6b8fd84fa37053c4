//! What a torrent wants done: what [`Torrent::poll_output`](crate::Torrent::poll_output) gives to the shell.

use core::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use metainfo::{Block, BlockIndex, PieceIndex};

use crate::{Message, PeerKey};

/// A block to be written. The bytes are the peer's; whether they are right is known once the piece is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteBlock {
    /// Where.
    pub block: BlockIndex,
    /// What.
    pub data: Bytes,
}

/// Bytes to be read for a peer; answered by [`BlockRead`](crate::BlockRead).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadBlock {
    /// For whom.
    pub peer: PeerKey,
    /// Which bytes; not always one of our blocks, since a peer may ask for any part of a piece.
    pub block: Block,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// Neither of us has anything for the other.
    #[error("both are seeds")]
    BothSeeds,
    /// It is us.
    #[error("it is ourselves")]
    Ourselves,
    /// There is a connection with this peer already.
    #[error("connected twice")]
    Duplicate,
    /// Nothing came for too long.
    #[error("silent for too long")]
    Silent,
    /// No answer to an attempt.
    #[error("no answer")]
    NoAnswer,
    /// Nothing was exchanged for long and others are waiting.
    #[error("idle while others wait")]
    Idle,
    /// Its address is banned.
    #[error("banned")]
    Banned,
    /// It sent what no peer may send.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// The torrent is paused, stopped or checked anew.
    #[error("the torrent was stopped")]
    Stopped,
    /// The limits allow no more connections.
    #[error("too many connections")]
    Limit,
}

/// What a torrent wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Connect to `addr` and shake hands; answered by [`Input::Connected`](crate::Input::Connected) or
    /// [`Input::Disconnected`](crate::Input::Disconnected).
    Connect {
        /// The key of the attempt and of the connection that comes of it.
        peer: PeerKey,
        /// Where to.
        addr: SocketAddr,
    },
    /// End a connection or an attempt. The key is no longer valid.
    Disconnect {
        /// Which.
        peer: PeerKey,
        /// Why, for the log.
        reason: Reason,
    },
    /// Send messages, in order, in one go.
    Send {
        /// To whom.
        peer: PeerKey,
        /// What.
        messages: Vec<Message>,
    },
    /// Write blocks. Storage hashes a piece once all its blocks came, and says so by [`Stored`](crate::Stored).
    Write(Vec<WriteBlock>),
    /// Read blocks for peers.
    Read(Vec<ReadBlock>),
    /// The info dictionary came and its hash is the info-hash. To be parsed, answered by
    /// [`Input::Info`](crate::Input::Info).
    MetadataComplete(Bytes),
    /// These pieces can be read now.
    PiecesVerified(Vec<PieceIndex>),
    /// This address is not to be connected with again, nor accepted.
    Banned {
        /// Which.
        ip: IpAddr,
    },
    /// Every wanted piece is here.
    Finished {
        /// Whether pieces were downloaded to get here since [`Input::Info`](crate::Input::Info); otherwise they were found
        /// on disk, and trackers are not told `completed`.
        downloaded: bool,
        /// Whether this is the whole torrent and not the wanted part of it.
        whole: bool,
    },
    /// Storage failed; the torrent has stopped.
    Failed {
        /// What the user is told.
        reason: String,
    },
    /// A peer says where its DHT node is (BEP 5).
    DhtNode(SocketAddr),
    /// There are fewer peers than wanted and no candidates left: ask trackers (within their intervals), DHT, LSD.
    PeersWanted,
}
