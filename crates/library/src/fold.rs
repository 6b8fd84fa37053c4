//! Case- and accent-blind text, for searching and sorting.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Lower case, without accents, every run of punctuation or white space one space: `"Amélie: L'été"` is
/// `"amelie l ete"`. Letters that do not decompose but are read alike are spelled out (`ø` is `o`, `ß` is `ss`).
#[must_use]
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase) {
        match c {
            'ß' => out.push_str("ss"),
            'æ' => out.push_str("ae"),
            'œ' => out.push_str("oe"),
            'ø' => out.push('o'),
            'ł' => out.push('l'),
            'đ' | 'ð' => out.push('d'),
            'þ' => out.push_str("th"),
            'ı' => out.push('i'),
            c if c.is_alphanumeric() => out.push(c),
            _ if out.ends_with(' ') || out.is_empty() => {}
            _ => out.push(' '),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// A key that sorts as people do: folded, without a leading English article, numbers by value.
pub(crate) fn sort_key(title: &str) -> String {
    let folded = fold(title);
    let bare =
        ["the ", "a ", "an "].iter().find_map(|article| folded.strip_prefix(article)).unwrap_or(&folded);
    let mut key = String::with_capacity(bare.len() + 8);
    let mut digits = String::new();
    for c in bare.chars().chain(std::iter::once('\0')) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        if !digits.is_empty() {
            key.push_str(&format!("{digits:0>10}"));
            digits.clear();
        }
        if c != '\0' {
            key.push(c);
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_punctuation_do_not_matter() {
        assert_eq!(fold("Amélie: L'ÉTÉ"), "amelie l ete");
        assert_eq!(fold("Übermut & Straße"), "ubermut strasse");
        assert_eq!(fold("  Łódź -- Smørrebrød "), "lodz smorrebrod");
        assert_eq!(fold("Ｆｕｌｌｗｉｄｔｈ ①"), "fullwidth 1");
    }

    #[test]
    fn articles_and_digits_sort_as_people_do() {
        let mut titles = ["Part 10", "The Matrix", "part 2", "Alien"];
        titles.sort_by_key(|t| sort_key(t));
        assert_eq!(titles, ["Alien", "The Matrix", "part 2", "Part 10"]);
    }

    proptest::proptest! {
        #[test]
        fn folding_twice_changes_nothing(text in ".{0,40}") {
            let once = fold(&text);
            proptest::prop_assert_eq!(fold(&once), once);
        }
    }
}
