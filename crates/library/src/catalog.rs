//! A snapshot of the library: shows with their videos, found by id.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use sha1::{Digest, Sha1};

use crate::{
    fold::{fold, sort_key},
    identity::{Fingerprint, VideoId},
    limits::SIDECARS_PER_VIDEO_MAX,
    name::{EpisodeNumber, ReleaseName, is_season_folder},
    scan::{Found, FoundSubtitle, Problem, Scan},
};

/// Formats of subtitle files beside a film.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SidecarFormat {
    /// SubRip.
    Srt,
    /// SubStation Alpha.
    Ass,
    /// WebVTT.
    WebVtt,
}

impl SidecarFormat {
    pub(crate) fn from_extension(lower: &str) -> Option<Self> {
        match lower {
            "srt" => Some(Self::Srt),
            "ass" | "ssa" => Some(Self::Ass),
            "vtt" => Some(Self::WebVtt),
            _ => None,
        }
    }

    /// Short lower-case name, as `container` names the same format inside a film.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Srt => "srt",
            Self::Ass => "ass",
            Self::WebVtt => "webvtt",
        }
    }
}

/// A subtitle file that lies beside a film.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecar {
    root: PathBuf,
    /// Path below the library folder.
    pub relative: PathBuf,
    /// By its extension.
    pub format: SidecarFormat,
    /// Length in bytes when it was seen.
    pub size: u64,
    /// The language its name states, as written there (`en`, `ger`, `pt-BR`).
    pub language: Option<String>,
    /// Its name says `forced`.
    pub forced: bool,
    /// Its name says `sdh`, `cc` or `hi`.
    pub hearing_impaired: bool,
}

/// A playable file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Video {
    /// Its name in addresses.
    pub id: VideoId,
    root: PathBuf,
    /// Path below the library folder.
    pub relative: PathBuf,
    /// Length in bytes when it was seen.
    pub size: u64,
    /// Last change when it was seen.
    pub modified: SystemTime,
    /// Of its content.
    pub fingerprint: Fingerprint,
    /// The show it belongs to.
    pub show_id: String,
    /// What to call it: the film's title, or the series with index and episode title.
    pub title: String,
    /// Subtitle files that belong to it.
    pub sidecars: Vec<Sidecar>,
}

/// A film.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movie {
    /// Its name in addresses.
    pub id: String,
    /// Title.
    pub title: String,
    /// Year of release.
    pub year: Option<u16>,
    /// The file.
    pub video: VideoId,
    /// When the file was last changed: as good as when it came.
    pub added: SystemTime,
}

/// One episode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    /// Its name in addresses.
    pub id: String,
    /// Season and episode.
    pub number: EpisodeNumber,
    /// Title; may be empty.
    pub title: String,
    /// The file.
    pub video: VideoId,
}

/// A series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Its name in addresses.
    pub id: String,
    /// Title.
    pub title: String,
    /// Year of the first season, where a name says it.
    pub year: Option<u16>,
    /// By season and episode.
    pub episodes: Vec<Episode>,
    /// Of the newest episode's file.
    pub added: SystemTime,
}

/// A film or a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Show {
    /// A film.
    Movie(Movie),
    /// A series.
    Series(Series),
}

impl Show {
    /// Its name in addresses.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Movie(movie) => &movie.id,
            Self::Series(series) => &series.id,
        }
    }

    /// Title.
    #[must_use]
    pub fn title(&self) -> &str {
        match self {
            Self::Movie(movie) => &movie.title,
            Self::Series(series) => &series.title,
        }
    }

    /// Year of release.
    #[must_use]
    pub fn year(&self) -> Option<u16> {
        match self {
            Self::Movie(movie) => movie.year,
            Self::Series(series) => series.year,
        }
    }

    /// When it, or its newest episode, came.
    #[must_use]
    pub fn added(&self) -> SystemTime {
        match self {
            Self::Movie(movie) => movie.added,
            Self::Series(series) => series.added,
        }
    }
}

/// Everything known at one moment. Never changes; the next scan makes another.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    shows: Vec<Show>,
    /// What [`crate::Query`] looks at, beside each show.
    pub(crate) folded: Vec<String>,
    shows_by_id: HashMap<String, usize>,
    videos: HashMap<VideoId, Arc<Video>>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// Problems beyond those kept.
    pub problems_left_off: usize,
    /// Whether a scan has been finished at all.
    pub scanned: bool,
}

/// Why a file of the catalog cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is gone, or cannot be read.
    #[error("{path}: {error}")]
    Io {
        /// Path below the library folder.
        path: String,
        /// The system's words.
        error: io::Error,
    },
    /// A link now leads somewhere else.
    #[error("{path}: leads out of its library folder")]
    LedOut {
        /// Path below the library folder.
        path: String,
    },
}

impl Video {
    /// The file's path on this disk, checked again to lie inside a library folder.
    ///
    /// # Errors
    /// [`OpenError`] when it is gone or leads out.
    pub fn path(&self) -> Result<PathBuf, OpenError> {
        inside(&self.root, &self.relative)
    }

    /// Path below the library folder, for display.
    #[must_use]
    pub fn shown_path(&self) -> String {
        self.relative.to_string_lossy().into_owned()
    }

    /// The file's own name, for display.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.relative.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

impl Sidecar {
    /// The file's path on this disk, checked again to lie inside its library folder.
    ///
    /// # Errors
    /// [`OpenError`] when it is gone or leads out.
    pub fn path(&self) -> Result<PathBuf, OpenError> {
        inside(&self.root, &self.relative)
    }
}

fn inside(root: &Path, relative: &Path) -> Result<PathBuf, OpenError> {
    let shown = || relative.to_string_lossy().into_owned();
    let io = |error| OpenError::Io { path: shown(), error };
    let real_root = fs::canonicalize(root).map_err(io)?;
    let path = fs::canonicalize(root.join(relative)).map_err(io)?;
    if path.starts_with(&real_root) { Ok(path) } else { Err(OpenError::LedOut { path: shown() }) }
}

impl Catalog {
    /// Shows in the order of their titles.
    #[must_use]
    pub fn shows(&self) -> &[Show] {
        &self.shows
    }

    /// The show of this id.
    #[must_use]
    pub fn show(&self, id: &str) -> Option<&Show> {
        self.shows.get(*self.shows_by_id.get(id)?)
    }

    /// The video of this id.
    #[must_use]
    pub fn video(&self, id: &VideoId) -> Option<&Arc<Video>> {
        self.videos.get(id)
    }

    /// How many videos there are.
    #[must_use]
    pub fn video_count(&self) -> usize {
        self.videos.len()
    }

    pub(crate) fn build(roots: &[PathBuf], scan: Scan) -> Self {
        let beside = Sidecars::new(&scan);
        let mut copies: HashMap<Fingerprint, usize> = HashMap::new();
        let mut shows = Vec::new();
        let mut series: BTreeMap<String, Series> = BTreeMap::new();
        let mut videos = HashMap::new();
        for found in &scan.files {
            let Some(root) = roots.get(found.root) else { continue };
            let copy = copies.entry(found.fingerprint).or_default();
            *copy += 1;
            let id = VideoId::new(&found.fingerprint, *copy);
            let name = Named::of(found);
            let (show_id, title) = match name.episode {
                Some(number) => {
                    let key = fold(&name.title);
                    let show_id = format!("s-{}", short_hash(&key));
                    let whole = series.entry(key).or_insert_with(|| Series {
                        id: show_id.clone(),
                        title: name.title.clone(),
                        year: name.year,
                        episodes: Vec::new(),
                        added: found.modified,
                    });
                    whole.added = whole.added.max(found.modified);
                    whole.year = whole.year.or(name.year);
                    whole.episodes.push(Episode {
                        id: format!("e-{id}"),
                        number,
                        title: name.episode_title.clone(),
                        video: id.clone(),
                    });
                    let title = format!("{} {number} {}", name.title, name.episode_title);
                    (show_id, title.trim_end().to_owned())
                }
                None => {
                    let show_id = format!("m-{id}");
                    shows.push(Show::Movie(Movie {
                        id: show_id.clone(),
                        title: name.title.clone(),
                        year: name.year,
                        video: id.clone(),
                        added: found.modified,
                    }));
                    (show_id, name.title)
                }
            };
            let video = Video {
                id: id.clone(),
                root: root.clone(),
                relative: found.relative.clone(),
                size: found.size,
                modified: found.modified,
                fingerprint: found.fingerprint,
                show_id,
                title,
                sidecars: beside.of(found, root),
            };
            videos.insert(id, Arc::new(video));
        }
        shows.extend(series.into_values().map(|mut series| {
            series.episodes.sort_by(|a, b| (a.number, &a.video).cmp(&(b.number, &b.video)));
            Show::Series(series)
        }));
        shows.sort_by_cached_key(|show| (sort_key(show.title()), show.year(), show.id().to_owned()));
        Self {
            folded: shows.iter().map(searched_text).collect(),
            shows_by_id: shows.iter().enumerate().map(|(i, s)| (s.id().to_owned(), i)).collect(),
            shows,
            videos,
            problems: scan.problems,
            problems_left_off: scan.problems_left_off,
            scanned: true,
        }
    }
}

fn searched_text(show: &Show) -> String {
    match show.year() {
        Some(year) => format!("{} {year}", fold(show.title())),
        None => fold(show.title()),
    }
}

fn short_hash(text: &str) -> String {
    Sha1::digest(text.as_bytes()).iter().take(8).map(|b| format!("{b:02x}")).collect()
}

/// The reading of a file's name, completed from its folders' names.
struct Named {
    title: String,
    year: Option<u16>,
    episode: Option<EpisodeNumber>,
    episode_title: String,
}

impl Named {
    fn of(found: &Found) -> Self {
        let stem = stem(&found.relative);
        let own = ReleaseName::parse(&stem);
        let folders = || {
            found
                .relative
                .ancestors()
                .skip(1)
                .filter_map(|p| p.file_name())
                .map(|n| n.to_string_lossy().into_owned())
        };
        let (mut title, mut year) = (own.title, own.year);
        if title.is_empty() {
            let folder = folders().find(|name| !is_season_folder(name));
            let read = ReleaseName::parse(&folder.unwrap_or_default());
            (title, year) = (read.title, year.or(read.year));
        }
        if title.is_empty() {
            title = stem;
        }
        Self { title, year, episode: own.episode, episode_title: own.episode_title }
    }
}

/// Subtitle files by the folder they belong to.
struct Sidecars<'a> {
    by_folder: HashMap<(usize, &'a Path), Vec<&'a FoundSubtitle>>,
    /// Names without extension of the films in each folder.
    films_in: HashMap<(usize, &'a Path), Vec<String>>,
}

impl<'a> Sidecars<'a> {
    fn new(scan: &'a Scan) -> Self {
        let mut by_folder: HashMap<_, Vec<_>> = HashMap::new();
        for subtitle in &scan.subtitles {
            let mut folder = subtitle.relative.parent().unwrap_or(Path::new(""));
            let name = folder.file_name().map(|n| n.to_string_lossy().to_lowercase());
            if matches!(name.as_deref(), Some("subs" | "subtitles")) {
                folder = folder.parent().unwrap_or(Path::new(""));
            }
            by_folder.entry((subtitle.root, folder)).or_default().push(subtitle);
        }
        let mut films_in: HashMap<_, Vec<String>> = HashMap::new();
        for file in &scan.files {
            let folder = file.relative.parent().unwrap_or(Path::new(""));
            films_in.entry((file.root, folder)).or_default().push(stem(&file.relative));
        }
        Self { by_folder, films_in }
    }

    fn of(&self, film: &Found, root: &Path) -> Vec<Sidecar> {
        let folder = (film.root, film.relative.parent().unwrap_or(Path::new("")));
        let films = self.films_in.get(&folder).map(Vec::as_slice).unwrap_or_default();
        // A film alone in a folder of its own owns every subtitle there, whatever its name.
        let alone = films.len() == 1 && folder.1 != Path::new("");
        let own = stem(&film.relative);
        let all = self.by_folder.get(&folder).map(Vec::as_slice).unwrap_or_default();
        all.iter()
            .filter_map(|subtitle| {
                let name = stem(&subtitle.relative);
                let rest = match after(&name, &own) {
                    // `Film 2.en.srt` is not `Film`'s when there is a `Film 2`.
                    Some(_) if films.iter().any(|f| f.len() > own.len() && after(&name, f).is_some()) => {
                        return None;
                    }
                    Some(rest) => rest,
                    None if alone => name.as_str(),
                    None => return None,
                };
                Some(describe(subtitle, root, rest))
            })
            .take(SIDECARS_PER_VIDEO_MAX)
            .collect()
    }
}

/// What follows a film's name in a subtitle's name.
fn after<'n>(subtitle: &'n str, film: &str) -> Option<&'n str> {
    subtitle.strip_prefix(film).filter(|rest| !rest.starts_with(char::is_alphanumeric))
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Reads `.en.forced` of `film.en.forced.srt`.
fn describe(subtitle: &FoundSubtitle, root: &Path, rest: &str) -> Sidecar {
    let mut sidecar = Sidecar {
        root: root.to_owned(),
        relative: subtitle.relative.clone(),
        format: subtitle.format,
        size: subtitle.size,
        language: None,
        forced: false,
        hearing_impaired: false,
    };
    for word in rest.split(['.', '_', ' ', '(', ')', '[', ']']).filter(|w| !w.is_empty()) {
        match word.to_ascii_lowercase().as_str() {
            "forced" => sidecar.forced = true,
            "sdh" | "cc" | "hi" => sidecar.hearing_impaired = true,
            lower if sidecar.language.is_none() && is_language(lower) => {
                sidecar.language = Some(word.to_owned())
            }
            _ => {}
        }
    }
    sidecar
}

/// Two or three letters, perhaps with a region: `en`, `ger`, `pt-br`.
fn is_language(lower: &str) -> bool {
    let (main, region) = lower.split_once('-').unwrap_or((lower, "xx"));
    let letters = |s: &str| s.bytes().all(|b| b.is_ascii_alphabetic());
    (2..=3).contains(&main.len()) && letters(main) && (2..=4).contains(&region.len()) && letters(region)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Scanner;

    fn catalog(dir: &Path, names: &[&str]) -> Catalog {
        for name in names {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            // A name in braces is the content: copies are made by giving two names the same.
            fs::write(&path, name.split(['{', '}']).nth(1).unwrap_or(name)).unwrap();
        }
        let roots = [dir.to_owned()];
        Catalog::build(&roots, Scanner::default().scan(&roots))
    }

    fn titles(catalog: &Catalog) -> Vec<&str> {
        catalog.shows().iter().map(Show::title).collect()
    }

    #[test]
    fn episodes_gather_under_their_series_whatever_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = catalog(
            dir.path(),
            &[
                "Alien (1979).mkv",
                "Dark/Season 1/Dark.S01E02.Lies.mkv",
                "Dark/Season 1/dark.s01e01.Secrets.mkv",
                "Other Show/Season 2/S02E01.mkv",
            ],
        );
        assert_eq!(titles(&catalog), ["Alien", "Dark", "Other Show"]);
        let Show::Series(dark) = &catalog.shows()[1] else { panic!("a series") };
        let episodes: Vec<_> =
            dark.episodes.iter().map(|e| (e.number.to_string(), e.title.as_str())).collect();
        assert_eq!(episodes, [("S01E01".to_owned(), "Secrets"), ("S01E02".to_owned(), "Lies")]);
    }

    #[test]
    fn ids_survive_renames_and_copies_are_told_apart_by_path() {
        let dir = tempfile::tempdir().unwrap();
        let before = catalog(dir.path(), &["a/film{x}.mkv", "b/copy{x}.mkv"]);
        let mut ids: Vec<_> = before.videos.keys().map(ToString::to_string).collect();
        ids.sort();
        assert_eq!(ids[1], format!("{}-2", ids[0]));
        fs::rename(dir.path().join("a"), dir.path().join("aa")).unwrap();
        let after = catalog(dir.path(), &[]);
        let kept = after.video(&VideoId::parse(&ids[0]).unwrap()).unwrap();
        assert_eq!(kept.shown_path(), "aa/film{x}.mkv");
    }

    #[test]
    fn subtitles_go_to_the_film_they_are_named_after() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = catalog(
            dir.path(),
            &[
                "Film.mkv",
                "Film 2.mkv",
                "Film.en.srt",
                "Film.pt-BR.forced.ass",
                "Subs/Film 2.ger.sdh.vtt",
                "Alone/x.mkv",
                "Alone/English.srt",
            ],
        );
        let of = |name: &str| {
            let video = catalog.videos.values().find(|v| v.file_name() == name).unwrap();
            video
                .sidecars
                .iter()
                .map(|s| (s.format.name(), s.language.as_deref(), s.forced, s.hearing_impaired))
                .collect::<Vec<_>>()
        };
        assert_eq!(of("Film.mkv"), [("srt", Some("en"), false, false), ("ass", Some("pt-BR"), true, false)]);
        assert_eq!(of("Film 2.mkv"), [("webvtt", Some("ger"), false, true)]);
        assert_eq!(of("x.mkv"), [("srt", None, false, false)]);
    }

    #[test]
    fn a_file_that_became_a_link_out_is_not_opened() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let catalog = catalog(dir.path(), &["film.mkv"]);
        let video = catalog.videos.values().next().unwrap();
        assert!(video.path().is_ok());
        let secret = outside.path().join("secret");
        fs::write(&secret, "s").unwrap();
        fs::remove_file(dir.path().join("film.mkv")).unwrap();
        std::os::unix::fs::symlink(&secret, dir.path().join("film.mkv")).unwrap();
        assert!(matches!(video.path(), Err(OpenError::LedOut { .. })));
    }
}
