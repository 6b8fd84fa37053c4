//! A `.torrent`, and metadata from peers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::message("metainfo", data));
