//! The bytes of a file on disk.
//!
//! What lies in the page cache is answered on the spot (`preadv2` with `RWF_NOWAIT`); what does not is read by the
//! runtime's blocking threads, a few at a time. A file that shrinks or is written to while it is open is noticed.

use std::{
    fs::{File, Metadata},
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use byte_source::{ByteRange, ByteSource, ReadFuture, SourceError};
use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::{
    MediaError,
    buffers::Buffer,
    limits::{DISK_READS_MAX, FILE_READ_BYTES_MAX, INLINE_READ_BYTES_MAX},
};

static DISK_READS: Semaphore = Semaphore::const_new(DISK_READS_MAX);

/// Which file, and in which state: what must stay the same while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Bytes.
    pub len: u64,
    /// Time of the last write, nanoseconds since 1970.
    pub modified_ns: i128,
}

impl FileIdentity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
        }
    }

    /// Of whatever is at `path` now; `None` if nothing is.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        Some(Self::of(&std::fs::metadata(path).ok()?))
    }
}

/// A file on disk. Bytes in the page cache are answered without a task switch.
#[derive(Debug)]
pub struct FileSource {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    identity: FileIdentity,
    /// The file system knows `RWF_NOWAIT`.
    nowait: AtomicBool,
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
        let name = path.display().to_string();
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || Self::open_blocking(&path)).await;
        match opened {
            Ok(Ok(source)) => Ok(source),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(MediaError::NotFound { title: name, what: "file there".to_owned() })
            }
            Ok(Err(error)) => Err(MediaError::Io { title: name, detail: error.to_string() }),
            Err(gone) => Err(MediaError::Internal { title: name, detail: gone.to_string() }),
        }
    }

    fn open_blocking(path: &Path) -> std::io::Result<Self> {
        // A named pipe would block the open for ever: look before.
        if !std::fs::metadata(path)?.is_file() {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let file = File::open(path)?;
        let identity = FileIdentity::of(&file.metadata()?);
        Ok(Self { inner: Arc::new(Inner { file, identity, nowait: AtomicBool::new(true) }) })
    }

    /// Which file this is.
    #[must_use]
    pub fn identity(&self) -> FileIdentity {
        self.inner.identity
    }
}

impl Inner {
    fn check(&self, range: ByteRange) -> Result<usize, SourceError> {
        if range.end() > self.identity.len {
            return Err(SourceError::OutOfBounds { range, len: self.identity.len });
        }
        if range.len() > FILE_READ_BYTES_MAX {
            let detail = format!("{} bytes at once, the limit is {FILE_READ_BYTES_MAX}", range.len());
            return Err(SourceError::Io { range, detail });
        }
        usize::try_from(range.len()).map_err(|_| SourceError::OutOfBounds { range, len: self.identity.len })
    }

    /// The file is what it was when it was opened.
    fn unchanged(&self, range: ByteRange) -> Result<(), SourceError> {
        let now = match self.file.metadata() {
            Ok(metadata) => FileIdentity::of(&metadata),
            Err(error) => return Err(SourceError::Io { range, detail: error.to_string() }),
        };
        if now == self.identity {
            return Ok(());
        }
        let detail = if now.len == self.identity.len {
            "the file was written to after it was opened".to_owned()
        } else {
            format!("the file was {} bytes when it was opened and is {} now", self.identity.len, now.len)
        };
        Err(SourceError::Changed { range, detail })
    }

    fn read_blocking(&self, range: ByteRange) -> Result<Bytes, SourceError> {
        let mut buffer = Buffer::of(self.check(range)?);
        match self.file.read_exact_at(buffer.as_mut(), range.start()) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                self.unchanged(range)?;
                return Err(SourceError::Changed { range, detail: "the file ends before them".to_owned() });
            }
            Err(error) => return Err(SourceError::Io { range, detail: error.to_string() }),
        }
        self.unchanged(range)?;
        Ok(buffer.freeze())
    }

    /// The bytes if all of them are in the page cache.
    #[cfg(target_os = "linux")]
    fn read_cached(&self, range: ByteRange) -> Option<Result<Bytes, SourceError>> {
        use rustix::io::{Errno, ReadWriteFlags};

        if range.len() > INLINE_READ_BYTES_MAX || !self.nowait.load(Ordering::Relaxed) {
            return None;
        }
        let mut buffer = match self.check(range) {
            Ok(len) => Buffer::of(len),
            Err(error) => return Some(Err(error)),
        };
        let slice = &mut [std::io::IoSliceMut::new(buffer.as_mut())];
        match rustix::io::preadv2(&self.file, slice, range.start(), ReadWriteFlags::NOWAIT) {
            Ok(read) if read as u64 == range.len() => Some(self.unchanged(range).map(|()| buffer.freeze())),
            // Part of it, or none: the rest has to come from the disk, or the file is shorter than it was.
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => None,
            // Not on this file system; and what a read fails with is told by the read that may wait.
            Err(_) => {
                self.nowait.store(false, Ordering::Relaxed);
                None
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn read_cached(&self, _range: ByteRange) -> Option<Result<Bytes, SourceError>> {
        None
    }
}

impl ByteSource for FileSource {
    fn len(&self) -> u64 {
        self.inner.identity.len
    }

    fn read_at(&self, range: ByteRange) -> ReadFuture<'_> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            inner.check(range)?;
            // Never closed, so only an error of ours could show here.
            let permit = DISK_READS.acquire().await;
            let permit = permit.map_err(|e| SourceError::Io { range, detail: e.to_string() })?;
            let read = tokio::task::spawn_blocking(move || {
                let answer = inner.read_blocking(range);
                // Held until the disk is done, also when the reader has gone.
                drop(permit);
                answer
            });
            read.await.unwrap_or_else(|e| Err(SourceError::Io { range, detail: e.to_string() }))
        })
    }

    fn try_read_at(&self, range: ByteRange) -> Option<Result<Bytes, SourceError>> {
        self.inner.read_cached(range)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file_of(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[tokio::test]
    async fn both_ways_of_reading_give_the_same_bytes() {
        let bytes: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
        let file = file_of(&bytes);
        let source = FileSource::open(file.path()).await.unwrap();
        assert_eq!(source.len(), 300_000);
        for (start, end) in [(0, 300_000), (1, 2), (70_000, 270_001), (300_000, 300_000)] {
            let range = ByteRange::new(start as u64, end as u64);
            assert_eq!(source.read_at(range).await.unwrap(), bytes[start..end]);
            if let Some(cached) = source.try_read_at(range) {
                assert_eq!(cached.unwrap(), bytes[start..end]);
            }
        }
    }

    #[tokio::test]
    async fn a_file_that_shrank_is_changed_not_short() {
        let file = file_of(&[1; 10_000]);
        let source = FileSource::open(file.path()).await.unwrap();
        file.as_file().set_len(5_000).unwrap();
        let range = ByteRange::new(4_000, 6_000);
        assert!(matches!(source.read_at(range).await, Err(SourceError::Changed { .. })));
        assert!(source.try_read_at(range).is_none_or(|r| matches!(r, Err(SourceError::Changed { .. }))));
    }

    #[tokio::test]
    async fn a_file_written_to_is_changed() {
        let mut file = file_of(&[1; 10_000]);
        let source = FileSource::open(file.path()).await.unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
        file.write_all(b"more").unwrap();
        file.as_file().set_modified(later).unwrap();
        let answer = source.read_at(ByteRange::new(0, 10)).await;
        assert!(matches!(answer, Err(SourceError::Changed { .. })), "{answer:?}");
    }

    #[tokio::test]
    async fn past_the_end_is_out_of_bounds() {
        let file = file_of(b"abc");
        let source = FileSource::open(file.path()).await.unwrap();
        let answer = source.read_at(ByteRange::new(0, 4)).await;
        assert!(matches!(answer, Err(SourceError::OutOfBounds { len: 3, .. })));
    }

    #[tokio::test]
    async fn what_is_not_a_file_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let error = FileSource::open(dir.path()).await.unwrap_err();
        assert!(error.to_string().contains("not a regular file"), "{error}");
        let error = FileSource::open(&dir.path().join("none")).await.unwrap_err();
        assert!(matches!(error, MediaError::NotFound { .. }));
    }
}
