//! The texts of a video: tracks within it, and subtitle files beside it on the disk or in its torrent.

use axum::{extract::State, http::HeaderMap, response::Response};
use media::{SubtitleFormat, TitleInfo};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    extract::Caught,
    playable::Playable,
    problem::{Problem, ProblemJson, echo},
    prompt::prompt,
    sidecar::{self, Sibling},
    state::AppState,
    text::{Keep, Text},
    video::{kept, stream},
};

/// A text that can be shown.
#[derive(Serialize, ToSchema)]
#[schema(as = Subtitle)]
pub(crate) struct SubtitleJson {
    /// Its name in addresses: `subtitles/{track}.vtt`.
    track: String,
    /// In the film, or in a file beside it.
    sibling: bool,
    /// `srt`, `ass`, `webvtt`, `tx3g`.
    format: String,
    language: Option<String>,
    name: Option<String>,
    default: bool,
    forced: bool,
    hearing_impaired: bool,
}

pub(crate) fn of_tracks(info: &TitleInfo) -> Vec<SubtitleJson> {
    info.tracks
        .iter()
        .filter_map(|track| {
            let number = track.rendition.as_deref()?.strip_prefix("subtitles-")?;
            Some(SubtitleJson {
                track: number.to_owned(),
                sibling: false,
                format: track.codec.clone(),
                language: track.language.clone(),
                name: track.name.clone(),
                default: track.flags.default,
                forced: track.flags.forced,
                hearing_impaired: track.flags.hearing_impaired,
            })
        })
        .collect()
}

pub(crate) fn of_siblings(siblings: &[Sibling<'_>]) -> impl Iterator<Item = SubtitleJson> {
    siblings.iter().enumerate().map(|(n, sibling)| SubtitleJson {
        track: format!("file-{n}"),
        sibling: true,
        format: sibling.format.name().to_owned(),
        language: sibling.language.map(str::to_owned),
        name: Some(sibling.name.clone()),
        default: false,
        forced: sibling.forced,
        hearing_impaired: sibling.hearing_impaired,
    })
}

/// A whole text track, or a subtitle file beside the film: `{track}.vtt` or `{track}.ass`.
#[utoipa::path(get, path = "/api/v1/video/{video_id}/subtitles/{name}", tag = "video",
    params(("video_id" = String, Path, description = "Names one playable file"),
        ("name" = String, Path, description = "`{track}.vtt` or `{track}.ass`, `track` as the video lists it")),
    responses(
        (status = 200, description = "The text", content((String = "text/vtt"), (String = "text/x-ssa"))),
        (status = 400, description = "A form it cannot be given in", body = ProblemJson, content_type = "application/problem+json"),
        (status = 404, description = "No such track", body = ProblemJson, content_type = "application/problem+json"),
        (status = 422, description = "Cannot be read, and why", body = ProblemJson, content_type = "application/problem+json"),
        (status = 503, description = "Not here yet", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn subtitles(
    State(state): State<AppState>,
    Caught((id, name)): Caught<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let video = state.playable(&id).await?;
    let none = || Problem::not_found(format!("{}: there are no subtitles \"{}\"", video.id(), echo(&name)));
    let (track, format, media_type) = match name.rsplit_once('.') {
        Some((track, "vtt")) => (track, SubtitleFormat::Vtt, "text/vtt; charset=utf-8"),
        Some((track, "ass")) => (track, SubtitleFormat::Ass, "text/x-ssa; charset=utf-8"),
        // hls.js and others ask for text segments as of any rendition.
        _ => return Err(none()),
    };
    if let Some(n) = track.strip_prefix("file-") {
        let n: usize = n.parse().map_err(|_| none())?;
        let here = video.siblings().get(n).ok_or_else(none)?.is_here();
        // A head that goes out before the text is here says nothing of its coding.
        let headers = if here { headers } else { HeaderMap::new() };
        return prompt(&state, &id, media_type, sibling(video, n, format, media_type, headers)).await;
    }
    let n = track.parse().map_err(|_| none())?;
    let title = video.open(&state).await?;
    if !title.is_here() {
        // The text of a whole track is strewn over the whole film: it would be fetched for it.
        let detail = format!(
            "{}: not all of it is here; until then its text comes with the segments, at \u{2026}/subtitles-{n}/stream.m3u8",
            video.id()
        );
        return Err(Problem::later("incomplete", detail));
    }
    let etag = title.etag(&format!("subtitles-{name}"));
    if let Some(not_modified) = kept(&etag, &headers)? {
        return Ok(not_modified);
    }
    stream(&state, title.subtitles(n, format).await?, media_type)
}

/// The `n`-th subtitle file beside the video.
async fn sibling(
    video: Playable,
    n: usize,
    format: SubtitleFormat,
    media_type: &'static str,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let siblings = video.siblings();
    let Some(sibling) = siblings.get(n) else {
        return Err(Problem::not_found(format!("{}: there is no subtitle file {n}", video.id())));
    };
    let bytes = sidecar::read(video.id(), sibling, format).await?;
    Text { media_type, bytes, keep: Keep::Revalidate }.answer(&headers)
}
