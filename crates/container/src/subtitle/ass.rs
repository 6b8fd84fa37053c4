//! SubStation Alpha (V4 and V4+, as Matroska holds it and as files): into cues, and back into a file.
//!
//! A Matroska block is `ReadOrder,Layer,Style,Name,MarginL,MarginR,MarginV,Effect,Text`; the header is the private data.

use std::{collections::HashMap, ops::ControlFlow};

use bytes::Bytes;

use super::{
    Cue,
    text::{CueText, Look, decode, decode_file, lines, settings_of, time_ms},
};
use crate::{
    ContainerError, Format,
    limits::{CUE_TEXT_BYTES_MAX, CUES_MAX, SUBTITLE_FILE_BYTES_MAX, SUBTITLE_STYLES_MAX},
};

/// What of a header's styles WebVTT can show.
#[derive(Clone, Debug, Default)]
pub struct Styles {
    by_name: HashMap<String, Style>,
    /// `WrapStyle: 2`: `\n` breaks lines as `\N` does.
    soft_breaks: bool,
}

#[derive(Clone, Copy, Debug)]
struct Style {
    look: Look,
    /// As on a numeric keypad.
    place: u8,
}

const PLAIN: Style = Style { look: Look { bold: false, italic: false, underline: false }, place: 2 };

impl Styles {
    /// Reads a header: `[Script Info]` and `[V4+ Styles]` or `[V4 Styles]`. What cannot be read counts as plain.
    #[must_use]
    pub fn parse(header: &[u8]) -> Self {
        let header = header.get(..HEADER_BYTES_MAX).unwrap_or(header);
        let mut reader = StyleReader::default();
        for line in lines(&decode(header)) {
            if reader.line(line).is_break() {
                break;
            }
        }
        reader.styles
    }

    fn get(&self, name: &str) -> Style {
        // Some writers put an asterisk before the name.
        self.by_name.get(name.trim().trim_start_matches('*')).copied().unwrap_or(PLAIN)
    }
}

/// Bytes of a header that are read: embedded fonts and pictures come after the styles.
const HEADER_BYTES_MAX: usize = 4 << 20;

#[derive(Default)]
struct StyleReader {
    styles: Styles,
    section: Section,
    columns: Columns,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Section {
    #[default]
    Other,
    Styles,
    /// V4 counts alignments the old way.
    OldStyles,
    Events,
}

impl Section {
    fn of(heading: &str) -> Self {
        match heading.to_ascii_lowercase().as_str() {
            "[v4+ styles]" | "[v4 styles+]" => Self::Styles,
            "[v4 styles]" => Self::OldStyles,
            "[events]" => Self::Events,
            _ => Self::Other,
        }
    }
}

/// Where in a `Style:` line what stands.
#[derive(Clone, Copy, Debug)]
struct Columns {
    name: usize,
    bold: usize,
    italic: usize,
    underline: usize,
    alignment: usize,
}

impl Default for Columns {
    fn default() -> Self {
        Self { name: 0, bold: 7, italic: 8, underline: 9, alignment: 18 }
    }
}

impl Columns {
    fn of(format: &str) -> Self {
        let place = |name: &str| {
            format.split(',').position(|c| c.trim().eq_ignore_ascii_case(name)).unwrap_or(usize::MAX)
        };
        Self {
            name: place("Name"),
            bold: place("Bold"),
            italic: place("Italic"),
            underline: place("Underline"),
            alignment: place("Alignment"),
        }
    }
}

impl StyleReader {
    fn line(&mut self, line: &str) -> ControlFlow<()> {
        let line = line.trim();
        if line.starts_with('[') {
            self.section = Section::of(line);
            // Styles come before events.
            return if self.section == Section::Events {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            };
        }
        let Some((key, value)) = line.split_once(':') else { return ControlFlow::Continue(()) };
        let in_styles = matches!(self.section, Section::Styles | Section::OldStyles);
        match key.trim().to_ascii_lowercase().as_str() {
            "wrapstyle" => self.styles.soft_breaks = value.trim() == "2",
            "format" if in_styles => self.columns = Columns::of(value),
            "style" if in_styles && self.styles.by_name.len() < SUBTITLE_STYLES_MAX => self.style(value),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn style(&mut self, value: &str) {
        const COLUMNS_MAX: usize = 64;
        let fields: Vec<&str> = value.split(',').take(COLUMNS_MAX).map(str::trim).collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        // On is -1; some writers say 1.
        let on = |at: usize| !matches!(field(at), "" | "0");
        let alignment = field(self.columns.alignment).parse().unwrap_or(2);
        let style = Style {
            look: Look {
                bold: on(self.columns.bold),
                italic: on(self.columns.italic),
                underline: on(self.columns.underline),
            },
            place: if self.section == Section::OldStyles { old_place(alignment) } else { alignment },
        };
        self.styles.by_name.insert(field(self.columns.name).trim_start_matches('*').to_owned(), style);
    }
}

/// SSA's alignment: 1 to 3 below, plus 4 above, plus 8 in the middle.
const fn old_place(alignment: u8) -> u8 {
    match alignment {
        5..=7 => alignment + 2,
        9..=11 => alignment - 5,
        1..=3 => alignment,
        _ => 2,
    }
}

/// The fields of an event after its times.
struct Fields<'e> {
    style: &'e str,
    text: &'e str,
}

/// What a Matroska block shows; `None` for drawings and empty lines.
#[must_use]
pub fn cue_from_sample(styles: &Styles, start_ms: i64, duration_ms: i64, payload: &[u8]) -> Option<Cue> {
    let payload = payload.get(..CUE_TEXT_BYTES_MAX * 4).unwrap_or(payload);
    let text = decode(payload);
    let mut fields = text.splitn(9, ',');
    let style = fields.nth(2)?;
    let text = fields.nth(5)?;
    cue(styles, start_ms, duration_ms, &Fields { style, text })
}

fn cue(styles: &Styles, start_ms: i64, duration_ms: i64, fields: &Fields<'_>) -> Option<Cue> {
    let style = styles.get(fields.style);
    let mut text = EventText { out: CueText::default(), styles, style, place: None, drawing: false };
    text.read(fields.text);
    let settings = settings_of(text.place.unwrap_or(style.place));
    Cue::shown(start_ms, duration_ms, settings, text.out.finish())
}

/// Reads the text of one event.
struct EventText<'s> {
    out: CueText,
    styles: &'s Styles,
    style: Style,
    place: Option<u8>,
    drawing: bool,
}

impl EventText<'_> {
    fn read(&mut self, text: &str) {
        *self.out.look() = self.style.look;
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let mut len = c.len_utf8();
            match c {
                '{' => match rest.find('}') {
                    Some(end) => {
                        self.overrides(rest.get(1..end).unwrap_or_default());
                        len = end + 1;
                    }
                    // Without an end it is a sign like any other; nothing after it can end either.
                    None => {
                        self.plain(rest);
                        return;
                    }
                },
                '\\' => len = self.escape(rest),
                c => self.char(c),
            }
            rest = rest.get(len..).unwrap_or_default();
        }
    }

    fn plain(&mut self, text: &str) {
        if !self.drawing {
            self.out.plain(text);
        }
    }

    fn char(&mut self, c: char) {
        if !self.drawing {
            self.out.char(c);
        }
    }

    /// `\N`, `\n`, `\h`, `\{`, `\}`; the length taken.
    fn escape(&mut self, text: &str) -> usize {
        match text.as_bytes().get(1) {
            Some(b'N') => self.char('\n'),
            Some(b'n') => self.char(if self.styles.soft_breaks { '\n' } else { ' ' }),
            Some(b'h') if !self.drawing => self.out.visible("&nbsp;"),
            Some(b'h') => {}
            Some(brace @ (b'{' | b'}')) => self.char(char::from(*brace)),
            _ => {
                self.char('\\');
                return 1;
            }
        }
        2
    }

    /// The tags of one `{…}`; words between them are comments.
    fn overrides(&mut self, block: &str) {
        for tag in block.split('\\').skip(1) {
            let tag = tag.trim_end();
            if let Some(place) = place_of_tag(tag) {
                // The first one counts.
                self.place.get_or_insert(place);
            } else if let Some(name) = tag.strip_prefix('r') {
                let style = if name.is_empty() { self.style } else { self.styles.get(name) };
                *self.out.look() = style.look;
            } else if let Some(level) = number(tag, "p") {
                self.drawing = level > 0;
            } else if let Some(weight) = number(tag, "b") {
                self.out.look().bold = weight == 1 || weight >= 600;
            } else if let Some(on) = number(tag, "i") {
                self.out.look().italic = on != 0;
            } else if let Some(on) = number(tag, "u") {
                self.out.look().underline = on != 0;
            } else {
                match tag {
                    "b" => self.out.look().bold = self.style.look.bold,
                    "i" => self.out.look().italic = self.style.look.italic,
                    "u" => self.out.look().underline = self.style.look.underline,
                    _ => {}
                }
            }
        }
    }
}

/// The number of a tag that is this name and a number, nothing else.
fn number(tag: &str, name: &str) -> Option<u32> {
    tag.strip_prefix(name)?.parse().ok()
}

fn place_of_tag(tag: &str) -> Option<u8> {
    let place = match tag.strip_prefix("an") {
        Some(place) => place.trim().parse().ok()?,
        None => old_place(tag.strip_prefix('a')?.trim().parse().ok()?),
    };
    (1..=9).contains(&place).then_some(place)
}

/// The place that a `{\an8}` in any text asks for.
pub(super) fn place_of(block: &str) -> Option<u8> {
    block.trim_matches(['{', '}']).split('\\').find_map(place_of_tag)
}

/// Reads a whole `.ass` or `.ssa` file.
///
/// # Errors
/// [`ContainerError::Limit`] for a file or a number of cues past its limit.
pub fn parse_file(bytes: &[u8]) -> Result<Vec<Cue>, ContainerError> {
    let text = decode_file(bytes)?;
    let styles = Styles::parse(bytes);
    let mut section = Section::Other;
    let mut cues = Vec::new();
    for line in lines(&text).map(str::trim_start) {
        if line.starts_with('[') {
            section = Section::of(line.trim_end());
            continue;
        }
        let Some(event) = line.strip_prefix("Dialogue:").filter(|_| section == Section::Events) else {
            continue;
        };
        if cues.len() >= CUES_MAX {
            let (count, limit) = (CUES_MAX as u64 + 1, CUES_MAX as u64);
            return Err(ContainerError::limit(Format::Subtitle, 0, "number of cues", count, limit));
        }
        cues.extend(dialogue(&styles, event));
    }
    Ok(cues)
}

/// `Layer,Start,End,Style,Name,MarginL,MarginR,MarginV,Effect,Text`
fn dialogue(styles: &Styles, event: &str) -> Option<Cue> {
    let mut fields = event.splitn(10, ',');
    let start_ms = time_ms(fields.nth(1)?)?;
    let end_ms = time_ms(fields.next()?)?;
    let style = fields.next()?;
    let text = fields.nth(5)?;
    cue(styles, start_ms, end_ms - start_ms, &Fields { style, text })
}

/// One event for [`rebuild`].
#[derive(Clone, Copy, Debug)]
pub struct Event<'e> {
    /// Start, milliseconds.
    pub start_ms: i64,
    /// End, milliseconds.
    pub end_ms: i64,
    /// The Matroska block.
    pub payload: &'e [u8],
}

/// A whole `.ass` file from a Matroska header and its blocks, in the order in which they stood in the file they came
/// from (`ReadOrder`). Blocks that are not events are left out.
///
/// # Errors
/// [`ContainerError::Limit`] past the limits of a subtitle file.
pub fn rebuild<'e>(
    header: &[u8],
    events: impl IntoIterator<Item = Event<'e>>,
) -> Result<Bytes, ContainerError> {
    const EVENTS: &str =
        "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n";
    let header = decode_file(header)?;
    let mut out: String = lines(&header).flat_map(|line| [line, "\n"]).collect();
    if !lines(&header).any(|line| line.trim().eq_ignore_ascii_case("[events]")) {
        out.push('\n');
        out.push_str(EVENTS);
    }
    let mut dialogues = Vec::new();
    let mut len = out.len() as u64;
    for (index, event) in events.into_iter().enumerate() {
        len += event.payload.len() as u64 + LINE_LEN;
        if len > SUBTITLE_FILE_BYTES_MAX || index >= CUES_MAX {
            let limit = SUBTITLE_FILE_BYTES_MAX;
            return Err(ContainerError::limit(Format::Subtitle, 0, "bytes of the file", len, limit));
        }
        dialogues.extend(line_of(&event));
    }
    // Events at the same place in the order (two files merged) stay in time order.
    dialogues.sort_by_key(|(read_order, _)| *read_order);
    out.extend(dialogues.into_iter().map(|(_, line)| line));
    Ok(out.into())
}

/// What a line takes beside the block: the key and two times.
const LINE_LEN: u64 = 40;

fn line_of(event: &Event<'_>) -> Option<(u64, String)> {
    let text = decode(event.payload);
    let mut fields = text.splitn(3, ',');
    let read_order = fields.next()?.trim().parse().ok()?;
    let (layer, rest) = (fields.next()?.trim(), fields.next()?);
    let rest = rest.trim_end().replace("\r\n", "\\N").replace(['\r', '\n'], "\\N");
    let (start, end) = (clock(event.start_ms), clock(event.end_ms));
    Some((read_order, format!("Dialogue: {layer},{start},{end},{rest}\n")))
}

/// `h:mm:ss.cc`
fn clock(ms: i64) -> String {
    let cs = (ms.max(0).saturating_add(5)) / 10;
    format!("{}:{:02}:{:02}.{:02}", cs / 360_000, cs / 6_000 % 60, cs / 100 % 60, cs % 100)
}
