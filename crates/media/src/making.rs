//! The makers: what it takes to make each kind of output, and how it is done.

use std::{future::poll_fn, sync::Arc};

use byte_source::{ByteRange, ByteSource};
use bytes::Bytes;
use container::{ContainerError, Index, PullParser, pull::drive};
use packager::{
    Cutter, Layout, PackagerError, Planned, RenditionId, SegmentFormat, SegmentIndex, SegmentPlan,
    cmaf_layout,
    limits::WHOLE_SEGMENT_BYTES_MAX,
    subtitles::{SubtitleForm, SubtitleMaker},
    ts_segment,
};

use crate::{
    MediaError, NotPlayableReason,
    job::JobWriter,
    key::Form,
    layout_stream::LayoutStream,
    limits::{INLINE_MUX_BYTES_MAX, SHARED_SEGMENT_BYTES_MAX, SUBTITLE_MEMORY_BYTES},
    workshop::{Cost, Making},
};

/// How a segment gets out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Route {
    /// Its bytes lie in the source as they are: each asker streams them at its own pace.
    Layout,
    /// It is made once, for all who ask.
    Shared(Cost),
}

/// Whether a segment is made once and shared or streamed from its source by each, and whether it is worth a place in
/// the cache on disk.
///
/// CMAF cut from an MP4 is header bytes and ranges of the file: a cached copy would be the same read from the same
/// disk. Cutting Matroska walks every block, MPEG-TS is packet by packet, and the text of a subtitle is strewn over
/// the whole stretch: these are kept.
pub(crate) fn route(
    planned: &Planned,
    form: Form,
    rendition: RenditionId,
    index: SegmentIndex,
    segment: &SegmentPlan,
) -> Route {
    let tables = matches!(planned.movie.index, Index::Mp4(_));
    match form {
        Form::M4s if tables || segment.payload_bytes > SHARED_SEGMENT_BYTES_MAX => Route::Layout,
        // Payload as it was read, and as it goes out; in MPEG-TS the sound, too. Of Matroska all tracks are read.
        Form::M4s | Form::Ts => {
            let payload = segment.payload_bytes;
            let read = if tables {
                payload
            } else {
                let ranges = planned.byte_ranges(rendition, index).unwrap_or_default();
                ranges.iter().map(|r| r.len()).sum::<u64>().min(WHOLE_SEGMENT_BYTES_MAX).max(payload)
            };
            let memory_bytes = read.saturating_add(payload).saturating_add(1 << 20);
            Route::Shared(Cost { memory_bytes, cacheable: true })
        }
        Form::Vtt | Form::TsVtt | Form::WholeVtt | Form::WholeAss => {
            Route::Shared(Cost { memory_bytes: SUBTITLE_MEMORY_BYTES, cacheable: !tables })
        }
    }
}

/// Puts the title's name on what the packager said.
pub(crate) fn told(title: &str, error: PackagerError) -> MediaError {
    let (name, what) = (title.to_owned(), error.to_string());
    match error {
        PackagerError::Container(error) => MediaError::from_container(title, error),
        PackagerError::NoSuchRendition(_) | PackagerError::NoSuchSegment { .. } => {
            MediaError::NotFound { title: name, what: what.trim_start_matches("there is no ").to_owned() }
        }
        PackagerError::NotPlayable(detail) => {
            MediaError::NotPlayable { title: name, reason: NotPlayableReason::Unsupported, detail }
        }
        PackagerError::PlanMismatch(_) | PackagerError::Incomplete { .. } => {
            MediaError::Internal { title: name, detail: what }
        }
    }
}

pub(crate) async fn driven<P: PullParser>(
    title: &str,
    parser: &mut P,
    source: &dyn ByteSource,
) -> Result<P::Item, MediaError> {
    drive(parser, source).await.map_err(|e: ContainerError| MediaError::from_container(title, e))
}

pub(crate) async fn read(
    title: &str,
    source: &dyn ByteSource,
    range: ByteRange,
) -> Result<Bytes, MediaError> {
    let answer = match source.try_read_at(range) {
        Some(answer) => answer,
        None => source.read_at(range).await,
    };
    answer.map_err(|e| MediaError::from_source(title, e))
}

/// Where the bytes of a CMAF segment lie.
pub(crate) async fn layout(
    title: &str,
    source: &dyn ByteSource,
    planned: &Planned,
    rendition: RenditionId,
    index: SegmentIndex,
) -> Result<Layout, MediaError> {
    let mut cutter = Cutter::new(planned, rendition, index).map_err(|e| told(title, e))?;
    let mut cut = driven(title, &mut cutter, source).await?;
    // A layout is kept and shared: what the cutter had in hand would be held as long.
    cut.tracks.iter_mut().flat_map(|t| &mut t.samples).for_each(|s| s.data = None);
    cmaf_layout(&cut).map_err(|e| told(title, e))
}

/// What a maker works from.
#[derive(Clone)]
pub(crate) struct Material {
    pub(crate) title: Arc<str>,
    pub(crate) source: Arc<dyn ByteSource>,
    pub(crate) planned: Planned,
}

impl Material {
    /// Makes a segment of video or audio.
    pub(crate) fn segment(
        self,
        rendition: RenditionId,
        index: SegmentIndex,
        format: SegmentFormat,
    ) -> impl FnOnce(Arc<JobWriter>) -> Making + Send + 'static {
        move |writer| match format {
            SegmentFormat::Fmp4 => Box::pin(self.cmaf(rendition, index, writer)),
            SegmentFormat::Ts => Box::pin(self.ts(rendition, index, writer)),
        }
    }

    async fn cmaf(
        self,
        rendition: RenditionId,
        index: SegmentIndex,
        writer: Arc<JobWriter>,
    ) -> Result<(), MediaError> {
        let title = &self.title;
        let mut cutter = Cutter::new(&self.planned, rendition, index).map_err(|e| told(title, e))?;
        let cut = driven(title, &mut cutter, &*self.source).await?;
        drop(cutter);
        let layout = cmaf_layout(&cut).map_err(|e| told(title, e))?;
        drop(cut);
        writer.announce(layout.len);
        let mut stream = LayoutStream::new(self.source, Arc::new(layout));
        while let Some(chunk) = poll_fn(|cx| stream.poll_chunk(cx)).await {
            writer.push(chunk.map_err(|e| MediaError::from_source(&self.title, e))?);
        }
        Ok(())
    }

    async fn ts(
        self,
        rendition: RenditionId,
        index: SegmentIndex,
        writer: Arc<JobWriter>,
    ) -> Result<(), MediaError> {
        let title = &self.title;
        let mut cutter = Cutter::for_ts(&self.planned, rendition, index).map_err(|e| told(title, e))?;
        let mut cut = driven(title, &mut cutter, &*self.source).await?;
        drop(cutter);
        for range in cut.missing() {
            let bytes = read(title, &*self.source, range).await?;
            cut.fill(range, &bytes);
        }
        let payload: u64 = cut.tracks.iter().flat_map(|t| &t.samples).map(|s| s.bytes.len()).sum();
        let muxed = if payload <= INLINE_MUX_BYTES_MAX {
            ts_segment(&self.planned, &cut)
        } else {
            let planned = self.planned.clone();
            let muxing = tokio::task::spawn_blocking(move || ts_segment(&planned, &cut));
            muxing.await.map_err(|e| MediaError::Internal {
                title: title.to_string(),
                detail: format!("the muxer stopped: {e}"),
            })?
        };
        let bytes = muxed.map_err(|e| told(title, e))?;
        writer.announce(bytes.len() as u64);
        writer.push(bytes);
        Ok(())
    }

    /// Makes subtitles of track `n`.
    pub(crate) fn subtitles(
        self,
        n: usize,
        form: SubtitleForm,
    ) -> impl FnOnce(Arc<JobWriter>) -> Making + Send + 'static {
        move |writer| {
            Box::pin(async move {
                let title = &self.title;
                let mut maker = SubtitleMaker::new(&self.planned, n, form).map_err(|e| told(title, e))?;
                let text = driven(title, &mut maker, &*self.source).await?;
                writer.announce(text.len() as u64);
                writer.push(text.into());
                Ok(())
            })
        }
    }
}
