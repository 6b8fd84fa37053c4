//! A `.torrent` from an address that a client named.

use axum::http::StatusCode;
use bytes::Bytes;

use super::Torrents;
use crate::problem::{Problem, echo};

/// Fetches it the way all swarm traffic goes.
pub(super) async fn fetch(torrents: &Torrents, url: &str) -> Result<Bytes, Problem> {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(Problem::bad_request(format!("\"{}\" is no http or https address", echo(url))));
    }
    let _ = torrents.fetch_private();
    Err(Problem::new(
        StatusCode::NOT_IMPLEMENTED,
        "not_yet",
        "addresses are not fetched from in this version",
    ))
}
