//! Subtitle files beside a film, in the form a player asks for.

use std::io::Read;

use axum::http::StatusCode;
use bytes::Bytes;
use container::{
    subtitle::{ass, srt, text, webvtt},
    write::webvtt::{VttHeader, write_vtt},
};
use library::{Sidecar, SidecarFormat};
use media::SubtitleFormat;

use crate::{limits::SIDECAR_BYTES_MAX, problem::Problem};

/// Reads a subtitle file as WebVTT or as ASS.
pub(crate) async fn read(video_id: &str, sidecar: &Sidecar, form: SubtitleFormat) -> Result<Bytes, Problem> {
    let path = sidecar.path()?;
    let (shown, format) = (sidecar.relative.to_string_lossy().into_owned(), sidecar.format);
    // Reading waits for a disk and turning a large file takes a while: neither is for a thread that serves others.
    tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(SIDECAR_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(|error| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "io", format!("{shown}: {error}"))
        })?;
        if bytes.len() as u64 > SIDECAR_BYTES_MAX {
            return Err(refused(&shown, &format!("longer than {SIDECAR_BYTES_MAX} bytes")));
        }
        turn(&shown, &bytes, format, form)
    })
    .await
    .map_err(|error| Problem::internal(format!("{video_id}: {error}")))?
}

fn turn(shown: &str, bytes: &[u8], format: SidecarFormat, form: SubtitleFormat) -> Result<Bytes, Problem> {
    let cues = match (format, form) {
        (SidecarFormat::Ass, SubtitleFormat::Ass) => {
            return Ok(Bytes::from(text::decode(bytes).into_owned()));
        }
        (_, SubtitleFormat::Ass) => {
            return Err(Problem::bad_request(format!("{shown}: is {} and not given as ass", format.name())));
        }
        (SidecarFormat::Srt, SubtitleFormat::Vtt) => srt::parse_file(bytes),
        (SidecarFormat::Ass, SubtitleFormat::Vtt) => ass::parse_file(bytes),
        (SidecarFormat::WebVtt, SubtitleFormat::Vtt) => webvtt::parse_file(bytes),
    };
    let cues = cues.map_err(|error| refused(shown, &error.to_string()))?;
    Ok(write_vtt(&cues, VttHeader::default()))
}

fn refused(shown: &str, why: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "subtitle", format!("{shown}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn srt_becomes_webvtt_and_only_ass_is_ass() {
        let srt = b"1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>\xdcbung</i> & <b>x\r\n";
        let vtt = turn("a.srt", srt, SidecarFormat::Srt, SubtitleFormat::Vtt).unwrap();
        let vtt = String::from_utf8(vtt.to_vec()).unwrap();
        assert!(vtt.starts_with("WEBVTT\n"), "{vtt}");
        assert!(vtt.contains("00:00:01.000 --> 00:00:02.500\n"), "{vtt}");
        assert!(vtt.contains("\u{dc}bung"), "{vtt}");
        let refused = turn("a.srt", srt, SidecarFormat::Srt, SubtitleFormat::Ass).unwrap_err();
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    }
}
