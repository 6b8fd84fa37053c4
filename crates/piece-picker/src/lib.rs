//! Which blocks to ask which peer for, now.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
