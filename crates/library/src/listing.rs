//! A torrent's list of files, read as a library's folder is: which are films, which are episodes, which subtitles belong
//! to which, and which one is meant when somebody says "play this torrent".
//!
//! Names alone decide; nothing is opened. Every step is bounded and takes time in proportion to the list: strangers make
//! torrents of a hundred thousand files.

use std::{
    cmp::Reverse,
    collections::HashMap,
    path::{Component, Path},
};

use crate::{
    fold::sort_key,
    kind::{self, FileKind},
    limits::{LISTED_FILES_MAX, LISTED_PATH_BYTES_MAX, TRANSPORT_STREAM_BYTES_MIN},
    name::{EpisodeNumber, numbered},
    named::{Named, stem},
    sidecars::{SidecarFormat, Sidecars},
};

/// What a torrent's files are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// By index.
    files: Vec<ListedFile>,
    default: Option<u32>,
}

/// A file of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Its number in the torrent.
    pub index: u32,
    /// What it is for.
    pub kind: FileKind,
    /// Whether there is something to play.
    pub playable: bool,
    /// What to call it: the film's title, or the series with index and episode title. Empty where nothing can be played.
    pub title: String,
    /// Year of release, where a name says it.
    pub year: Option<u16>,
    /// Season and episode, where a name says them.
    pub episode: Option<EpisodeNumber>,
    /// The subtitle files that belong to it.
    pub subtitles: Vec<ListedSubtitle>,
}

/// A subtitle file of a torrent that belongs to one of its films.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSubtitle {
    /// Its number in the torrent.
    pub index: u32,
    /// Its own name.
    pub name: String,
    /// By its extension.
    pub format: SidecarFormat,
    /// Bytes.
    pub size: u64,
    /// The language its name states.
    pub language: Option<String>,
    /// Its name says `forced`.
    pub forced: bool,
    /// Its name says `sdh`, `cc` or `hi`.
    pub hearing_impaired: bool,
}

/// A file as it was given.
#[derive(Clone, Copy)]
struct Given<'a> {
    index: u32,
    path: &'a Path,
    size: u64,
}

impl Listing {
    /// Reads the list of a torrent called `name`. A file is its number, its path with `/` (the torrent's own folder
    /// first, where it has one) and its size in bytes. Files past [`LISTED_FILES_MAX`] are left out.
    #[must_use]
    pub fn of<'a>(name: &str, files: impl Iterator<Item = (u32, &'a str, u64)>) -> Self {
        let mut given: Vec<Given<'a>> = files
            .take(LISTED_FILES_MAX)
            .map(|(index, path, size)| Given { index, path: Path::new(path), size })
            .collect();
        given.sort_by_key(|file| file.index);
        given.dedup_by_key(|file| file.index);
        let mut folders = HashMap::new();
        let kinds: Vec<FileKind> = given.iter().map(|file| kind_of(*file, &mut folders)).collect();
        let of_kind = |kind| given.iter().zip(&kinds).filter(move |(_, k)| **k == kind).map(|(file, _)| file);
        let subtitles: Vec<Given<'_>> = of_kind(FileKind::Subtitle).copied().collect();
        let beside = Sidecars::new(
            of_kind(FileKind::Video).map(|file| (0, file.path)),
            subtitles.iter().map(|file| (0, file.path)),
        );
        let files: Vec<ListedFile> = given
            .iter()
            .zip(&kinds)
            .map(|(file, kind)| {
                let mut listed = ListedFile::of(*file, *kind, name);
                if *kind == FileKind::Video {
                    let own = beside.of(0, file.path).into_iter();
                    listed.subtitles = own
                        .filter_map(|beside| {
                            let file = subtitles.get(beside.subtitle)?;
                            Some(ListedSubtitle {
                                index: file.index,
                                name: file.path.file_name()?.to_string_lossy().into_owned(),
                                format: SidecarFormat::from_extension(&kind::extension(file.path))?,
                                size: file.size,
                                language: beside.language,
                                forced: beside.forced,
                                hearing_impaired: beside.hearing_impaired,
                            })
                        })
                        .collect();
                }
                listed
            })
            .collect();
        let default = default(&given, &files);
        Self { files, default }
    }

    /// The files, by index.
    #[must_use]
    pub fn files(&self) -> &[ListedFile] {
        &self.files
    }

    /// The file of this number.
    #[must_use]
    pub fn file(&self, index: u32) -> Option<&ListedFile> {
        let at = self.files.binary_search_by_key(&index, |file| file.index).ok()?;
        self.files.get(at)
    }

    /// What is meant by the torrent as a whole: the first episode of a series, the first of numbered lessons, or the
    /// biggest film that is neither sample nor extra; of music, the first piece. `None` if nothing can be played.
    #[must_use]
    pub fn default_file(&self) -> Option<u32> {
        self.default
    }
}

impl ListedFile {
    fn of(file: Given<'_>, kind: FileKind, torrent: &str) -> Self {
        let playable = kind.is_playable() && file.size > 0;
        let mut listed = Self {
            index: file.index,
            kind,
            playable,
            title: String::new(),
            year: None,
            episode: None,
            subtitles: Vec::new(),
        };
        if playable {
            let named = Named::of(file.path, Some(torrent));
            listed.title = named.full_title();
            (listed.year, listed.episode) = (named.year, named.episode);
        }
        listed
    }
}

/// What a folder makes of its films; remembered, since most files share theirs.
type Folders<'a> = HashMap<&'a Path, FolderSays>;

#[derive(Clone, Copy)]
enum FolderSays {
    Nothing,
    Hidden,
    Kind(FileKind),
}

fn kind_of<'a>(file: Given<'a>, folders: &mut Folders<'a>) -> FileKind {
    if file.path.as_os_str().len() > LISTED_PATH_BYTES_MAX {
        return FileKind::Other;
    }
    let extension = kind::extension(file.path);
    let kind = FileKind::of_extension(&extension);
    let name = file.path.file_name().unwrap_or_default().to_string_lossy();
    let parent = file.path.parent().unwrap_or(Path::new(""));
    let folder = *folders.entry(parent).or_insert_with(|| of_folder(parent));
    let source = matches!(extension.as_str(), "ts" | "mts") && file.size < TRANSPORT_STREAM_BYTES_MIN;
    if name.starts_with('.') || source || matches!(folder, FolderSays::Hidden) {
        return FileKind::Other;
    }
    if kind != FileKind::Video {
        return kind;
    }
    let stem = stem(file.path);
    match folder {
        _ if kind::is_sample(&stem, file.size) => FileKind::Sample,
        FolderSays::Kind(FileKind::Sample) if file.size >= crate::limits::SAMPLE_BYTES_MAX => FileKind::Video,
        FolderSays::Kind(kind) => kind,
        _ if kind::is_extra(&stem) => FileKind::Extra,
        _ => FileKind::Video,
    }
}

/// Asks every folder but the outermost, which has the torrent's name: `Shorts/…` may be films.
fn of_folder(folder: &Path) -> FolderSays {
    let names = folder.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    let mut says = FolderSays::Nothing;
    for name in names.skip(1) {
        if name.starts_with('.') || name == "__MACOSX" {
            return FolderSays::Hidden;
        }
        if let Some(kind) = kind::of_folder(name) {
            says = FolderSays::Kind(kind);
        }
    }
    says
}

/// Least number of films that are lessons or the like, told apart by numbers.
const NUMBERED_MIN: usize = 3;

fn default(given: &[Given<'_>], files: &[ListedFile]) -> Option<u32> {
    let of = |kinds: &[FileKind]| -> Vec<(&Given<'_>, &ListedFile)> {
        given.iter().zip(files).filter(|(_, file)| file.playable && kinds.contains(&file.kind)).collect()
    };
    let videos = of(&[FileKind::Video]);
    let episodes = videos.iter().filter(|(_, file)| file.episode.is_some()).count();
    if episodes >= 2 && episodes * 2 >= videos.len() {
        return first_episode(&videos);
    }
    let is_numbered = |path: &Path| numbered(&stem(path)).is_some();
    let lessons = videos.iter().filter(|(given, _)| is_numbered(given.path)).count();
    if lessons >= NUMBERED_MIN && lessons * 4 >= videos.len() * 3 {
        return first_in_order(&videos);
    }
    biggest(&videos)
        .or_else(|| first_in_order(&of(&[FileKind::Audio])))
        .or_else(|| biggest(&of(&[FileKind::Extra])))
        .or_else(|| biggest(&of(&[FileKind::Sample])))
}

/// The lowest season and episode, specials last; of several copies the biggest.
fn first_episode(videos: &[(&Given<'_>, &ListedFile)]) -> Option<u32> {
    let numbered = videos.iter().filter_map(|(given, file)| Some((file.episode?, given)));
    let first = numbered
        .min_by_key(|(number, given)| (number.season == 0, *number, Reverse(given.size), given.index));
    first.map(|(_, given)| given.index)
}

/// The first as people count: `2` before `10`.
fn first_in_order(files: &[(&Given<'_>, &ListedFile)]) -> Option<u32> {
    let first = files.iter().min_by_key(|(given, _)| (sort_key(&given.path.to_string_lossy()), given.index));
    first.map(|(given, _)| given.index)
}

/// The biggest film; one that came in parts counts as a whole, and its first part is given.
fn biggest(videos: &[(&Given<'_>, &ListedFile)]) -> Option<u32> {
    let mut wholes: HashMap<(&Path, String), Whole> = HashMap::new();
    for (given, _) in videos {
        let (home, name, part) = part_of(given.path);
        let this = (part, Reverse(given.size), given.index);
        let whole = wholes.entry((home, name)).or_insert(Whole { size: 0, first: this });
        whole.size = whole.size.saturating_add(given.size);
        whole.first = whole.first.min(this);
    }
    let biggest = wholes.into_values().max_by_key(|whole| (whole.size, Reverse(whole.first.2)));
    biggest.map(|whole| whole.first.2)
}

/// A film in one part or several.
struct Whole {
    size: u64,
    /// Which part, how big, which file.
    first: (u32, Reverse<u64>, u32),
}

/// Which whole a file is part of (a folder and a name), and which part: `film.cd2.avi`, `CD2/film.avi`, `VTS_01_2.VOB`.
fn part_of(path: &Path) -> (&Path, String, u32) {
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let stem = stem(path).to_lowercase();
    if let Some((set, part)) = kind::title_set(&stem) {
        return (folder, format!("vts_{set}"), part);
    }
    let mut words = stem.split(|c: char| !c.is_alphanumeric());
    if let Some((word, part)) = words.find_map(|word| Some((word, kind::disc_number(word)?))) {
        return (folder, stem.replacen(word, "", 1), part);
    }
    let disc = folder.file_name().and_then(|name| kind::disc_number(&name.to_string_lossy()));
    match (disc, folder.parent()) {
        (Some(part), Some(home)) => (home, String::new(), part),
        _ => (folder, name, 0),
    }
}
