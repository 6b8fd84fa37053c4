//! What a track is, whatever file it is in.

use bytes::Bytes;

use crate::{codec::CodecConfig, time::Timescale};

/// Video, audio, subtitle, or something we do not play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackKind {
    /// Moving pictures.
    Video,
    /// Sound.
    Audio,
    /// Text or pictures shown over the video.
    Subtitle,
    /// Anything else (timecode, hint, metadata tracks, cover art).
    Other,
}

/// A fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Rational {
    /// Above the line.
    pub num: u32,
    /// Below the line; never zero.
    pub den: u32,
}

/// Flags that players choose tracks by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TrackFlags {
    /// Chosen unless the viewer says otherwise.
    pub default: bool,
    /// Shown even when subtitles are off.
    pub forced: bool,
    /// For viewers who do not hear.
    pub hearing_impaired: bool,
    /// For viewers who do not see.
    pub visual_impaired: bool,
    /// Commentary.
    pub commentary: bool,
    /// In the work's original language.
    pub original: bool,
}

/// Colour description (ISO/IEC 23091-2 code points; 2 is unspecified).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ColorInfo {
    /// Colour primaries.
    pub primaries: u8,
    /// Transfer characteristics (16 is PQ, 18 is HLG).
    pub transfer: u8,
    /// Matrix coefficients.
    pub matrix: u8,
    /// Full-range samples.
    pub full_range: bool,
}

/// What is known of a video track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VideoInfo {
    /// Coded width in pixels, after cropping.
    pub width: u32,
    /// Coded height in pixels, after cropping.
    pub height: u32,
    /// Shape of a pixel, width : height; `None` is square.
    pub pixel_aspect: Option<Rational>,
    /// Constant frame rate where the file or the bitstream states one.
    pub frame_rate: Option<Rational>,
    /// Clockwise rotation for display, degrees: 0, 90, 180 or 270.
    pub rotation: u16,
    /// Colour description from the container or the bitstream.
    pub color: Option<ColorInfo>,
    /// Interlaced, where the container or the bitstream says.
    pub interlaced: bool,
}

/// What is known of an audio track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AudioInfo {
    /// Samples per second that come out of the decoder.
    pub sample_rate: u32,
    /// Channels that come out of the decoder.
    pub channels: u16,
    /// Bits per sample; 0 where it has no meaning.
    pub bit_depth: u16,
}

/// One track of a file.
#[derive(Clone, Debug)]
pub struct Track {
    /// The container's own number for it (Matroska TrackNumber, MP4 track_ID).
    pub number: u64,
    /// Video, audio, subtitle or other.
    pub kind: TrackKind,
    /// Codec and its configuration.
    pub codec: CodecConfig,
    /// Unit of all its times.
    pub timescale: Timescale,
    /// BCP 47 language (ISO 639-2 codes are made two letters where there is one); `None` if unknown or `und`.
    pub language: Option<String>,
    /// The title the file gives it.
    pub name: Option<String>,
    /// How players choose.
    pub flags: TrackFlags,
    /// For [`TrackKind::Video`].
    pub video: Option<VideoInfo>,
    /// For [`TrackKind::Audio`].
    pub audio: Option<AudioInfo>,
    /// Nanoseconds of one frame where the file states it constant (Matroska DefaultDuration).
    pub default_duration_ns: Option<u64>,
    /// Nanoseconds to be dropped from the decoder's start (Matroska CodecDelay, Opus pre-skip).
    pub codec_delay_ns: u64,
    /// Bytes that were taken off the front of every sample (Matroska header stripping); usually empty.
    pub strip_prefix: Bytes,
    /// Samples are zlib streams (Matroska ContentCompAlgo 0); only honoured for subtitles.
    pub deflated: bool,
}
