//! A file of a torrent as bytes, while they arrive: `GET /api/v1/video/{info_hash}-{index}/file`.
//!
//! Each request has a reader of its own, whose demand ends when the connection does. The head is sent once somebody is
//! there who may have the bytes; then the body waits as long as the client does.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, Method, header},
    response::Response,
};
use byte_source::{ByteRange, ByteSource, ReadHint, SourceError};
use engine::{Reader, Torrent};
use tokio::time::{Instant, sleep_until, timeout};

use super::TorrentFile;
use crate::{
    body::{Part, PartsBody, Steps},
    disposition::{content_disposition, media_type},
    file::FileAnswer,
    limits::{NOBODY_WAIT, READ_AHEAD_BYTES},
    problem::Problem,
    prompt::Standing,
    state::AppState,
};

/// What is on disk is read within this time, unless the disk sleeps.
const DISK_WAIT: Duration = Duration::from_secs(2);

pub(crate) async fn send(
    state: &AppState,
    id: TorrentFile,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let torrent = state.torrents()?.get(id.info_hash)?;
    super::metadata(&torrent).await?;
    let info = &super::file_of(&torrent, id)?;
    let name = info.path.rsplit('/').next().unwrap_or(&info.path);
    // What an info-hash names never changes.
    let etag = format!("\"{id}\"");
    let answer = FileAnswer { len: info.size, etag: &etag, modified: None, media_type: media_type(name) };
    let mut answer = answer.respond(method, headers)?;
    answer.response.headers_mut().insert(header::CONTENT_DISPOSITION, content_disposition("inline", name));
    let mut response = answer.response;
    if answer.parts.is_empty() || *method == Method::HEAD {
        return Ok(response);
    }
    let reader = Arc::new(torrent.reader(id.file)?);
    if info.have < info.size
        && let Some(range) = first(&answer.parts)
    {
        someone_may_have(&torrent, &reader, range).await?;
    }
    let steps = Steps { offset: reader.offset(), piece_length: u64::from(torrent.snapshot().piece_length) };
    let body = PartsBody::new(reader, answer.parts, Arc::clone(&state.0.metrics)).in_steps(steps);
    *response.body_mut() = Body::new(body);
    Ok(response)
}

fn first(parts: &[Part]) -> Option<ByteRange> {
    parts.iter().find_map(|part| match part {
        Part::Source(range) if !range.is_empty() => Some(*range),
        _ => None,
    })
}

/// Waits until the first bytes are here or somebody is connected; a while, for players give up as well.
async fn someone_may_have(torrent: &Torrent, reader: &Reader, range: ByteRange) -> Result<(), Problem> {
    let probe = ByteRange::new(range.start(), range.start() + 1);
    reader.hint(ReadHint {
        range: range
            .intersection(ByteRange::new(range.start(), range.start().saturating_add(READ_AHEAD_BYTES))),
        deadline_ms: 0,
    });
    let deadline = Instant::now() + NOBODY_WAIT;
    let mut watch = torrent.watch();
    let mut read = reader.read_at(probe);
    loop {
        let standing = Standing::of(&watch.borrow_and_update());
        let nobody = match standing {
            Standing::Somebody => return Ok(()),
            Standing::Rests(problem) => {
                return match timeout(DISK_WAIT, &mut read).await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Err(problem),
                };
            }
            Standing::Nobody(problem) => problem,
        };
        tokio::select! {
            read = &mut read => return read.map(|_| ()).map_err(Problem::from),
            changed = watch.changed() => if changed.is_err() {
                return Err(Problem::later("stopping", "the torrent was removed"));
            },
            () = sleep_until(deadline) => return Err(nobody),
        }
    }
}

impl From<SourceError> for Problem {
    fn from(error: SourceError) -> Self {
        let detail = error.to_string();
        match error {
            SourceError::OutOfBounds { .. } => Self::internal(detail),
            SourceError::Changed { .. } => Self::later("changed", detail),
            SourceError::Io { .. } => Self::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "io", detail),
            SourceError::Unavailable { .. } => Self::later("unavailable", detail),
        }
    }
}
