//! A file of either container: opened, planned, listed, cut, packed.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = hostile::film(&bytes::Bytes::copy_from_slice(data));
});
