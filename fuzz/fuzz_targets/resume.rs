//! Resume data of a torrent.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::message("resume", data));
