//! Which address is answered by whom.

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware,
    routing::get,
};

use crate::{
    events, file, guard, metrics, openapi, page,
    problem::{Problem, echo},
    shows,
    state::AppState,
    video,
};

/// The label under which a matched route is counted.
pub(crate) fn label(matched: Option<&str>) -> &'static str {
    let Some(matched) = matched else { return "other" };
    LABELS.iter().find(|(route, _)| *route == matched).map_or("other", |(_, label)| label)
}

/// Every route, as it is written in the router.
pub fn routes() -> impl Iterator<Item = &'static str> {
    LABELS.iter().map(|(route, _)| *route)
}

const LABELS: &[(&str, &str)] = &[
    ("/", "page"),
    ("/assets/{*path}", "page"),
    ("/api/v1/shows", "shows"),
    ("/api/v1/shows/{show_id}", "show"),
    ("/api/v1/video/{video_id}", "video"),
    ("/api/v1/video/{video_id}/master.m3u8", "master"),
    ("/api/v1/video/{video_id}/manifest.mpd", "dash"),
    ("/api/v1/video/{video_id}/stream.mp4", "progressive"),
    ("/api/v1/video/{video_id}/subtitles/{name}", "subtitles"),
    ("/api/v1/video/{video_id}/attachments/{n}", "attachment"),
    ("/api/v1/video/{video_id}/file", "file"),
    ("/api/v1/video/{video_id}/file/{name}", "file"),
    ("/api/v1/video/{video_id}/{rendition}/{piece}", "segment"),
    ("/api/v1/events", "events"),
    ("/api/v1/openapi.json", "openapi"),
    ("/healthz", "health"),
    ("/readyz", "health"),
    ("/metrics", "metrics"),
];

/// Everything this server answers, over `state`.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/assets/{*path}", get(page::asset))
        .route("/api/v1/shows", get(shows::shows))
        .route("/api/v1/shows/{show_id}", get(shows::show))
        .route("/api/v1/video/{video_id}", get(video::video))
        .route("/api/v1/video/{video_id}/master.m3u8", get(video::master))
        .route("/api/v1/video/{video_id}/manifest.mpd", get(video::dash))
        .route("/api/v1/video/{video_id}/stream.mp4", get(video::progressive))
        .route("/api/v1/video/{video_id}/subtitles/{name}", get(video::subtitles))
        .route("/api/v1/video/{video_id}/attachments/{n}", get(video::attachment))
        .route("/api/v1/video/{video_id}/file", get(file::file))
        .route("/api/v1/video/{video_id}/file/{name}", get(file::named_file))
        .route("/api/v1/video/{video_id}/{rendition}/{piece}", get(video::rendition))
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/openapi.json", get(openapi::openapi))
        .route("/healthz", get(openapi::healthz))
        .route("/readyz", get(openapi::readyz))
        .route("/metrics", get(metrics::metrics))
        .fallback(page::fallback)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(state.clone(), guard::guard))
        .with_state(state)
}

async fn wrong_method(request: Request) -> Problem {
    let detail = format!("{} is not done at \"{}\"", request.method(), echo(request.uri().path()));
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        .with(header::ALLOW, HeaderValue::from_static("GET,HEAD"))
}
