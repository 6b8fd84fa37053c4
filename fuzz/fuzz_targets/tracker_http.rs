//! The body that answers an announce or a scrape.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::message("tracker_http", data));
