//! `GET /api/v1/playlist.m3u` and `GET /api/v1/torrents/{info_hash}/playlist.m3u`: extended M3U in UTF-8.

use std::fmt::Write;

use axum::{
    extract::State,
    http::{HeaderMap, Uri, header},
    response::Response,
};

use super::{Entry, answer, everything, of_torrent, origin};
use crate::{
    disposition::content_disposition,
    extract::Caught,
    problem::{Problem, ProblemJson},
    state::AppState,
    text::{Keep, Text},
    torrents::metadata,
};

/// Everything there is to play, for VLC, mpv, Kodi and televisions: films and series by title, episodes in their order, then
/// what the torrents hold. Addresses are absolute, of the name the list is asked at.
#[utoipa::path(get, path = "/api/v1/playlist.m3u", tag = "lists", responses(
    (status = 200, description = "Extended M3U, UTF-8", content_type = "audio/x-mpegurl", body = String)))]
pub(crate) async fn library(
    State(state): State<AppState>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let origin = origin(&uri, &headers)?;
    list("Headwater", &everything(&state).await, &origin, &headers)
}

/// What of a torrent can be played: episodes in their order, the rest by path; samples, subtitles and texts are left out.
#[utoipa::path(get, path = "/api/v1/torrents/{info_hash}/playlist.m3u", tag = "lists",
    params(("info_hash" = String, Path, description = "40 hexadecimal digits")),
    responses(
        (status = 200, description = "Extended M3U, UTF-8", content_type = "audio/x-mpegurl", body = String),
        (status = 404, description = "No such torrent", body = ProblemJson, content_type = "application/problem+json"),
        (status = 503, description = "The metadata is not here yet", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn torrent(
    State(state): State<AppState>,
    Caught(info_hash): Caught<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let origin = origin(&uri, &headers)?;
    let torrents = state.torrents()?;
    let torrent = torrents.named(&info_hash)?;
    metadata(&torrent).await?;
    let name = torrent.snapshot().name.clone().unwrap_or(info_hash);
    list(&name, &of_torrent(torrents, &torrent).await?, &origin, &headers)
}

fn list(name: &str, entries: &[Entry], origin: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let bytes = playlist(name, entries, origin).into();
    let text = Text { media_type: "audio/x-mpegurl; charset=utf-8", bytes, keep: Keep::Revalidate };
    let mut response = answer(text, headers)?;
    let disposition = content_disposition("inline", &format!("{name}.m3u"));
    response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    Ok(response)
}

fn playlist(name: &str, entries: &[Entry], origin: &str) -> String {
    let mut list = format!("#EXTM3U\n#EXTENC:UTF-8\n#PLAYLIST:{}\n", line(name));
    for entry in entries {
        // -1: how long it is shows when it is opened.
        let _ = writeln!(list, "#EXTINF:-1,{}\n{}", line(&entry.title), entry.url(origin));
    }
    list
}

/// In one line, whatever a name holds.
fn line(text: &str) -> String {
    let plain = |c: char| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_add_a_line() {
        let entry = Entry {
            folders: Vec::new(),
            title: "Film\nhttp://evil.example/\r#EXTINF:1,x".to_owned(),
            video_id: "v".to_owned(),
            file: "Film\nx.mkv".to_owned(),
        };
        assert_eq!(
            playlist("a\nb", &[entry], "http://h"),
            "#EXTM3U\n#EXTENC:UTF-8\n#PLAYLIST:a b\n\
             #EXTINF:-1,Film http://evil.example/ #EXTINF:1,x\nhttp://h/api/v1/video/v/file/Film%0Ax.mkv\n"
        );
    }
}
