//! A magnet link.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::message("magnet", data));
