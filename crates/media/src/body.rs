//! A segment on its way out.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;

use crate::MediaError;

/// A segment: what is known of it before its bytes, and its bytes.
#[derive(Debug)]
pub struct SegmentBody {
    /// Length in bytes where it is known before the bytes are.
    pub len: Option<u64>,
    /// Strong entity tag, quotes included. The same content, rendition, index and container give the same tag, over
    /// restarts too.
    pub etag: String,
    /// The bytes. Dropping it withdraws this asker; the segment goes on being made while others want it.
    pub body: SegmentStream,
}

/// The bytes of a segment as they become available.
pub struct SegmentStream {
    inner: Pin<Box<dyn Stream<Item = Result<Bytes, MediaError>> + Send>>,
}

impl SegmentStream {
    /// Of bytes that are all here.
    #[must_use]
    pub fn whole(bytes: Bytes) -> Self {
        Self { inner: Box::pin(Whole(Some(bytes))) }
    }
}

impl Stream for SegmentStream {
    type Item = Result<Bytes, MediaError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for SegmentStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SegmentStream")
    }
}

struct Whole(Option<Bytes>);

impl Stream for Whole {
    type Item = Result<Bytes, MediaError>;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}
