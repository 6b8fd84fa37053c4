//! What peers say to each other, as values (BEP 3, 6, 9, 10, 11, 21, 54). Bytes are in `decode` and `encode`.

use bytes::Bytes;

use crate::{ExtendedHandshake, MetadataMessage, Pex};

/// A place that a peer named: three numbers that nobody has checked. `metainfo::PieceLayout` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawBlock {
    /// The piece.
    pub piece: u32,
    /// Where it begins in the piece, in bytes.
    pub begin: u32,
    /// How many bytes it has.
    pub length: u32,
}

/// One message after the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Nothing but a sign of life.
    KeepAlive,
    /// Requests will not be served.
    Choke,
    /// Requests will be served.
    Unchoke,
    /// The other end has something that is wanted.
    Interested,
    /// It has nothing that is wanted.
    NotInterested,
    /// A piece is there now.
    Have(u32),
    /// All pieces that are there, a bit each; the length is exact when the connection knows the number of pieces. The spare
    /// bits are unchecked.
    Bitfield(Bytes),
    /// A block is wanted.
    Request(RawBlock),
    /// A block.
    Piece {
        /// The piece it lies in.
        piece: u32,
        /// Where it begins in the piece, in bytes.
        begin: u32,
        /// Its bytes: a slice of the buffer they were read into.
        data: Bytes,
    },
    /// A block is no longer wanted.
    Cancel(RawBlock),
    /// The UDP port of the peer's DHT node (BEP 5).
    Port(u16),
    /// A piece that would be cheap to serve (BEP 6).
    SuggestPiece(u32),
    /// Every piece is there (BEP 6).
    HaveAll,
    /// No piece is there (BEP 6).
    HaveNone,
    /// A request will not be served (BEP 6).
    Reject(RawBlock),
    /// A piece that is served even when choked (BEP 6).
    AllowedFast(u32),
    /// Which extensions a peer speaks, and facts about it (BEP 10).
    ExtendedHandshake(Box<ExtendedHandshake>),
    /// Exchange of the info dictionary (BEP 9).
    Metadata(MetadataMessage),
    /// Exchange of peers (BEP 11).
    Pex(Box<Pex>),
    /// A piece is gone (BEP 54).
    DontHave(u32),
    /// Whether the peer only uploads (BEP 21).
    UploadOnly(bool),
    /// A message of an extension that we did not announce, skipped; its number. Never sent.
    UnknownExtended(u8),
}

impl Message {
    /// Whether it is of the fast extension (BEP 6).
    pub(crate) fn needs_fast(&self) -> bool {
        matches!(
            self,
            Self::SuggestPiece(_) | Self::HaveAll | Self::HaveNone | Self::Reject(_) | Self::AllowedFast(_)
        )
    }

    /// Its name in logs and errors.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::KeepAlive => "keep-alive",
            Self::Choke => "choke",
            Self::Unchoke => "unchoke",
            Self::Interested => "interested",
            Self::NotInterested => "not interested",
            Self::Have(_) => "have",
            Self::Bitfield(_) => "bitfield",
            Self::Request(_) => "request",
            Self::Piece { .. } => "piece",
            Self::Cancel(_) => "cancel",
            Self::Port(_) => "port",
            Self::SuggestPiece(_) => "suggest piece",
            Self::HaveAll => "have all",
            Self::HaveNone => "have none",
            Self::Reject(_) => "reject",
            Self::AllowedFast(_) => "allowed fast",
            Self::ExtendedHandshake(_) => "extended handshake",
            Self::Metadata(_) => "ut_metadata",
            Self::Pex(_) => "ut_pex",
            Self::DontHave(_) => "lt_donthave",
            Self::UploadOnly(_) => "upload_only",
            Self::UnknownExtended(_) => "unknown extension",
        }
    }
}

/// The numbers of messages.
pub(crate) mod id {
    pub(crate) const CHOKE: u8 = 0;
    pub(crate) const UNCHOKE: u8 = 1;
    pub(crate) const INTERESTED: u8 = 2;
    pub(crate) const NOT_INTERESTED: u8 = 3;
    pub(crate) const HAVE: u8 = 4;
    pub(crate) const BITFIELD: u8 = 5;
    pub(crate) const REQUEST: u8 = 6;
    pub(crate) const PIECE: u8 = 7;
    pub(crate) const CANCEL: u8 = 8;
    pub(crate) const PORT: u8 = 9;
    pub(crate) const SUGGEST: u8 = 13;
    pub(crate) const HAVE_ALL: u8 = 14;
    pub(crate) const HAVE_NONE: u8 = 15;
    pub(crate) const REJECT: u8 = 16;
    pub(crate) const ALLOWED_FAST: u8 = 17;
    pub(crate) const EXTENDED: u8 = 20;

    pub(crate) fn name(id: u8) -> &'static str {
        match id {
            CHOKE => "choke",
            UNCHOKE => "unchoke",
            INTERESTED => "interested",
            NOT_INTERESTED => "not interested",
            HAVE => "have",
            BITFIELD => "bitfield",
            REQUEST => "request",
            PIECE => "piece",
            CANCEL => "cancel",
            PORT => "port",
            SUGGEST => "suggest piece",
            HAVE_ALL => "have all",
            HAVE_NONE => "have none",
            REJECT => "reject",
            ALLOWED_FAST => "allowed fast",
            EXTENDED => "extended",
            _ => "unknown",
        }
    }
}
