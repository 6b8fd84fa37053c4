//! What there is to see: `GET /api/v1/shows[/{show_id}]`.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, header},
    response::Response,
};
use library::{Query, Show};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    extract::{Caught, Params},
    limits::FIRST_SCAN_WAIT,
    problem::{Problem, ProblemJson, echo},
    state::AppState,
    text::{json, value},
};

/// A film or a series.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Show)]
pub(crate) enum ShowJson {
    Movie(MovieJson),
    Series(SeriesJson),
}

#[derive(Serialize, ToSchema)]
#[schema(as = ShowInfo)]
pub(crate) struct ShowInfoJson {
    id: String,
    title: String,
    /// Address of a small picture; empty where there is none.
    thumbnail: String,
    /// Address of a wide picture; empty where there is none.
    banner: String,
    /// `movie` or `series`.
    kind: &'static str,
    year: Option<u16>,
    /// RFC 3339, UTC.
    added: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Movie)]
pub(crate) struct MovieJson {
    info: ShowInfoJson,
    video_id: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Series)]
pub(crate) struct SeriesJson {
    info: ShowInfoJson,
    episodes: Vec<EpisodeJson>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Episode)]
pub(crate) struct EpisodeJson {
    id: String,
    /// `S01E02`.
    index: String,
    title: String,
    video_id: String,
}

impl From<&Show> for ShowJson {
    fn from(show: &Show) -> Self {
        let info = |kind| ShowInfoJson {
            id: show.id().to_owned(),
            title: show.title().to_owned(),
            thumbnail: String::new(),
            banner: String::new(),
            kind,
            year: show.year(),
            added: rfc3339(show.added()),
        };
        match show {
            Show::Movie(movie) => {
                Self::Movie(MovieJson { info: info("movie"), video_id: movie.video.to_string() })
            }
            Show::Series(series) => Self::Series(SeriesJson {
                info: info("series"),
                episodes: series
                    .episodes
                    .iter()
                    .map(|episode| EpisodeJson {
                        id: episode.id.clone(),
                        index: episode.number.to_string(),
                        title: episode.title.clone(),
                        video_id: episode.video.to_string(),
                    })
                    .collect(),
            }),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ShowsQuery {
    /// Words; case- and accent-blind, ranked.
    search: Option<String>,
    /// `movie` or `series`.
    kind: Option<String>,
    /// `best` (default), `title`, `added` or `year`.
    sort: Option<String>,
    /// At most this many.
    limit: Option<String>,
    /// From the `Link` of the page before.
    cursor: Option<String>,
}

/// Films and series. The next page's address is in `Link`, the number of all in `X-Total-Count`.
#[utoipa::path(get, path = "/api/v1/shows", tag = "library", params(ShowsQuery), responses(
    (status = 200, description = "Shows", body = Vec<ShowJson>),
    (status = 400, description = "A parameter that makes no sense", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn shows(
    State(state): State<AppState>,
    Params(asked): Params<ShowsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let ShowsQuery { search, kind, sort, limit, cursor } = &asked;
    let query = Query::parse(
        search.as_deref(),
        kind.as_deref(),
        sort.as_deref(),
        limit.as_deref(),
        cursor.as_deref(),
    )?;
    let mut changes = state.0.library.subscribe();
    // Nobody should see an empty library just because they were faster than the first scan.
    let _ = tokio::time::timeout(FIRST_SCAN_WAIT, changes.wait_for(|catalog| catalog.scanned)).await;
    let catalog = state.0.library.catalog();
    let page = query.run(&catalog);
    let body: Vec<ShowJson> = page.shows.iter().map(|show| ShowJson::from(*show)).collect();
    let mut response = json(&body)?.answer(&headers)?;
    let fields = response.headers_mut();
    fields.insert(HeaderName::from_static("x-total-count"), page.total.into());
    if let Some(next) = page.next {
        fields.insert(header::LINK, value(&format!("<{}>; rel=\"next\"", next_address(&asked, &next)))?);
    }
    Ok(response)
}

fn next_address(asked: &ShowsQuery, cursor: &str) -> String {
    let kept =
        [("search", &asked.search), ("kind", &asked.kind), ("sort", &asked.sort), ("limit", &asked.limit)];
    let mut address = "/api/v1/shows?".to_owned();
    for (name, text) in kept {
        if let Some(text) = text {
            address.push_str(&format!("{name}={}&", utf8_percent_encode(text, NON_ALPHANUMERIC)));
        }
    }
    address + "cursor=" + &utf8_percent_encode(cursor, NON_ALPHANUMERIC).to_string()
}

/// One film or series.
#[utoipa::path(get, path = "/api/v1/shows/{show_id}", tag = "library",
    params(("show_id" = String, Path, description = "As in the list")),
    responses(
        (status = 200, description = "The show", body = ShowJson),
        (status = 404, description = "No such show", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(state): State<AppState>,
    Caught(id): Caught<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let catalog = state.0.library.catalog();
    let show =
        catalog.show(&id).ok_or_else(|| Problem::not_found(format!("there is no show \"{}\"", echo(&id))))?;
    json(&ShowJson::from(show))?.answer(&headers)
}

/// Seconds are enough, and UTC needs no table of zones: civil date from days by Howard Hinnant's algorithm.
fn rfc3339(time: std::time::SystemTime) -> String {
    let seconds = time.duration_since(std::time::SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_269_661, "2026-11-21T14:01:01Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
