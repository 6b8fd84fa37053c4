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
/// The largest read answered on the spot from the page cache: copying it takes about a tenth of a millisecond per
/// MiB, and that long the task's neighbours wait.
pub const INLINE_READ_BYTES_MAX: u64 = 4 << 20;
/// The largest single read of a file.
pub const FILE_READ_BYTES_MAX: u64 = 256 << 20;
/// Disk reads under way at once, over all files: more only makes a disk seek more.
pub const DISK_READS_MAX: usize = 32;
/// Buffers smaller than this are not worth keeping.
pub const POOLED_BUFFER_BYTES_MIN: usize = 64 << 10;
/// Bytes of read buffers kept for the next read.
pub const IDLE_BUFFER_BYTES_MAX: usize = 16 << 20;
/// Files whose content key is remembered.
pub const REMEMBERED_KEYS_MAX: usize = 16_384;
/// Small pieces of a segment are put together into chunks of this size.
pub const CHUNK_BYTES: usize = 256 << 10;
/// Pieces at least this large are sent as they were read.
pub const UNCOPIED_BYTES_MIN: usize = 64 << 10;
/// Of what is read in one go, at most one part in this many may be between what is wanted.
pub const READ_WASTE_DIVISOR: u64 = 12;
/// How long a maker waits for memory before its askers are told to come again: under the nine seconds after which
/// hls.js gives a segment up.
pub const BUDGET_PATIENCE: Duration = Duration::from_secs(8);
/// Playheads remembered per rendition of a title: viewers at once.
pub const PLAYHEADS_MAX: usize = 16;
/// Bytes of one cached file. Larger segments are streamed from their source.
pub const CACHED_FILE_BYTES_MAX: u64 = 64 << 20;
/// Files waiting to be written to the cache; more are not written.
pub const CACHE_QUEUE_MAX: usize = 256;
/// Bytes waiting to be written to the cache; more are not written.
pub const CACHE_QUEUE_BYTES_MAX: u64 = 32 << 20;
/// Titles found in a cache directory at start. The rest is not believed to be ours and is left alone.
pub const CACHE_SCAN_TITLES_MAX: usize = 100_000;
/// The most payload muxed in place; more is handed to a thread that may take its time.
pub const INLINE_MUX_BYTES_MAX: u64 = 4 << 20;
/// Memory set aside for making a subtitle file: a stretch of the file being looked through, and its text.
pub const SUBTITLE_MEMORY_BYTES: u64 = 10 << 20;
/// Layouts of segments kept per title: what a few viewers ask for again (a header costs about 2 KiB).
pub const LAYOUTS_MAX: usize = 64;
/// Segments after the one asked for that a source is told of.
pub const HINTED_SEGMENTS: u32 = 3;
/// Ranges of one segment that are no further apart than this are hinted as one.
pub const HINT_GAP_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a kept plan: a day of film with forty tracks takes about 20 MiB.
pub const PLAN_BYTES_MAX: usize = 32 << 20;
/// The most bytes of an index that are parsed in place; more is parsed where it holds up no other task.
pub const INLINE_PARSE_BYTES_MAX: u64 = 1 << 20;
/// When more than one part in this many of the memory for segments is taken, CMAF streams from its source to each asker
/// instead of being made for all.
pub const CROWD_DIVISOR: u64 = 4;
/// Payload handed to a transcoder at a time: what a worker decodes in a small part of a second.
pub const FEED_BATCH_BYTES: u64 = 1 << 20;
/// Samples handed to a transcoder at a time; audio frames are small.
pub const FEED_BATCH_SAMPLES: usize = 256;
/// Bytes that an encoded segment may have beyond what its rate control allows: parameter sets, small segments.
pub const ENCODED_BYTES_SLACK: u64 = 1 << 20;
