//! Where the bytes of a torrent lie in its files, and in the file of parts. Pure; opens nothing.
//!
//! **The file of parts** holds what pieces bring of files that nobody wants. Only pieces that touch several files do: each
//! has a slot of one piece length, in their order, so the place of a byte follows from the torrent alone.

use std::ops::Range;

use metainfo::{FileIndex, PieceIndex, PieceLayout};

use crate::FileEntry;

/// Bytes of the torrent that lie in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) file: FileIndex,
    /// Where they begin in the file.
    pub(crate) offset: u64,
    /// Where they lie in the torrent; never empty.
    pub(crate) range: Range<u64>,
}

#[derive(Debug)]
pub(crate) struct FileMap {
    layout: PieceLayout,
    /// Where each file with bytes begins, and which it is, in order.
    starts: Vec<(u64, FileIndex)>,
    /// Pieces that lie in more than one file, in order.
    shared: Vec<PieceIndex>,
}

impl FileMap {
    /// `files` add up to the layout's total.
    pub(crate) fn new(layout: PieceLayout, files: &[FileEntry]) -> Self {
        let mut starts = Vec::with_capacity(files.len());
        let mut shared: Vec<PieceIndex> = Vec::new();
        let mut at = 0;
        for (number, file) in (0..).map(FileIndex).zip(files) {
            if file.length == 0 {
                continue;
            }
            if at % u64::from(layout.piece_length()) != 0 {
                let piece = layout.piece_of(at);
                if shared.last() != Some(&piece) {
                    shared.push(piece);
                }
            }
            starts.push((at, number));
            at += file.length;
        }
        Self { layout, starts, shared }
    }

    /// The files that bytes `range` lie in, in order; cut to the torrent.
    pub(crate) fn spans(&self, range: Range<u64>) -> impl Iterator<Item = Span> + '_ {
        let end = range.end.min(self.layout.total());
        let first = self.starts.partition_point(|(start, _)| *start <= range.start).saturating_sub(1);
        let mut at = range.start;
        let mut number = first;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let (start, file) = *self.starts.get(number)?;
            let next = self.starts.get(number + 1).map_or(self.layout.total(), |(next, _)| *next);
            number += 1;
            let range = at..end.min(next);
            at = range.end;
            Some(Span { file, offset: range.start - start, range })
        })
    }

    /// The bytes of the torrent that `file` holds; an empty range for a file without any.
    pub(crate) fn range_of(&self, file: FileIndex) -> Range<u64> {
        let Ok(place) = self.starts.binary_search_by_key(&file, |(_, file)| *file) else { return 0..0 };
        self.starts[place].0..self.starts.get(place + 1).map_or(self.layout.total(), |(next, _)| *next)
    }

    /// The pieces that `file` lies in.
    pub(crate) fn pieces_of(&self, file: FileIndex) -> Range<u32> {
        self.layout.pieces_of(self.range_of(file))
    }

    /// The pieces of `file` that bring something of other files too: its first, its last, both or neither.
    pub(crate) fn shared_pieces_of(&self, file: FileIndex) -> impl Iterator<Item = PieceIndex> + '_ {
        let pieces = self.pieces_of(file);
        let ends = [pieces.start, pieces.end.saturating_sub(1)];
        let count = if pieces.is_empty() { 0 } else { pieces.len().min(2) };
        ends.into_iter().take(count).map(PieceIndex).filter(|piece| self.slot(*piece).is_some())
    }

    /// Where the torrent's byte `offset` lies in the file of parts, if its piece has a place there.
    pub(crate) fn part_offset(&self, offset: u64) -> Option<u64> {
        let piece = self.layout.piece_of(offset);
        Some(self.slot(piece)? * u64::from(self.layout.piece_length()) + offset - self.layout.offset(piece))
    }

    /// Bytes `range` cut where pieces begin, for the file of parts.
    pub(crate) fn by_piece(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let length = u64::from(self.layout.piece_length());
        let mut at = range.start;
        std::iter::from_fn(move || {
            let end = ((at / length + 1) * length).min(range.end);
            (at < range.end).then(|| std::mem::replace(&mut at, end)..end)
        })
    }

    fn slot(&self, piece: PieceIndex) -> Option<u64> {
        self.shared.binary_search(&piece).ok().map(|slot| slot as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(piece_length: u64, lengths: &[u64]) -> FileMap {
        let total = lengths.iter().sum();
        let files: Vec<_> = (0..)
            .zip(lengths)
            .map(|(n, length)| FileEntry { path: vec![format!("{n}")], length: *length, pad: false })
            .collect();
        FileMap::new(PieceLayout::new(total, piece_length).unwrap(), &files)
    }

    #[test]
    fn a_file_without_bytes_lies_nowhere() {
        let map = map(10, &[0, 5, 0, 5, 0]);
        let files: Vec<_> = map.spans(0..10).map(|span| span.file.0).collect();
        assert_eq!(files, [1, 3]);
        assert_eq!(map.range_of(FileIndex(2)), 0..0);
        assert_eq!(map.shared_pieces_of(FileIndex(2)).count(), 0);
    }

    #[test]
    fn only_pieces_of_several_files_have_a_slot() {
        let map = map(10, &[25, 10, 5, 20]);
        assert_eq!(map.part_offset(0), None);
        assert_eq!(map.part_offset(22), Some(2));
        assert_eq!(map.part_offset(37), Some(17));
        assert_eq!(map.part_offset(45), None);
        assert_eq!(map.shared_pieces_of(FileIndex(1)).map(|piece| piece.0).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(map.shared_pieces_of(FileIndex(2)).map(|piece| piece.0).collect::<Vec<_>>(), [3]);
        assert_eq!(map.shared_pieces_of(FileIndex(3)).count(), 0);
    }

    proptest! {
        #[test]
        fn every_byte_lies_in_one_file_at_one_place(
            lengths in prop::collection::vec(0u64..60, 1..12), piece_length in 1u64..40, from in 0u64..600, count in 0u64..600,
        ) {
            prop_assume!(lengths.iter().sum::<u64>() > 0);
            let map = map(piece_length, &lengths);
            // The reference: each byte's file and offset, one by one.
            let bytes: Vec<(u32, u64)> = (0..).zip(&lengths).flat_map(|(n, length)| (0..*length).map(move |at| (n, at))).collect();
            let mut at = from;
            for span in map.spans(from..from + count) {
                prop_assert!(!span.range.is_empty());
                prop_assert_eq!(span.range.start, at);
                for byte in span.range.clone() {
                    let found = (span.file.0, span.offset + byte - span.range.start);
                    prop_assert_eq!(bytes.get(usize::try_from(byte).unwrap()), Some(&found));
                }
                at = span.range.end;
            }
            prop_assert_eq!(at.max(from), (from + count).min(bytes.len() as u64).max(from));
        }

        #[test]
        fn slots_hold_exactly_the_pieces_of_several_files(
            lengths in prop::collection::vec(0u64..60, 1..12), piece_length in 1u64..40,
        ) {
            prop_assume!(lengths.iter().sum::<u64>() > 0);
            let map = map(piece_length, &lengths);
            let mut taken = std::collections::HashSet::new();
            for piece in map.layout.all() {
                let range = map.layout.range(piece);
                let several = map.spans(range.clone()).count() > 1;
                for byte in range {
                    let place = map.part_offset(byte);
                    prop_assert_eq!(place.is_some(), several);
                    prop_assert!(place.is_none_or(|place| taken.insert(place)));
                }
            }
            for file in (0..).map(FileIndex).take(lengths.len()) {
                let shared: Vec<_> = map.shared_pieces_of(file).collect();
                for piece in map.pieces_of(file).map(PieceIndex) {
                    let several = map.spans(map.layout.range(piece)).count() > 1;
                    prop_assert_eq!(shared.contains(&piece), several);
                }
            }
        }
    }
}
