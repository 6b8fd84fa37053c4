//! Why bytes are no torrent, or no magnet.

use crate::{
    FileIndex, InfoHashV2, LayoutError,
    limits::{FILES_MAX, MAGNET_BYTES_MAX, TORRENT_BYTES_MAX},
    names::NameProblem,
};

/// Why a torrent is refused: whoever made it is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetainfoError {
    /// Too many bytes to look at.
    #[error("the torrent has {length} bytes: more than {TORRENT_BYTES_MAX}")]
    TooLong {
        /// How many it has.
        length: usize,
    },
    /// No bencode.
    #[error(transparent)]
    Bencode(#[from] bencode::Error),
    /// A key that must be there is not.
    #[error("the torrent has no {key}")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A key that each file must have is not there.
    #[error("file {file} has no {key}")]
    MissingInFile {
        /// The file.
        file: FileIndex,
        /// The key.
        key: &'static str,
    },
    /// A value of the wrong kind, or negative where it must not be.
    #[error("{key} is not what it has to be")]
    Kind {
        /// The key.
        key: &'static str,
    },
    /// A torrent without a v1 side.
    #[error(
        "{name:?} is a torrent of BitTorrent v2 alone (info-hash {info_hash}), which is not supported yet"
    )]
    V2Only {
        /// Its SHA-256.
        info_hash: InfoHashV2,
        /// What it calls itself.
        name: String,
    },
    /// Piece hashes that are cut off, or too many.
    #[error("the piece hashes have {length} bytes: not a multiple of 20, or too many")]
    PieceHashes {
        /// Bytes of them.
        length: usize,
    },
    /// The files and the piece hashes contradict each other.
    #[error("{stated} piece hashes for {total} bytes that make {wanted} pieces")]
    PieceCount {
        /// Hashes in the torrent.
        stated: usize,
        /// Pieces of its files.
        wanted: u32,
        /// Bytes of its files.
        total: u64,
    },
    /// A length that is negative or no number.
    #[error("file {file} has the length {length:?}")]
    Length {
        /// The file.
        file: FileIndex,
        /// The number, where it is one.
        length: Option<i64>,
    },
    /// The lengths of files add up past 64 bits.
    #[error("the lengths of the files add up to more than 2^64")]
    Overflow,
    /// More files than anyone needs.
    #[error("the torrent has more than {FILES_MAX} files")]
    TooManyFiles,
    /// A name that cannot be opened safely.
    #[error("the name {name:?} is refused: {problem}")]
    Name {
        /// The name, cut and escaped.
        name: String,
        /// What is wrong with it.
        problem: NameProblem,
    },
    /// Two files of the same path, or a file where another needs a folder.
    #[error("two files are named {path:?}, or one as the other's folder")]
    Duplicate {
        /// The path.
        path: String,
    },
    /// Lengths that make no torrent.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// Why a text is no magnet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MagnetError {
    /// It begins with something else.
    #[error("{start:?} is no magnet: it does not begin with \"magnet:?\"")]
    Scheme {
        /// The first characters.
        start: String,
    },
    /// Too many bytes to look at.
    #[error("the magnet has {length} bytes: more than {MAGNET_BYTES_MAX}")]
    TooLong {
        /// How many it has.
        length: usize,
    },
    /// It names no torrent.
    #[error("the magnet has no info-hash: no xt=urn:btih:… of 40 hexadecimal or 32 base32 digits")]
    NoInfoHash,
    /// It names a torrent without a v1 side.
    #[error(
        "the magnet is of a torrent of BitTorrent v2 alone (info-hash {info_hash}), which is not supported yet"
    )]
    V2Only {
        /// Its SHA-256.
        info_hash: InfoHashV2,
    },
    /// An info-hash that is none.
    #[error("{text:?} is no info-hash")]
    InfoHash {
        /// What was given, cut.
        text: String,
    },
    /// It names two torrents.
    #[error("the magnet has two different info-hashes")]
    TwoInfoHashes,
    /// A selection of files that cannot be read (BEP 53).
    #[error("so={text:?} is no selection of files: numbers and ranges like 0,2,4-8")]
    Select {
        /// What was given, cut.
        text: String,
    },
}
