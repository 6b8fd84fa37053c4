//! A source that is all in memory.

use bytes::Bytes;

use crate::{ByteRange, ByteSource, ReadFuture, SourceError};

/// Bytes in memory; reads share them, nothing is copied.
#[derive(Clone, Debug)]
pub struct MemorySource(Bytes);

impl MemorySource {
    /// A source of these bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    fn slice(&self, range: ByteRange) -> Result<Bytes, SourceError> {
        let len = self.0.len() as u64;
        let (Ok(start), Ok(end)) = (usize::try_from(range.start()), usize::try_from(range.end())) else {
            return Err(SourceError::OutOfBounds { range, len });
        };
        if end > self.0.len() {
            return Err(SourceError::OutOfBounds { range, len });
        }
        Ok(self.0.slice(start..end))
    }
}

impl ByteSource for MemorySource {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, range: ByteRange) -> ReadFuture<'_> {
        Box::pin(std::future::ready(self.slice(range)))
    }

    fn try_read_at(&self, range: ByteRange) -> Option<Result<Bytes, SourceError>> {
        Some(self.slice(range))
    }
}
