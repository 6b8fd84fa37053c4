//! Which tracks a player can be given as they are, and why not the others.

use serde::{Deserialize, Serialize};

use container::{Track, TrackKind, codec::CodecConfig, write::mpegts::TsWriter};

use crate::{
    Planned, RenditionId, Transcodes, layout,
    transcode::{AAC_LC, Rung},
};

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

    /// Whether an entry says that it decodes H.264 High of this level: `avc1` or `h264` alone, or High of a level that is
    /// no lower.
    #[must_use]
    pub fn takes_avc_high(&self, level: u8) -> bool {
        self.0.iter().any(|entry| match entry.split_once('.') {
            None => matches!(entry.as_str(), "avc1" | "avc3" | "h264"),
            Some(("avc1" | "avc3", rest)) => {
                let stated = rest.get(4..6).and_then(|hex| u8::from_str_radix(hex, 16).ok());
                rest.starts_with("64") && stated.is_some_and(|stated| stated >= level)
            }
            Some(_) => false,
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

/// What becomes of a track for a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Its samples as they are, in segments.
    Cut,
    /// Decoded and encoded anew.
    Transcode,
    /// Not given.
    LeaveOut,
}

/// What becomes of one track, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrackDecision {
    /// Index into [`Movie::tracks`](container::Movie::tracks).
    pub track: usize,
    /// Video, audio or subtitle.
    pub kind: TrackKind,
    /// What becomes of it.
    pub action: Action,
    /// The rendition to ask for first; `None` if it is left out.
    pub rendition: Option<String>,
    /// Why, for people.
    pub reason: String,
}

/// What a player is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// The video track (index into the movie's tracks), cut as it is.
    pub video: Option<usize>,
    /// Heights that the video is transcoded to, `n` of `{n}p-h264`, highest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ladder: Vec<u16>,
    /// Audio tracks, as `n` of `audio-{n}`, the default one first.
    pub audio: Vec<usize>,
    /// Audio tracks that are transcoded, as `n` of `audio-{n}-aac`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audio_aac: Vec<usize>,
    /// Subtitle tracks, as `n` of `subtitles-{n}`.
    pub subtitles: Vec<usize>,
    /// What is left out and why.
    pub left_out: Vec<LeftOut>,
    /// Every track that could be shown, in file order.
    pub tracks: Vec<TrackDecision>,
    /// The file has video: without it there is nothing to watch.
    pub wants_video: bool,
}

impl Delivery {
    /// Decides for a player that decodes `codecs` (`None`: anything) and takes `format`, from a server that only cuts.
    #[must_use]
    pub fn decide(planned: &Planned, format: SegmentFormat, codecs: Option<&CodecList>) -> Self {
        Self::with(planned, None, format, codecs)
    }

    /// Decides for such a player; `transcodes` is what can be transcoded, if anything can. What the player takes is cut;
    /// beside it, video is offered smaller, and to a player that does not say what it takes, sound as AAC.
    #[must_use]
    pub fn with(
        planned: &Planned,
        transcodes: Option<&Transcodes>,
        format: SegmentFormat,
        codecs: Option<&CodecList>,
    ) -> Self {
        // MPEG-TS is for old players, which get what is cut.
        let transcodes = transcodes.filter(|_| format == SegmentFormat::Fmp4);
        let mut delivery = Self { wants_video: planned.video().is_some(), ..Self::default() };
        let (mut audio, mut subtitles) = (0.., 0..);
        for (n, track) in planned.movie.tracks.iter().enumerate() {
            let verdict = match track.kind {
                TrackKind::Video if planned.video() != Some(n) => Err(OTHER_VIDEO.to_owned()),
                TrackKind::Other => continue,
                _ => verdict(planned, n, track, format, codecs),
            };
            let place = match track.kind {
                TrackKind::Audio => audio.next(),
                TrackKind::Subtitle => subtitles.next(),
                TrackKind::Video | TrackKind::Other => None,
            };
            let cut = verdict.is_ok();
            match (track.kind, place) {
                (TrackKind::Video, _) if planned.video() == Some(n) => {
                    delivery.video = cut.then_some(n);
                    delivery.ladder = ladder(transcodes, codecs);
                    if let Some(transcodes) = transcodes.filter(|_| cut) {
                        delivery.ladder.retain(|height| transcodes.saves(planned, track, *height));
                    }
                }
                (TrackKind::Audio, Some(place)) => {
                    if cut {
                        delivery.audio.push(place);
                    }
                    if as_aac(transcodes, place, cut, codecs) {
                        delivery.audio_aac.push(place);
                    }
                }
                (TrackKind::Subtitle, Some(place)) if cut => delivery.subtitles.push(place),
                _ => {}
            }
            delivery.note(n, track, verdict, place);
        }
        if let Some(default) = planned.default_audio() {
            delivery.audio.sort_by_key(|n| (*n != default, *n));
            delivery.audio_aac.sort_by_key(|n| (*n != default, *n));
        }
        delivery
    }

    /// Says what became of a track.
    fn note(&mut self, n: usize, track: &Track, verdict: Result<(), String>, place: Option<usize>) {
        let what = kind(track.kind);
        let transcoded = match (track.kind, place) {
            (TrackKind::Video, _) => self
                .ladder
                .first()
                .filter(|_| self.video == Some(n) || verdict.as_ref().is_err_and(|e| e != OTHER_VIDEO))
                .map(|height| RenditionId::H264(*height)),
            (TrackKind::Audio, Some(place)) => {
                self.audio_aac.contains(&place).then_some(RenditionId::Aac(place))
            }
            _ => None,
        };
        let cut = match (track.kind, place) {
            (TrackKind::Audio, Some(place)) => RenditionId::Audio(place),
            (TrackKind::Subtitle, Some(place)) => RenditionId::Subtitles(place),
            _ => RenditionId::Source,
        };
        let (action, rendition, reason) = match (verdict, transcoded) {
            (Ok(()), _) => {
                (Action::Cut, Some(cut), format!("{what}: the player takes {}", track.codec.name()))
            }
            (Err(reason), Some(rendition)) => (Action::Transcode, Some(rendition), reason),
            (Err(reason), None) => {
                self.left_out.push(LeftOut { track: n, reason: reason.clone() });
                (Action::LeaveOut, None, reason)
            }
        };
        let rendition = rendition.map(|r| r.to_string());
        self.tracks.push(TrackDecision { track: n, kind: track.kind, action, rendition, reason });
    }

    /// Whether there is something to play: the video if the file has one, else some audio.
    #[must_use]
    pub fn is_playable(&self) -> bool {
        if self.wants_video {
            self.video.is_some() || !self.ladder.is_empty()
        } else {
            !self.audio.is_empty() || !self.audio_aac.is_empty()
        }
    }

    /// Whether some track reaches this player only because it is transcoded.
    #[must_use]
    pub fn needs_transcode(&self) -> bool {
        self.tracks.iter().any(|t| t.action == Action::Transcode)
    }

    /// The decision in a sentence.
    #[must_use]
    pub fn reason(&self) -> String {
        let left: Vec<&str> = self.left_out.iter().map(|l| l.reason.as_str()).collect();
        let made: Vec<&str> =
            self.tracks.iter().filter(|t| t.action == Action::Transcode).map(|t| t.reason.as_str()).collect();
        match (self.is_playable(), left.is_empty()) {
            (true, true) if made.is_empty() => "everything is cut as it is".to_owned(),
            (true, false) if made.is_empty() => format!("cut as it is; left out: {}", left.join("; ")),
            (true, true) => format!("transcoded: {}", made.join("; ")),
            (true, false) => format!("transcoded: {}; left out: {}", made.join("; "), left.join("; ")),
            (false, true) => "there is no track to play".to_owned(),
            (false, false) => format!("cannot be cut: {}", left.join("; ")),
        }
    }
}

const OTHER_VIDEO: &str = "another video track is shown";

/// The heights that the player can be given.
fn ladder(transcodes: Option<&Transcodes>, codecs: Option<&CodecList>) -> Vec<u16> {
    let rungs = transcodes.map_or(&[] as &[_], |t| &t.rungs);
    let taken = |rung: &&Rung| codecs.is_none_or(|list| list.takes_avc_high(rung.level));
    rungs.iter().filter(taken).map(|rung| rung.name).collect()
}

/// Whether audio track `place` is offered as AAC: where the player does not take it as it is, and where nobody knows.
fn as_aac(transcodes: Option<&Transcodes>, place: usize, cut: bool, codecs: Option<&CodecList>) -> bool {
    let Some(aac) = transcodes.and_then(|t| t.aac(RenditionId::Aac(place))) else { return false };
    match codecs {
        Some(list) => !cut && list.takes(AAC_LC, "aac"),
        None => !cut || !aac.is_aac,
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
    fn high_of_a_level_includes_the_lower_ones() {
        for (list, takes) in [
            ("avc1", true),
            ("h264", true),
            ("avc1.640028", true),
            ("avc1.64001f", true),
            ("avc1.64001e", false),
            ("avc1.42e01f", false),
            ("avc1.64", false),
            ("hvc1", false),
        ] {
            assert_eq!(CodecList::parse(list).takes_avc_high(31), takes, "{list}");
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
