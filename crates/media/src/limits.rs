//! How much this crate holds, and why.

use std::time::Duration;

/// A title nobody has asked for this long is closed; its plan stays on disk.
pub const IDLE_CLOSE: Duration = Duration::from_secs(180);
/// Bytes of segments being made, over all titles. A maker waits for room before it reads more.
pub const IN_FLIGHT_BYTES_MAX: u64 = 256 << 20;
/// Bytes of finished segments kept in memory for a second asker.
pub const RECENT_BYTES_MAX: u64 = 32 << 20;
/// A segment larger than this is streamed to each asker at the asker's own pace and never held whole.
pub const SHARED_SEGMENT_BYTES_MAX: u64 = 32 << 20;
/// Titles open at once; the one asked for longest ago is closed to make room.
pub const OPEN_TITLES_MAX: usize = 256;
/// Bytes read from a source at a time while a segment streams.
pub const READ_BYTES: u64 = 512 << 10;
/// Bytes of one attachment (fonts go up to about 30 MiB).
pub const ATTACHMENT_BYTES_MAX: u64 = 64 << 20;
/// How long an open file is trusted to be the one at its path before the path is looked at again.
pub const PATH_TRUST: Duration = Duration::from_secs(2);
