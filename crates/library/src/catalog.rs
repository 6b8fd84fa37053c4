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
    name::EpisodeNumber,
    named::Named,
    scan::{FoundSubtitle, Problem, Scan},
    sidecars::{Beside, SidecarFormat, Sidecars},
};

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
    fn of(beside: Beside, all: &[FoundSubtitle], root: &Path) -> Option<Self> {
        let found = all.get(beside.subtitle)?;
        Some(Self {
            root: root.to_owned(),
            relative: found.relative.clone(),
            format: found.format,
            size: found.size,
            language: beside.language,
            forced: beside.forced,
            hearing_impaired: beside.hearing_impaired,
        })
    }

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
        let beside = Sidecars::new(
            scan.files.iter().map(|file| (file.root, file.relative.as_path())),
            scan.subtitles.iter().map(|file| (file.root, file.relative.as_path())),
        );
        let mut copies: HashMap<Fingerprint, usize> = HashMap::new();
        let mut shows = Vec::new();
        let mut series: BTreeMap<String, Series> = BTreeMap::new();
        let mut videos = HashMap::new();
        for found in &scan.files {
            let Some(root) = roots.get(found.root) else { continue };
            let copy = copies.entry(found.fingerprint).or_default();
            *copy += 1;
            let id = VideoId::new(&found.fingerprint, *copy);
            let name = Named::of(&found.relative, None);
            let title = name.full_title();
            let show_id = match name.episode {
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
                    show_id
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
                    show_id
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
                sidecars: beside
                    .of(found.root, &found.relative)
                    .into_iter()
                    .filter_map(|beside| Sidecar::of(beside, &scan.subtitles, root))
                    .collect(),
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
        assert_eq!(of("x.mkv"), [("srt", Some("en"), false, false)]);
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
