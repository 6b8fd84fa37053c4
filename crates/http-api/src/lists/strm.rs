//! A folder of `.strm` files, as Kodi and its like keep films that lie elsewhere: `GET /api/v1/strm/…`.
//!
//! Folders are answered as a page of links, which Kodi reads as a source (`http://…/api/v1/strm/Movies/`) and `wget -r`
//! takes along; a file is one line, the address of the film's bytes. Nothing of it exists on a disk.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write,
};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use super::{Entry, encode, everything, origin};
use crate::{
    extract::Caught,
    problem::{Problem, ProblemJson, echo},
    state::AppState,
    text::{Keep, Text, value},
};

/// Bytes of a name: what file systems take, with room for a number and the extension.
const NAME_BYTES_MAX: usize = 200;

/// The folder's root: `Movies/`, `Series/` and `Torrents/`, as far as there is anything in them.
#[utoipa::path(get, path = "/api/v1/strm/", tag = "lists", responses(
    (status = 200, description = "A page of links, as web servers list folders", content_type = "text/html", body = String)))]
pub(crate) async fn folder(
    State(state): State<AppState>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    answer(&state, "", &uri, &headers).await
}

/// A folder (ending in `/`), or a `.strm` file: the absolute address of a film's bytes. `Movies/Title (Year).strm`,
/// `Series/Title/Season 01/Title S01E02 Name.strm`, `Torrents/Name/File.strm`. Add `http://…/api/v1/strm/Movies/` and
/// `…/Series/` to Kodi as sources, or fetch them into a folder with `wget -r -np -nH --cut-dirs=3`.
#[utoipa::path(get, path = "/api/v1/strm/{path}", tag = "lists",
    params(("path" = String, Path, description = "Folders and a name")),
    responses(
        (status = 200, description = "The address, or a page of links", content_type = "text/plain", body = String),
        (status = 404, description = "No such file or folder", body = ProblemJson, content_type = "application/problem+json")))]
pub(crate) async fn file(
    State(state): State<AppState>,
    Caught(path): Caught<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    answer(&state, &path, &uri, &headers).await
}

async fn answer(state: &AppState, path: &str, uri: &Uri, headers: &HeaderMap) -> Result<Response, Problem> {
    let origin = origin(uri, headers)?;
    let tree = tree(everything(state).await);
    if let Some(entry) = tree.get(path) {
        let bytes = format!("{}\n", entry.url(&origin)).into();
        let text = Text { media_type: "text/plain; charset=utf-8", bytes, keep: Keep::Revalidate };
        return super::answer(text, headers);
    }
    let none = || Problem::not_found(format!("there is no \"{}\" among the .strm files", echo(path)));
    if path.is_empty() || path.ends_with('/') {
        let inside = inside(&tree, path);
        if inside.is_empty() && !path.is_empty() {
            return Err(none());
        }
        let bytes = page(path, &inside).into();
        return Text { media_type: "text/html; charset=utf-8", bytes, keep: Keep::Revalidate }
            .answer(headers);
    }
    if inside(&tree, &format!("{path}/")).is_empty() {
        return Err(none());
    }
    // Links in a folder's page are relative to it.
    let there = path.split('/').map(encode).collect::<Vec<_>>().join("/");
    let mut response = StatusCode::MOVED_PERMANENTLY.into_response();
    response.headers_mut().insert(header::LOCATION, value(&format!("/api/v1/strm/{there}/"))?);
    Ok(response)
}

/// Every file by its path. Where two would have the same one, the later gets a number.
fn tree(entries: Vec<Entry>) -> BTreeMap<String, Entry> {
    let mut tree = BTreeMap::new();
    // Where to go on counting: a torrent may have a hundred thousand files of one name.
    let mut next: HashMap<String, usize> = HashMap::new();
    for entry in entries {
        let folders: String = entry.folders.iter().map(|name| safe(name) + "/").collect();
        let title = safe(&entry.title);
        let n = next.entry(format!("{folders}{title}")).or_insert(1);
        let free = std::iter::repeat_with(|| {
            let number = *n;
            *n += 1;
            match number {
                1 => format!("{folders}{title}.strm"),
                number => format!("{folders}{title} ({number}).strm"),
            }
        });
        // As many numbers as there are entries are enough.
        if let Some(path) = free.take(tree.len() + 1).find(|path| !tree.contains_key(path)) {
            tree.insert(path, entry);
        }
    }
    tree
}

/// A name for every file system, and for a path in an address.
fn safe(name: &str) -> String {
    let plain = |c: char| if c.is_control() || r#"/\:*?"<>|"#.contains(c) { '_' } else { c };
    let mut name: String = name.chars().map(plain).collect();
    name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    let name = name.trim_start_matches('.').trim_end_matches('.').trim();
    if name.is_empty() { "_".to_owned() } else { name.to_owned() }
}

/// Names of what is in a folder, folders with a `/` at their end.
fn inside(tree: &BTreeMap<String, Entry>, folder: &str) -> BTreeSet<String> {
    let below = tree.range(folder.to_owned()..).map_while(|(path, _)| path.strip_prefix(folder));
    below.map(|rest| rest.split_inclusive('/').next().unwrap_or(rest).to_owned()).collect()
}

/// As nginx and Apache list folders, which is what Kodi reads.
fn page(folder: &str, names: &BTreeSet<String>) -> String {
    let shown = html(folder);
    let mut page = format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>Index of /{shown}</title></head>\n\
         <body><h1>Index of /{shown}</h1><hr><pre>"
    );
    if !folder.is_empty() {
        page.push_str("<a href=\"../\">../</a>\n");
    }
    for name in names {
        let end = if name.ends_with('/') { "/" } else { "" };
        let address = encode(name.trim_end_matches('/'));
        let _ = writeln!(page, "<a href=\"{address}{end}\">{}</a>  -", html(name));
    }
    page.push_str("</pre><hr></body></html>\n");
    page
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(folders: &[&str], title: &str) -> Entry {
        Entry {
            folders: folders.iter().map(|&name| name.to_owned()).collect(),
            title: title.to_owned(),
            video_id: "v".to_owned(),
            file: "f.mkv".to_owned(),
        }
    }

    #[test]
    fn names_stay_in_their_folder_and_apart() {
        let tree = tree(vec![
            entry(&["Movies"], "../../etc/passwd"),
            entry(&["Movies"], "Film"),
            entry(&["Movies"], "Film"),
            entry(&["Series", "a/b", ".."], "\n"),
        ]);
        let paths: Vec<&str> = tree.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            ["Movies/Film (2).strm", "Movies/Film.strm", "Movies/_.._etc_passwd.strm", "Series/a_b/_/_.strm"]
        );
        assert_eq!(inside(&tree, "").into_iter().collect::<Vec<_>>(), ["Movies/", "Series/"]);
        assert_eq!(inside(&tree, "Series/").into_iter().collect::<Vec<_>>(), ["a_b/"]);
        assert!(inside(&tree, "Ser").iter().all(|name| name != "Series/"));
    }

    #[test]
    fn a_page_holds_names_and_no_html_of_theirs() {
        let page = page("a/", &BTreeSet::from(["<b>&\"c.strm".to_owned(), "d e/".to_owned()]));
        assert!(page.contains("<a href=\"%3Cb%3E%26%22c.strm\">&lt;b&gt;&amp;&quot;c.strm</a>  -"), "{page}");
        assert!(page.contains("<a href=\"d%20e/\">d e/</a>"), "{page}");
    }
}
