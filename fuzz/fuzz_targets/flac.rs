//! The configuration record of FLAC, and a frame read with it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::record("flac", data));
