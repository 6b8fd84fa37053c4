//! Finds `moov` by hopping over top-level boxes, and opens it.

use byte_source::ByteRange;
use bytes::Bytes;

use super::{
    boxes::{self, BoxView, FourCc, HEADER_BYTES_MAX, Header, limit, malformed, name},
    moov,
};
use crate::{
    ContainerError, Format, Movie, limits,
    pull::{Pull, PullParser},
};

/// The first read: enough for `ftyp` and the header of what follows, or all of a small `moov`.
const FIRST_READ_BYTES: u64 = 4096;

/// Reads `moov`, and where the file is fragmented every `moof`.
#[derive(Debug)]
pub struct Opener {
    len: u64,
    /// Where the next top-level box begins.
    pos: u64,
    /// Top-level boxes seen.
    visited: usize,
    /// The bytes last fed, and where they begin.
    window: (u64, Bytes),
    /// The last `mdat`, for errors.
    mdat: Option<u64>,
}

impl Opener {
    /// For a file of `len` bytes.
    #[must_use]
    pub fn new(len: u64) -> Self {
        Self { len, pos: 0, visited: 0, window: (0, Bytes::new()), mdat: None }
    }

    /// The bytes of `range` where they are at hand.
    fn at_hand(&self, range: ByteRange) -> Option<Bytes> {
        let (start, bytes) = &self.window;
        let from = usize::try_from(range.start().checked_sub(*start)?).ok()?;
        let to = from.checked_add(usize::try_from(range.len()).ok()?)?;
        (to <= bytes.len()).then(|| bytes.slice(from..to))
    }

    /// Bytes of a read at `start` that would like `len`.
    fn clipped(&self, start: u64, len: u64) -> ByteRange {
        ByteRange::new(start, start.saturating_add(len).min(self.len))
    }

    /// A box's end, which may lie past the file's.
    fn end_of(&self, head: &Header) -> Result<u64, ContainerError> {
        let Some(size) = head.size else { return Ok(self.len) };
        self.pos.checked_add(size).ok_or_else(|| {
            malformed(self.pos, format!("box {} of {size} bytes ends past all numbers", name(&head.kind)))
        })
    }

    /// Nothing more lies at `pos`.
    fn not_found(&self) -> ContainerError {
        match self.mdat {
            Some(offset) => ContainerError::Truncated {
                format: Format::Mp4,
                offset,
                what: "the media data (mdat), and no index (moov) was found",
            },
            None => ContainerError::Truncated {
                format: Format::Mp4,
                offset: self.pos.min(self.len),
                what: "its list of boxes, and no index (moov) was found",
            },
        }
    }

    fn moov(&self, head: &Header, end: u64) -> Result<Pull<Movie>, ContainerError> {
        if end > self.len {
            return Err(ContainerError::Truncated {
                format: Format::Mp4,
                offset: self.pos,
                what: "the index (moov)",
            });
        }
        if end - self.pos > limits::MOOV_BYTES_MAX {
            return Err(limit(
                self.pos,
                "the size of the index (moov)",
                end - self.pos,
                limits::MOOV_BYTES_MAX,
            ));
        }
        // With its header, so that it is found again once fed.
        let whole = ByteRange::new(self.pos, end);
        let Some(bytes) = self.at_hand(whole) else { return Ok(Pull::Need(whole)) };
        let header_len = usize::try_from(head.header_len).unwrap_or(usize::MAX);
        let body = bytes.get(header_len..).unwrap_or_default();
        let view =
            BoxView { kind: head.kind, offset: self.pos, body_offset: self.pos + head.header_len, body };
        let opened = moov::parse(&view, self.len)?;
        Ok(Pull::Item(opened.movie))
    }
}

impl PullParser for Opener {
    type Item = Movie;

    fn poll(&mut self) -> Result<Pull<Movie>, ContainerError> {
        loop {
            if self.visited > limits::TOP_LEVEL_MAX {
                let max = limits::TOP_LEVEL_MAX as u64;
                return Err(limit(self.pos, "the number of top-level boxes", max + 1, max));
            }
            if self.len.saturating_sub(self.pos) < 8 {
                return Err(self.not_found());
            }
            let Some(bytes) = self.at_hand(self.clipped(self.pos, HEADER_BYTES_MAX)) else {
                let wanted = if self.pos == 0 { FIRST_READ_BYTES } else { HEADER_BYTES_MAX };
                return Ok(Pull::Need(self.clipped(self.pos, wanted)));
            };
            let head = boxes::header(&bytes, self.pos)?;
            let end = self.end_of(&head)?;
            match &head.kind {
                b"moov" => return self.moov(&head, end),
                b"moof" => {
                    return Err(unsupported(self.pos, "a fragment (moof) before any moov"));
                }
                b"mdat" => self.mdat = Some(self.pos),
                kind if !plausible(kind) => {
                    return Err(malformed(self.pos, format!("no box begins here, but {}", name(kind))));
                }
                _ => {}
            }
            self.pos = end;
            self.visited += 1;
        }
    }

    fn feed(&mut self, range: ByteRange, bytes: Bytes) {
        self.window = (range.start(), bytes);
    }
}

/// Whether four bytes could name a box: printable, or Apple's ©.
fn plausible(kind: &FourCc) -> bool {
    kind.iter().all(|b| matches!(b, b' '..=b'~' | 0xa9))
}

fn unsupported(offset: u64, what: &'static str) -> ContainerError {
    ContainerError::Unsupported { format: Format::Mp4, offset, what: what.into() }
}
