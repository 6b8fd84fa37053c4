//! From a title's plan to an encoder and back: which samples go in, what becomes of those that come out.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use container::{Sample, Track};
use futures_core::Stream;
use packager::{
    Part, RenditionId, SegmentIndex, Transcodes, cmaf_layout,
    transcode::{AAC_FRAME, aac_record, transcoded_init, transcoded_segment},
};
use tokio::sync::mpsc;

use super::{
    AudioCodec, AudioSpec, H264Profile, InputTrack, OutputTrack, Preset, SampleStream, TitleTranscoder,
    TranscodeError, TranscodeStatus, Transcoded, Transcoder, VideoSpec,
};
use crate::{
    MediaError,
    feed::{Keep, SampleFeed},
    job::JobWriter,
    limits::ENCODED_BYTES_SLACK,
    making::{Material, told},
    workshop::{Cost, Making},
};

/// An answer that is waited for.
pub type Encoding<'a> = Pin<Box<dyn Future<Output = Result<Transcoded, TranscodeError>> + Send + 'a>>;

/// What encodes: the pool of workers, or in tests something that looks like it.
pub trait Encoders: fmt::Debug + Send + Sync {
    /// Why nothing is encoded, if that is so; then nothing that would have to be is listed.
    fn off(&self) -> Option<String>;

    /// How it stands, for those who look after the server.
    fn status(&self) -> Option<TranscodeStatus> {
        None
    }

    /// A title's place in it; nothing is started before it asks for something.
    fn title(&self, video_id: &str) -> Arc<dyn TitleEncoder>;
}

/// What encodes for one title, until it is dropped.
pub trait TitleEncoder: fmt::Debug + Send + Sync {
    /// See [`TitleTranscoder::video`].
    fn video(&self, spec: VideoSpec, samples: SampleStream) -> Encoding<'_>;

    /// See [`TitleTranscoder::audio`].
    fn audio(&self, spec: AudioSpec, samples: SampleStream) -> Encoding<'_>;
}

impl Encoders for Transcoder {
    fn off(&self) -> Option<String> {
        Self::status(self).off
    }

    fn status(&self) -> Option<TranscodeStatus> {
        Some(Self::status(self))
    }

    fn title(&self, video_id: &str) -> Arc<dyn TitleEncoder> {
        Arc::new(Self::title(self, video_id))
    }
}

impl TitleEncoder for TitleTranscoder {
    fn video(&self, spec: VideoSpec, samples: SampleStream) -> Encoding<'_> {
        Box::pin(Self::video(self, spec, samples))
    }

    fn audio(&self, spec: AudioSpec, samples: SampleStream) -> Encoding<'_> {
        Box::pin(Self::audio(self, spec, samples))
    }
}

impl Transcoded {
    /// Of samples that come from elsewhere than a worker.
    #[must_use]
    pub fn from_parts(track: OutputTrack, samples: mpsc::Receiver<Result<Sample, TranscodeError>>) -> Self {
        Self { track, samples }
    }
}

/// What a title can be transcoded to, and its place among the workers while it is.
#[derive(Debug)]
pub(crate) struct TitleEncoding {
    pub(crate) transcodes: Transcodes,
    encoders: Arc<dyn Encoders>,
    /// Its place among the workers, for as long as it is open: who has none and needs one is given that of the title
    /// that used its own longest ago.
    encoder: OnceLock<Arc<dyn TitleEncoder>>,
    /// What the encoder writes for each rung; the same each time.
    records: Mutex<HashMap<RenditionId, Bytes>>,
}

impl TitleEncoding {
    pub(crate) fn new(transcodes: Transcodes, encoders: Arc<dyn Encoders>) -> Self {
        Self { transcodes, encoders, encoder: OnceLock::new(), records: Mutex::default() }
    }

    fn encoder(&self, title: &str) -> Arc<dyn TitleEncoder> {
        Arc::clone(self.encoder.get_or_init(|| self.encoders.title(title)))
    }

    /// Whether anything is encoded at all at present.
    pub(crate) fn is_on(&self) -> bool {
        self.encoders.off().is_none()
    }

    fn records(&self) -> MutexGuard<'_, HashMap<RenditionId, Bytes>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What making a segment takes.
    pub(crate) fn cost(&self, rendition: RenditionId, index: SegmentIndex) -> Cost {
        let bytes = self.transcodes.segment_bytes_max(rendition, index);
        // What was encoded, and as it goes out.
        Cost { memory_bytes: bytes.saturating_mul(2).saturating_add(4 << 20), cacheable: true }
    }

    /// The init segment. Of video it waits for the encoder's first word, once.
    pub(crate) async fn init(
        self: &Arc<Self>,
        material: Material,
        rendition: RenditionId,
    ) -> Result<Bytes, MediaError> {
        let title = Arc::clone(&material.title);
        let planned = material.planned.clone();
        let known = self.records().get(&rendition).cloned();
        let record = match (known, self.transcodes.aac(rendition)) {
            (Some(record), _) => record,
            (None, Some(aac)) => {
                aac_record(aac.timescale, aac.channels).ok_or_else(|| MediaError::Internal {
                    title: title.to_string(),
                    detail: format!("AAC has no {} Hz", aac.timescale.get()),
                })?
            }
            (None, None) => {
                let encoded = self.begin(&material, rendition, SegmentIndex::new(0)).await?;
                encoded.track.record.into()
            }
        };
        transcoded_init(&planned, &self.transcodes, rendition, &record).map_err(|e| told(&title, e))
    }

    /// Makes a segment.
    pub(crate) fn segment(
        self: Arc<Self>,
        material: Material,
        rendition: RenditionId,
        index: SegmentIndex,
    ) -> impl FnOnce(Arc<JobWriter>) -> Making + Send + 'static {
        move |writer| Box::pin(async move { self.make(&material, rendition, index, &writer).await })
    }

    async fn make(
        self: &Arc<Self>,
        material: &Material,
        rendition: RenditionId,
        index: SegmentIndex,
        writer: &JobWriter,
    ) -> Result<(), MediaError> {
        let title = &material.title;
        let mut encoded = self.begin(material, rendition, index).await?;
        let bytes_max =
            self.transcodes.segment_bytes_max(rendition, index).saturating_add(ENCODED_BYTES_SLACK);
        let (mut samples, mut bytes) = (Vec::new(), 0u64);
        while let Some(sample) = encoded.next().await {
            let sample = sample?;
            bytes = bytes.saturating_add(sample.data.len() as u64);
            if bytes > bytes_max {
                let detail =
                    format!("segment {index} of {rendition} is encoded to more than {bytes_max} bytes");
                return Err(MediaError::Internal { title: title.to_string(), detail });
            }
            samples.push(sample);
        }
        let cut =
            transcoded_segment(&self.transcodes, rendition, index, samples).map_err(|e| told(title, e))?;
        let layout = cmaf_layout(&cut).map_err(|e| told(title, e))?;
        writer.announce(layout.len);
        for part in layout.parts {
            if let Part::Inline(bytes) = part {
                writer.push(bytes);
            }
        }
        Ok(())
    }

    /// Gives an encoder its work; what comes first is known when this returns.
    async fn begin(
        &self,
        material: &Material,
        rendition: RenditionId,
        index: SegmentIndex,
    ) -> Result<Transcoded, MediaError> {
        let title = &material.title;
        let segment = *self.transcodes.segment(rendition, index).map_err(|e| told(title, e))?;
        let missing = || MediaError::NotFound { title: title.to_string(), what: rendition.to_string() };
        let (fed, (from, to)) = self.transcodes.fed_from(rendition, index).ok_or_else(missing)?;
        let feed = |keep| SampleFeed::new(material.clone(), fed, from..to, keep);
        let input = |n: usize| {
            let track = material.planned.movie.tracks.get(n).ok_or_else(missing)?;
            let plan = material.planned.plan.track(n).ok_or_else(missing)?;
            Ok::<_, MediaError>(input_of(track, plan.timescale))
        };
        let encoder = self.encoder(title);
        let begun = if let Some(rung) = self.transcodes.rung(rendition) {
            let input = input(material.planned.plan.reference)?;
            let start = i64::try_from(segment.start).unwrap_or(i64::MAX);
            let end = start.saturating_add(i64::try_from(segment.duration).unwrap_or(i64::MAX));
            let timescale = input.timescale;
            let spec = VideoSpec {
                input,
                from: start,
                to: end,
                keyframes: Vec::new(),
                width: rung.width,
                height: rung.height,
                profile: H264Profile::High,
                level: rung.level,
                bitrate: rung.bits_average,
                bitrate_max: rung.bits_max,
                preset: Preset::VeryFast,
                timescale,
                rotation: rung.rotation,
            };
            encoder.video(spec, Box::pin(FeedStream::new(feed(Keep::ShownBefore(end))))).await?
        } else {
            let aac = self.transcodes.aac(rendition).ok_or_else(missing)?;
            let window = aac.window(index).ok_or_else(missing)?;
            let spec = AudioSpec {
                input: input(aac.track)?,
                codec: AudioCodec::Aac,
                sample_rate: aac.timescale.get(),
                channels: aac.channels,
                bitrate: aac.bits,
                frame_samples: AAC_FRAME,
                first_frame: window.frames.start,
                frames: u32::try_from(window.frames.end - window.frames.start).unwrap_or(u32::MAX),
            };
            encoder.audio(spec, Box::pin(FeedStream::new(feed(Keep::Within(window.decoded))))).await?
        };
        self.checked(title, rendition, begun)
    }

    /// What the encoder says of its samples has to be what was said before, and what the init segment says.
    fn checked(
        &self,
        title: &str,
        rendition: RenditionId,
        begun: Transcoded,
    ) -> Result<Transcoded, MediaError> {
        let wrong = |detail: String| Err(MediaError::Internal { title: title.to_owned(), detail });
        let (_, timescale) = self.transcodes.segments(rendition).map_err(|e| told(title, e))?;
        if begun.track.timescale != timescale {
            let (came, asked) = (begun.track.timescale.get(), timescale.get());
            return wrong(format!("{rendition} was encoded in ticks of 1/{came} s instead of 1/{asked}"));
        }
        if self.transcodes.rung(rendition).is_some() {
            let mut records = self.records();
            let known = records.entry(rendition).or_insert_with(|| begun.track.record.clone().into());
            if **known != *begun.track.record {
                return wrong(format!("the encoder's configuration of {rendition} changed"));
            }
        }
        Ok(begun)
    }
}

fn input_of(track: &Track, timescale: container::Timescale) -> InputTrack {
    InputTrack {
        codec: track.codec.name().to_owned(),
        record: track.codec.record().unwrap_or_default().to_vec(),
        timescale,
    }
}

type Reading = Pin<Box<dyn Future<Output = (SampleFeed, Result<Option<Vec<Sample>>, MediaError>)> + Send>>;

/// A feed as a stream of single samples.
struct FeedStream {
    feed: Option<SampleFeed>,
    reading: Option<Reading>,
    ready: VecDeque<Sample>,
}

impl FeedStream {
    fn new(feed: SampleFeed) -> Self {
        Self { feed: Some(feed), reading: None, ready: VecDeque::new() }
    }
}

impl Stream for FeedStream {
    type Item = Result<Sample, MediaError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(sample) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(sample)));
            }
            if let Some(mut feed) = this.feed.take() {
                this.reading = Some(Box::pin(async move {
                    let next = feed.next().await;
                    (feed, next)
                }));
            }
            let Some(reading) = &mut this.reading else { return Poll::Ready(None) };
            let Poll::Ready((feed, next)) = reading.as_mut().poll(cx) else { return Poll::Pending };
            this.reading = None;
            match next {
                Ok(Some(samples)) => {
                    this.ready = samples.into();
                    this.feed = Some(feed);
                }
                Ok(None) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}
