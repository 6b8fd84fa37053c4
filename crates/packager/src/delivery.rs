//! Which tracks a player can be given as they are, and why not the others.

use serde::{Deserialize, Serialize};

use crate::Planned;

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
}

impl Delivery {
    /// Decides for a player that decodes `codecs` (`None`: anything) and takes `format`.
    #[must_use]
    pub fn decide(planned: &Planned, format: SegmentFormat, codecs: Option<&CodecList>) -> Self {
        let _ = (planned, format, codecs);
        Self::default()
    }

    /// Whether there is anything to play.
    #[must_use]
    pub fn is_playable(&self) -> bool {
        self.video.is_some() || !self.audio.is_empty()
    }
}
