//! What a file's name says: a clean title, a year, a season and an episode.
//!
//! A simple reading that is right for well-kept folders; release names in all their forms are another issue.

use std::fmt;

use crate::kind::disc_number;

/// `S01E02`, or `S01E02-E03` for a double episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EpisodeNumber {
    /// Season, 0 for specials.
    pub season: u16,
    /// First (or only) episode in the file.
    pub episode: u16,
    /// Last episode in the file, when there are several.
    pub last: Option<u16>,
}

impl fmt::Display for EpisodeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S{:02}E{:02}", self.season, self.episode)?;
        match self.last {
            Some(last) => write!(f, "-E{last:02}"),
            None => Ok(()),
        }
    }
}

/// What was read from one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseName {
    /// The title, cleaned; may be empty.
    pub title: String,
    /// Year of release, where the name says one.
    pub year: Option<u16>,
    /// Season and episode, where the name says them.
    pub episode: Option<EpisodeNumber>,
    /// What follows the episode number: usually its title; may be empty.
    pub episode_title: String,
    /// The season that a pack's name states (`Show.S01.1080p`).
    pub season: Option<u16>,
}

impl ReleaseName {
    /// Reads a file's name without its extension.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        if let Some((start, end, episode)) = find_episode(name) {
            let read = Self::around(name.get(..start), name.get(end..), Seasons::Unread);
            return Self { episode: Some(episode), ..read };
        }
        if let Some((start, end, number)) = fansub(name) {
            let read = Self::around(name.get(..start), name.get(end..), Seasons::Read);
            let season = read.season.unwrap_or(1);
            return Self { episode: Some(EpisodeNumber { season, episode: number, last: None }), ..read };
        }
        Self::around(Some(name), None, Seasons::Unread)
    }

    /// Reads the name of a folder, which may hold a season. A film's may look the same (`Open Season 2`), so that a
    /// file's name counts before its folder's.
    #[must_use]
    pub fn parse_folder(name: &str) -> Self {
        match find_episode(name) {
            Some(_) => Self::parse(name),
            None => Self::around(Some(name), None, Seasons::Read),
        }
    }

    /// Reads what stands before an episode's number and after it.
    fn around(before: Option<&str>, after: Option<&str>, seasons: Seasons) -> Self {
        let (title, year, season) = clean(before.unwrap_or_default(), seasons);
        let (episode_title, _, _) = clean(after.unwrap_or_default(), Seasons::Unread);
        Self { title, year, episode: None, episode_title, season }
    }
}

/// Whether `S01` and `Season 1` end a title.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seasons {
    Read,
    Unread,
}

/// A number that tells a file's place among its neighbours, and what stands around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) number: u16,
    pub(crate) around: ReleaseName,
}

/// Reads `02 - Two`, `2. Two`, `E02`, `Episode 2`, `Show - 02`: which of its folder's files this is.
pub(crate) fn numbered(name: &str) -> Option<Place> {
    if let Some((end, number)) = leading(name) {
        return Some(Place { number, around: ReleaseName::around(None, name.get(end..), Seasons::Unread) });
    }
    let (start, end, number) = dashed(name)?;
    Some(Place { number, around: ReleaseName::around(name.get(..start), name.get(end..), Seasons::Read) })
}

/// A number at the very beginning, perhaps after a word for episode: where it ends.
fn leading(name: &str) -> Option<(usize, u16)> {
    let bytes = name.as_bytes();
    let words = ["episode", "ep", "e", ""];
    let worded =
        |word: &&str| bytes.get(..word.len()).is_some_and(|b| b.eq_ignore_ascii_case(word.as_bytes()));
    let (end, number) = words
        .iter()
        .filter(|word| worded(word))
        .find_map(|word| number(bytes, separators(bytes, word.len()), 1, 3))?;
    let closed = bytes.get(end).is_none_or(|b| matches!(b, b' ' | b'.' | b'-' | b'_' | b')'));
    closed.then_some((end, number))
}

/// ` - 02`, perhaps ` - 02v2`: where the dash is, where the number ends.
fn dashed(name: &str) -> Option<(usize, usize, u16)> {
    let bytes = name.as_bytes();
    let start = name.rfind(" - ").or_else(|| name.rfind("_-_"))?;
    let (mut end, episode) = number(bytes, start + 3, 2, 4)?;
    if as_year(name.get(start + 3..end)?).is_some() {
        return None;
    }
    if let Some((after, _)) = letter(bytes, end, b'v').and_then(|at| number(bytes, at, 1, 1)) {
        end = after;
    }
    let closed = bytes.get(end).is_none_or(|b| matches!(b, b' ' | b'_' | b'.' | b'[' | b'('));
    closed.then_some((start, end, episode))
}

/// `[Group] Show - 02 [1080p]`, as fans name what they subtitle: counted on over all seasons, or within the one named.
fn fansub(name: &str) -> Option<(usize, usize, u16)> {
    name.starts_with('[').then(|| dashed(name)).flatten()
}

/// The season, where that is all a folder's name says (`Season 1`, `S01`, `Staffel 2`); of `Specials`, 0.
pub(crate) fn season_of_folder(name: &str) -> Option<u16> {
    let folded = crate::fold(name);
    if folded == "specials" {
        return Some(0);
    }
    let digits = ["season", "series", "staffel", "saison", "temporada", "s"]
        .iter()
        .find_map(|word| folded.strip_prefix(word))
        .map(str::trim_start)?;
    let number = digits.len() <= 4 && digits.bytes().all(|b| b.is_ascii_digit());
    number.then(|| digits.parse().ok()).flatten()
}

/// Finds `S01E02` or `1x02`: where it starts and ends, and what it says.
fn find_episode(name: &str) -> Option<(usize, usize, EpisodeNumber)> {
    let bytes = name.as_bytes();
    (0..bytes.len()).find_map(|start| {
        let boundary = start == 0 || !bytes.get(start - 1).is_some_and(u8::is_ascii_alphanumeric);
        if !boundary {
            return None;
        }
        let (end, number) = sxxeyy(bytes, start).or_else(|| nxnn(bytes, start))?;
        let closed = !bytes.get(end).is_some_and(u8::is_ascii_alphanumeric);
        closed.then_some((start, end, number))
    })
}

fn sxxeyy(bytes: &[u8], start: usize) -> Option<(usize, EpisodeNumber)> {
    let at = letter(bytes, start, b's')?;
    let (at, season) = number(bytes, at, 1, 4)?;
    let at = separators(bytes, at);
    let at = letter(bytes, at, b'e')?;
    let (mut end, episode) = number(bytes, at, 1, 4)?;
    let mut last = None;
    // S01E02E03, S01E02-E03, S01E02-03
    let next = separators(bytes, end);
    let follow = match letter(bytes, next, b'e') {
        Some(at) => number(bytes, at, 1, 4),
        None if bytes.get(end) == Some(&b'-') => number(bytes, end + 1, 2, 3),
        None => None,
    };
    if let Some((at, n)) = follow
        && n > episode
        && !bytes.get(at).is_some_and(u8::is_ascii_alphanumeric)
    {
        (end, last) = (at, Some(n));
    }
    Some((end, EpisodeNumber { season, episode, last }))
}

fn nxnn(bytes: &[u8], start: usize) -> Option<(usize, EpisodeNumber)> {
    let (at, season) = number(bytes, start, 1, 2)?;
    let at = letter(bytes, at, b'x')?;
    let (end, episode) = number(bytes, at, 2, 3)?;
    Some((end, EpisodeNumber { season, episode, last: None }))
}

fn letter(bytes: &[u8], at: usize, lower: u8) -> Option<usize> {
    bytes.get(at).filter(|b| b.eq_ignore_ascii_case(&lower)).map(|_| at + 1)
}

/// At most one separator.
fn separators(bytes: &[u8], at: usize) -> usize {
    if bytes.get(at).is_some_and(|b| matches!(b, b' ' | b'.' | b'-' | b'_')) { at + 1 } else { at }
}

fn number(bytes: &[u8], at: usize, digits_min: usize, digits_max: usize) -> Option<(usize, u16)> {
    let digits = bytes.get(at..)?.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits < digits_min || digits > digits_max {
        return None;
    }
    let text = std::str::from_utf8(bytes.get(at..at + digits)?).ok()?;
    Some((at + digits, text.parse().ok()?))
}

/// Words after which no title goes on.
const RELEASE_WORDS: &[&str] = &[
    "2160p", "1440p", "1080p", "1080i", "720p", "576p", "480p", "360p", "4k", "uhd", "x264", "x265", "h264",
    "h265", "hevc", "avc", "xvid", "divx", "bluray", "blu-ray", "brrip", "bdrip", "bdremux", "remux",
    "webrip", "web-dl", "webdl", "hdtv", "hdrip", "dvdrip", "dvd", "dvdscr", "hdr", "hdr10", "10bit", "8bit",
    "aac", "ac3", "eac3", "dts", "ddp5", "dd5", "truehd", "atmos", "flac", "opus", "proper", "repack",
    "unrated", "multi", "dubbed", "subbed", "internal", "limited", "complete",
];

/// What a word says of seasons, and the word after it: `S01`, `Season 1`; `S01-S05`, `Seasons 1-5` name no single one.
fn season_word(word: &str, next: Option<&str>) -> Option<Option<u16>> {
    let lower = word.to_lowercase();
    let named = ["season", "seasons", "staffel", "saison", "temporada"].contains(&lower.as_str());
    let number = if named { bare(next?).to_lowercase() } else { lower.strip_prefix('s')?.to_owned() };
    let digits = |s: &str| (1..=2).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
    match number.split_once('-') {
        None => digits(&number).then(|| number.parse().ok()),
        Some((from, to)) => (digits(from) && digits(to.trim_start_matches('s'))).then_some(None),
    }
}

/// A word without the brackets and marks around it.
fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| matches!(c, '(' | ')' | '[' | ']' | ',' | '-'))
}

/// The title in a name, the year after it, and the season.
fn clean(name: &str, seasons: Seasons) -> (String, Option<u16>, Option<u16>) {
    let spaced = name.contains(' ');
    let flat: String = without_brackets(name)
        .chars()
        .map(|c| match c {
            '_' => ' ',
            '.' if !spaced => ' ',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect();
    let words: Vec<&str> = flat.split_whitespace().collect();
    let (mut year, mut season) = (None, None);
    let mut end = words.len();
    for (i, word) in words.iter().enumerate() {
        let bare = bare(word);
        if seasons == Seasons::Read
            && let Some(stated) = season_word(bare, words.get(i + 1).copied())
        {
            (season, end) = (stated, end.min(i));
            break;
        }
        if RELEASE_WORDS.contains(&bare.to_lowercase().as_str()) || disc_number(bare).is_some() {
            end = end.min(i);
            break;
        }
        if let Some(y) = as_year(bare)
            && i > 0
            && !is_date(&words, i)
        {
            // The last year of the title part counts: "2001 A Space Odyssey 1968", "Blade Runner 2049 2017".
            (year, end) = (Some(y), i);
        }
    }
    let mut title = words.get(..end).unwrap_or_default().join(" ");
    // `Film (BD 1080p)` was cut within its parentheses.
    if let Some(open) =
        title.rfind('(').filter(|open| !title.get(*open..).is_some_and(|rest| rest.contains(')')))
    {
        title.truncate(open);
    }
    (
        title
            .trim_matches(|c: char| c.is_whitespace() || matches!(c, '-' | ',' | '.' | '(' | '['))
            .to_owned(),
        year,
        season,
    )
}

/// Whether the year at this place begins a date, as of a daily show: `2020 01 02`.
fn is_date(words: &[&str], at: usize) -> bool {
    let two =
        |word: Option<&&str>| word.is_some_and(|w| w.len() == 2 && w.bytes().all(|b| b.is_ascii_digit()));
    two(words.get(at + 1)) && two(words.get(at + 2))
}

fn as_year(word: &str) -> Option<u16> {
    let year: u16 = (word.len() == 4).then(|| word.parse().ok()).flatten()?;
    (1888..=2099).contains(&year).then_some(year)
}

/// Drops `[…]` and `{…}`; keeps `(…)`, which may hold the year.
fn without_brackets(name: &str) -> String {
    let mut depth = 0_u32;
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => {
                depth = depth.saturating_sub(1);
                out.push(' ');
            }
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn movie_names_are_cleaned() {
        for (name, title, year) in [
            ("Big.Buck.Bunny.2008.1080p.BluRay.x264-GRP", "Big Buck Bunny", Some(2008)),
            ("Sintel (2010)", "Sintel", Some(2010)),
            ("2001 A Space Odyssey (1968) [1080p]", "2001 A Space Odyssey", Some(1968)),
            ("Blade.Runner.2049.2017.2160p.UHD", "Blade Runner 2049", Some(2017)),
            ("1917", "1917", None),
            ("[Group] Some_Film_-_Subtitle [ABCD1234]", "Some Film - Subtitle", None),
            ("Dr. Strange Love", "Dr. Strange Love", None),
            ("main", "main", None),
            ("1080p", "", None),
        ] {
            let read = ReleaseName::parse(name);
            assert_eq!((read.title.as_str(), read.year, read.episode), (title, year, None), "{name}");
        }
    }

    #[test]
    fn episodes_are_found() {
        for (name, title, index, episode_title) in [
            ("Show.Name.S01E02.The.Pilot.720p.HDTV", "Show Name", "S01E02", "The Pilot"),
            ("Show Name - 1x02 - The Pilot", "Show Name", "S01E02", "The Pilot"),
            ("show.name.s1e2", "show name", "S01E02", ""),
            ("Show S01E02E03", "Show", "S01E02-E03", ""),
            ("Show S01E02-E03 Both", "Show", "S01E02-E03", "Both"),
            ("S03E10", "", "S03E10", ""),
            ("Show (2019) S2024E101", "Show", "S2024E101", ""),
        ] {
            let read = ReleaseName::parse(name);
            let found = read.episode.map(|e| e.to_string());
            assert_eq!(
                (read.title.as_str(), found.as_deref(), read.episode_title.as_str()),
                (title, Some(index), episode_title),
                "{name}"
            );
        }
    }

    #[test]
    fn picture_sizes_are_not_episodes() {
        assert_eq!(ReleaseName::parse("Film 1920x1080").episode, None);
        assert_eq!(ReleaseName::parse("Film x264").episode, None);
    }

    #[test]
    fn season_folders_are_known() {
        for (name, season) in [
            ("Season 1", 1),
            ("season 01", 1),
            ("S01", 1),
            ("Staffel 2", 2),
            ("Specials", 0),
            ("S2024", 2024),
        ] {
            assert_eq!(season_of_folder(name), Some(season), "{name}");
        }
        for no in ["Seasons", "Sherlock", "S", "Season of the Witch", "Season 1 (2019)"] {
            assert_eq!(season_of_folder(no), None, "{no}");
        }
    }

    #[test]
    fn seasons_end_a_pack_s_title() {
        for (name, title, season) in [
            ("Show.Name.S01.1080p.WEB-DL", "Show Name", Some(1)),
            ("Show Name Season 2 Complete", "Show Name", Some(2)),
            ("Show Name (2019) Season 02 [1080p]", "Show Name", Some(2)),
            ("Show.Name.S01-S05.1080p", "Show Name", None),
            ("Show Name Seasons 1-5", "Show Name", None),
            ("Season of the Witch", "Season of the Witch", None),
            ("S1m0ne", "S1m0ne", None),
        ] {
            let read = ReleaseName::parse_folder(name);
            assert_eq!((read.title.as_str(), read.season), (title, season), "{name}");
        }
        assert_eq!(ReleaseName::parse("Open Season 2 (2008)").title, "Open Season 2");
    }

    #[test]
    fn fansubs_count_on_and_films_with_dashes_do_not() {
        for (name, title, index) in [
            ("[Group] Show - 02 [1080p][ABCD1234]", "Show", Some("S01E02")),
            ("[Group] Show Name - 1071v2 (1080p)", "Show Name", Some("S01E1071")),
            ("[Group] Show S2 - 05 (720p) [ABCD1234]", "Show", Some("S02E05")),
            ("[Group]_Show_-_12_[x264]", "Show", Some("S01E12")),
            ("[Group] Film - 2010 [1080p]", "Film", None),
            ("[Group] Show - 01-12 [1080p]", "Show - 01-12", None),
            ("Area - 51", "Area - 51", None),
        ] {
            let read = ReleaseName::parse(name);
            let found = read.episode.map(|e| e.to_string());
            assert_eq!((read.title.as_str(), found.as_deref()), (title, index), "{name}");
        }
    }

    #[test]
    fn places_are_read_from_either_end() {
        for (name, place) in [
            ("02 - Two", Some(2)),
            ("2. Two", Some(2)),
            ("003", Some(3)),
            ("E04", Some(4)),
            ("Episode 5", Some(5)),
            ("ep.6 x", Some(6)),
            ("Show - 07", Some(7)),
            ("1080p", None),
            ("2001 A Space Odyssey", None),
            ("Two", None),
            ("e", None),
        ] {
            assert_eq!(numbered(name).map(|place| place.number), place, "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_name_makes_it_panic(name in "\\PC{0,60}") {
            let _ = (ReleaseName::parse(&name), ReleaseName::parse_folder(&name), numbered(&name), season_of_folder(&name));
        }

        #[test]
        fn an_episode_number_is_read_back(season in 0_u16..100, episode in 1_u16..1000) {
            let number = EpisodeNumber { season, episode, last: None };
            proptest::prop_assert_eq!(ReleaseName::parse(&format!("Show {number} x")).episode, Some(number));
        }
    }
}
