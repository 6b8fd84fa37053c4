//! Codec configuration records and codec strings (RFC 6381, and each codec's own binding), from the real records.
//!
//! Decodes nothing beyond headers. One file a codec.

use bytes::Bytes;

use crate::ContainerError;

/// A codec with its configuration record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecConfig {
    /// A text subtitle format.
    Text(TextFormat),
    /// Known by name only: not cut, perhaps transcoded.
    Other {
        /// The container's identifier (`V_MS/VFW/FOURCC`, `mp4v`).
        id: String,
        /// The private data as found.
        private: Bytes,
    },
}

/// Text subtitle formats.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextFormat {
    /// SubRip lines.
    Srt,
    /// SubStation Alpha 4+; the header (styles) as found in the file.
    Ass(Bytes),
    /// WebVTT cues.
    WebVtt,
    /// 3GPP timed text (ISO/IEC 14496-17).
    Tx3g,
}

/// What a video sample is to a decoder that starts at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RandomAccess {
    /// Starts clean: IDR, BLA, a VP9 or AV1 key frame.
    Clean,
    /// HEVC CRA: starts, but leading pictures (RASL) may follow that cannot be decoded from here.
    OpenGop,
    /// H.264 recovery point or non-IDR intra picture: browsers refuse to start here.
    RecoveryPoint,
    /// Decoding cannot start here.
    No,
    /// The codec says nothing we read; the container's flag must do.
    Unknown,
}

impl CodecConfig {
    /// The codec string of RFC 6381, or `None` if the codec is not one that a browser could be asked about or its
    /// configuration is not complete yet.
    #[must_use]
    pub fn rfc6381(&self) -> Option<String> {
        None
    }

    /// Short lower-case name: `h264`, `hevc`, `vp8`, `vp9`, `av1`, `aac`, `opus`, `flac`, `ac3`, `eac3`, `mp3`,
    /// `vorbis`, `srt`, `ass`, `webvtt`, `tx3g`; the container's identifier for others.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Text(TextFormat::Srt) => "srt",
            Self::Text(TextFormat::Ass(_)) => "ass",
            Self::Text(TextFormat::WebVtt) => "webvtt",
            Self::Text(TextFormat::Tx3g) => "tx3g",
            Self::Other { id, .. } => id,
        }
    }

    /// Whether the configuration has to be completed from the first coded frame (Matroska AC-3, E-AC-3, MP3, VP9).
    #[must_use]
    pub fn wants_first_frame(&self) -> bool {
        false
    }

    /// Completes the configuration from the first coded frame; does nothing where it is complete.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] when the frame's header cannot be read.
    pub fn complete_from_frame(&mut self, _frame: &[u8]) -> Result<(), ContainerError> {
        Ok(())
    }

    /// Audio samples per channel that this coded frame decodes to (AAC 1024, AC-3 1536, Opus by its TOC byte, FLAC by
    /// its frame header); `None` where unknown.
    #[must_use]
    pub fn frame_samples(&self, _frame: &[u8]) -> Option<u32> {
        None
    }

    /// Audio samples per frame where the configuration alone fixes it.
    #[must_use]
    pub fn frame_samples_constant(&self) -> Option<u32> {
        None
    }

    /// What a video sample is, by its NAL types (or frame header). `sample` may be just its first few hundred bytes.
    #[must_use]
    pub fn random_access(&self, _sample: &[u8]) -> RandomAccess {
        RandomAccess::Unknown
    }

    /// How many pictures a decoder may have to hold back to put them in order, from the SPS; `None` if not stated.
    #[must_use]
    pub fn reorder_frames(&self) -> Option<u32> {
        None
    }
}
