//! What server and media worker say to each other over their socket, as values: bytes in, messages out.
//!
//! Both send [`Hello`] first and refuse another version. Then the server sends one request at a time ([`ToWorker`]:
//! what to make, the compressed samples, the end of them) and the worker streams its answer ([`FromWorker`]: what the
//! track is, samples, then done or failed). A message is a frame ([`frame`]): length, kind, body. Neither side
//! believes the other: a worker may have been taken over by the film it decodes, so every length has a limit
//! ([`limits`]) that is checked before anything is allocated.
//!
//! Owns no socket. What is done with a request is in `media-worker`; who may ask for what, in `media`.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod error;
pub mod frame;
mod hello;
pub mod limits;
mod message;
mod sandbox;
mod spec;

pub use error::ProtocolError;
pub use frame::Decoder;
pub use hello::{Hello, PROTOCOL};
pub use message::{Failure, Fault, FromWorker, ToWorker, Usage};
pub use sandbox::{Attempt, Level, Report, Sandbox};
pub use spec::{AudioCodec, AudioSpec, H264Profile, InputTrack, OutputTrack, Preset, VideoSpec};
