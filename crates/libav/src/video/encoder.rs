//! Pictures to H.264, by x264.

use super::avc;
use crate::{
    decode::THREADS_MAX,
    encode::Encoder,
    error::Error,
    frame::{Colour, VideoFrame},
    packet::EncodedSample,
    sys,
    time::{Durations, TimeBase, ticks},
};

/// What a decoder must be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum H264Profile {
    /// No frames that are reordered, no CABAC: for the oldest devices.
    Baseline,
    /// Main.
    Main,
    /// High: whatever is not ancient.
    High,
}

/// How much time goes into how good a picture; x264's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "x264's own scale, fastest first")]
pub enum Preset {
    Ultrafast,
    Superfast,
    Veryfast,
    Faster,
    Fast,
    Medium,
    Slow,
}

impl Preset {
    fn name(self) -> &'static str {
        match self {
            Self::Ultrafast => "ultrafast",
            Self::Superfast => "superfast",
            Self::Veryfast => "veryfast",
            Self::Faster => "faster",
            Self::Fast => "fast",
            Self::Medium => "medium",
            Self::Slow => "slow",
        }
    }
}

/// What decides how many bits a picture gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RateControl {
    /// This many bits a second on average.
    Average(u32),
    /// The same quality throughout: x264's constant rate factor, 0 (best) to 51. It does not depend on what came before,
    /// so an encoder that is started in the middle picks up where another one would have been.
    Quality(f32),
}

/// What an H.264 encoder is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct H264Settings {
    /// Width of every frame, even.
    pub width: u32,
    /// Height of every frame, even.
    pub height: u32,
    /// The unit of times, in and out. Its denominator is at most 2^30.
    pub time_base: TimeBase,
    /// Frames a second, roughly, as (numerator, denominator): rate control begins with it, times do not depend on it.
    pub frame_rate: (u32, u32),
    /// Profile.
    pub profile: H264Profile,
    /// Level times ten: 31 is level 3.1.
    pub level: u8,
    /// Preset.
    pub preset: Preset,
    /// Rate control.
    pub rate: RateControl,
    /// Never more than this many bits a second, seen through the buffer.
    pub bits_per_second_max: u32,
    /// Size of the buffer of the decoder that is modelled, in bits.
    pub buffer_bits: u32,
    /// At most this many frames from one keyframe to the next.
    pub keyframe_interval_max: u32,
    /// At most this many reordered frames in a row, 0 to 16; Baseline has none.
    pub b_frames: u8,
    /// How many frames are looked ahead, 0 to 250; `None` as the preset has it. Each one is a frame of delay.
    pub lookahead: Option<u8>,
    /// How many threads encode, 1 to 16. The output depends on it. With 1 the same frames give the same bytes; with more they
    /// did in all but one of a hundred runs, because x264's buffer model looks at what the other threads have spent.
    pub threads: u32,
    /// What the numbers mean, written into the stream: see [`VideoFrame::colour`] of what the filter gives.
    pub colour: Colour,
}

/// Encodes H.264 with closed groups of pictures: no frame refers to one before the keyframe that precedes it.
pub struct VideoEncoder {
    inner: Encoder,
    configuration: Vec<u8>,
    size: (u32, u32),
    durations: Durations,
    last: Option<i64>,
}

impl VideoEncoder {
    /// Opens an encoder.
    ///
    /// # Errors
    /// [`Error::Missing`] where this FFmpeg was built without x264; [`Error::Setting`] for sizes and times that cannot be;
    /// [`Error::Failed`] where x264 refuses the settings.
    pub fn open(settings: &H264Settings) -> Result<Self, Error> {
        let (width, height) = (settings.width, settings.height);
        if [width, height].iter().any(|length| length % 2 == 1 || !(2..=16384).contains(length)) {
            return Err(Error::Setting { what: "picture size", value: format!("{width}x{height}") });
        }
        if settings.time_base.den > 1 << 30 {
            return Err(Error::Setting { what: "time base", value: format!("{:?}", settings.time_base) });
        }
        let inner = Encoder::open("libx264", |context, options| configure(settings, context, options))?;
        let configuration = avc::configuration(inner.context().extradata())
            .ok_or(Error::Missing("parameter sets from encoder libx264".into()))?;
        Ok(Self { inner, configuration, size: (width, height), durations: Durations::default(), last: None })
    }

    /// The `avcC` record (ISO/IEC 14496-15): the same for the same settings.
    pub fn configuration(&self) -> &[u8] {
        &self.configuration
    }

    /// Takes the next picture, in order of presentation. `keyframe` makes it an IDR picture; others may become one.
    ///
    /// # Errors
    /// [`Error::Setting`] for another size or pixel format than the settings say; [`Error::Order`] for a time at or before the
    /// one before, a picture without a time, and after the end.
    pub fn send(&mut self, mut frame: VideoFrame, keyframe: bool) -> Result<(), Error> {
        if (frame.width(), frame.height()) != self.size || frame.pixel_format() != "yuv420p" {
            let value = format!("{}x{} {}", frame.width(), frame.height(), frame.pixel_format());
            return Err(Error::Setting { what: "picture", value });
        }
        let Some(pts) = frame.pts.filter(|pts| self.last.is_none_or(|last| last < *pts)) else {
            return Err(self.inner.order("a picture without a later time than the one before"));
        };
        let fields = frame.raw.fields_mut();
        fields.pts = ticks(Some(pts))?;
        // The source's own picture types would be taken for orders.
        fields.pict_type = if keyframe { sys::AV_PICTURE_TYPE_I } else { sys::AV_PICTURE_TYPE_NONE };
        self.inner.send(&frame.raw)?;
        self.last = Some(pts);
        if frame.duration > 0 {
            self.durations.insert(pts, frame.duration);
        }
        Ok(())
    }

    /// Says that no picture follows: what is held back can be received.
    ///
    /// # Errors
    /// [`Error::Order`] where samples wait to be received.
    pub fn finish(&mut self) -> Result<(), Error> {
        self.inner.finish()
    }

    /// The next sample in decode order; `None` until another picture is sent, and at the end.
    ///
    /// # Errors
    /// [`Error::Failed`] where x264 fails, which ends the encoder.
    pub fn receive(&mut self) -> Result<Option<EncodedSample>, Error> {
        let Some(packet) = self.inner.receive()? else { return Ok(None) };
        let (fields, data) = (packet.fields(), avc::length_prefixed(packet.data()));
        let keyframe = fields.flags & sys::AV_PKT_FLAG_KEY as i32 != 0;
        let (pts, dts) = (fields.pts, fields.dts);
        Ok(Some(EncodedSample { data, pts, dts, duration: self.durations.take(pts), keyframe }))
    }
}

fn configure(
    settings: &H264Settings,
    context: &mut sys::AVCodecContext,
    options: &mut sys::Options,
) -> Result<(), Error> {
    let small = |what: &'static str, value: u32| {
        i32::try_from(value).map_err(|_| Error::Setting { what, value: value.to_string() })
    };
    context.width = small("width", settings.width)?;
    context.height = small("height", settings.height)?;
    context.pix_fmt = sys::AV_PIX_FMT_YUV420P;
    context.sample_aspect_ratio = sys::AVRational { num: 1, den: 1 };
    context.time_base = settings.time_base.rational()?;
    let (num, den) = settings.frame_rate;
    context.framerate = TimeBase { num, den }.rational()?;
    context.color_primaries = settings.colour.primaries.into();
    context.color_trc = settings.colour.transfer.into();
    context.colorspace = settings.colour.matrix.into();
    context.color_range =
        if settings.colour.full_range { sys::AVCOL_RANGE_JPEG } else { sys::AVCOL_RANGE_MPEG };
    context.flags |= sys::AV_CODEC_FLAG_CLOSED_GOP as i32;
    // Threads that share a picture: with threads that each have one, what the buffer's model lets x264 spend depends on
    // which of them is faster, and no two runs give the same bytes.
    context.thread_type = sys::FF_THREAD_SLICE as i32;
    context.thread_count = settings.threads.clamp(1, THREADS_MAX).cast_signed();
    context.gop_size = small("keyframe interval", settings.keyframe_interval_max.max(1))?;
    let baseline = settings.profile == H264Profile::Baseline;
    context.max_b_frames = if baseline { 0 } else { i32::from(settings.b_frames.min(16)) };
    context.rc_max_rate = settings.bits_per_second_max.into();
    context.rc_buffer_size = small("buffer bits", settings.buffer_bits)?;
    match settings.rate {
        RateControl::Average(bits) => context.bit_rate = bits.into(),
        RateControl::Quality(factor) => {
            context.bit_rate = 0;
            options.set("crf", &format!("{:.2}", factor.clamp(0.0, 51.0)));
        }
    }
    options.set("preset", settings.preset.name());
    options.set(
        "profile",
        match settings.profile {
            H264Profile::Baseline => "baseline",
            H264Profile::Main => "main",
            H264Profile::High => "high",
        },
    );
    options.set("level", &format!("{}.{}", settings.level / 10, settings.level % 10));
    options.set("forced-idr", "1");
    // Subtitles inside the video would otherwise be copied from the source's frames.
    options.set("a53cc", "0");
    if let Some(frames) = settings.lookahead {
        options.set("rc-lookahead", &frames.min(250).to_string());
    }
    Ok(())
}
