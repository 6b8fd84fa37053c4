//! Words: titles, names, languages and chapter lists (`udta`, `meta`/`ilst`, `chpl`, `kind`, `tagc`).
//!
//! Nothing here is needed to play; what cannot be read is passed over.

use byte_source::ByteRange;

use super::boxes::{BoxView, Fields};
use crate::{Attachment, Chapter, TrackFlags, TrackKind, language, limits};

/// What the boxes of one track say in words.
#[derive(Clone, Debug, Default)]
pub(super) struct TrackWords {
    name: Option<String>,
    handler_name: Option<String>,
    flags: TrackFlags,
}

impl TrackWords {
    /// Reads a `trak/udta`.
    pub(super) fn read_udta(&mut self, udta: &BoxView<'_>) {
        for child in udta.children().map_while(Result::ok) {
            match &child.kind {
                b"name" => self.name = text(child.body).or(self.name.take()),
                b"titl" => {
                    let titl = child.body.get(6..).and_then(text);
                    self.name = self.name.take().or(titl);
                }
                [0xa9, b'n', b'a', b'm'] => self.name = self.name.take().or(quicktime_text(&child)),
                b"kind" => self.read_kind(&child),
                b"tagc" => self.read_characteristic(child.body),
                b"meta" => self.read_meta(&child),
                _ => {}
            }
        }
    }

    /// Reads a `meta` of the track.
    pub(super) fn read_meta(&mut self, meta: &BoxView<'_>) {
        self.name = self.name.take().or_else(|| ilst_title(meta));
    }

    /// Takes the name of a `hdlr`: after a length byte in QuickTime, closed by a zero in ISO files.
    pub(super) fn read_handler_name(&mut self, bytes: &[u8]) {
        let bytes = match bytes.split_first() {
            Some((len, rest)) if usize::from(*len) == rest.len() => rest,
            _ => bytes,
        };
        self.handler_name = text(bytes);
    }

    /// `kind` (section 8.10.4): a role of a scheme.
    fn read_kind(&mut self, kind: &BoxView<'_>) {
        let mut words = kind.body.get(4..).unwrap_or_default().split(|b| *b == 0);
        let (Some(_scheme), Some(role)) = (words.next(), words.next()) else { return };
        match role {
            b"forced-subtitle" | b"forced_subtitle" => self.flags.forced = true,
            b"caption" | b"captions" => self.flags.hearing_impaired = true,
            b"description" | b"descriptions" | b"main-desc" => self.flags.visual_impaired = true,
            b"commentary" => self.flags.commentary = true,
            _ => {}
        }
    }

    /// `tagc`: a characteristic of Apple's.
    fn read_characteristic(&mut self, bytes: &[u8]) {
        let bytes = bytes.split(|b| *b == 0).next().unwrap_or_default();
        match bytes {
            b"public.subtitles.forced-only" => self.flags.forced = true,
            b"public.accessibility.describes-music-and-sound" => self.flags.hearing_impaired = true,
            b"public.accessibility.describes-video" => self.flags.visual_impaired = true,
            _ => {}
        }
    }

    /// What to call the track: its own name, or its handler's where that is not a program's.
    pub(super) fn name(&self, kind: TrackKind) -> Option<String> {
        let spoken = matches!(kind, TrackKind::Audio | TrackKind::Subtitle);
        self.name.clone().or_else(|| self.handler_name.clone().filter(|name| spoken && !is_program(name)))
    }

    /// Roles.
    pub(super) fn flags(&self) -> TrackFlags {
        self.flags
    }
}

/// Whether a handler's name tells of the program that wrote it, not of the track.
fn is_program(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "handle",
        "gpac",
        "l-smash",
        "mainconcept",
        "bento4",
        "isomedia",
        "iso media",
        "core media",
        "apple",
        "mpeg",
        "@",
    ]
    .iter()
    .any(|word| name.contains(word))
}

/// What a `moov/udta` and `moov/meta` say.
#[derive(Clone, Debug, Default)]
pub(super) struct MovieWords {
    pub(super) title: Option<String>,
    pub(super) chapters: Vec<Chapter>,
    /// Cover pictures.
    pub(super) covers: Vec<Attachment>,
}

impl MovieWords {
    /// Reads a `moov/udta`.
    pub(super) fn read_udta(&mut self, udta: &BoxView<'_>) {
        for child in udta.children().map_while(Result::ok) {
            match &child.kind {
                b"meta" => self.read_meta(&child),
                b"chpl" => self.chapters = chpl(&child).unwrap_or_default(),
                [0xa9, b'n', b'a', b'm'] => self.title = self.title.take().or(quicktime_text(&child)),
                b"titl" => {
                    let titl = child.body.get(6..).and_then(text);
                    self.title = self.title.take().or(titl);
                }
                _ => {}
            }
        }
    }

    /// Reads a `meta` of the movie.
    pub(super) fn read_meta(&mut self, meta: &BoxView<'_>) {
        self.title = ilst_title(meta).or(self.title.take());
        if self.covers.is_empty() {
            self.covers = covers(meta);
        }
    }
}

/// Children of a `meta`, which is a full box in ISO files and not in QuickTime.
fn meta_children<'a>(meta: &BoxView<'a>) -> impl Iterator<Item = BoxView<'a>> {
    let mut fields = meta.fields();
    if meta.body.get(4..8) != Some(b"hdlr") {
        // A body too short for this holds no box either.
        let _short = fields.skip(4);
    }
    fields.boxes().map_while(Result::ok)
}

/// The title of an `ilst`: `©nam`, with its text in a `data` box.
fn ilst_title(meta: &BoxView<'_>) -> Option<String> {
    let ilst = meta_children(meta).find(|b| b.kind == *b"ilst")?;
    let nam = ilst.children().map_while(Result::ok).find(|b| b.kind == [0xa9, b'n', b'a', b'm'])?;
    nam.child(*b"data")?.body.get(8..).and_then(text)
}

/// The pictures of an `ilst`: `covr`, one `data` box each.
fn covers(meta: &BoxView<'_>) -> Vec<Attachment> {
    let ilst = meta_children(meta).find(|b| b.kind == *b"ilst");
    let covr = ilst.and_then(|ilst| ilst.child(*b"covr"));
    let pictures = covr.into_iter().flat_map(|covr| covr.children().map_while(Result::ok));
    let pictures = pictures.filter(|b| b.kind == *b"data").take(limits::ATTACHMENTS_MAX);
    pictures
        .filter_map(|data| {
            let (name, media_type) = match data.body.get(3)? {
                13 => ("cover.jpg", "image/jpeg"),
                14 => ("cover.png", "image/png"),
                _ => return None,
            };
            let bytes = ByteRange::at(data.body_offset + 8, (data.body.len() as u64).checked_sub(8)?)?;
            Some(Attachment { name: name.to_owned(), media_type: media_type.to_owned(), bytes })
        })
        .collect()
}

/// QuickTime's text: length, language, characters; or a `data` box as iTunes writes it.
fn quicktime_text(view: &BoxView<'_>) -> Option<String> {
    if let Some(data) = view.child(*b"data") {
        return data.body.get(8..).and_then(text);
    }
    let mut fields = view.fields();
    let len = fields.u16().ok()?;
    fields.skip(2).ok()?;
    fields.take(len.into()).ok().and_then(text)
}

/// Nero's chapter list: starts in 100 ns, names of up to 255 bytes.
fn chpl(view: &BoxView<'_>) -> Option<Vec<Chapter>> {
    let (version, _, mut fields) = view.full().ok()?;
    // Version 1 has four reserved bytes and a byte of count; version 0 is written with either.
    let count = if version == 0 { u32::from(fields.u8().ok()?) } else { chpl_count(&mut fields)? };
    let mut chapters = Vec::new();
    for _ in 0..count.min(u32::try_from(limits::CHAPTERS_MAX).unwrap_or(u32::MAX)) {
        let (Ok(start), Ok(len)) = (fields.u64(), fields.u8()) else { break };
        let Ok(title) = fields.take(len.into()) else { break };
        chapters.push(Chapter {
            start_ns: start.saturating_mul(100),
            end_ns: None,
            title: text(title).unwrap_or_default(),
        });
    }
    Some(chapters)
}

fn chpl_count(fields: &mut Fields<'_>) -> Option<u32> {
    fields.skip(4).ok()?;
    fields.u8().ok().map(u32::from)
}

/// Text up to its zero, UTF-8 (UTF-16 after a byte order mark); `None` when empty or longer than text is.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    if bytes.len() as u64 > limits::TEXT_BYTES_MAX {
        return None;
    }
    let words = |read: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let units: Vec<u16> =
            bytes.as_chunks::<2>().0.iter().map(|b| read(*b)).take_while(|u| *u != 0).collect();
        String::from_utf16_lossy(&units)
    };
    let text = match bytes {
        [0xfe, 0xff, rest @ ..] => words(u16::from_be_bytes, rest),
        [0xff, 0xfe, rest @ ..] => words(u16::from_le_bytes, rest),
        _ => String::from_utf8_lossy(bytes.split(|b| *b == 0).next().unwrap_or_default()).into_owned(),
    };
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// An `elng` tag.
pub(super) fn language_tag(bytes: &[u8]) -> Option<String> {
    text(bytes).as_deref().and_then(language::bcp47)
}

/// A packed language of `mdhd`: three letters of five bits; below 0x400 a Macintosh language code.
pub(super) fn packed_language(packed: u16) -> Option<String> {
    if packed < 0x400 { macintosh_language(packed).map(str::to_owned) } else { language::packed(packed) }
}

/// The commoner Macintosh language codes (QuickTime File Format, "Language code values").
fn macintosh_language(code: u16) -> Option<&'static str> {
    const CODES: [&str; 34] = [
        "en", "fr", "de", "it", "nl", "sv", "es", "da", "pt", "nb", "he", "ja", "ar", "fi", "el", "is", "mt",
        "tr", "hr", "zh-Hant", "ur", "hi", "th", "ko", "lt", "pl", "hu", "et", "lv", "se", "fo", "fa", "ru",
        "zh-Hans",
    ];
    CODES.get(usize::from(code)).copied()
}
