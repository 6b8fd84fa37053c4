//! A file of a torrent as a byte source: reads wait until their pieces are here and verified.

use byte_source::{ByteRange, ByteSource, ReadFuture, ReadHint, SourceError};
use metainfo::FileIndex;

/// Reads one file of a torrent. Each reader states its own demand; dropping it withdraws the demand at once.
pub struct Reader {
    file: FileIndex,
    length: u64,
}

impl Reader {
    /// Which file it reads.
    #[must_use]
    pub fn file(&self) -> FileIndex {
        self.file
    }

    /// States how fast the bytes are consumed, in bytes a second: the media's bit rate. Decides how far ahead of the
    /// position pieces are fetched before all others.
    pub fn set_rate(&self, bytes_per_second: u64) {
        let _ = bytes_per_second;
    }
}

impl ByteSource for Reader {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, range: ByteRange) -> ReadFuture<'_> {
        Box::pin(async move {
            Err(SourceError::Unavailable { range, detail: "the torrent is not running".into() })
        })
    }

    fn hint(&self, hint: ReadHint) {
        let _ = hint;
    }
}
