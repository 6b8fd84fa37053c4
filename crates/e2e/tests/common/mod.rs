//! A server over all fixtures, shared by the tests of one file.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part; a test may panic")]

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use e2e::{fixtures, oracle::Unit, server::Server};

pub(crate) struct House {
    pub(crate) server: Server,
    pub(crate) ids: BTreeMap<String, String>,
    pub(crate) scratch: tempfile::TempDir,
}

impl House {
    pub(crate) fn open(cache: bool) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let server =
            Server::headwater(&fixtures::binary().unwrap(), &fixtures::folder(), scratch.path(), cache)
                .unwrap();
        let ids = server.videos(fixtures::good().unwrap().len()).unwrap();
        Self { server, ids, scratch }
    }

    pub(crate) fn id(&self, film: &Path) -> Result<&str> {
        let name = fixtures::name(film);
        Ok(self.ids.get(&name).with_context(|| format!("{name} is not in the library"))?)
    }

    pub(crate) fn path(&self, film: &Path, rest: &str) -> Result<String> {
        Ok(format!("/api/v1/video/{}/{rest}", self.id(film)?))
    }
}

pub(crate) fn is_matroska(film: &Path) -> bool {
    film.extension().is_some_and(|e| e == "mkv" || e == "mka" || e == "webm")
}

/// Files whose edit list hides leading frames: ours keeps them in front, to be decoded.
pub(crate) fn hides_frames(film: &Path) -> bool {
    fixtures::name(film).starts_with("editlist")
}

/// Pictures at segment starts that lean on the segment before.
pub(crate) fn open_gop(film: &Path) -> bool {
    fixtures::name(film).contains("opengop")
}

/// Sound that an edit list hides is not sent, but for what the decoder needs to warm up; ffmpeg lists all of it.
pub(crate) fn shown<'a>(film: &Path, theirs: &'a [Unit], ours: usize) -> &'a [Unit] {
    const HIDDEN_MOST: usize = 60;
    let hidden = if hides_frames(film) { theirs.len().saturating_sub(ours).min(HIDDEN_MOST) } else { 0 };
    &theirs[hidden..]
}

/// How far a sound's time may be from ffmpeg's, seconds: a millisecond of Matroska; and where mkvmerge laced the frames,
/// what ffmpeg loses by adding up durations that it rounded to milliseconds.
pub(crate) fn sound_tick(film: &Path) -> f64 {
    if fixtures::name(film).contains("mkvmerge") { 0.002_4 } else { 0.001_01 }
}
