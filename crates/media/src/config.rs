//! What the caller decides.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{limits, transcode::Encoders};

/// Settings of a [`Media`](crate::Media).
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// Where plans and segments are kept over a restart; `None` keeps nothing on disk.
    pub cache: Option<CacheConfig>,
    /// A title nobody has asked for this long is closed.
    pub idle_close: Duration,
    /// Bytes of segments being made, over all titles.
    pub in_flight_bytes: u64,
    /// Bytes of finished segments kept in memory.
    pub recent_bytes: u64,
    /// What encodes; without it films are cut only.
    pub encoders: Option<Arc<dyn Encoders>>,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            cache: None,
            idle_close: limits::IDLE_CLOSE,
            in_flight_bytes: limits::IN_FLIGHT_BYTES_MAX,
            recent_bytes: limits::RECENT_BYTES_MAX,
            encoders: None,
        }
    }
}

/// The cache on disk.
#[derive(Clone, Debug)]
pub struct CacheConfig {
    /// Its directory; made if it is not there.
    pub dir: PathBuf,
    /// Bytes it may take on the disk, never exceeded.
    pub limit_bytes: u64,
}
