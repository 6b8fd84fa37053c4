//! Which address is answered by whom.

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    http::{HeaderValue, StatusCode, header},
    middleware,
    routing::{get, post},
};

use crate::{
    events, file, guard,
    limits::TORRENT_BYTES_MAX,
    lists, metrics, openapi, page,
    problem::{Problem, echo},
    shows,
    state::AppState,
    status, subtitles, torrents, video,
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
    ("/api/v1/video/{video_id}/wait", "wait"),
    ("/api/v1/video/{video_id}/{rendition}/{piece}", "segment"),
    ("/api/v1/playlist.m3u", "playlist"),
    ("/api/v1/strm/", "strm"),
    ("/api/v1/strm/{*path}", "strm"),
    ("/api/v1/torrents", "torrents"),
    ("/api/v1/torrents/{info_hash}", "torrent"),
    ("/api/v1/torrents/{info_hash}/files", "torrent_files"),
    ("/api/v1/torrents/{info_hash}/peers", "torrent_peers"),
    ("/api/v1/torrents/{info_hash}/trackers", "torrent_trackers"),
    ("/api/v1/torrents/{info_hash}/pieces", "torrent_pieces"),
    ("/api/v1/torrents/{info_hash}/metainfo", "torrent_metainfo"),
    ("/api/v1/torrents/{info_hash}/playlist.m3u", "torrent_playlist"),
    ("/api/v1/torrents/{info_hash}/pause", "torrent_control"),
    ("/api/v1/torrents/{info_hash}/resume", "torrent_control"),
    ("/api/v1/torrents/{info_hash}/recheck", "torrent_control"),
    ("/api/v1/torrents/{info_hash}/reannounce", "torrent_control"),
    ("/api/v1/events", "events"),
    ("/api/v1/status", "status"),
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
        .route("/api/v1/video/{video_id}/subtitles/{name}", get(subtitles::subtitles))
        .route("/api/v1/video/{video_id}/attachments/{n}", get(video::attachment))
        .route("/api/v1/video/{video_id}/file", get(file::file))
        .route("/api/v1/video/{video_id}/file/{name}", get(file::named_file))
        .route("/api/v1/video/{video_id}/wait", get(torrents::wait))
        .route("/api/v1/video/{video_id}/{rendition}/{piece}", get(video::rendition))
        .route("/api/v1/playlist.m3u", get(lists::library))
        .route("/api/v1/strm/", get(lists::folder))
        .route("/api/v1/strm/{*path}", get(lists::file))
        .merge(torrent_routes())
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/status", get(status::status))
        .route("/api/v1/openapi.json", get(openapi::openapi))
        .route("/healthz", get(openapi::healthz))
        .route("/readyz", get(openapi::readyz))
        .route("/metrics", get(metrics::metrics))
        .fallback(page::fallback)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(state.clone(), guard::guard))
        .with_state(state)
}

/// What can be done with torrents.
fn torrent_routes() -> Router<AppState> {
    Router::new()
        .route("/api/v1/torrents", get(torrents::torrents).post(torrents::add))
        .route(
            "/api/v1/torrents/{info_hash}",
            get(torrents::one).patch(torrents::set).delete(torrents::remove),
        )
        .route("/api/v1/torrents/{info_hash}/files", get(torrents::files))
        .route("/api/v1/torrents/{info_hash}/peers", get(torrents::peers))
        .route("/api/v1/torrents/{info_hash}/trackers", get(torrents::trackers))
        .route("/api/v1/torrents/{info_hash}/pieces", get(torrents::pieces))
        .route("/api/v1/torrents/{info_hash}/metainfo", get(torrents::metainfo))
        .route("/api/v1/torrents/{info_hash}/playlist.m3u", get(lists::torrent))
        .route("/api/v1/torrents/{info_hash}/pause", post(torrents::pause))
        .route("/api/v1/torrents/{info_hash}/resume", post(torrents::resume))
        .route("/api/v1/torrents/{info_hash}/recheck", post(torrents::recheck))
        .route("/api/v1/torrents/{info_hash}/reannounce", post(torrents::reannounce))
        .layer(DefaultBodyLimit::max(TORRENT_BYTES_MAX))
}

async fn wrong_method(matched: Option<MatchedPath>, request: Request) -> Problem {
    let detail = format!("{} is not done at \"{}\"", request.method(), echo(request.uri().path()));
    let allow = match label(matched.as_ref().map(MatchedPath::as_str)) {
        "torrents" => "GET,HEAD,POST",
        "torrent" => "GET,HEAD,PATCH,DELETE",
        "torrent_control" => "POST",
        _ => "GET,HEAD",
    };
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        .with(header::ALLOW, HeaderValue::from_static(allow))
}
