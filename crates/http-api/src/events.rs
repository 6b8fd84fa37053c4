//! Server-sent events: what changed of the library and of torrents; diffs by subject, at most two a second.
//!
//! Each listener is told from what it was last told: a slow one misses states in between, never the last one.

use std::{collections::VecDeque, convert::Infallible, sync::Arc};

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
use tokio::{sync::watch, time::sleep};

use crate::{
    limits::{EVENT_INTERVAL, EVENT_KEEP_ALIVE},
    problem::{Problem, ProblemJson},
    state::AppState,
    torrents::Feed,
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

/// What one listener has been told, and what it is told next.
struct Told {
    library: watch::Receiver<Arc<Catalog>>,
    torrents: Feed,
    next: VecDeque<Event>,
    first: bool,
}

impl Told {
    /// Looks for what changed.
    fn look(&mut self, state: &AppState) {
        if self.first || self.library.has_changed().unwrap_or(false) {
            let body = LibraryEvent::from(&**self.library.borrow_and_update());
            self.next.extend(Event::default().event("library").json_data(body));
        }
        if let Ok(torrents) = state.torrents() {
            let changes = self.torrents.changes(torrents);
            self.next.extend(
                changes
                    .into_iter()
                    .filter_map(|(name, body)| Event::default().event(name).json_data(body).ok()),
            );
        }
        self.first = false;
    }
}

/// Server-sent events, at once and then as things change. `library`: how many shows, videos and problems there are;
/// `torrent`: `info_hash` and the fields of the torrent that changed, or `removed`; `playback`: `info_hash`, the
/// `wait` of those who read it (`null`: nobody waits) and its `readers`; `session`: the fields of the engine that changed.
#[utoipa::path(get, path = "/api/v1/events", tag = "server", responses(
    (status = 200, description = "Events as they come", content_type = "text/event-stream", body = String),
    (status = 503, description = "Too many listeners", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn events(
    State(state): State<AppState>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = Arc::clone(&state.0.event_streams)
        .try_acquire_owned()
        .map_err(|_| Problem::later("too_many_listeners", "every event stream is taken"))?;
    let library = state.0.library.subscribe();
    let told = Told { library, torrents: Feed::default(), next: VecDeque::new(), first: true };
    // The place is given back when the stream is dropped.
    let stream = stream::unfold((state, told, place), |(state, mut told, place)| async move {
        loop {
            if let Some(event) = told.next.pop_front() {
                return Some((Ok(event), (state, told, place)));
            }
            if !told.first {
                tokio::select! {
                    () = sleep(EVENT_INTERVAL) => {}
                    () = state.0.shutdown.begun() => return None,
                }
            }
            told.look(&state);
        }
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(EVENT_KEEP_ALIVE)))
}
