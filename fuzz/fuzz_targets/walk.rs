//! A Matroska file: opened, and all its blocks walked.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::walk(&bytes::Bytes::copy_from_slice(data)));
