//! Which files are wanted, and what that means for pieces.

use std::ops::Range;

use metainfo::{Info, PieceIndex};

use crate::{Priority, Select};

/// The priority of every file, as `select` has it.
pub(crate) fn priorities(info: &Info, select: &Select) -> Vec<Priority> {
    let files = info.files();
    let wanted = |wanted: bool| if wanted { Priority::Normal } else { Priority::Skip };
    files
        .iter()
        .map(|(index, file)| match select {
            Select::All => Priority::Normal,
            Select::Nothing => Priority::Skip,
            Select::Files(chosen) => wanted(chosen.contains(&index)),
            Select::Matching(patterns) => wanted(patterns.iter().any(|pattern| {
                let stored = files.stored_path(index).unwrap_or_default();
                [file.name(), file.path(), &stored].into_iter().any(|name| matches(pattern, name))
            })),
        })
        .collect()
}

/// The priorities of pieces, as ranges that follow each other: a piece is wanted as much as the file in it that is wanted
/// most.
pub(crate) fn wanted_pieces(info: &Info, priorities: &[Priority]) -> Vec<(Range<u32>, swarm::Priority)> {
    let layout = info.layout();
    let mut of_pieces = vec![Priority::Skip; layout.pieces() as usize];
    for (index, file) in info.files().iter().filter(|(_, file)| file.length() > 0 && file.is_stored()) {
        let priority = priorities.get(index.as_usize()).copied().unwrap_or_default();
        let pieces = layout.pieces_of(file.range());
        for piece in &mut of_pieces[pieces.start as usize..pieces.end as usize] {
            *piece = (*piece).max(priority);
        }
    }
    let mut ranges: Vec<(Range<u32>, swarm::Priority)> = Vec::new();
    for (piece, priority) in (0..layout.pieces()).zip(of_pieces) {
        let priority = match priority {
            Priority::Skip => swarm::Priority::Skip,
            Priority::Low => swarm::Priority::Low,
            Priority::Normal => swarm::Priority::Normal,
            Priority::High => swarm::Priority::High,
        };
        match ranges.last_mut() {
            Some((range, last)) if *last == priority => range.end = piece + 1,
            _ => ranges.push((piece..piece + 1, priority)),
        }
    }
    ranges
}

/// Bytes of the wanted pieces.
pub(crate) fn wanted_piece_bytes(info: &Info, wanted: &[(Range<u32>, swarm::Priority)]) -> u64 {
    let layout = info.layout();
    let bytes = |range: &Range<u32>| {
        let last = layout.range(PieceIndex(range.end.saturating_sub(1)));
        last.end - layout.offset(PieceIndex(range.start))
    };
    wanted
        .iter()
        .filter(|(_, priority)| *priority != swarm::Priority::Skip)
        .map(|(range, _)| bytes(range))
        .sum()
}

/// Bytes of the wanted files.
pub(crate) fn wanted_bytes(info: &Info, priorities: &[Priority]) -> u64 {
    let files = info.files().iter().filter(|(_, file)| file.is_stored());
    files
        .filter(|(index, _)| {
            priorities.get(index.as_usize()).is_none_or(|priority| *priority != Priority::Skip)
        })
        .map(|(_, file)| file.length())
        .sum()
}

/// Whether `name` is what `pattern` says: `*` any characters, `?` one, the rest itself, in either case.
fn matches(pattern: &str, name: &str) -> bool {
    let fold = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<_>>();
    let (pattern, name) = (fold(pattern), fold(name));
    let (mut at, mut in_name) = (0, 0);
    // Where to go on when a guess of what `*` covers proves wrong: only the last star need be thought over.
    let mut star = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(expected) if *expected == '?' || *expected == name[in_name] => {
                at += 1;
                in_name += 1;
            }
            _ => {
                let Some((star_at, covered)) = star else { return false };
                star = Some((star_at, covered + 1));
                at = star_at + 1;
                in_name = covered + 1;
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_stars_and_question_marks_in_either_case() {
        for (pattern, name) in [
            ("*.MKV", "Film.mkv"),
            ("f?lm*", "Film.mkv"),
            ("*", ""),
            ("a*b*c", "aXbXbc"),
            ("**x", "x"),
            ("show/s01*", "Show/S01E02.mkv"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("*.mkv", "film.mp4"), ("?", ""), ("a*b", "abc"), ("", "x"), ("film", "film.mkv")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
