//! Codec IDs and their private data (RFC 9559, section 5.1.4.1.21, and the codec mappings of the Matroska project).

use bytes::Bytes;

use super::tracks::Sound;
use crate::codec::{
    AacConfig, Av1Config, AvcConfig, CodecConfig, FlacConfig, HevcConfig, OpusConfig, TextFormat, Vp9Config,
};

/// The codec of a track. Private data that cannot be read makes it [`CodecConfig::Other`].
pub(super) fn config(id: &str, private: &Bytes, sound: Option<&Sound>) -> CodecConfig {
    let read = match id {
        "V_MPEG4/ISO/AVC" => AvcConfig::parse(private).map(CodecConfig::Avc),
        "V_MPEGH/ISO/HEVC" => HevcConfig::parse(private).map(CodecConfig::Hevc),
        "V_VP8" => Ok(CodecConfig::Vp8),
        // What these records say, a key frame says again.
        "V_VP9" => Ok(CodecConfig::Vp9(Vp9Config::from_webm_private(private).unwrap_or_default())),
        "V_AV1" => Ok(CodecConfig::Av1(Av1Config::parse(private).unwrap_or_default())),
        "A_OPUS" => OpusConfig::from_opus_head(private).map(CodecConfig::Opus),
        "A_FLAC" => FlacConfig::parse(private).map(CodecConfig::Flac),
        "A_AC3" | "A_AC3/BSID9" | "A_AC3/BSID10" => Ok(CodecConfig::Ac3(None)),
        "A_EAC3" => Ok(CodecConfig::Eac3(None)),
        "A_MPEG/L3" => Ok(CodecConfig::Mp3(None)),
        "A_VORBIS" => Ok(CodecConfig::Vorbis(private.clone())),
        "S_TEXT/UTF8" | "S_TEXT/ASCII" => Ok(CodecConfig::Text(TextFormat::Srt)),
        "S_TEXT/ASS" | "S_TEXT/SSA" | "S_ASS" | "S_SSA" => {
            Ok(CodecConfig::Text(TextFormat::Ass(private.clone())))
        }
        "D_WEBVTT/SUBTITLES" | "D_WEBVTT/CAPTIONS" => Ok(CodecConfig::Text(TextFormat::WebVttInline)),
        "S_TEXT/WEBVTT" => Ok(CodecConfig::Text(TextFormat::WebVtt)),
        _ if id == "A_AAC" || id.starts_with("A_AAC/") => match old_aac(id, private, sound) {
            Some(aac) => Ok(CodecConfig::Aac(aac)),
            None => AacConfig::parse(private).map(CodecConfig::Aac),
        },
        _ => return CodecConfig::Other { id: id.to_owned(), private: private.clone() },
    };
    read.unwrap_or_else(|_| other(id, "broken record", private))
}

/// A track that is left alone, and why.
pub(super) fn other(id: &str, why: &str, private: &Bytes) -> CodecConfig {
    CodecConfig::Other { id: format!("{id} ({why})"), private: private.clone() }
}

/// Before 2005 the codec ID said what the private data says now: `A_AAC/MPEG4/LC/SBR`.
fn old_aac(id: &str, private: &Bytes, sound: Option<&Sound>) -> Option<AacConfig> {
    if !private.is_empty() {
        return None;
    }
    let sound = sound?;
    let object_type = match id.split('/').nth(2) {
        Some("MAIN") => 1,
        Some("SSR") => 3,
        Some("LTP") => 4,
        _ => 2,
    };
    let doubled = sound.info.sample_rate.max(sound.core_rate.saturating_mul(2));
    let sbr_rate = id.ends_with("/SBR").then_some(doubled);
    AacConfig::from_parts(object_type, sound.core_rate, sound.info.channels, sbr_rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AudioInfo;

    #[test]
    fn old_codec_ids_of_aac_stand_for_the_record() {
        let info = AudioInfo { sample_rate: 48_000, channels: 2, bit_depth: 0 };
        let sound = Sound { info, core_rate: 24_000 };
        let config = |id| config(id, &Bytes::new(), Some(&sound));
        let CodecConfig::Aac(plain) = config("A_AAC/MPEG4/LC") else { panic!("not AAC") };
        assert_eq!((plain.object_type(), plain.core_rate(), plain.sample_rate()), (2, 24_000, 24_000));
        let CodecConfig::Aac(doubled) = config("A_AAC/MPEG2/LC/SBR") else { panic!("not AAC") };
        assert_eq!((doubled.core_rate(), doubled.sample_rate()), (24_000, 48_000));
    }

    #[test]
    fn unknown_ids_and_broken_records_are_named() {
        let config = |id| config(id, &Bytes::from_static(&[9, 9]), None);
        assert_eq!(config("V_MS/VFW/FOURCC").name(), "V_MS/VFW/FOURCC");
        assert_eq!(config("V_MPEG4/ISO/AVC").name(), "V_MPEG4/ISO/AVC (broken record)");
        assert_eq!(config("V_VP9").name(), "vp9");
    }
}
