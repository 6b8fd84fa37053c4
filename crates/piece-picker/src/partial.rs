//! A piece that is begun: which of its blocks are absent, requested or received, and from whom.

use std::collections::BTreeMap;

use crate::{Contribution, PeerKey};

/// The state of one block of a partial piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Absent,
    Requested {
        /// Who was asked first, of those who still are.
        by: PeerKey,
        /// Another peer is asked too.
        raced: bool,
        /// The time at which it was expected has passed.
        late: bool,
        /// When it is expected, in microseconds.
        expected: u64,
    },
    Received {
        from: PeerKey,
    },
}

/// The blocks of one piece.
#[derive(Debug)]
pub(crate) struct Partial {
    slots: Vec<Slot>,
    absent: u32,
    requested: u32,
    late: u32,
    /// No block before it is absent.
    front: u32,
    /// No block from it on is absent.
    back: u32,
    /// How many peers take its blocks one after the other in bulk.
    pub(crate) workers: u32,
    /// The last of them.
    pub(crate) owner: Option<PeerKey>,
    /// A suspect that fetches this piece alone.
    pub(crate) sole: Option<PeerKey>,
}

impl Partial {
    pub(crate) fn new(blocks: u32) -> Self {
        Self {
            slots: vec![Slot::Absent; blocks as usize],
            absent: blocks,
            requested: 0,
            late: 0,
            front: 0,
            back: blocks,
            workers: 0,
            owner: None,
            sole: None,
        }
    }

    pub(crate) fn absent(&self) -> u32 {
        self.absent
    }

    pub(crate) fn requested(&self) -> u32 {
        self.requested
    }

    /// How many requests are late and not raced.
    pub(crate) fn late(&self) -> u32 {
        self.late
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.absent == 0 && self.requested == 0
    }

    pub(crate) fn is_untouched(&self) -> bool {
        self.absent as usize == self.slots.len()
    }

    pub(crate) fn slot(&self, block: u32) -> Option<Slot> {
        self.slots.get(block as usize).copied()
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = (u32, Slot)> + '_ {
        (0..).zip(self.slots.iter().copied())
    }

    /// Changes the state of a block and keeps the counts.
    pub(crate) fn put(&mut self, block: u32, new: Slot) {
        let Some(slot) = self.slots.get_mut(block as usize) else { return };
        match *slot {
            Slot::Absent => self.absent -= 1,
            Slot::Requested { raced, late, .. } => {
                self.requested -= 1;
                self.late -= u32::from(late && !raced);
            }
            Slot::Received { .. } => {}
        }
        *slot = new;
        match new {
            Slot::Absent => {
                self.absent += 1;
                self.front = self.front.min(block);
                self.back = self.back.max(block + 1);
            }
            Slot::Requested { raced, late, .. } => {
                self.requested += 1;
                self.late += u32::from(late && !raced);
            }
            Slot::Received { .. } => {}
        }
    }

    fn is_absent(&self, block: u32) -> bool {
        self.slots.get(block as usize) == Some(&Slot::Absent)
    }

    pub(crate) fn first_absent(&mut self) -> Option<u32> {
        if self.absent == 0 {
            return None;
        }
        while !self.is_absent(self.front) {
            self.front += 1;
        }
        Some(self.front)
    }

    pub(crate) fn last_absent(&mut self) -> Option<u32> {
        if self.absent == 0 {
            return None;
        }
        while !self.is_absent(self.back - 1) {
            self.back -= 1;
        }
        Some(self.back - 1)
    }

    /// The absent blocks, rising.
    pub(crate) fn absent_blocks(&self) -> impl Iterator<Item = u32> + '_ {
        (self.front..self.back).filter(|block| self.is_absent(*block))
    }

    /// Whether some of its blocks are a former run's.
    pub(crate) fn is_restored(&self) -> bool {
        self.slots.contains(&Slot::Received { from: PeerKey::NOBODY })
    }

    /// Who sent which of the received blocks, as far as that is known.
    pub(crate) fn contributions(&self) -> Vec<Contribution> {
        let mut by_peer: BTreeMap<PeerKey, Vec<u32>> = BTreeMap::new();
        for (block, slot) in self.slots() {
            if let Slot::Received { from } = slot
                && from != PeerKey::NOBODY
            {
                by_peer.entry(from).or_default().push(block);
            }
        }
        by_peer.into_iter().map(|(peer, blocks)| Contribution { peer, blocks }).collect()
    }
}
