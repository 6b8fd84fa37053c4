//! The configuration record of AVC, and a frame read with it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::record("avc", data));
