//! The films of `tests/fixtures/make.sh`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

/// The folder of fixtures: `HEADWATER_FIXTURES`, else `target/fixtures` of the workspace.
#[must_use]
pub fn folder() -> PathBuf {
    std::env::var_os("HEADWATER_FIXTURES").map_or_else(|| workspace().join("target/fixtures"), PathBuf::from)
}

/// The server under test: `HEADWATER_BIN`, else the workspace's own build.
///
/// # Errors
/// It is not built.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("HEADWATER_BIN") {
        return Ok(path.into());
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    ["release", "debug"]
        .iter()
        .map(|profile| target.join(profile).join("headwater"))
        .find(|path| path.is_file())
        .context("headwater is not built: run `cargo build -p headwater`, or set HEADWATER_BIN")
}

/// Films that must be cut right, by name: everything in the folder but the broken and what is not ours to cut yet.
///
/// # Errors
/// The fixtures have not been made.
pub fn good() -> Result<Vec<PathBuf>> {
    let all = films()?;
    Ok(all.into_iter().filter(|p| !is_bad(p) && !is_truncated(p) && !is_odd(p)).collect())
}

/// Every media file of the folder, sorted.
///
/// # Errors
/// The fixtures have not been made.
pub fn films() -> Result<Vec<PathBuf>> {
    let folder = folder();
    let mut films: Vec<PathBuf> = fs::read_dir(&folder)
        .with_context(|| format!("{}: make the fixtures first: tests/fixtures/make.sh", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|p| ["mkv", "mka", "webm", "mp4", "m4a", "mov", "ts", "avi"].contains(&extension(p)))
        .collect();
    films.sort();
    ensure!(!films.is_empty(), "{}: no fixtures: run tests/fixtures/make.sh", folder.display());
    Ok(films)
}

/// The file's name.
#[must_use]
pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Made to be refused.
#[must_use]
pub fn is_bad(path: &Path) -> bool {
    ["bad", "garbage", "empty"].iter().any(|word| name(path).starts_with(word))
}

/// Cut off in the middle: may be played as far as it goes, or refused.
#[must_use]
pub fn is_truncated(path: &Path) -> bool {
    name(path).starts_with("truncated")
}

/// A container for the transcoding worker.
fn is_odd(path: &Path) -> bool {
    ["ts", "avi"].contains(&extension(path))
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|e| e.to_str()).unwrap_or_default()
}

pub(crate) fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap_or_default()
}
