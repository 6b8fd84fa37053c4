//! The router as a client sees it, without a socket: a folder of small files behind it, made by the tests.
#![expect(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests: a panic is the complaint")]

mod files;
mod house;
mod lists;
mod rules;
mod torrents;
mod video;
