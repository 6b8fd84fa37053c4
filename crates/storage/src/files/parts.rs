//! The file of parts: what pieces bring of files that nobody wants, until somebody does.
//!
//! It holds the pieces that such a file shares with others, each at a place of its own (`FileMap::part_offset`). It is made with the
//! first of them and goes when everything is wanted.

use std::io::{self, IoSlice};

use metainfo::FileIndex;

use super::{Files, OnDisk, Places};
use crate::{
    StorageError,
    beneath::Top,
    map::Span,
    raw::{index, read_some},
};

impl Files {
    /// The number of the file of parts: after all others.
    pub(crate) fn parts_number(&self) -> usize {
        self.contents.files().len()
    }

    /// Whether bytes of a file go to the file of parts.
    pub(super) fn put_aside(&self, places: &Places, number: usize) -> bool {
        places.on_disk[number] == OnDisk::Absent && !places.wanted[number]
    }

    /// Whether every piece of the span has a place in the file of parts.
    pub(super) fn fits_parts(&self, span: &Span) -> bool {
        self.map.by_piece(span.range.clone()).all(|range| self.map.part_offset(range.start).is_some())
    }

    /// Whether the file of parts is there to write to.
    pub(super) fn parts_open(&self, places: &Places) -> Result<bool, StorageError> {
        let parts = self.parts_number();
        match self.opened(places, parts, true) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.error(places, parts, "opening", &error)),
        }
    }

    /// Makes the file of parts, unless another thread was faster.
    pub(super) fn make_parts(&self) -> Result<(), StorageError> {
        let parts = self.parts_number();
        let mut places = self.write_places();
        match self.create(&mut places, parts) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(self.error(&places, parts, "making", &error))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn write_part(
        &self,
        places: &Places,
        span: &Span,
        slices: &mut [IoSlice<'_>],
    ) -> Result<(), StorageError> {
        let parts = self.parts_number();
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        for range in self.map.by_piece(span.range.clone()) {
            let at = self.map.part_offset(range.start).unwrap_or_default();
            let slice = &all[index(range.start - span.range.start)..index(range.end - span.range.start)];
            self.write_at(places, parts, at, &mut [IoSlice::new(slice)])
                .map_err(|error| self.error(places, parts, "writing", &error))?;
        }
        Ok(())
    }

    pub(super) fn read_parts(
        &self,
        places: &Places,
        span: &Span,
        bytes: &mut [u8],
        now: bool,
    ) -> Result<bool, StorageError> {
        for range in self.map.by_piece(span.range.clone()) {
            let part = &mut bytes[index(range.start - span.range.start)..index(range.end - span.range.start)];
            let Some(at) = self.map.part_offset(range.start) else {
                let gone = io::Error::from(io::ErrorKind::NotFound);
                return Err(self.error(places, span.file.as_usize(), "reading", &gone));
            };
            if !self.read_at(places, self.parts_number(), at, part, now)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Says which files are wanted; what was put aside for newly wanted ones is put into them.
    pub(crate) fn select(&self, wanted: &[bool]) -> Result<(), StorageError> {
        let mut places = self.write_places();
        for number in 0..self.parts_number() {
            let now_wanted = wanted.get(number).copied().unwrap_or(true);
            if now_wanted && self.put_aside(&places, number) {
                let file = FileIndex(u32::try_from(number).unwrap_or(u32::MAX));
                if self.map.shared_pieces_of(file).next().is_some() && self.has_parts(&places) {
                    self.create(&mut places, number)
                        .map_err(|error| self.error(&places, number, "making", &error))?;
                    self.fetch_parts(&places, number)?;
                }
            }
            places.wanted[number] = now_wanted;
        }
        if places.wanted.iter().all(|wanted| *wanted) && self.has_parts(&places) {
            self.pool.close(self.torrent, Some(self.key(self.parts_number()).file));
            let path = self.path(self.parts_number(), OnDisk::Named);
            Top::open(&places.top)
                .and_then(|top| top.remove_file(&path))
                .map_err(|error| self.error(&places, self.parts_number(), "removing", &error))?;
        }
        Ok(())
    }

    pub(crate) fn has_parts(&self, places: &Places) -> bool {
        let path = self.path(self.parts_number(), OnDisk::Named);
        Top::open(&places.top).and_then(|top| top.look(&path)).is_ok_and(|found| found.is_some())
    }

    /// Copies into a file what was put aside of it.
    pub(super) fn fetch_parts(&self, places: &Places, number: usize) -> Result<(), StorageError> {
        if !self.has_parts(places) {
            return Ok(());
        }
        let file = FileIndex(u32::try_from(number).unwrap_or(u32::MAX));
        let whole = self.map.range_of(file);
        let parts = self.parts_number();
        for piece in self.map.shared_pieces_of(file) {
            let of_piece = self.contents.layout().range(piece);
            let range = of_piece.start.max(whole.start)..of_piece.end.min(whole.end);
            let Some(at) = self.map.part_offset(range.start) else { continue };
            let mut bytes = vec![0; index(range.end - range.start)];
            // What was never written lies past the end, or is a hole: zeros, which no hash will take for right.
            let open =
                self.opened(places, parts, false).map_err(|e| self.error(places, parts, "reading", &e))?;
            read_some(&open.file, at, &mut bytes).map_err(|e| self.error(places, parts, "reading", &e))?;
            self.write_at(places, number, range.start - whole.start, &mut [IoSlice::new(&bytes)])
                .map_err(|error| self.error(places, number, "writing", &error))?;
        }
        Ok(())
    }
}
