//! The trait between whoever has bytes and whoever reads them.

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;

use crate::ByteRange;

/// What [`ByteSource::read_at`] returns: resolves once every byte of the range is here.
pub type ReadFuture<'a> = Pin<Box<dyn Future<Output = Result<Bytes, SourceError>> + Send + 'a>>;

/// Why bytes could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SourceError {
    /// The range ends past the source. The caller's fault.
    #[error("bytes {range} were asked of a source of {len} bytes")]
    OutOfBounds {
        /// What was asked.
        range: ByteRange,
        /// How long the source is.
        len: u64,
    },
    /// The source became shorter, or was replaced, after it was opened.
    #[error("bytes {range} are gone: {detail}")]
    Changed {
        /// What was asked.
        range: ByteRange,
        /// What was found instead.
        detail: String,
    },
    /// The disk or the network refused.
    #[error("bytes {range} could not be read: {detail}")]
    Io {
        /// What was asked.
        range: ByteRange,
        /// The system's words.
        detail: String,
    },
    /// Nobody has these bytes at present; asking again later may succeed.
    #[error("bytes {range} are not here yet: {detail}")]
    Unavailable {
        /// What was asked.
        range: ByteRange,
        /// Why, in facts.
        detail: String,
    },
}

/// What will be read soon, so that a swarm can fetch it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadHint {
    /// The bytes that will be asked for.
    pub range: ByteRange,
    /// How soon, in milliseconds from now; 0 is at once.
    pub deadline_ms: u32,
}

/// A run of bytes of known length, read at offsets, in any order, by any number of readers.
pub trait ByteSource: Send + Sync + 'static {
    /// Length in bytes; never changes.
    fn len(&self) -> u64;

    /// Whether it holds no byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads exactly the bytes of `range`, waiting until they are here.
    ///
    /// # Errors
    /// [`SourceError`] names the range; a short read is an error, never fewer bytes.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the demand; nothing is lost.
    fn read_at(&self, range: ByteRange) -> ReadFuture<'_>;

    /// Reads the bytes of `range` if that needs no waiting (memory, page cache); `None` sends the caller to
    /// [`read_at`](Self::read_at). Saves a task switch on the hot path.
    fn try_read_at(&self, _range: ByteRange) -> Option<Result<Bytes, SourceError>> {
        None
    }

    /// Says what will be read soon. A disk ignores it.
    fn hint(&self, _hint: ReadHint) {}

    /// Says that what was hinted to begin within `range` will not be read after all.
    fn forget(&self, _range: ByteRange) {}

    /// Whether all of it can be read at the pace of a disk. If not, each place that is read far from others may cost much:
    /// whoever looks around should look where it will read anyway.
    fn is_here(&self) -> bool {
        true
    }
}

impl<S: ByteSource + ?Sized> ByteSource for Arc<S> {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn read_at(&self, range: ByteRange) -> ReadFuture<'_> {
        (**self).read_at(range)
    }

    fn try_read_at(&self, range: ByteRange) -> Option<Result<Bytes, SourceError>> {
        (**self).try_read_at(range)
    }

    fn hint(&self, hint: ReadHint) {
        (**self).hint(hint);
    }

    fn forget(&self, range: ByteRange) {
        (**self).forget(range);
    }

    fn is_here(&self) -> bool {
        (**self).is_here()
    }
}
