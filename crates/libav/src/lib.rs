//! Decoding, filtering and encoding by FFmpeg's C libraries, behind plain values.
//!
//! Packets go in, frames and encoded samples come out; no type of FFmpeg is seen outside, and nothing here opens a file, a
//! socket or a clock. C code on hostile bytes is still C code: only the media worker calls this, in its sandbox.
//!
//! Each stage is a pair of calls, `send` and `receive`: after each `send`, `receive` until it answers `None`; after
//! [`finish`](VideoDecoder::finish), `receive` until `None` once more.
//!
//! ```text
//! Packet -> VideoDecoder -> VideoFrame -> VideoFilter    -> VideoFrame     -> VideoEncoder -> EncodedSample
//! Packet -> AudioDecoder -> AudioBlock -> AudioConverter -> ConvertedBlock -> AudioEncoder -> EncodedSample
//! ```
//!
//! The libraries are loaded when [`load`] is called, not when the program starts: linked, they would cost every start
//! 70 ms and 37 MB (FFmpeg 5.1 of Debian, with 167 libraries behind it), and a server that transcodes nothing needs none.
//! The worker calls [`load`] before it gives up the file system.
#![expect(unsafe_code, reason = "the house's only home of calls into C; each block says why it is sound")]
#![warn(clippy::undocumented_unsafe_blocks, missing_docs)]

mod audio;
mod codec;
mod decode;
mod encode;
mod error;
mod frame;
mod graph;
mod log;
mod packet;
mod sys;
mod time;
mod video;

pub use audio::{
    Channels,
    converter::{AudioConverter, AudioConverterSettings, ConvertedBlock},
    decoder::{AudioBlock, AudioDecoder, AudioDecoderSettings},
    encoder::{AudioEncoder, AudioEncoderSettings, AudioTarget},
};
pub use codec::{AudioCodec, VideoCodec};
pub use error::{Error, Fault};
pub use frame::{Colour, VideoFrame};
pub use packet::{EncodedSample, PACKET_BYTES_MAX, Packet};
pub use sys::{Versions, load};
pub use time::TimeBase;
pub use video::{
    decoder::{VideoDecoder, VideoDecoderSettings},
    encoder::{H264Profile, H264Settings, Preset, RateControl, VideoEncoder},
    filter::{Rotation, VideoFilter, VideoFilterSettings},
    size::fit,
};
