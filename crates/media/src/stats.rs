//! Numbers for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since start, and gauges of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Titles open now.
    pub titles_open: u64,
    /// Titles opened since start.
    pub titles_opened: u64,
    /// Titles closed because nobody asked for them.
    pub titles_closed_idle: u64,
    /// Plans made from the file.
    pub plans_made: u64,
    /// Plans found on disk.
    pub plans_loaded: u64,
    /// Segments made.
    pub segments_made: u64,
    /// Requests that joined a segment already being made.
    pub segments_shared: u64,
    /// Requests answered from memory.
    pub segments_from_memory: u64,
    /// Requests answered from the disk cache.
    pub segments_from_cache: u64,
    /// Makers stopped because everyone had gone.
    pub segments_cancelled: u64,
    /// Bytes of segments handed out.
    pub segment_bytes_sent: u64,
    /// Bytes of segments being made, now.
    pub in_flight_bytes: u64,
    /// Bytes of finished segments in memory, now.
    pub recent_bytes: u64,
    /// Bytes the disk cache takes, now.
    pub cache_bytes: u64,
    /// Bytes the disk cache may take.
    pub cache_limit_bytes: u64,
    /// Files in the disk cache, now.
    pub cache_files: u64,
    /// Files put out of the disk cache.
    pub cache_evicted: u64,
    /// Segments not written because the disk was behind or had no room.
    pub cache_skipped: u64,
    /// Cache files found damaged.
    pub cache_corrupt: u64,
}

/// What only goes up.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) titles_opened: AtomicU64,
    pub(crate) titles_closed_idle: AtomicU64,
    pub(crate) plans_made: AtomicU64,
    pub(crate) plans_loaded: AtomicU64,
    pub(crate) segments_made: AtomicU64,
    pub(crate) segments_shared: AtomicU64,
    pub(crate) segments_from_memory: AtomicU64,
    pub(crate) segments_from_cache: AtomicU64,
    pub(crate) segments_cancelled: AtomicU64,
    pub(crate) segment_bytes_sent: AtomicU64,
    pub(crate) cache_evicted: AtomicU64,
    pub(crate) cache_skipped: AtomicU64,
    pub(crate) cache_corrupt: AtomicU64,
}

/// Counts up.
pub(crate) fn bump(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}
