//! A connection from its first byte, encrypted or not.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::message("mse", data));
