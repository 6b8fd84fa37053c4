//! Which pieces are worth their room, where bytes live in memory: those in readers' windows, then what is ahead of a reader,
//! then what lies behind all of them, the furthest first to go.

use std::{
    ops::Range,
    sync::{Arc, PoisonError, RwLock},
};

use metainfo::{PieceIndex, PieceLayout};

use super::task::Task;
use crate::{Config, StorageKind};

/// Of the memory, what readers' windows may fill. The rest is for what was just read, for indexes, and for what is on its way
/// when a reader jumps.
const WINDOWS_SHARE: (u64, u64) = (3, 4);

/// Ranks of pieces in a window, ahead of one, behind all; within a rank the distance decides.
const IN_WINDOW: u64 = 3 << 32;
const AHEAD: u64 = 2 << 32;
const BEHIND: u64 = 1 << 32;

/// How many bytes of pieces all windows may touch; `None` is as many as they like.
pub(super) fn window_bytes_max(config: &Config) -> Option<u64> {
    (config.storage == StorageKind::Memory).then(|| config.memory_limit / WINDOWS_SHARE.1 * WINDOWS_SHARE.0)
}

/// The windows, as the storage's threads see them: in pieces.
pub(super) type Windows = Arc<RwLock<Vec<Range<u32>>>>;

/// How much a piece is worth its room; of those held, the lowest go first.
fn worth(windows: &[Range<u32>], piece: u32) -> u64 {
    let worth = |window: &Range<u32>| {
        if window.contains(&piece) {
            IN_WINDOW + u64::from(u32::MAX - (piece - window.start))
        } else if piece >= window.end {
            AHEAD + u64::from(u32::MAX - (piece - window.end))
        } else {
            BEHIND + u64::from(u32::MAX - (window.start - piece))
        }
    };
    windows.iter().map(worth).max().unwrap_or_default()
}

impl Task {
    /// Whether only readers' windows are fetched: all that is wanted would not fit the memory.
    pub(super) fn only_windows(&self) -> bool {
        window_bytes_max(&self.core.config).is_some_and(|room| {
            let total = self.metainfo.as_ref().map_or(0, |metainfo| metainfo.info().layout().total());
            total > room
        })
    }

    /// Lets the storage ask what is worth its room.
    pub(super) fn guard_room(&self) {
        if let (Some(store), StorageKind::Memory) = (&self.store, self.core.config.storage) {
            let windows = self.windows.clone();
            store.set_usefulness(Arc::new(move |piece: PieceIndex| {
                worth(&windows.read().unwrap_or_else(PoisonError::into_inner), piece.0)
            }));
        }
    }

    /// Tells the storage where the windows are. When the last one closes, it stays: its reader may come back.
    pub(super) fn move_windows(&self) {
        let (StorageKind::Memory, Some(metainfo)) = (self.core.config.storage, &self.metainfo) else {
            return;
        };
        let layout: PieceLayout = metainfo.info().layout();
        let pieces = |window: Range<u64>| {
            let pieces = layout.pieces_of(window.clone());
            // A window that holds nothing is where a reader stands.
            let at = layout.piece_of(window.start.min(layout.total().saturating_sub(1))).0;
            if pieces.is_empty() { at..at } else { pieces }
        };
        let windows: Vec<_> =
            self.swarm.readers(self.core.now()).into_iter().map(|reader| pieces(reader.window)).collect();
        if !windows.is_empty() {
            *self.windows.write().unwrap_or_else(PoisonError::into_inner) = windows;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces in the order in which they go.
    fn leaving(windows: &[Range<u32>], pieces: &[u32]) -> Vec<u32> {
        let mut pieces = pieces.to_vec();
        pieces.sort_by_key(|piece| worth(windows, *piece));
        pieces
    }

    #[test]
    fn what_is_furthest_behind_every_reader_goes_first_and_windows_stay() {
        let one = std::slice::from_ref(&(50..60));
        assert_eq!(leaving(one, &[55, 10, 49, 70, 50, 59, 61, 20]), [10, 20, 49, 70, 61, 59, 55, 50]);
        // What one reader has behind it another has before it.
        let two = [50..60, 10..20];
        assert_eq!(leaving(&two, &[30, 5, 15, 52, 49, 9, 70]), [5, 9, 49, 30, 70, 15, 52]);
        assert_eq!(leaving(std::slice::from_ref(&(40..40)), &[41, 39, 40, 10]), [10, 39, 41, 40]);
    }
}
