//! A piece on its way: which blocks came, and the hash of as many as came in order. Pure but for the reads it asks for.
//!
//! Blocks are hashed as they come, while the processor's cache holds them. One that is ahead of its turn is copied and
//! held, as long as the common budget allows; past that, it is read back when its turn comes.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use metainfo::BLOCK_LENGTH;
use sha1::{Digest, Sha1};

/// Blocks read back at once.
const READ_BACK_BLOCKS: u32 = 16;

/// Bytes that blocks ahead of their turn may hold, over all torrents.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicU64,
}

impl Budget {
    pub(crate) fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(bytes) })
    }

    fn take(self: &Arc<Self>, bytes: u64) -> bool {
        self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(bytes)).is_ok()
    }
}

#[derive(Debug)]
struct Held {
    bytes: Box<[u8]>,
    budget: Arc<Budget>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.bytes.len() as u64, Ordering::AcqRel);
    }
}

#[derive(Debug)]
pub(crate) struct Assembly {
    length: u32,
    hasher: Sha1,
    /// Blocks before this one are in the hash.
    next: u32,
    received: Vec<u64>,
    count: u32,
    held: BTreeMap<u32, Held>,
}

impl Assembly {
    /// A piece of `length` bytes, nothing of it here.
    pub(crate) fn new(length: u32) -> Self {
        let words = length.div_ceil(BLOCK_LENGTH).div_ceil(64) as usize;
        Self {
            length,
            hasher: Sha1::new(),
            next: 0,
            received: vec![0; words],
            count: 0,
            held: BTreeMap::new(),
        }
    }

    /// A piece of which a former run wrote some blocks.
    pub(crate) fn restored(length: u32, blocks: &[u32]) -> Self {
        let mut assembly = Self::new(length);
        for block in blocks {
            assembly.mark(*block);
        }
        assembly
    }

    fn blocks(&self) -> u32 {
        self.length.div_ceil(BLOCK_LENGTH)
    }

    /// The blocks that came, in order.
    pub(crate) fn received(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.blocks()).filter(|block| self.has(*block))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.count == self.blocks()
    }

    fn has(&self, block: u32) -> bool {
        self.received.get(block as usize / 64).is_some_and(|word| word & (1 << (block % 64)) != 0)
    }

    fn mark(&mut self, block: u32) -> bool {
        if block >= self.blocks() || self.has(block) {
            return false;
        }
        self.received[block as usize / 64] |= 1 << (block % 64);
        self.count += 1;
        true
    }

    /// Takes a block; false if it came before, or is none of the piece's.
    pub(crate) fn take(&mut self, block: u32, bytes: &[u8], budget: &Arc<Budget>) -> bool {
        let range = self.range(block);
        if bytes.len() as u64 != u64::from(range.end.saturating_sub(range.start)) || !self.mark(block) {
            return false;
        }
        if block == self.next {
            self.hasher.update(bytes);
            self.next += 1;
            self.hash_held();
        } else if budget.take(bytes.len() as u64) {
            self.held.insert(block, Held { bytes: bytes.into(), budget: budget.clone() });
        }
        true
    }

    fn range(&self, block: u32) -> Range<u32> {
        let begin = block.saturating_mul(BLOCK_LENGTH).min(self.length);
        begin..begin.saturating_add(BLOCK_LENGTH).min(self.length)
    }

    fn hash_held(&mut self) {
        while let Some(held) = self.held.remove(&self.next) {
            self.hasher.update(&held.bytes);
            self.next += 1;
        }
    }

    /// Hashes what came ahead of its turn and was not held; `read` gives those bytes of the piece.
    pub(crate) fn catch_up<E>(
        &mut self,
        buffer: &mut Vec<u8>,
        mut read: impl FnMut(Range<u32>, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while self.has(self.next) {
            let last = (self.next..self.next + READ_BACK_BLOCKS)
                .take_while(|block| self.has(*block) && !self.held.contains_key(block))
                .last()
                .unwrap_or(self.next);
            let range = self.range(self.next).start..self.range(last).end;
            let length = range.len();
            if buffer.len() < length {
                buffer.resize(length, 0);
            }
            read(range, &mut buffer[..length])?;
            self.hasher.update(&buffer[..length]);
            self.next = last + 1;
            self.hash_held();
        }
        Ok(())
    }

    /// The hash of the whole piece, once every block came and was caught up with.
    pub(crate) fn finish(self) -> [u8; 20] {
        self.hasher.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn piece(length: u32) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn in_whatever_order_blocks_come_the_hash_is_the_piece_s(
            length in 1u32..20 * BLOCK_LENGTH, seed in any::<u64>(), budget in 0u64..12 * u64::from(BLOCK_LENGTH),
        ) {
            let bytes = piece(length);
            let budget = Budget::new(budget);
            let before = budget.left.load(Ordering::Acquire);
            let mut order: Vec<u32> = (0..length.div_ceil(BLOCK_LENGTH)).collect();
            order.sort_by_key(|block| (u64::from(*block) ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23));
            let mut assembly = Assembly::new(length);
            let mut written = vec![0; length as usize];
            for block in order {
                let range = assembly.range(block);
                let range = range.start as usize..range.end as usize;
                prop_assert!(assembly.take(block, &bytes[range.clone()], &budget));
                prop_assert!(!assembly.take(block, &bytes[range.clone()], &budget));
                written[range.clone()].copy_from_slice(&bytes[range]);
                assembly.catch_up(&mut Vec::new(), |range, buffer| {
                    buffer.copy_from_slice(&written[range.start as usize..range.end as usize]);
                    Ok::<_, ()>(())
                }).unwrap();
            }
            prop_assert!(assembly.is_complete());
            prop_assert_eq!(assembly.finish(), <[u8; 20]>::from(Sha1::digest(&bytes)));
            prop_assert_eq!(budget.left.load(Ordering::Acquire), before);
        }
    }

    #[test]
    fn blocks_of_wrong_length_or_number_are_not_taken() {
        let budget = Budget::new(0);
        let mut assembly = Assembly::new(BLOCK_LENGTH + 1);
        assert!(!assembly.take(0, &[0], &budget) && !assembly.take(2, &[], &budget));
        assert!(assembly.take(1, &[0], &budget));
        assert_eq!(assembly.received().collect::<Vec<_>>(), [1]);
    }
}
