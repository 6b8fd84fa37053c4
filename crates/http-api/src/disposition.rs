//! `Content-Disposition` and `Content-Type` for files with names that others chose.

use axum::http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What RFC 8187 lets stand: `attr-char`.
const NOT_ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Characters of a name that are sent.
const NAME_CHARS_MAX: usize = 200;

/// `kind; filename="…"; filename*=UTF-8''…` (RFC 6266), safe for any name: no quote, no control character, no
/// separator of paths gets through.
pub(crate) fn content_disposition(kind: &'static str, name: &str) -> HeaderValue {
    let name: String =
        name.chars().filter(|c| !c.is_control() && !matches!(c, '/' | '\\')).take(NAME_CHARS_MAX).collect();
    let name = name.trim_start_matches('.');
    let plain: String =
        name.chars().map(|c| if c.is_ascii() && !matches!(c, '"' | '%' | ';') { c } else { '_' }).collect();
    let encoded = utf8_percent_encode(name, NOT_ATTR_CHAR);
    HeaderValue::from_str(&format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"))
        .unwrap_or(HeaderValue::from_static(kind))
}

/// The media type of a film by its name's extension. Never anything a browser would run.
pub(crate) fn media_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase());
    match extension.as_deref() {
        Some("mkv") => "video/x-matroska",
        Some("mka") => "audio/x-matroska",
        Some("webm") => "video/webm",
        Some("mp4" | "m4v") => "video/mp4",
        Some("m4a" | "m4b") => "audio/mp4",
        Some("mov") => "video/quicktime",
        Some("3gp" | "3g2") => "video/3gpp",
        Some("avi" | "divx") => "video/x-msvideo",
        Some("ts" | "m2ts" | "mts") => "video/mp2t",
        Some("mpg" | "mpeg" | "vob") => "video/mpeg",
        Some("wmv" | "asf") => "video/x-ms-asf",
        Some("flv") => "video/x-flv",
        Some("ogv") => "video/ogg",
        Some("ogg" | "oga" | "opus") => "audio/ogg",
        Some("mp3") => "audio/mpeg",
        Some("flac") => "audio/flac",
        Some("aac") => "audio/aac",
        Some("ac3") => "audio/ac3",
        Some("wav") => "audio/wav",
        _ => "application/octet-stream",
    }
}

/// The media type of an attached file: fonts and pictures by name, everything else as bytes, whatever the film claims.
pub(crate) fn attachment_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase());
    match extension.as_deref() {
        Some("ttf") => "font/ttf",
        Some("otf") => "font/otf",
        Some("ttc" | "otc") => "font/collection",
        Some("woff") => "font/woff",
        Some("woff2") => "font/woff2",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_inside_their_quotes() {
        for (name, expected) in [
            ("film.mkv", "inline; filename=\"film.mkv\"; filename*=UTF-8''film.mkv"),
            (
                "a\"; x=\"b\r\nSet-Cookie: c",
                "inline; filename=\"a__ x=_bSet-Cookie: c\"; filename*=UTF-8''a%22%3B%20x%3D%22bSet-Cookie%3A%20c",
            ),
            ("../../etc/passwd", "inline; filename=\"etcpasswd\"; filename*=UTF-8''etcpasswd"),
            ("Amélie.mkv", "inline; filename=\"Am_lie.mkv\"; filename*=UTF-8''Am%C3%A9lie.mkv"),
        ] {
            assert_eq!(content_disposition("inline", name).to_str().unwrap(), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn every_name_makes_a_field(name in "\\PC{0,300}") {
            let field = content_disposition("attachment", &name);
            let text = field.to_str().unwrap();
            proptest::prop_assert!(text.starts_with("attachment; filename=\""));
            proptest::prop_assert_eq!(text.matches('"').count(), 2);
        }
    }
}
