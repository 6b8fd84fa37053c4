//! Sample entries (ISO/IEC 14496-12 §8.5.2 and each codec's binding): what a decoder is set up with.

use bytes::Bytes;

use super::boxes::BoxWriter;
use crate::{AudioInfo, ContainerError, Track, TrackKind, VideoInfo};

/// One `stsd` entry, checked, ready to be written.
#[derive(Debug)]
pub(super) struct SampleEntry<'a> {
    fourcc: [u8; 4],
    config: Config,
    media: Media<'a>,
}

#[derive(Debug)]
enum Media<'a> {
    Video(&'a VideoInfo),
    Audio(&'a AudioInfo),
}

/// The box that holds the codec's configuration.
#[derive(Debug)]
enum Config {
    /// A box around the record as it is.
    Record([u8; 4], Bytes),
    /// A full box of this version around the record.
    Full([u8; 4], u8, Bytes),
    /// `esds`: object type, decoder specific information.
    Esds(u8, Bytes),
    /// VP8: nothing but the profile to say.
    Vp8,
}

const FORM: &str = "CMAF";

fn refused(what: impl Into<std::borrow::Cow<'static, str>>) -> ContainerError {
    ContainerError::CannotCarry { what: what.into(), form: FORM }
}

impl<'a> SampleEntry<'a> {
    pub(super) fn new(track: &'a Track) -> Result<Self, ContainerError> {
        let media = match (track.kind, &track.video, &track.audio) {
            (TrackKind::Video, Some(video), _) => Media::Video(video),
            (TrackKind::Audio, _, Some(audio)) => Media::Audio(audio),
            _ => return Err(refused(format!("a track of {}", track.codec.name()))),
        };
        let name = track.codec.name();
        // MP3 has no record to complete.
        if track.codec.wants_first_frame() && name != "mp3" {
            return Err(refused(format!("{name} whose configuration is not complete")));
        }
        let is_video = matches!(media, Media::Video(_));
        let needs = |len: usize| match track.codec.record() {
            Some(record) if record.len() >= len => Ok(record),
            Some(record) => Err(refused(format!("{name} with a configuration of {} bytes", record.len()))),
            None => Err(refused(format!("{name} without a configuration"))),
        };
        let (fourcc, config) = match (name, is_video) {
            ("h264", true) => (*b"avc1", Config::Record(*b"avcC", needs(7)?)),
            // hvc1, never hev1: Apple's players refuse the other (parameter sets are in the record).
            ("hevc", true) => (*b"hvc1", Config::Record(*b"hvcC", needs(23)?)),
            ("vp8", true) => (*b"vp08", Config::Vp8),
            ("vp9", true) => (*b"vp09", Config::Full(*b"vpcC", 1, needs(8)?)),
            ("av1", true) => (*b"av01", Config::Record(*b"av1C", needs(4)?)),
            ("aac", false) => (*b"mp4a", Config::Esds(0x40, needs(2)?)),
            ("mp3", false) => (*b"mp4a", Config::Esds(mp3_object_type(track), Bytes::new())),
            ("opus", false) => (*b"Opus", Config::Record(*b"dOps", needs(11)?)),
            ("flac", false) => (*b"fLaC", Config::Full(*b"dfLa", 0, needs(38)?)),
            ("ac3", false) => (*b"ac-3", Config::Record(*b"dac3", needs(3)?)),
            ("eac3", false) => (*b"ec-3", Config::Record(*b"dec3", needs(5)?)),
            _ => return Err(refused(name.to_owned())),
        };
        Ok(Self { fourcc, config, media })
    }

    pub(super) fn write(&self, w: &mut BoxWriter) {
        w.boxed(self.fourcc, |w| {
            w.zeros(6);
            w.u16(1);
            match self.media {
                Media::Video(video) => {
                    visual(w, video);
                    self.config.write(w);
                    colour_and_shape(w, video);
                }
                Media::Audio(audio) => {
                    audio_fields(w, audio, self.fourcc == *b"Opus");
                    self.config.write(w);
                }
            }
        });
    }
}

/// MPEG-1 audio from 32 kHz up, MPEG-2 audio below (ISO/IEC 14496-1 table 5).
fn mp3_object_type(track: &Track) -> u8 {
    if track.audio.as_ref().is_some_and(|a| a.sample_rate < 32_000) { 0x69 } else { 0x6b }
}

/// VisualSampleEntry (§12.1.3).
fn visual(w: &mut BoxWriter, video: &VideoInfo) {
    const DPI_72: u32 = 0x0048_0000;
    w.zeros(16);
    w.u16(u16::try_from(video.width).unwrap_or(u16::MAX));
    w.u16(u16::try_from(video.height).unwrap_or(u16::MAX));
    w.u32(DPI_72);
    w.u32(DPI_72);
    w.u32(0);
    w.u16(1);
    w.zeros(32);
    w.u16(0x18);
    w.u16(0xffff);
}

/// `colr` (§12.1.5) and `pasp` (§12.1.4).
fn colour_and_shape(w: &mut BoxWriter, video: &VideoInfo) {
    if let Some(color) = video.color {
        w.boxed(*b"colr", |w| {
            w.bytes(b"nclx");
            w.u16(u16::from(color.primaries));
            w.u16(u16::from(color.transfer));
            w.u16(u16::from(color.matrix));
            w.u8(if color.full_range { 0x80 } else { 0 });
        });
    }
    if let Some(aspect) = video.pixel_aspect.filter(|r| r.num > 0 && r.den > 0) {
        w.boxed(*b"pasp", |w| {
            w.u32(aspect.num);
            w.u32(aspect.den);
        });
    }
}

/// AudioSampleEntry (§12.2.3).
fn audio_fields(w: &mut BoxWriter, audio: &AudioInfo, is_opus: bool) {
    // The field is 16.16: of a higher rate, the greatest regular part that fits (FLAC in ISOBMFF §3.3.1).
    let mut rate = if is_opus { 48_000 } else { audio.sample_rate };
    while rate > 0xffff {
        rate /= 2;
    }
    w.zeros(8);
    w.u16(audio.channels);
    w.u16(if matches!(audio.bit_depth, 1..=64) { audio.bit_depth } else { 16 });
    w.zeros(4);
    w.u32(rate << 16);
}

impl Config {
    fn write(&self, w: &mut BoxWriter) {
        match self {
            Self::Record(kind, record) => w.boxed(*kind, |w| w.bytes(record)),
            Self::Full(kind, version, record) => w.full(*kind, *version, 0, |w| w.bytes(record)),
            Self::Esds(object_type, info) => w.full(*b"esds", 0, 0, |w| esds(w, *object_type, info)),
            Self::Vp8 => w.full(*b"vpcC", 1, 0, |w| {
                // Profile 0, level unknown, 8 bits 4:2:0 limited range, colours unspecified, no initialisation data.
                w.bytes(&[0, 0, 0x82, 2, 2, 2, 0, 0]);
            }),
        }
    }
}

/// ES_Descriptor with its children (ISO/IEC 14496-1 §7.2.6.5).
fn esds(w: &mut BoxWriter, object_type: u8, info: &[u8]) {
    const AUDIO_STREAM: u8 = 0x15;
    const LONG_LEN: usize = 4;
    let info_len = if info.is_empty() { 0 } else { 1 + LONG_LEN + info.len() };
    let decoder_len = 13 + info_len;
    descriptor(w, 3, 3 + (1 + LONG_LEN + decoder_len) + (1 + LONG_LEN + 1));
    w.zeros(3);
    descriptor(w, 4, decoder_len);
    w.u8(object_type);
    w.u8(AUDIO_STREAM);
    w.zeros(3 + 4 + 4);
    if !info.is_empty() {
        descriptor(w, 5, info.len());
        w.bytes(info);
    }
    descriptor(w, 6, 1);
    w.u8(2);
}

/// Tag and length, always in four bytes.
fn descriptor(w: &mut BoxWriter, tag: u8, len: usize) {
    let len = u32::try_from(len).unwrap_or(u32::MAX).min(0x0fff_ffff);
    w.u8(tag);
    for shift in [21, 14, 7, 0] {
        let low = u8::try_from((len >> shift) & 0x7f).unwrap_or(0);
        w.u8(if shift == 0 { low } else { low | 0x80 });
    }
}
