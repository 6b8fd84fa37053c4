//! Sound: decode, mix and resample, encode.

pub(crate) mod converter;
pub(crate) mod decoder;
pub(crate) mod encoder;
mod mix;
mod record;
mod samples;

pub use mix::Channels;
