//! Codec configuration records and codec strings (RFC 6381, and each codec's own binding), from the real records.
//!
//! [`CodecConfig`] dispatches; one file a codec knows its record. Decodes nothing beyond headers. Which container's
//! identifier means which codec is known to `matroska` and `mp4`.

mod aac;
mod ac3;
mod av1;
mod avc;
mod bits;
mod flac;
mod hevc;
mod mp3;
mod nal;
mod opus;
mod vp9;

use bytes::Bytes;

pub use aac::AacConfig;
pub use ac3::{Ac3Config, Eac3Config, Eac3Substream};
pub use av1::Av1Config;
pub use avc::AvcConfig;
pub use flac::FlacConfig;
pub use hevc::HevcConfig;
pub use mp3::Mp3Config;
pub use opus::OpusConfig;
pub use vp9::Vp9Config;

use crate::{AudioInfo, ColorInfo, ContainerError, VideoInfo};

/// A codec with its configuration record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecConfig {
    /// H.264 (ISO/IEC 14496-10).
    Avc(AvcConfig),
    /// HEVC (ISO/IEC 23008-2).
    Hevc(HevcConfig),
    /// VP8 (RFC 6386): has no record.
    Vp8,
    /// VP9.
    Vp9(Vp9Config),
    /// AV1.
    Av1(Av1Config),
    /// AAC in any of its object types (ISO/IEC 14496-3).
    Aac(AacConfig),
    /// Opus (RFC 6716, 7845).
    Opus(OpusConfig),
    /// FLAC (RFC 9639).
    Flac(FlacConfig),
    /// AC-3 (ETSI TS 102 366); `None` until its first frame is seen.
    Ac3(Option<Ac3Config>),
    /// E-AC-3 (ETSI TS 102 366 annex E); `None` until its first frame is seen.
    Eac3(Option<Eac3Config>),
    /// MPEG-1/2 audio layer I to III; `None` until its first frame is seen.
    Mp3(Option<Mp3Config>),
    /// Vorbis: its three headers, Xiph-laced as Matroska holds them.
    Vorbis(Bytes),
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
    /// WebVTT cues as WebM held them first: identifier and settings in two lines before the text.
    WebVttInline,
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
    /// H.264 recovery point or non-IDR intra picture, AV1 delayed random access: browsers refuse to start here.
    RecoveryPoint,
    /// Decoding cannot start here.
    No,
    /// The codec says nothing we read, or the bytes given end before what decides; the container's flag must do.
    Unknown,
}

/// Whether an HEVC picture leads its IRAP: decoded after it, shown before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leading {
    /// Not a leading picture.
    No,
    /// RADL: decodable after a start at its IRAP.
    Decodable,
    /// RASL: refers to pictures before its IRAP; skipped after a start there.
    Skipped,
    /// Another codec, or the bytes given end before what decides.
    Unknown,
}

impl CodecConfig {
    /// From the object type indication and the decoder specific information of an `esds` (ISO/IEC 14496-1 table 5):
    /// AAC, MP3, or `Other` named `mp4a.XX`.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] when the AudioSpecificConfig cannot be read.
    pub fn from_object_type(object_type: u8, specific: &Bytes) -> Result<Self, ContainerError> {
        Ok(match object_type {
            0x40 | 0x66..=0x68 => match AacConfig::parse(specific)? {
                aac if aac.is_layered_mpeg() => Self::Mp3(None),
                aac => Self::Aac(aac),
            },
            0x69 | 0x6b => Self::Mp3(None),
            0xa5 => Self::Ac3(None),
            0xa6 => Self::Eac3(None),
            0xdd => Self::Vorbis(specific.clone()),
            other => Self::Other { id: format!("mp4a.{other:02X}"), private: specific.clone() },
        })
    }

    /// The codec string of RFC 6381, or `None` if the codec is not one that a browser could be asked about or its
    /// configuration is not complete yet.
    ///
    /// `Opus` and `fLaC` are spelled as their sample entries are (RFC 6381 §3.3, Apple's authoring rules). Asked with
    /// `MediaSource.isTypeSupported` in fragmented MP4, Chromium 156 takes these and the lower-case spellings, and
    /// plays what it takes; every `avc1`, `vp09` (level 10 and up: 00 is refused) and `av01` made here; `mp4a.40.2`,
    /// `.5` and `.29`. It refuses `vp08`, MP3 in any spelling (`mp4a.6B`, `mp4a.69`, `mp4a.40.34`, `mp3`), USAC
    /// (`mp4a.40.42`), and in Debian's build `hvc1`, `ac-3` and `ec-3`.
    #[must_use]
    pub fn rfc6381(&self) -> Option<String> {
        match self {
            Self::Avc(c) => Some(c.rfc6381()),
            Self::Hevc(c) => Some(c.rfc6381()),
            Self::Vp8 => Some("vp08.00.10.08".to_owned()),
            Self::Vp9(c) => c.rfc6381(),
            Self::Av1(c) => c.rfc6381(),
            Self::Aac(c) => Some(c.rfc6381()),
            Self::Opus(_) => Some("Opus".to_owned()),
            Self::Flac(_) => Some("fLaC".to_owned()),
            Self::Ac3(_) => Some("ac-3".to_owned()),
            Self::Eac3(_) => Some("ec-3".to_owned()),
            Self::Mp3(c) => Some(c.as_ref().map_or("mp4a.6B", Mp3Config::rfc6381).to_owned()),
            Self::Vorbis(_) | Self::Text(_) | Self::Other { .. } => None,
        }
    }

    /// Short lower-case name: `h264`, `hevc`, `vp8`, `vp9`, `av1`, `aac`, `opus`, `flac`, `ac3`, `eac3`, `mp3`,
    /// `vorbis`, `srt`, `ass`, `webvtt`, `tx3g`; the container's identifier for others.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Avc(_) => "h264",
            Self::Hevc(_) => "hevc",
            Self::Vp8 => "vp8",
            Self::Vp9(_) => "vp9",
            Self::Av1(_) => "av1",
            Self::Aac(_) => "aac",
            Self::Opus(_) => "opus",
            Self::Flac(_) => "flac",
            Self::Ac3(_) => "ac3",
            Self::Eac3(_) => "eac3",
            Self::Mp3(_) => "mp3",
            Self::Vorbis(_) => "vorbis",
            Self::Text(TextFormat::Srt) => "srt",
            Self::Text(TextFormat::Ass(_)) => "ass",
            Self::Text(TextFormat::WebVtt | TextFormat::WebVttInline) => "webvtt",
            Self::Text(TextFormat::Tx3g) => "tx3g",
            Self::Other { id, .. } => id,
        }
    }

    /// The record as MP4 holds it, without box header and without version and flags: the payload of `avcC`, `hvcC`,
    /// `vpcC`, `av1C`, `dOps`, `dfLa`, `dac3`, `dec3`, or the AudioSpecificConfig for `esds`. `None` where there is
    /// none (VP8, MP3, text) or it is not complete yet.
    #[must_use]
    pub fn record(&self) -> Option<Bytes> {
        match self {
            Self::Avc(c) => Some(c.record()),
            Self::Hevc(c) => Some(c.record()),
            Self::Vp9(c) => c.is_complete().then(|| c.record()),
            Self::Av1(c) => c.is_complete().then(|| c.record()),
            Self::Aac(c) => Some(c.record()),
            Self::Opus(c) => Some(c.record()),
            Self::Flac(c) => Some(c.record()),
            Self::Ac3(c) => c.as_ref().map(Ac3Config::record),
            Self::Eac3(c) => c.as_ref().map(Eac3Config::record),
            Self::Vp8 | Self::Mp3(_) | Self::Vorbis(_) | Self::Text(_) | Self::Other { .. } => None,
        }
    }

    /// Whether the configuration has to be completed from the first coded frame (Matroska AC-3, E-AC-3, MP3, VP9;
    /// AV1 without a record; H.264 and HEVC whose parameter sets are only in the samples).
    #[must_use]
    pub fn wants_first_frame(&self) -> bool {
        match self {
            Self::Avc(c) => !c.has_parameter_sets(),
            Self::Hevc(c) => !c.has_parameter_sets(),
            Self::Vp9(c) => !c.is_complete(),
            Self::Av1(c) => !c.is_complete(),
            Self::Ac3(c) => c.is_none(),
            Self::Eac3(c) => c.is_none(),
            Self::Mp3(c) => c.is_none(),
            _ => false,
        }
    }

    /// Completes the configuration from the first coded frame; does nothing where it is complete.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`] when the frame's header cannot be read.
    pub fn complete_from_frame(&mut self, frame: &[u8]) -> Result<(), ContainerError> {
        if !self.wants_first_frame() {
            return Ok(());
        }
        match self {
            Self::Avc(c) => c.complete_from_frame(frame)?,
            Self::Hevc(c) => c.complete_from_frame(frame)?,
            Self::Vp9(c) => c.complete_from_frame(frame)?,
            Self::Av1(c) => c.complete_from_frame(frame)?,
            // Files confuse these two by name; the frame knows.
            Self::Ac3(_) | Self::Eac3(_) if ac3::is_enhanced(frame) => {
                *self = Self::Eac3(Some(Eac3Config::from_frame(frame)?));
            }
            Self::Ac3(_) | Self::Eac3(_) => *self = Self::Ac3(Some(Ac3Config::from_frame(frame)?)),
            Self::Mp3(c) => *c = Some(Mp3Config::from_frame(frame)?),
            _ => {}
        }
        Ok(())
    }

    /// Audio samples per channel that this coded frame decodes to (AAC 1024, AC-3 1536, Opus by its TOC byte, FLAC by
    /// its frame header), at the rate of [`fill_audio`](Self::fill_audio); `None` where unknown.
    #[must_use]
    pub fn frame_samples(&self, frame: &[u8]) -> Option<u32> {
        match self {
            Self::Aac(c) => Some(c.frame_samples()),
            Self::Opus(_) => OpusConfig::frame_samples(frame),
            Self::Flac(c) => c.frame_samples(frame),
            Self::Ac3(_) => Some(ac3::SYNCFRAME_SAMPLES),
            Self::Eac3(_) => Eac3Config::frame_samples(frame),
            Self::Mp3(_) => Mp3Config::from_frame(frame).ok().map(|c| c.frame_samples()),
            _ => None,
        }
    }

    /// Audio samples per frame where the configuration alone fixes it.
    #[must_use]
    pub fn frame_samples_constant(&self) -> Option<u32> {
        match self {
            Self::Aac(c) => Some(c.frame_samples()),
            Self::Flac(c) => c.frame_samples_constant(),
            Self::Ac3(_) => Some(ac3::SYNCFRAME_SAMPLES),
            Self::Eac3(c) => c.as_ref().map(Eac3Config::access_unit_samples),
            Self::Mp3(c) => c.as_ref().map(Mp3Config::frame_samples),
            _ => None,
        }
    }

    /// What a video sample is, by its NAL types (or frame header). `sample` may be just its first few hundred bytes.
    #[must_use]
    pub fn random_access(&self, sample: &[u8]) -> RandomAccess {
        match self {
            Self::Avc(c) => c.random_access(sample),
            Self::Hevc(c) => c.random_access(sample),
            Self::Vp8 => vp9::vp8_random_access(sample),
            Self::Vp9(_) => Vp9Config::random_access(sample),
            Self::Av1(c) => c.random_access(sample),
            _ => RandomAccess::Unknown,
        }
    }

    /// Whether an HEVC sample is a leading picture. `sample` may be just its first few hundred bytes.
    #[must_use]
    pub fn leading(&self, sample: &[u8]) -> Leading {
        match self {
            Self::Hevc(c) => c.leading(sample),
            _ => Leading::Unknown,
        }
    }

    /// How many pictures a decoder may have to hold back to put them in order, from the SPS; `None` if not stated.
    #[must_use]
    pub fn reorder_frames(&self) -> Option<u32> {
        match self {
            Self::Avc(c) => c.reorder_frames(),
            Self::Hevc(c) => c.reorder_frames(),
            Self::Vp8 | Self::Vp9(_) | Self::Av1(_) => Some(0),
            _ => None,
        }
    }

    /// Bytes of the length before each NAL unit of a sample: 1, 2 or 4. `None` for codecs without NAL units.
    #[must_use]
    pub fn nal_length_size(&self) -> Option<u8> {
        match self {
            Self::Avc(c) => Some(c.nal_length_size()),
            Self::Hevc(c) => Some(c.nal_length_size()),
            _ => None,
        }
    }

    /// The parameter sets of the record in the order they have to be sent (VPS, SPS, PPS), without start code or
    /// length. Empty for codecs without.
    pub fn parameter_sets(&self) -> impl Iterator<Item = &Bytes> {
        let (avc, hevc) = match self {
            Self::Avc(c) => (Some(c.parameter_sets()), None),
            Self::Hevc(c) => (None, Some(c.parameter_sets())),
            _ => (None, None),
        };
        avc.into_iter().flatten().chain(hevc.into_iter().flatten())
    }

    /// Bits of a colour component, where the configuration says.
    #[must_use]
    pub fn bit_depth(&self) -> Option<u8> {
        match self {
            Self::Avc(c) => c.bit_depth(),
            Self::Hevc(c) => Some(c.bit_depth()),
            Self::Vp8 => Some(8),
            Self::Vp9(c) => c.bit_depth(),
            Self::Av1(c) => c.bit_depth(),
            _ => None,
        }
    }

    /// Fills in what the bitstream's headers state. Picture size is theirs; pixel shape, colour and frame rate only
    /// where the container left them open.
    pub fn fill_video(&self, info: &mut VideoInfo) {
        match self {
            Self::Avc(c) => c.fill_video(info),
            Self::Hevc(c) => c.fill_video(info),
            Self::Vp9(c) => c.fill_video(info),
            Self::Av1(c) => c.fill_video(info),
            _ => {}
        }
    }

    /// Fills in sample rate and channels as they come out of the decoder, where the configuration states them:
    /// containers often have them wrong (HE-AAC, Opus, AC-3 with its subwoofer).
    pub fn fill_audio(&self, info: &mut AudioInfo) {
        match self {
            Self::Aac(c) => c.fill_audio(info),
            Self::Opus(c) => c.fill_audio(info),
            Self::Flac(c) => c.fill_audio(info),
            Self::Ac3(Some(c)) => c.fill_audio(info),
            Self::Eac3(Some(c)) => c.fill_audio(info),
            Self::Mp3(Some(c)) => c.fill_audio(info),
            _ => {}
        }
    }
}

/// Takes the bitstream's colour unless the container states one: `2, 2, 2` in limited range states nothing.
fn fill_color(info: &mut VideoInfo, bitstream: Option<ColorInfo>) {
    const UNSPECIFIED: [u8; 3] = [2; 3];
    let stated = |c: &ColorInfo| [c.primaries, c.transfer, c.matrix] != UNSPECIFIED || c.full_range;
    info.color = info.color.filter(stated).or(bitstream.filter(stated));
}

/// Runs every parser on `data`. For fuzz targets and property tests: nothing may panic or take long.
#[doc(hidden)]
pub fn fuzz_all(data: &[u8]) {
    let record = Bytes::copy_from_slice(data);
    let (head, tail) = data.split_at(data.len() / 2);
    let configs = [
        AvcConfig::parse(&record).map(CodecConfig::Avc),
        HevcConfig::parse(&record).map(CodecConfig::Hevc),
        Vp9Config::parse(&record).map(CodecConfig::Vp9),
        Vp9Config::from_webm_private(&record).map(CodecConfig::Vp9),
        Av1Config::parse(&record).map(CodecConfig::Av1),
        AacConfig::parse(&record).map(CodecConfig::Aac),
        OpusConfig::parse(&record).map(CodecConfig::Opus),
        OpusConfig::from_opus_head(&record).map(CodecConfig::Opus),
        FlacConfig::parse(&record).map(CodecConfig::Flac),
        Ac3Config::parse(&record).map(|c| CodecConfig::Ac3(Some(c))),
        Eac3Config::parse(&record).map(|c| CodecConfig::Eac3(Some(c))),
        CodecConfig::from_object_type(data.first().copied().unwrap_or(0x40), &record),
        Ok(CodecConfig::Vp8),
        Ok(CodecConfig::Vp9(Vp9Config::default())),
        Ok(CodecConfig::Av1(Av1Config::default())),
        Ok(CodecConfig::Ac3(None)),
        Ok(CodecConfig::Eac3(None)),
        Ok(CodecConfig::Mp3(None)),
    ];
    for mut config in configs.into_iter().flatten() {
        for frame in [data, head, tail] {
            let _ = config.complete_from_frame(frame);
            let _ = (config.random_access(frame), config.leading(frame), config.frame_samples(frame));
        }
        let _ = (config.rfc6381(), config.record(), config.bit_depth(), config.reorder_frames());
        let _ = (config.frame_samples_constant(), config.parameter_sets().count());
        config.fill_video(&mut VideoInfo::default());
        config.fill_audio(&mut AudioInfo::default());
    }
}

#[cfg(test)]
mod tests;
