//! Blocks that may come although their requests were cancelled: a CANCEL does not take back what its sender has written, and one
//! with a token bucket writes in gusts, half a second apart. Who asks another peer for such a block may get it twice.

use metainfo::BlockIndex;

use crate::{
    PeerKey,
    limits::{STRAY_AWAITED, STRAY_RECKONED, STRAYS_MAX},
    peer::micros,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stray {
    by: PeerKey,
    block: BlockIndex,
    /// When it was cancelled, in microseconds.
    since: u64,
    /// Its peer does send otherwise: it is worth waiting for.
    awaited: bool,
    /// Another peer was asked for it, too: what comes now comes twice.
    doubled: bool,
}

/// The cancelled requests that no answer has come to, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strays(Vec<Stray>);

impl Strays {
    /// A request was cancelled; `awaited` when another may wait for its answer, `doubled` when its block is here or asked of another.
    pub(crate) fn cancelled(
        &mut self,
        by: PeerKey,
        block: BlockIndex,
        now: u64,
        awaited: bool,
        doubled: bool,
    ) {
        self.0.retain(|stray| now.saturating_sub(stray.since) < micros(STRAY_RECKONED));
        if self.0.len() == STRAYS_MAX {
            self.0.remove(0);
        }
        self.0.push(Stray { by, block, since: now, awaited, doubled });
    }

    /// A peer is asked for a block.
    pub(crate) fn asked(&mut self, of: PeerKey, block: BlockIndex) {
        for stray in self.0.iter_mut().filter(|stray| stray.block == block && stray.by != of) {
            stray.doubled = true;
        }
    }

    /// The block came after all, or its peer says that it will not.
    pub(crate) fn answered(&mut self, by: PeerKey, block: BlockIndex) {
        self.0.retain(|stray| (stray.by, stray.block) != (by, block));
    }

    /// Nothing is to come from a peer.
    pub(crate) fn forget(&mut self, by: PeerKey) {
        self.0.retain(|stray| stray.by != by);
    }

    /// How many blocks may still come twice.
    pub(crate) fn risked(&self, now: u64) -> usize {
        let reckoned = |stray: &&Stray| now.saturating_sub(stray.since) < micros(STRAY_RECKONED);
        self.0.iter().filter(|stray| stray.doubled).filter(reckoned).count()
    }

    /// Whether a block is likely to come from another peer than `than`.
    pub(crate) fn comes_from_another(&self, than: PeerKey, block: BlockIndex, now: u64) -> bool {
        let fresh = |stray: &Stray| stray.awaited && now.saturating_sub(stray.since) < micros(STRAY_AWAITED);
        self.0.iter().any(|stray| stray.block == block && stray.by != than && fresh(stray))
    }
}

#[cfg(test)]
mod tests {
    use metainfo::PieceIndex;

    use super::*;

    const A: PeerKey = PeerKey(1);
    const B: PeerKey = PeerKey(2);
    const SECOND: u64 = 1_000_000;

    fn block(n: u32) -> BlockIndex {
        BlockIndex { piece: PieceIndex(0), block: n }
    }

    #[test]
    fn a_cancelled_block_is_left_to_its_peer_until_it_is_answered_or_late() {
        let mut strays = Strays::default();
        strays.cancelled(A, block(0), 0, true, false);
        strays.cancelled(A, block(1), 0, true, false);
        strays.cancelled(A, block(2), 0, false, false);
        assert!(strays.comes_from_another(B, block(0), SECOND / 2));
        assert!(!strays.comes_from_another(A, block(0), SECOND / 2), "the peer itself may be asked");
        assert!(!strays.comes_from_another(B, block(2), 0), "of a peer that stalls nothing is awaited");
        strays.answered(A, block(0));
        assert!(!strays.comes_from_another(B, block(0), SECOND / 2));
        assert!(!strays.comes_from_another(B, block(1), SECOND));
        strays.cancelled(A, block(1), SECOND, true, false);
        strays.forget(A);
        assert!(!strays.comes_from_another(B, block(1), SECOND));
    }

    #[test]
    fn only_what_another_was_asked_for_can_come_twice() {
        let mut strays = Strays::default();
        strays.cancelled(A, block(0), 0, true, false);
        strays.cancelled(A, block(1), 0, true, true);
        assert_eq!(strays.risked(SECOND), 1);
        strays.asked(A, block(0));
        assert_eq!(strays.risked(SECOND), 1);
        strays.asked(B, block(0));
        assert_eq!((strays.risked(SECOND), strays.risked(4 * SECOND)), (2, 0));
        strays.answered(A, block(0));
        strays.answered(A, block(1));
        assert_eq!(strays.risked(SECOND), 0);
    }

    #[test]
    fn the_oldest_of_very_many_are_forgotten() {
        let mut strays = Strays::default();
        (0..1_000).for_each(|n| strays.cancelled(A, block(n), 0, true, true));
        assert_eq!(strays.risked(0), STRAYS_MAX);
        assert!(!strays.comes_from_another(B, block(0), 0) && strays.comes_from_another(B, block(999), 0));
    }
}
