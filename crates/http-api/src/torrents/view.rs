//! Torrents as they are: `GET /api/v1/torrents…`.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};

use super::model::{FileJson, PeerSchema, PiecesSchema, TorrentJson, TrackerSchema, files_json};
use crate::{
    disposition::content_disposition,
    extract::Caught,
    problem::{Problem, ProblemJson},
    state::AppState,
    text::{Keep, Text, json},
};

/// Every torrent, in the order they were added.
#[utoipa::path(get, path = "/api/v1/torrents", tag = "torrents", responses(
    (status = 200, description = "The torrents", body = Vec<TorrentJson>)))]
pub(crate) async fn torrents(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, Problem> {
    let torrents = state.torrents()?;
    let mut all = Vec::new();
    for torrent in torrents.all() {
        all.push(TorrentJson::of(torrents, &torrent).await?);
    }
    json(&all)?.answer(&headers)
}

/// One torrent.
#[utoipa::path(get, path = "/api/v1/torrents/{info_hash}", tag = "torrents",
    params(("info_hash" = String, Path, description = "40 hexadecimal digits")),
    responses(
        (status = 200, description = "The torrent", body = TorrentJson),
        (status = 400, description = "Not an info-hash", body = ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "No such torrent", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn one(
    State(state): State<AppState>,
    Caught(info_hash): Caught<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let torrents = state.torrents()?;
    json(&TorrentJson::of(torrents, &torrents.named(&info_hash)?).await?)?.answer(&headers)
}

/// Its files: what of them is here, what they are for and what to call them.
#[utoipa::path(get, path = "/api/v1/torrents/{info_hash}/files", tag = "torrents",
    params(("info_hash" = String, Path, description = "40 hexadecimal digits")),
    responses(
        (status = 200, description = "The files", body = Vec<FileJson>),
        (status = 404, description = "No such torrent", body = ProblemJson, content_type = "application/problem+json"),
        (status = 503, description = "The metadata is not here yet", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn files(
    State(state): State<AppState>,
    Caught(info_hash): Caught<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let torrents = state.torrents()?;
    let torrent = torrents.named(&info_hash)?;
    super::metadata(&torrent).await?;
    let listing = torrents.listing(&torrent).await?;
    json(&files_json(&torrent, torrent.files()?, &listing))?.answer(&headers)
}

/// Its peers.
#[utoipa::path(get, path = "/api/v1/torrents/{info_hash}/peers", tag = "torrents",
    params(("info_hash" = String, Path, description = "40 hexadecimal digits")),
    responses(
        (status = 200, description = "The peers", body = Vec<PeerSchema>),
        (status = 404, description = "No such torrent", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn peers(
    State(state): State<AppState>,
    Caught(info_hash): Caught<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    json(&state.torrents()?.named(&info_hash)?.peers().await?)?.answer(&headers)
}

/// Its trackers, without what identifies the user to them.
#[utoipa::path(get, path = "/api/v1/torrents/{info_hash}/trackers", tag = "torrents",
    params(("info_hash" = String, Path, description = "40 hexadecimal digits")),
    responses(
        (status = 200, description = "The trackers", body = Vec<TrackerSchema>),
        (status = 404, description = "No such torrent", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn trackers(
    State(state): State<AppState>,
    Caught(info_hash): Caught<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    json(&state.torrents()?.named(&info_hash)?.trackers().await?)?.answer(&headers)
}

/// Its pieces, as runs: the state and how many in a row.
#[utoipa::path(get, path = "/api/v1/torrents/{info_hash}/pieces", tag = "torrents",
    params(("info_hash" = String, Path, description = "40 hexadecimal digits")),
    responses(
        (status = 200, description = "The pieces", body = PiecesSchema),
        (status = 404, description = "No such torrent", body = ProblemJson, content_type = "application/problem+json"),
        (status = 503, description = "The metadata is not here yet", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn pieces(
    State(state): State<AppState>,
    Caught(info_hash): Caught<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    json(&state.torrents()?.named(&info_hash)?.pieces().await?)?.answer(&headers)
}

/// Its `.torrent`; of a magnet, made from what the swarm sent.
#[utoipa::path(get, path = "/api/v1/torrents/{info_hash}/metainfo", tag = "torrents",
    params(("info_hash" = String, Path, description = "40 hexadecimal digits")),
    responses(
        (status = 200, description = "The .torrent", content_type = "application/x-bittorrent", body = Vec<u8>),
        (status = 404, description = "No such torrent", body = ProblemJson, content_type = "application/problem+json"),
        (status = 503, description = "The metadata is not here yet", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn metainfo(
    State(state): State<AppState>,
    Caught(info_hash): Caught<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let torrent = state.torrents()?.named(&info_hash)?;
    super::metadata(&torrent).await?;
    let bytes =
        torrent.metainfo().ok_or_else(|| Problem::later("no_metadata", "the metadata is not here yet"))?;
    let name = torrent.snapshot().name.clone().unwrap_or_else(|| torrent.info_hash().to_string());
    let text = Text { media_type: "application/x-bittorrent", bytes, keep: Keep::Revalidate };
    let mut response = text.answer(&headers)?;
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_DISPOSITION, content_disposition("attachment", &format!("{name}.torrent")));
    fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}
