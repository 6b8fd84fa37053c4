//! The page, built into the binary: `/` and its files. Built from `web/dist`; a placeholder where that was not built.

use axum::{
    extract::Path,
    http::{HeaderMap, Method, Uri},
    response::Response,
};
use bytes::Bytes;

use crate::{
    guard::page_policy,
    problem::{Problem, echo},
    text::{Keep, Text},
};

/// `(path below web/dist, content)`, sorted by path.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// `/`
pub(crate) async fn index(headers: HeaderMap) -> Result<Response, Problem> {
    answer("index.html", &headers)
}

/// `/assets/…`, `/favicon.svg`, …
pub(crate) async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    answer(&format!("assets/{path}"), &headers)
}

/// Everything else: files at the top of the page's folder, or nothing.
pub(crate) async fn fallback(method: Method, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    if !matches!(method, Method::GET | Method::HEAD) {
        return Err(Problem::not_found(format!("there is nothing at \"{}\"", echo(uri.path()))));
    }
    answer(uri.path().trim_start_matches('/'), &headers)
}

fn answer(path: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let none = || Problem::not_found(format!("there is nothing at \"/{}\"", echo(path)));
    let at = FILES.binary_search_by(|(name, _)| (*name).cmp(path)).map_err(|_| none())?;
    let (name, bytes) = FILES.get(at).ok_or_else(none)?;
    let media_type = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json" | "webmanifest") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    };
    // esbuild puts a hash of the content into the names below assets/.
    let keep = if name.starts_with("assets/") { Keep::Forever } else { Keep::Revalidate };
    let mut response = Text { media_type, bytes: Bytes::from_static(bytes), keep }.answer(headers)?;
    let (name, policy) = page_policy();
    response.headers_mut().insert(name, policy);
    Ok(response)
}
