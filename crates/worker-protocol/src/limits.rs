//! How much a message may hold, and why.

/// Bytes of one frame: an intra picture of 8K at studio rates is about 20 MiB.
pub const FRAME_BYTES_MAX: usize = 64 << 20;
/// Bytes of any message that is not a sample: the largest is a spec with its record and its times.
pub const CONTROL_BYTES_MAX: usize = 1 << 20;
/// Bytes of a codec's configuration record; a Vorbis header with its codebooks is about 8 KiB.
pub const RECORD_BYTES_MAX: usize = 256 << 10;
/// Bytes of a codec's name.
pub const CODEC_NAME_BYTES_MAX: usize = 64;
/// Times at which a keyframe is forced within one request.
pub const KEYFRAMES_MAX: usize = 1_024;
/// Bytes of what a worker says about a failure; a longer text is cut by who sends it.
pub const TEXT_BYTES_MAX: usize = 2_048;
/// Bytes of a version's name.
pub const BUILD_BYTES_MAX: usize = 64;
/// Pixels of a side, in and out.
pub const SIDE_PIXELS_MAX: u32 = 16_384;
/// Pixels of a picture that is encoded: 4096 x 2304, the frame size of H.264 level 5.1 and 5.2.
pub const OUTPUT_PIXELS_MAX: u64 = 4_096 * 2_304;
/// Channels of sound.
pub const CHANNELS_MAX: u16 = 16;
/// Samples of sound a second.
pub const SAMPLE_RATE_MAX: u32 = 768_000;
/// Bits a second that may be asked of an encoder.
pub const BITRATE_MAX: u32 = 400_000_000;
/// Seconds that one request may make.
pub const SPAN_SECONDS_MAX: i64 = 600;
