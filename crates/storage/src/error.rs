//! Why storing failed: which file, what the system said, what to do about it.

use std::{io, path::PathBuf};

/// Why a torrent's bytes could not be written, read or found. Cheap to clone; its text is for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// What was to be stored makes no sense. The caller's fault, or the torrent's.
    #[error("this torrent cannot be stored: {detail}")]
    Contents {
        /// What is wrong with it.
        detail: String,
    },
    /// No room is left on the device, or a quota is used up.
    #[error("{}: the disk is full: free some space, then resume", .path.display())]
    DiskFull {
        /// The file that was written.
        path: PathBuf,
    },
    /// The file system or the file takes no writes.
    #[error("{}: {detail}: make it writable, then resume", .path.display())]
    ReadOnly {
        /// The file that was written.
        path: PathBuf,
        /// The system's words.
        detail: String,
    },
    /// The file is longer than the file system, or the process's limit, allows.
    #[error("{}: no file of {length} bytes fits here: choose another file system, or raise the limit, then resume", .path.display())]
    FileTooLarge {
        /// The file that was written.
        path: PathBuf,
        /// Bytes it has to hold.
        length: u64,
    },
    /// A file is no longer what was written: gone, shorter, replaced.
    #[error("{}: {detail}: put it back or recheck", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        detail: String,
    },
    /// Something else has the name that a file of the torrent needs.
    #[error("{}: {detail}: move it away or choose another folder", .path.display())]
    InTheWay {
        /// What has the name.
        path: PathBuf,
        /// What it is.
        detail: String,
    },
    /// Any other refusal of the system.
    #[error("{}: {detail}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried and the system's words.
        detail: String,
    },
    /// Bytes were asked that are not verified: never given out.
    #[error("bytes {start} to {end} are not all verified")]
    NotVerified {
        /// The first asked, in bytes of the torrent.
        start: u64,
        /// Past the last asked.
        end: u64,
    },
    /// The torrent, or the whole storage, was closed meanwhile.
    #[error("the torrent was closed")]
    Closed,
    /// A second check of the same torrent was asked for.
    #[error("this torrent is being checked already")]
    Checking,
    /// A check of the data was called off.
    #[error("the check was cancelled")]
    Cancelled,
}

impl StorageError {
    /// Names what `error` means for the file at `path` of `length` bytes while one was `doing` ("writing").
    pub(crate) fn from_io(path: PathBuf, length: u64, doing: &str, error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        let detail = error.to_string();
        match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded => Self::DiskFull { path },
            Kind::ReadOnlyFilesystem | Kind::PermissionDenied => Self::ReadOnly { path, detail },
            Kind::FileTooLarge => Self::FileTooLarge { path, length },
            Kind::NotFound => Self::Changed { path, detail: "the file is gone".into() },
            Kind::NotADirectory | Kind::IsADirectory | Kind::AlreadyExists => Self::InTheWay { path, detail },
            Kind::UnexpectedEof => Self::Changed { path, detail: "the file is shorter than it was".into() },
            _ => Self::Io { path, detail: format!("{doing}: {detail}") },
        }
    }
}
