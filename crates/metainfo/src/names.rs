//! From bytes that call themselves a file name to a name that can be opened beneath a folder. Opens nothing itself.
//!
//! What could lead out of the folder is refused; what is merely odd is given a safe name, so that the torrent still
//! downloads:
//!
//! | found | done |
//! | --- | --- |
//! | `..`, an absolute path, a drive letter with a slash | refused |
//! | NUL | refused |
//! | a path longer than [`PATH_BYTES_MAX`], or of more than [`PATH_COMPONENTS_MAX`] components | refused |
//! | an empty component, or `.` | left out; a path of nothing else is refused |
//! | `/` or `\` within a component | `_` |
//! | control characters; marks that turn the direction of text | `_` |
//! | a name that Windows reserves (`CON`, `nul.txt`, `COM1`, …) | `_` before it |
//! | a component longer than [`NAME_BYTES_MAX`] | shortened, marked with a hash of the whole, the extension kept |
//! | bytes that are not UTF-8 | read as Windows-1252, in which every byte is something |
//!
//! Two paths may differ by case alone: on the systems that this runs on they are two files.

use std::borrow::Cow;

use sha1::{Digest, Sha1};

use crate::limits::{NAME_BYTES_MAX, PATH_BYTES_MAX, PATH_COMPONENTS_MAX};

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// `..`.
    #[error("it leads out of its folder")]
    Traversal,
    /// It begins at a root.
    #[error("it is absolute")]
    Absolute,
    /// A zero byte.
    #[error("it has a zero byte")]
    Nul,
    /// Nothing is left of it.
    #[error("it is empty")]
    Empty,
    /// Too many bytes.
    #[error("it is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
    /// Too many components.
    #[error("it has more than {PATH_COMPONENTS_MAX} components")]
    TooDeep,
}

/// A path made safe: components joined by `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SafePath {
    pub(crate) path: String,
    /// Whether it is other than what was given.
    pub(crate) altered: bool,
}

/// Bytes as text: UTF-8, else Windows-1252, which loses nothing.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|byte| windows_1252(*byte)).collect()),
    }
}

/// The character of a byte in Windows-1252; the five bytes it leaves open are the control characters of Latin-1.
fn windows_1252(byte: u8) -> char {
    const FROM_80: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => FROM_80[usize::from(byte - 0x80)],
        other => char::from(other),
    }
}

/// The safe path of `components`.
pub(crate) fn path<'a>(components: impl IntoIterator<Item = &'a [u8]>) -> Result<SafePath, NameProblem> {
    let mut safe = SafePath { path: String::new(), altered: false };
    for (count, given) in components.into_iter().enumerate() {
        if count >= PATH_COMPONENTS_MAX {
            return Err(NameProblem::TooDeep);
        }
        let component = component(given)?;
        safe.altered |= component.as_bytes() != given;
        if component.is_empty() {
            continue;
        }
        if !safe.path.is_empty() {
            safe.path.push('/');
        }
        safe.path.push_str(&component);
        if safe.path.len() > PATH_BYTES_MAX {
            return Err(NameProblem::TooLong);
        }
    }
    if safe.path.is_empty() { Err(NameProblem::Empty) } else { Ok(safe) }
}

/// The safe name of one component; empty where it is to be left out.
fn component(bytes: &[u8]) -> Result<Cow<'_, str>, NameProblem> {
    // Nothing so long is a name; it is not looked at.
    if bytes.len() > 16 * NAME_BYTES_MAX {
        return Err(NameProblem::TooLong);
    }
    let given = text(bytes);
    if given.contains('\0') {
        return Err(NameProblem::Nul);
    }
    // Windows drops spaces behind a name.
    if given.split(['/', '\\']).any(|part| part.trim_end() == "..") {
        return Err(NameProblem::Traversal);
    }
    let drive = matches!(given.as_bytes(), [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic());
    if given.starts_with(['/', '\\']) || drive {
        return Err(NameProblem::Absolute);
    }
    if given.is_empty() || given == "." {
        return Ok(Cow::Borrowed(""));
    }
    let mut safe = given;
    if safe.contains(is_odd) {
        safe = Cow::Owned(safe.chars().map(|c| if is_odd(c) { '_' } else { c }).collect());
    }
    if is_reserved(&safe) {
        safe = Cow::Owned(format!("_{safe}"));
    }
    if safe.len() > NAME_BYTES_MAX {
        safe = Cow::Owned(marked(&safe, bytes));
    }
    Ok(safe)
}

fn is_odd(c: char) -> bool {
    c.is_control()
        || matches!(c, '/' | '\\' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Names of devices on Windows, whatever their case and extension.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let is = |word: &str| stem.eq_ignore_ascii_case(word);
    let numbered = |word: &str| {
        stem.get(..3).is_some_and(|head| head.eq_ignore_ascii_case(word))
            && matches!(
                stem.get(3..),
                Some("0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
            )
    };
    is("CON") || is("PRN") || is("AUX") || is("NUL") || numbered("COM") || numbered("LPT")
}

/// `name` with a hash of `whole` before its extension, and short enough.
pub(crate) fn marked(name: &str, whole: &[u8]) -> String {
    let mark: String = Sha1::digest(whole)[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= 16 => name.split_at(dot),
        _ => (name, ""),
    };
    let room = NAME_BYTES_MAX - extension.len() - mark.len() - 1;
    let end = stem.floor_char_boundary(room);
    format!("{}~{mark}{extension}", &stem[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str) -> Result<String, NameProblem> {
        path([name.as_bytes()]).map(|safe| safe.path)
    }

    #[test]
    fn what_leads_out_of_the_folder_is_refused() {
        for name in ["..", "../a", "a/../b", "a\\..\\b", "..\\a", ".. ", "a/.."] {
            assert_eq!(one(name), Err(NameProblem::Traversal), "{name}");
        }
        for name in ["/etc/passwd", "\\\\server\\share", "C:\\Windows", "c:/x", "/"] {
            assert_eq!(one(name), Err(NameProblem::Absolute), "{name}");
        }
        assert_eq!(path([&b"a"[..], b".."]), Err(NameProblem::Traversal));
        assert_eq!(one("a\0b"), Err(NameProblem::Nul));
        assert_eq!(one(""), Err(NameProblem::Empty));
        assert_eq!(one("."), Err(NameProblem::Empty));
    }

    #[test]
    fn what_is_merely_odd_gets_a_safe_name() {
        for (name, safe) in [
            ("AC/DC.mp3", "AC_DC.mp3"),
            ("a\\b", "a_b"),
            ("a\nb\u{7f}\u{85}", "a_b__"),
            ("gpj.\u{202e}exe", "gpj._exe"),
            ("con", "_con"),
            ("Aux.h", "_Aux.h"),
            ("LPT9.tar.gz", "_LPT9.tar.gz"),
            ("nul .txt", "_nul .txt"),
        ] {
            assert_eq!(one(name).as_deref(), Ok(safe), "{name}");
        }
        for name in ["...", "..a", "console", "com10", "Q: why?.mkv", "C:", "a b. ", "日本語.mkv", "COMÀ"]
        {
            assert_eq!(one(name).as_deref(), Ok(name), "{name}");
        }
        let safe = path([&b"."[..], b"a", b"", b"b"]).unwrap();
        assert_eq!((safe.path.as_str(), safe.altered), ("a/b", true));
    }

    #[test]
    fn names_that_are_not_utf_8_are_read_as_windows_1252() {
        assert_eq!(path([&b"Caf\xe9 \x80.mkv"[..]]).unwrap().path, "Café €.mkv");
        assert_eq!(path([&b"\x81\xff"[..]]).unwrap().path, "_ÿ");
    }

    #[test]
    fn long_names_are_shortened_and_stay_apart() {
        let long = |end: &str| format!("{}{end}.mkv", "ä".repeat(200));
        let (a, b) = (one(&long("a")).unwrap(), one(&long("b")).unwrap());
        assert!(a.len() <= NAME_BYTES_MAX && a.ends_with(".mkv") && a.starts_with("ää"), "{a}");
        assert_ne!(a, b);
        assert_eq!(one(&"x".repeat(255)).unwrap().len(), 255);
        assert_eq!(one(&"x".repeat(10_000)), Err(NameProblem::TooLong));
        let folders = vec!["f".repeat(200); 18];
        assert_eq!(path(folders.iter().map(String::as_bytes)), Err(NameProblem::TooLong));
        assert_eq!(path(["a".as_bytes()].repeat(65)), Err(NameProblem::TooDeep));
    }
}
