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
