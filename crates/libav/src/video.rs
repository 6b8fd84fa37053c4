//! Video: decode, make presentable, encode.

mod avc;
pub(crate) mod decoder;
pub(crate) mod encoder;
pub(crate) mod filter;
pub(crate) mod size;
