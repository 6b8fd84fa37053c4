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

use byte_source::{ByteRange, ByteSource, SourceError};
use bytes::Bytes;
use futures_core::Stream;
use http_body::{Body, Frame, SizeHint};
use media::SegmentStream;

use crate::{limits::FILE_READ_BYTES, metrics::Metrics};

/// Why a body ended early; the connection is cut so that the client notices.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Media(#[from] media::MediaError),
    #[error("the segment ended {0} bytes early")]
    Short(u64),
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
    metrics: Arc<Metrics>,
}

impl PartsBody {
    pub(crate) fn new(source: Arc<dyn ByteSource>, parts: Vec<Part>, metrics: Arc<Metrics>) -> Self {
        let left = parts.iter().map(Part::len).sum();
        Self { source, parts: parts.into(), reading: None, left, metrics }
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
            if let Some(answer) = this.source.try_read_at(range) {
                return Poll::Ready(Some(match answer {
                    Ok(bytes) => Ok(this.sent(bytes)),
                    Err(error) => Err(error.into()),
                }));
            }
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
