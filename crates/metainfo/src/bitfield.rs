//! Which pieces somebody has (BEP 3): a bit each, the highest bit of the first byte is piece 0.

use crate::PieceIndex;

/// A set of pieces of one torrent, of fixed length, counted.
#[derive(Clone, PartialEq, Eq)]
pub struct Bitfield {
    bytes: Vec<u8>,
    length: u32,
    ones: u32,
}

impl Bitfield {
    /// No piece out of `pieces`.
    #[must_use]
    pub fn none(pieces: u32) -> Self {
        Self { bytes: vec![0; pieces.div_ceil(8) as usize], length: pieces, ones: 0 }
    }

    /// Every piece out of `pieces`.
    #[must_use]
    pub fn all(pieces: u32) -> Self {
        let mut bytes = vec![0xff; pieces.div_ceil(8) as usize];
        if let (Some(last), rest @ 1..) = (bytes.last_mut(), pieces % 8) {
            *last = 0xff << (8 - rest);
        }
        Self { bytes, length: pieces, ones: pieces }
    }

    /// Reads a peer's bitfield for `pieces` pieces; `None` unless its length is exact and its spare bits are 0.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], pieces: u32) -> Option<Self> {
        if bytes.len() != pieces.div_ceil(8) as usize {
            return None;
        }
        if let (Some(last), rest @ 1..) = (bytes.last(), pieces % 8)
            && last << rest != 0
        {
            return None;
        }
        let ones = bytes.iter().map(|byte| byte.count_ones()).sum();
        Some(Self { bytes: bytes.to_vec(), length: pieces, ones })
    }

    /// The bytes as they stand in a message.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many pieces the torrent has.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.length
    }

    /// Whether the torrent has no piece at all; use [`count`](Self::count) to ask whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many pieces are in the set.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.ones
    }

    /// Whether every piece is in the set.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.ones == self.length
    }

    /// Whether `piece` is in the set; false past the end.
    #[must_use]
    pub fn has(&self, piece: PieceIndex) -> bool {
        self.bytes.get(piece.as_usize() / 8).is_some_and(|byte| byte & (0x80 >> (piece.0 % 8)) != 0)
    }

    /// Puts `piece` into the set; whether it was not in it. Past the end nothing happens.
    pub fn insert(&mut self, piece: PieceIndex) -> bool {
        if piece.0 >= self.length || self.has(piece) {
            return false;
        }
        self.bytes[piece.as_usize() / 8] |= 0x80 >> (piece.0 % 8);
        self.ones += 1;
        true
    }

    /// Takes `piece` out of the set; whether it was in it.
    pub fn remove(&mut self, piece: PieceIndex) -> bool {
        if !self.has(piece) {
            return false;
        }
        self.bytes[piece.as_usize() / 8] &= !(0x80 >> (piece.0 % 8));
        self.ones -= 1;
        true
    }

    /// The pieces of the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        (0..self.length).map(PieceIndex).filter(|piece| self.has(*piece))
    }
}

impl std::fmt::Debug for Bitfield {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} pieces", self.ones, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_bits_and_wrong_lengths_are_refused() {
        assert!(Bitfield::from_bytes(&[0xff, 0xc0], 10).is_some_and(|field| field.is_full()));
        assert_eq!(Bitfield::from_bytes(&[0xff, 0xe0], 10), None);
        assert_eq!(Bitfield::from_bytes(&[0xff], 10), None);
        assert_eq!(Bitfield::all(10), Bitfield::from_bytes(&[0xff, 0xc0], 10).unwrap());
    }

    #[test]
    fn pieces_go_in_and_out_once() {
        let mut field = Bitfield::none(10);
        assert!(field.insert(PieceIndex(9)) && !field.insert(PieceIndex(9)) && !field.insert(PieceIndex(10)));
        assert_eq!((field.count(), field.iter().collect::<Vec<_>>()), (1, vec![PieceIndex(9)]));
        assert!(field.remove(PieceIndex(9)) && !field.remove(PieceIndex(9)));
        assert_eq!(field.count(), 0);
    }
}
