//! One film of a running server: its renditions with everything they consist of, fetched once.

use std::{io::Write, net::SocketAddr, path::Path};

use anyhow::{Context, Result, ensure};
use tempfile::NamedTempFile;

use crate::{
    boxes::{self, Fragment},
    client::{Client, get},
    playlist::{Master, Media},
};

/// A rendition, whole.
#[derive(Debug)]
pub struct Rendition {
    /// Path of its playlist.
    pub path: String,
    /// Its playlist.
    pub playlist: Media,
    /// Its init segment; empty for MPEG-TS.
    pub init: Vec<u8>,
    /// Its segments, in order.
    pub segments: Vec<Vec<u8>>,
}

impl Rendition {
    /// Fetches the playlist at `path` and all it names.
    ///
    /// # Errors
    /// A status other than 200, named with its problem's text.
    pub fn fetch(server: SocketAddr, path: &str) -> Result<Self> {
        let playlist = Media::parse(path, &text(server, path)?)?;
        let init = playlist.map.as_ref().map(|map| bytes(server, map)).transpose()?.unwrap_or_default();
        let mut client = Client::connect(server)?;
        let mut segments = Vec::with_capacity(playlist.segments.len());
        for segment in &playlist.segments {
            segments.push(expect(&segment.uri, client.get(&segment.uri, None, true)?)?);
        }
        Ok(Self { path: path.to_owned(), playlist, init, segments })
    }

    /// Init and segments as one file on disk.
    ///
    /// # Errors
    /// The disk's.
    pub fn file(&self, suffix: &str) -> Result<NamedTempFile> {
        let mut file = tempfile::Builder::new().suffix(suffix).tempfile()?;
        file.write_all(&self.init)?;
        for segment in &self.segments {
            file.write_all(segment)?;
        }
        file.flush()?;
        Ok(file)
    }

    /// The times and sizes in every CMAF segment.
    ///
    /// # Errors
    /// A segment that is not one `moof` and one `mdat`.
    pub fn fragments(&self) -> Result<Vec<Fragment>> {
        let read = |(n, s): (usize, &Vec<u8>)| boxes::fragment(s).with_context(|| format!("segment {n}"));
        self.segments.iter().enumerate().map(read).collect()
    }
}

/// The multivariant playlist of a video.
///
/// # Errors
/// As [`text`].
pub fn master(server: SocketAddr, id: &str, container: &str) -> Result<Master> {
    let path = format!("/api/v1/video/{id}/master.m3u8?container={container}");
    Master::parse(&path, &text(server, &path)?)
}

/// A text answer.
///
/// # Errors
/// A status other than 200.
pub fn text(server: SocketAddr, path: &str) -> Result<String> {
    String::from_utf8(bytes(server, path)?).with_context(|| format!("{path}: not UTF-8"))
}

/// An answer's body.
///
/// # Errors
/// A status other than 200.
pub fn bytes(server: SocketAddr, path: &str) -> Result<Vec<u8>> {
    expect(path, get(server, path)?)
}

fn expect(path: &str, answer: crate::client::Answer) -> Result<Vec<u8>> {
    ensure!(
        answer.status == 200,
        "{path}: status {}: {}",
        answer.status,
        String::from_utf8_lossy(&answer.body)
    );
    Ok(answer.body)
}

/// Runs `check` on every film, two at a time, and fails with every complaint, each by its film's name.
///
/// # Panics
/// When a film fails.
pub fn every(films: &[std::path::PathBuf], check: impl Fn(&Path) -> Result<()> + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let complaints = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(film) = films.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    if let Err(error) = check(film) {
                        let mut complaints =
                            complaints.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        complaints.push(format!("{}: {error:#}", crate::fixtures::name(film)));
                    }
                }
            });
        }
    });
    let complaints = complaints.into_inner().unwrap_or_default();
    assert!(
        complaints.is_empty(),
        "{} of {} films:\n  {}",
        complaints.len(),
        films.len(),
        complaints.join("\n  ")
    );
}
