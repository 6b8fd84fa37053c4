//! What is to be made of a track.

use container::Timescale;
use serde::{Deserialize, Serialize};

use crate::{
    error::{ProtocolError, within},
    limits::{
        BITRATE_MAX, CHANNELS_MAX, CODEC_NAME_BYTES_MAX, KEYFRAMES_MAX, OUTPUT_PIXELS_MAX, RECORD_BYTES_MAX,
        SAMPLE_RATE_MAX, SIDE_PIXELS_MAX, SPAN_SECONDS_MAX,
    },
};

/// What the decoder needs to know of the samples that follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputTrack {
    /// As `container::codec::CodecConfig::name` says: `hevc`, `eac3`, or the container's own identifier.
    pub codec: String,
    /// The configuration record as MP4 holds it, or the private data as found; may be empty.
    pub record: Vec<u8>,
    /// Unit of the samples' times.
    pub timescale: Timescale,
}

/// H.264 profiles that are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum H264Profile {
    /// Constrained baseline.
    Baseline,
    /// Main.
    Main,
    /// High, 8 bits, 4:2:0.
    High,
}

/// How much work the encoder takes on itself; x264's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Preset {
    /// Fastest.
    UltraFast,
    /// Faster.
    SuperFast,
    /// What is taken unless something speaks against it.
    VeryFast,
    /// Slower, better.
    Faster,
    /// Slower still.
    Fast,
    /// x264's own default.
    Medium,
}

/// A stretch of video to encode as H.264. The samples sent begin at the keyframe that `from` needs, in decode order,
/// and go on until everything shown before `to` is among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoSpec {
    /// What comes in.
    pub input: InputTrack,
    /// The first presentation time that is encoded, ticks of the input.
    pub from: i64,
    /// The end of what is encoded, ticks of the input; not included.
    pub to: i64,
    /// Presentation times within `from..to` that become IDR pictures, ascending; the first picture always is one.
    pub keyframes: Vec<i64>,
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// Profile.
    pub profile: H264Profile,
    /// Level, ten times its number: 41 is 4.1.
    pub level: u8,
    /// Average bits a second.
    pub bitrate: u32,
    /// Bits a second that the rate control's buffer is filled with.
    pub bitrate_max: u32,
    /// Effort.
    pub preset: Preset,
    /// Unit of the times of what comes out.
    pub timescale: Timescale,
    /// Clockwise degrees by which the pictures are turned: 0, 90, 180 or 270.
    pub rotation: u16,
}

/// What sound is encoded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AudioCodec {
    /// AAC-LC.
    Aac,
    /// FLAC, 16 bits.
    Flac,
}

/// A stretch of sound to encode, on the track's global grid of frames. The samples sent begin as long before
/// `first_frame` as the decoder and the encoder need to warm up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioSpec {
    /// What comes in.
    pub input: InputTrack,
    /// What goes out.
    pub codec: AudioCodec,
    /// Samples a second that come out; also the timescale of what comes out.
    pub sample_rate: u32,
    /// Channels that come out.
    pub channels: u16,
    /// Bits a second; 0 for FLAC.
    pub bitrate: u32,
    /// Samples of sound in a frame of the output: 1,024 of AAC.
    pub frame_samples: u32,
    /// The first frame of the grid that comes out; frame `n` begins at sample `n * frame_samples`.
    pub first_frame: u64,
    /// How many frames come out.
    pub frames: u32,
}

/// What the samples that follow are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputTrack {
    /// `avcC` or AudioSpecificConfig or `dfLa` payload.
    pub record: Vec<u8>,
    /// Unit of their times.
    pub timescale: Timescale,
}

impl InputTrack {
    fn check(&self) -> Result<(), ProtocolError> {
        within("the codec's name", self.codec.len(), CODEC_NAME_BYTES_MAX)?;
        within("the codec's record", self.record.len(), RECORD_BYTES_MAX)
    }
}

impl VideoSpec {
    /// Holds every number to its limit.
    ///
    /// # Errors
    /// [`ProtocolError`] that names it.
    pub fn check(&self) -> Result<(), ProtocolError> {
        let malformed = |detail| Err(ProtocolError::Malformed { what: "video", detail });
        self.input.check()?;
        within("keyframes", self.keyframes.len(), KEYFRAMES_MAX)?;
        within("width", self.width, SIDE_PIXELS_MAX)?;
        within("height", self.height, SIDE_PIXELS_MAX)?;
        within("pixels", u64::from(self.width) * u64::from(self.height), OUTPUT_PIXELS_MAX)?;
        within("bitrate", self.bitrate.max(self.bitrate_max), BITRATE_MAX)?;
        span(self.from, self.to, self.input.timescale)?;
        if self.width < 2 || self.height < 2 || self.width % 2 + self.height % 2 > 0 {
            return malformed("sides are not even");
        }
        if self.bitrate == 0 {
            return malformed("no bit rate");
        }
        if !matches!(self.rotation, 0 | 90 | 180 | 270) {
            return malformed("rotation is not a quarter turn");
        }
        if self.keyframes.iter().any(|pts| !(self.from..self.to).contains(pts)) {
            return malformed("a keyframe outside the stretch");
        }
        if !self.keyframes.is_sorted_by(|a, b| a < b) {
            return malformed("keyframes are not ascending");
        }
        Ok(())
    }
}

impl AudioSpec {
    /// Holds every number to its limit.
    ///
    /// # Errors
    /// [`ProtocolError`] that names it.
    pub fn check(&self) -> Result<(), ProtocolError> {
        let malformed = |detail| Err(ProtocolError::Malformed { what: "audio", detail });
        self.input.check()?;
        within("channels", self.channels, CHANNELS_MAX)?;
        within("sample rate", self.sample_rate, SAMPLE_RATE_MAX)?;
        within("bitrate", self.bitrate, BITRATE_MAX)?;
        within("samples of a frame", self.frame_samples, 65_535_u32)?;
        if self.channels == 0 || self.sample_rate == 0 || self.frame_samples == 0 {
            return malformed("no channels, no rate or no frame length");
        }
        let samples = u64::from(self.frames) * u64::from(self.frame_samples);
        let seconds_max = SPAN_SECONDS_MAX.unsigned_abs();
        within("samples asked for", samples, seconds_max * u64::from(self.sample_rate))?;
        let end = self.first_frame.checked_add(u64::from(self.frames));
        match end.and_then(|end| end.checked_mul(u64::from(self.frame_samples))) {
            Some(end) if end <= i64::MAX.unsigned_abs() => Ok(()),
            _ => malformed("frames past the end of time"),
        }
    }
}

impl OutputTrack {
    pub(crate) fn check(&self) -> Result<(), ProtocolError> {
        within("the codec's record", self.record.len(), RECORD_BYTES_MAX)
    }
}

fn span(from: i64, to: i64, timescale: Timescale) -> Result<(), ProtocolError> {
    let malformed = |detail| Err(ProtocolError::Malformed { what: "video", detail });
    let Some(ticks) = to.checked_sub(from) else { return malformed("a stretch past the end of time") };
    if ticks <= 0 {
        return malformed("an empty stretch");
    }
    within("ticks asked for", ticks, SPAN_SECONDS_MAX * i64::from(timescale.get()))
}
