//! SubRip: the text of one cue as Matroska holds it, and whole files as people make them.
//!
//! There is no standard. Read are: any line ends and encodings, `,` or `.` before the milliseconds, numbers missing or
//! wrong, missing empty lines, empty lines within a cue, HTML tags, and `{\an8}` and its like.

use super::{
    Cue, ass,
    text::{CueText, decode, decode_file, lines, settings_of, time_ms},
};
use crate::{
    ContainerError, Format,
    limits::{CUE_TEXT_BYTES_MAX, CUES_MAX},
};

/// What a sample (the text of one cue) shows.
#[must_use]
pub fn cue_from_sample(start_ms: i64, duration_ms: i64, payload: &[u8]) -> Option<Cue> {
    let payload = payload.get(..CUE_TEXT_BYTES_MAX * 2).unwrap_or(payload);
    let (settings, text) = cue_text(&decode(payload));
    Cue::shown(start_ms, duration_ms, settings, text)
}

/// Reads a whole `.srt` file. Lines that belong to nothing are passed over.
///
/// # Errors
/// [`ContainerError::Limit`] for a file or a number of cues past its limit.
pub fn parse_file(bytes: &[u8]) -> Result<Vec<Cue>, ContainerError> {
    let text = decode_file(bytes)?;
    let mut cues = Vec::new();
    let mut open: Option<Open> = None;
    for line in lines(&text) {
        if let Some((start_ms, end_ms)) = timing(line) {
            if let Some(done) = open.replace(Open { start_ms, end_ms, text: String::new(), last_line: 0 }) {
                cues.extend(done.close(true));
            }
            if cues.len() >= CUES_MAX {
                return Err(ContainerError::limit(
                    Format::Subtitle,
                    0,
                    "number of cues",
                    CUES_MAX as u64 + 1,
                    CUES_MAX as u64,
                ));
            }
        } else if let Some(open) = &mut open {
            open.line(line);
        }
    }
    cues.extend(open.and_then(|last| last.close(false)));
    Ok(cues)
}

/// A cue whose text is still coming.
struct Open {
    start_ms: i64,
    end_ms: i64,
    text: String,
    /// Where the last line that is not empty begins.
    last_line: usize,
}

impl Open {
    fn line(&mut self, line: &str) {
        if !line.trim().is_empty() && self.text.len() + line.len() <= CUE_TEXT_BYTES_MAX * 2 {
            self.last_line = self.text.len();
            self.text.push_str(line);
            self.text.push('\n');
        }
    }

    fn close(mut self, another_follows: bool) -> Option<Cue> {
        let last = self.text.get(self.last_line..).unwrap_or_default().trim();
        if another_follows && !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) {
            // The number of the cue that follows.
            self.text.truncate(self.last_line);
        }
        let (settings, text) = cue_text(&self.text);
        Cue::shown(self.start_ms, self.end_ms.saturating_sub(self.start_ms), settings, text)
    }
}

/// `00:00:01,000 --> 00:00:02,500`, with whatever may follow.
fn timing(line: &str) -> Option<(i64, i64)> {
    let (start, rest) = line.split_once("-->")?;
    let end = rest.split_ascii_whitespace().next()?;
    Some((time_ms(start)?, time_ms(end)?))
}

/// Settings and WebVTT text of a cue's markup.
fn cue_text(markup: &str) -> (&'static str, String) {
    let mut out = CueText::default();
    let mut settings = "";
    let mut rest = markup;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '<' => tag(rest, &mut out),
            '&' => reference(rest).inspect(|&len| out.visible(rest.get(..len).unwrap_or_default())),
            '{' if rest.starts_with("{\\") => override_block(rest).inspect(|&len| {
                if let Some(place) = ass::place_of(rest.get(..len).unwrap_or_default()) {
                    settings = settings_of(place);
                }
            }),
            '\\' if rest.starts_with("\\N") => {
                out.char('\n');
                Some(2)
            }
            _ => None,
        };
        let len = taken.unwrap_or_else(|| {
            out.char(c);
            c.len_utf8()
        });
        rest = rest.get(len..).unwrap_or_default();
    }
    (settings, out.finish())
}

/// Longest tag looked for: `<font color="#ffffff" face="…">`.
const TAG_LEN_MAX: usize = 256;

/// The length of a tag at the front, its meaning noted; `None` when `<` is only a sign.
fn tag(text: &str, out: &mut CueText) -> Option<usize> {
    if !text.as_bytes().get(1).is_some_and(|b| b.is_ascii_alphabetic() || *b == b'/') {
        return None;
    }
    let len = text.bytes().take(TAG_LEN_MAX).position(|b| b == b'>')? + 1;
    let inner = text.get(1..len - 1)?;
    let (on, inner) = match inner.strip_prefix('/') {
        Some(inner) => (false, inner),
        None => (true, inner),
    };
    let name = inner.split([' ', '\t', '\n', '=']).next()?.trim();
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'/' | b'-' | b'_'));
    if !is_name {
        return None;
    }
    match name.to_ascii_lowercase().as_str() {
        "b" | "strong" => out.look().bold = on,
        "i" | "em" => out.look().italic = on,
        "u" => out.look().underline = on,
        "br" | "br/" => out.char('\n'),
        _ => {}
    }
    Some(len)
}

/// The length of a character reference that WebVTT has too.
fn reference(text: &str) -> Option<usize> {
    const LEN_MAX: usize = 10;
    let len = text.bytes().take(LEN_MAX).position(|b| b == b';')? + 1;
    let name = text.get(1..len - 1)?;
    let is_known = matches!(name, "amp" | "lt" | "gt" | "nbsp" | "lrm" | "rlm" | "quot")
        || name.strip_prefix('#').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    is_known.then_some(len)
}

/// The length of `{\…}`.
fn override_block(text: &str) -> Option<usize> {
    text.bytes().take(TAG_LEN_MAX).position(|b| b == b'}').map(|at| at + 1)
}
