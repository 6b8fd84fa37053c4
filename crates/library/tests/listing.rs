//! Torrents' lists of files, as found in the wild and as a stranger may make them: `listings.txt` is the table.
#![expect(clippy::unwrap_used, reason = "tests: a panic is the complaint")]

use std::time::{Duration, Instant};

use library::{FileKind, ListedFile, Listing, limits::LISTED_FILES_MAX};

struct Row {
    default: bool,
    path: String,
    bytes: u64,
    expected: String,
    subtitles: String,
}

struct Torrent {
    name: String,
    rows: Vec<Row>,
}

impl Torrent {
    fn listing(&self) -> Listing {
        let files = self.rows.iter().zip(0_u32..);
        Listing::of(&self.name, files.map(|(row, index)| (index, row.path.as_str(), row.bytes)))
    }
}

fn table() -> Vec<Torrent> {
    let mut torrents: Vec<Torrent> = Vec::new();
    let mut folder = String::new();
    let lines = include_str!("listings.txt").lines().skip_while(|line| !line.starts_with("---"));
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with("---")) {
        if let Some(name) = line.strip_prefix("=== ") {
            folder.clear();
            torrents.push(Torrent { name: name.to_owned(), rows: Vec::new() });
        } else if let Some(name) = line.strip_prefix("== ") {
            folder = format!("{name}/");
            torrents.push(Torrent { name: name.to_owned(), rows: Vec::new() });
        } else {
            let mut parts = line.split('|').map(|part| part.strip_prefix(' ').unwrap_or(part));
            let mut part = || parts.next().map(|part| part.strip_suffix(' ').unwrap_or(part).to_owned());
            let default = part().unwrap().trim() == ">";
            let path = format!("{folder}{}", part().unwrap());
            let mib: f64 = part().unwrap().parse().unwrap();
            let bytes = Duration::from_secs_f64(mib * 1_048.576).as_millis();
            let row = Row {
                default,
                path,
                bytes: u64::try_from(bytes).unwrap(),
                expected: part().unwrap(),
                subtitles: part().unwrap_or_default(),
            };
            torrents.last_mut().unwrap().rows.push(row);
        }
    }
    torrents
}

fn kind(file: &ListedFile) -> &'static str {
    match file.kind {
        FileKind::Video => "video",
        FileKind::Audio => "audio",
        FileKind::Subtitle => "subtitle",
        FileKind::Sample => "sample",
        FileKind::Extra => "extra",
        FileKind::Image => "image",
        FileKind::Text => "text",
        FileKind::Other => "other",
    }
}

/// As the table has it.
fn said(file: &ListedFile) -> String {
    let mut said = kind(file).to_owned();
    if !file.title.is_empty() {
        said += &format!(" {}", file.title);
    }
    if let Some(year) = file.year {
        said += &format!(" ({year})");
    }
    said
}

fn subtitles(file: &ListedFile) -> String {
    let each = file.subtitles.iter().map(|subtitle| {
        let flags = [(subtitle.forced, "+forced"), (subtitle.hearing_impaired, "+hi")];
        let flags: String = flags.iter().filter(|(said, _)| *said).map(|(_, flag)| *flag).collect();
        format!("{}:{}{flags}", subtitle.index, subtitle.language.as_deref().unwrap_or("-"))
    });
    each.collect::<Vec<_>>().join(" ")
}

#[test]
fn torrents_of_the_wild_are_read() {
    let torrents = table();
    assert!(torrents.len() >= 60, "{} torrents", torrents.len());
    let mut wrong = Vec::new();
    for torrent in &torrents {
        let listing = torrent.listing();
        for (row, file) in torrent.rows.iter().zip(listing.files()) {
            // The titles of what only comes along are stated where they matter.
            let found = if row.expected.contains(' ') || file.kind == FileKind::Video {
                said(file)
            } else {
                kind(file).to_owned()
            };
            let default = listing.default_file() == Some(file.index);
            let found = (default, found, subtitles(file));
            let expected = (row.default, row.expected.clone(), row.subtitles.clone());
            if found != expected {
                wrong.push(format!("{}: {expected:?} expected, {found:?} found", row.path));
            }
        }
        assert_eq!(listing.files().len(), torrent.rows.len());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_episode_s_index_stands_in_its_title() {
    for torrent in table() {
        for file in torrent.listing().files() {
            if let Some(episode) = file.episode {
                assert!(file.title.contains(&episode.to_string()), "{}", file.title);
            }
        }
    }
}

#[test]
fn files_are_found_by_number_whatever_their_order() {
    let files = [(7, "a/b.mkv", 5), (2, "a/c.mkv", 6), (7, "a/d.mkv", 9)];
    let listing = Listing::of("a", files.into_iter());
    assert_eq!(listing.files().iter().map(|file| file.index).collect::<Vec<_>>(), [2, 7]);
    assert_eq!(listing.file(7).unwrap().title, "b");
    assert_eq!(listing.file(3), None);
    assert_eq!(listing.default_file(), Some(2));
}

#[test]
fn sizes_that_overflow_are_only_big() {
    let files = [(0, "a/f.cd1.avi", u64::MAX), (1, "a/f.cd2.avi", u64::MAX), (2, "a/g.avi", 1)];
    assert_eq!(Listing::of("a", files.into_iter()).default_file(), Some(0));
}

/// A quadratic step over so many files would take hours; a linear one a few seconds, without optimisation too.
fn within_a_minute(paths: &[String]) -> Listing {
    let began = Instant::now();
    let files = paths.iter().zip(0_u32..).map(|(path, index)| (index, path.as_str(), 1 << 20));
    let listing = Listing::of("x", files);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    listing
}

#[test]
fn a_hundred_thousand_films_and_subtitles_in_one_folder_take_linear_time() {
    let half = LISTED_FILES_MAX / 2;
    let films = (0..half).map(|n| format!("x/Film {n}.mkv"));
    let paths: Vec<String> = films.chain((0..half).map(|n| format!("x/Film {n}.en.srt"))).collect();
    let listing = within_a_minute(&paths);
    assert_eq!(listing.files()[1].subtitles.len(), 1);
    assert_eq!(listing.files()[half - 1].subtitles.len(), 1);
}

#[test]
fn long_names_of_nothing_but_words_take_linear_time() {
    let half = LISTED_FILES_MAX / 8;
    let dots = ".a".repeat(110);
    let films = (0..half).map(|n| format!("x/S01/Subs/{n}{dots}.mkv"));
    let paths: Vec<String> =
        films.chain((0..half).map(|n| format!("x/S01/Subs/{n}{dots}{dots}.srt"))).collect();
    let _ = within_a_minute(&paths);
}

#[test]
fn files_past_the_limit_are_left_out() {
    let paths: Vec<String> = (0..LISTED_FILES_MAX + 5).map(|n| format!("x/{n}.bin")).collect();
    assert_eq!(within_a_minute(&paths).files().len(), LISTED_FILES_MAX);
}

proptest::proptest! {
    #[test]
    fn no_list_makes_it_panic_and_the_default_can_be_played(
        files in proptest::collection::vec(("[a-zS01E2 ./\\-_\\[\\]()é]{0,40}(\\.mkv|\\.srt|\\.mp3|/Subs/x\\.srt|)", 0_u64..4), 0..12)
    ) {
        let given = files.iter().zip(0_u32..).map(|((path, size), index)| (index, path.as_str(), *size));
        let listing = Listing::of("x", given);
        if let Some(default) = listing.default_file() {
            proptest::prop_assert!(listing.file(default).unwrap().playable);
        }
        proptest::prop_assert_eq!(listing.default_file().is_some(), listing.files().iter().any(|file| file.playable));
    }
}
