//! Samples of every format FFmpeg has, as interleaved `f32`, and back.

use super::mix::Channels;
use crate::{
    error::{Error, check},
    frame::RawFrame,
    sys,
};

/// The most samples a frame may hold for each channel; the longest are of FLAC, 65,535.
const FRAME_SAMPLES_MAX: usize = 1 << 20;

/// How one sample is stored.
#[derive(Clone, Copy)]
enum Kind {
    U8,
    S16,
    S32,
    S64,
    F32,
    F64,
}

impl Kind {
    /// The kind of a format, and whether each channel has a plane of its own.
    fn of(format: i32) -> Option<(Self, bool)> {
        Some(match format {
            sys::AV_SAMPLE_FMT_U8 => (Self::U8, false),
            sys::AV_SAMPLE_FMT_U8P => (Self::U8, true),
            sys::AV_SAMPLE_FMT_S16 => (Self::S16, false),
            sys::AV_SAMPLE_FMT_S16P => (Self::S16, true),
            sys::AV_SAMPLE_FMT_S32 => (Self::S32, false),
            sys::AV_SAMPLE_FMT_S32P => (Self::S32, true),
            sys::AV_SAMPLE_FMT_S64 => (Self::S64, false),
            sys::AV_SAMPLE_FMT_S64P => (Self::S64, true),
            sys::AV_SAMPLE_FMT_FLT => (Self::F32, false),
            sys::AV_SAMPLE_FMT_FLTP => (Self::F32, true),
            sys::AV_SAMPLE_FMT_DBL => (Self::F64, false),
            sys::AV_SAMPLE_FMT_DBLP => (Self::F64, true),
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::S16 => 2,
            Self::S32 | Self::F32 => 4,
            Self::S64 | Self::F64 => 8,
        }
    }

    /// One sample at full scale 1. What is no number becomes silence, what is far too loud is cut at 24 dB over.
    #[expect(clippy::cast_possible_truncation, reason = "f32 is what is wanted")]
    fn read(self, bytes: &[u8]) -> f32 {
        let value = match (self, bytes) {
            (Self::U8, [a]) => (f32::from(*a) - 128.0) / 128.0,
            (Self::S16, &[a, b]) => f32::from(i16::from_ne_bytes([a, b])) / 32_768.0,
            (Self::S32, &[a, b, c, d]) => {
                (f64::from(i32::from_ne_bytes([a, b, c, d])) / 2_147_483_648.0) as f32
            }
            (Self::F32, &[a, b, c, d]) => f32::from_ne_bytes([a, b, c, d]),
            (Self::S64, _) => {
                bytes.try_into().map_or(0.0, |b| (i64::from_ne_bytes(b) as f64 / 2f64.powi(63)) as f32)
            }
            (Self::F64, _) => bytes.try_into().map_or(0.0, |b| f64::from_ne_bytes(b) as f32),
            _ => 0.0,
        };
        if value.is_finite() { value.clamp(-16.0, 16.0) } else { 0.0 }
    }
}

/// Which channels a frame has, and its samples, interleaved.
pub(super) fn interleaved(frame: &RawFrame) -> Result<(Channels, Vec<f32>), Error> {
    let fields = frame.fields();
    let channels = channels(&fields.ch_layout)?;
    let count = usize::from(channels.count());
    let samples = usize::try_from(fields.nb_samples).unwrap_or(0);
    if samples > FRAME_SAMPLES_MAX {
        let limit = FRAME_SAMPLES_MAX as u64;
        return Err(Error::Limit { what: "samples of a frame", value: samples as u64, limit });
    }
    let Some((kind, planar)) = Kind::of(fields.format) else {
        return Err(Error::Setting { what: "sample format", value: fields.format.to_string() });
    };
    if samples == 0 || fields.extended_data.is_null() {
        return Ok((channels, Vec::new()));
    }
    let (planes, per_plane) = if planar { (count, 1) } else { (1, count) };
    let mut out = vec![0.0; samples * count];
    for plane in 0..planes {
        // SAFETY: extended_data has a pointer for each plane, and each plane holds `nb_samples` samples of each of its
        // channels, in the format that was just looked up.
        let bytes = unsafe {
            let start = *fields.extended_data.add(plane);
            if start.is_null() {
                continue;
            }
            std::slice::from_raw_parts(start.cast_const(), samples * per_plane * kind.bytes())
        };
        let read = bytes.chunks_exact(kind.bytes()).map(|sample| kind.read(sample));
        let places = out[plane..].iter_mut().step_by(if planar { count } else { 1 });
        for (place, sample) in places.zip(read) {
            *place = sample;
        }
    }
    Ok((channels, out))
}

fn channels(layout: &sys::AVChannelLayout) -> Result<Channels, Error> {
    let count = u16::try_from(layout.nb_channels).unwrap_or(u16::MAX);
    if !(1..=Channels::COUNT_MAX).contains(&count) {
        let limit = Channels::COUNT_MAX.into();
        return Err(Error::Limit { what: "channels", value: count.into(), limit });
    }
    if layout.order == sys::AV_CHANNEL_ORDER_NATIVE {
        // SAFETY: for the native order the union holds the mask.
        let mask = Channels(unsafe { layout.u.mask });
        if mask.count() == count {
            return Ok(mask);
        }
    }
    Ok(Channels::common(count))
}

/// A frame of `samples`, interleaved, for `channels` channels, in `format`: `flt`, `fltp` or `s16`.
pub(super) fn frame(
    f: &'static sys::Functions,
    samples: &[f32],
    channels: u16,
    sample_rate: u32,
    format: i32,
) -> Result<RawFrame, Error> {
    let count = usize::from(channels.max(1));
    let length = samples.len() / count;
    let too_many =
        || Error::Limit { what: "samples of a frame", value: length as u64, limit: FRAME_SAMPLES_MAX as u64 };
    let mut frame = RawFrame::new(f)?;
    let fields = frame.fields_mut();
    fields.nb_samples =
        i32::try_from(length).ok().filter(|_| length <= FRAME_SAMPLES_MAX).ok_or_else(too_many)?;
    fields.sample_rate = sample_rate.cast_signed();
    fields.format = format;
    // SAFETY: a layout of a frame of ours is filled in, then FFmpeg allocates planes for what the fields say.
    unsafe {
        f.av_channel_layout_default(&raw mut (*frame.as_ptr()).ch_layout, channels.into());
        check(f, "audio frame", "allocate", f.av_frame_get_buffer(frame.as_ptr(), 0))?;
    }
    let fields = frame.fields();
    if format == sys::AV_SAMPLE_FMT_FLTP {
        for channel in 0..count {
            // SAFETY: just allocated: a plane of `length` floats for each channel, aligned by FFmpeg to 32 bytes and more.
            let plane = unsafe {
                std::slice::from_raw_parts_mut((*fields.extended_data.add(channel)).cast::<f32>(), length)
            };
            for (place, sample) in plane.iter_mut().zip(samples[channel..].iter().step_by(count)) {
                *place = *sample;
            }
        }
        return Ok(frame);
    }
    if format == sys::AV_SAMPLE_FMT_S16 {
        // SAFETY: just allocated: one plane of `length` times `count` 16-bit numbers, aligned as above.
        let plane = unsafe { std::slice::from_raw_parts_mut(fields.data[0].cast::<i16>(), length * count) };
        for (place, sample) in plane.iter_mut().zip(samples) {
            #[expect(clippy::cast_possible_truncation, reason = "clamped to what fits")]
            let whole = (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16;
            *place = whole;
        }
        return Ok(frame);
    }
    // SAFETY: just allocated: one plane of `length` times `count` floats, aligned as above.
    let plane = unsafe { std::slice::from_raw_parts_mut(fields.data[0].cast::<f32>(), length * count) };
    plane.copy_from_slice(&samples[..length * count]);
    Ok(frame)
}
