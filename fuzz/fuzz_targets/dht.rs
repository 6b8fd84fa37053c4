//! What nodes of the DHT send (BEP 5, 32), to the reader and to a node.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::message("dht", data));
