//! Datagrams of a UDP tracker, to an announce and to a scrape.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::message("tracker_udp", data));
