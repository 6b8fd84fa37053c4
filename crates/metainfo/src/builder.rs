//! Making a torrent (BEP 3, 12, 19, 27): everything but reading the files, which `storage` does to hash their pieces.

use bencode::encode_dict;
use bytes::Bytes;

use crate::{
    HostPort, LayoutError, Metainfo, MetainfoError, PieceLayout, hosts,
    limits::{FILES_MAX, TORRENT_BYTES_MAX},
    names::{self, NameProblem},
    torrent::write_around,
};

/// The shortest piece that [`PieceLength::Auto`] takes: a block.
const AUTO_MIN: u64 = 16 << 10;

/// The longest piece that [`PieceLength::Auto`] takes: 16 MiB, which every client reads.
const AUTO_MAX: u64 = 16 << 20;

/// How many pieces [`PieceLength::Auto`] aims at, at most: their hashes are 80 KiB, which a magnet's start waits for.
const AUTO_PIECES: u64 = 4_096;

/// How long the pieces of a new torrent are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PieceLength {
    /// The smallest power of two from 16 KiB to 16 MiB that makes 4,096 pieces or fewer. A player waits for whole pieces, so
    /// they are kept short: 512 KiB for 2 GiB, 4 MiB for 16 GiB.
    #[default]
    Auto,
    /// So many bytes: a power of two from 16 KiB on, since other clients take nothing else.
    Bytes(u32),
}

/// A file of a new torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Its path below the torrent's folder, component by component.
    pub path: Vec<String>,
    /// Bytes.
    pub length: u64,
    /// Whether it can be executed (BEP 47).
    pub executable: bool,
}

/// What a new torrent holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// One file, named like the torrent.
    File {
        /// Bytes.
        length: u64,
    },
    /// A folder named like the torrent; the files in the order of their bytes.
    Folder(Vec<NewFile>),
}

/// A torrent to be made: fill in, ask for the [`layout`](Self::layout), hash the pieces, [`build`](Self::build).
#[derive(Clone, Debug)]
pub struct Builder {
    /// The name of the file or folder.
    pub name: String,
    /// What is in it.
    pub content: Content,
    /// How it is cut.
    pub piece_length: PieceLength,
    /// Whether only its trackers may tell of peers (BEP 27).
    pub private: bool,
    /// Trackers in tiers (BEP 12).
    pub trackers: Vec<Vec<String>>,
    /// Web seeds (BEP 19).
    pub web_seeds: Vec<String>,
    /// Nodes of the DHT to begin with (BEP 5).
    pub nodes: Vec<HostPort>,
    /// A word for people.
    pub comment: Option<String>,
    /// The program that makes it.
    pub created_by: Option<String>,
    /// When it is made, in seconds since 1970.
    pub creation_date: Option<u64>,
    /// `source`: makes the info-hash differ from other trackers' torrents of the same files.
    pub source: Option<String>,
}

/// Why no torrent can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Nothing to share, or more than a torrent holds.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A piece length that other clients refuse.
    #[error("piece length {length} is not a power of two from 16384 on")]
    PieceLength {
        /// In bytes.
        length: u32,
    },
    /// A name that those who download it cannot use.
    #[error("{name:?} cannot be shared under that name: {problem}")]
    Name {
        /// The path.
        name: String,
        /// What is wrong with it.
        problem: NameProblem,
    },
    /// A name that would be stored under another one.
    #[error("{name:?} would be stored as {stored:?} by those who download it: rename it first")]
    Unsafe {
        /// The path.
        name: String,
        /// What would become of it.
        stored: String,
    },
    /// Too many files.
    #[error("more than {FILES_MAX} files")]
    TooManyFiles,
    /// An address of a tracker or web seed that is none.
    #[error("{url:?} is no address of a tracker or web seed")]
    Url {
        /// As given.
        url: String,
    },
    /// Not one hash for each piece.
    #[error("{given} bytes of piece hashes for {pieces} pieces of 20")]
    Hashes {
        /// Bytes.
        given: usize,
        /// Pieces.
        pieces: u32,
    },
    /// What was made is not read back.
    #[error(transparent)]
    Metainfo(#[from] MetainfoError),
}

impl Builder {
    /// A public torrent of `content`, without trackers.
    #[must_use]
    pub fn new(name: impl Into<String>, content: Content) -> Self {
        Self {
            name: name.into(),
            content,
            piece_length: PieceLength::Auto,
            private: false,
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            nodes: Vec::new(),
            comment: None,
            created_by: None,
            creation_date: None,
            source: None,
        }
    }

    /// How the content is cut into pieces. The files lie one after the other, without padding.
    ///
    /// # Errors
    /// [`BuildError`] when there is nothing, too much, or the piece length is refused.
    pub fn layout(&self) -> Result<PieceLayout, BuildError> {
        let total = match &self.content {
            Content::File { length } => *length,
            Content::Folder(files) => files
                .iter()
                .try_fold(0u64, |total, file| total.checked_add(file.length))
                .ok_or(MetainfoError::Overflow)?,
        };
        let piece_length = match self.piece_length {
            PieceLength::Auto => {
                total.div_ceil(AUTO_PIECES).clamp(AUTO_MIN, AUTO_MAX).next_power_of_two().min(AUTO_MAX)
            }
            PieceLength::Bytes(length) if length.is_power_of_two() && u64::from(length) >= AUTO_MIN => {
                u64::from(length)
            }
            PieceLength::Bytes(length) => return Err(BuildError::PieceLength { length }),
        };
        Ok(PieceLayout::new(total, piece_length)?)
    }

    /// Looks at everything but the hashes, so that a fault is known before the files are read.
    ///
    /// # Errors
    /// [`BuildError`] names the first fault.
    pub fn check(&self) -> Result<(), BuildError> {
        self.layout()?;
        check_name([self.name.as_str()])?;
        if let Content::Folder(files) = &self.content {
            if files.len() > FILES_MAX {
                return Err(BuildError::TooManyFiles);
            }
            files.iter().try_for_each(|file| check_name(file.path.iter().map(String::as_str)))?;
        }
        for url in self.trackers.iter().flatten().chain(&self.web_seeds) {
            if hosts::url(url) != Some(url.as_str()) {
                return Err(BuildError::Url { url: url.clone() });
            }
        }
        Ok(())
    }

    /// The torrent, of the SHA-1 of each piece in order, 20 bytes each. What is made has been read back.
    ///
    /// # Errors
    /// [`BuildError`] names the first fault.
    pub fn build(&self, piece_hashes: &[u8]) -> Result<Metainfo, BuildError> {
        self.check()?;
        let layout = self.layout()?;
        if piece_hashes.len() != layout.pieces() as usize * 20 {
            return Err(BuildError::Hashes { given: piece_hashes.len(), pieces: layout.pieces() });
        }
        let info = self.info(&layout, piece_hashes);
        let bytes = encode_dict(|dict| {
            write_around(dict, &self.trackers, &self.web_seeds);
            if let Some(comment) = &self.comment {
                dict.bytes("comment", comment);
            }
            if let Some(program) = &self.created_by {
                dict.bytes("created by", program);
            }
            if let Some(seconds) = self.creation_date.and_then(|seconds| i64::try_from(seconds).ok()) {
                dict.int("creation date", seconds);
            }
            dict.bytes("encoding", "UTF-8");
            dict.raw("info", &info);
            if !self.nodes.is_empty() {
                dict.list("nodes", |list| {
                    for node in &self.nodes {
                        list.list(|pair| {
                            pair.bytes(&node.host);
                            pair.int(node.port);
                        });
                    }
                });
            }
        });
        if bytes.len() > TORRENT_BYTES_MAX {
            return Err(MetainfoError::TooLong { length: bytes.len() }.into());
        }
        Ok(Metainfo::parse(Bytes::from(bytes))?)
    }

    fn info(&self, layout: &PieceLayout, piece_hashes: &[u8]) -> Vec<u8> {
        encode_dict(|info| {
            match &self.content {
                Content::File { length } => info.int("length", *length),
                Content::Folder(files) => info.list("files", |list| {
                    for file in files {
                        list.dict(|entry| {
                            if file.executable {
                                entry.bytes("attr", "x");
                            }
                            entry.int("length", file.length);
                            entry.list("path", |path| file.path.iter().for_each(|part| path.bytes(part)));
                        });
                    }
                }),
            }
            info.bytes("name", &self.name);
            info.int("piece length", layout.piece_length());
            info.bytes("pieces", piece_hashes);
            if self.private {
                info.int("private", 1);
            }
            if let Some(source) = &self.source {
                info.bytes("source", source);
            }
        })
    }
}

/// Whether a path is stored as it stands.
fn check_name<'a>(path: impl IntoIterator<Item = &'a str> + Clone) -> Result<(), BuildError> {
    let name = || path.clone().into_iter().collect::<Vec<_>>().join("/");
    match names::path(path.clone().into_iter().map(str::as_bytes)) {
        Ok(safe) if !safe.altered => Ok(()),
        Ok(safe) => Err(BuildError::Unsafe { name: name(), stored: safe.path }),
        Err(problem) => Err(BuildError::Name { name: name(), problem }),
    }
}
