//! Rust source with comments, string contents and test modules blanked out, line by line in place.
//!
//! A scanner, not a parser: enough to search for words that must not be in product code.

/// The code of a file as product: comments, the inside of literals and `#[cfg(test)]` items become spaces; lines stay.
pub(crate) fn product(text: &str) -> String {
    blank_tests(&blank_comments(text))
}

/// Comments and the inside of literals become spaces.
pub(crate) fn blank_comments(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let starts = |at: usize, what: &str| what.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    while at < chars.len() {
        let end = if starts(at, "//") {
            (at..chars.len()).find(|&i| chars[i] == '\n').unwrap_or(chars.len())
        } else if starts(at, "/*") {
            block_comment_end(&chars, at)
        } else if chars[at] == 'r'
            && !word(at.checked_sub(1).map(|i| chars[i]))
            && raw_hashes(&chars, at).is_some()
        {
            raw_string_end(&chars, at)
        } else if chars[at] == '"' {
            string_end(&chars, at, '"')
        } else if chars[at] == '\'' && char_literal(&chars, at) {
            string_end(&chars, at, '\'')
        } else {
            out.push(chars[at]);
            at += 1;
            continue;
        };
        out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

fn word(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(chars.len())
}

/// How many `#` a raw string that starts here has.
fn raw_hashes(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    (chars.get(at + 1 + hashes) == Some(&'"')).then_some(hashes)
}

fn raw_string_end(chars: &[char], start: usize) -> usize {
    let hashes = raw_hashes(chars, start).unwrap_or(0);
    let mut at = start + hashes + 2;
    while at < chars.len() {
        if chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    chars.len()
}

fn string_end(chars: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// Whether a quote starts a character and not a lifetime.
fn char_literal(chars: &[char], at: usize) -> bool {
    chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'')
}

/// Items under `#[cfg(test)]` become spaces, up to the brace that closes them or the `;` that ends them.
fn blank_tests(text: &str) -> String {
    let mut out = text.to_owned();
    let mut from = 0;
    while let Some(found) = out[from..].find("#[cfg(test)]") {
        let start = from + found;
        let mut depth = 0;
        let mut end = out.len();
        for (i, c) in out[start + "#[cfg(test)]".len()..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 && (c == '}' || c == ';') {
                end = start + "#[cfg(test)]".len() + i + 1;
                break;
            }
        }
        let blank: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        from = start + blank.len();
        out.replace_range(start..end, &blank);
    }
    out
}

/// The lines (from 1) where `words` stands as whole words: `Instant` is not in `InstantView`.
pub(crate) fn lines_with(code: &str, words: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let hit = line.match_indices(words).any(|(at, _)| {
            !word(line[..at].chars().next_back()) && !word(line[at + words.len()..].chars().next())
        });
        if hit {
            lines.push(number + 1);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay() {
        let code = blank_comments(
            "let a = \"std::fs\"; // std::fs\n/* std::\nfs */ let b = r#\"std::fs\"#; let c = '\"'; std::fs",
        );
        assert_eq!(code.matches("std::fs").count(), 1);
        assert_eq!(code.lines().count(), 3);
    }

    #[test]
    fn a_lifetime_is_no_character() {
        assert!(blank_comments("fn f<'a>(x: &'a str) { unsafe {} }").contains("unsafe"));
    }

    #[test]
    fn test_modules_are_no_product() {
        let code = product(
            "fn f() {}\n#[cfg(test)]\nmod tests {\n  use std::fs;\n}\nfn g() {}\n#[cfg(test)]\nmod more;\nuse a;",
        );
        assert!(!code.contains("fs") && code.contains("fn g") && code.contains("use a"));
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(lines_with("InstantView\nInstant::now\nan Instant", "Instant"), [2, 3]);
    }
}
