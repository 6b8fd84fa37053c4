//! What a file is called: its own name, completed from the folders it lies in.

use std::path::Path;

use crate::{
    fold,
    kind::{is_disc_folder, is_disc_structure},
    limits::NAMING_FOLDERS_MAX,
    name::{EpisodeNumber, ReleaseName, numbered, season_of_folder},
};

/// The reading of a file's name, completed from its folders' names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) title: String,
    pub(crate) year: Option<u16>,
    pub(crate) episode: Option<EpisodeNumber>,
    pub(crate) episode_title: String,
}

impl Named {
    /// Reads a path; `around` is the name of what holds its outermost folder, where that may say more.
    pub(crate) fn of(path: &Path, around: Option<&str>) -> Self {
        let stem = stem(path);
        let folders: Vec<String> = path
            .ancestors()
            .skip(1)
            .filter_map(|folder| folder.file_name())
            .take(NAMING_FOLDERS_MAX)
            .map(|name| name.to_string_lossy().into_owned())
            .chain(around.map(str::to_owned))
            .collect();
        let mut own = ReleaseName::parse(&stem);
        if folders.first().is_some_and(|folder| is_disc_structure(folder)) && own.episode.is_none() {
            // `VTS_01_1`, `00800`: a place on the disc.
            own.title.clear();
        }
        if own.episode.is_none()
            && let Some(season) = season(&folders)
            && let Some(place) = numbered(&stem)
        {
            let episode = EpisodeNumber { season, episode: place.number, last: None };
            own = ReleaseName { episode: Some(episode), ..place.around };
        }
        let home = folders
            .iter()
            .filter(|name| season_of_folder(name).is_none() && !is_disc_folder(name))
            .map(|name| ReleaseName::parse_folder(name))
            .find(|read| !read.title.is_empty());
        let (mut title, mut year) = (own.title, own.year);
        if let Some(home) = home
            && (title.is_empty() || (year.is_none() && fold(&home.title) == fold(&title)))
        {
            if title.is_empty() {
                title = home.title;
            }
            year = year.or(home.year);
        }
        if title.is_empty() {
            title = stem;
        }
        Self { title, year, episode: own.episode, episode_title: own.episode_title }
    }

    /// What to call it: the film's title, or the series with index and episode title.
    pub(crate) fn full_title(&self) -> String {
        match self.episode {
            Some(number) => format!("{} {number} {}", self.title, self.episode_title).trim_end().to_owned(),
            None => self.title.clone(),
        }
    }
}

/// The season that the nearest folder states, discs aside.
fn season(folders: &[String]) -> Option<u16> {
    let nearest = folders.iter().find(|name| !is_disc_folder(name))?;
    season_of_folder(nearest).or_else(|| ReleaseName::parse_folder(nearest).season)
}

/// A file's name without its extension.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_complete_what_a_file_s_name_leaves_out() {
        for (path, title, year) in [
            ("Film (2010)/film.mkv", "film", Some(2010)),
            ("Film (2010)/1080p.mkv", "Film", Some(2010)),
            ("Other (2010)/Film.mkv", "Film", None),
            ("Film 2010 DVD/VIDEO_TS/VTS_01_1.VOB", "Film", Some(2010)),
            ("Film.2010.COMPLETE.BLURAY/BDMV/STREAM/00800.m2ts", "Film", Some(2010)),
            ("Film (2010)/CD1/cd1.avi", "Film", Some(2010)),
            ("Film.2010.CD2.avi", "Film", Some(2010)),
            ("Show/Season 1/S01E02 Two.mkv", "Show S01E02 Two", None),
            ("Show (2019)/Season 1/02 - Two.mkv", "Show S01E02 Two", Some(2019)),
            ("Show.2019.S02.1080p.WEB-GRP/e03.mkv", "Show S02E03", Some(2019)),
            ("Show/Specials/1. Making.mkv", "Show S00E01 Making", None),
            ("Show/Season 1/Show - 12.mkv", "Show S01E12", None),
            ("Show/Season 1/1080p.mkv", "Show", None),
            ("02 - Two.mkv", "02 - Two", None),
            ("Open Season 2 (2008)/Open.Season.2.2008.mkv", "Open Season 2", Some(2008)),
        ] {
            let named = Named::of(Path::new(path), None);
            assert_eq!((named.full_title().as_str(), named.year), (title, year), "{path}");
        }
        let around = Named::of(Path::new("1080p.mkv"), Some("Film.2010.1080p"));
        assert_eq!((around.title.as_str(), around.year), ("Film", Some(2010)));
    }
}
