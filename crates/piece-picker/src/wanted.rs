//! What is wanted outside of windows: priorities, and the order of whole absent pieces that follows from them and from rarity.

use std::ops::Range;

use metainfo::PieceIndex;

use crate::{Picker, Priority, limits::MEND_MAX};

/// The class of pieces of a priority; those to skip have none.
fn class(priority: Priority) -> Option<usize> {
    match priority {
        Priority::High => Some(0),
        Priority::Normal => Some(1),
        Priority::Low => Some(2),
        Priority::Skip => None,
    }
}

impl Picker {
    /// Changes the priority of `pieces` (cut to the torrent). Requests for pieces that became [`Priority::Skip`] and are in no window are
    /// cancelled.
    pub fn set_wanted(&mut self, pieces: Range<u32>, priority: Priority) {
        let pieces = pieces.start..pieces.end.min(self.layout.pieces());
        if pieces.len() > MEND_MAX as usize {
            self.rarity_stale = true;
        }
        if self.priorities.is_empty() {
            if priority == Priority::Normal {
                return;
            }
            self.priorities = vec![Priority::Normal; self.layout.pieces() as usize];
        }
        let mut skipped = Vec::new();
        for piece in pieces.map(PieceIndex) {
            let before = std::mem::replace(&mut self.priorities[piece.as_usize()], priority);
            if before == priority || self.have.has(piece) {
                continue;
            }
            let length = u64::from(self.layout.length(piece));
            match (before, priority) {
                (Priority::Skip, _) => {
                    self.wanted_pieces_left += 1;
                    self.wanted_bytes_left += length;
                    self.need.insert(piece);
                }
                (_, Priority::Skip) => {
                    self.wanted_pieces_left -= 1;
                    self.wanted_bytes_left -= length;
                    self.need.set(piece, self.windowed.has(piece));
                    skipped.push(piece);
                }
                _ => {}
            }
            if let Some(class) = class(before)
                && self.open[class].remove(piece)
                && !self.rarity_stale
            {
                self.rarity.remove(piece);
            }
            self.reopen(piece);
        }
        self.cancel_unwanted(&skipped);
    }

    /// The priority of `piece`.
    #[must_use]
    pub fn priority(&self, piece: PieceIndex) -> Priority {
        self.priorities.get(piece.as_usize()).copied().unwrap_or_default()
    }

    pub(crate) fn class(&self, piece: PieceIndex) -> Option<usize> {
        class(self.priority(piece))
    }

    /// Outside of windows: pieces in order instead of rarest first.
    pub fn set_sequential(&mut self, sequential: bool) {
        self.sequential = sequential;
    }

    /// A piece is absent as a whole: it may be begun, if it is wanted.
    pub(crate) fn reopen(&mut self, piece: PieceIndex) {
        if self.have.has(piece) || self.partials.contains_key(&piece) {
            return;
        }
        if let Some(class) = self.class(piece)
            && self.open[class].insert(piece)
            && !self.rarity_stale
        {
            self.rarity.insert(piece, class, self.holders(piece), &mut self.rng);
        }
    }

    /// A piece is no longer absent as a whole.
    pub(crate) fn close(&mut self, piece: PieceIndex) {
        if let Some(class) = self.class(piece)
            && self.open[class].remove(piece)
            && !self.rarity_stale
        {
            self.rarity.remove(piece);
        }
    }

    /// Brings the rarity order up to date after changes of many pieces.
    pub(crate) fn mend_rarity(&mut self) {
        if std::mem::take(&mut self.rarity_stale) {
            let holders = &self.holders;
            let open = (0..).zip(&self.open).flat_map(|(class, pieces)| {
                let holders = move |piece: PieceIndex| holders.get(piece.as_usize()).copied().unwrap_or(0);
                pieces.iter().map(move |piece| (piece, class, holders(piece)))
            });
            self.rarity.rebuild(self.layout.pieces(), open, &mut self.rng);
        }
    }

    /// Whole absent pieces of a class, rarest first; those that no peer has may come first.
    pub(crate) fn by_rarity(&self, class: usize) -> impl Iterator<Item = PieceIndex> + '_ {
        self.rarity.class(class, self.seeders == 0)
    }

    pub(crate) fn holders(&self, piece: PieceIndex) -> u16 {
        self.holders.get(piece.as_usize()).copied().unwrap_or(0)
    }
}
