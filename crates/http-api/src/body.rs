//! Response bodies: byte ranges of a source, and segments as they are made.
//!
//! Both are pulled by the connection: nothing is read before there is room to send it, and nothing is copied.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
};

use byte_source::{ByteRange, ByteSource, ReadHint, SourceError};
use bytes::Bytes;
use futures_core::Stream;
use http_body::{Body, Frame, SizeHint};
use media::SegmentStream;

use crate::{
    limits::{FILE_READ_BYTES, READ_AHEAD_BYTES},
    metrics::Metrics,
    problem::Problem,
};

/// Why a body ended early; the connection is cut so that the client notices.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Media(#[from] media::MediaError),
    #[error("{0}")]
    Late(Problem),
    #[error("the head was sent as 200, and then it was {0}")]
    Status(axum::http::StatusCode),
    #[error("the segment ended {0} bytes early")]
    Short(u64),
}

impl From<Problem> for BodyError {
    fn from(problem: Problem) -> Self {
        tracing::warn!(detail = %problem, "request failed after its head was sent");
        Self::Late(problem)
    }
}

/// A piece of a response.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// These bytes.
    Inline(Bytes),
    /// These bytes of the source.
    Source(ByteRange),
}

impl Part {
    fn len(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Source(range) => range.len(),
        }
    }
}

type Reading = Pin<Box<dyn Future<Output = Result<Bytes, SourceError>> + Send>>;

/// Parts of a source and bytes of ours, in order.
pub(crate) struct PartsBody {
    source: Arc<dyn ByteSource>,
    parts: VecDeque<Part>,
    reading: Option<Reading>,
    left: u64,
    steps: Option<Steps>,
    /// The hint that stands, if one does.
    hinted: ByteRange,
    metrics: Arc<Metrics>,
}

/// What arrives piece by piece is read so that no read waits for two pieces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steps {
    /// Where the source begins in the run of pieces.
    pub(crate) offset: u64,
    pub(crate) piece_length: u64,
}

impl Steps {
    /// `range` up to the end of the piece it begins in.
    fn first(self, range: ByteRange) -> ByteRange {
        let at = self.offset.saturating_add(range.start());
        let left = self.piece_length.max(1) - at % self.piece_length.max(1);
        range.intersection(ByteRange::new(range.start(), range.start().saturating_add(left)))
    }
}

impl PartsBody {
    pub(crate) fn new(source: Arc<dyn ByteSource>, parts: Vec<Part>, metrics: Arc<Metrics>) -> Self {
        let left = parts.iter().map(Part::len).sum();
        let (steps, hinted) = (None, ByteRange::default());
        Self { source, parts: parts.into(), reading: None, left, steps, hinted, metrics }
    }

    /// Reads what is not here yet in these steps, and says ahead of time what will be read.
    pub(crate) fn in_steps(mut self, steps: Steps) -> Self {
        self.steps = Some(steps);
        self
    }

    /// Keeps the source told of at least half of [`READ_AHEAD_BYTES`] that come after `range` in this part.
    fn look_ahead(&mut self, range: ByteRange) {
        let part_end = match self.parts.front() {
            Some(Part::Source(rest)) if rest.start() == range.end() => rest.end(),
            _ => range.end(),
        };
        let enough = part_end.min(range.start().saturating_add(READ_AHEAD_BYTES / 2));
        if self.hinted.covers(ByteRange::new(range.start(), enough)) {
            return;
        }
        self.hinted =
            ByteRange::new(range.start(), part_end.min(range.start().saturating_add(READ_AHEAD_BYTES)));
        self.source.hint(ReadHint { range: self.hinted, deadline_ms: 0 });
    }

    /// What to wait for of `range`, which is not here; the rest goes back.
    fn step(&mut self, range: ByteRange) -> ByteRange {
        let Some(steps) = self.steps else { return range };
        let first = steps.first(range);
        let rest = ByteRange::new(first.end(), range.end());
        if !rest.is_empty() {
            self.parts.push_front(Part::Source(rest));
        }
        first
    }

    /// Takes the next read off the front.
    fn next_read(&mut self) -> Option<Part> {
        match self.parts.front_mut()? {
            Part::Source(range) if range.len() > FILE_READ_BYTES => {
                let cut = range.start() + FILE_READ_BYTES;
                let first = ByteRange::new(range.start(), cut);
                *range = ByteRange::new(cut, range.end());
                Some(Part::Source(first))
            }
            _ => self.parts.pop_front(),
        }
    }

    fn sent(&mut self, bytes: Bytes) -> Frame<Bytes> {
        let len = bytes.len() as u64;
        self.left = self.left.saturating_sub(len);
        self.metrics.file_bytes.fetch_add(len, Ordering::Relaxed);
        Frame::data(bytes)
    }
}

impl Body for PartsBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            if let Some(reading) = &mut this.reading {
                let bytes = ready!(reading.as_mut().poll(cx));
                this.reading = None;
                return Poll::Ready(Some(match bytes {
                    Ok(bytes) => Ok(this.sent(bytes)),
                    Err(error) => Err(error.into()),
                }));
            }
            let range = match this.next_read() {
                None => return Poll::Ready(None),
                Some(Part::Inline(bytes)) if bytes.is_empty() => continue,
                Some(Part::Inline(bytes)) => return Poll::Ready(Some(Ok(this.sent(bytes)))),
                Some(Part::Source(range)) if range.is_empty() => continue,
                Some(Part::Source(range)) => range,
            };
            if this.steps.is_some() {
                this.look_ahead(range);
            }
            if let Some(answer) = this.source.try_read_at(range) {
                return Poll::Ready(Some(match answer {
                    Ok(bytes) => Ok(this.sent(bytes)),
                    Err(error) => Err(error.into()),
                }));
            }
            let range = this.step(range);
            let source = Arc::clone(&this.source);
            this.reading = Some(Box::pin(async move { source.read_at(range).await }));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A segment as it is made.
pub(crate) struct SegmentResponseBody {
    stream: SegmentStream,
    /// Bytes still to come, where the length is known.
    left: Option<u64>,
    metrics: Arc<Metrics>,
}

impl SegmentResponseBody {
    pub(crate) fn new(stream: SegmentStream, len: Option<u64>, metrics: Arc<Metrics>) -> Self {
        Self { stream, left: len, metrics }
    }
}

impl Body for SegmentResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        match ready!(Pin::new(&mut this.stream).poll_next(cx)) {
            None => Poll::Ready(match this.left {
                Some(left) if left > 0 => Some(Err(BodyError::Short(left))),
                _ => None,
            }),
            Some(Err(error)) => {
                tracing::warn!(%error, "a segment broke off");
                Poll::Ready(Some(Err(error.into())))
            }
            Some(Ok(bytes)) => {
                let len = bytes.len() as u64;
                if let Some(left) = &mut this.left {
                    *left = left.saturating_sub(len);
                }
                this.metrics.segment_bytes.fetch_add(len, Ordering::Relaxed);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use byte_source::{LateSource, MemorySource};
    use futures_util::FutureExt;

    use super::*;

    fn next(body: &mut PartsBody) -> Option<Option<Bytes>> {
        std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx))
            .now_or_never()
            .map(|frame| frame.map(|f| f.unwrap().into_data().unwrap()))
    }

    #[test]
    fn parts_come_in_order_and_waits_for_late_bytes() {
        let source = Arc::new(LateSource::new(MemorySource::new(&b"0123456789"[..])));
        source.arrive(ByteRange::new(0, 4));
        let parts = vec![
            Part::Inline(Bytes::from_static(b"<")),
            Part::Source(ByteRange::new(1, 3)),
            Part::Source(ByteRange::new(8, 10)),
        ];
        let mut body = PartsBody::new(source.clone(), parts, Arc::default());
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(next(&mut body), Some(Some(Bytes::from_static(b"<"))));
        assert_eq!(next(&mut body), Some(Some(Bytes::from_static(b"12"))));
        assert_eq!(next(&mut body), None);
        source.arrive(ByteRange::new(4, 10));
        assert_eq!(next(&mut body), Some(Some(Bytes::from_static(b"89"))));
        assert!(body.is_end_stream());
        assert_eq!(next(&mut body), Some(None));
    }

    #[test]
    fn what_arrives_in_pieces_is_sent_piece_by_piece() {
        let source = Arc::new(LateSource::new(MemorySource::new(&b"0123456789"[..])));
        let parts = vec![Part::Source(ByteRange::new(1, 10))];
        let steps = Steps { offset: 2, piece_length: 4 };
        let mut body = PartsBody::new(source.clone(), parts, Arc::default()).in_steps(steps);
        assert_eq!(next(&mut body), None);
        assert_eq!(source.reads(), [ByteRange::new(1, 2)]);
        source.arrive(ByteRange::new(0, 2));
        assert_eq!(next(&mut body), Some(Some(Bytes::from_static(b"1"))));
        assert_eq!(next(&mut body), None);
        source.arrive(ByteRange::new(2, 6));
        assert_eq!(next(&mut body), Some(Some(Bytes::from_static(b"2345"))));
        // What is all here is read at once.
        source.arrive(ByteRange::new(6, 10));
        assert_eq!(next(&mut body), Some(Some(Bytes::from_static(b"6789"))));
        assert_eq!(source.hints(), [ReadHint { range: ByteRange::new(1, 10), deadline_ms: 0 }]);
    }

    #[test]
    fn a_long_range_is_read_piece_by_piece() {
        let len = FILE_READ_BYTES * 2 + 7;
        let source = Arc::new(LateSource::arrived(MemorySource::new(vec![1; usize::try_from(len).unwrap()])));
        let mut body =
            PartsBody::new(source.clone(), vec![Part::Source(ByteRange::new(0, len))], Arc::default());
        let mut got = 0;
        while let Some(Some(bytes)) = next(&mut body) {
            got += bytes.len() as u64;
        }
        assert_eq!(got, len);
        assert_eq!(source.reads().len(), 3);
    }
}
