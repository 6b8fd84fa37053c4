//! Adding a torrent: `POST /api/v1/torrents`.

use std::time::Duration;

use axum::{
    extract::{FromRequest, Multipart, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use engine::{Add, EngineError, FileIndex, Limits, Select, Source, Torrent};

use super::{
    Torrents,
    model::{AddJson, TorrentJson, parse},
};
use crate::{
    limits::{ADD_WAIT, BODY_WAIT, METADATA_WAIT_MAX, TORRENT_BYTES_MAX},
    problem::{Problem, ProblemJson, echo},
    state::AppState,
    text::{json, value},
};

/// Adds a torrent: JSON that names a magnet or an address, or a `.torrent` itself, as multipart or as the body.
/// 201 with the torrent if it is new, 200 if it was here already.
#[utoipa::path(post, path = "/api/v1/torrents", tag = "torrents",
    request_body(content(
        (AddJson = "application/json"), (Vec<u8> = "multipart/form-data"), (Vec<u8> = "application/x-bittorrent"))),
    responses(
        (status = 200, description = "It was here already", body = TorrentJson),
        (status = 201, description = "It is new", body = TorrentJson),
        (status = 400, description = "Not a torrent", body = ProblemJson, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemJson, content_type = "application/problem+json"),
        (status = 415, description = "None of the forms above", body = ProblemJson, content_type = "application/problem+json"),
        (status = 502, description = "The address did not give a torrent", body = ProblemJson, content_type = "application/problem+json"),
        (status = 503, description = "The engine cannot start, and why", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn add(State(state): State<AppState>, request: Request) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let read = tokio::time::timeout(BODY_WAIT, read(request)).await;
    let (asked, file) = read.map_err(|_| {
        Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "slow_body",
            format!("the body took longer than {BODY_WAIT:?}"),
        )
    })??;
    asked.check()?;
    let torrents = state.torrents()?;
    let source = match (&asked.magnet, &asked.url, file) {
        (None, None, Some(bytes)) => Source::Metainfo(bytes),
        (Some(magnet), None, None) => magnet_source(magnet)?,
        (None, Some(url), None) => Source::Metainfo(
            torrents.session().await?.fetch(url, torrents.fetch_private()).await.map_err(not_fetched)?,
        ),
        (None, None, None) => {
            return Err(Problem::bad_request("nothing to add: give magnet, url, or a .torrent"));
        }
        _ => {
            return Err(Problem::bad_request(
                "more than one of magnet, url and a .torrent: add one at a time",
            ));
        }
    };
    let wait = wait(&asked)?;
    let add = instruction(asked, source)?;
    let (torrent, new) = torrents.session().await?.add(add).await?;
    // What most magnets need, so that most answers have their files.
    let _ = tokio::time::timeout(wait, torrent.wait_metadata()).await;
    answer(torrents, &torrent, new, &headers).await
}

/// What keeps an address from being fetched is its own fault, or its server's.
fn not_fetched(error: EngineError) -> Problem {
    match error {
        EngineError::Io { .. } => {
            Problem::new(StatusCode::BAD_GATEWAY, "not_fetched", super::echo_long(&error.to_string()))
        }
        other => other.into(),
    }
}

fn wait(asked: &AddJson) -> Result<Duration, Problem> {
    let Some(seconds) = asked.wait else { return Ok(ADD_WAIT) };
    Duration::try_from_secs_f64(seconds).ok().filter(|wait| *wait <= METADATA_WAIT_MAX).ok_or_else(|| {
        Problem::bad_request(format!(
            "wait is {seconds}: expected seconds from 0 to {}",
            METADATA_WAIT_MAX.as_secs()
        ))
    })
}

fn magnet_source(text: &str) -> Result<Source, Problem> {
    let text = text.trim();
    if text.starts_with("magnet:") {
        return Ok(Source::Magnet(text.to_owned()));
    }
    let hash = text.parse().map_err(|_| {
        Problem::bad_request(format!("\"{}\" is neither a magnet link nor an info-hash", echo(text)))
    })?;
    Ok(Source::InfoHash(hash))
}

fn instruction(asked: AddJson, source: Source) -> Result<Add, Problem> {
    let seed_goal = asked.seed_goal()?;
    let select = match (asked.files, asked.select) {
        (Some(files), _) => Select::Files(files.into_iter().map(FileIndex).collect()),
        (None, Some(patterns)) => Select::Matching(patterns),
        (None, None) => Select::All,
    };
    Ok(Add {
        select,
        peers: asked.peers,
        trackers: asked.trackers,
        sequential: asked.sequential,
        watch: asked.watch,
        paused: asked.paused,
        recheck: asked.recheck,
        seed_goal,
        limits: Limits { download: asked.download_limit, upload: asked.upload_limit },
        ..Add::new(source)
    })
}

/// The body in any of its forms: what is said, and the `.torrent` if it came along.
async fn read(request: Request) -> Result<(AddJson, Option<Bytes>), Problem> {
    let kind =
        request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/json" => Ok((parse(&body(request).await?)?, None)),
        "application/x-bittorrent" => Ok((AddJson::default(), Some(body(request).await?))),
        "multipart/form-data" => form(request).await,
        other => {
            let detail = format!(
                "Content-Type \"{}\": expected application/json, multipart/form-data or application/x-bittorrent",
                echo(other)
            );
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", detail))
        }
    }
}

async fn body(request: Request) -> Result<Bytes, Problem> {
    Bytes::from_request(request, &()).await.map_err(|error| too_large_or(error.status(), &error.body_text()))
}

fn too_large_or(status: StatusCode, detail: &str) -> Problem {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("the body is longer than {TORRENT_BYTES_MAX} bytes");
        return Problem::new(status, "too_large", detail);
    }
    Problem::bad_request(format!("the body: {}", echo(detail)))
}

/// A form: one file, in a field of any name; beside it `magnet` or `url`, and `options` as the JSON would say them.
async fn form(request: Request) -> Result<(AddJson, Option<Bytes>), Problem> {
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|error| too_large_or(error.status(), &error.body_text()))?;
    let (mut asked, mut file, mut links) = (AddJson::default(), None, (None, None));
    while let Some(field) =
        form.next_field().await.map_err(|error| too_large_or(error.status(), &error.body_text()))?
    {
        let name = field.name().unwrap_or_default().to_owned();
        let is_file = field.file_name().is_some();
        let bytes = field.bytes().await.map_err(|error| too_large_or(error.status(), &error.body_text()))?;
        let text = || String::from_utf8_lossy(&bytes).trim().to_owned();
        match name.as_str() {
            _ if is_file && file.is_some() => {
                return Err(Problem::bad_request("more than one .torrent: add one at a time"));
            }
            _ if is_file => file = Some(bytes),
            "magnet" => links.0 = Some(text()),
            "url" => links.1 = Some(text()),
            "options" => asked = parse(&bytes)?,
            other => {
                return Err(Problem::bad_request(format!(
                    "the form's field \"{}\": expected a file, magnet, url or options",
                    echo(other)
                )));
            }
        }
    }
    asked.magnet = asked.magnet.or(links.0);
    asked.url = asked.url.or(links.1);
    Ok((asked, file))
}

async fn answer(
    torrents: &Torrents,
    torrent: &Torrent,
    new: bool,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let mut headers = headers.clone();
    // An answer to a POST is nobody's copy.
    headers.remove(header::IF_NONE_MATCH);
    headers.remove(header::IF_MATCH);
    let mut response = json(&TorrentJson::of(torrents, torrent).await?)?.answer(&headers)?;
    if new {
        *response.status_mut() = StatusCode::CREATED;
    }
    let fields = response.headers_mut();
    fields.remove(header::ETAG);
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(header::LOCATION, value(&format!("/api/v1/torrents/{}", torrent.info_hash()))?);
    Ok(response)
}
