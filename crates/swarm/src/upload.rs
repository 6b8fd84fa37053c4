//! What one peer asked us for: a bounded queue, read ahead of its socket by time.
//!
//! Whether it may ask at all (choking, allowed-fast) is decided in `serve`.

use std::{collections::VecDeque, time::Duration};

use metainfo::Block;

use crate::rate::{Meter, bytes_in};

/// Requests kept of one peer; also what our extension handshake says (`reqq`).
pub(crate) const QUEUE_MAX: usize = 2_000;
/// A request may ask for this many bytes at most; 16 KiB is usual, some ask for more.
pub(crate) const REQUEST_MAX: u32 = 1 << 17;
/// Bytes read ahead of a peer's socket: this at least ...
const AHEAD_MIN: u64 = 128 << 10;
/// ... and this at most.
const AHEAD_MAX: u64 = 6 << 20;
/// Between the two, what the peer takes in this time.
const AHEAD_TIME: Duration = Duration::from_millis(120);

/// Requests of one peer.
#[derive(Debug)]
pub(crate) struct Uploads {
    queue: VecDeque<Block>,
    /// Being read from disk.
    reading: VecDeque<Block>,
    /// Bytes being read.
    reading_bytes: u64,
    /// Bytes handed to the shell that its socket has not taken.
    unsent: u64,
}

impl Uploads {
    pub(crate) fn new() -> Self {
        Self { queue: VecDeque::new(), reading: VecDeque::new(), reading_bytes: 0, unsent: 0 }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.reading.is_empty()
    }

    /// Takes a request; false when there are too many.
    pub(crate) fn push(&mut self, block: Block) -> bool {
        if self.queue.len() + self.reading.len() >= QUEUE_MAX {
            return false;
        }
        self.queue.push_back(block);
        true
    }

    /// A request is withdrawn; whether it was still waiting.
    pub(crate) fn cancel(&mut self, block: Block) -> bool {
        let place = self.queue.iter().position(|queued| *queued == block);
        place.is_some_and(|place| self.queue.remove(place).is_some())
    }

    /// Everything that waits, except what `keep` says, is given up.
    pub(crate) fn clear(&mut self, keep: impl Fn(&Block) -> bool) -> Vec<Block> {
        let (kept, gone) = std::mem::take(&mut self.queue).into_iter().partition(keep);
        self.queue = kept;
        Vec::from(gone)
    }

    /// The next block to read, if the socket is not far enough behind already.
    pub(crate) fn next_read(&mut self, ahead: u64) -> Option<Block> {
        if self.reading_bytes + self.unsent >= ahead {
            return None;
        }
        let block = self.queue.pop_front()?;
        self.reading_bytes += u64::from(block.length);
        self.reading.push_back(block);
        Some(block)
    }

    /// A block was read, or could not be; whether it was asked for.
    pub(crate) fn read(&mut self, block: Block) -> bool {
        let Some(place) = self.reading.iter().position(|reading| *reading == block) else { return false };
        self.reading.remove(place);
        self.reading_bytes -= u64::from(block.length);
        true
    }

    /// Payload went to the shell.
    pub(crate) fn handed_over(&mut self, bytes: u64) {
        self.unsent += bytes;
    }

    /// Payload went to the socket.
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.unsent = self.unsent.saturating_sub(bytes);
    }
}

/// How many bytes to be ahead of a socket that takes what `up` measures, when `uploading` peers share the memory.
pub(crate) fn ahead(now: Duration, up: &Meter, uploading: usize) -> u64 {
    /// All peers of a torrent together.
    const TOGETHER_MAX: u64 = 32 << 20;
    let fair = TOGETHER_MAX / (uploading.max(1) as u64);
    let rate = up.rate(now, Duration::from_millis(50));
    bytes_in(rate, AHEAD_TIME).clamp(AHEAD_MIN, AHEAD_MAX).min(fair).max(1 << 17)
}
