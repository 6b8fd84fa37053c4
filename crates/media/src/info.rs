//! A title described for `GET /video/{id}`.

use serde::Serialize;

/// Everything that is told of a title. The surface adds `file`.
#[derive(Clone, Debug, Serialize)]
pub struct TitleInfo {
    /// Bytes of the file.
    pub size: u64,
    /// `matroska` or `mp4`.
    pub format: container::Format,
    /// The title inside the file.
    pub title: Option<String>,
    /// Seconds, from the samples.
    pub duration: f64,
    /// Tracks in file order.
    pub tracks: Vec<TrackInfo>,
    /// Chapters in time order.
    pub chapters: Vec<ChapterInfo>,
    /// Files within the file (fonts).
    pub attachments: Vec<AttachmentInfo>,
    /// What the index says of keyframes.
    pub keyframes: KeyframeInfo,
    /// What can be asked for.
    pub renditions: Vec<RenditionInfo>,
    /// What a player should ask for, and why.
    pub decision: Decision,
}

/// One track.
#[derive(Clone, Debug, Serialize)]
pub struct TrackInfo {
    /// Place in the file, from 0.
    pub index: usize,
    /// Video, audio, subtitle or other.
    pub kind: container::TrackKind,
    /// Short name: `h264`, `aac`.
    pub codec: String,
    /// RFC 6381, where there is one.
    pub codec_string: Option<String>,
    /// BCP 47.
    pub language: Option<String>,
    /// The title the file gives it.
    pub name: Option<String>,
    /// How players choose.
    #[serde(flatten)]
    pub flags: container::TrackFlags,
    /// Pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Frames a second, where constant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_rate: Option<f64>,
    /// `sdr`, `pq` or `hlg`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamic_range: Option<&'static str>,
    /// Samples a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
    /// Channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<u16>,
    /// The rendition that carries it; `None` if it is not sent.
    pub rendition: Option<String>,
}

/// One chapter.
#[derive(Clone, Debug, Serialize)]
pub struct ChapterInfo {
    /// Seconds.
    pub start: f64,
    /// Seconds.
    pub end: Option<f64>,
    /// Its name; may be empty.
    pub title: String,
}

/// One file within the file.
#[derive(Clone, Debug, Serialize)]
pub struct AttachmentInfo {
    /// As the file names it: never a path.
    pub name: String,
    /// Its media type as stated.
    pub media_type: String,
    /// Bytes.
    pub size: u64,
}

/// What the index says of keyframes.
#[derive(Clone, Debug, Serialize)]
pub struct KeyframeInfo {
    /// Segments of the video.
    pub segments: usize,
    /// Longest segment, seconds.
    pub segment_seconds_max: f64,
    /// Mean segment, seconds.
    pub segment_seconds_mean: f64,
    /// Every segment can be decoded alone (closed GOPs).
    pub independent: bool,
}

/// One rendition.
#[derive(Clone, Debug, Serialize)]
pub struct RenditionInfo {
    /// Its name in paths.
    pub name: String,
    /// What it carries.
    pub kind: container::TrackKind,
    /// RFC 6381.
    pub codecs: Option<String>,
    /// Most bits a second of any segment.
    pub bandwidth_peak: u64,
    /// Bits a second over all.
    pub bandwidth_average: u64,
    /// The containers it can be had in: `fmp4`, `ts`.
    pub containers: Vec<&'static str>,
}

/// How a title is to be delivered to a player.
#[derive(Clone, Debug, Serialize)]
pub struct Decision {
    /// What to do.
    pub mode: DecisionMode,
    /// Why, for people.
    pub reason: String,
}

/// The ways a title can be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DecisionMode {
    /// The file as it is.
    Direct,
    /// Cut into segments, nothing re-encoded.
    Cut,
    /// Video cut; the sound cannot be played by this player and there is no other.
    CutVideoOnly,
    /// Nothing this player can decode.
    Refused,
}
