//! What a torrent is, before any peer is met: its info-hash, its pieces and blocks, its files, its magnet (BEP 3, 9, 12,
//! 19, 27, 47, 52, 53), and how one is made.
//!
//! Opens no file and hashes none: whoever makes a torrent brings the piece hashes. Names of files are checked here, once;
//! where they are opened is `storage`'s affair.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bitfield;
mod builder;
mod error;
mod files;
mod hosts;
mod ids;
mod info;
mod layout;
pub mod limits;
mod magnet;
mod names;
mod torrent;

pub use bitfield::Bitfield;
pub use builder::{BuildError, Builder, Content, NewFile, PieceLength};
pub use error::{MagnetError, MetainfoError};
pub use files::{Attributes, File, FileSlice, Files};
pub use hosts::{HostPort, NoHost, has_passkey};
pub use ids::{BlockIndex, FileIndex, InfoHash, InfoHashError, InfoHashV2, PieceIndex};
pub use info::Info;
pub use layout::{BLOCK_LENGTH, Block, LayoutError, PIECE_LENGTH_MAX, PIECES_MAX, PieceLayout};
pub use magnet::Magnet;
pub use names::NameProblem;
pub use torrent::Metainfo;
