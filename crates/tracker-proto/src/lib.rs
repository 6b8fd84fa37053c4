//! What is said to trackers over HTTP and UDP, and when.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
