//! What a torrent consists of, as far as storing it goes. Names are refused here a second time: `metainfo` made them
//! safe, and whatever else calls this crate is not trusted to have done so.

use std::sync::Arc;

use bytes::Bytes;
use metainfo::{FileIndex, InfoHash, PieceIndex, PieceLayout};

use crate::StorageError;

/// Names longer than this are refused: `NAME_MAX` of Linux, less the suffix of unfinished files.
pub(crate) const NAME_BYTES_MAX: usize = 250;

/// Folders within folders, the file's own name counted; deeper ones are refused.
pub(crate) const DEPTH_MAX: usize = 64;

/// One file of a torrent, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Names from the download directory down, the torrent's own folder included; the last is the file's.
    pub path: Vec<String>,
    /// Bytes.
    pub length: u64,
    /// A pad file (BEP 47): its bytes are zeros, and no file is made.
    pub pad: bool,
}

/// What is stored of one torrent. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Contents {
    info_hash: InfoHash,
    layout: PieceLayout,
    files: Arc<[FileEntry]>,
    hashes: Bytes,
}

impl Contents {
    /// Describes a torrent: its files in order, and `hashes`, 20 bytes of SHA-1 for each piece (the `pieces` of BEP 3).
    ///
    /// # Errors
    /// [`StorageError::Contents`] when a name could lead elsewhere, two files have one name, or lengths do not add up.
    pub fn new(
        info_hash: InfoHash,
        layout: PieceLayout,
        files: impl Into<Arc<[FileEntry]>>,
        hashes: Bytes,
    ) -> Result<Self, StorageError> {
        let files = files.into();
        let refused = |detail: String| StorageError::Contents { detail };
        if hashes.len() as u64 != u64::from(layout.pieces()) * 20 {
            return Err(refused(format!("{} bytes of hashes for {} pieces", hashes.len(), layout.pieces())));
        }
        let total = files.iter().try_fold(0u64, |sum, file| sum.checked_add(file.length));
        if total != Some(layout.total()) {
            return Err(refused(format!("files do not add up to {} bytes", layout.total())));
        }
        let mut names = std::collections::HashSet::with_capacity(files.len());
        for file in files.iter().filter(|file| !file.pad) {
            if file.path.is_empty() || file.path.len() > DEPTH_MAX {
                return Err(refused(format!("a path of {} names: 1 to {DEPTH_MAX}", file.path.len())));
            }
            if let Some(name) = file.path.iter().find(|name| !is_plain(name)) {
                return Err(refused(format!("{name:?} is no plain file name")));
            }
            if !names.insert(&file.path) {
                return Err(refused(format!("two files are called {:?}", file.path.join("/"))));
            }
        }
        Ok(Self { info_hash, layout, files, hashes })
    }

    /// Which torrent.
    #[must_use]
    pub fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    /// How its bytes are cut.
    #[must_use]
    pub fn layout(&self) -> PieceLayout {
        self.layout
    }

    /// Its files, in order.
    #[must_use]
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// The file of a number, if there is one.
    #[must_use]
    pub fn file(&self, file: FileIndex) -> Option<&FileEntry> {
        self.files.get(file.as_usize())
    }

    /// What the bytes of `piece` hash to.
    pub(crate) fn hash(&self, piece: PieceIndex) -> Option<&[u8]> {
        let begin = piece.as_usize() * 20;
        self.hashes.get(begin..begin + 20)
    }
}

/// Whether a name is one step down and nothing else.
fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() <= NAME_BYTES_MAX
        && !name.bytes().any(|byte| byte == b'/' || byte == 0)
}
