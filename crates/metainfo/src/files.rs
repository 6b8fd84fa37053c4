//! The files of a torrent (BEP 3, 47): which bytes of the torrent each has, and back. Where they are kept is `storage`'s.

use std::ops::Range;

use crate::{FileIndex, PieceLayout};

/// What the `attr` of a file says (BEP 47).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Only there so that the next file begins with a piece; its bytes are zero and it is never stored.
    pub pad: bool,
    /// To be made executable.
    pub executable: bool,
    /// Hidden on systems that know such a thing.
    pub hidden: bool,
    /// A symbolic link: counted, but never made, since its target is the torrent's say. It has no bytes.
    pub symlink: bool,
}

/// A file of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub(crate) path: Box<str>,
    pub(crate) length: u64,
    pub(crate) offset: u64,
    pub(crate) attributes: Attributes,
    pub(crate) renamed: bool,
}

impl File {
    /// Its path within the torrent, safe to open beneath a folder: components joined by `/`, none of them `..`. The folder
    /// that a torrent of several files has is not in it: [`Files::stored_path`].
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The last component of its path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where it begins, in bytes of the torrent.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Its bytes within the torrent.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.length
    }

    /// What the torrent says about it.
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        self.attributes
    }

    /// Whether it is padding: zeros that are never stored.
    #[must_use]
    pub fn is_pad(&self) -> bool {
        self.attributes.pad
    }

    /// Whether it is a file that somebody wants: neither padding nor a symbolic link.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        !self.attributes.pad && !self.attributes.symlink
    }

    /// Whether the torrent gives it another name, which was not safe or not possible.
    #[must_use]
    pub fn is_renamed(&self) -> bool {
        self.renamed
    }
}

/// The files of a torrent, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    pub(crate) list: Box<[File]>,
    pub(crate) folder: Option<Box<str>>,
}

/// Bytes of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSlice {
    /// The file.
    pub file: FileIndex,
    /// Bytes within the file.
    pub range: Range<u64>,
    /// Where they begin, in bytes of the torrent.
    pub offset: u64,
}

impl Files {
    /// How many there are, padding included; at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a torrent has a file")]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The file of an untrusted number, if there is one.
    #[must_use]
    pub fn index(&self, number: u32) -> Option<FileIndex> {
        ((number as usize) < self.list.len()).then_some(FileIndex(number))
    }

    /// The file at `index`.
    #[must_use]
    pub fn get(&self, index: FileIndex) -> Option<&File> {
        self.list.get(index.as_usize())
    }

    /// Every file with its index, padding included.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (FileIndex, &File)> + DoubleEndedIterator {
        self.list.iter().enumerate().map(|(number, file)| (index(number), file))
    }

    /// The folder that holds the files: a safe name. `None` for a torrent that is one file.
    #[must_use]
    pub fn folder(&self) -> Option<&str> {
        self.folder.as_deref()
    }

    /// Where the file is kept, relative to the download folder: [`folder`](Self::folder), where there is one, and path.
    #[must_use]
    pub fn stored_path(&self, index: FileIndex) -> Option<String> {
        let path = self.get(index)?.path();
        Some(self.folder().map_or_else(|| path.to_owned(), |folder| format!("{folder}/{path}")))
    }

    /// The file that the torrent's byte `offset` lies in.
    #[must_use]
    pub fn at(&self, offset: u64) -> Option<FileIndex> {
        let number = self.list.partition_point(|file| file.range().end <= offset);
        (number < self.list.len()).then(|| index(number))
    }

    /// The slices that bytes `range` of the torrent are made of, in order, cut to the torrent; none is empty.
    pub fn slices(&self, range: Range<u64>) -> impl Iterator<Item = FileSlice> {
        let first = self.list.partition_point(|file| file.range().end <= range.start);
        self.list[first..]
            .iter()
            .enumerate()
            .take_while({
                let end = range.end;
                move |(_, file)| file.offset < end
            })
            .filter_map(move |(number, file)| {
                let (start, end) = (range.start.max(file.offset), range.end.min(file.range().end));
                (start < end).then(|| FileSlice {
                    file: index(first + number),
                    range: start - file.offset..end - file.offset,
                    offset: start,
                })
            })
    }

    /// The pieces that the file touches; none where it is empty or there is no such file.
    #[must_use]
    pub fn pieces(&self, index: FileIndex, layout: &PieceLayout) -> Range<u32> {
        self.get(index).map_or(0..0, |file| layout.pieces_of(file.range()))
    }
}

/// The index of a number that is within the limit on files.
fn index(number: usize) -> FileIndex {
    FileIndex(u32::try_from(number).unwrap_or(u32::MAX))
}
