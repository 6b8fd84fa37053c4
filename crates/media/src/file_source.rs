//! The bytes of a file on disk.

use std::path::Path;

use byte_source::{ByteRange, ByteSource, ReadFuture, SourceError};
use bytes::Bytes;

use crate::MediaError;

/// A file on disk. Bytes in the page cache are answered without a task switch.
#[derive(Debug)]
pub struct FileSource {
    len: u64,
}

impl FileSource {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`MediaError::NotFound`] or [`MediaError::Io`] naming the path.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn open(path: &Path) -> Result<Self, MediaError> {
        Err(MediaError::Io { title: path.display().to_string(), detail: "not built yet".to_owned() })
    }
}

impl ByteSource for FileSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, range: ByteRange) -> ReadFuture<'_> {
        Box::pin(std::future::ready(Err(SourceError::OutOfBounds { range, len: self.len })))
    }

    fn try_read_at(&self, _range: ByteRange) -> Option<Result<Bytes, SourceError>> {
        None
    }
}
