//! Which codecs can be asked for.

use crate::sys;

/// What compressed video is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VideoCodec {
    /// H.264; its configuration record is an `avcC`, or none with start codes in the packets.
    H264,
    /// HEVC; `hvcC`, or none.
    Hevc,
    /// AV1; `av1C`, or none.
    Av1,
    /// VP8; none.
    Vp8,
    /// VP9; `vpcC` is not needed.
    Vp9,
    /// MPEG-1 video; none.
    Mpeg1,
    /// MPEG-2 video (H.262); a sequence header, or none.
    Mpeg2,
    /// MPEG-4 part 2 (XviD, DivX); the decoder configuration, or none.
    Mpeg4,
    /// Microsoft's MPEG-4 version 3 (DivX 3); none.
    MsMpeg4v3,
    /// VC-1, advanced profile; its sequence header.
    Vc1,
    /// Windows Media Video 9; its sequence header.
    Wmv3,
    /// Motion JPEG; none.
    Mjpeg,
    /// ProRes; none.
    ProRes,
    /// Theora; its three headers, as Matroska holds them.
    Theora,
}

impl VideoCodec {
    /// By the name that `container` gives a codec: `h264`, `hevc`, …, or the identifier of Matroska or MP4.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "h264" => Self::H264,
            "hevc" => Self::Hevc,
            "av1" => Self::Av1,
            "vp8" => Self::Vp8,
            "vp9" => Self::Vp9,
            "V_MPEG1" => Self::Mpeg1,
            "V_MPEG2" => Self::Mpeg2,
            "V_MPEG4/ISO/SP" | "V_MPEG4/ISO/ASP" | "V_MPEG4/ISO/AP" => Self::Mpeg4,
            "V_MPEG4/MS/V3" => Self::MsMpeg4v3,
            "V_MJPEG" | "jpeg" | "mjpa" => Self::Mjpeg,
            "V_PRORES" | "apco" | "apcs" | "apcn" | "apch" | "ap4h" | "ap4x" => Self::ProRes,
            "V_THEORA" => Self::Theora,
            _ => return None,
        })
    }

    /// Whether its decoder reads a configuration record.
    pub(crate) fn is_configured(self) -> bool {
        !matches!(self, Self::Vp8 | Self::Vp9 | Self::Mjpeg | Self::ProRes)
    }

    pub(crate) fn id(self) -> sys::AVCodecID {
        match self {
            Self::H264 => sys::AV_CODEC_ID_H264,
            Self::Hevc => sys::AV_CODEC_ID_HEVC,
            Self::Av1 => sys::AV_CODEC_ID_AV1,
            Self::Vp8 => sys::AV_CODEC_ID_VP8,
            Self::Vp9 => sys::AV_CODEC_ID_VP9,
            Self::Mpeg1 => sys::AV_CODEC_ID_MPEG1VIDEO,
            Self::Mpeg2 => sys::AV_CODEC_ID_MPEG2VIDEO,
            Self::Mpeg4 => sys::AV_CODEC_ID_MPEG4,
            Self::MsMpeg4v3 => sys::AV_CODEC_ID_MSMPEG4V3,
            Self::Vc1 => sys::AV_CODEC_ID_VC1,
            Self::Wmv3 => sys::AV_CODEC_ID_WMV3,
            Self::Mjpeg => sys::AV_CODEC_ID_MJPEG,
            Self::ProRes => sys::AV_CODEC_ID_PRORES,
            Self::Theora => sys::AV_CODEC_ID_THEORA,
        }
    }
}

/// What compressed sound is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AudioCodec {
    /// AAC of any object type; its AudioSpecificConfig.
    Aac,
    /// MPEG layer III; none.
    Mp3,
    /// MPEG layer II; none.
    Mp2,
    /// AC-3; none.
    Ac3,
    /// E-AC-3; none.
    Eac3,
    /// DTS, DTS-HD; none.
    Dts,
    /// Dolby TrueHD; none.
    TrueHd,
    /// FLAC; the payload of `dfLa`, or STREAMINFO, or the native header.
    Flac,
    /// Opus; the payload of `dOps`, or `OpusHead`.
    Opus,
    /// Vorbis; its three headers, as Matroska holds them.
    Vorbis,
    /// Apple Lossless; its magic cookie.
    Alac,
    /// Whole numbers of 16 bits, the low byte first.
    PcmS16Le,
    /// Whole numbers of 24 bits, the low byte first.
    PcmS24Le,
}

impl AudioCodec {
    /// By the name that `container` gives a codec: `aac`, `eac3`, …, or the identifier of Matroska or MP4.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "aac" => Self::Aac,
            "mp3" => Self::Mp3,
            "ac3" => Self::Ac3,
            "eac3" => Self::Eac3,
            "flac" => Self::Flac,
            "opus" => Self::Opus,
            "vorbis" => Self::Vorbis,
            "A_MPEG/L2" => Self::Mp2,
            "A_DTS" | "A_DTS/EXPRESS" | "A_DTS/LOSSLESS" | "dtsc" | "dtsh" | "dtsl" | "dtse" => Self::Dts,
            "A_TRUEHD" | "A_MLP" | "mlpa" => Self::TrueHd,
            "A_ALAC" | "alac" => Self::Alac,
            "sowt" => Self::PcmS16Le,
            _ => return None,
        })
    }

    pub(crate) fn id(self) -> sys::AVCodecID {
        match self {
            Self::Aac => sys::AV_CODEC_ID_AAC,
            Self::Mp3 => sys::AV_CODEC_ID_MP3,
            Self::Mp2 => sys::AV_CODEC_ID_MP2,
            Self::Ac3 => sys::AV_CODEC_ID_AC3,
            Self::Eac3 => sys::AV_CODEC_ID_EAC3,
            Self::Dts => sys::AV_CODEC_ID_DTS,
            Self::TrueHd => sys::AV_CODEC_ID_TRUEHD,
            Self::Flac => sys::AV_CODEC_ID_FLAC,
            Self::Opus => sys::AV_CODEC_ID_OPUS,
            Self::Vorbis => sys::AV_CODEC_ID_VORBIS,
            Self::Alac => sys::AV_CODEC_ID_ALAC,
            Self::PcmS16Le => sys::AV_CODEC_ID_PCM_S16LE,
            Self::PcmS24Le => sys::AV_CODEC_ID_PCM_S24LE,
        }
    }
}
