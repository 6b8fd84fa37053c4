//! One film, open: what is told of it, and its segments.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use byte_source::{ByteRange, ByteSource, ReadHint};
use bytes::Bytes;
use container::{Movie, Timescale};
use packager::{
    CodecList, Delivery, Layout, PackagerError, Part, Plan, Planned, RenditionId, SegmentFormat,
    SegmentIndex, SegmentPlan, Transcodes, dash, init_segment,
    plan::PLAN_VERSION,
    playlist::{self, MasterOptions},
    subtitles::SubtitleForm,
};
use tokio::sync::OnceCell;

use crate::{
    ContentKey, Decision, FileIdentity, MediaError, SegmentBody, SegmentStream, TitleInfo,
    body::Hinted,
    cache::BYTES_VERSION,
    info,
    key::{Form, SegmentKey},
    layout_stream::LayoutStream,
    limits::{ATTACHMENT_BYTES_MAX, HINT_GAP_BYTES_MAX, HINTED_SEGMENTS, LAYOUTS_MAX},
    making::{self, Material, Route, told},
    stats::{Counters, bump},
    transcode::TitleEncoding,
    workshop::Workshop,
};

/// The forms a whole subtitle track is sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubtitleFormat {
    /// WebVTT.
    Vtt,
    /// SubStation Alpha, only of tracks that are.
    Ass,
}

/// One film, open and planned.
pub struct Title {
    video_id: Arc<str>,
    content: ContentKey,
    source: Arc<dyn ByteSource>,
    /// The file it was opened from; `None` if its bytes come from elsewhere.
    file: Option<FileIdentity>,
    planned: Planned,
    workshop: Arc<Workshop>,
    playlists: Mutex<HashMap<(RenditionId, SegmentFormat), Bytes>>,
    inits: Mutex<HashMap<RenditionId, Bytes>>,
    layouts: Mutex<Layouts>,
    /// What it can be transcoded to, where there is something that encodes.
    encoding: Option<Arc<TitleEncoding>>,
    /// The file is not what it was: to be opened anew.
    stale: AtomicBool,
    /// Milliseconds of the clock of [`Media`](crate::Media).
    pub(crate) used_ms: AtomicU64,
    pub(crate) checked_ms: AtomicU64,
}

type SharedLayout = Arc<OnceCell<Arc<Layout>>>;

/// Layouts lately asked for, the oldest first; few.
#[derive(Default)]
struct Layouts(Vec<((RenditionId, SegmentIndex), SharedLayout)>);

impl Layouts {
    fn get(&mut self, key: (RenditionId, SegmentIndex)) -> SharedLayout {
        let layout = match self.0.iter().rposition(|(k, _)| *k == key) {
            Some(at) => self.0.remove(at).1,
            None => SharedLayout::default(),
        };
        if self.0.len() >= LAYOUTS_MAX {
            self.0.remove(0);
        }
        self.0.push((key, Arc::clone(&layout)));
        layout
    }
}

impl Title {
    pub(crate) fn new(
        video_id: Arc<str>,
        content: ContentKey,
        source: Arc<dyn ByteSource>,
        file: Option<FileIdentity>,
        planned: Planned,
        workshop: Arc<Workshop>,
    ) -> Self {
        if let Some(disk) = &workshop.disk {
            disk.watch(&content, true);
        }
        let encoders = workshop.encoders.clone();
        // A smaller rendition of a film that comes from a swarm takes as many bytes of the swarm, so it is not offered as a help.
        let only_needed = !source.is_here();
        let transcodes = || {
            let mut all = Transcodes::of(&planned);
            all.only_needed = only_needed;
            all
        };
        let encoding = encoders.map(|e| Arc::new(TitleEncoding::new(transcodes(), e)));
        Self {
            video_id,
            content,
            source,
            file,
            planned,
            workshop,
            encoding,
            playlists: Mutex::default(),
            inits: Mutex::default(),
            layouts: Mutex::default(),
            stale: AtomicBool::new(false),
            used_ms: AtomicU64::new(0),
            checked_ms: AtomicU64::new(0),
        }
    }

    /// Its id.
    #[must_use]
    pub fn video_id(&self) -> &str {
        &self.video_id
    }

    /// The name of what is in it.
    #[must_use]
    pub fn content(&self) -> &ContentKey {
        &self.content
    }

    /// What is in the file.
    #[must_use]
    pub fn movie(&self) -> &Movie {
        &self.planned.movie
    }

    /// Where its segments begin and end.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.planned.plan
    }

    /// Whether all of it can be read without waiting for a swarm.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.source.is_here()
    }

    /// The file it was opened from.
    pub(crate) fn file(&self) -> Option<FileIdentity> {
        self.file
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.workshop.counters
    }

    /// Whether its file was seen to have changed.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire)
    }

    /// Looks at an error for what it says about the title.
    pub(crate) fn noticed(&self, error: &MediaError) {
        if matches!(error, MediaError::Changed { .. }) {
            self.stale.store(true, Ordering::Release);
        }
    }

    /// Everything that is told of it, with the decision for a player that can decode `codecs` (`None`: anything).
    ///
    /// # Errors
    /// None at present.
    pub fn info(&self, codecs: Option<&CodecList>) -> Result<TitleInfo, MediaError> {
        Ok(info::describe(&self.planned, self.transcodes(), codecs))
    }

    /// How it would be delivered to a player that can decode `codecs`.
    #[must_use]
    pub fn decide(&self, codecs: Option<&CodecList>) -> Decision {
        info::decide(&self.planned, self.transcodes(), codecs)
    }

    fn transcodes(&self) -> Option<&Transcodes> {
        self.encoding.as_deref().filter(|e| e.is_on()).map(|e| &e.transcodes)
    }

    /// What makes a transcoded rendition.
    fn encoding(&self, rendition: RenditionId) -> Result<&Arc<TitleEncoding>, MediaError> {
        self.encoding.as_ref().ok_or_else(|| self.told(PackagerError::NoSuchRendition(rendition)))
    }

    /// A segment as it is listed, and the unit of its times.
    fn listed(
        &self,
        rendition: RenditionId,
        index: SegmentIndex,
    ) -> Result<(SegmentPlan, Timescale), PackagerError> {
        if let (true, Some(transcodes)) = (rendition.is_transcoded(), self.transcodes()) {
            return Ok((*transcodes.segment(rendition, index)?, transcodes.segments(rendition)?.1));
        }
        let track = self.planned.rendition_track(rendition)?;
        let timescale = self.planned.plan.track(track).map_or(self.planned.plan.clock, |t| t.timescale);
        Ok((*self.planned.segment(rendition, index)?, timescale))
    }

    /// The multivariant playlist. Paths in it are relative to `master.m3u8`.
    ///
    /// # Errors
    /// [`MediaError::NotPlayable`] when nothing is left that this player can decode.
    pub fn master(&self, options: &MasterOptions) -> Result<String, MediaError> {
        let decision =
            Delivery::with(&self.planned, self.transcodes(), options.format, options.codecs.as_ref());
        if decision.needs_transcode() {
            let reason = decision.reason();
            tracing::info!(video = &*self.video_id, %reason, "a player is given what it does not take as it is");
        }
        playlist::multivariant_with(&self.planned, self.transcodes(), options).map_err(|e| self.told(e))
    }

    /// The media playlist of a rendition (`source`, `audio-0`, `subtitles-0`, `iframes`).
    ///
    /// # Errors
    /// [`MediaError::NotFound`] for a rendition this title does not have.
    pub fn playlist(&self, rendition: RenditionId, format: SegmentFormat) -> Result<Bytes, MediaError> {
        kept(&self.playlists, (rendition, format), || {
            let list = match self.transcodes().filter(|_| rendition.is_transcoded()) {
                Some(transcodes) => playlist::transcoded_media(transcodes, rendition, format),
                None => playlist::media(&self.planned, rendition, format),
            };
            list.map(Bytes::from).map_err(|e| self.told(e))
        })
    }

    /// The MPEG-DASH manifest.
    ///
    /// # Errors
    /// [`MediaError::NotPlayable`] when there is nothing to list.
    pub fn dash(&self, options: &MasterOptions) -> Result<Bytes, MediaError> {
        dash::manifest(&self.planned, options).map(Bytes::from).map_err(|e| self.told(e))
    }

    /// The init segment of a rendition. That of transcoded video waits for an encoder, once.
    ///
    /// # Errors
    /// [`MediaError::NotFound`]; why there is no encoder.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn init(&self, rendition: RenditionId) -> Result<Bytes, MediaError> {
        if !rendition.is_transcoded() {
            return kept(&self.inits, rendition, || {
                init_segment(&self.planned, rendition).map_err(|e| self.told(e))
            });
        }
        let lock = || self.inits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(init) = lock().get(&rendition) {
            return Ok(init.clone());
        }
        let encoding = self.encoding(rendition)?;
        encoding.transcodes.segments(rendition).map_err(|e| self.told(e))?;
        let init = encoding.init(self.material(), rendition).await?;
        lock().insert(rendition, init.clone());
        Ok(init)
    }

    /// A strong entity tag, quotes included, for what belongs to the title as a whole (playlists, init segments):
    /// changes with the content, with what would be made of it, and with `what`, which is of `[a-z0-9.-]`.
    #[must_use]
    pub fn etag(&self, what: &str) -> String {
        format!("\"{}-{PLAN_VERSION}.{BYTES_VERSION}-{what}\"", self.content)
    }

    /// The entity tag of a segment, without making it: for conditional requests. Quotes included. That of an encoded one is weak: made
    /// again, it shows the same in other bytes, as its encoder may have come from another stretch.
    ///
    /// # Errors
    /// [`MediaError::NotFound`].
    pub fn segment_etag(
        &self,
        rendition: RenditionId,
        index: SegmentIndex,
        format: SegmentFormat,
    ) -> Result<String, MediaError> {
        self.listed(rendition, index).map_err(|e| self.told(e))?;
        Ok(self.tag_of(&self.key(rendition, Form::of(rendition, format), index.get())))
    }

    fn tag_of(&self, key: &SegmentKey) -> String {
        let weak = if key.rendition.is_transcoded() { "W/" } else { "" };
        weak.to_owned() + &self.etag(&format!("{}-{}", key.rendition, key.file_name()))
    }

    fn key(&self, rendition: RenditionId, form: Form, index: u32) -> SegmentKey {
        SegmentKey { content: self.content.clone(), rendition, form, index }
    }

    /// A segment: `index` counts from 0 as in the playlist. For `subtitles-{n}` it is WebVTT, mapped for the format.
    ///
    /// # Errors
    /// [`MediaError::NotFound`], or why its first bytes could not be had; later errors come through the stream.
    ///
    /// # Cancel safety
    /// Safe: the demand is withdrawn.
    pub async fn segment(
        self: &Arc<Self>,
        rendition: RenditionId,
        index: SegmentIndex,
        format: SegmentFormat,
    ) -> Result<SegmentBody, MediaError> {
        let (segment, _) = self.listed(rendition, index).map_err(|e| self.told(e))?;
        let form = Form::of(rendition, format);
        if rendition.is_transcoded() && form != Form::M4s {
            return Err(self.not_found(format!("MPEG-TS of {rendition}: it is made as fMP4 only")));
        }
        let key = self.key(rendition, form, index.get());
        if let Some(disk) = &self.workshop.disk {
            disk.playhead(&key);
        }
        let hinted = self.hint(rendition, index).then(|| Hinted::new(self, rendition, index));
        let mut route = if rendition.is_transcoded() {
            Route::Shared(self.encoding(rendition)?.cost(rendition, index))
        } else {
            making::route(&self.planned, form, rendition, index, &segment)
        };
        if form == Form::M4s && !rendition.is_transcoded() && self.workshop.is_crowded_for(&key) {
            route = Route::Layout;
        }
        let answer = match route {
            Route::Layout => self.streamed(&key, index).await,
            Route::Shared(cost) => {
                let material = self.material();
                match rendition {
                    RenditionId::Subtitles(n) => {
                        let form = SubtitleForm::Segment(index, format);
                        self.workshop
                            .ask(&self.video_id, key.clone(), cost, material.subtitles(n, form))
                            .await
                    }
                    RenditionId::H264(_) | RenditionId::Aac(_) => {
                        let encoding = Arc::clone(self.encoding(rendition)?);
                        let make = encoding.segment(material, rendition, index);
                        self.workshop.ask(&self.video_id, key.clone(), cost, make).await
                    }
                    _ => {
                        let make = material.segment(rendition, index, format);
                        self.workshop.ask(&self.video_id, key.clone(), cost, make).await
                    }
                }
                .map(|asking| SegmentBody {
                    len: asking.len(),
                    etag: self.tag_of(&key),
                    body: SegmentStream::shared(self, asking),
                })
            }
        };
        let answer = answer.map(|mut answer| {
            if let Some(hinted) = hinted {
                answer.body.hinted(hinted, answer.len);
            }
            answer
        });
        answer.inspect_err(|e| self.noticed(e))
    }

    async fn streamed(
        self: &Arc<Self>,
        key: &SegmentKey,
        index: SegmentIndex,
    ) -> Result<SegmentBody, MediaError> {
        let cell = self.layouts.lock().unwrap_or_else(PoisonError::into_inner).get((key.rendition, index));
        let layout = cell
            .get_or_try_init(|| async {
                let made =
                    making::layout(&self.video_id, &*self.source, &self.planned, key.rendition, index).await;
                bump(&self.workshop.counters.segments_made, 1);
                made.map(Arc::new)
            })
            .await?;
        let stream = LayoutStream::new(Arc::clone(&self.source), Arc::clone(layout));
        Ok(SegmentBody {
            len: Some(layout.len),
            etag: self.tag_of(key),
            body: SegmentStream::layout(self, stream),
        })
    }

    /// Says which bytes will be wanted: this segment's now, the following ones' when their turn comes. Whether
    /// there was anybody to tell.
    fn hint(&self, rendition: RenditionId, index: SegmentIndex) -> bool {
        // The page cache of a disk reads ahead by itself.
        if self.file.is_some() || self.source.is_here() {
            return false;
        }
        let mut deadline = 0.0;
        for n in index.get()..=index.get().saturating_add(HINTED_SEGMENTS) {
            let index = SegmentIndex::new(n);
            let Ok((segment, timescale)) = self.listed(rendition, index) else { return true };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "milliseconds of a few segments; a cast of a float saturates"
            )]
            let deadline_ms = (deadline * 1_000.0) as u32;
            for range in self.hinted(rendition, index) {
                self.source.hint(ReadHint { range, deadline_ms });
            }
            deadline += timescale.seconds(i64::try_from(segment.duration).unwrap_or(i64::MAX));
        }
        true
    }

    /// What is hinted of a segment: what lies between a track's chunks is of other tracks, which are wanted, too.
    fn hinted(&self, rendition: RenditionId, index: SegmentIndex) -> Vec<ByteRange> {
        let mut joined: Vec<ByteRange> = Vec::new();
        // What is transcoded is made from cut segments.
        let fed = self.transcodes().and_then(|t| t.fed_from(rendition, index));
        let (rendition, (from, to)) =
            fed.unwrap_or((rendition, (index.get(), index.get().saturating_add(1))));
        let ranges = (from..to)
            .flat_map(|n| self.planned.byte_ranges(rendition, SegmentIndex::new(n)).unwrap_or_default());
        for range in ranges {
            match joined.last_mut() {
                Some(last) if range.start().saturating_sub(last.end()) <= HINT_GAP_BYTES_MAX => {
                    *last = ByteRange::new(last.start(), range.end().max(last.end()));
                }
                _ => joined.push(range),
            }
        }
        joined
    }

    /// Whoever asked for this segment left before its end, which is what a player does that seeks: what would have come
    /// next is not wanted any more.
    pub(crate) fn left(&self, rendition: RenditionId, index: SegmentIndex) {
        let last = index.get().saturating_add(HINTED_SEGMENTS);
        for n in index.get()..=last {
            for range in self.hinted(rendition, SegmentIndex::new(n)) {
                self.source.forget(range);
            }
        }
    }

    /// A whole subtitle track (`n` counts subtitle tracks from 0). In Matroska this looks through the whole file.
    ///
    /// # Errors
    /// [`MediaError::NotFound`] for no such track, [`MediaError::NotPlayable`] for a form it cannot be given in.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn subtitles(
        self: &Arc<Self>,
        n: usize,
        format: SubtitleFormat,
    ) -> Result<SegmentBody, MediaError> {
        let rendition = RenditionId::Subtitles(n);
        let first = SegmentIndex::new(0);
        let segment = *self.planned.segment(rendition, first).map_err(|e| self.told(e))?;
        let (kind, form) = match format {
            SubtitleFormat::Vtt => (Form::WholeVtt, SubtitleForm::WholeVtt),
            SubtitleFormat::Ass => (Form::WholeAss, SubtitleForm::WholeAss),
        };
        let Route::Shared(cost) = making::route(&self.planned, kind, rendition, first, &segment) else {
            return Err(MediaError::Internal {
                title: self.video_id.to_string(),
                detail: "subtitles do not lie in the file as they are sent".to_owned(),
            });
        };
        let key = self.key(rendition, kind, 0);
        let make = self.material().subtitles(n, form);
        let asking = self
            .workshop
            .ask(&self.video_id, key.clone(), cost, make)
            .await
            .inspect_err(|e| self.noticed(e))?;
        Ok(SegmentBody {
            len: asking.len(),
            etag: self.tag_of(&key),
            body: SegmentStream::shared(self, asking),
        })
    }

    /// A file within the file, by name, with its media type as stated (hostile: the surface decides what to send).
    ///
    /// # Errors
    /// [`MediaError::NotFound`]; [`MediaError::NotPlayable`] if it is larger than [`ATTACHMENT_BYTES_MAX`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn attachment(self: &Arc<Self>, name: &str) -> Result<(String, SegmentBody), MediaError> {
        let found = self.planned.movie.attachments.iter().enumerate().find(|(_, a)| a.name == name);
        let Some((n, attachment)) = found else {
            let name: String = name.chars().take(64).collect();
            return Err(self.not_found(format!("attachment `{name}`")));
        };
        let range = attachment.bytes.intersection(ByteRange::new(0, self.source.len()));
        if range.len() > ATTACHMENT_BYTES_MAX {
            return Err(MediaError::NotPlayable {
                title: self.video_id.to_string(),
                reason: crate::NotPlayableReason::Limit,
                detail: format!(
                    "attachment {n} is {} bytes, the limit is {ATTACHMENT_BYTES_MAX}",
                    range.len()
                ),
            });
        }
        let layout = Layout { parts: vec![Part::Source(range)], len: range.len() };
        let stream = LayoutStream::new(Arc::clone(&self.source), Arc::new(layout));
        let body = SegmentBody {
            len: Some(range.len()),
            etag: self.etag(&format!("attachment-{n}")),
            body: SegmentStream::layout(self, stream),
        };
        Ok((attachment.media_type.clone(), body))
    }

    fn material(&self) -> Material {
        Material {
            title: Arc::clone(&self.video_id),
            source: Arc::clone(&self.source),
            planned: self.planned.clone(),
        }
    }

    fn not_found(&self, what: String) -> MediaError {
        MediaError::NotFound { title: self.video_id.to_string(), what }
    }

    fn told(&self, error: packager::PackagerError) -> MediaError {
        told(&self.video_id, error)
    }
}

/// What is made once per title and small.
fn kept<K: Eq + std::hash::Hash>(
    map: &Mutex<HashMap<K, Bytes>>,
    key: K,
    make: impl FnOnce() -> Result<Bytes, MediaError>,
) -> Result<Bytes, MediaError> {
    let lock = || map.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(bytes) = lock().get(&key) {
        return Ok(bytes.clone());
    }
    let bytes = make()?;
    lock().insert(key, bytes.clone());
    Ok(bytes)
}

impl Drop for Title {
    fn drop(&mut self) {
        if let Some(disk) = &self.workshop.disk {
            disk.watch(&self.content, false);
        }
    }
}

impl fmt::Debug for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Title").field("video_id", &self.video_id).field("content", &self.content).finish()
    }
}
