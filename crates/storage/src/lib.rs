//! Where the bytes of torrents live: files beneath one folder, or bounded memory; verified (BEP 3), resumable.
//!
//! [`Storage`] is the session's: its threads, its bound on bytes in flight, its open files. [`Store`] is one torrent's:
//! blocks go in with [`Store::write`], [`Event`]s come out through the torrent's [`Sink`], and what is read is verified.
//! There is no runtime here: threads are std's, and whatever takes time is a [`Pending`], a future that any runtime polls.
//!
//! Which pieces to fetch is `piece-picker`'s affair, whom to upload to `swarm`'s, when to start and stop `engine`'s.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod assembly;
mod beneath;
mod buffers;
mod check;
mod contents;
mod error;
mod event;
mod files;
mod hash;
mod keeper;
mod map;
mod memory;
mod pending;
mod pool;
mod queue;
mod raw;
mod reader;
mod relocate;
mod resume;
mod storage;
mod store;
mod threads;
mod torrent;
mod writer;

pub use contents::{Contents, FileEntry};
pub use error::StorageError;
pub use event::{Event, Sink};
pub use hash::{HashFile, hash_files};
pub use pending::{Pending, Room};
#[doc(hidden)]
pub use resume::is_read_back;
pub use storage::{Options, Place, Storage, Unfinished};
pub use store::{Check, PartialPiece, Store};
