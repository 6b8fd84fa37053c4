//! Answers that do not keep a player guessing: of a film that is still downloading, the head goes out within two seconds once
//! somebody is there who may have the bytes, and the body when they come. `503` is for when nobody is.
//!
//! Players give up on silence after five to ten seconds, and most give up on `503` at once.

use std::future::Future;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use engine::{Snapshot, State, Torrent};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, sleep_until};

use crate::{
    body::BodyError,
    limits::{HEAD_WAIT, NOBODY_WAIT},
    problem::Problem,
    state::AppState,
    torrents::TorrentFile,
};

/// Whether bytes that are not here may come.
pub(crate) enum Standing {
    /// Somebody is connected.
    Somebody,
    /// Nobody is, yet; the problem if it stays so.
    Nobody(Problem),
    /// It rests: nothing comes until it is told to go on.
    Rests(Problem),
}

impl Standing {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let why = snapshot.reason.as_deref();
        let rests = |how: &str| {
            let detail = format!("these bytes are not here and the torrent is {how}");
            Self::Rests(Problem::later("not_running", detail))
        };
        match snapshot.state {
            State::Paused => rests("paused"),
            State::Failed => rests(&format!("stopped: {}", why.unwrap_or("no reason was given"))),
            _ if snapshot.peers + snapshot.web_seeds > 0 => Self::Somebody,
            _ => {
                let why = why.unwrap_or("no peer has been found yet");
                let detail = format!("these bytes are not here and nobody has them: {why}");
                Self::Nobody(Problem::later("no_peers", detail))
            }
        }
    }
}

/// The answer to a request for `id`: see [`within`], if it names a torrent's file.
pub(crate) async fn prompt<F>(
    state: &AppState,
    id: &str,
    media_type: &'static str,
    answer: F,
) -> Result<Response, Problem>
where
    F: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    match state.torrent_of(id)? {
        Some((torrent, _)) => within(&torrent, media_type, answer).await,
        None => answer.await,
    }
}

/// The header fields that an answer may depend on. One whose head may go out before anything is known depends on none.
pub(crate) fn conditions(state: &AppState, id: &str, headers: HeaderMap) -> HeaderMap {
    let late = TorrentFile::parse(id).is_some() && state.0.media.get(id).is_none();
    if late { HeaderMap::new() } else { headers }
}

/// The answer, or, if it takes longer, a head of `media_type` whose body is the answer's. An error that comes after the head
/// ends the connection.
async fn within<F>(torrent: &Torrent, media_type: &'static str, answer: F) -> Result<Response, Problem>
where
    F: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    let mut answer = Box::pin(answer);
    let began = Instant::now();
    let mut watch = torrent.watch();
    tokio::select! {
        answer = &mut answer => return answer,
        () = sleep_until(began + HEAD_WAIT) => {}
    }
    loop {
        let nobody = match Standing::of(&watch.borrow_and_update()) {
            Standing::Somebody => break,
            Standing::Rests(problem) => return Err(problem),
            Standing::Nobody(problem) => problem,
        };
        tokio::select! {
            answer = &mut answer => return answer,
            changed = watch.changed() => if changed.is_err() {
                return Err(Problem::later("stopping", "the torrent was removed"));
            },
            () = sleep_until(began + NOBODY_WAIT) => return Err(nobody),
        }
    }
    let body = stream::once(answer).map_err(|problem| axum::Error::new(BodyError::from(problem))).and_then(
        |response| async move {
            match response.status().is_success() {
                true => Ok(response.into_body().into_data_stream()),
                false => Err(axum::Error::new(BodyError::Status(response.status()))),
            }
        },
    );
    let mut response = Response::new(Body::from_stream(body.try_flatten().boxed()));
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    // It may end early.
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
