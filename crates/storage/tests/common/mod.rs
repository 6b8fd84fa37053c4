//! A made torrent, its bytes, and a store of it that tells what happens.

#![allow(dead_code, unreachable_pub, reason = "shared by tests of which not every one uses everything")]

use std::{
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::Duration,
};

use bytes::Bytes;
use metainfo::{BlockIndex, InfoHash, PieceIndex, PieceLayout};
use sha1::{Digest, Sha1};
use storage::{Contents, Event, FileEntry, Options, Place, Storage, Store, Unfinished};

pub struct Made {
    pub contents: Contents,
    pub bytes: Vec<u8>,
}

/// A torrent of `(path, length)`; a path that begins with `.pad` is a pad file.
pub fn made(piece_length: u64, files: &[(&str, u64)]) -> Made {
    let mut bytes = Vec::new();
    let mut entries = Vec::new();
    for (number, (path, length)) in (1u32..).zip(files) {
        let pad = path.starts_with(".pad");
        let seed = number.wrapping_mul(0x9e37_79b9);
        bytes.extend((0..u32::try_from(*length).unwrap()).map(|at| match pad {
            true => 0,
            false => (at.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 24).to_le_bytes()[0] | 1,
        }));
        entries.push(FileEntry { path: path.split('/').map(String::from).collect(), length: *length, pad });
    }
    let layout = PieceLayout::new(bytes.len() as u64, piece_length).unwrap();
    let hashes: Vec<u8> =
        bytes.chunks(usize::try_from(piece_length).unwrap()).flat_map(Sha1::digest).collect();
    let info_hash = InfoHash(Sha1::digest(&hashes).into());
    Made { contents: Contents::new(info_hash, layout, entries, hashes.into()).unwrap(), bytes }
}

impl Made {
    pub fn layout(&self) -> PieceLayout {
        self.contents.layout()
    }

    pub fn block(&self, index: BlockIndex) -> Bytes {
        let block = self.layout().block(index);
        let start = usize::try_from(self.layout().offset(block.piece) + u64::from(block.begin)).unwrap();
        Bytes::copy_from_slice(&self.bytes[start..start + block.length as usize])
    }

    pub fn blocks_of(&self, piece: u32) -> Vec<(BlockIndex, Bytes)> {
        let piece = PieceIndex(piece);
        (0..self.layout().blocks(piece))
            .map(|block| BlockIndex { piece, block })
            .map(|index| (index, self.block(index)))
            .collect()
    }

    pub fn all_blocks(&self) -> Vec<(BlockIndex, Bytes)> {
        (0..self.layout().pieces()).flat_map(|piece| self.blocks_of(piece)).collect()
    }

    /// The bytes of the file of that name.
    pub fn file(&self, name: &str) -> &[u8] {
        let mut at = 0;
        for file in self.contents.files() {
            let end = at + usize::try_from(file.length).unwrap();
            if file.path.join("/") == name {
                return &self.bytes[at..end];
            }
            at = end;
        }
        panic!("no {name}");
    }
}

/// A storage with one torrent in it, and everything that was said of it.
pub struct Bench {
    pub folder: tempfile::TempDir,
    pub storage: Storage,
    pub store: Store,
    pub told: mpsc::Receiver<Event>,
}

pub fn options(folder: &Path) -> Options {
    Options { state_directory: Some(folder.join("state")), ..Options::default() }
}

pub fn place(folder: &Path) -> Place {
    Place::Directory { path: folder.join("downloads"), unfinished: Unfinished::Suffixed }
}

impl Bench {
    pub fn new(made: &Made) -> Self {
        Self::within(tempfile::tempdir().unwrap(), made)
    }

    pub fn within(folder: tempfile::TempDir, made: &Made) -> Self {
        let place = place(folder.path());
        Self::at(folder, made, place)
    }

    pub fn at(folder: tempfile::TempDir, made: &Made, place: Place) -> Self {
        let storage = Storage::start(options(folder.path())).unwrap();
        let (store, told) = open(&storage, made, place).unwrap();
        Self { folder, storage, store, told }
    }

    /// Ends it as a program does that was told to, and gives the folder for the next run.
    pub fn stop(self) -> tempfile::TempDir {
        self.storage.stop().wait().unwrap();
        self.folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("downloads").join(name)
    }

    /// The next event that is none of a file's or a check's progress.
    pub fn event(&self) -> Event {
        loop {
            match self.told.recv_timeout(Duration::from_secs(20)).unwrap() {
                Event::FileFinished(_) | Event::Checking { .. } => {}
                other => return other,
            }
        }
    }

    /// Writes blocks and waits until each of their pieces is decided.
    pub fn write(&self, blocks: Vec<(BlockIndex, Bytes)>) -> Vec<Event> {
        let mut pieces: Vec<_> = blocks.iter().map(|(block, _)| block.piece).collect();
        pieces.dedup();
        self.store.write(blocks);
        pieces.iter().map(|_| self.event()).collect()
    }
}

pub fn open(
    storage: &Storage,
    made: &Made,
    place: Place,
) -> Result<(Store, mpsc::Receiver<Event>), storage::StorageError> {
    let (tell, told) = mpsc::channel();
    let sink = Arc::new(move |events: Vec<Event>| {
        for event in events {
            let _ = tell.send(event);
        }
    });
    Ok((storage.open(made.contents.clone(), place, sink)?, told))
}
