//! What a file's name says: a clean title, a year, a season and an episode.
//!
//! A simple reading that is right for well-kept folders; release names in all their forms are another issue.

use std::fmt;

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
}

impl ReleaseName {
    /// Reads a file's name without its extension, or a folder's name.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        match find_episode(name) {
            Some((start, end, episode)) => {
                let (title, year) = clean(name.get(..start).unwrap_or_default());
                let (episode_title, _) = clean(name.get(end..).unwrap_or_default());
                Self { title, year, episode: Some(episode), episode_title }
            }
            None => {
                let (title, year) = clean(name);
                Self { title, year, episode: None, episode_title: String::new() }
            }
        }
    }
}

/// Whether a folder's name only says which season it holds (`Season 1`, `S01`, `Staffel 2`, `Specials`).
pub(crate) fn is_season_folder(name: &str) -> bool {
    let folded = crate::fold(name);
    if folded == "specials" {
        return true;
    }
    let digits = ["season", "series", "staffel", "saison", "temporada", "s"]
        .iter()
        .find_map(|word| folded.strip_prefix(word))
        .map(str::trim_start);
    digits.is_some_and(|d| !d.is_empty() && d.len() <= 4 && d.bytes().all(|b| b.is_ascii_digit()))
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

/// The title in a name, and the year after it.
fn clean(name: &str) -> (String, Option<u16>) {
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
    let mut year = None;
    let mut end = words.len();
    for (i, word) in words.iter().enumerate() {
        let bare = word.trim_matches(|c: char| matches!(c, '(' | ')' | '[' | ']' | ',' | '-'));
        if RELEASE_WORDS.contains(&bare.to_lowercase().as_str()) {
            end = end.min(i);
            break;
        }
        if let Some(y) = as_year(bare)
            && i > 0
        {
            // The last year of the title part counts: "2001 A Space Odyssey 1968", "Blade Runner 2049 2017".
            (year, end) = (Some(y), i);
        }
    }
    let title = words.get(..end).unwrap_or_default().join(" ");
    (
        title
            .trim_matches(|c: char| c.is_whitespace() || matches!(c, '-' | ',' | '.' | '(' | '['))
            .to_owned(),
        year,
    )
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
        for yes in ["Season 1", "season 01", "S01", "Staffel 2", "Specials"] {
            assert!(is_season_folder(yes), "{yes}");
        }
        for no in ["Seasons", "Sherlock", "S", "Season of the Witch"] {
            assert!(!is_season_folder(no), "{no}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_name_makes_it_panic(name in "\\PC{0,60}") {
            let _ = ReleaseName::parse(&name);
        }

        #[test]
        fn an_episode_number_is_read_back(season in 0_u16..100, episode in 1_u16..1000) {
            let number = EpisodeNumber { season, episode, last: None };
            proptest::prop_assert_eq!(ReleaseName::parse(&format!("Show {number} x")).episode, Some(number));
        }
    }
}
