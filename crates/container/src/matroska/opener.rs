//! Finds and reads everything but the clusters, wherever it lies.
//!
//! The head is read in order up to the first cluster; what lies past the clusters is found through the SeekHead, or,
//! where no SeekHead says so, by hopping from one top-level element to the next, a bounded number of times.

use std::collections::{BTreeSet, VecDeque};

use byte_source::ByteRange;
use bytes::Bytes;

use super::{
    CuePoint, MatroskaIndex,
    ebml::{Elements, HEADER_BYTES_MAX as ELEMENT_HEADER_BYTES_MAX, Header, header, malformed},
    ids,
    index::{self, Info},
    tracks,
};
use crate::{
    Attachment, Chapter, ContainerError, Format, Index, Movie, Track,
    limits::{ATTACHMENTS_MAX, CUES_BYTES_MAX, HEADER_BYTES_MAX, TEXT_BYTES_MAX, TOP_LEVEL_MAX},
    pull::{Pull, PullParser},
};

/// The first read: header, Info and Tracks of nearly every film.
const HEAD_WINDOW_BYTES: u64 = 8 << 10;
/// A read where the SeekHead points: the Cues of a film of two hours in one go.
const TARGET_WINDOW_BYTES: u64 = 32 << 10;
/// A read that only looks at an element header.
const HOP_WINDOW_BYTES: u64 = 16;
/// A read of an attachment's name and type, which stand before its data: there may be hundreds of fonts.
const ATTACHMENT_WINDOW_BYTES: u64 = 512;
/// Bytes of an attachment's header before its data: names and descriptions.
const ATTACHMENT_HEAD_BYTES_MAX: u64 = TEXT_BYTES_MAX;
/// Reads in all: every hop, and a few for each attachment.
const READS_MAX: u64 = 20_000;
/// Elements before the Segment. The specification lets nothing but Void stand there.
const BEFORE_SEGMENT_MAX: usize = 8;
/// Hops over clusters in search of an index that no SeekHead names. A film of three hours has about 2,000 clusters.
const HOPS_MAX: usize = 5_000;

/// Reads everything but the clusters.
#[derive(Debug)]
pub struct Opener {
    len: u64,
    /// The bytes in hand.
    window: Window,
    stage: Stage,
    segment: ByteRange,
    segment_sized: bool,
    seen: BTreeSet<u64>,
    elements: usize,
    hops: usize,
    searches: bool,
    reads: u64,
    info: Info,
    tracks: Option<Vec<Track>>,
    cues: Option<(u64, Bytes)>,
    chapters: Vec<Chapter>,
    attachments: Vec<Attachment>,
    seek_says_cues: bool,
    first_cluster: Option<u64>,
    after_clusters: Option<u64>,
    targets: VecDeque<(u32, u64)>,
}

#[derive(Debug, Default)]
struct Window {
    start: u64,
    bytes: Bytes,
}

impl Window {
    fn get(&self, range: ByteRange) -> Option<Bytes> {
        let from = usize::try_from(range.start().checked_sub(self.start)?).ok()?;
        let to = from.checked_add(usize::try_from(range.len()).ok()?)?;
        (to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
    }

    /// What is in hand from `at` on.
    fn from(&self, at: u64) -> &[u8] {
        let from = at.checked_sub(self.start).and_then(|n| usize::try_from(n).ok());
        from.and_then(|n| self.bytes.get(n..)).unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The EBML header.
    Start,
    /// The Segment's own header, here; what is not it has been passed over this often.
    Segment(u64, usize),
    /// Top-level elements in order, from here.
    Scan(u64),
    /// Inside Attachments: next child, end.
    Attachments(u64, u64, After),
    /// What the SeekHead names.
    Targets,
    /// Over the clusters, from here, in search of Cues.
    Hop(u64),
}

#[derive(Clone, Copy, Debug)]
enum After {
    Scan,
    Targets,
}

/// What became of an element: it was read, or these bytes are missing.
enum Read {
    Done(u64),
    Need(ByteRange),
}

impl Opener {
    /// For a file of `len` bytes.
    #[must_use]
    pub fn new(len: u64) -> Self {
        Self {
            len,
            window: Window::default(),
            stage: Stage::Start,
            segment: ByteRange::default(),
            segment_sized: false,
            seen: BTreeSet::new(),
            elements: 0,
            hops: 0,
            searches: true,
            reads: 0,
            info: Info::default(),
            tracks: None,
            cues: None,
            chapters: Vec::new(),
            attachments: Vec::new(),
            seek_says_cues: false,
            first_cluster: None,
            after_clusters: None,
            targets: VecDeque::new(),
        }
    }

    /// Does not look for Cues that no SeekHead names: most of the file is not here.
    #[must_use]
    pub fn without_search(self) -> Self {
        Self { searches: false, ..self }
    }

    /// The bytes from `at`, `window` of them or up to the file's end.
    fn ask(&self, at: u64, window: u64) -> ByteRange {
        ByteRange::new(at, at.saturating_add(window).min(self.len))
    }

    /// The element header at `at`, or what to read for it. `Ok(None)` at the end of the file.
    fn header_at(&self, at: u64, window: u64) -> Result<Option<Result<Header, ByteRange>>, ContainerError> {
        let here = self.window.from(at);
        if let Some(found) = header(here, at)? {
            return Ok(Some(Ok(found)));
        }
        let rest = self.len.saturating_sub(at);
        if here.len() as u64 >= rest || here.len() >= ELEMENT_HEADER_BYTES_MAX {
            return Ok(None);
        }
        Ok(Some(Err(self.ask(at, window))))
    }

    fn start(&mut self) -> Result<Option<ByteRange>, ContainerError> {
        let Some(ebml) = self.header_at(0, HEAD_WINDOW_BYTES)? else {
            return Err(truncated(0, "the EBML header"));
        };
        let ebml = match ebml {
            Ok(ebml) => ebml,
            Err(need) => return Ok(Some(need)),
        };
        let size = ebml.size.filter(|size| *size <= TEXT_BYTES_MAX);
        let (ids::EBML, Some(size)) = (ebml.id, size) else {
            return Err(malformed(0, format!("no EBML header but element {:#x}", ebml.id)));
        };
        let body = ByteRange::new(ebml.len, ebml.len + size);
        if body.end() > self.len {
            return Err(truncated(0, "the EBML header"));
        }
        let Some(payload) = self.window.get(body) else {
            return Ok(Some(self.ask(0, body.end().max(HEAD_WINDOW_BYTES))));
        };
        check_doc_type(&payload, ebml.len)?;
        self.stage = Stage::Segment(body.end(), 0);
        Ok(None)
    }

    fn segment(&mut self, at: u64, passed: usize) -> Result<Option<ByteRange>, ContainerError> {
        let found = match self.header_at(at, HEAD_WINDOW_BYTES)? {
            Some(Ok(found)) => found,
            Some(Err(need)) => return Ok(Some(need)),
            None => return Err(malformed(at, "no Segment after the EBML header")),
        };
        let start = at + found.len;
        if found.id == ids::SEGMENT {
            let end = found.size.map_or(self.len, |size| start.saturating_add(size).min(self.len));
            self.segment = ByteRange::new(start, end);
            self.segment_sized = found.size.is_some();
            self.stage = Stage::Scan(start);
            return Ok(None);
        }
        match found.size {
            Some(size) if passed < BEFORE_SEGMENT_MAX => {
                self.stage = Stage::Segment(start.saturating_add(size), passed + 1);
                Ok(None)
            }
            _ => Err(malformed(at, "no Segment after the EBML header")),
        }
    }

    /// One top-level element of the head.
    fn scan(&mut self, at: u64) -> Result<Option<ByteRange>, ContainerError> {
        self.count(at)?;
        let found = if at < self.segment.end() { self.header_at(at, HEAD_WINDOW_BYTES) } else { Ok(None) };
        let found = match found {
            Ok(Some(Ok(found))) => found,
            Ok(Some(Err(need))) => return Ok(Some(need)),
            // Garbage between elements ends the head; what came before it may be enough.
            Ok(None) | Err(_) => {
                self.stage = Stage::Targets;
                return Ok(None);
            }
        };
        if found.id == ids::CLUSTER {
            self.first_cluster = Some(at);
            self.stage = Stage::Targets;
            return Ok(None);
        }
        match self.element(found, at, After::Scan)? {
            Read::Need(need) => Ok(Some(need)),
            Read::Done(end) => {
                if matches!(self.stage, Stage::Scan(_)) {
                    self.stage = Stage::Scan(end);
                }
                Ok(None)
            }
        }
    }

    /// Reads a top-level element that is not a cluster. Attachments change the stage.
    fn element(&mut self, found: Header, at: u64, after: After) -> Result<Read, ContainerError> {
        let start = at + found.len;
        let Some(size) = found.size else {
            return Err(malformed(at, format!("element {:#x} of unknown size", found.id)));
        };
        let end = start.saturating_add(size);
        let limit = match found.id {
            ids::ATTACHMENTS => {
                if self.seen.insert(at) {
                    self.stage = Stage::Attachments(start, end.min(self.segment.end()), after);
                }
                return Ok(Read::Done(end));
            }
            ids::CUES => CUES_BYTES_MAX,
            ids::SEEK_HEAD | ids::INFO | ids::TRACKS | ids::CHAPTERS => HEADER_BYTES_MAX,
            _ => return Ok(Read::Done(end)),
        };
        if self.seen.contains(&at) {
            return Ok(Read::Done(end));
        }
        if size > limit {
            return Err(ContainerError::limit(Format::Matroska, at, name(found.id), size, limit));
        }
        if end > self.len {
            if matches!(found.id, ids::TRACKS | ids::INFO) {
                return Err(truncated(at, name(found.id)));
            }
            return Ok(Read::Done(end));
        }
        let Some(payload) = self.window.get(ByteRange::new(start, end)) else {
            return Ok(Read::Need(self.ask(at, found.len + size)));
        };
        self.seen.insert(at);
        self.take(found.id, payload, start)?;
        Ok(Read::Done(end))
    }

    fn take(&mut self, id: u32, payload: Bytes, offset: u64) -> Result<(), ContainerError> {
        match id {
            ids::INFO => self.info = index::info(&payload, offset)?,
            ids::TRACKS if self.tracks.is_none() => self.tracks = Some(tracks::read(&payload, offset)?),
            // A second index is the same index; broken chapters and cues cost themselves only.
            ids::CUES if self.cues.is_none() => self.cues = Some((offset, payload)),
            ids::CHAPTERS if self.chapters.is_empty() => {
                self.chapters = index::chapters(&payload, offset).unwrap_or_default();
            }
            ids::SEEK_HEAD => {
                for (id, position) in index::seek_head(&payload, offset).unwrap_or_default() {
                    self.seek_says_cues |= id == ids::CUES;
                    let at = self.segment.start().saturating_add(position);
                    let wanted = matches!(
                        id,
                        ids::CUES
                            | ids::INFO
                            | ids::TRACKS
                            | ids::CHAPTERS
                            | ids::ATTACHMENTS
                            | ids::SEEK_HEAD
                    );
                    if wanted && self.segment.contains(at) && self.targets.len() < 64 {
                        self.targets.push_back((id, at));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// One element that the SeekHead names.
    fn target(&mut self) -> Result<Option<Pull<Movie>>, ContainerError> {
        let Some(&(id, at)) = self.targets.front() else {
            // A file without any SeekHead may still have its Cues after the clusters.
            // One whose size was never filled in was not finished, and has none.
            let lost = self.searches && self.cues.is_none() && !self.seek_says_cues && self.segment_sized;
            return match self.first_cluster {
                Some(cluster) if self.hops == 0 && (lost || self.tracks.is_none()) => {
                    self.stage = Stage::Hop(cluster);
                    Ok(None)
                }
                _ => self.finish().map(|movie| Some(Pull::Item(movie))),
            };
        };
        self.count(at)?;
        if self.seen.contains(&at) {
            self.targets.pop_front();
            return Ok(None);
        }
        let found = match self.header_at(at, TARGET_WINDOW_BYTES) {
            Ok(Some(Ok(found))) => found,
            Ok(Some(Err(need))) => return Ok(Some(Pull::Need(need))),
            Ok(None) | Err(_) => {
                self.targets.pop_front();
                return Ok(None);
            }
        };
        if found.id != id || found.size.is_none() {
            self.targets.pop_front();
            return Ok(None);
        }
        if self.first_cluster.is_some_and(|first| at > first) {
            self.after_clusters = Some(self.after_clusters.map_or(at, |end| end.min(at)));
        }
        match self.element(found, at, After::Targets) {
            Ok(Read::Need(need)) => return Ok(Some(Pull::Need(need))),
            Ok(Read::Done(_)) => {}
            // What is not needed to play is not missed.
            Err(_) if !matches!(id, ids::TRACKS | ids::INFO) => {}
            Err(error) => return Err(error),
        }
        self.targets.pop_front();
        Ok(None)
    }

    /// Over one top-level element after the first cluster.
    fn hop(&mut self, at: u64) -> Result<Option<ByteRange>, ContainerError> {
        self.hops += 1;
        let known = if at < self.segment.end() && self.hops < HOPS_MAX {
            self.header_at(at, HOP_WINDOW_BYTES).unwrap_or(None)
        } else {
            None
        };
        let found = match known {
            Some(Ok(found)) => found,
            Some(Err(need)) => return Ok(Some(need)),
            None => {
                self.stage = Stage::Targets;
                return Ok(None);
            }
        };
        let Some(size) = found.size else {
            self.stage = Stage::Targets;
            return Ok(None);
        };
        if matches!(
            found.id,
            ids::CUES | ids::TRACKS | ids::INFO | ids::CHAPTERS | ids::ATTACHMENTS | ids::SEEK_HEAD
        ) {
            self.targets.push_back((found.id, at));
        }
        let end = at.saturating_add(found.len).saturating_add(size);
        self.stage = Stage::Hop(end);
        Ok(None)
    }

    /// One child of Attachments: its head is read, its data is not.
    fn attachment(&mut self, at: u64, end: u64, after: After) -> Result<Option<ByteRange>, ContainerError> {
        self.count(at)?;
        let back = match after {
            After::Scan => Stage::Scan(end),
            After::Targets => Stage::Targets,
        };
        if at >= end || self.attachments.len() >= ATTACHMENTS_MAX {
            self.stage = back;
            return Ok(None);
        }
        let found = match self.header_at(at, ATTACHMENT_WINDOW_BYTES) {
            Ok(Some(Ok(found))) => found,
            Ok(Some(Err(need))) => return Ok(Some(need)),
            Ok(None) | Err(_) => {
                self.stage = back;
                return Ok(None);
            }
        };
        let Some(size) = found.size else {
            self.stage = back;
            return Ok(None);
        };
        let start = at + found.len;
        let next = start.saturating_add(size);
        if found.id == ids::ATTACHED_FILE {
            let head = ByteRange::new(
                start,
                next.min(self.len).min(start.saturating_add(ATTACHMENT_HEAD_BYTES_MAX)),
            );
            let here = self.window.from(start);
            let here = &here[..here.len().min(usize::try_from(head.len()).unwrap_or(usize::MAX))];
            match attached(here, start) {
                Some(attachment) if attachment.bytes.end() <= self.len => self.attachments.push(attachment),
                None if (here.len() as u64) < head.len() => {
                    // More of the head than the window held; ask for all of it, once.
                    let more = (here.len() as u64 * 4).max(ATTACHMENT_WINDOW_BYTES).min(head.len());
                    return Ok(Some(self.ask(at, found.len + more)));
                }
                _ => {}
            }
        }
        self.stage = Stage::Attachments(next, end, after);
        Ok(None)
    }

    fn count(&mut self, at: u64) -> Result<(), ContainerError> {
        self.elements += 1;
        if self.elements > TOP_LEVEL_MAX {
            let (value, limit) = (self.elements as u64, TOP_LEVEL_MAX as u64);
            return Err(ContainerError::limit(
                Format::Matroska,
                at,
                "number of top-level elements",
                value,
                limit,
            ));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Movie, ContainerError> {
        let Some(mut tracks) = self.tracks.take() else {
            return Err(malformed(self.segment.start(), "no Tracks element"));
        };
        let scale = self.info.timestamp_scale_ns.unwrap_or(1_000_000);
        tracks.iter_mut().for_each(|track| track.timescale = tracks::timescale(scale));
        let cues: Vec<CuePoint> = match self.cues.take() {
            Some((offset, payload)) => {
                index::cues(&payload, offset, self.segment, &tracks).unwrap_or_default()
            }
            None => Vec::new(),
        };
        #[expect(clippy::cast_precision_loss, reason = "a nanosecond scale is far below 2^53")]
        let nanos = self.info.duration.map(|ticks| ticks * scale as f64);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to a century first"
        )]
        let stated = nanos.map(|ns| ns.clamp(0.0, 3.2e18) as u64);
        Ok(Movie {
            format: Format::Matroska,
            len: self.len,
            title: self.info.title.take(),
            stated_duration_ns: stated,
            tracks,
            chapters: std::mem::take(&mut self.chapters),
            attachments: std::mem::take(&mut self.attachments),
            index: Index::Matroska(MatroskaIndex {
                timestamp_scale_ns: scale,
                segment: self.segment,
                first_cluster: self.first_cluster,
                clusters_end: self.after_clusters.unwrap_or(self.segment.end()),
                cues,
            }),
        })
    }
}

impl PullParser for Opener {
    type Item = Movie;

    fn poll(&mut self) -> Result<Pull<Movie>, ContainerError> {
        loop {
            let need = match self.stage {
                Stage::Start => self.start()?,
                Stage::Segment(at, passed) => self.segment(at, passed)?,
                Stage::Scan(at) => self.scan(at)?,
                Stage::Attachments(at, end, after) => self.attachment(at, end, after)?,
                Stage::Hop(at) => self.hop(at)?,
                Stage::Targets => match self.target()? {
                    Some(Pull::Need(need)) => Some(need),
                    Some(item) => return Ok(item),
                    None => None,
                },
            };
            if let Some(need) = need {
                self.reads += 1;
                if self.reads > READS_MAX {
                    let (value, limit) = (self.reads, READS_MAX);
                    return Err(ContainerError::limit(
                        Format::Matroska,
                        need.start(),
                        "number of reads",
                        value,
                        limit,
                    ));
                }
                return Ok(Pull::Need(need));
            }
        }
    }

    fn feed(&mut self, range: ByteRange, bytes: Bytes) {
        self.window = Window { start: range.start(), bytes };
    }
}

/// Reads an AttachedFile whose first bytes are in hand; `None` if its data's place is not among them.
fn attached(head: &[u8], offset: u64) -> Option<Attachment> {
    let (mut name, mut media_type) = (String::new(), String::new());
    let mut at = 0_usize;
    for _ in 0..64 {
        let rest = head.get(at..)?;
        let here = offset + at as u64;
        let found = header(rest, here).ok()??;
        let size = found.size?;
        let start = here + found.len;
        if found.id == ids::FILE_DATA {
            return Some(Attachment { name, media_type, bytes: ByteRange::at(start, size)? });
        }
        let from = at + usize::try_from(found.len).ok()?;
        at = from.checked_add(usize::try_from(size).ok()?)?;
        let payload = head.get(from..at)?;
        let text = || Some(String::from_utf8_lossy(payload).into_owned());
        match found.id {
            ids::FILE_NAME => name = text()?,
            ids::FILE_MEDIA_TYPE => media_type = text()?,
            _ => {}
        }
    }
    None
}

fn check_doc_type(payload: &[u8], offset: u64) -> Result<(), ContainerError> {
    for child in Elements::new(payload, offset) {
        let child = child?;
        match child.id {
            ids::DOC_TYPE => {
                let doc_type = child.text()?;
                if !["matroska", "webm"].contains(&doc_type.as_str()) {
                    let what = format!("document type {doc_type:?}").into();
                    return Err(ContainerError::Unsupported { format: Format::Matroska, offset, what });
                }
            }
            ids::EBML_MAX_ID_LENGTH if child.uint()? > 4 => {
                return Err(malformed(child.offset, "IDs of more than 4 bytes"));
            }
            ids::EBML_MAX_SIZE_LENGTH if child.uint()? > 8 => {
                return Err(malformed(child.offset, "sizes of more than 8 bytes"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn truncated(offset: u64, what: &'static str) -> ContainerError {
    ContainerError::Truncated { format: Format::Matroska, offset, what }
}

fn name(id: u32) -> &'static str {
    match id {
        ids::CUES => "length of the Cues",
        ids::INFO => "length of the segment information",
        ids::TRACKS => "length of the Tracks",
        ids::CHAPTERS => "length of the Chapters",
        _ => "length of a SeekHead",
    }
}
