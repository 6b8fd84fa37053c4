//! The blocks that are asked of a web seed, as runs of bytes: what follows each other is one request to the server.

use std::collections::{BTreeMap, VecDeque};

use metainfo::{BLOCK_LENGTH, Block, PieceLayout};
use peer_wire::RawBlock;

/// Blocks that wait at most; the torrent asks for fewer.
const WAITING_MAX: usize = 8_192;

/// Bytes of one run: 4 MiB, so that a server that is slow to begin does so seldom.
const RUN_BYTES_MAX: u64 = 4 << 20;

/// Blocks that wait, in the order they were asked for, and blocks that are being fetched.
#[derive(Debug)]
pub(super) struct Queue {
    layout: PieceLayout,
    /// By where they begin, in bytes of the torrent; those no longer waiting are skipped.
    order: VecDeque<u64>,
    waiting: BTreeMap<u64, Block>,
    /// And whether they are still wanted.
    under_way: BTreeMap<u64, bool>,
}

/// Blocks that follow each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    /// Where the first begins, in bytes of the torrent.
    pub(super) start: u64,
    pub(super) blocks: VecDeque<Block>,
}

impl Run {
    /// Where the last ends, in bytes of the torrent.
    pub(super) fn end(&self) -> u64 {
        self.start + self.blocks.iter().map(|block| u64::from(block.length)).sum::<u64>()
    }
}

impl Queue {
    pub(super) fn new(layout: PieceLayout) -> Self {
        Self { layout, order: VecDeque::new(), waiting: BTreeMap::new(), under_way: BTreeMap::new() }
    }

    /// Takes a request; false for one that cannot be served.
    pub(super) fn push(&mut self, asked: RawBlock) -> bool {
        let fits = self.layout.request_fits(asked.piece, asked.begin, asked.length, BLOCK_LENGTH);
        let Some(block) = fits.filter(|_| self.waiting.len() < WAITING_MAX) else { return false };
        let start = self.start(&block);
        if let Some(wanted) = self.under_way.get_mut(&start) {
            *wanted = true;
        } else if self.waiting.insert(start, block).is_none() {
            if self.order.len() >= 2 * WAITING_MAX {
                self.order.retain(|start| self.waiting.contains_key(start));
            }
            self.order.push_back(start);
        }
        true
    }

    pub(super) fn cancel(&mut self, asked: RawBlock) {
        let Some(block) = self.layout.request_fits(asked.piece, asked.begin, asked.length, BLOCK_LENGTH)
        else {
            return;
        };
        let start = self.start(&block);
        self.waiting.remove(&start);
        if let Some(wanted) = self.under_way.get_mut(&start) {
            *wanted = false;
        }
    }

    /// The block that was asked for first, and those that follow it.
    pub(super) fn take(&mut self) -> Option<Run> {
        let (start, first) = loop {
            let start = self.order.pop_front()?;
            if let Some(block) = self.waiting.remove(&start) {
                break (start, block);
            }
        };
        let mut run = Run { start, blocks: VecDeque::from([first]) };
        let mut end = start + u64::from(first.length);
        self.under_way.insert(start, true);
        while end - start < RUN_BYTES_MAX
            && let Some(next) = self.waiting.remove(&end)
        {
            self.under_way.insert(end, true);
            end += u64::from(next.length);
            run.blocks.push_back(next);
        }
        Some(run)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A block has come; whether it is still wanted.
    pub(super) fn came(&mut self, block: &Block) -> bool {
        self.under_way.remove(&self.start(block)).unwrap_or(false)
    }

    /// Whether any of what is left of a run is still wanted.
    pub(super) fn wants(&self, run: &Run) -> bool {
        run.blocks.iter().any(|block| self.under_way.get(&self.start(block)).copied().unwrap_or(false))
    }

    /// What is left of a run did not come: the blocks still wanted wait again, before all others.
    pub(super) fn give_back(&mut self, run: Run) {
        for block in run.blocks.into_iter().rev() {
            let start = self.start(&block);
            if self.under_way.remove(&start) == Some(true) {
                self.waiting.insert(start, block);
                self.order.push_front(start);
            }
        }
    }

    /// Takes out the waiting blocks that touch bytes `range` of the torrent.
    pub(super) fn drop_within(&mut self, range: &std::ops::Range<u64>) -> Vec<Block> {
        let begin = range.start.saturating_sub(u64::from(BLOCK_LENGTH));
        let found: Vec<u64> = self
            .waiting
            .range(begin..range.end)
            .filter(|(start, block)| **start + u64::from(block.length) > range.start)
            .map(|(start, _)| *start)
            .collect();
        found.into_iter().filter_map(|start| self.waiting.remove(&start)).collect()
    }

    fn start(&self, block: &Block) -> u64 {
        self.layout.offset(block.piece) + u64::from(block.begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four pieces of two blocks; the last block is short.
    fn queue() -> Queue {
        Queue::new(PieceLayout::new(7 * 16_384 + 100, 32_768).unwrap())
    }

    fn raw(number: u32) -> RawBlock {
        let length = if number == 7 { 100 } else { 16_384 };
        RawBlock { piece: number / 2, begin: number % 2 * 16_384, length }
    }

    fn taken(queue: &mut Queue) -> Vec<u64> {
        let run = queue.take().unwrap_or_default();
        run.blocks.iter().map(|block| queue.start(block) / 16_384).collect()
    }

    #[test]
    fn blocks_that_follow_each_other_are_one_run_in_the_order_asked() {
        let mut queue = queue();
        for number in [5, 6, 7, 1, 2] {
            assert!(queue.push(raw(number)));
        }
        assert_eq!(taken(&mut queue), [5, 6, 7]);
        assert_eq!(taken(&mut queue), [1, 2]);
        assert!(queue.take().is_none() && queue.is_empty());
    }

    #[test]
    fn cancelled_blocks_do_not_wait_and_are_not_wanted_when_they_come() {
        let mut queue = queue();
        for number in 0..4 {
            queue.push(raw(number));
        }
        queue.cancel(raw(1));
        let run = queue.take().unwrap();
        assert_eq!(run.end(), 16_384);
        queue.cancel(raw(0));
        assert!(!queue.wants(&run));
        assert!(!queue.came(&run.blocks[0]));
        assert_eq!(taken(&mut queue), [2, 3]);
    }

    #[test]
    fn what_did_not_come_waits_again_before_all_others() {
        let mut queue = queue();
        for number in [4, 5, 0] {
            queue.push(raw(number));
        }
        let mut run = queue.take().unwrap();
        let first = run.blocks.pop_front().unwrap();
        assert!(queue.came(&first));
        queue.give_back(run);
        assert_eq!(taken(&mut queue), [5]);
        assert_eq!(taken(&mut queue), [0]);
    }

    #[test]
    fn requests_that_lie_nowhere_are_refused() {
        let mut queue = queue();
        for (piece, begin, length) in
            [(4, 0, 16_384), (0, 32_768, 1), (0, 0, 0), (0, 0, 32_768), (3, 16_384, 101)]
        {
            assert!(!queue.push(RawBlock { piece, begin, length }), "{piece} {begin} {length}");
        }
    }

    #[test]
    fn blocks_of_a_missing_file_are_taken_out() {
        let mut queue = queue();
        for number in 0..5 {
            queue.push(raw(number));
        }
        let dropped = queue.drop_within(&(16_385..32_769));
        assert_eq!(dropped.iter().map(|block| queue.start(block) / 16_384).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(taken(&mut queue), [0]);
        assert_eq!(taken(&mut queue), [3, 4]);
    }
}
