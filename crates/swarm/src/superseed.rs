//! Super seeding (BEP 16): a seed that pretends to have nothing and offers each peer one piece at a time, the next once the
//! last was seen with somebody else, so that it uploads each piece about once.

use std::collections::BTreeMap;

use metainfo::{PieceIndex, PieceLayout};

use seeded::Rng;

use crate::PeerKey;

/// Pieces offered to one peer that it has not passed on yet.
const OFFERS_MAX: usize = 2;

/// What was offered to whom.
#[derive(Debug)]
pub(crate) struct SuperSeed {
    /// How often each piece was offered or seen with a peer.
    spread: Vec<u16>,
    /// Where the search for the least spread begins, so that peers get different ones.
    cursor: usize,
    offers: BTreeMap<PeerKey, Vec<PieceIndex>>,
    /// A peer without another to pass pieces to is not made to wait.
    rng: Rng,
}

impl SuperSeed {
    pub(crate) fn new(layout: &PieceLayout, seed: u64) -> Self {
        Self {
            spread: vec![0; layout.pieces() as usize],
            cursor: 0,
            offers: BTreeMap::new(),
            rng: Rng::new(seed),
        }
    }

    pub(crate) fn joined(&mut self, peer: PeerKey) {
        self.offers.entry(peer).or_default();
    }

    pub(crate) fn left(&mut self, peer: PeerKey) {
        self.offers.remove(&peer);
    }

    /// `peer` says it has `piece`; whose offers made room by it.
    pub(crate) fn seen(&mut self, peer: PeerKey, piece: PieceIndex) -> Vec<PeerKey> {
        if let Some(spread) = self.spread.get_mut(piece.as_usize()) {
            *spread = spread.saturating_add(1);
        }
        let alone = self.offers.len() <= 1;
        let mut freed = Vec::new();
        for (key, offers) in &mut self.offers {
            // Passed on: seen with somebody other than whom it was offered to.
            if (*key != peer || alone)
                && let Some(place) = offers.iter().position(|offered| *offered == piece)
            {
                offers.swap_remove(place);
                freed.push(*key);
            }
        }
        freed
    }

    /// Pieces to offer to `peer` now, which it does not have according to `has`.
    pub(crate) fn offer(&mut self, peer: PeerKey, has: impl Fn(PieceIndex) -> bool) -> Vec<PieceIndex> {
        let Some(offers) = self.offers.get(&peer) else { return Vec::new() };
        let mut offered = Vec::new();
        for _ in offers.len()..OFFERS_MAX {
            let Some(piece) = self.least_spread(peer, &has) else { break };
            self.spread[piece.as_usize()] = self.spread[piece.as_usize()].saturating_add(1);
            if let Some(offers) = self.offers.get_mut(&peer) {
                offers.push(piece);
            }
            offered.push(piece);
        }
        offered
    }

    /// Whether `piece` was offered to `peer` or passed on by it: what it may ask for.
    fn least_spread(&mut self, peer: PeerKey, has: &impl Fn(PieceIndex) -> bool) -> Option<PieceIndex> {
        let count = self.spread.len();
        self.cursor = (self.cursor + 1 + self.rng.below(3)) % count.max(1);
        let offers = self.offers.get(&peer)?;
        let mut best: Option<(u16, PieceIndex)> = None;
        for step in 0..count {
            let number = (self.cursor + step) % count;
            let piece = PieceIndex(u32::try_from(number).ok()?);
            let spread = self.spread[number];
            if best.is_none_or(|(least, _)| spread < least) && !has(piece) && !offers.contains(&piece) {
                best = Some((spread, piece));
                if spread == 0 {
                    break;
                }
            }
        }
        best.map(|(_, piece)| piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_piece_is_offered_when_the_last_was_passed_on() {
        let layout = PieceLayout::new(16 * 16_384, 16_384).unwrap();
        let mut seed = SuperSeed::new(&layout, 1);
        let (a, b) = (PeerKey(1), PeerKey(2));
        seed.joined(a);
        seed.joined(b);
        let first = seed.offer(a, |_| false);
        assert_eq!(first.len(), OFFERS_MAX);
        assert!(seed.offer(b, |_| false).iter().all(|piece| !first.contains(piece)));
        assert_eq!(seed.seen(a, first[0]), []);
        assert_eq!(seed.offer(a, |_| false), []);
        assert_eq!(seed.seen(b, first[0]), [a]);
        assert_eq!(seed.offer(a, |piece| first.contains(&piece)).len(), 1);
    }
}
