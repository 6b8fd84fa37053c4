//! Subtitle files beside a film, in the form a player asks for.

use std::io::Read;

use axum::http::StatusCode;
use library::{Sidecar, SidecarFormat};
use media::SubtitleFormat;

use crate::{limits::SIDECAR_BYTES_MAX, problem::Problem};

/// Reads a subtitle file as WebVTT or as ASS.
pub(crate) async fn read(video_id: &str, sidecar: &Sidecar, form: SubtitleFormat) -> Result<String, Problem> {
    let path = sidecar.path()?;
    let shown = sidecar.relative.to_string_lossy().into_owned();
    let text = tokio::task::spawn_blocking(move || -> std::io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(SIDECAR_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64 <= SIDECAR_BYTES_MAX).then_some(bytes))
    })
    .await
    .map_err(|error| Problem::internal(format!("{video_id}: {error}")))?
    .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "io", format!("{shown}: {error}")))?
    .ok_or_else(|| refused(format!("{shown}: is longer than {SIDECAR_BYTES_MAX} bytes")))?;
    let text = decode(&text);
    match (sidecar.format, form) {
        (SidecarFormat::Ass, SubtitleFormat::Ass) | (SidecarFormat::WebVtt, SubtitleFormat::Vtt) => Ok(text),
        (_, SubtitleFormat::Ass) => {
            Err(Problem::bad_request(format!("{shown}: is {} and not given as ass", sidecar.format.name())))
        }
        (SidecarFormat::Srt | SidecarFormat::Ass, SubtitleFormat::Vtt) => {
            Err(refused(format!("{shown}: not turned into WebVTT yet")))
        }
    }
}

fn refused(detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "subtitle", detail)
}

/// Text of a file that does not say how it is coded: a byte order mark decides, then UTF-8 if it is, else Latin-1
/// (Windows-1252 without its fancy quotes), which never fails.
fn decode(bytes: &[u8]) -> String {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair)).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().copied().map(char::from).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_any_coding_are_read() {
        assert_eq!(decode("Übung".as_bytes()), "Übung");
        assert_eq!(decode(b"\xef\xbb\xbfx"), "x");
        assert_eq!(decode(b"\xff\xfeA\0"), "A");
        assert_eq!(decode(b"\xfe\xff\0A"), "A");
        assert_eq!(decode(b"\xdcbung"), "Übung");
    }
}
