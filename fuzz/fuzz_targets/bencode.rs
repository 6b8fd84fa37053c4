//! Bencode, walked to every leaf.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::message("bencode", data));
