//! Text in and out: bytes of unknown encoding decoded, and WebVTT cue text built with its escapes and tags.

use std::borrow::Cow;

use crate::{
    ContainerError, Format,
    limits::{CUE_TEXT_BYTES_MAX, SUBTITLE_FILE_BYTES_MAX},
};

/// The characters of Windows-1252 that differ from Latin-1, from 0x80.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Text of a file: UTF-8 or UTF-16 by its byte order mark, UTF-8 where it is valid, else Windows-1252.
#[must_use]
pub fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes).into(),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes).into(),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => bytes.iter().map(|&b| windows_1252(b)).collect(),
        },
    }
}

fn windows_1252(byte: u8) -> char {
    let special = byte.checked_sub(0x80).and_then(|at| WINDOWS_1252.get(usize::from(at)));
    special.copied().unwrap_or(char::from(byte))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.as_chunks::<2>().0.iter().map(|&pair| unit(pair));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// [`decode`] for a whole file, refused past its limit.
pub(super) fn decode_file(bytes: &[u8]) -> Result<Cow<'_, str>, ContainerError> {
    let len = bytes.len() as u64;
    if len > SUBTITLE_FILE_BYTES_MAX {
        return Err(ContainerError::limit(
            Format::Subtitle,
            0,
            "bytes of the file",
            len,
            SUBTITLE_FILE_BYTES_MAX,
        ));
    }
    Ok(decode(bytes))
}

/// Lines, whichever of LF, CR LF or CR ends them.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    // A CR LF gives an empty piece only between the two, which `str::lines` has taken away before.
    text.lines().flat_map(|line| line.split('\r'))
}

/// How letters look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) bold: bool,
    pub(super) italic: bool,
    pub(super) underline: bool,
}

/// Builds cue text: escapes, balanced tags, no empty line, no more than [`CUE_TEXT_BYTES_MAX`].
#[derive(Debug, Default)]
pub(super) struct CueText {
    out: String,
    /// How the next letter shall look, and how the letters so far do: tags are written when a letter needs them.
    look: Look,
    open: Look,
    /// Breaks and spaces that wait for a letter, so that there are none at the end and no empty line.
    newline: bool,
    spaces: usize,
}

impl CueText {
    pub(super) fn look(&mut self) -> &mut Look {
        &mut self.look
    }

    /// A character of the text.
    pub(super) fn char(&mut self, c: char) {
        match c {
            '&' => self.visible("&amp;"),
            '<' => self.visible("&lt;"),
            '>' => self.visible("&gt;"),
            '\n' | '\r' | '\u{2028}' | '\u{2029}' => {
                self.newline = !self.out.is_empty();
                self.spaces = 0;
            }
            ' ' | '\t' => self.spaces += 1,
            c if c.is_control() || c == '\u{feff}' => {}
            c => self.visible(c.encode_utf8(&mut [0; 4])),
        }
    }

    /// Text without markup.
    pub(super) fn plain(&mut self, text: &str) {
        text.chars().for_each(|c| self.char(c));
    }

    /// A character reference or an escaped character.
    pub(super) fn visible(&mut self, escaped: &str) {
        // Room for the tags that have to be closed.
        const TAGS_LEN: usize = 32;
        if self.out.len() + self.spaces + escaped.len() + TAGS_LEN > CUE_TEXT_BYTES_MAX {
            return;
        }
        if self.look != self.open {
            self.close();
        }
        if std::mem::take(&mut self.newline) {
            self.out.push('\n');
            self.spaces = 0;
        }
        let spaces = std::mem::take(&mut self.spaces);
        if !self.out.is_empty() {
            self.out.extend(std::iter::repeat_n(' ', spaces));
        }
        if self.look != self.open {
            for (on, tag) in
                [(self.look.bold, "<b>"), (self.look.italic, "<i>"), (self.look.underline, "<u>")]
            {
                self.out.push_str(if on { tag } else { "" });
            }
            self.open = self.look;
        }
        self.out.push_str(escaped);
    }

    fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        for (on, tag) in [(open.underline, "</u>"), (open.italic, "</i>"), (open.bold, "</b>")] {
            self.out.push_str(if on { tag } else { "" });
        }
    }

    pub(super) fn finish(mut self) -> String {
        self.close();
        self.out
    }
}

/// Cue settings for a place as on a numeric keypad (`\an1` to `\an9`); nothing for the usual one, 2.
#[must_use]
pub(super) const fn settings_of(place: u8) -> &'static str {
    match place {
        1 => "position:0% align:start",
        3 => "position:100% align:end",
        4 => "line:50% position:0% align:start",
        5 => "line:50%",
        6 => "line:50% position:100% align:end",
        7 => "line:0 position:0% align:start",
        8 => "line:0",
        9 => "line:0 position:100% align:end",
        _ => "",
    }
}

/// A time as SRT, WebVTT and ASS write it: `[hours:]minutes:seconds[.,]fraction`. Milliseconds.
pub(super) fn time_ms(text: &str) -> Option<i64> {
    let (clock, fraction) = match text.trim().split_once([',', '.']) {
        Some((clock, fraction)) => (clock, fraction.trim()),
        None => (text.trim(), ""),
    };
    let mut seconds: i64 = 0;
    let mut parts = 0;
    for part in clock.split(':') {
        let part = part.trim();
        if part.is_empty() || part.len() > 6 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        seconds = seconds * 60 + part.parse::<i64>().ok()?;
        parts += 1;
        if parts > 3 {
            return None;
        }
    }
    let digits = fraction.bytes().take_while(u8::is_ascii_digit);
    let mut ms = 0;
    for (digit, worth) in digits.zip([100, 10, 1]) {
        ms += i64::from(digit - b'0') * worth;
    }
    (parts >= 2).then_some(seconds * 1_000 + ms)
}
