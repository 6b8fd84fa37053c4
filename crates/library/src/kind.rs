//! What a file is by its name and size: a film, music, a subtitle, or what only comes along with them.
//!
//! Names of extras are Jellyfin's and Kodi's, and anime's clean openings and endings. Looks at no content.

use std::path::Path;

use serde::Serialize;

use crate::{limits::SAMPLE_BYTES_MAX, sidecars::SidecarFormat};

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A film, an episode, a lesson.
    Video,
    /// Music or speech.
    Audio,
    /// A text that belongs to a film.
    Subtitle,
    /// A taste of the film beside it.
    Sample,
    /// A trailer, a scene that was left out, how it was made, a disc's menu.
    Extra,
    /// A cover, a screenshot.
    Image,
    /// Something to read: `.nfo`, `.txt`.
    Text,
    /// Anything else.
    Other,
}

/// Extensions of films, lower case.
const VIDEO: &[&str] = &[
    "mkv", "webm", "mp4", "m4v", "mov", "avi", "ts", "m2ts", "mts", "mpg", "mpeg", "vob", "wmv", "asf",
    "flv", "ogv", "3gp", "3g2", "divx", "rmvb",
];

/// Extensions of music and speech, lower case.
const AUDIO: &[&str] = &["m4a", "m4b", "mka", "ogg", "oga", "opus", "mp3", "flac", "aac", "ac3", "wav"];

const IMAGES: &[&str] = &["jpg", "jpeg", "png", "gif", "webp", "avif", "bmp", "tif", "tiff", "tbn"];

const TEXTS: &[&str] = &["nfo", "txt", "md", "pdf", "epub", "htm", "html", "rtf", "diz"];

/// Folders of tastes.
const SAMPLE_FOLDERS: &[&str] = &["sample", "samples"];

/// Folders of extras: Jellyfin's and Kodi's names, and those that releases use.
const EXTRA_FOLDERS: &[&str] = &[
    "extra",
    "extras",
    "trailer",
    "trailers",
    "featurette",
    "featurettes",
    "behind the scenes",
    "deleted scenes",
    "interviews",
    "scenes",
    "shorts",
    "clips",
    "other",
    "bonus",
    "bonus features",
    "special features",
    "theme music",
    "backdrops",
    "creditless",
    "nc",
    "ncop",
    "nced",
    "making of",
];

/// Ends of names of extras, after `-`, `.`, `_` or a space: Jellyfin's and Kodi's.
const EXTRA_ENDINGS: &[&str] = &["trailer", "featurette", "behindthescenes", "deletedscene"];

/// The same, after `-` alone: these are words of titles as well.
const DASHED_EXTRA_ENDINGS: &[&str] = &["scene", "clip", "interview", "deleted", "short", "other", "extra"];

impl FileKind {
    /// By a lower-case extension: never [`Sample`](Self::Sample) or [`Extra`](Self::Extra).
    pub(crate) fn of_extension(lower: &str) -> Self {
        if VIDEO.contains(&lower) {
            Self::Video
        } else if AUDIO.contains(&lower) {
            Self::Audio
        } else if SidecarFormat::from_extension(lower).is_some() {
            Self::Subtitle
        } else if IMAGES.contains(&lower) {
            Self::Image
        } else if TEXTS.contains(&lower) {
            Self::Text
        } else {
            Self::Other
        }
    }

    /// Whether there is something to play: what the library takes for a film.
    #[must_use]
    pub fn is_playable(self) -> bool {
        matches!(self, Self::Video | Self::Audio | Self::Sample | Self::Extra)
    }
}

/// A file's extension, lower case; empty without one.
pub(crate) fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// `film-sample.mkv`, `sample.mkv`: a taste of the film beside it. `stem` is the name without extension.
pub(crate) fn is_sample(stem: &str, size: u64) -> bool {
    let stem = stem.to_lowercase();
    let named = stem == "sample"
        || [".sample", "-sample", "_sample", " sample"].iter().any(|end| stem.ends_with(end))
        || stem.starts_with("sample-");
    named && size < SAMPLE_BYTES_MAX
}

/// `film-trailer.mkv`, `trailer.mkv`, `[Group] Show - NCOP1 [1080p].mkv`. `stem` is the name without extension.
pub(crate) fn is_extra(stem: &str) -> bool {
    let stem = stem.to_lowercase();
    let ends = |word: &str, before: &[char]| {
        stem.strip_suffix(word).is_some_and(|rest| rest.ends_with(before) || rest.is_empty())
    };
    EXTRA_ENDINGS.iter().any(|word| ends(word, &['-', '.', '_', ' ']))
        || DASHED_EXTRA_ENDINGS.iter().any(|word| ends(word, &['-']) && stem != *word)
        || stem.split(|c: char| !c.is_alphanumeric()).any(is_clean_opening)
        || is_disc_menu(&stem)
}

/// `ncop`, `nced2`, `ncop1v2`: an opening or ending without its credits.
fn is_clean_opening(word: &str) -> bool {
    let number = word.strip_prefix("ncop").or_else(|| word.strip_prefix("nced"));
    number.is_some_and(|n| n.is_empty() || (n.len() <= 4 && n.starts_with(|c: char| c.is_ascii_digit())))
}

/// A DVD's menus: `video_ts.vob`, `vts_01_0.vob`.
fn is_disc_menu(lower: &str) -> bool {
    lower == "video_ts" || title_set(lower).is_some_and(|(_, part)| part == 0)
}

/// Of a DVD's `vts_01_2`, the title set and which part of it.
pub(crate) fn title_set(lower: &str) -> Option<(&str, u32)> {
    let (set, part) = lower.strip_prefix("vts_")?.split_once('_')?;
    let digits = |s: &str, n: usize| s.len() == n && s.bytes().all(|b| b.is_ascii_digit());
    (digits(set, 2) && digits(part, 1)).then(|| Some((set, part.parse().ok()?))).flatten()
}

/// `cd1`, `disc 2`, `DVD3`: which part of a film that came on several discs.
pub(crate) fn disc_number(word: &str) -> Option<u32> {
    let lower = word.to_ascii_lowercase();
    let number = ["cd", "dvd", "disc", "disk"].iter().find_map(|name| lower.strip_prefix(name))?;
    let number = number.trim_start_matches([' ', '.', '_', '-']);
    (number.len() == 1 || number.len() == 2).then(|| number.parse().ok()).flatten().filter(|n| *n > 0)
}

/// Whether a folder's name tells which disc or what part of its structure this is, and nothing of what is on it.
pub(crate) fn is_disc_folder(name: &str) -> bool {
    is_disc_structure(name) || disc_number(name).is_some()
}

/// A folder whose files are named by the disc's format (DVD-Video, Blu-ray).
pub(crate) fn is_disc_structure(name: &str) -> bool {
    ["video_ts", "audio_ts", "bdmv", "stream"].contains(&name.to_lowercase().as_str())
}

/// What everything in a folder of this name is, if its name says so: a sample or an extra.
pub(crate) fn of_folder(name: &str) -> Option<FileKind> {
    let folded = crate::fold(name);
    if SAMPLE_FOLDERS.contains(&folded.as_str()) {
        Some(FileKind::Sample)
    } else if EXTRA_FOLDERS.contains(&folded.as_str()) {
        Some(FileKind::Extra)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_small_and_named_so() {
        for yes in ["sample", "Film-Sample", "film.sample", "sample-film"] {
            assert!(is_sample(yes, 1), "{yes}");
        }
        assert!(!is_sample("film-sample", SAMPLE_BYTES_MAX));
        assert!(!is_sample("samples of life", 1));
    }

    #[test]
    fn extras_are_told_by_their_names() {
        for yes in [
            "Film (2010)-trailer",
            "film.trailer",
            "trailer",
            "Film-behindthescenes",
            "Film-deleted",
            "Film-scene",
            "[Group] Show - NCOP1v2 [1080p]",
            "Show NCED",
            "VIDEO_TS",
            "VTS_01_0",
        ] {
            assert!(is_extra(yes), "{yes}");
        }
        for no in [
            "Trailer Park Boys S01E01",
            "The Big Short",
            "Short",
            "The Other",
            "Extra",
            "VTS_01_1",
            "ncedit",
            "nced12345",
        ] {
            assert!(!is_extra(no), "{no}");
        }
    }

    #[test]
    fn discs_are_counted_from_one() {
        assert_eq!(disc_number("CD2"), Some(2));
        assert_eq!(disc_number("Disc 10"), Some(10));
        for no in ["cd", "cd0", "CD-R", "Discovery", "dvd123", "dvdrip"] {
            assert_eq!(disc_number(no), None, "{no}");
        }
        assert_eq!(title_set("vts_03_1"), Some(("03", 1)));
        assert_eq!(title_set("vts_é_1"), None);
    }
}
