//! Server-sent events: what changed. For now the library; diffs by subject, at most two a second.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::State,
    response::{
        Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_core::Stream;
use futures_util::stream;
use library::Catalog;
use serde::Serialize;
use tokio::time::sleep;

use crate::{
    limits::{EVENT_INTERVAL, EVENT_KEEP_ALIVE},
    problem::{Problem, ProblemJson},
    state::AppState,
};

/// The library as it is now.
#[derive(Serialize)]
struct LibraryEvent {
    shows: usize,
    videos: usize,
    problems: usize,
    scanned: bool,
}

impl From<&Catalog> for LibraryEvent {
    fn from(catalog: &Catalog) -> Self {
        Self {
            shows: catalog.shows().len(),
            videos: catalog.video_count(),
            problems: catalog.problems.len() + catalog.problems_left_off,
            scanned: catalog.scanned,
        }
    }
}

/// Server-sent events. `library`: how many shows, videos and problems there are, at once and after each change.
#[utoipa::path(get, path = "/api/v1/events", tag = "server", responses(
    (status = 200, description = "Events as they come", content_type = "text/event-stream", body = String),
    (status = 503, description = "Too many listeners", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn events(
    State(state): State<AppState>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = Arc::clone(&state.0.event_streams)
        .try_acquire_owned()
        .map_err(|_| Problem::later("too_many_listeners", "every event stream is taken"))?;
    let mut changes = state.0.library.subscribe();
    changes.mark_changed();
    // The place is given back when the stream is dropped.
    let stream =
        stream::unfold((state, changes, place, true), |(state, mut changes, place, first)| async move {
            if !first {
                tokio::select! {
                    () = sleep(EVENT_INTERVAL) => {}
                    () = state.0.shutdown.begun() => return None,
                }
            }
            tokio::select! {
                changed = changes.changed() => changed.ok()?,
                () = state.0.shutdown.begun() => return None,
            }
            let body = LibraryEvent::from(&**changes.borrow_and_update());
            let event = Event::default().event("library").json_data(body).ok()?;
            Some((Ok(event), (state, changes, place, false)))
        });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(EVENT_KEEP_ALIVE)))
}
