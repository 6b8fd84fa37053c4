//! Why somebody waits: `GET /api/v1/video/{info_hash}-{index}/wait`, and the same facts in torrents and events.

use std::time::SystemTime;

use axum::{extract::State, http::HeaderMap, response::Response};
use engine::{EngineError, FileIndex, InfoHash, Playback, Wait, Watching};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::TorrentFile;
use crate::{
    extract::Caught,
    problem::{Problem, ProblemJson},
    state::AppState,
    text::json,
};

/// Why somebody waits: `cause` and its facts, and in plain English.
#[derive(Serialize, ToSchema)]
#[schema(as = Wait)]
pub(crate) struct WaitJson {
    /// `cause` (`metadata`, `peers`, `no_seeders`, `slow`, `piece`, `checking`, `paused`, `blocked`, `failed`) with its facts,
    /// `since`, `file`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    wait: Wait,
    /// The same in plain English.
    text: String,
}

impl WaitJson {
    pub(super) fn of(wait: &Wait) -> Self {
        Self { text: wait.text(SystemTime::now()), wait: wait.clone() }
    }
}

/// A file and what those who play it wait for.
#[derive(Serialize, ToSchema)]
#[schema(as = FileWait)]
pub(crate) struct FileWaitJson {
    video_id: String,
    /// What the torrent does; of a film of the library absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    state: Option<engine::State>,
    /// Bytes; `null` until the metadata is here.
    size: Option<u64>,
    /// Bytes that are here and verified; `null` until the metadata is here.
    have: Option<u64>,
    /// `null` when nobody waits.
    wait: Option<WaitJson>,
    /// Who reads it: `position`, `window_end`, `rate`, `need`, `wait`.
    #[schema(value_type = Vec<Object>)]
    readers: Vec<Watching>,
}

/// Why the playing of a file waits, at once: metadata, peers, no seeders, a rate below what playing needs, a piece, the disk. `wait`
/// is `null` when nobody waits, as always for films of the library.
#[utoipa::path(get, path = "/api/v1/video/{video_id}/wait", tag = "video",
    params(("video_id" = String, Path, description = "Names one playable file")),
    responses(
        (status = 200, description = "The facts", body = FileWaitJson),
        (status = 400, description = "Not an id", body = ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "No such video", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn wait(
    State(state): State<AppState>,
    Caught(id): Caught<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Some(TorrentFile { info_hash, file }) = TorrentFile::parse(&id) else {
        let video = state.video(&id)?;
        let (video_id, size) = (video.id.to_string(), Some(video.size));
        let whole = FileWaitJson { video_id, state: None, size, have: size, wait: None, readers: Vec::new() };
        return json(&whole)?.answer(&headers);
    };
    json(&of_file(&state, info_hash, file)?)?.answer(&headers)
}

fn of_file(state: &AppState, info_hash: InfoHash, file: FileIndex) -> Result<FileWaitJson, Problem> {
    let torrent = state.torrents()?.get(info_hash)?;
    let info = match torrent.file(file) {
        Ok(info) if !info.pad => Some(info),
        Err(EngineError::NoMetadata { .. }) => None,
        _ => {
            return Err(Problem::not_found(format!("torrent {info_hash} has no file number {}", file.0)));
        }
    };
    let snapshot = torrent.snapshot();
    let playback = snapshot.playback.as_deref();
    let readers = playback.map(|playback| &playback.readers[..]).unwrap_or_default();
    Ok(FileWaitJson {
        video_id: TorrentFile { info_hash, file }.to_string(),
        state: Some(snapshot.state),
        size: info.as_ref().map(|info| info.size),
        have: info.as_ref().map(|info| info.have),
        wait: playback.and_then(|playback| playback.wait_of(file)).map(WaitJson::of),
        readers: readers.iter().filter(|reader| reader.file == file).cloned().collect(),
    })
}

/// A `playback` event: who reads a torrent and what they wait for.
#[derive(Serialize)]
struct PlaybackJson<'a> {
    info_hash: InfoHash,
    wait: Option<WaitJson>,
    readers: &'a [Watching],
}

/// What a listener is told of a torrent that is read, or no longer.
pub(super) fn event(info_hash: InfoHash, playback: Option<&Playback>) -> Option<Value> {
    let wait = playback.and_then(|playback| playback.wait.as_ref()).map(WaitJson::of);
    let readers = playback.map(|playback| &playback.readers[..]).unwrap_or_default();
    serde_json::to_value(PlaybackJson { info_hash, wait, readers }).ok()
}
