//! Writers: CMAF init and media segments, MPEG-TS, WebVTT. One file a format.
//!
//! They are pure functions: the same samples give the same bytes, whatever was written before. No creation times, no
//! random numbers, no state from segment to segment. Where a segment begins and ends is decided in `packager`.

mod boxes;
pub mod cmaf;
mod entry;
mod language;
pub mod mpegts;
pub mod webvtt;
