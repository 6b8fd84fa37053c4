//! Text of a subtitle sample in each format.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::record("subtitles", data));
