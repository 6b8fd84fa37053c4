//! Subtitle files beside a film, on the disk or in its torrent, in the form a player asks for.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use axum::http::StatusCode;
use byte_source::{ByteRange, ByteSource};
use bytes::Bytes;
use container::{
    subtitle::{ass, srt, text, webvtt},
    write::webvtt::{VttHeader, write_vtt},
};
use engine::{FileIndex, Torrent};
use library::{ListedSubtitle, Sidecar, SidecarFormat};
use media::SubtitleFormat;

use crate::{limits::SIDECAR_BYTES_MAX, problem::Problem};

/// A subtitle file that belongs to a video, and what its name says.
pub(crate) struct Sibling<'a> {
    /// Its own name.
    pub(crate) name: String,
    pub(crate) format: SidecarFormat,
    pub(crate) language: Option<&'a str>,
    pub(crate) forced: bool,
    pub(crate) hearing_impaired: bool,
    place: Place<'a>,
}

enum Place<'a> {
    Disk(&'a Sidecar),
    Torrent(&'a Torrent, &'a ListedSubtitle),
}

impl<'a> Sibling<'a> {
    pub(crate) fn on_disk(sidecar: &'a Sidecar) -> Self {
        let name = sidecar.relative.file_name().map(|name| name.to_string_lossy().into_owned());
        Self {
            name: name.unwrap_or_default(),
            format: sidecar.format,
            language: sidecar.language.as_deref(),
            forced: sidecar.forced,
            hearing_impaired: sidecar.hearing_impaired,
            place: Place::Disk(sidecar),
        }
    }

    pub(crate) fn in_torrent(torrent: &'a Torrent, listed: &'a ListedSubtitle) -> Self {
        Self {
            name: listed.name.clone(),
            format: listed.format,
            language: listed.language.as_deref(),
            forced: listed.forced,
            hearing_impaired: listed.hearing_impaired,
            place: Place::Torrent(torrent, listed),
        }
    }

    /// Whether it can be read without waiting for a swarm.
    pub(crate) fn is_here(&self) -> bool {
        match self.place {
            Place::Disk(_) => true,
            Place::Torrent(torrent, listed) => {
                torrent.reader(FileIndex(listed.index)).is_ok_and(|reader| reader.is_here())
            }
        }
    }
}

/// Reads a subtitle file as WebVTT or as ASS. Of a torrent this waits until it is here, and has it fetched before all else.
///
/// # Cancel safety
/// Safe: who waits no longer wants nothing of the swarm.
pub(crate) async fn read(
    video_id: &str,
    sibling: &Sibling<'_>,
    form: SubtitleFormat,
) -> Result<Bytes, Problem> {
    let (shown, format) = (sibling.name.clone(), sibling.format);
    let from = match sibling.place {
        Place::Disk(sidecar) => Source::Disk(sidecar.path()?),
        Place::Torrent(torrent, listed) => Source::Memory(fetch(torrent, listed).await?),
    };
    // Reading waits for a disk and turning a large file takes a while: neither is for a thread that serves others.
    tokio::task::spawn_blocking(move || {
        let bytes = match from {
            Source::Disk(path) => load(&path, &shown)?,
            Source::Memory(bytes) => bytes,
        };
        turn(&shown, &bytes, format, form)
    })
    .await
    .map_err(|error| Problem::internal(format!("{video_id}: {error}")))?
}

enum Source {
    Disk(PathBuf),
    Memory(Bytes),
}

fn load(path: &Path, shown: &str) -> Result<Bytes, Problem> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(SIDECAR_BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(
        |error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "io", format!("{shown}: {error}")),
    )?;
    fits(bytes.len() as u64, shown)?;
    Ok(bytes.into())
}

async fn fetch(torrent: &Torrent, listed: &ListedSubtitle) -> Result<Bytes, Problem> {
    fits(listed.size, &listed.name)?;
    let reader = torrent.reader(FileIndex(listed.index))?;
    // A read that waits comes before whatever is only hinted.
    Ok(reader.read_at(ByteRange::new(0, listed.size)).await?)
}

fn fits(bytes: u64, shown: &str) -> Result<(), Problem> {
    if bytes > SIDECAR_BYTES_MAX {
        return Err(refused(shown, &format!("longer than {SIDECAR_BYTES_MAX} bytes")));
    }
    Ok(())
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
