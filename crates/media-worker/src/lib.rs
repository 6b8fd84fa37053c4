//! The worker process: gives up its rights, then decodes and encodes for the server.

#![warn(missing_docs)]
