//! Which tracks a player can be given as they are, and why not the others.

use serde::{Deserialize, Serialize};

use container::{Track, TrackKind, codec::CodecConfig, write::mpegts::TsWriter};

use crate::{Planned, layout};

/// What segments are packed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SegmentFormat {
    /// CMAF: fragmented MP4.
    #[default]
    Fmp4,
    /// MPEG-TS.
    Ts,
}

impl SegmentFormat {
    /// Ending of a media segment's address.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Fmp4 => "m4s",
            Self::Ts => "ts",
        }
    }
}

impl std::str::FromStr for SegmentFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "fmp4" => Ok(Self::Fmp4),
            "ts" => Ok(Self::Ts),
            other => Err(format!(
                "container `{}`: expected fmp4 or ts",
                other.chars().take(32).collect::<String>()
            )),
        }
    }
}

/// The codecs a player says it decodes, from a comma-separated list such as `avc1,mp4a.40.2,opus`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodecList(Vec<String>);

impl CodecList {
    /// Reads the list; empty entries are skipped, unknown ones match nothing.
    #[must_use]
    pub fn parse(list: &str) -> Self {
        Self(
            list.split(',')
                .map(|c| c.trim().to_ascii_lowercase())
                .filter(|c| !c.is_empty())
                .take(64)
                .collect(),
        )
    }

    /// The entries, lower case.
    #[must_use]
    pub fn entries(&self) -> &[String] {
        &self.0
    }

    /// Whether an entry names this codec: by its whole string (`avc1.640028`), the beginning of it up to a dot
    /// (`avc1`, `mp4a.40`), another name of the same coding (`hev1` for `hvc1`), or our short name (`h264`).
    #[must_use]
    pub fn takes(&self, codec_string: &str, name: &str) -> bool {
        let ours = codec_string.to_ascii_lowercase();
        self.0.iter().any(|entry| {
            let (family, rest) = entry.split_once('.').map_or((entry.as_str(), ""), |(f, r)| (f, r));
            let family = match family {
                "hev1" => "hvc1",
                "avc3" => "avc1",
                "av1" => "av01",
                "vp9" => "vp09",
                "ac3" => "ac-3",
                "eac3" => "ec-3",
                other => other,
            };
            let entry = if rest.is_empty() { family.to_owned() } else { format!("{family}.{rest}") };
            let under =
                ours.strip_prefix(&entry).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            under || entry == name
        })
    }
}

/// A track that the player is not given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Index into [`Movie::tracks`](container::Movie::tracks).
    pub track: usize,
    /// Why, for people.
    pub reason: String,
}

/// What a player is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// The video track (index into the movie's tracks), cut as it is.
    pub video: Option<usize>,
    /// Audio tracks, as `n` of `audio-{n}`, the default one first.
    pub audio: Vec<usize>,
    /// Subtitle tracks, as `n` of `subtitles-{n}`.
    pub subtitles: Vec<usize>,
    /// What is left out and why.
    pub left_out: Vec<LeftOut>,
    /// The file has video: without it there is nothing to watch.
    pub wants_video: bool,
}

impl Delivery {
    /// Decides for a player that decodes `codecs` (`None`: anything) and takes `format`.
    #[must_use]
    pub fn decide(planned: &Planned, format: SegmentFormat, codecs: Option<&CodecList>) -> Self {
        let mut delivery = Self { wants_video: planned.video().is_some(), ..Self::default() };
        let (mut audio, mut subtitles) = (0.., 0..);
        for (n, track) in planned.movie.tracks.iter().enumerate() {
            let verdict = match track.kind {
                TrackKind::Video if planned.video() != Some(n) => {
                    Err("another video track is shown".to_owned())
                }
                TrackKind::Other => continue,
                _ => verdict(planned, n, track, format, codecs),
            };
            let place = match track.kind {
                TrackKind::Audio => audio.next(),
                TrackKind::Subtitle => subtitles.next(),
                TrackKind::Video | TrackKind::Other => None,
            };
            match (verdict, track.kind, place) {
                (Err(reason), ..) => delivery.left_out.push(LeftOut { track: n, reason }),
                (Ok(()), TrackKind::Video, _) => delivery.video = Some(n),
                (Ok(()), TrackKind::Audio, Some(place)) => delivery.audio.push(place),
                (Ok(()), TrackKind::Subtitle, Some(place)) => delivery.subtitles.push(place),
                (Ok(()), ..) => {}
            }
        }
        if let Some(default) = planned.default_audio() {
            delivery.audio.sort_by_key(|n| (*n != default, *n));
        }
        delivery
    }

    /// Whether there is something to play: the video if the file has one, else some audio.
    #[must_use]
    pub fn is_playable(&self) -> bool {
        if self.wants_video { self.video.is_some() } else { !self.audio.is_empty() }
    }

    /// The decision in a sentence.
    #[must_use]
    pub fn reason(&self) -> String {
        let left: Vec<&str> = self.left_out.iter().map(|l| l.reason.as_str()).collect();
        match (self.is_playable(), left.is_empty()) {
            (true, true) => "everything is cut as it is".to_owned(),
            (true, false) => format!("cut as it is; left out: {}", left.join("; ")),
            (false, true) => "there is no track to play".to_owned(),
            (false, false) => format!("cannot be cut: {}", left.join("; ")),
        }
    }
}

/// Whether the player can be given the track, or why not.
fn verdict(
    planned: &Planned,
    n: usize,
    track: &Track,
    format: SegmentFormat,
    codecs: Option<&CodecList>,
) -> Result<(), String> {
    let what = format!("{} track {n} ({})", kind(track.kind), track.codec.name());
    if planned.plan.track(n).is_none() {
        return Err(format!("{what} has no samples that can be cut"));
    }
    if track.kind == TrackKind::Subtitle {
        return match track.codec {
            CodecConfig::Text(_) => Ok(()),
            _ => Err(format!("{what} is not text")),
        };
    }
    let Some(string) = track.codec.rfc6381() else {
        return Err(format!("{what} has no codec string: it needs a transcode"));
    };
    if let Some(list) = codecs
        && !list.takes(&string, track.codec.name())
    {
        return Err(format!("{what}: the player does not decode {string}"));
    }
    let carried = match format {
        SegmentFormat::Fmp4 => layout::init_of(track).map(|_| ()),
        SegmentFormat::Ts => TsWriter::new(&[track]).map(|_| ()),
    };
    carried.map_err(|e| format!("{what}: {e}"))
}

fn kind(kind: TrackKind) -> &'static str {
    match kind {
        TrackKind::Video => "video",
        TrackKind::Audio => "audio",
        TrackKind::Subtitle => "subtitle",
        TrackKind::Other => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_codecs_by_family_string_or_short_name() {
        let list = CodecList::parse("avc1, mp4a.40 ,hev1,OPUS,,ac3");
        for (string, name) in [
            ("avc1.640028", "h264"),
            ("mp4a.40.2", "aac"),
            ("hvc1.2.4.L93.B0", "hevc"),
            ("Opus", "opus"),
            ("ac-3", "ac3"),
        ] {
            assert!(list.takes(string, name), "{string}");
        }
        for (string, name) in
            [("av01.0.05M.10", "av1"), ("mp4a.6b", "mp3"), ("ec-3", "eac3"), ("fLaC", "flac")]
        {
            assert!(!list.takes(string, name), "{string}");
        }
    }

    #[test]
    fn a_whole_string_is_no_family() {
        let list = CodecList::parse("avc1.640028,mp4a.40.2");
        assert!(list.takes("avc1.640028", "h264"));
        assert!(!list.takes("avc1.64002A", "h264"));
        assert!(!list.takes("mp4a.40.29", "aac"));
    }
}
