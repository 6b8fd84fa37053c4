//! The description of all this: `GET /api/v1/openapi.json`.

use axum::{extract::State, http::HeaderMap, response::Response};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use crate::{
    problem::{Problem, ProblemJson},
    state::AppState,
    text::json,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Headwater",
        description = "A folder of films, cut on demand for every player in the house; and torrents, read while they arrive."
    ),
    paths(
        crate::shows::shows,
        crate::shows::show,
        crate::video::video,
        crate::video::master,
        crate::video::dash,
        crate::video::rendition,
        crate::video::progressive,
        crate::subtitles::subtitles,
        crate::video::attachment,
        crate::file::file,
        crate::file::named_file,
        crate::lists::library,
        crate::lists::torrent,
        crate::lists::folder,
        crate::lists::file,
        crate::torrents::torrents,
        crate::torrents::add,
        crate::torrents::one,
        crate::torrents::set,
        crate::torrents::remove,
        crate::torrents::files,
        crate::torrents::peers,
        crate::torrents::trackers,
        crate::torrents::pieces,
        crate::torrents::metainfo,
        crate::torrents::pause,
        crate::torrents::resume,
        crate::torrents::recheck,
        crate::torrents::reannounce,
        crate::torrents::wait,
        crate::events::events,
        crate::metrics::metrics,
        crate::status::status,
        openapi,
        healthz,
        readyz,
    )
)]
pub(crate) struct Api;

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "server", responses(
    (status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(crate) async fn openapi(headers: HeaderMap) -> Result<Response, Problem> {
    json(&Api::openapi())?.answer(&headers)
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    status: &'static str,
    version: &'static str,
}

const HEALTHY: Health = Health { status: "ok", version: env!("CARGO_PKG_VERSION") };

/// Whether the process lives.
#[utoipa::path(get, path = "/healthz", tag = "server", responses((status = 200, description = "It does", body = Health)))]
pub(crate) async fn healthz(headers: HeaderMap) -> Result<Response, Problem> {
    json(&HEALTHY)?.answer(&headers)
}

/// Whether it can do its work: the library has been scanned once and it is not going down.
#[utoipa::path(get, path = "/readyz", tag = "server", responses(
    (status = 200, description = "It can", body = Health),
    (status = 503, description = "Not yet", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn readyz(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, Problem> {
    if !state.0.library.catalog().scanned {
        return Err(Problem::later("scanning", "the library is being scanned for the first time"));
    }
    json(&HEALTHY)?.answer(&headers)
}
