//! Finds `moov` by hopping over top-level boxes, and opens it; then hops from `moof` to `moof` where there are such.

use byte_source::ByteRange;
use bytes::Bytes;

use super::{
    boxes::{self, BoxView, FourCc, HEADER_BYTES_MAX, Header, limit, malformed, name},
    chapter_track::ChapterTrack,
    moov::{self, Opened},
};
use crate::{
    ContainerError, Format, Movie, limits,
    pull::{Pull, PullParser},
};

/// The first read: enough for `ftyp` and the header of what follows, or all of a small `moov`.
const FIRST_READ_BYTES: u64 = 4096;
/// The longest rest of a file behind its media that is asked for at once: such a rest is the `moov` nearly always, and
/// one question less is a round trip less on a slow source.
const TAIL_READ_BYTES: u64 = 1 << 20;
/// The longest read in the hope of a whole `moof`.
const FRAGMENT_READ_BYTES_MAX: u64 = 64 << 10;

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
    /// What the `moov` gave, once it is read.
    opened: Option<Opened>,
    /// How much to read where the next `moof` may begin.
    fragment_bytes: u64,
    /// Every box that matters has been seen.
    done: bool,
}

impl Opener {
    /// For a file of `len` bytes.
    #[must_use]
    pub fn new(len: u64) -> Self {
        Self {
            len,
            pos: 0,
            visited: 0,
            window: (0, Bytes::new()),
            mdat: None,
            opened: None,
            fragment_bytes: FIRST_READ_BYTES,
            done: false,
        }
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

    /// The whole box at `pos`, or what to ask for. A box that the file does not hold is an error that calls it `what`.
    fn whole(&self, end: u64, what: &'static str, bytes_max: u64) -> Result<Pull<Bytes>, ContainerError> {
        if end > self.len {
            return Err(ContainerError::Truncated { format: Format::Mp4, offset: self.pos, what });
        }
        if end - self.pos > bytes_max {
            return Err(limit(self.pos, "the size of an index box", end - self.pos, bytes_max));
        }
        let whole = ByteRange::new(self.pos, end);
        // With the next header: what follows is then decided without another read.
        let wanted = self.clipped(self.pos, whole.len().saturating_add(HEADER_BYTES_MAX));
        Ok(self.at_hand(whole).map_or(Pull::Need(wanted), Pull::Item))
    }

    /// How much to ask for at `pos`: a short rest behind the media, which is the index nearly always; in a fragmented file, a `moof` as long as the last and the header after it.
    fn read_len(&self) -> u64 {
        match &self.opened {
            _ if self.pos == 0 => FIRST_READ_BYTES,
            Some(_) => self.fragment_bytes,
            None if self.mdat.is_some() && self.len - self.pos <= TAIL_READ_BYTES => self.len - self.pos,
            None => HEADER_BYTES_MAX,
        }
    }

    /// Looks at the box at `pos` and goes past it. [`Pull::Item`] when there is nothing more to look at.
    fn step(&mut self) -> Result<Pull<Next>, ContainerError> {
        if self.visited > limits::TOP_LEVEL_MAX {
            let max = limits::TOP_LEVEL_MAX as u64;
            return Err(limit(self.pos, "the number of top-level boxes", max + 1, max));
        }
        if self.len.saturating_sub(self.pos) < 8 {
            return if self.opened.is_some() { Ok(Pull::Item(Next::Done)) } else { Err(self.not_found()) };
        }
        let Some(bytes) = self.at_hand(self.clipped(self.pos, HEADER_BYTES_MAX)) else {
            return Ok(Pull::Need(self.clipped(self.pos, self.read_len())));
        };
        let head = boxes::header(&bytes, self.pos)?;
        let end = self.end_of(&head)?;
        match (&head.kind, self.opened.is_some()) {
            (b"moov", false) => {
                let bytes = match self.whole(end, "the index (moov)", limits::MOOV_BYTES_MAX)? {
                    Pull::Item(bytes) => bytes,
                    Pull::Need(range) => return Ok(Pull::Need(range)),
                };
                let opened = moov::parse(&self.view(&head, &bytes), self.len)?;
                let whole = opened.assembly.is_none();
                self.opened = Some(opened);
                if whole {
                    return Ok(Pull::Item(Next::Done));
                }
            }
            (b"moof", false) => return Err(unsupported(self.pos, "a fragment (moof) before any moov")),
            (b"moof", true) => {
                let bytes = match self.whole(end, "a fragment (moof)", limits::MOOF_BYTES_MAX)? {
                    Pull::Item(bytes) => bytes,
                    Pull::Need(range) => return Ok(Pull::Need(range)),
                };
                let padded = (bytes.len() as u64 + HEADER_BYTES_MAX).next_multiple_of(FIRST_READ_BYTES / 4);
                self.fragment_bytes = padded.clamp(FIRST_READ_BYTES, FRAGMENT_READ_BYTES_MAX);
                let view = self.view(&head, &bytes);
                if let Some(assembly) = self.opened.as_mut().and_then(|opened| opened.assembly.as_mut()) {
                    assembly.add(&view)?;
                }
            }
            (b"mdat", _) => self.mdat = Some(self.pos),
            (kind, _) if !plausible(kind) => {
                return Err(malformed(self.pos, format!("no box begins here, but {}", name(kind))));
            }
            _ => {}
        }
        self.pos = end;
        self.visited += 1;
        Ok(Pull::Item(Next::Box))
    }

    /// A box in memory, header and all.
    fn view<'a>(&self, head: &Header, bytes: &'a [u8]) -> BoxView<'a> {
        let header_len = usize::try_from(head.header_len).unwrap_or(usize::MAX);
        BoxView {
            kind: head.kind,
            offset: self.pos,
            body_offset: self.pos + head.header_len,
            body: bytes.get(header_len..).unwrap_or_default(),
        }
    }

    /// What lies past some fragments cannot be read: the file ends there, as one cut short does.
    fn cut_short(&mut self) -> bool {
        let assembly = self.opened.as_mut().and_then(|opened| opened.assembly.as_mut());
        let Some(assembly) = assembly.filter(|assembly| assembly.fragments > 0) else { return false };
        assembly.truncated = true;
        true
    }

    /// Reads the names of chapters, where they are a track and close together.
    fn finish(&mut self) -> Option<Pull<Movie>> {
        let opened = self.opened.as_mut()?;
        opened.complete();
        if let Some(range) = opened.chapter_track.as_ref().and_then(ChapterTrack::wanted) {
            let Some(bytes) = self.at_hand(range) else { return Some(Pull::Need(range)) };
            let opened = self.opened.as_mut()?;
            let chapters = opened.chapter_track.take();
            opened.movie.chapters =
                chapters.map(|track| track.named(range.start(), &bytes)).unwrap_or_default();
        }
        let mut opened = self.opened.take()?;
        if let Some(track) = opened.chapter_track.take() {
            opened.movie.chapters = track.unnamed();
        }
        Some(Pull::Item(opened.movie))
    }
}

/// What a step came to.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// There may be more boxes.
    Box,
    /// The tables are complete.
    Done,
}

impl PullParser for Opener {
    type Item = Movie;

    fn poll(&mut self) -> Result<Pull<Movie>, ContainerError> {
        while !self.done {
            match self.step() {
                Ok(Pull::Need(range)) => return Ok(Pull::Need(range)),
                Ok(Pull::Item(next)) => self.done = next == Next::Done,
                Err(ContainerError::Truncated { .. } | ContainerError::Malformed { .. })
                    if self.cut_short() =>
                {
                    self.done = true;
                }
                Err(error) => return Err(error),
            }
        }
        self.finish().ok_or_else(|| self.not_found())
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
