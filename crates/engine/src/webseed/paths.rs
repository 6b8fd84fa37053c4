//! Where a web seed has the files of a torrent (BEP 19): the address from the torrent, and names that nobody has made safe,
//! percent-encoded, for the server knows them as they were.

use metainfo::{FileIndex, Info};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use tracker_proto::{Scheme, TrackerUrl};

/// All but what RFC 3986 calls unreserved.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where a web seed has its files.
#[derive(Debug)]
pub(super) struct Places {
    /// As the torrent has it.
    base: String,
    /// The torrent's name, encoded.
    name: String,
}

impl Places {
    /// `None` for an address that is not one of HTTP.
    pub(super) fn new(url: &str, info: &Info) -> Option<Self> {
        let base: TrackerUrl = url.parse().ok()?;
        if base.scheme() == Scheme::Udp {
            return None;
        }
        let name = dict(info.raw())
            .and_then(|info| text(info, "name.utf-8", "name").and_then(|name| name.as_bytes()));
        let name = percent_encode(name.unwrap_or(info.name().as_bytes()), ENCODED).to_string();
        Some(Self { base: url.trim().to_owned(), name })
    }

    /// Whose server it is, for logs: the rest may be a secret.
    pub(super) fn host(&self) -> String {
        self.base.parse().map_or_else(|_| String::new(), |url: TrackerUrl| url.host().to_owned())
    }

    /// The address of a file.
    pub(super) fn file(&self, info: &Info, index: FileIndex) -> Option<TrackerUrl> {
        let Self { base, name } = self;
        if info.files().folder().is_none() {
            return if base.ends_with('/') {
                format!("{base}{name}").parse().ok()
            } else {
                base.parse().ok()
            };
        }
        let file = info.files().get(index)?;
        let path = if file.is_renamed() {
            original(info, index)?
        } else {
            join(file.path().split('/').map(str::as_bytes))
        };
        let slash = if base.ends_with('/') { "" } else { "/" };
        format!("{base}{slash}{name}/{path}").parse().ok()
    }
}

fn join<'a>(components: impl Iterator<Item = &'a [u8]>) -> String {
    components.map(|component| percent_encode(component, ENCODED).to_string()).collect::<Vec<_>>().join("/")
}

/// The path that the torrent gives a file.
fn original(info: &Info, index: FileIndex) -> Option<String> {
    let files = dict(info.raw())?.get_list("files")?;
    let file = files.iter().nth(index.as_usize())?.as_dict()?;
    Some(join(
        text(file, "path.utf-8", "path")?.as_list()?.iter().filter_map(|component| component.as_bytes()),
    ))
}

fn dict(raw: &[u8]) -> Option<bencode::Dict<'_>> {
    bencode::decode(raw).ok()?.as_dict()
}

fn text<'a>(dict: bencode::Dict<'a>, first: &str, second: &str) -> Option<bencode::Value<'a>> {
    dict.get(first).or_else(|| dict.get(second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(files: Option<&[&[&[u8]]]>) -> Info {
        let raw = bencode::encode_dict(|info| {
            info.bytes("name", "a b#");
            info.int("piece length", 16_384);
            info.bytes("pieces", [0; 20]);
            match files {
                None => info.int("length", 5),
                Some(files) => info.list("files", |list| {
                    for path in files {
                        list.dict(|file| {
                            file.int("length", 5);
                            file.list("path", |list| path.iter().for_each(|name| list.bytes(name)));
                        });
                    }
                }),
            }
        });
        Info::parse(raw.into()).unwrap()
    }

    fn at(url: &str, info: &Info, file: u32) -> String {
        Places::new(url, info).unwrap().file(info, FileIndex(file)).unwrap().reveal()
    }

    #[test]
    fn one_file_is_at_the_address_or_in_the_folder_that_it_names() {
        let info = info(None);
        assert_eq!(at("http://s.test/x/film.mkv", &info, 0), "http://s.test/x/film.mkv");
        assert_eq!(at("http://s.test/x/", &info, 0), "http://s.test/x/a%20b%23");
    }

    #[test]
    fn files_lie_below_the_torrents_name_under_the_names_that_the_torrent_gives_them() {
        let info =
            info(Some(&[&[b"d?", b"e+.txt"], &[b"caf\xe9"], &["ü".as_bytes()], &[b"con"], &[b"a\\b"]]));
        for base in ["http://s.test/x", "http://s.test/x/"] {
            assert_eq!(at(base, &info, 0), "http://s.test/x/a%20b%23/d%3F/e%2B.txt");
        }
        assert_eq!(at("http://s.test/x", &info, 1), "http://s.test/x/a%20b%23/caf%E9");
        assert_eq!(at("http://s.test/x", &info, 2), "http://s.test/x/a%20b%23/%C3%BC");
        assert_eq!(at("http://s.test/x", &info, 3), "http://s.test/x/a%20b%23/con");
        assert_eq!(at("http://s.test/x", &info, 4), "http://s.test/x/a%20b%23/a%5Cb");
    }

    #[test]
    fn other_schemes_are_no_places() {
        for url in ["ftp://s.test/x", "udp://s.test:1/x", "s.test/x", ""] {
            assert!(Places::new(url, &info(None)).is_none(), "{url}");
        }
    }
}
