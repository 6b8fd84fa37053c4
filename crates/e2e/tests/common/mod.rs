//! A server over all fixtures, shared by the tests of one file.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part; a test may panic")]

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use e2e::{fixtures, server::Server};

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
