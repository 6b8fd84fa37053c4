//! A segment that lies in its source, on its way out: header bytes of ours and ranges of the file, in order.
//!
//! Reads are large and few: ranges that nearly touch are read together, and what was read between them is left out.
//! Pieces large enough go out as they were read, small ones are put together. Nothing is read before it is asked
//! for, and when a read has to wait, what is already here goes out first.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use byte_source::{ByteRange, ByteSource, SourceError};
use bytes::Bytes;
use packager::{Layout, Part};

use crate::{
    buffers::Buffer,
    limits::{CHUNK_BYTES, READ_BYTES, READ_WASTE_DIVISOR, UNCOPIED_BYTES_MIN},
};

type Reading = Pin<Box<dyn Future<Output = Result<Bytes, SourceError>> + Send>>;

/// Where a layout has been sent up to.
pub(crate) struct LayoutStream {
    source: Arc<dyn ByteSource>,
    layout: Arc<Layout>,
    /// The part to be sent next, and how much of it is gone.
    part: usize,
    gone: u64,
    /// Bytes not yet put into a chunk.
    left: u64,
    /// What was read last.
    window: (ByteRange, Bytes),
    reading: Option<(ByteRange, Reading)>,
    chunk: Chunk,
}

impl LayoutStream {
    pub(crate) fn new(source: Arc<dyn ByteSource>, layout: Arc<Layout>) -> Self {
        let left = layout.len;
        Self {
            source,
            layout,
            part: 0,
            gone: 0,
            left,
            window: (ByteRange::default(), Bytes::new()),
            reading: None,
            chunk: Chunk::default(),
        }
    }

    /// Waits for the first bytes that are not ours to write: a segment of which they never come is better not begun.
    ///
    /// # Cancel safety
    /// Safe: the read is given up.
    pub(crate) async fn begin(&mut self) -> Result<(), SourceError> {
        let first = self.layout.parts.iter().enumerate().find_map(|(at, part)| match part {
            Part::Source(range) if !range.is_empty() => Some((at, *range)),
            _ => None,
        });
        let Some((at, range)) = first else { return Ok(()) };
        let span = self.span(at, range);
        let read = match self.source.try_read_at(span) {
            Some(read) => read,
            None => self.source.read_at(span).await,
        };
        self.window = whole(span, read?)?;
        Ok(())
    }

    /// The next bytes; `None` at the end.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, SourceError>>> {
        loop {
            if let Some((range, reading)) = &mut self.reading {
                let range = *range;
                match reading.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(answer) => {
                        self.reading = None;
                        match answer.and_then(|bytes| whole(range, bytes)) {
                            Ok(window) => self.window = window,
                            Err(error) => return Poll::Ready(Some(Err(error))),
                        }
                    }
                }
            }
            if self.chunk.is_full() {
                return Poll::Ready(self.chunk.take().map(Ok));
            }
            let piece = match self.layout.parts.get(self.part) {
                None => return Poll::Ready(self.chunk.take().map(Ok)),
                Some(Part::Inline(bytes)) => slice(bytes, self.gone, bytes.len() as u64),
                Some(Part::Source(range)) => {
                    let rest = ByteRange::new(range.start().saturating_add(self.gone), range.end());
                    if !rest.is_empty() && !self.window.0.contains(rest.start()) {
                        let span = self.span(self.part, rest);
                        match self.source.try_read_at(span).map(|a| a.and_then(|bytes| whole(span, bytes))) {
                            Some(Ok(window)) => self.window = window,
                            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                            None if !self.chunk.is_empty() => return Poll::Ready(self.chunk.take().map(Ok)),
                            None => {
                                let source = Arc::clone(&self.source);
                                let read = Box::pin(async move { source.read_at(span).await });
                                self.reading = Some((span, read));
                            }
                        }
                        continue;
                    }
                    let (from, bytes) = (self.window.0.start(), &self.window.1);
                    let here = rest.intersection(self.window.0);
                    slice(bytes, here.start().saturating_sub(from), here.end().saturating_sub(from))
                }
            };
            if piece.is_empty() {
                self.part += 1;
                self.gone = 0;
                continue;
            }
            if piece.len() >= UNCOPIED_BYTES_MIN {
                if !self.chunk.is_empty() {
                    return Poll::Ready(self.chunk.take().map(Ok));
                }
                self.advance(piece.len() as u64);
                return Poll::Ready(Some(Ok(piece)));
            }
            let taken = self.chunk.put(&piece, self.left);
            self.advance(taken as u64);
        }
    }

    fn advance(&mut self, bytes: u64) {
        self.gone += bytes;
        self.left = self.left.saturating_sub(bytes);
        let len = match self.layout.parts.get(self.part) {
            Some(Part::Inline(inline)) => inline.len() as u64,
            Some(Part::Source(range)) => range.len(),
            None => 0,
        };
        if self.gone >= len {
            self.part += 1;
            self.gone = 0;
        }
    }

    /// What to read for the part at `at` that goes on with `rest`: with the parts after it, as long as little is wasted.
    fn span(&self, at: usize, rest: ByteRange) -> ByteRange {
        let first_end = rest.end().min(rest.start().saturating_add(READ_BYTES));
        let mut span = ByteRange::new(rest.start(), first_end);
        let mut useful = span.len();
        if first_end < rest.end() {
            return span;
        }
        for part in self.layout.parts.iter().skip(at + 1) {
            let Part::Source(next) = part else { continue };
            if next.start() < span.end() || next.end().saturating_sub(span.start()) > READ_BYTES {
                break;
            }
            let wider = ByteRange::new(span.start(), next.end());
            let waste = wider.len().saturating_sub(useful + next.len());
            if waste > wider.len() / READ_WASTE_DIVISOR {
                break;
            }
            span = wider;
            useful += next.len();
        }
        span
    }
}

/// A source that gives fewer bytes than it was asked for must not make a segment shorter than its stated length.
fn whole(range: ByteRange, bytes: Bytes) -> Result<(ByteRange, Bytes), SourceError> {
    if bytes.len() as u64 == range.len() {
        return Ok((range, bytes));
    }
    Err(SourceError::Changed { range, detail: format!("{} bytes came", bytes.len()) })
}

fn slice(bytes: &Bytes, from: u64, to: u64) -> Bytes {
    match (usize::try_from(from), usize::try_from(to)) {
        (Ok(from), Ok(to)) if from <= to && to <= bytes.len() => bytes.slice(from..to),
        _ => Bytes::new(),
    }
}

/// Small pieces being put together.
#[derive(Default)]
struct Chunk {
    buffer: Option<Buffer>,
    filled: usize,
}

impl Chunk {
    fn is_empty(&self) -> bool {
        self.filled == 0
    }

    fn is_full(&self) -> bool {
        self.buffer.as_ref().is_some_and(|b| b.as_ref().len() == self.filled)
    }

    /// Puts in as much of `piece` as has room; `left` is how much there is to come at all.
    fn put(&mut self, piece: &[u8], left: u64) -> usize {
        let buffer = self.buffer.get_or_insert_with(|| {
            Buffer::of(
                usize::try_from(left).unwrap_or(CHUNK_BYTES).clamp(piece.len().min(CHUNK_BYTES), CHUNK_BYTES),
            )
        });
        let room = buffer.as_mut().get_mut(self.filled..).unwrap_or_default();
        let taken = room.len().min(piece.len());
        if let (Some(to), Some(from)) = (room.get_mut(..taken), piece.get(..taken)) {
            to.copy_from_slice(from);
        }
        self.filled += taken;
        taken
    }

    fn take(&mut self) -> Option<Bytes> {
        let filled = std::mem::take(&mut self.filled);
        let buffer = self.buffer.take()?;
        (filled > 0).then(|| buffer.freeze().slice(..filled))
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]
mod tests {
    use std::future::poll_fn;

    use byte_source::{LateSource, MemorySource};
    use proptest::prelude::*;

    use super::*;

    fn file(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    fn layout_of(parts: Vec<Part>) -> Arc<Layout> {
        let len = parts
            .iter()
            .map(|p| match p {
                Part::Inline(b) => b.len() as u64,
                Part::Source(r) => r.len(),
            })
            .sum();
        Arc::new(Layout { parts, len })
    }

    fn expected(layout: &Layout, file: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for part in &layout.parts {
            match part {
                Part::Inline(b) => out.extend_from_slice(b),
                Part::Source(r) => out.extend_from_slice(&file[r.start() as usize..r.end() as usize]),
            }
        }
        out
    }

    fn collect_ready(mut stream: LayoutStream) -> Vec<Bytes> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut chunks = Vec::new();
        loop {
            match stream.poll_chunk(&mut cx) {
                Poll::Ready(Some(chunk)) => chunks.push(chunk.unwrap()),
                Poll::Ready(None) => return chunks,
                Poll::Pending => panic!("everything is here"),
            }
        }
    }

    #[test]
    fn interleaved_parts_are_read_together_and_the_rest_left_out() {
        let bytes = file(1_100_000);
        let source = Arc::new(LateSource::arrived(MemorySource::new(bytes.clone())));
        let mut parts = vec![Part::Inline(Bytes::from_static(b"header"))];
        // Video of 20,000 bytes, then audio of 1,000.
        parts.extend((0..50).map(|n| Part::Source(ByteRange::new(n * 21_000, n * 21_000 + 20_000))));
        let layout = layout_of(parts);
        let chunks = collect_ready(LayoutStream::new(source.clone(), layout.clone()));
        assert_eq!(chunks.concat(), expected(&layout, &bytes));
        assert!(source.reads().len() <= 3, "{:?}", source.reads());
        assert!(source.bytes_read() as f64 <= layout.len as f64 * 1.1);
        assert!(chunks.len() <= 5, "{}", chunks.len());
    }

    #[tokio::test]
    async fn the_header_goes_out_before_late_bytes_come() {
        let bytes = file(100_000);
        let source = Arc::new(LateSource::new(MemorySource::new(bytes.clone())));
        let parts =
            vec![Part::Inline(Bytes::from_static(b"header")), Part::Source(ByteRange::new(10, 90_000))];
        let mut stream = LayoutStream::new(source.clone(), layout_of(parts));
        let first = poll_fn(|cx| stream.poll_chunk(cx)).await.unwrap().unwrap();
        assert_eq!(first, "header");
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(stream.poll_chunk(&mut cx).is_pending());
        source.arrive(ByteRange::new(0, 100_000));
        let next = poll_fn(|cx| stream.poll_chunk(cx)).await.unwrap().unwrap();
        assert_eq!(next, bytes[10..90_000]);
        assert!(poll_fn(|cx| stream.poll_chunk(cx)).await.is_none());
    }

    #[tokio::test]
    async fn what_was_waited_for_before_the_head_is_read_once() {
        let bytes = file(100_000);
        let source = Arc::new(LateSource::new(MemorySource::new(bytes.clone())));
        let parts =
            vec![Part::Inline(Bytes::from_static(b"header")), Part::Source(ByteRange::new(10, 90_000))];
        let layout = layout_of(parts);
        let mut stream = LayoutStream::new(source.clone(), layout.clone());
        {
            let mut begun = std::pin::pin!(stream.begin());
            let mut cx = Context::from_waker(std::task::Waker::noop());
            assert!(begun.as_mut().poll(&mut cx).is_pending());
            source.arrive(ByteRange::new(0, 100_000));
            begun.await.unwrap();
        }
        assert_eq!(collect_ready(stream).concat(), expected(&layout, &bytes));
        assert_eq!(source.bytes_read(), 89_990);
    }

    proptest! {
        #[test]
        fn any_layout_comes_out_whole_and_wastes_little(
            parts in prop::collection::vec((any::<bool>(), 0u64..3_000_000, 0u64..200_000), 0..24)
        ) {
            let bytes = file(3_200_000);
            let source = Arc::new(LateSource::arrived(MemorySource::new(bytes.clone())));
            let parts = parts.into_iter().map(|(inline, at, len)| if inline {
                Part::Inline(Bytes::copy_from_slice(&bytes[at as usize..(at + len / 100) as usize]))
            } else {
                Part::Source(ByteRange::new(at, at + len))
            }).collect();
            let layout = layout_of(parts);
            let chunks = collect_ready(LayoutStream::new(source.clone(), layout.clone()));
            prop_assert_eq!(chunks.concat(), expected(&layout, &bytes));
            prop_assert!(chunks.iter().all(|c| !c.is_empty()));
            prop_assert!(source.bytes_read() * 10 <= layout.len * 11);
        }
    }
}
