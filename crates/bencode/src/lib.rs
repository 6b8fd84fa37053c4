//! Strict, borrowing bencode: values that remember which bytes they were read from.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
