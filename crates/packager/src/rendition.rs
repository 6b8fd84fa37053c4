//! Names of renditions and numbers of segments, as they stand in addresses.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A stream of one title that is cut, not transcoded.
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
}

impl fmt::Display for RenditionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source => f.write_str("source"),
            Self::Audio(n) => write!(f, "audio-{n}"),
            Self::Subtitles(n) => write!(f, "subtitles-{n}"),
            Self::IFrames => f.write_str("iframes"),
        }
    }
}

/// Not the name of a rendition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a rendition: expected source, iframes, audio-N or subtitles-N")]
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
        for id in
            [RenditionId::Source, RenditionId::IFrames, RenditionId::Audio(0), RenditionId::Subtitles(12)]
        {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn only_the_canonical_spelling_is_a_name() {
        for name in
            ["", "audio", "audio-", "audio--1", "audio-01", "audio-+1", "Source", "audio-70000", "720p-h264"]
        {
            assert!(name.parse::<RenditionId>().is_err(), "{name}");
        }
    }
}
