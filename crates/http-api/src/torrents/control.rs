//! Steering a torrent: `PATCH`, `POST …/{pause,resume,recheck,reannounce}`, `DELETE`.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use engine::{Data, Torrent};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    TorrentFile,
    model::{ChangeJson, TorrentJson, parse},
};
use crate::{
    extract::{Caught, Params},
    problem::{Problem, ProblemJson, echo},
    state::AppState,
    text::json,
};

/// Changes files' priorities, limits, order, seeding goal; names peers. Answers the torrent.
#[utoipa::path(patch, path = "/api/v1/torrents/{info_hash}", tag = "torrents",
    params(("info_hash" = String, Path, description = "40 hexadecimal digits")),
    request_body = ChangeJson,
    responses(
        (status = 200, description = "The torrent", body = TorrentJson),
        (status = 400, description = "Not what a torrent has", body = ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "No such torrent", body = ProblemJson, content_type = "application/problem+json"),
        (status = 503, description = "The metadata is not here yet", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn set(
    State(state): State<AppState>,
    Caught(info_hash): Caught<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let torrent = state.torrents()?.named(&info_hash)?;
    let change: ChangeJson = parse(&body)?;
    change.check()?;
    let goal = match &change.seed_goal {
        None => None,
        Some(None) => Some(None),
        Some(Some(goal)) => Some(Some(goal.goal()?)),
    };
    let files = change.priorities();
    if !files.is_empty() {
        super::metadata(&torrent).await?;
        torrent.set_files(files).await?;
    }
    if let Some(limits) = change.limits(torrent.snapshot().limits) {
        torrent.set_limits(limits).await?;
    }
    if let Some(sequential) = change.sequential {
        torrent.set_sequential(sequential).await?;
    }
    if let Some(goal) = goal {
        torrent.set_seed_goal(goal).await?;
    }
    if !change.peers.is_empty() {
        torrent.add_peers(change.peers).await?;
    }
    answer(&state, &torrent, &headers).await
}

async fn answer(state: &AppState, torrent: &Torrent, headers: &HeaderMap) -> Result<Response, Problem> {
    json(&TorrentJson::of(state.torrents()?, torrent).await?)?.answer(headers)
}

/// Stops it until it is resumed.
#[utoipa::path(post, path = "/api/v1/torrents/{info_hash}/pause", tag = "torrents",
    params(("info_hash" = String, Path, description = "40 hexadecimal digits")),
    responses(
        (status = 200, description = "The torrent", body = TorrentJson),
        (status = 404, description = "No such torrent", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn pause(
    State(state): State<AppState>,
    Caught(info_hash): Caught<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let torrent = state.torrents()?.named(&info_hash)?;
    torrent.pause().await?;
    answer(&state, &torrent, &headers).await
}

/// Starts it again, after a pause, an error or its seeding goal.
#[utoipa::path(post, path = "/api/v1/torrents/{info_hash}/resume", tag = "torrents",
    params(("info_hash" = String, Path, description = "40 hexadecimal digits")),
    responses(
        (status = 200, description = "The torrent", body = TorrentJson),
        (status = 404, description = "No such torrent", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn resume(
    State(state): State<AppState>,
    Caught(info_hash): Caught<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let torrent = state.torrents()?.named(&info_hash)?;
    torrent.resume().await?;
    answer(&state, &torrent, &headers).await
}

/// Hashes what is on disk; `progress` tells how far it is.
#[utoipa::path(post, path = "/api/v1/torrents/{info_hash}/recheck", tag = "torrents",
    params(("info_hash" = String, Path, description = "40 hexadecimal digits")),
    responses(
        (status = 200, description = "The torrent", body = TorrentJson),
        (status = 404, description = "No such torrent", body = ProblemJson, content_type = "application/problem+json"),
        (status = 503, description = "The metadata is not here yet", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn recheck(
    State(state): State<AppState>,
    Caught(info_hash): Caught<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let torrent = state.torrents()?.named(&info_hash)?;
    torrent.recheck().await?;
    answer(&state, &torrent, &headers).await
}

/// Asks its trackers now, within their minimum interval.
#[utoipa::path(post, path = "/api/v1/torrents/{info_hash}/reannounce", tag = "torrents",
    params(("info_hash" = String, Path, description = "40 hexadecimal digits")),
    responses(
        (status = 200, description = "The torrent", body = TorrentJson),
        (status = 404, description = "No such torrent", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn reannounce(
    State(state): State<AppState>,
    Caught(info_hash): Caught<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let torrent = state.torrents()?.named(&info_hash)?;
    torrent.reannounce().await?;
    answer(&state, &torrent, &headers).await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RemoveQuery {
    /// What happens to its files: `keep` (default) or `remove`.
    data: Option<String>,
    /// Even if a tracker's rules ask for more seeding.
    #[serde(default)]
    force: bool,
}

/// Removes it. 409 while a tracker's rules (`torrent.tracker_goals`) ask for more seeding, unless forced.
#[utoipa::path(delete, path = "/api/v1/torrents/{info_hash}", tag = "torrents",
    params(("info_hash" = String, Path, description = "40 hexadecimal digits"), RemoveQuery),
    responses(
        (status = 204, description = "It is gone"),
        (status = 400, description = "Neither keep nor remove", body = ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "No such torrent", body = ProblemJson, content_type = "application/problem+json"),
        (status = 409, description = "It still owes seeding", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    Caught(info_hash): Caught<String>,
    Params(query): Params<RemoveQuery>,
) -> Result<Response, Problem> {
    let data = match query.data.as_deref() {
        None | Some("keep") => Data::Keep,
        Some("remove") => Data::Remove,
        Some(other) => {
            return Err(Problem::bad_request(format!(
                "data is \"{}\": expected keep or remove",
                echo(other)
            )));
        }
    };
    let torrents = state.torrents()?;
    let torrent = torrents.named(&info_hash)?;
    if let (Some(owes), false) = (torrent.snapshot().owes.first(), query.force) {
        let detail =
            format!("{} asks for more seeding: {}; force=true removes it anyway", owes.tracker, owes.detail);
        return Err(Problem::new(StatusCode::CONFLICT, "owes", detail));
    }
    torrents.session().await?.remove(torrent.info_hash(), data).await?;
    // Added again it is another torrent, with readers of its own.
    for file in torrent.files().unwrap_or_default() {
        let id = TorrentFile { info_hash: torrent.info_hash(), file: file.index };
        state.0.media.close(&id.to_string());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
