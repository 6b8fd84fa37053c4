//! Which subtitle files belong to which films, by their names and folders.
//!
//! `film.en.srt` beside `film.mkv`, in `Subs/` beside it, or anything in `Subs/film/`; and in a folder with one film,
//! every subtitle. The same for a library's folders and a torrent's.

use std::{collections::HashMap, path::Path};

use crate::{
    limits::{SIDECARS_PER_VIDEO_MAX, SUBTITLE_WORDS_MAX},
    named::stem,
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

/// A subtitle file that belongs to a film, and what its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Beside {
    /// Its place among the subtitles given.
    pub(crate) subtitle: usize,
    /// The language as written there (`en`, `ger`, `pt-BR`), or the code of one that is spelled out (`English`).
    pub(crate) language: Option<String>,
    pub(crate) forced: bool,
    pub(crate) hearing_impaired: bool,
}

/// A library folder and a folder below it.
type FolderKey<'a> = (usize, &'a Path);

/// Subtitle files by the folder of films they belong to.
#[derive(Debug, Default)]
pub(crate) struct Sidecars<'a> {
    folders: HashMap<FolderKey<'a>, Folder>,
}

#[derive(Debug, Default)]
struct Folder {
    films: usize,
    /// By the films' names without extension.
    named: HashMap<String, Vec<Beside>>,
    /// Named after none of them.
    others: Vec<Beside>,
}

impl<'a> Sidecars<'a> {
    /// Joins films and subtitles, each a library folder and a path below it. Takes time in proportion to their names.
    pub(crate) fn new(
        films: impl Iterator<Item = (usize, &'a Path)>,
        subtitles: impl Iterator<Item = (usize, &'a Path)>,
    ) -> Self {
        let mut folders: HashMap<FolderKey<'a>, Folder> = HashMap::new();
        for (root, film) in films {
            let folder = folders.entry((root, parent(film))).or_default();
            folder.films += 1;
            folder.named.entry(stem(film)).or_default();
        }
        for (n, (root, subtitle)) in subtitles.enumerate() {
            let (home, within) = home(subtitle);
            if let Some(folder) = folders.get_mut(&(root, home)) {
                folder.take(n, &stem(subtitle), within.as_deref());
            }
        }
        Self { folders }
    }

    /// The subtitles of a film, in the order they were given.
    pub(crate) fn of(&self, root: usize, film: &Path) -> Vec<Beside> {
        let home = parent(film);
        let Some(folder) = self.folders.get(&(root, home)) else { return Vec::new() };
        let mut own = folder.named.get(&stem(film)).cloned().unwrap_or_default();
        // A film alone in a folder of its own owns every subtitle there, whatever its name.
        if folder.films == 1 && home != Path::new("") {
            own.extend(folder.others.iter().cloned());
        }
        own.sort_by_key(|beside| beside.subtitle);
        own.truncate(SIDECARS_PER_VIDEO_MAX);
        own
    }
}

impl Folder {
    fn take(&mut self, subtitle: usize, name: &str, within: Option<&str>) {
        let (owner, mut beside) = match within.and_then(|folder| self.named.get_mut(folder)) {
            Some(films) => (films, describe(subtitle, name, true)),
            // The longest film's name counts: `Film 2.en.srt` is not `Film`'s when there is a `Film 2`.
            None => match beginnings(name).find(|start| self.named.contains_key(*start)) {
                Some(film) => {
                    let rest = describe(subtitle, name.get(film.len()..).unwrap_or_default(), false);
                    (self.named.entry(film.to_owned()).or_default(), rest)
                }
                None => (&mut self.others, describe(subtitle, name, true)),
            },
        };
        if beside.language.is_none() {
            beside.language = within.and_then(spelled_out).map(str::to_owned);
        }
        if owner.len() < SIDECARS_PER_VIDEO_MAX {
            owner.push(beside);
        }
    }
}

/// The folder of films that a subtitle belongs to, and the folder of its own that it lies in there.
fn home(subtitle: &Path) -> (&Path, Option<String>) {
    let folder = parent(subtitle);
    if is_subtitle_folder(folder) {
        return (parent(folder), None);
    }
    if is_subtitle_folder(parent(folder)) {
        let own = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        return (parent(parent(folder)), own);
    }
    (folder, None)
}

fn is_subtitle_folder(folder: &Path) -> bool {
    let name = folder.file_name().map(|name| name.to_string_lossy().to_lowercase());
    matches!(name.as_deref(), Some("sub" | "subs" | "subtitle" | "subtitles"))
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// The beginnings of a name that may be a film's, the longest first: whatever a word ends.
fn beginnings(name: &str) -> impl Iterator<Item = &str> {
    let ends = name.char_indices().rev().filter(|(_, c)| !c.is_alphanumeric()).map(|(at, _)| at);
    let starts = std::iter::once(name.len()).chain(ends).filter_map(|end| name.get(..end));
    starts.take(SUBTITLE_WORDS_MAX)
}

/// Reads `.en.forced` of `film.en.forced.srt`. Of a `whole` name, which may be a title, only the last word can be the
/// code of a language.
fn describe(subtitle: usize, text: &str, whole: bool) -> Beside {
    let mut beside = Beside { subtitle, language: None, forced: false, hearing_impaired: false };
    let mut read = 0;
    for word in text.rsplit(['.', '_', ' ', ',', '(', ')', '[', ']']).filter(|word| !word.is_empty()) {
        let mut word = word;
        // `en-forced`, `sdh`
        while let Some((rest, flag)) = word.rsplit_once('-').or(Some(("", word))) {
            match flag.to_ascii_lowercase().as_str() {
                "forced" => beside.forced = true,
                "sdh" | "cc" | "hi" => beside.hearing_impaired = true,
                _ => break,
            }
            word = rest;
        }
        if word.is_empty() {
            continue;
        }
        if beside.language.is_none() {
            let code = (!whole || read == 0) && is_language(&word.to_ascii_lowercase());
            beside.language = spelled_out(word).or(code.then_some(word)).map(str::to_owned);
        }
        read += 1;
        if read == SUBTITLE_WORDS_MAX {
            break;
        }
    }
    beside
}

/// Two or three letters, perhaps with a region: `en`, `ger`, `pt-br`.
fn is_language(lower: &str) -> bool {
    let (main, region) = lower.split_once('-').unwrap_or((lower, "xx"));
    let letters = |s: &str| s.bytes().all(|b| b.is_ascii_alphabetic());
    (2..=3).contains(&main.len()) && letters(main) && (2..=4).contains(&region.len()) && letters(region)
}

/// Languages as releases spell them out, with their codes (ISO 639-1).
const LANGUAGES: &[(&str, &str)] = &[
    ("arabic", "ar"),
    ("bulgarian", "bg"),
    ("chinese", "zh"),
    ("croatian", "hr"),
    ("czech", "cs"),
    ("danish", "da"),
    ("deutsch", "de"),
    ("dutch", "nl"),
    ("english", "en"),
    ("estonian", "et"),
    ("finnish", "fi"),
    ("francais", "fr"),
    ("french", "fr"),
    ("german", "de"),
    ("greek", "el"),
    ("hebrew", "he"),
    ("hindi", "hi"),
    ("hungarian", "hu"),
    ("icelandic", "is"),
    ("indonesian", "id"),
    ("italian", "it"),
    ("japanese", "ja"),
    ("korean", "ko"),
    ("latvian", "lv"),
    ("lithuanian", "lt"),
    ("malay", "ms"),
    ("norwegian", "no"),
    ("persian", "fa"),
    ("polish", "pl"),
    ("portuguese", "pt"),
    ("romanian", "ro"),
    ("russian", "ru"),
    ("serbian", "sr"),
    ("slovak", "sk"),
    ("slovenian", "sl"),
    ("spanish", "es"),
    ("swedish", "sv"),
    ("thai", "th"),
    ("turkish", "tr"),
    ("ukrainian", "uk"),
    ("vietnamese", "vi"),
];

/// The code of a language that is spelled out.
fn spelled_out(word: &str) -> Option<&'static str> {
    LANGUAGES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, code)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(film: &str, films: &[&str], subtitles: &[&str]) -> Vec<(usize, Option<String>, bool, bool)> {
        let at = |path| (0, Path::new(path));
        let sidecars = Sidecars::new(films.iter().copied().map(at), subtitles.iter().copied().map(at));
        let own = sidecars.of(0, Path::new(film));
        own.into_iter().map(|b| (b.subtitle, b.language, b.forced, b.hearing_impaired)).collect()
    }

    fn language(subtitle: &str) -> Option<String> {
        of("a/Film.mkv", &["a/Film.mkv"], &[subtitle])[0].1.clone()
    }

    #[test]
    fn languages_are_read_wherever_they_stand() {
        for (name, code) in [
            ("a/Film.en.srt", Some("en")),
            ("a/Film.pt-BR.forced.srt", Some("pt-BR")),
            ("a/Film.en-sdh.srt", Some("en")),
            ("a/English.srt", Some("en")),
            ("a/Subs/2_English.srt", Some("en")),
            ("a/Subs/Film/3_eng,English [Forced].srt", Some("en")),
            ("a/Subs/German/Film.srt", Some("de")),
            ("a/The Lord of the Rings.srt", None),
            ("a/The Lord of the Rings eng.srt", Some("eng")),
            ("a/Film.srt", None),
        ] {
            assert_eq!(language(name).as_deref(), code, "{name}");
        }
    }

    #[test]
    fn flags_are_read_beside_the_language() {
        let found =
            of("a/F.mkv", &["a/F.mkv"], &["a/F.en.forced.srt", "a/F.sdh.ger.srt", "a/SDH.eng.HI.srt"]);
        let en = |s: &str| Some(s.to_owned());
        assert_eq!(
            found,
            [(0, en("en"), true, false), (1, en("ger"), false, true), (2, en("eng"), false, true)]
        );
    }

    #[test]
    fn folders_named_after_a_film_are_its() {
        let films = ["p/E1.mkv", "p/E2.mkv"];
        let subtitles = ["p/Subs/E1/2_English.srt", "p/Subs/E2/2_English.srt", "p/Subs/E3/2_English.srt"];
        assert_eq!(of("p/E2.mkv", &films, &subtitles), [(1, Some("en".to_owned()), false, false)]);
        assert_eq!(of("p/E1.mkv", &films, &["Subs/E1/x.srt", "q/Subs/E1/x.srt"]), []);
    }

    #[test]
    fn a_film_has_a_bounded_number_of_subtitles() {
        let subtitles: Vec<String> = (0..500).map(|n| format!("a/F.{n}.srt")).collect();
        let subtitles: Vec<&str> = subtitles.iter().map(String::as_str).collect();
        assert_eq!(of("a/F.mkv", &["a/F.mkv"], &subtitles).len(), SIDECARS_PER_VIDEO_MAX);
    }

    proptest::proptest! {
        #[test]
        fn no_name_makes_it_panic(film in "\\PC{0,20}", subtitle in "\\PC{0,40}") {
            let _ = of(&film, &[&film], &[&subtitle, &format!("{film}{subtitle}.srt")]);
        }
    }
}
