//! Frames of codecs whose configuration is completed from one: AC-3, E-AC-3, MP3, VP8.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::record("frames", data));
