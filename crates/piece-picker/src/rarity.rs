//! Whole absent pieces in the order in which bulk downloading begins them: by priority, then rarest first, ties at random.
//!
//! An array of pieces sorted into buckets; a piece moves to a neighbouring bucket by one swap per bucket, so that a HAVE
//! costs nothing and nothing is ever sorted again, except after a change of many pieces at once.

use metainfo::PieceIndex;
use seeded::Rng;

use crate::limits::RARITY_MAX;

const NOWHERE: u32 = u32::MAX;

/// How many priority classes there are: high, normal, low.
pub(crate) const CLASSES: usize = 3;

/// The buckets. Empty, and without memory, until it is built.
#[derive(Debug, Default)]
pub(crate) struct Rarity {
    /// Pieces, bucket after bucket.
    order: Vec<u32>,
    /// Where in `order` each piece stands, or [`NOWHERE`].
    place: Vec<u32>,
    /// Where in `order` each bucket ends.
    ends: Vec<u32>,
}

/// The bucket of a piece of `class` that `peers` have, seeders not counted.
fn bucket(class: usize, peers: u16) -> usize {
    class * (RARITY_MAX + 1) + usize::from(peers).min(RARITY_MAX)
}

impl Rarity {
    fn put(&mut self, at: u32, piece: u32) {
        self.order[at as usize] = piece;
        self.place[piece as usize] = at;
    }

    /// Puts a piece into the bucket of `class` and `peers`, at a random place.
    pub(crate) fn insert(&mut self, piece: PieceIndex, class: usize, peers: u16, rng: &mut Rng) {
        if self.place[piece.as_usize()] != NOWHERE {
            return;
        }
        let target = bucket(class, peers);
        // The gap at the end wanders down to the end of the target's bucket: each bucket above gives its first piece to its end.
        let mut gap = u32::try_from(self.order.len()).unwrap_or(NOWHERE);
        self.order.push(piece.0);
        for above in (target + 1..self.ends.len()).rev() {
            let start = self.ends[above - 1];
            self.ends[above] += 1;
            if start != gap {
                self.put(gap, self.order[start as usize]);
                gap = start;
            }
        }
        self.ends[target] += 1;
        self.put(gap, piece.0);
        let start = if target == 0 { 0 } else { self.ends[target - 1] };
        let other = start + rng.below_u32(gap + 1 - start);
        let displaced = self.order[other as usize];
        self.put(gap, displaced);
        self.put(other, piece.0);
    }

    /// Takes a piece out.
    pub(crate) fn remove(&mut self, piece: PieceIndex) {
        let mut gap = self.place[piece.as_usize()];
        if gap == NOWHERE {
            return;
        }
        let from = self.ends.partition_point(|end| *end <= gap);
        for at in from..self.ends.len() {
            self.ends[at] -= 1;
            let last = self.ends[at];
            if last != gap {
                self.put(gap, self.order[last as usize]);
                gap = last;
            }
        }
        self.order.pop();
        self.place[piece.as_usize()] = NOWHERE;
    }

    /// Moves a piece, if it is here, to another bucket.
    pub(crate) fn shift(&mut self, piece: PieceIndex, class: usize, peers: u16, rng: &mut Rng) {
        if self.place[piece.as_usize()] != NOWHERE {
            self.remove(piece);
            self.insert(piece, class, peers, rng);
        }
    }

    /// Starts over with these pieces (class, peers) of a torrent of `length`: linear time.
    pub(crate) fn rebuild(
        &mut self,
        length: u32,
        pieces: impl Iterator<Item = (PieceIndex, usize, u16)>,
        rng: &mut Rng,
    ) {
        self.place.clear();
        self.place.resize(length as usize, NOWHERE);
        self.ends.clear();
        self.ends.resize(CLASSES * (RARITY_MAX + 1), 0);
        let mut all: Vec<(u32, usize)> = pieces
            .map(|(piece, class, peers)| {
                let bucket = bucket(class, peers);
                self.ends[bucket] += 1;
                (piece.0, bucket)
            })
            .collect();
        for last in (1..all.len()).rev() {
            let other = rng.below_u32(u32::try_from(last + 1).unwrap_or(u32::MAX));
            all.swap(last, other as usize);
        }
        let mut start = 0;
        let mut next: Vec<u32> = Vec::with_capacity(self.ends.len());
        for end in &mut self.ends {
            next.push(start);
            start += *end;
            *end = start;
        }
        self.order.clear();
        self.order.resize(all.len(), 0);
        for (piece, bucket) in all {
            self.put(next[bucket], piece);
            next[bucket] += 1;
        }
    }

    /// The pieces of `class`, rarest first; with `held`, without those that no peer but seeders has.
    pub(crate) fn class(&self, class: usize, held: bool) -> impl Iterator<Item = PieceIndex> + '_ {
        let first = bucket(class, 0);
        let start = if held {
            self.ends[first]
        } else if class == 0 {
            0
        } else {
            self.ends[first - 1]
        };
        let end = self.ends[first + RARITY_MAX];
        self.order[start as usize..end as usize].iter().map(|piece| PieceIndex(*piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(rarity: &Rarity, want: &[Option<(usize, u16)>]) {
        let all: Vec<_> = (0..CLASSES).flat_map(|class| rarity.class(class, false)).collect();
        let mut keys: Vec<_> = all.iter().map(|piece| want[piece.as_usize()].unwrap()).collect();
        let found = keys.clone();
        keys.sort_unstable();
        assert_eq!(keys, found);
        assert_eq!(all.len(), want.iter().flatten().count());
        assert_eq!(rarity.order.len(), all.len());
        for (piece, at) in (0..).zip(&rarity.place) {
            assert_eq!(want[piece as usize].is_some(), *at != NOWHERE);
            assert!(*at == NOWHERE || rarity.order[*at as usize] == piece);
        }
    }

    #[test]
    fn pieces_stay_sorted_whatever_comes_and_goes() {
        let mut rng = Rng::new(7);
        let mut want: Vec<Option<(usize, u16)>> = vec![None; 40];
        let mut rarity = Rarity::default();
        rarity.rebuild(40, std::iter::empty(), &mut rng);
        for step in 0..4_000 {
            let piece = rng.below_u32(40);
            let key = (rng.below(3), u16::try_from(rng.below(6)).unwrap());
            let index = PieceIndex(piece);
            match rng.below(3) {
                0 => {
                    rarity.remove(index);
                    want[piece as usize] = None;
                }
                1 if want[piece as usize].is_none() => {
                    rarity.insert(index, key.0, key.1, &mut rng);
                    want[piece as usize] = Some(key);
                }
                _ if want[piece as usize].is_some() => {
                    rarity.shift(index, key.0, key.1, &mut rng);
                    want[piece as usize] = Some(key);
                }
                _ => {}
            }
            if step % 500 == 0 {
                let pieces = want.clone();
                let open =
                    pieces.iter().zip(0..).filter_map(|(key, n)| key.map(|(c, p)| (PieceIndex(n), c, p)));
                rarity.rebuild(40, open, &mut rng);
            }
            sorted(&rarity, &want);
        }
    }
}
