//! Every conversion between bytes, pieces and blocks of a torrent (BEP 3). Files are in `files`.

use std::ops::Range;

use crate::{BlockIndex, PieceIndex};

/// How many bytes a request asks for, and every client grants: 16 KiB (BEP 3's "current implementations").
pub const BLOCK_LENGTH: u32 = 1 << 14;

/// Pieces longer than this are refused: 256 MiB, four times what the largest torrents in use have.
pub const PIECE_LENGTH_MAX: u32 = 1 << 28;

/// Torrents of more pieces are refused: 2^22; their hashes alone are 80 MiB.
pub const PIECES_MAX: u32 = 1 << 22;

/// Why lengths make no torrent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The piece length is 0 or too large.
    #[error("piece length {length} is not within 1 to {PIECE_LENGTH_MAX}")]
    PieceLength {
        /// As stated.
        length: u64,
    },
    /// There is nothing to download.
    #[error("the torrent has no bytes")]
    Empty,
    /// More pieces than anyone needs.
    #[error("{total} bytes in pieces of {piece_length} are {pieces} pieces: more than {PIECES_MAX}")]
    TooManyPieces {
        /// Bytes of the torrent.
        total: u64,
        /// Bytes of a piece.
        piece_length: u32,
        /// What they make.
        pieces: u64,
    },
}

/// A request's place: a block in bytes of its piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// The piece.
    pub piece: PieceIndex,
    /// Where it begins in the piece, in bytes.
    pub begin: u32,
    /// How many bytes it has.
    pub length: u32,
}

/// How a torrent's bytes are cut into pieces and blocks. Small; copied freely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceLayout {
    total: u64,
    piece_length: u32,
    pieces: u32,
}

impl PieceLayout {
    /// The layout of `total` bytes in pieces of `piece_length`.
    ///
    /// # Errors
    /// [`LayoutError`] when a length is 0 or past its limit.
    pub fn new(total: u64, piece_length: u64) -> Result<Self, LayoutError> {
        let refused = || LayoutError::PieceLength { length: piece_length };
        let short = u32::try_from(piece_length).map_err(|_| refused())?;
        if short == 0 || short > PIECE_LENGTH_MAX {
            return Err(refused());
        }
        let count = total.div_ceil(piece_length);
        match u32::try_from(count) {
            Ok(0) => Err(LayoutError::Empty),
            Ok(pieces) if pieces <= PIECES_MAX => Ok(Self { total, piece_length: short, pieces }),
            _ => Err(LayoutError::TooManyPieces { total, piece_length: short, pieces: count }),
        }
    }

    /// Bytes of the whole torrent, pad files included.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes of every piece but the last.
    #[must_use]
    pub fn piece_length(&self) -> u32 {
        self.piece_length
    }

    /// How many pieces there are; at least 1.
    #[must_use]
    pub fn pieces(&self) -> u32 {
        self.pieces
    }

    /// Every piece, in order.
    pub fn all(&self) -> impl ExactSizeIterator<Item = PieceIndex> + DoubleEndedIterator + use<> {
        (0..self.pieces).map(PieceIndex)
    }

    /// The piece of an untrusted number, if there is one.
    #[must_use]
    pub fn piece(&self, number: u32) -> Option<PieceIndex> {
        (number < self.pieces).then_some(PieceIndex(number))
    }

    /// Where `piece` begins, in bytes of the torrent.
    #[must_use]
    pub fn offset(&self, piece: PieceIndex) -> u64 {
        u64::from(piece.0) * u64::from(self.piece_length)
    }

    /// Bytes of `piece`: the last may be shorter.
    #[must_use]
    pub fn length(&self, piece: PieceIndex) -> u32 {
        let rest = self.total.saturating_sub(self.offset(piece));
        u32::try_from(rest).map_or(self.piece_length, |rest| rest.min(self.piece_length))
    }

    /// The bytes of `piece` within the torrent.
    #[must_use]
    pub fn range(&self, piece: PieceIndex) -> Range<u64> {
        let start = self.offset(piece);
        start..start + u64::from(self.length(piece))
    }

    /// How many blocks `piece` has; at least 1.
    #[must_use]
    pub fn blocks(&self, piece: PieceIndex) -> u32 {
        self.length(piece).div_ceil(BLOCK_LENGTH)
    }

    /// How many blocks every piece but the last has.
    #[must_use]
    pub fn blocks_per_piece(&self) -> u32 {
        self.piece_length.div_ceil(BLOCK_LENGTH)
    }

    /// Where `block` lies in its piece.
    #[must_use]
    pub fn block(&self, block: BlockIndex) -> Block {
        let begin = block.block * BLOCK_LENGTH;
        Block {
            piece: block.piece,
            begin,
            length: BLOCK_LENGTH.min(self.length(block.piece).saturating_sub(begin)),
        }
    }

    /// The block that an untrusted piece, begin and length name exactly; `None` when they name none of ours.
    #[must_use]
    pub fn block_at(&self, piece: u32, begin: u32, length: u32) -> Option<BlockIndex> {
        let piece = self.piece(piece)?;
        let block = BlockIndex { piece, block: begin / BLOCK_LENGTH };
        (begin < self.length(piece)
            && begin.is_multiple_of(BLOCK_LENGTH)
            && self.block(block).length == length)
            .then_some(block)
    }

    /// Whether an untrusted request lies within one piece; any begin, a length from 1 to `length_max`.
    #[must_use]
    pub fn request_fits(&self, piece: u32, begin: u32, length: u32, length_max: u32) -> Option<Block> {
        let piece = self.piece(piece)?;
        let end = begin.checked_add(length)?;
        (length > 0 && length <= length_max && end <= self.length(piece)).then_some(Block {
            piece,
            begin,
            length,
        })
    }

    /// The piece that the torrent's byte `offset` lies in; the last piece for offsets past the end.
    #[must_use]
    pub fn piece_of(&self, offset: u64) -> PieceIndex {
        let number = offset / u64::from(self.piece_length);
        PieceIndex(u32::try_from(number).unwrap_or(u32::MAX).min(self.pieces - 1))
    }

    /// The pieces that bytes `range` of the torrent touch, cut to the torrent.
    #[must_use]
    pub fn pieces_of(&self, range: Range<u64>) -> Range<u32> {
        let end = range.end.min(self.total);
        if range.start >= end {
            return 0..0;
        }
        self.piece_of(range.start).0..self.piece_of(end - 1).0 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(total: u64, piece_length: u64) -> PieceLayout {
        PieceLayout::new(total, piece_length).unwrap()
    }

    #[test]
    fn the_last_piece_and_its_last_block_are_what_is_left() {
        let layout = layout(100_000, 32_768);
        assert_eq!(layout.pieces(), 4);
        assert_eq!(layout.length(PieceIndex(3)), 1_696);
        assert_eq!(layout.blocks(PieceIndex(0)), 2);
        assert_eq!(layout.blocks(PieceIndex(3)), 1);
        let block = BlockIndex { piece: PieceIndex(3), block: 0 };
        assert_eq!(layout.block(block), Block { piece: PieceIndex(3), begin: 0, length: 1_696 });
    }

    #[test]
    fn a_block_is_named_only_by_its_exact_place() {
        let layout = layout(100_000, 32_768);
        assert_eq!(layout.block_at(3, 0, 1_696), Some(BlockIndex { piece: PieceIndex(3), block: 0 }));
        for (piece, begin, length) in
            [(4, 0, 1_696), (3, 0, 16_384), (3, 16_384, 0), (0, 1, 16_384), (0, 32_768, 16_384)]
        {
            assert_eq!(layout.block_at(piece, begin, length), None, "{piece} {begin} {length}");
        }
        assert_eq!(layout.request_fits(0, u32::MAX, 2, 1 << 17), None);
    }

    #[test]
    fn lengths_that_make_no_torrent_are_refused() {
        assert_eq!(PieceLayout::new(0, 16_384), Err(LayoutError::Empty));
        assert_eq!(PieceLayout::new(1, 0), Err(LayoutError::PieceLength { length: 0 }));
        assert!(matches!(
            PieceLayout::new(1 << 45, 16_384),
            Err(LayoutError::TooManyPieces { pieces: 2_147_483_648, .. })
        ));
    }

    #[test]
    fn bytes_touch_the_pieces_they_lie_in() {
        let layout = layout(100_000, 32_768);
        assert_eq!(layout.pieces_of(0..1), 0..1);
        assert_eq!(layout.pieces_of(32_767..32_769), 0..2);
        assert_eq!(layout.pieces_of(99_999..200_000), 3..4);
        assert_eq!(layout.pieces_of(5..5), 0..0);
    }
}
