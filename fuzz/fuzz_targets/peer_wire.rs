//! Messages of a peer, after the handshake.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::message("peer_wire", data));
