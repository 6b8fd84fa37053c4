//! Torrents made on the spot and sessions on loopback.
#![allow(dead_code, reason = "shared by tests of which not every one uses everything")]
#![expect(clippy::unwrap_used, reason = "test support")]

use std::{path::Path, time::Duration};

use bytes::Bytes;
use engine::{Config, Session, Torrent};
use metainfo::{Builder, Content, NewFile, PieceLength};
use sha1::{Digest as _, Sha1};

/// Bytes that do not repeat, the same for the same seed.
pub(crate) fn content(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// What a made torrent is about.
pub(crate) struct Made {
    pub(crate) torrent: Bytes,
    pub(crate) magnet: String,
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

impl Made {
    /// Puts its files beneath `directory`, as a seeder has them.
    pub(crate) fn write(&self, directory: &Path) {
        for (path, bytes) in &self.files {
            let path = directory.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }

    /// Whether everything beneath `directory` is as it should be.
    pub(crate) fn assert_same(&self, directory: &Path) {
        for (path, bytes) in &self.files {
            let found = std::fs::read(directory.join(path)).unwrap();
            assert!(found == *bytes, "{path}: {} bytes differ", found.len());
        }
    }
}

/// A torrent of `files` within a folder `made`.
pub(crate) fn make(files: &[(&str, usize)], piece_length: u32, private: bool) -> Made {
    let seed = files.iter().map(|(name, length)| name.len() as u64 * 31 + *length as u64).sum();
    let contents: Vec<_> =
        files.iter().zip(seed..).map(|((_, length), seed)| content(*length, seed)).collect();
    let new = files
        .iter()
        .map(|(name, length)| NewFile {
            path: name.split('/').map(str::to_owned).collect(),
            length: *length as u64,
            executable: false,
        })
        .collect();
    let mut builder = Builder::new("made", Content::Folder(new));
    builder.piece_length = PieceLength::Bytes(piece_length);
    builder.private = private;
    let all = contents.concat();
    let hashes: Vec<u8> =
        all.chunks(piece_length as usize).flat_map(|piece| Sha1::digest(piece).to_vec()).collect();
    let metainfo = builder.build(&hashes).unwrap();
    Made {
        torrent: metainfo.bytes().clone(),
        magnet: metainfo.magnet().to_string(),
        files: files.iter().zip(contents).map(|((name, _), bytes)| (format!("made/{name}"), bytes)).collect(),
    }
}

/// A session of one test: its folders go when it does.
pub(crate) struct Host {
    pub(crate) session: Session,
    pub(crate) data: tempfile::TempDir,
    pub(crate) state: tempfile::TempDir,
}

pub(crate) async fn host() -> Host {
    host_with(|_| {}).await
}

pub(crate) async fn host_with(change: impl FnOnce(&mut Config)) -> Host {
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut config = Config::loopback(data.path(), state.path());
    change(&mut config);
    Host { session: Session::start(config).await.unwrap(), data, state }
}

impl Host {
    pub(crate) fn addr(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.session.stats().listen_port.unwrap()).into()
    }
}

/// Waits for the whole of a torrent, or says how it stands.
pub(crate) async fn finished(torrent: &Torrent) {
    let waited = tokio::time::timeout(Duration::from_secs(15), torrent.wait_finished()).await;
    match waited {
        Ok(done) => done.unwrap(),
        Err(_) => panic!("not finished: {:#?}", torrent.snapshot()),
    }
}
