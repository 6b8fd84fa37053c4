//! Sample descriptions (`stsd`): ISO/IEC 14496-12 section 8.5.2, 14496-15, and QuickTime's sound entries of version
//! 1 and 2 with their `wave` box.

use bytes::Bytes;

use super::{
    boxes::{BoxView, FourCc, name},
    esds,
};
use crate::{
    AudioInfo, ColorInfo, ContainerError, Rational, TrackKind, VideoInfo,
    codec::{
        Ac3Config, Av1Config, AvcConfig, CodecConfig, Eac3Config, FlacConfig, HevcConfig, OpusConfig,
        TextFormat, Vp9Config,
    },
    limits,
};

/// One entry of an `stsd`.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) kind: TrackKind,
    pub(super) codec: CodecConfig,
    pub(super) video: Option<VideoInfo>,
    pub(super) audio: Option<AudioInfo>,
    /// Uncompressed sound: (bytes, of how many audio samples).
    pub(super) pcm: Option<(u32, u32)>,
    /// Every cue is to be shown even when subtitles are off (`tx3g`).
    pub(super) forced: bool,
}

/// Reads the entries of an `stsd` for a track with this handler.
pub(super) fn parse(stsd: &BoxView<'_>, handler: FourCc) -> Result<Vec<Entry>, ContainerError> {
    let (version, _, mut fields) = stsd.full()?;
    let count = fields.u32()?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut entries = Vec::new();
    for entry in fields.boxes().take(count.min(limits::DESCRIPTIONS_MAX)) {
        let entry = entry?;
        entries.push(match &handler {
            b"vide" => video(&entry).unwrap_or_else(|_| other(&entry, TrackKind::Video)),
            b"soun" => audio(&entry, version).unwrap_or_else(|_| other(&entry, TrackKind::Audio)),
            b"subt" | b"text" | b"sbtl" | b"clcp" | b"subp" => text(&entry),
            _ => other(&entry, TrackKind::Other),
        });
    }
    Ok(entries)
}

/// An entry of which only the name is known.
fn other(entry: &BoxView<'_>, kind: TrackKind) -> Entry {
    let video = (kind == TrackKind::Video).then(VideoInfo::default);
    let audio = (kind == TrackKind::Audio).then(AudioInfo::default);
    let codec = CodecConfig::Other { id: name(&entry.kind), private: Bytes::new() };
    Entry { kind, codec, video, audio, pcm: None, forced: false }
}

/// Visual entries: 78 bytes, then boxes.
fn video(entry: &BoxView<'_>) -> Result<Entry, ContainerError> {
    let mut fields = entry.fields();
    fields.skip(24)?;
    let (width, height) = (fields.u16()?, fields.u16()?);
    fields.skip(50)?;
    let mut info = VideoInfo { width: width.into(), height: height.into(), ..VideoInfo::default() };
    let boxes: Vec<_> = fields.boxes().map_while(Result::ok).take(limits::DESCRIPTION_BOXES_MAX).collect();
    for child in &boxes {
        match &child.kind {
            b"pasp" => info.pixel_aspect = pasp(child),
            b"colr" => info.color = colr(child).or(info.color),
            b"fiel" => info.interlaced = child.body.first() == Some(&2),
            _ => {}
        }
    }
    let codec = codec(entry, &boxes);
    codec.fill_video(&mut info);
    Ok(Entry { kind: TrackKind::Video, codec, video: Some(info), audio: None, pcm: None, forced: false })
}

fn pasp(view: &BoxView<'_>) -> Option<Rational> {
    let mut fields = view.fields();
    let (num, den) = (fields.u32().ok()?, fields.u32().ok()?);
    (num != den && num > 0 && den > 0).then_some(Rational { num, den })
}

fn colr(view: &BoxView<'_>) -> Option<ColorInfo> {
    let mut fields = view.fields();
    let scheme = fields.four_cc().ok()?;
    if !matches!(&scheme, b"nclx" | b"nclc") {
        return None;
    }
    let mut code = || fields.u16().ok().and_then(|code| u8::try_from(code).ok());
    let (primaries, transfer, matrix) = (code()?, code()?, code()?);
    let full_range = scheme == *b"nclx" && fields.u8().is_ok_and(|flags| flags & 0x80 != 0);
    Some(ColorInfo { primaries, transfer, matrix, full_range })
}

/// Sound entries: 28 bytes, 44 in QuickTime version 1, 64 in version 2; then boxes.
fn audio(entry: &BoxView<'_>, stsd_version: u8) -> Result<Entry, ContainerError> {
    let mut fields = entry.fields();
    fields.skip(8)?;
    let version = fields.u16()?;
    fields.skip(6)?;
    let (channels, bits) = (fields.u16()?, fields.u16()?);
    fields.skip(4)?;
    let rate = fields.u32()? >> 16;
    let mut info = AudioInfo { sample_rate: rate, channels, bit_depth: bits };
    let mut pcm = pcm_bytes(entry.kind, bits).map(|bytes| (u32::from(channels) * bytes, 1));
    // In an ISO file (stsd version 1) a version 1 entry has no further fields.
    match (version, stsd_version) {
        (1, 0) => {
            let (samples, _, bytes, _) = (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
            if bytes > 0 && samples > 0 && (pcm.is_some() || samples > 1) {
                pcm = Some((bytes, samples));
            }
        }
        (2, 0) => {
            fields.skip(4)?;
            let rate = f64::from_bits(fields.u64()?);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a float cast saturates, and a rate is small"
            )]
            let rate = rate as u32;
            info.sample_rate = rate;
            info.channels = u16::try_from(fields.u32()?).unwrap_or(0);
            fields.skip(4)?;
            info.bit_depth = u16::try_from(fields.u32()?).unwrap_or(0);
            fields.skip(4)?;
            let (bytes, samples) = (fields.u32()?, fields.u32()?);
            pcm = (entry.kind == *b"lpcm" && bytes > 0 && samples > 0).then_some((bytes, samples));
        }
        _ => {}
    }
    let mut boxes: Vec<_> =
        fields.boxes().map_while(Result::ok).take(limits::DESCRIPTION_BOXES_MAX).collect();
    let wave = boxes.iter().find(|b| b.kind == *b"wave").copied();
    if let Some(wave) = wave {
        boxes.extend(wave.children().map_while(Result::ok).take(limits::DESCRIPTION_BOXES_MAX));
    }
    if let Some(rate) = boxes.iter().find(|b| b.kind == *b"srat")
        && let Ok((_, _, mut fields)) = rate.full()
    {
        info.sample_rate = fields.u32().unwrap_or(info.sample_rate);
    }
    let codec = codec(entry, &boxes);
    codec.fill_audio(&mut info);
    Ok(Entry { kind: TrackKind::Audio, codec, video: None, audio: Some(info), pcm, forced: false })
}

/// Bytes of one sample of one channel, for the names of uncompressed sound.
fn pcm_bytes(kind: FourCc, bits: u16) -> Option<u32> {
    match &kind {
        b"raw " | b"twos" | b"sowt" | b"NONE" | b"ipcm" | b"fpcm" | b"lpcm" => {
            Some(u32::from(bits).div_ceil(8))
        }
        b"ulaw" | b"alaw" => Some(1),
        b"in24" => Some(3),
        b"in32" | b"fl32" => Some(4),
        b"fl64" => Some(8),
        _ => None,
    }
}

/// Subtitle and text entries.
fn text(entry: &BoxView<'_>) -> Entry {
    let mut made = other(entry, TrackKind::Subtitle);
    match &entry.kind {
        b"tx3g" => {
            let flags = entry.body.get(8..).and_then(|rest| rest.first_chunk::<4>());
            made.forced = flags.is_some_and(|flags| u32::from_be_bytes(*flags) & 0x8000_0000 != 0);
            made.codec = CodecConfig::Text(TextFormat::Tx3g);
        }
        // QuickTime text begins every sample as tx3g does: a length, then the text.
        b"text" => made.codec = CodecConfig::Text(TextFormat::Tx3g),
        b"wvtt" => made.codec = CodecConfig::Text(TextFormat::WebVtt),
        _ => {}
    }
    made
}

/// The codec of an entry, from its name and the record among its boxes. A record that cannot be read leaves the name.
fn codec(entry: &BoxView<'_>, boxes: &[BoxView<'_>]) -> CodecConfig {
    let body = |kind: &FourCc| {
        let found = boxes.iter().find(|b| b.kind == *kind)?;
        let held = found.body.len() as u64 <= limits::CODEC_PRIVATE_BYTES_MAX;
        held.then(|| Bytes::copy_from_slice(found.body))
    };
    let parsed = match &entry.kind {
        b"avc1" | b"avc2" | b"avc3" | b"avc4" | b"dva1" | b"dvav" => {
            body(b"avcC").and_then(|record| AvcConfig::parse(&record).ok()).map(CodecConfig::Avc)
        }
        // Dolby Vision: what is inside is HEVC (or H.264, or AV1), and most of it plays as that.
        b"hvc1" | b"hev1" | b"hvc2" | b"hev2" | b"dvh1" | b"dvhe" => {
            body(b"hvcC").and_then(|record| HevcConfig::parse(&record).ok()).map(CodecConfig::Hevc)
        }
        b"vp08" => Some(CodecConfig::Vp8),
        b"vp09" => body(b"vpcC").and_then(|record| Vp9Config::parse(&record).ok()).map(CodecConfig::Vp9),
        b"av01" | b"dav1" => {
            body(b"av1C").and_then(|record| Av1Config::parse(&record).ok()).map(CodecConfig::Av1)
        }
        b"Opus" => body(b"dOps").and_then(|record| OpusConfig::parse(&record).ok()).map(CodecConfig::Opus),
        b"fLaC" => body(b"dfLa").and_then(|record| FlacConfig::parse(&record).ok()).map(CodecConfig::Flac),
        b"ac-3" => Some(CodecConfig::Ac3(body(b"dac3").and_then(|record| Ac3Config::parse(&record).ok()))),
        b"ec-3" => Some(CodecConfig::Eac3(body(b"dec3").and_then(|record| Eac3Config::parse(&record).ok()))),
        b".mp3" | [b'm', b's', 0, 0x55] => Some(CodecConfig::Mp3(None)),
        b"mp4a" | b"mp4v" => return stream_codec(entry, boxes),
        _ => None,
    };
    parsed.unwrap_or_else(|| {
        let record =
            boxes.iter().find(|b| matches!(&b.kind, b"alac" | b"glbl" | b"vc-1" | b"dvc1" | b"ddts"));
        let private = record.and_then(|record| body(&record.kind)).unwrap_or_default();
        CodecConfig::Other { id: original_format(entry, boxes), private }
    })
}

/// The codec of an entry with an `esds`.
fn stream_codec(entry: &BoxView<'_>, boxes: &[BoxView<'_>]) -> CodecConfig {
    let stream = boxes.iter().find(|b| b.kind == *b"esds").and_then(|esds| esds::parse(esds).ok());
    let unknown = |private| CodecConfig::Other { id: name(&entry.kind), private };
    let Some(stream) = stream.filter(|s| s.specific.len() as u64 <= limits::CODEC_PRIVATE_BYTES_MAX) else {
        return unknown(Bytes::new());
    };
    let specific = Bytes::copy_from_slice(stream.specific);
    if entry.kind == *b"mp4v" {
        return CodecConfig::Other { id: format!("mp4v.{:02X}", stream.object_type), private: specific };
    }
    match CodecConfig::from_object_type(stream.object_type, &specific) {
        Ok(CodecConfig::Vorbis(private)) => CodecConfig::Other { id: "mp4a.DD".to_owned(), private },
        Ok(codec) => codec,
        Err(_) => unknown(specific),
    }
}

/// An entry's name; of an encrypted one, with what it hides: `encv.avc1`.
fn original_format(entry: &BoxView<'_>, boxes: &[BoxView<'_>]) -> String {
    let sinf = boxes.iter().find(|b| b.kind == *b"sinf");
    let frma = sinf.and_then(|sinf| sinf.child(*b"frma")).and_then(|frma| frma.body.first_chunk::<4>());
    frma.map_or_else(|| name(&entry.kind), |frma| format!("{}.{}", name(&entry.kind), name(frma)))
}
