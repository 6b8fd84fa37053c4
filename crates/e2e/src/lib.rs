//! Drives the real server from outside: an HTTP client, child processes, playlists, and ffmpeg as the judge.
//!
//! Shares no code with what it tests: its playlist and box readers are its own and read only what they compare.

pub mod boxes;
pub mod client;
pub mod film;
pub mod fixtures;
pub mod oracle;
pub mod playlist;
pub mod reels;
pub mod server;
pub mod swarm;
