//! Which file of a torrent is meant: by number, by name, or whatever is meant by the torrent as a whole.

use anyhow::anyhow;
use engine::{FileIndex, FileInfo, Priority, Select, Torrent};
use library::Listing;

use crate::{failure::Failure, torrent::printable};

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// The largest film, or the first episode of a series.
    Default,
    Number(u32),
    /// The same, of the files that match.
    Matching(String),
}

impl Chosen {
    pub(super) fn parse(text: Option<&str>) -> Self {
        match text.map(|text| (text, text.parse())) {
            None => Self::Default,
            Some((_, Ok(number))) => Self::Number(number),
            Some((text, Err(_))) => Self::Matching(text.to_owned()),
        }
    }

    /// What is wanted before it is known which file is meant.
    pub(super) fn select(&self) -> Select {
        match self {
            Self::Default => Select::Nothing,
            Self::Number(number) => Select::Files(vec![FileIndex(*number)]),
            Self::Matching(pattern) => Select::Matching(vec![pattern.clone()]),
        }
    }

    /// The file, of a torrent that was added with [`select`](Self::select) and whose metadata is here.
    pub(super) fn of(&self, torrent: &Torrent) -> Result<FileInfo, Failure> {
        let files = torrent.files().map_err(anyhow::Error::new)?;
        let name = torrent.snapshot().name.clone().unwrap_or_default();
        let found = self.among(&name, &files).cloned();
        found.ok_or_else(|| {
            let why = match self {
                Self::Number(number) => format!("it has no file {number}"),
                Self::Default => "there is nothing to play in it: --file names a file".to_owned(),
                Self::Matching(pattern) => format!("no film in it matches \"{}\"", printable(pattern)),
            };
            Failure::Failed(anyhow!("{}: {why}; headwater inspect lists its files", printable(&name)))
        })
    }

    fn among<'a>(&self, torrent: &str, files: &'a [FileInfo]) -> Option<&'a FileInfo> {
        let meant = |wanted: &dyn Fn(&FileInfo) -> bool| {
            let named = files.iter().filter(|file| !file.pad && wanted(file));
            let listing =
                Listing::of(torrent, named.map(|file| (file.index.0, file.path.as_str(), file.size)));
            files.get(listing.default_file()? as usize)
        };
        match self {
            Self::Number(number) => files.get(*number as usize).filter(|file| !file.pad),
            Self::Default => meant(&|_| true),
            Self::Matching(_) => meant(&|file| file.priority != Priority::Skip),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_film_is_taken_and_nothing_that_is_none() {
        let file = |(index, (path, size, priority)): (u32, (&str, u64, Priority))| FileInfo {
            index: FileIndex(index),
            path: path.to_owned(),
            size,
            have: 0,
            priority,
            pad: false,
        };
        let pack = [
            ("A Film/extras.zip", 900 << 20, Priority::Normal),
            ("A Film/Trailer.mkv", 50 << 20, Priority::Normal),
            ("A Film/A.Film.2019.mkv", 700 << 20, Priority::Skip),
        ];
        let files: Vec<FileInfo> = (0..).zip(pack).map(file).collect();
        let index = |chosen: &Chosen| chosen.among("A Film", &files).map(|file| file.index.0);
        assert_eq!(index(&Chosen::Default), Some(2));
        assert_eq!(index(&Chosen::Number(0)), Some(0));
        assert_eq!(index(&Chosen::Number(3)), None);
        assert_ne!(index(&Chosen::Matching("*.zip".to_owned())), Some(2));
        assert_eq!(Chosen::Default.among("A Film", &files[..1]), None);
    }

    #[test]
    fn a_number_is_a_number_and_all_else_a_pattern() {
        assert_eq!(Chosen::parse(None), Chosen::Default);
        assert_eq!(Chosen::parse(Some("3")), Chosen::Number(3));
        assert_eq!(Chosen::parse(Some("*S01E02*")), Chosen::Matching("*S01E02*".to_owned()));
    }
}
