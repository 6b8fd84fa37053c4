//! The configuration record of AV1, and a frame read with it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::record("av1", data));
