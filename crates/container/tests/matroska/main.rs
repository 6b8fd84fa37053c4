//! The Matroska reader against files made by hand, files broken on purpose, and ffprobe.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]

mod ebml;
mod hostile;
mod opening;
mod oracle;
mod support;
mod walking;
