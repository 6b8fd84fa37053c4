//! A segment on its way out.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use packager::{RenditionId, SegmentIndex};

use crate::{MediaError, Title, layout_stream::LayoutStream, stats::bump, workshop::Asking};

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

/// The bytes of a segment as they become available. After an error nothing more comes.
pub struct SegmentStream {
    inner: Inner,
    /// Keeps the title open while its bytes are on their way.
    title: Option<Arc<Title>>,
    /// Dropped after the demand itself.
    hinted: Option<Hinted>,
}

enum Inner {
    Whole(Option<Bytes>),
    Shared(Asking),
    Layout(Box<LayoutStream>),
    Ended,
}

impl SegmentStream {
    /// Of bytes that are all here.
    #[must_use]
    pub fn whole(bytes: Bytes) -> Self {
        Self { inner: Inner::Whole(Some(bytes)), title: None, hinted: None }
    }

    pub(crate) fn shared(title: &Arc<Title>, asking: Asking) -> Self {
        Self { inner: Inner::Shared(asking), title: Some(Arc::clone(title)), hinted: None }
    }

    pub(crate) fn layout(title: &Arc<Title>, layout: LayoutStream) -> Self {
        Self { inner: Inner::Layout(Box::new(layout)), title: Some(Arc::clone(title)), hinted: None }
    }

    /// Waits for the first bytes that the source has to give. The length and the first bytes of a segment may be known
    /// without them: who would rather not begin what never ends asks first.
    ///
    /// # Errors
    /// Why they do not come.
    ///
    /// # Cancel safety
    /// Safe: the read is given up.
    pub async fn begin(&mut self) -> Result<(), MediaError> {
        let title = self.title.as_deref().map_or("", Title::video_id);
        match &mut self.inner {
            Inner::Layout(layout) => layout.begin().await.map_err(|e| MediaError::from_source(title, e)),
            _ => Ok(()),
        }
    }

    /// What its source was told is taken back if it is dropped before its end, which comes after `len` bytes.
    pub(crate) fn hinted(&mut self, mut hinted: Hinted, len: Option<u64>) {
        hinted.left = len;
        self.hinted = Some(hinted);
    }
}

/// That the source of a title was told what comes after a segment. Dropped before that segment was read to its end, which is
/// what a player does that seeks, it takes it back.
pub(crate) struct Hinted {
    title: Arc<Title>,
    rendition: RenditionId,
    index: SegmentIndex,
    /// Bytes to come, where that is known: a body of known length is not asked for its end.
    left: Option<u64>,
    read: bool,
}

impl Hinted {
    pub(crate) fn new(title: &Arc<Title>, rendition: RenditionId, index: SegmentIndex) -> Self {
        Self { title: Arc::clone(title), rendition, index, left: None, read: false }
    }

    fn sent(&mut self, bytes: u64) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(bytes);
            self.read = *left == 0;
        }
    }
}

impl Drop for Hinted {
    fn drop(&mut self) {
        if !self.read {
            self.title.left(self.rendition, self.index);
        }
    }
}

impl Stream for SegmentStream {
    type Item = Result<Bytes, MediaError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let title = this.title.as_deref();
        let next = match &mut this.inner {
            Inner::Whole(bytes) => Poll::Ready(bytes.take().filter(|b| !b.is_empty()).map(Ok)),
            Inner::Shared(asking) => asking.poll_chunk(cx),
            Inner::Layout(layout) => layout.poll_chunk(cx).map(|next| {
                next.map(|r| r.map_err(|e| MediaError::from_source(title.map_or("", Title::video_id), e)))
            }),
            Inner::Ended => Poll::Ready(None),
        };
        match &next {
            Poll::Ready(Some(Ok(bytes))) => {
                if let Some(hinted) = &mut this.hinted {
                    hinted.sent(bytes.len() as u64);
                }
                if let Some(title) = title {
                    bump(&title.counters().segment_bytes_sent, bytes.len() as u64);
                }
            }
            Poll::Ready(end) => {
                if let (Some(title), Some(Err(error))) = (title, end) {
                    title.noticed(error);
                }
                if let (None, Some(hinted)) = (end, &mut this.hinted) {
                    hinted.read = true;
                }
                this.inner = Inner::Ended;
                this.title = None;
                this.hinted = None;
            }
            Poll::Pending => {}
        }
        next
    }
}

impl fmt::Debug for SegmentStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.inner {
            Inner::Whole(_) => "whole",
            Inner::Shared(_) => "shared",
            Inner::Layout(_) => "layout",
            Inner::Ended => "ended",
        };
        write!(f, "SegmentStream({kind})")
    }
}
