//! Read buffers that are used again, so that no read pays for fresh pages or for zeroing them.
//!
//! A buffer goes out as `Bytes` and comes home when the last slice of it is dropped. What lies idle is bounded, and
//! [`trim`] gives it all back.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::limits::{IDLE_BUFFER_BYTES_MAX, POOLED_BUFFER_BYTES_MIN};

/// Idle buffers. One pool for the process: buffers outlive the source they were read for.
static POOL: Mutex<Pool> = Mutex::new(Pool { idle: Vec::new(), bytes: 0 });

struct Pool {
    /// Oldest first; few (the bound is in bytes and the smallest is 64 KiB), so that a scan is cheap.
    idle: Vec<Vec<u8>>,
    bytes: usize,
}

/// A buffer to be filled; all of it is initialised.
pub(crate) struct Buffer {
    memory: Vec<u8>,
    len: usize,
}

impl Buffer {
    /// Of exactly `len` bytes, whatever was in them before.
    pub(crate) fn of(len: usize) -> Self {
        if len < POOLED_BUFFER_BYTES_MIN {
            return Self { memory: vec![0; len], len };
        }
        let class = class_of(len);
        let mut pool = pool();
        let at = pool.idle.iter().rposition(|b| b.len() == class);
        let memory = at.map(|at| pool.idle.swap_remove(at));
        pool.bytes -= memory.as_ref().map_or(0, Vec::len);
        drop(pool);
        Self { memory: memory.unwrap_or_else(|| vec![0; class]), len }
    }

    /// The bytes to be filled.
    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        self.memory.get_mut(..self.len).unwrap_or_default()
    }

    /// Done filling: shared from here on.
    pub(crate) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.memory.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        if memory.len() < POOLED_BUFFER_BYTES_MIN || memory.len() > IDLE_BUFFER_BYTES_MAX {
            return;
        }
        let mut pool = pool();
        let mut out = Vec::new();
        pool.bytes += memory.len();
        pool.idle.push(memory);
        while pool.bytes > IDLE_BUFFER_BYTES_MAX {
            let oldest = pool.idle.remove(0);
            pool.bytes -= oldest.len();
            out.push(oldest);
        }
        drop(pool);
        // Freed out here: giving pages back takes its time.
        drop(out);
    }
}

/// Gives idle buffers back to the system.
pub(crate) fn trim() {
    let idle = {
        let mut pool = pool();
        pool.bytes = 0;
        std::mem::take(&mut pool.idle)
    };
    drop(idle);
}

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Four sizes to each power of two: at most a quarter is wasted, and lengths close to each other share buffers.
fn class_of(len: usize) -> usize {
    let step = (len.next_power_of_two() / 8).max(1);
    len.div_ceil(step).saturating_mul(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_its_lengths_and_wastes_at_most_a_quarter() {
        for len in (POOLED_BUFFER_BYTES_MIN..9 << 20).step_by(4_999) {
            let class = class_of(len);
            assert!(class >= len && class <= len + len / 4, "{len} -> {class}");
        }
    }

    #[test]
    fn a_buffer_shows_only_the_length_asked_for() {
        let mut buffer = Buffer::of(100_001);
        buffer.as_mut().fill(7);
        let bytes = buffer.freeze();
        assert_eq!(bytes.len(), 100_001);
        drop(bytes);
        assert_eq!(Buffer::of(100_000).freeze().len(), 100_000);
    }
}
