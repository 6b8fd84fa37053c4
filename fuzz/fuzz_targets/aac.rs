//! The configuration record of AAC, and a frame read with it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::record("aac", data));
