//! Sets of pieces as words: what can be intersected without looking at each piece.

use metainfo::{Bitfield, PieceIndex};

/// A set of pieces of one torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PieceSet {
    /// Nothing, as long as no piece was put in: most sets of a torrent that only seeds.
    words: Vec<u64>,
    length: u32,
    ones: u32,
}

fn place(piece: PieceIndex) -> (usize, u64) {
    (piece.as_usize() / 64, 1 << (piece.0 % 64))
}

impl PieceSet {
    pub(crate) fn none(pieces: u32) -> Self {
        Self { words: Vec::new(), length: pieces, ones: 0 }
    }

    pub(crate) fn all(pieces: u32) -> Self {
        let mut set =
            Self { words: vec![u64::MAX; pieces.div_ceil(64) as usize], length: pieces, ones: pieces };
        if let (Some(last), rest @ 1..) = (set.words.last_mut(), pieces % 64) {
            *last = (1 << rest) - 1;
        }
        set
    }

    pub(crate) fn of(field: &Bitfield) -> Self {
        let words = field
            .as_bytes()
            .chunks(8)
            .map(|bytes| {
                bytes
                    .iter()
                    .zip(0u32..)
                    .fold(0, |word, (byte, n)| word | u64::from(byte.reverse_bits()) << (8 * n))
            })
            .collect();
        Self { words, length: field.len(), ones: field.count() }
    }

    pub(crate) fn count(&self) -> u32 {
        self.ones
    }

    pub(crate) fn has(&self, piece: PieceIndex) -> bool {
        let (word, bit) = place(piece);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Puts a piece in or takes it out; whether that changed anything.
    pub(crate) fn set(&mut self, piece: PieceIndex, member: bool) -> bool {
        if piece.0 >= self.length || self.has(piece) == member {
            return false;
        }
        if self.words.is_empty() {
            self.words = vec![0; self.length.div_ceil(64) as usize];
        }
        let (word, bit) = place(piece);
        self.words[word] ^= bit;
        self.ones = if member { self.ones + 1 } else { self.ones - 1 };
        true
    }

    pub(crate) fn insert(&mut self, piece: PieceIndex) -> bool {
        self.set(piece, true)
    }

    pub(crate) fn remove(&mut self, piece: PieceIndex) -> bool {
        self.set(piece, false)
    }

    /// Takes all pieces out and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.words.fill(0);
        self.ones = 0;
    }

    /// Gives the memory of an empty set back.
    pub(crate) fn rest(&mut self) {
        if self.ones == 0 {
            self.words = Vec::new();
        }
    }

    fn word(&self, at: usize) -> u64 {
        self.words.get(at).copied().unwrap_or(0)
    }

    pub(crate) fn intersects(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(a, b)| a & b != 0)
    }

    /// The pieces, rising.
    pub(crate) fn iter(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.words.iter().zip(0u32..).flat_map(|(word, n)| ones(*word, n))
    }

    /// The pieces from `start` on (rounded down to its word) that are in `self` and `with` (if given) but not in `without`.
    pub(crate) fn meet<'a>(
        &'a self,
        with: Option<&'a Self>,
        without: &'a Self,
        start: PieceIndex,
    ) -> impl Iterator<Item = PieceIndex> + 'a {
        (start.as_usize() / 64..self.words.len()).zip(start.0 / 64..).flat_map(move |(at, n)| {
            let with = with.map_or(u64::MAX, |with| with.word(at));
            ones(self.words[at] & with & !without.word(at), n)
        })
    }
}

/// The pieces whose bits stand in word number `n`.
fn ones(mut word: u64, n: u32) -> impl Iterator<Item = PieceIndex> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(PieceIndex(n * 64 + bit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bitfield_keeps_its_pieces() {
        let mut field = Bitfield::none(150);
        for piece in [0, 7, 8, 63, 64, 149] {
            field.insert(PieceIndex(piece));
        }
        let set = PieceSet::of(&field);
        assert_eq!(set.iter().collect::<Vec<_>>(), field.iter().collect::<Vec<_>>());
        assert_eq!(PieceSet::of(&Bitfield::all(150)), PieceSet::all(150));
    }

    #[test]
    fn sets_meet_from_a_word_on() {
        let mut few = PieceSet::none(150);
        few.insert(PieceIndex(3));
        few.insert(PieceIndex(70));
        few.insert(PieceIndex(140));
        let mut not = PieceSet::none(150);
        not.insert(PieceIndex(70));
        let all = PieceSet::all(150);
        let met: Vec<_> = all.meet(Some(&few), &not, PieceIndex(0)).map(|piece| piece.0).collect();
        assert_eq!(met, [3, 140]);
        assert_eq!(few.meet(None, &not, PieceIndex(64)).next(), Some(PieceIndex(140)));
    }
}
