//! Text subtitles: SRT, ASS, WebVTT and tx3g, as samples of a film or as files beside it, into WebVTT cues. One file a
//! format.
//!
//! Kept are the words, lines, bold, italic, underlined, and the place at a side of the screen. Fonts, colours, free
//! positions, drawings and karaoke are not WebVTT's: for those the ASS itself is given out ([`ass::rebuild`]).
//! Which cues go into which segment is `packager`'s.

pub mod ass;
pub mod srt;
pub mod text;
pub mod tx3g;
pub mod webvtt;

use crate::codec::TextFormat;

/// One subtitle on the screen, in WebVTT's terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cue {
    /// When it appears, milliseconds.
    pub start_ms: i64,
    /// When it goes, milliseconds; after `start_ms`.
    pub end_ms: i64,
    /// Identifier line; may be empty.
    pub id: String,
    /// Cue settings (`line:0 align:start`); may be empty.
    pub settings: String,
    /// Cue text, escaped as WebVTT wants it, lines apart by `\n`, no empty line.
    pub text: String,
}

impl Cue {
    /// A cue that shows something for some time, or nothing.
    fn shown(start_ms: i64, duration_ms: i64, settings: impl Into<String>, text: String) -> Option<Self> {
        let end_ms = start_ms.saturating_add(duration_ms);
        let is_shown = end_ms > start_ms && !text.is_empty();
        is_shown.then(|| Self { start_ms, end_ms, id: String::new(), settings: settings.into(), text })
    }
}

/// Turns the samples of one text track into cues.
#[derive(Clone, Debug)]
pub struct CueReader {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Srt,
    Ass(ass::Styles),
    WebVtt,
    WebVttInline,
    Tx3g,
}

impl CueReader {
    /// For a track of this format; reads the styles of an ASS header.
    #[must_use]
    pub fn new(format: &TextFormat) -> Self {
        let kind = match format {
            TextFormat::Srt => Kind::Srt,
            TextFormat::Ass(header) => Kind::Ass(ass::Styles::parse(header)),
            TextFormat::WebVtt => Kind::WebVtt,
            TextFormat::WebVttInline => Kind::WebVttInline,
            TextFormat::Tx3g => Kind::Tx3g,
        };
        Self { kind }
    }

    /// What one sample shows, from `start_ms` for `duration_ms`. Empty when it shows nothing (a clearing sample, a
    /// drawing, a comment, no duration). More than one only for MP4 WebVTT samples.
    #[must_use]
    pub fn cues(&self, start_ms: i64, duration_ms: i64, payload: &[u8]) -> Vec<Cue> {
        let one = match &self.kind {
            Kind::Srt => srt::cue_from_sample(start_ms, duration_ms, payload),
            Kind::Ass(styles) => ass::cue_from_sample(styles, start_ms, duration_ms, payload),
            Kind::WebVtt if webvtt::is_mp4_sample(payload) => {
                return webvtt::cues_from_mp4_sample(start_ms, duration_ms, payload);
            }
            Kind::WebVtt => webvtt::cue_from_block(start_ms, duration_ms, payload, &[]),
            Kind::WebVttInline => webvtt::cue_from_webm_block(start_ms, duration_ms, payload),
            Kind::Tx3g => tx3g::cue_from_sample(start_ms, duration_ms, payload),
        };
        one.into_iter().collect()
    }
}

/// What one sample of a text track shows: [`CueReader::cues`] for a single sample.
#[must_use]
pub fn cues_from_sample(format: &TextFormat, start_ms: i64, duration_ms: i64, payload: &[u8]) -> Vec<Cue> {
    CueReader::new(format).cues(start_ms, duration_ms, payload)
}

/// For fuzzers: every reader on the same bytes.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let header = bytes::Bytes::copy_from_slice(data);
    let formats = [
        TextFormat::Srt,
        TextFormat::Ass(header),
        TextFormat::WebVtt,
        TextFormat::WebVttInline,
        TextFormat::Tx3g,
    ];
    let mut cues: Vec<Cue> =
        formats.iter().flat_map(|format| cues_from_sample(format, 1_000, 2_000, data)).collect();
    cues.extend(webvtt::cue_from_block(0, 1, data, data));
    for parse in [srt::parse_file, webvtt::parse_file, ass::parse_file] {
        cues.extend(parse(data).unwrap_or_default());
    }
    let _ = ass::rebuild(data, [ass::Event { start_ms: 0, end_ms: 1, payload: data }]);
    let _ = crate::write::webvtt::write_vtt(&cues, crate::write::webvtt::VttHeader::default());
}

#[cfg(test)]
mod tests;
