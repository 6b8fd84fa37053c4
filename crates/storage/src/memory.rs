//! A torrent's bytes in memory only, within a quota: the least useful pieces go first, and it is said which went.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use metainfo::{PieceIndex, PieceLayout};

/// How useful a piece is to whoever reads; see [`Store::set_usefulness`](crate::Store::set_usefulness).
pub(crate) type Usefulness = Arc<dyn Fn(PieceIndex) -> u64 + Send + Sync>;

/// What of the quota is freed at once, so that a full store does not sort its pieces for each one that comes.
const FREED_AT_ONCE: u64 = 64;

pub(crate) struct Memory {
    layout: PieceLayout,
    max: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pieces: HashMap<PieceIndex, Held>,
    bytes: u64,
    arrivals: u64,
    usefulness: Option<Usefulness>,
}

struct Held {
    arrived: u64,
    bytes: Content,
}

enum Content {
    Growing(Vec<u8>),
    Whole(Bytes),
}

/// What became of a write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Whether the blocks are held.
    pub(crate) kept: bool,
    /// Pieces that had to go.
    pub(crate) dropped: Vec<PieceIndex>,
}

impl Memory {
    pub(crate) fn new(layout: PieceLayout, max: u64) -> Self {
        Self { layout, max, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_usefulness(&self, usefulness: Usefulness) {
        self.lock().usefulness = Some(usefulness);
    }

    /// Copies neighbouring blocks into their piece: held as they came, each would hold a whole read buffer. `first` says that
    /// nothing of the piece came before; a piece that was dropped in between is not begun in its middle.
    pub(crate) fn write(&self, piece: PieceIndex, mut begin: usize, slices: &[Bytes], first: bool) -> Kept {
        let mut state = self.lock();
        let mut dropped = Vec::new();
        if first || !state.pieces.contains_key(&piece) {
            let length = u64::from(self.layout.length(piece));
            if !first || !state.make_room(piece, length, self.max, self.layout, &mut dropped) {
                return Kept { kept: false, dropped };
            }
            state.arrivals += 1;
            let held = Held {
                arrived: state.arrivals,
                bytes: Content::Growing(vec![0; usize::try_from(length).unwrap_or_default()]),
            };
            state.bytes += length;
            if state.pieces.insert(piece, held).is_some() {
                state.bytes -= length;
            }
        }
        let Some(Held { bytes: Content::Growing(bytes), .. }) = state.pieces.get_mut(&piece) else {
            return Kept { kept: false, dropped };
        };
        for slice in slices {
            if let Some(place) = bytes.get_mut(begin..begin + slice.len()) {
                place.copy_from_slice(slice);
            }
            begin += slice.len();
        }
        Kept { kept: true, dropped }
    }

    /// The piece is whole and right. False when it was dropped meanwhile.
    pub(crate) fn verified(&self, piece: PieceIndex) -> bool {
        match self.lock().pieces.get_mut(&piece) {
            Some(held) => {
                if let Content::Growing(bytes) = &mut held.bytes {
                    held.bytes = Content::Whole(Bytes::from(std::mem::take(bytes)));
                }
                true
            }
            None => false,
        }
    }

    pub(crate) fn drop_piece(&self, piece: PieceIndex) {
        let mut state = self.lock();
        if state.pieces.remove(&piece).is_some() {
            state.bytes -= u64::from(self.layout.length(piece));
        }
    }

    /// Reads bytes of pieces that are held, verified or not; the slice itself where they lie in one whole piece.
    pub(crate) fn read(&self, range: Range<u64>) -> Option<Bytes> {
        let state = self.lock();
        let mut parts = Vec::new();
        for piece in self.layout.pieces_of(range.clone()).map(PieceIndex) {
            let of_piece = self.layout.range(piece);
            let from = usize::try_from(range.start.max(of_piece.start) - of_piece.start).ok()?;
            let to = usize::try_from(range.end.min(of_piece.end) - of_piece.start).ok()?;
            match &state.pieces.get(&piece)?.bytes {
                Content::Growing(bytes) => parts.push(Bytes::copy_from_slice(bytes.get(from..to)?)),
                Content::Whole(bytes) => parts.push(bytes.slice(from..to)),
            }
        }
        match parts.len() {
            1 => parts.pop(),
            _ => Some(parts.concat().into()),
        }
    }
}

impl State {
    /// Drops what is less useful than `piece` until `length` more bytes fit; whether they do.
    fn make_room(
        &mut self,
        piece: PieceIndex,
        length: u64,
        max: u64,
        layout: PieceLayout,
        dropped: &mut Vec<PieceIndex>,
    ) -> bool {
        if self.bytes + length <= max {
            return true;
        }
        let rank = |piece: PieceIndex, arrived: u64| match &self.usefulness {
            Some(usefulness) => (usefulness(piece), arrived),
            None => (0, arrived),
        };
        // Between equals the older goes.
        let own = rank(piece, u64::MAX);
        let mut held: Vec<_> =
            self.pieces.iter().map(|(piece, held)| (rank(*piece, held.arrived), *piece)).collect();
        held.sort_unstable();
        let useless: Vec<_> =
            held.into_iter().take_while(|(rank, _)| *rank < own).map(|(_, piece)| piece).collect();
        let freeable: u64 = useless.iter().map(|piece| u64::from(layout.length(*piece))).sum();
        if self.bytes - freeable + length > max {
            return false;
        }
        let goal = max.saturating_sub(length.max(max / FREED_AT_ONCE));
        for piece in useless {
            if self.bytes <= goal {
                break;
            }
            self.pieces.remove(&piece);
            self.bytes -= u64::from(layout.length(piece));
            dropped.push(piece);
        }
        true
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} bytes in memory", self.lock().bytes, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(pieces_held: u64) -> Memory {
        Memory::new(PieceLayout::new(1000, 10).unwrap(), pieces_held * 10)
    }

    fn fill(memory: &Memory, piece: u32) -> Kept {
        let kept = memory.write(PieceIndex(piece), 0, &[Bytes::from(vec![1; 10])], true);
        memory.verified(PieceIndex(piece));
        kept
    }

    #[test]
    fn without_an_order_the_oldest_goes() {
        let memory = memory(3);
        for piece in [5, 1, 9] {
            assert_eq!(fill(&memory, piece), Kept { kept: true, dropped: vec![] });
        }
        assert_eq!(fill(&memory, 2), Kept { kept: true, dropped: vec![PieceIndex(5)] });
        assert!(memory.read(50..60).is_none() && memory.read(12..18).is_some());
    }

    #[test]
    fn a_piece_that_is_less_useful_than_all_others_is_not_kept() {
        let memory = memory(3);
        memory.set_usefulness(Arc::new(|piece| 100 - u64::from(piece.0)));
        for piece in [5, 1, 9] {
            fill(&memory, piece);
        }
        assert_eq!(fill(&memory, 20), Kept { kept: false, dropped: vec![] });
        assert_eq!(fill(&memory, 6), Kept { kept: true, dropped: vec![PieceIndex(9)] });
    }

    #[test]
    fn a_dropped_piece_is_not_begun_in_its_middle() {
        let memory = memory(1);
        let half = Bytes::from(vec![1; 5]);
        assert!(memory.write(PieceIndex(0), 0, std::slice::from_ref(&half), true).kept);
        assert_eq!(fill(&memory, 1).dropped, [PieceIndex(0)]);
        assert!(!memory.write(PieceIndex(0), 5, &[half], false).kept);
        assert!(!memory.verified(PieceIndex(0)));
    }

    #[test]
    fn reads_cross_pieces() {
        let memory = memory(3);
        fill(&memory, 0);
        fill(&memory, 1);
        assert_eq!(memory.read(5..15).unwrap(), vec![1; 10]);
        assert!(memory.read(15..25).is_none());
    }
}
