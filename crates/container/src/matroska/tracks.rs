//! The Tracks element (RFC 9559, section 5.1.4): what each track is.
//!
//! A track that makes no sense is carried as [`CodecConfig::Other`]; it never takes the file down with it.

use bytes::Bytes;

use super::{
    codecs,
    ebml::{Element, Elements},
    ids,
};
use crate::{
    AudioInfo, ColorInfo, ContainerError, Format, Rational, Timescale, Track, TrackFlags, TrackKind,
    VideoInfo,
    codec::CodecConfig,
    language::bcp47,
    limits::{CODEC_PRIVATE_BYTES_MAX, TRACKS_MAX},
};

/// The unit of block times: `TimestampScale` nanoseconds, where that makes whole ticks a second.
pub(super) fn timescale(timestamp_scale_ns: u64) -> Timescale {
    const SECOND: u64 = 1_000_000_000;
    let per_second = if timestamp_scale_ns > 0 && SECOND.is_multiple_of(timestamp_scale_ns) {
        SECOND / timestamp_scale_ns
    } else {
        0
    };
    u32::try_from(per_second).ok().and_then(Timescale::new).unwrap_or(Timescale::MICROS)
}

/// Reads the payload of a Tracks element.
///
/// # Errors
/// It is malformed, or holds more than [`TRACKS_MAX`] tracks.
pub(super) fn read(payload: &Bytes, offset: u64) -> Result<Vec<Track>, ContainerError> {
    let mut tracks = Vec::new();
    for entry in Elements::new(payload, offset) {
        let entry = entry?;
        if entry.id != ids::TRACK_ENTRY {
            continue;
        }
        if tracks.len() == TRACKS_MAX {
            let (count, limit) = (TRACKS_MAX as u64 + 1, TRACKS_MAX as u64);
            return Err(ContainerError::limit(
                Format::Matroska,
                entry.offset,
                "number of tracks",
                count,
                limit,
            ));
        }
        tracks.push(Entry::read(entry, payload, offset)?.into_track());
    }
    Ok(tracks)
}

/// A TrackEntry as it stands, defaults of the specification filled in.
struct Entry {
    number: u64,
    kind: u64,
    codec_id: String,
    private: Bytes,
    language: Option<String>,
    language_bcp47: Option<String>,
    name: Option<String>,
    flags: TrackFlags,
    default_duration_ns: Option<u64>,
    codec_delay_ns: u64,
    video: Option<Picture>,
    audio: Option<Sound>,
    encodings: Encodings,
}

impl Entry {
    fn read(entry: Element<'_>, whole: &Bytes, base: u64) -> Result<Self, ContainerError> {
        let mut track = Self {
            number: 0,
            kind: 0,
            codec_id: String::new(),
            private: Bytes::new(),
            language: None,
            language_bcp47: None,
            name: None,
            flags: TrackFlags { default: true, ..TrackFlags::default() },
            default_duration_ns: None,
            codec_delay_ns: 0,
            video: None,
            audio: None,
            encodings: Encodings::default(),
        };
        for child in entry.children() {
            let child = child?;
            match child.id {
                ids::TRACK_NUMBER => track.number = child.uint()?,
                ids::TRACK_TYPE => track.kind = child.uint()?,
                ids::CODEC_ID => track.codec_id = child.text()?,
                ids::CODEC_PRIVATE => track.private = private(child, whole, base)?,
                ids::LANGUAGE => track.language = Some(child.text()?),
                ids::LANGUAGE_BCP47 => track.language_bcp47 = Some(child.text()?),
                ids::NAME => track.name = Some(child.text()?).filter(|n| !n.is_empty()),
                ids::FLAG_DEFAULT => track.flags.default = child.uint()? != 0,
                ids::FLAG_FORCED => track.flags.forced = child.uint()? != 0,
                ids::FLAG_HEARING_IMPAIRED => track.flags.hearing_impaired = child.uint()? != 0,
                ids::FLAG_VISUAL_IMPAIRED => track.flags.visual_impaired = child.uint()? != 0,
                ids::FLAG_COMMENTARY => track.flags.commentary = child.uint()? != 0,
                ids::FLAG_ORIGINAL => track.flags.original = child.uint()? != 0,
                ids::DEFAULT_DURATION => track.default_duration_ns = Some(child.uint()?).filter(|d| *d > 0),
                ids::CODEC_DELAY => track.codec_delay_ns = child.uint()?,
                ids::VIDEO => track.video = Some(video(child)?),
                ids::AUDIO => track.audio = Some(audio(child)?),
                ids::CONTENT_ENCODINGS => track.encodings = Encodings::read(child, whole, base)?,
                _ => {}
            }
        }
        Ok(track)
    }

    fn into_track(self) -> Track {
        let kind = match self.kind {
            1 => TrackKind::Video,
            2 => TrackKind::Audio,
            17 => TrackKind::Subtitle,
            _ => TrackKind::Other,
        };
        let unreadable = match (&self.encodings.unreadable, self.encodings.deflated, kind) {
            (Some(why), ..) => Some(*why),
            (None, true, TrackKind::Video | TrackKind::Audio) => Some("zlib"),
            _ => None,
        };
        let codec = match unreadable {
            Some(why) => codecs::other(&self.codec_id, why, &self.private),
            None => codecs::config(&self.codec_id, &self.private, self.audio.as_ref()),
        };
        let video = (kind == TrackKind::Video).then(|| self.video.unwrap_or_default().with_codec(&codec));
        let mut audio = (kind == TrackKind::Audio).then(|| self.audio.unwrap_or_default().info);
        if let Some(audio) = &mut audio {
            codec.fill_audio(audio);
        }
        let stated = self.language_bcp47.or(self.language).unwrap_or_else(|| "eng".to_owned());
        Track {
            number: self.number,
            kind,
            codec,
            timescale: Timescale::MILLIS,
            language: bcp47(&stated),
            name: self.name,
            flags: self.flags,
            video,
            audio,
            default_duration_ns: self.default_duration_ns,
            codec_delay_ns: self.codec_delay_ns,
            strip_prefix: self.encodings.prefix,
            deflated: self.encodings.deflated,
        }
    }
}

/// What a Video element says.
#[derive(Default)]
struct Picture {
    info: VideoInfo,
    /// A display size is given: pixels are square by statement and not for want of one.
    shape_stated: bool,
}

impl Picture {
    /// What the container says of size, shape, colour and rotation goes before what the bitstream says.
    fn with_codec(self, codec: &CodecConfig) -> VideoInfo {
        let Self { info: stated, shape_stated } = self;
        let mut video = stated.clone();
        codec.fill_video(&mut video);
        if stated.width > 0 && stated.height > 0 {
            (video.width, video.height) = (stated.width, stated.height);
        }
        if shape_stated {
            video.pixel_aspect = stated.pixel_aspect;
        }
        video.color = stated.color.or(video.color);
        video
    }
}

/// What an Audio element says.
pub(super) struct Sound {
    /// With the rate that comes out of the decoder.
    pub(super) info: AudioInfo,
    /// Rate before spectral band replication.
    pub(super) core_rate: u32,
}

impl Default for Sound {
    fn default() -> Self {
        Self { info: AudioInfo { sample_rate: 8_000, channels: 1, bit_depth: 0 }, core_rate: 8_000 }
    }
}

fn private(child: Element<'_>, whole: &Bytes, base: u64) -> Result<Bytes, ContainerError> {
    let len = child.data.len() as u64;
    if len > CODEC_PRIVATE_BYTES_MAX {
        let limit = CODEC_PRIVATE_BYTES_MAX;
        return Err(ContainerError::limit(
            Format::Matroska,
            child.offset,
            "length of CodecPrivate",
            len,
            limit,
        ));
    }
    Ok(shared(child, whole, base))
}

/// The payload as a slice that shares the parent's memory.
fn shared(child: Element<'_>, whole: &Bytes, base: u64) -> Bytes {
    let start = usize::try_from(child.offset - base).unwrap_or(usize::MAX);
    match start.checked_add(child.data.len()) {
        Some(end) if end <= whole.len() => whole.slice(start..end),
        _ => Bytes::copy_from_slice(child.data),
    }
}

fn video(element: Element<'_>) -> Result<Picture, ContainerError> {
    let mut video = VideoInfo::default();
    let (mut crop, mut display, mut unit) = ([0_u32; 4], (0_u32, 0_u32), 0);
    for child in element.children() {
        let child = child?;
        match child.id {
            ids::PIXEL_WIDTH => video.width = child.uint32()?,
            ids::PIXEL_HEIGHT => video.height = child.uint32()?,
            ids::CROP_LEFT => crop[0] = child.uint32()?,
            ids::CROP_RIGHT => crop[1] = child.uint32()?,
            ids::CROP_TOP => crop[2] = child.uint32()?,
            ids::CROP_BOTTOM => crop[3] = child.uint32()?,
            ids::DISPLAY_WIDTH => display.0 = child.uint32()?,
            ids::DISPLAY_HEIGHT => display.1 = child.uint32()?,
            ids::DISPLAY_UNIT => unit = child.uint()?,
            ids::FLAG_INTERLACED => video.interlaced = child.uint()? == 1,
            ids::COLOUR => video.color = color(child)?,
            ids::PROJECTION => video.rotation = rotation(child)?,
            _ => {}
        }
    }
    video.width = video.width.saturating_sub(crop[0].saturating_add(crop[1]));
    video.height = video.height.saturating_sub(crop[2].saturating_add(crop[3]));
    // Units 0 (pixels) and 3 (aspect ratio) both state a shape; centimetres and inches do too.
    let shape_stated = unit <= 3 && display.0 > 0 && display.1 > 0;
    if shape_stated {
        video.pixel_aspect = aspect(display, (video.width, video.height));
    }
    Ok(Picture { info: video, shape_stated })
}

/// The shape of one pixel if a picture of `coded` pixels fills `display`; `None` if square or senseless.
fn aspect(display: (u32, u32), coded: (u32, u32)) -> Option<Rational> {
    let num = u64::from(display.0) * u64::from(coded.1);
    let den = u64::from(display.1) * u64::from(coded.0);
    if num == den || num == 0 || den == 0 {
        return None;
    }
    let (mut a, mut b) = (num, den);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let (num, den) = (u32::try_from(num / a).ok()?, u32::try_from(den / a).ok()?);
    // A display size rounded to whole pixels is not a shape: within half a percent of square is square.
    let near = u64::from(num.abs_diff(den)) * 200 <= u64::from(den);
    (!near).then_some(Rational { num, den })
}

fn color(element: Element<'_>) -> Result<Option<ColorInfo>, ContainerError> {
    let mut color = ColorInfo { primaries: 2, transfer: 2, matrix: 2, full_range: false };
    let point = |child: Element<'_>| Ok::<u8, ContainerError>(u8::try_from(child.uint()?).unwrap_or(2));
    for child in element.children() {
        let child = child?;
        match child.id {
            ids::PRIMARIES => color.primaries = point(child)?,
            ids::TRANSFER => color.transfer = point(child)?,
            ids::MATRIX => color.matrix = point(child)?,
            ids::RANGE => color.full_range = child.uint()? == 2,
            _ => {}
        }
    }
    let unspecified = [color.primaries, color.transfer, color.matrix] == [2; 3] && !color.full_range;
    Ok((!unspecified).then_some(color))
}

/// ProjectionPoseRoll is counter-clockwise degrees; only quarter turns are taken.
fn rotation(element: Element<'_>) -> Result<u16, ContainerError> {
    let mut clockwise = 0.0;
    for child in element.children() {
        let child = child?;
        if child.id == ids::PROJECTION_ROLL {
            clockwise = (-child.float()?).rem_euclid(360.0);
        }
    }
    Ok([90_u16, 180, 270].into_iter().find(|turn| (clockwise - f64::from(*turn)).abs() < 1.0).unwrap_or(0))
}

fn audio(element: Element<'_>) -> Result<Sound, ContainerError> {
    let Sound { info: mut audio, mut core_rate } = Sound::default();
    let mut output = None;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the type's range first"
    )]
    let rate = |hz: f64| if hz.is_finite() { hz.round().clamp(0.0, f64::from(u32::MAX)) as u32 } else { 0 };
    for child in element.children() {
        let child = child?;
        match child.id {
            ids::SAMPLING_FREQUENCY => core_rate = rate(child.float()?),
            ids::OUTPUT_SAMPLING_FREQUENCY => output = Some(rate(child.float()?)),
            ids::CHANNELS => audio.channels = u16::try_from(child.uint()?).unwrap_or(0),
            ids::BIT_DEPTH => audio.bit_depth = u16::try_from(child.uint()?).unwrap_or(0),
            _ => {}
        }
    }
    audio.sample_rate = output.filter(|hz| *hz > 0).unwrap_or(core_rate);
    Ok(Sound { info: audio, core_rate })
}

/// What was done to every frame before it was stored (section 5.1.4.1.31).
#[derive(Default)]
struct Encodings {
    prefix: Bytes,
    deflated: bool,
    unreadable: Option<&'static str>,
}

impl Encodings {
    fn read(element: Element<'_>, whole: &Bytes, base: u64) -> Result<Self, ContainerError> {
        let mut encodings = Self::default();
        let mut count = 0;
        for encoding in element.children() {
            let encoding = encoding?;
            if encoding.id != ids::CONTENT_ENCODING {
                continue;
            }
            count += 1;
            // An encoding of the private data alone does not touch the frames.
            let mut scope = 1;
            let mut found = Self::default();
            for child in encoding.children() {
                let child = child?;
                match child.id {
                    ids::CONTENT_ENCODING_SCOPE => scope = child.uint()?,
                    ids::CONTENT_COMPRESSION => found.compression(child, whole, base)?,
                    ids::CONTENT_ENCRYPTION => found.unreadable = Some("encrypted"),
                    _ => {}
                }
            }
            if scope & 1 != 0 {
                encodings = found;
            }
        }
        if count > 1 {
            encodings.unreadable = Some("encoded twice");
        }
        Ok(encodings)
    }

    fn compression(&mut self, element: Element<'_>, whole: &Bytes, base: u64) -> Result<(), ContainerError> {
        let (mut algorithm, mut settings) = (0, Bytes::new());
        for child in element.children() {
            let child = child?;
            match child.id {
                ids::CONTENT_COMP_ALGO => algorithm = child.uint()?,
                ids::CONTENT_COMP_SETTINGS => settings = private(child, whole, base)?,
                _ => {}
            }
        }
        match algorithm {
            0 => self.deflated = true,
            1 => self.unreadable = Some("bzlib"),
            2 => self.unreadable = Some("lzo"),
            3 => self.prefix = settings,
            _ => self.unreadable = Some("unknown compression"),
        }
        Ok(())
    }
}
