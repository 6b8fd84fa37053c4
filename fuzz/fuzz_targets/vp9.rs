//! The configuration record of VP9, and a frame read with it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::record("vp9", data));
