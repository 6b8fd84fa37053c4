//! Who sent the wrong bytes: contributions to corrupt pieces, compared block by block with the right ones.
//!
//! A piece from one peer alone needs no comparison. Of a piece from several, each block is summed up from the moment the
//! second peer joins in; those before are the first peer's. When a right copy has come, a block that differs names its
//! sender, and when no summed block differs it was the first. Which peers may share a suspect piece is `piece-picker`'s
//! affair.

use std::collections::{BTreeMap, HashMap};

use metainfo::{BlockIndex, PieceIndex};
use piece_picker::Contribution;

use seeded::mix;

use crate::PeerKey;

/// Pieces under suspicion at a time; the one of lowest index is forgotten beyond.
const SUSPECT_PIECES_MAX: usize = 64;
/// Corrupt copies remembered of a piece.
const COPIES_MAX: usize = 8;

/// Contributors to one piece that are remembered as honest once it is right.
const CONTRIBUTORS_MAX: usize = 16;

/// What a right piece says of peers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// They sent right blocks of it.
    pub(crate) honest: Vec<PeerKey>,
    /// They sent wrong blocks of it earlier.
    pub(crate) guilty: Vec<PeerKey>,
}

/// A sum over a block; 0 stands for none.
type Sum = u64;

#[derive(Debug)]
struct Trace {
    first: PeerKey,
    /// Who else contributed; not all of a crowd.
    others: Vec<PeerKey>,
    /// Empty until somebody else contributes.
    sums: Vec<Sum>,
}

#[derive(Debug)]
struct Copy {
    contributions: Vec<Contribution>,
    sums: Vec<Sum>,
}

/// Pieces under way from several peers, and corrupt copies that wait for a right one.
#[derive(Debug)]
pub(crate) struct Blame {
    seed: u64,
    traces: HashMap<PieceIndex, Trace>,
    suspects: BTreeMap<PieceIndex, Vec<Copy>>,
}

impl Blame {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed: seed | 1, traces: HashMap::new(), suspects: BTreeMap::new() }
    }

    /// A block was accepted; `blocks` are those of its piece.
    pub(crate) fn received(&mut self, peer: PeerKey, block: BlockIndex, blocks: u32, data: &[u8]) {
        let suspect = !self.suspects.is_empty() && self.suspects.contains_key(&block.piece);
        let trace = self.traces.entry(block.piece).or_insert_with(|| Trace {
            first: peer,
            others: Vec::new(),
            sums: Vec::new(),
        });
        if trace.sums.is_empty() {
            if trace.first == peer && !suspect {
                return;
            }
            trace.sums = vec![0; blocks as usize];
        }
        if trace.first != peer && trace.others.len() < CONTRIBUTORS_MAX && !trace.others.contains(&peer) {
            trace.others.push(peer);
        }
        if let Some(sum) = trace.sums.get_mut(block.block as usize) {
            *sum = block_sum(self.seed, data);
        }
    }

    /// A piece is gone unverified: its blocks are nobody's.
    pub(crate) fn lost(&mut self, piece: PieceIndex) {
        self.traces.remove(&piece);
    }

    /// A piece is corrupt. The peer that is guilty for certain, if one is.
    pub(crate) fn corrupt(&mut self, piece: PieceIndex, contributions: Vec<Contribution>) -> Option<PeerKey> {
        let trace = self.traces.remove(&piece);
        if let [only] = contributions.as_slice() {
            return Some(only.peer);
        }
        let copies = self.suspects.entry(piece).or_default();
        if copies.len() < COPIES_MAX {
            copies.push(Copy { contributions, sums: trace.map_or_else(Vec::new, |trace| trace.sums) });
        }
        if self.suspects.len() > SUSPECT_PIECES_MAX {
            self.suspects.pop_first();
        }
        None
    }

    /// A piece is right.
    pub(crate) fn verified(&mut self, piece: PieceIndex) -> Verdict {
        let Some(trace) = self.traces.remove(&piece) else { return Verdict::default() };
        let mut honest = trace.others;
        honest.push(trace.first);
        let mut guilty = Vec::new();
        let copies = if self.suspects.is_empty() { None } else { self.suspects.remove(&piece) };
        for copy in copies.unwrap_or_default() {
            let before = guilty.len();
            let mut unsummed = None;
            for part in &copy.contributions {
                let mut wrong = false;
                for block in &part.blocks {
                    let sum = |sums: &[Sum]| sums.get(*block as usize).copied().unwrap_or(0);
                    match (sum(&copy.sums), sum(&trace.sums)) {
                        (0, _) => unsummed = Some(part.peer),
                        (old, right) => wrong |= right != 0 && old != right,
                    }
                }
                if wrong {
                    guilty.push(part.peer);
                }
            }
            if guilty.len() == before {
                guilty.extend(unsummed);
            }
        }
        guilty.sort_unstable();
        guilty.dedup();
        Verdict { honest, guilty }
    }

    /// Nothing is under way any more.
    pub(crate) fn clear(&mut self) {
        self.traces.clear();
        self.suspects.clear();
    }
}

/// A sum that a sender who does not know `seed` cannot keep while changing the bytes. Never 0.
fn block_sum(seed: u64, data: &[u8]) -> Sum {
    let mut lanes = [seed, mix(seed), mix(seed ^ 1), mix(seed ^ 2)];
    let mut chunks = data.chunks_exact(32);
    for chunk in &mut chunks {
        for (lane, word) in lanes.iter_mut().zip(chunk.as_chunks::<8>().0) {
            *lane = (*lane ^ u64::from_le_bytes(*word)).wrapping_mul(0x9fb2_1c65_1e98_df25).rotate_left(29);
        }
    }
    let mut sum = data.len() as u64;
    for byte in chunks.remainder() {
        sum = mix(sum ^ u64::from(*byte));
    }
    for lane in lanes {
        sum = mix(sum ^ lane);
    }
    sum.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PeerKey = PeerKey(1);
    const B: PeerKey = PeerKey(2);
    const PIECE: PieceIndex = PieceIndex(3);

    fn send(blame: &mut Blame, who: &[(PeerKey, u8)]) -> Vec<Contribution> {
        let mut parts: Vec<Contribution> = Vec::new();
        for (number, (peer, byte)) in (0u32..).zip(who) {
            let block = BlockIndex { piece: PIECE, block: number };
            blame.received(*peer, block, 4, &[*byte; 100]);
            match parts.iter_mut().find(|part| part.peer == *peer) {
                Some(part) => part.blocks.push(number),
                None => parts.push(Contribution { peer: *peer, blocks: vec![number] }),
            }
        }
        parts
    }

    #[test]
    fn one_peer_alone_is_guilty_at_once() {
        let mut blame = Blame::new(5);
        let parts = send(&mut blame, &[(A, 0), (A, 1), (A, 2), (A, 9)]);
        assert_eq!(blame.corrupt(PIECE, parts), Some(A));
    }

    #[test]
    fn of_several_the_one_whose_block_differs_is_guilty() {
        for (first_copy, guilty) in [
            ([(A, 0), (A, 1), (B, 2), (B, 9)], B),
            ([(A, 0), (B, 9), (A, 2), (A, 3)], B),
            ([(A, 9), (A, 1), (B, 2), (B, 3)], A),
            ([(B, 0), (A, 1), (B, 9), (A, 3)], B),
        ] {
            let mut blame = Blame::new(5);
            let parts = send(&mut blame, &first_copy);
            assert_eq!(blame.corrupt(PIECE, parts), None);
            send(&mut blame, &[(A, 0), (A, 1), (A, 2), (A, 3)]);
            assert_eq!(blame.verified(PIECE).guilty, [guilty], "{first_copy:?}");
            assert!(blame.suspects.is_empty());
        }
    }
}
