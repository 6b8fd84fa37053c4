//! Names of renditions and numbers of segments, as they stand in addresses.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A stream of one title: cut from the file, or transcoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RenditionId {
    /// The video; in an audio-only file its default audio.
    Source,
    /// The audio track of this number, counting the file's audio tracks from 0.
    Audio(usize),
    /// The subtitle track of this number, counting the file's subtitle tracks from 0.
    Subtitles(usize),
    /// The first picture of each video segment, for fast winding.
    IFrames,
    /// The video as H.264 of at most this many lines (of a picture that stands upright: columns).
    H264(u16),
    /// The audio track of this number as AAC, on the grid of 1,024 samples.
    Aac(usize),
}

/// The heights that a video is transcoded to, highest first.
pub const HEIGHTS: [u16; 7] = [2_160, 1_440, 1_080, 720, 480, 360, 240];

impl RenditionId {
    /// Whether it is made by a transcoder, not cut.
    #[must_use]
    pub const fn is_transcoded(self) -> bool {
        matches!(self, Self::H264(_) | Self::Aac(_))
    }
}

impl fmt::Display for RenditionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source => f.write_str("source"),
            Self::Audio(n) => write!(f, "audio-{n}"),
            Self::Subtitles(n) => write!(f, "subtitles-{n}"),
            Self::IFrames => f.write_str("iframes"),
            Self::H264(height) => write!(f, "{height}p-h264"),
            Self::Aac(n) => write!(f, "audio-{n}-aac"),
        }
    }
}

/// Not the name of a rendition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a rendition: expected source, iframes, audio-N, subtitles-N, HEIGHTp-h264 or audio-N-aac"
)]
pub struct UnknownRendition(String);

impl FromStr for RenditionId {
    type Err = UnknownRendition;

    fn from_str(name: &str) -> Result<Self, UnknownRendition> {
        let unknown = || UnknownRendition(name.chars().take(64).collect());
        let number = |digits: &str| {
            let canonical = digits == "0" || !(digits.is_empty() || digits.starts_with(['0', '+']));
            digits.parse::<u16>().ok().filter(|_| canonical).map(usize::from)
        };
        match name {
            "source" => Ok(Self::Source),
            "iframes" => Ok(Self::IFrames),
            _ => match name.rsplit_once('-') {
                Some(("audio", n)) => number(n).map(Self::Audio),
                Some(("subtitles", n)) => number(n).map(Self::Subtitles),
                Some((height, "h264")) => HEIGHTS
                    .into_iter()
                    .find(|h| height.strip_suffix('p') == Some(h.to_string().as_str()))
                    .map(Self::H264),
                Some((track, "aac")) => track.strip_prefix("audio-").and_then(number).map(Self::Aac),
                _ => None,
            }
            .ok_or_else(unknown),
        }
    }
}

/// The number of a segment within its rendition, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SegmentIndex(u32);

impl SegmentIndex {
    /// The segment of this number; whether it exists, the plan says.
    #[must_use]
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number, to look up with.
    #[must_use]
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for SegmentIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let heights = HEIGHTS.map(RenditionId::H264);
        let others = [
            RenditionId::Source,
            RenditionId::IFrames,
            RenditionId::Audio(0),
            RenditionId::Subtitles(12),
            RenditionId::Aac(3),
        ];
        for id in others.into_iter().chain(heights) {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn only_the_canonical_spelling_is_a_name() {
        for name in [
            "",
            "audio",
            "audio-",
            "audio--1",
            "audio-01",
            "audio-+1",
            "Source",
            "audio-70000",
            "721p-h264",
            "0720p-h264",
            "720-h264",
            "720p-hevc",
            "audio-01-aac",
            "audio-1-aacx",
            "-aac",
        ] {
            assert!(name.parse::<RenditionId>().is_err(), "{name}");
        }
    }
}
