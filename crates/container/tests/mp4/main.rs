//! The MP4 reader on files made here, box by box: tables round trip, odd files are read, hostile ones are refused.

#![expect(clippy::unwrap_used, reason = "tests")]

mod edit_lists;
mod fragments;
mod hostile;
mod plain;
mod tracks;
mod writer;
