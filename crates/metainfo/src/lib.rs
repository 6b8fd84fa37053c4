//! What a torrent is, before any peer is met: its info-hash, its pieces and blocks, its files, its magnet (BEP 3, 9, 12,
//! 19, 27, 47, 52, 53), and how one is made.
//!
//! Opens no file and hashes none: whoever makes a torrent brings the piece hashes. Names of files are checked here, once;
//! where they are opened is `storage`'s affair.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bitfield;
mod ids;
mod layout;

pub use bitfield::Bitfield;
pub use ids::{BlockIndex, FileIndex, InfoHash, InfoHashError, PieceIndex};
pub use layout::{BLOCK_LENGTH, Block, LayoutError, PIECE_LENGTH_MAX, PIECES_MAX, PieceLayout};
