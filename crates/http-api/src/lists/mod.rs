//! What there is to play, for players that know lists of addresses and nothing of us: M3U, and a folder of `.strm` files.
//!
//! Each address is absolute, made from the Host that the list was asked at, and leads to the file's own bytes
//! (`/api/v1/video/{video_id}/file/{name}`): VLC, mpv, Kodi and televisions seek in those by themselves.

mod m3u;
mod strm;

use axum::{
    http::{HeaderMap, HeaderValue, Uri, header},
    response::Response,
};
use engine::{FileInfo, Torrent};
use library::{Catalog, EpisodeNumber, FileKind, ListedFile, Listing, Show, VideoId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    guard::authority,
    limits::FIRST_SCAN_WAIT,
    problem::Problem,
    state::AppState,
    text::Text,
    torrents::{TorrentFile, Torrents},
};

pub(crate) use m3u::{__path_library, __path_torrent, library, torrent};
pub(crate) use strm::{__path_file, __path_folder, file, folder};

/// What RFC 3986 lets stand in a path: `unreserved`.
const NOT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One thing to play.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// Where it is among the `.strm` files.
    folders: Vec<String>,
    /// For people, in one line, without an extension.
    title: String,
    video_id: String,
    /// The file's name, extension and all.
    file: String,
}

impl Entry {
    /// Where its bytes are.
    fn url(&self, origin: &str) -> String {
        format!("{origin}/api/v1/video/{}/file/{}", self.video_id, encode(&self.file))
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NOT_UNRESERVED).to_string()
}

/// The address of this server as the client knows it. The name was checked by the guard; behind a proxy that speaks TLS,
/// `X-Forwarded-Proto` says so.
fn origin(uri: &Uri, headers: &HeaderMap) -> Result<String, Problem> {
    let authority = authority(uri, headers).ok_or_else(|| Problem::bad_request("the request has no Host"))?;
    let secure = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    Ok(format!("{}://{authority}", if secure { "https" } else { "http" }))
}

/// Everything there is to play: the library, then what the torrents hold. Nobody should get an empty list just because they were
/// faster than the first scan.
async fn everything(state: &AppState) -> Vec<Entry> {
    let mut changes = state.0.library.subscribe();
    let _ = tokio::time::timeout(FIRST_SCAN_WAIT, changes.wait_for(|catalog| catalog.scanned)).await;
    let mut entries = of_library(&state.0.library.catalog());
    entries.extend(of_torrents(state).await);
    entries
}

/// An answer with addresses in it, which are of the name that was asked.
fn answer(text: Text, headers: &HeaderMap) -> Result<Response, Problem> {
    let mut response = text.answer(headers)?;
    response.headers_mut().append(header::VARY, HeaderValue::from_static("host, x-forwarded-proto"));
    Ok(response)
}

/// Films and series of the library by title, episodes in their order.
fn of_library(catalog: &Catalog) -> Vec<Entry> {
    let mut shows: Vec<&Show> = catalog.shows().iter().collect();
    shows.sort_by_cached_key(|show| (library::fold(show.title()), show.year(), show.id().to_owned()));
    shows.into_iter().flat_map(|show| of_show(catalog, show)).collect()
}

fn of_show(catalog: &Catalog, show: &Show) -> Vec<Entry> {
    let name = with_year(show.title(), show.year());
    let entry = |folders: Vec<String>, title: String, id: &VideoId| {
        let file = catalog.video(id)?.file_name();
        Some(Entry { folders, title, video_id: id.to_string(), file })
    };
    match show {
        Show::Movie(movie) => entry(vec!["Movies".to_owned()], name, &movie.video).into_iter().collect(),
        Show::Series(series) => {
            let mut episodes: Vec<_> = series.episodes.iter().collect();
            episodes.sort_by_key(|episode| episode.number);
            let entries = episodes.into_iter().filter_map(|episode| {
                let season = format!("Season {:02}", episode.number.season);
                let title = numbered(&series.title, episode.number, &episode.title);
                entry(vec!["Series".to_owned(), name.clone(), season], title, &episode.video)
            });
            entries.collect()
        }
    }
}

/// What of a torrent can be played: episodes in their order, the rest by path, extras last; samples are left out.
async fn of_torrent(torrents: &Torrents, torrent: &Torrent) -> Result<Vec<Entry>, Problem> {
    let name = torrent.snapshot().name.clone().unwrap_or_else(|| torrent.info_hash().to_string());
    let (listing, files) = (torrents.listing(torrent).await?, torrent.files()?);
    let entries = playable(&listing, &files).into_iter().map(|(info, title)| Entry {
        folders: vec!["Torrents".to_owned(), name.clone()],
        title,
        video_id: TorrentFile { info_hash: torrent.info_hash(), file: info.index }.to_string(),
        file: last_part(&info.path).to_owned(),
    });
    Ok(entries.collect())
}

/// The files, in order, each with what to call it.
fn playable<'a>(listing: &Listing, files: &'a [FileInfo]) -> Vec<(&'a FileInfo, String)> {
    let mut found: Vec<_> = files
        .iter()
        .filter_map(|info| {
            let listed = listing.file(info.index.0)?;
            (listed.playable && listed.kind != FileKind::Sample).then_some((info, listed))
        })
        .collect();
    found.sort_by_key(|(info, listed)| {
        let extra = listed.kind == FileKind::Extra;
        (extra, listed.episode.is_none(), listed.episode, &info.path)
    });
    let title = |listed: &ListedFile, info: &FileInfo| match listed.title.as_str() {
        "" => last_part(&info.path).to_owned(),
        title if listed.episode.is_none() => with_year(title, listed.year),
        title => title.to_owned(),
    };
    found.into_iter().map(|(info, listed)| (info, title(listed, info))).collect()
}

/// Every torrent's, in the order they were added; those without metadata have nothing to play yet.
async fn of_torrents(state: &AppState) -> Vec<Entry> {
    let Ok(torrents) = state.torrents() else { return Vec::new() };
    let mut entries = Vec::new();
    for torrent in torrents.all() {
        entries.extend(of_torrent(torrents, &torrent).await.unwrap_or_default());
    }
    entries
}

fn with_year(title: &str, year: Option<u16>) -> String {
    year.map_or_else(|| title.to_owned(), |year| format!("{title} ({year})"))
}

fn numbered(series: &str, number: EpisodeNumber, title: &str) -> String {
    if title.is_empty() { format!("{series} {number}") } else { format!("{series} {number} {title}") }
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use engine::{FileIndex, Priority};

    use super::*;

    #[test]
    fn a_pack_lists_its_episodes_in_order_and_leaves_samples_out() {
        let file = |(index, (path, size)): (u32, (&str, u64))| FileInfo {
            index: FileIndex(index),
            path: path.to_owned(),
            size,
            have: 0,
            priority: Priority::Normal,
            pad: false,
        };
        let files: Vec<FileInfo> = (0..)
            .zip([
                ("Show/Show.S01E10.mkv", 1 << 30),
                ("Show/Extras/Making of.mkv", 1 << 28),
                ("Show/Show.S01E02.Two.mkv", 1 << 29),
                ("Show/Sample/show.s01e02.sample.mkv", 20 << 20),
                ("Show/readme.nfo", 3),
                ("Show/Show.S01E02.srt", 7),
                ("Show/Show.S02E01.mkv", 1 << 29),
                ("Show/empty.mkv", 0),
            ])
            .map(file)
            .collect();
        let listing =
            Listing::of("Show", files.iter().map(|file| (file.index.0, file.path.as_str(), file.size)));
        let found: Vec<(u32, String)> =
            playable(&listing, &files).into_iter().map(|(info, title)| (info.index.0, title)).collect();
        assert_eq!(found.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [2, 0, 6, 1]);
        assert_eq!(found[0].1, "Show S01E02 Two");
    }

    #[test]
    fn addresses_are_of_the_name_that_was_asked() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("films.lan:8080"));
        let uri = Uri::from_static("/api/v1/playlist.m3u");
        assert_eq!(origin(&uri, &headers).unwrap(), "http://films.lan:8080");
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        assert_eq!(origin(&uri, &headers).unwrap(), "https://films.lan:8080");
        let entry = Entry {
            folders: Vec::new(),
            title: "A".to_owned(),
            video_id: "x-0".to_owned(),
            file: "a b#?%/ü.mkv".to_owned(),
        };
        assert_eq!(entry.url("http://h"), "http://h/api/v1/video/x-0/file/a%20b%23%3F%25%2F%C3%BC.mkv");
    }
}
