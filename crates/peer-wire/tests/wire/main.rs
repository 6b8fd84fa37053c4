//! Connections that talk to each other, and to what is no connection.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod common;
mod encryption;
mod messages;
