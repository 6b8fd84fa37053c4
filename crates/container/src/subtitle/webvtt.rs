//! WebVTT (W3C WebVTT 1): Matroska blocks, MP4 samples (ISO/IEC 14496-30 §7), and whole files.
//!
//! Cue text is kept as it is. Style sheets and regions are dropped: segments have no place for them.

use super::{
    Cue,
    text::{decode, decode_file, lines, time_ms},
};
use crate::{
    ContainerError, Format,
    limits::{CUE_TEXT_BYTES_MAX, CUES_MAX},
};

/// What a Matroska block shows. `addition` is its BlockAdditional of ID 1 (RFC 9559 §5.1.3.5.2): settings, identifier,
/// comments, a line each; may be empty.
#[must_use]
pub fn cue_from_block(start_ms: i64, duration_ms: i64, payload: &[u8], addition: &[u8]) -> Option<Cue> {
    let payload = payload.get(..CUE_TEXT_BYTES_MAX * 2).unwrap_or(payload);
    let addition = decode(addition.get(..CUE_TEXT_BYTES_MAX).unwrap_or(addition));
    let mut addition = lines(&addition);
    let settings = settings(addition.next().unwrap_or_default());
    let mut cue = Cue::shown(start_ms, duration_ms, settings, cue_text(lines(&decode(payload))))?;
    cue.id = identifier(addition.next().unwrap_or_default());
    Some(cue)
}

/// What a block of WebM's first form shows (`D_WEBVTT/SUBTITLES`): a line of identifier, a line of settings, the text.
#[must_use]
pub fn cue_from_webm_block(start_ms: i64, duration_ms: i64, payload: &[u8]) -> Option<Cue> {
    let mut parts = payload.splitn(3, |byte| *byte == b'\n');
    let (id, settings) = (parts.next()?, parts.next()?);
    cue_from_block(start_ms, duration_ms, parts.next()?, &[settings, b"\n", id].concat())
}

/// Whether a sample is boxes, as in MP4, rather than text.
pub(super) fn is_mp4_sample(payload: &[u8]) -> bool {
    matches!(payload.get(4..8), Some(b"vttc" | b"vtte" | b"vtta"))
}

/// Cues shown at once.
const CUES_PER_SAMPLE_MAX: usize = 256;

/// What an MP4 sample shows: a `vttc` box a cue; nothing for `vtte`.
#[must_use]
pub fn cues_from_mp4_sample(start_ms: i64, duration_ms: i64, payload: &[u8]) -> Vec<Cue> {
    boxes(payload)
        .filter(|(kind, _)| kind == b"vttc")
        .take(CUES_PER_SAMPLE_MAX)
        .filter_map(|(_, body)| {
            let part = |wanted: &[u8; 4]| {
                let body = boxes(body).find(|(kind, _)| kind == wanted).map_or(&[][..], |(_, body)| body);
                decode(body.get(..CUE_TEXT_BYTES_MAX * 2).unwrap_or(body))
            };
            let text = cue_text(lines(&part(b"payl")));
            let mut cue = Cue::shown(start_ms, duration_ms, settings(&part(b"sttg")), text)?;
            cue.id = identifier(&part(b"iden"));
            Some(cue)
        })
        .collect()
}

fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (size, rest) = bytes.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first_chunk::<4>()?;
        let body_len = usize::try_from(u32::from_be_bytes(*size)).ok()?.checked_sub(8)?;
        let (body, rest) = rest.split_at_checked(body_len)?;
        bytes = rest;
        Some((*kind, body))
    })
}

/// Reads a whole `.vtt` file. Notes, style sheets, regions and what cannot be read are passed over.
///
/// # Errors
/// [`ContainerError::Malformed`] without `WEBVTT` at the beginning; [`ContainerError::Limit`] past a limit.
pub fn parse_file(bytes: &[u8]) -> Result<Vec<Cue>, ContainerError> {
    let text = decode_file(bytes)?;
    let mut lines = lines(&text).peekable();
    if !lines.next().is_some_and(|line| line.trim_start_matches('\u{feff}').starts_with("WEBVTT")) {
        return Err(ContainerError::malformed(
            Format::Subtitle,
            0,
            "a WebVTT file that does not begin with WEBVTT",
        ));
    }
    let mut cues = Vec::new();
    let mut before = "";
    while let Some(line) = lines.next() {
        let Some((start_ms, end_ms, rest)) = timing(line) else {
            before = line;
            continue;
        };
        if cues.len() >= CUES_MAX {
            let (count, limit) = (CUES_MAX as u64 + 1, CUES_MAX as u64);
            return Err(ContainerError::limit(Format::Subtitle, 0, "number of cues", count, limit));
        }
        let body =
            std::iter::from_fn(|| lines.next_if(|line| !line.trim().is_empty() && !line.contains("-->")));
        let text = cue_text(body);
        if let Some(mut cue) = Cue::shown(start_ms, end_ms.saturating_sub(start_ms), settings(rest), text) {
            cue.id = identifier(before);
            cues.push(cue);
        }
        before = "";
    }
    Ok(cues)
}

/// Times and settings of a cue.
fn timing(line: &str) -> Option<(i64, i64, &str)> {
    let (start, rest) = line.split_once("-->")?;
    let rest = rest.trim();
    let (end, settings) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    Some((time_ms(start)?, time_ms(end)?, settings))
}

fn cue_text<'l>(lines: impl Iterator<Item = &'l str>) -> String {
    let mut out = String::new();
    for line in lines.map(str::trim_end).filter(|line| !line.is_empty()) {
        if out.len() + line.len() > CUE_TEXT_BYTES_MAX {
            break;
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out.extend(line.chars().filter(|c| !c.is_control()));
    }
    lone_signs_escaped(&out.replace("-->", "--&gt;"))
}

/// Writers are found that escape nothing: a `<` that begins no tag would swallow the rest of the cue.
fn lone_signs_escaped(text: &str) -> String {
    let mut parts = text.split('<');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let tag = part.split_once('>').map(|(tag, _)| tag);
        let is_tag = tag.is_some_and(|tag| {
            tag.is_empty()
                || tag.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
                || tag.bytes().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.'))
        });
        out.push_str(if is_tag { "<" } else { "&lt;" });
        out.push_str(part);
    }
    out
}

const LINE_BYTES_MAX: usize = 256;

fn identifier(line: &str) -> String {
    let line = line.trim();
    let is_fit = line.len() <= LINE_BYTES_MAX && !line.contains("-->") && !line.contains(char::is_control);
    if is_fit { line.to_owned() } else { String::new() }
}

/// The settings that stand on their own: a region would need its definition.
fn settings(line: &str) -> String {
    const KNOWN: [&str; 5] = ["vertical", "line", "position", "size", "align"];
    let is_known = |setting: &&str| {
        setting.split_once(':').is_some_and(|(name, value)| {
            KNOWN.contains(&name)
                && !value.is_empty()
                && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"%.,-".contains(&b))
                && !value.contains("-->")
        })
    };
    let line = line.get(..LINE_BYTES_MAX).unwrap_or(line).lines().next().unwrap_or_default();
    line.split_ascii_whitespace().filter(is_known).collect::<Vec<_>>().join(" ")
}
