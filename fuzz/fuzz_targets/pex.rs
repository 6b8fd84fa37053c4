//! An exchange of peers (BEP 11).
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::message("pex", data));
