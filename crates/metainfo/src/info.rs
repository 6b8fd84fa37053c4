//! The info dictionary (BEP 3, 27, 47, 52): what the info-hash is of. Read once, from a `.torrent` or from peers' metadata.

use bencode::{Decoder, Dict, Value};
use bytes::Bytes;
use sha1::{Digest, Sha1};
use sha2::Sha256;

use crate::{
    FileIndex, InfoHash, InfoHashV2, MetainfoError, PIECES_MAX, PieceIndex, PieceLayout,
    files::{Attributes, File, Files},
    limits::{FILES_MAX, TEXT_BYTES_MAX, TORRENT_BYTES_MAX},
    names::{self, SafePath},
};

/// Bytes of one piece hash.
const HASH_LENGTH: usize = 20;

/// A checked info dictionary. Its bytes and hashes are shared, its files are not: keep it behind an `Arc`.
#[derive(Clone, Debug)]
pub struct Info {
    raw: Bytes,
    info_hash: InfoHash,
    info_hash_v2: Option<InfoHashV2>,
    layout: PieceLayout,
    /// 20 bytes for each piece.
    hashes: Bytes,
    name: Box<str>,
    files: Files,
    private: bool,
    source: Option<String>,
}

/// Entries of the dictionary, the first of each key.
#[derive(Default)]
struct Fields<'a> {
    name: Option<&'a [u8]>,
    piece_length: Option<Value<'a>>,
    pieces: Option<Value<'a>>,
    length: Option<Value<'a>>,
    files: Option<Value<'a>>,
    attr: Option<Value<'a>>,
    private: Option<Value<'a>>,
    source: Option<Value<'a>>,
    meta_version: Option<Value<'a>>,
    file_tree: Option<Value<'a>>,
}

impl<'a> Fields<'a> {
    fn of(dict: Dict<'a>) -> Self {
        let mut fields = Self::default();
        let mut utf8_name = None;
        for (key, value) in dict {
            let place = match key {
                b"name" => {
                    fields.name = fields.name.or(value.as_bytes());
                    continue;
                }
                b"name.utf-8" => {
                    utf8_name = utf8_name.or(utf8(value));
                    continue;
                }
                b"piece length" => &mut fields.piece_length,
                b"pieces" => &mut fields.pieces,
                b"length" => &mut fields.length,
                b"files" => &mut fields.files,
                b"attr" => &mut fields.attr,
                b"private" => &mut fields.private,
                b"source" => &mut fields.source,
                b"meta version" => &mut fields.meta_version,
                b"file tree" => &mut fields.file_tree,
                _ => continue,
            };
            place.get_or_insert(value);
        }
        fields.name = utf8_name.or(fields.name);
        fields
    }
}

fn utf8(value: Value<'_>) -> Option<&[u8]> {
    value.as_str().map(str::as_bytes).filter(|name| !name.is_empty())
}

impl Info {
    /// Reads an info dictionary that is all of `raw`.
    ///
    /// # Errors
    /// [`MetainfoError`] names what is missing, false or past a limit; [`MetainfoError::V2Only`] for a torrent without a v1 side.
    pub fn parse(raw: Bytes) -> Result<Self, MetainfoError> {
        let value = Decoder::new().bytes_max(TORRENT_BYTES_MAX).decode(&raw)?;
        let fields = Fields::of(value.as_dict().ok_or(MetainfoError::Kind { key: "info" })?);
        let version = fields.meta_version.and_then(|value| value.as_i64());
        let info_hash_v2 = (version == Some(2)).then(|| InfoHashV2(Sha256::digest(&raw).into()));
        let info_hash = InfoHash(Sha1::digest(&raw).into());
        let name = fields.name.map_or_else(|| info_hash.to_string(), |name| names::text(name).into_owned());
        let Some(pieces) = fields.pieces else {
            if version.is_some() || fields.file_tree.is_some() {
                let info_hash = InfoHashV2(Sha256::digest(&raw).into());
                return Err(MetainfoError::V2Only { info_hash, name: name.chars().take(256).collect() });
            }
            return Err(MetainfoError::Missing { key: "pieces" });
        };
        let hashes = pieces.as_bytes().ok_or(MetainfoError::Kind { key: "pieces" })?;
        let piece_length = match fields.piece_length {
            None => return Err(MetainfoError::Missing { key: "piece length" }),
            Some(value) => value.as_u64().ok_or(MetainfoError::Kind { key: "piece length" })?,
        };
        if hashes.len() % HASH_LENGTH != 0 || hashes.len() / HASH_LENGTH > PIECES_MAX as usize {
            return Err(MetainfoError::PieceHashes { length: hashes.len() });
        }
        let folder = root_name(fields.name, info_hash)?;
        let (files, total) = match fields.files {
            Some(list) => several(list, &folder)?,
            None => one(&fields, &folder)?,
        };
        let layout = PieceLayout::new(total, piece_length)?;
        if hashes.len() / HASH_LENGTH != layout.pieces() as usize {
            return Err(MetainfoError::PieceCount {
                stated: hashes.len() / HASH_LENGTH,
                wanted: layout.pieces(),
                total,
            });
        }
        let private = fields.private.is_some_and(|value| value.as_i64() != Some(0));
        let source = fields.source.and_then(|value| value.as_bytes()).map(short_text);
        let hashes = raw.slice_ref(hashes);
        Ok(Self { info_hash, info_hash_v2, layout, hashes, name: name.into(), files, private, source, raw })
    }

    /// The bytes of the dictionary, as received: what [`info_hash`](Self::info_hash) is of, and what peers ask for (BEP 9).
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// SHA-1 of [`raw`](Self::raw).
    #[must_use]
    pub fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    /// SHA-256 of [`raw`](Self::raw), where the torrent is a hybrid of v1 and v2 (BEP 52). It is used through its v1 side.
    #[must_use]
    pub fn info_hash_v2(&self) -> Option<InfoHashV2> {
        self.info_hash_v2
    }

    /// What the torrent calls itself: for people, not for paths. The info-hash where it has no name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Pieces and blocks.
    #[must_use]
    pub fn layout(&self) -> PieceLayout {
        self.layout
    }

    /// Files.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// SHA-1 of `piece`; of nothing's zeros past the end, which no data has.
    #[must_use]
    pub fn piece_hash(&self, piece: PieceIndex) -> [u8; 20] {
        let start = piece.as_usize() * HASH_LENGTH;
        let hash = self.hashes.get(start..start + HASH_LENGTH);
        hash.and_then(|hash| hash.try_into().ok()).unwrap_or_default()
    }

    /// The SHA-1 of every piece, 20 bytes each.
    #[must_use]
    pub fn piece_hashes(&self) -> &Bytes {
        &self.hashes
    }

    /// Whether only its trackers may tell of peers (BEP 27). Anything but an absent or zero `private` says so.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// `source`: which private tracker it was made for.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }
}

/// Text for people, cut to its limit.
pub(crate) fn short_text(bytes: &[u8]) -> String {
    names::text(&bytes[..bytes.len().min(TEXT_BYTES_MAX)]).into_owned()
}

/// The safe name of the torrent; the info-hash where it has none.
fn root_name(name: Option<&[u8]>, info_hash: InfoHash) -> Result<SafePath, MetainfoError> {
    match name.filter(|name| !name.is_empty() && *name != b".") {
        None => Ok(SafePath { path: info_hash.to_string(), altered: true }),
        Some(name) => {
            names::path([name]).map_err(|problem| MetainfoError::Name { name: shown([name]), problem })
        }
    }
}

/// A refused path as an error shows it.
fn shown<'a>(components: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut shown = String::new();
    for (n, component) in components.into_iter().take(8).enumerate() {
        if n > 0 {
            shown.push('/');
        }
        shown.extend(
            names::text(&component[..component.len().min(512)])
                .chars()
                .take(100)
                .flat_map(char::escape_debug),
        );
    }
    shown
}

/// A torrent of one file.
fn one(fields: &Fields<'_>, name: &SafePath) -> Result<(Files, u64), MetainfoError> {
    let length = match fields.length {
        None => return Err(MetainfoError::Missing { key: "length or files" }),
        Some(value) => length(value, FileIndex(0))?,
    };
    let file = File {
        path: name.path.as_str().into(),
        length,
        offset: 0,
        // Nothing would be left of it as padding or as a link.
        attributes: Attributes { pad: false, symlink: false, ..attributes(fields.attr) },
        renamed: name.altered,
    };
    Ok((Files { list: Box::new([file]), folder: None }, length))
}

/// A torrent of a folder of files.
fn several(list: Value<'_>, folder: &SafePath) -> Result<(Files, u64), MetainfoError> {
    let list = list.as_list().ok_or(MetainfoError::Kind { key: "files" })?;
    let mut files = Vec::new();
    let mut given = Vec::new();
    let mut offset = 0u64;
    for (number, value) in list.iter().enumerate() {
        let index = u32::try_from(number).ok().filter(|_| number < FILES_MAX).map(FileIndex);
        let index = index.ok_or(MetainfoError::TooManyFiles)?;
        let (file, path) = file(value, index, offset)?;
        offset = offset.checked_add(file.length).ok_or(MetainfoError::Overflow)?;
        files.push(file);
        given.push(path);
    }
    if files.is_empty() {
        return Err(MetainfoError::Missing { key: "files" });
    }
    keep_apart(&mut files, &given)?;
    Ok((Files { list: files.into(), folder: Some(folder.path.as_str().into()) }, offset))
}

/// One entry of `files`, and the list that was taken as its path.
fn file<'a>(value: Value<'a>, index: FileIndex, offset: u64) -> Result<(File, Value<'a>), MetainfoError> {
    let dict = value.as_dict().ok_or(MetainfoError::Kind { key: "files" })?;
    let [mut size, mut path, mut path_utf8, mut attr] = [None; 4];
    for (key, value) in dict {
        match key {
            b"length" => _ = size.get_or_insert(value),
            b"path" => _ = path.get_or_insert(value),
            b"path.utf-8" => _ = path_utf8.get_or_insert(value),
            b"attr" => _ = attr.get_or_insert(value),
            _ => {}
        }
    }
    let attributes = attributes(attr);
    let components =
        |path: Value<'a>| path.as_list()?.iter().map(|part| part.as_bytes()).collect::<Option<Vec<_>>>();
    let better = path_utf8.filter(|path| {
        components(*path).is_some_and(|parts| {
            !parts.is_empty() && parts.iter().all(|part| std::str::from_utf8(part).is_ok())
        })
    });
    let path = better.or(path).ok_or(MetainfoError::MissingInFile { file: index, key: "path" })?;
    let parts = components(path).ok_or(MetainfoError::Kind { key: "path" })?;
    let safe = match names::path(parts.iter().copied()) {
        Ok(safe) => safe,
        // Padding is never stored, so that any name does.
        Err(_) if attributes.pad => SafePath { path: format!(".pad/{index}"), altered: true },
        Err(problem) => return Err(MetainfoError::Name { name: shown(parts), problem }),
    };
    // A link takes no bytes of the torrent, whatever its length says (BEP 47).
    let length = match (attributes.symlink, size) {
        (true, _) => 0,
        (false, None) => return Err(MetainfoError::MissingInFile { file: index, key: "length" }),
        (false, Some(value)) => length(value, index)?,
    };
    Ok((File { path: safe.path.into(), length, offset, attributes, renamed: safe.altered }, path))
}

fn length(value: Value<'_>, file: FileIndex) -> Result<u64, MetainfoError> {
    value.as_u64().ok_or(MetainfoError::Length { file, length: value.as_i64() })
}

fn attributes(attr: Option<Value<'_>>) -> Attributes {
    let letters = attr.and_then(|value| value.as_bytes()).unwrap_or_default();
    let has = |letter| letters.contains(&letter);
    Attributes { pad: has(b'p'), executable: has(b'x'), hidden: has(b'h'), symlink: has(b'l') }
}

/// Sees to it that no file has the path of another, or of another's folder. Where one of the two was renamed, it is renamed
/// further; where the torrent itself says so, it is refused. Padding and links are not stored, so theirs do not count.
fn keep_apart(files: &mut [File], given: &[Value<'_>]) -> Result<(), MetainfoError> {
    for file in collisions(files).into_iter().flat_map(|(a, b)| [a, b]) {
        if files[file].renamed && !files[file].path.contains('~') {
            let path = files[file].path.to_string();
            let (folder, name) =
                path.rsplit_once('/').map_or(("", path.as_str()), |(folder, name)| (folder, name));
            let marked = names::marked(name, given[file].raw());
            files[file].path = if folder.is_empty() { marked } else { format!("{folder}/{marked}") }.into();
        }
    }
    match collisions(files).first() {
        None => Ok(()),
        Some((a, _)) => Err(MetainfoError::Duplicate { path: files[*a].path.to_string() }),
    }
}

/// Pairs of stored files of which the one's path is the other's, or a folder of it.
fn collisions(files: &[File]) -> Vec<(usize, usize)> {
    let mut order: Vec<usize> = (0..files.len()).filter(|n| files[*n].is_stored()).collect();
    // With the separator before every other byte, what is in a folder directly follows what is named like the folder.
    let key = |n: usize| files[n].path.bytes().map(|byte| if byte == b'/' { 0 } else { byte });
    order.sort_by(|a, b| key(*a).cmp(key(*b)).then(a.cmp(b)));
    let clash = |a: usize, b: usize| {
        files[b]
            .path
            .strip_prefix(&*files[a].path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    order.windows(2).filter(|pair| clash(pair[0], pair[1])).map(|pair| (pair[0], pair[1])).collect()
}
