//! Codec configuration records, frames and subtitle texts on their own: smaller than a film, so a fuzzer gets deeper.

use bytes::Bytes;
use container::codec::{self, CodecConfig, TextFormat};

use crate::film::{ask, frame};

/// What [`record`] can be given.
pub const RECORDS: &[&str] = &["avc", "hevc", "vp9", "av1", "aac", "opus", "flac", "frames", "subtitles"];

/// Reads `data` as a record of `kind`, then asks everything that is asked of it, with the rest of `data` as a frame.
///
/// # Panics
/// When the code under test does, or `kind` is not one of [`RECORDS`].
pub fn record(kind: &str, data: &[u8]) {
    // The first byte divides record and frame, so that both are under the fuzzer's hand.
    let Some((split, rest)) = data.split_first() else { return };
    let (head, tail) = rest.split_at(usize::from(*split).min(rest.len()));
    for whole in [head, rest] {
        let bytes = Bytes::copy_from_slice(whole);
        let parsed = match kind {
            "avc" => codec::AvcConfig::parse(&bytes).map(CodecConfig::Avc),
            "hevc" => codec::HevcConfig::parse(&bytes).map(CodecConfig::Hevc),
            "vp9" => codec::Vp9Config::parse(&bytes).map(CodecConfig::Vp9),
            "av1" => codec::Av1Config::parse(&bytes).map(CodecConfig::Av1),
            "aac" => codec::AacConfig::parse(&bytes).map(CodecConfig::Aac),
            "opus" => codec::OpusConfig::parse(&bytes).map(CodecConfig::Opus),
            "flac" => codec::FlacConfig::parse(&bytes).map(CodecConfig::Flac),
            "frames" => return frames(rest),
            "subtitles" => return subtitles(rest),
            other => panic!("{other} is not one of {RECORDS:?}"),
        };
        if let Ok(codec) = parsed {
            ask(&codec);
            frame(&codec, tail);
        }
    }
}

/// Configurations that are completed from a frame.
fn frames(data: &[u8]) {
    for codec in [CodecConfig::Ac3(None), CodecConfig::Eac3(None), CodecConfig::Mp3(None), CodecConfig::Vp8] {
        frame(&codec, data);
    }
}

fn subtitles(data: &[u8]) {
    let head = Bytes::copy_from_slice(&data[..data.len().min(64)]);
    for format in [TextFormat::Srt, TextFormat::Ass(head), TextFormat::WebVtt, TextFormat::Tx3g] {
        let _ = container::subtitle::cues_from_sample(&format, 1_000, 2_000, data);
    }
}
