//! An exchange of metadata (BEP 9).
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::message("ut_metadata", data));
