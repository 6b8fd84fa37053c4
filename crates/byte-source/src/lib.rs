//! The first waist of the house: bytes that may not be here yet.
//!
//! [`ByteSource`] is all that media knows of a file on disk or a torrent still downloading: a length, a read at a
//! range that waits if it must, and a hint of what is wanted next and how soon. [`ByteRange`] and [`RangeSet`] are
//! the words both sides speak.
//!
//! Opens no file and reads no clock: the disk implementation lives in `media`, the swarm's in `engine`.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod late;
mod memory;
mod range;
mod range_set;
mod source;

pub use late::LateSource;
pub use memory::MemorySource;
pub use range::ByteRange;
pub use range_set::RangeSet;
pub use source::{ByteSource, ReadFuture, ReadHint, SourceError};
