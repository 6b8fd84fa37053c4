//! What server and media worker say to each other.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::message("worker", data));
