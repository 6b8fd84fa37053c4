//! Text subtitles: WebVTT by segment, and whole tracks as WebVTT or ASS.
//!
//! A cue that is shown over a boundary is in both segments. Turning a format's text into WebVTT is `container`'s.

use byte_source::ByteRange;
use bytes::Bytes;
use container::{
    ContainerError, Format, Index, Pull, PullParser, Timescale, Track,
    codec::{CodecConfig, TextFormat},
    matroska::{self, MatroskaIndex},
    subtitle::{CueReader, ass},
    write::webvtt::{TimestampMap, VttHeader, write_vtt},
};

use crate::{
    PackagerError, Planned, RenditionId, SegmentFormat, SegmentIndex,
    cut::clusters_of,
    limits,
    script::{Asker, Script},
    ts::TS_OFFSET,
    walk::{self, Seen, Walk},
};

/// What to make of a subtitle track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubtitleForm {
    /// One segment's WebVTT; in the TS form it carries `X-TIMESTAMP-MAP`.
    Segment(SegmentIndex, SegmentFormat),
    /// The whole track as WebVTT. Without an index of its cues this reads through the whole file.
    WholeVtt,
    /// The whole track as ASS, with its styles; only for tracks that are ASS.
    WholeAss,
}

/// Makes a subtitle file. Gives one text.
#[derive(Debug)]
pub struct SubtitleMaker {
    script: Script<String>,
}

impl SubtitleMaker {
    /// For `subtitles-{n}`.
    ///
    /// # Errors
    /// [`PackagerError::NoSuchRendition`], [`PackagerError::NoSuchSegment`]; [`PackagerError::NotPlayable`] if the
    /// track is not text, or ASS is asked of another format.
    pub fn new(planned: &Planned, n: usize, form: SubtitleForm) -> Result<Self, PackagerError> {
        let rendition = RenditionId::Subtitles(n);
        let track = planned.rendition_track(rendition)?;
        let mut intervals = (0, u32::try_from(planned.plan.intervals.len()).unwrap_or(u32::MAX));
        let mut shown_ms = (i64::MIN, i64::MAX);
        if let SubtitleForm::Segment(index, _) = form {
            let segment = planned.segment(rendition, index)?;
            let count = planned.segments(rendition)?.len();
            intervals = segment.intervals;
            let scale = planned.plan.track(track).map_or(planned.plan.clock, |t| t.timescale);
            let ms = |ticks: u64| scale.rescale(i64::try_from(ticks).unwrap_or(i64::MAX), Timescale::MILLIS);
            let last = index.as_usize() + 1 == count;
            let end = if last { i64::MAX } else { ms(segment.start.saturating_add(segment.duration)) };
            shown_ms = (if index.get() == 0 { i64::MIN } else { ms(segment.start) }, end);
        }
        let format = match planned.movie.tracks.get(track).map(|t| &t.codec) {
            Some(CodecConfig::Text(format)) => format.clone(),
            other => {
                let name = other.map_or("nothing", |c| c.name());
                return Err(PackagerError::NotPlayable(format!(
                    "subtitle track {track} ({name}) is not text"
                )));
            }
        };
        if form == SubtitleForm::WholeAss && !matches!(format, TextFormat::Ass(_)) {
            return Err(PackagerError::NotPlayable(format!("subtitle track {track} is not ASS")));
        }
        let lines = Lines { planned: planned.clone(), track, intervals, shown_ms };
        let script = Script::new(move |ask| async move {
            let lines = lines.read(&ask).await?;
            write(form, &format, &lines)
        });
        Ok(Self { script })
    }
}

impl PullParser for SubtitleMaker {
    type Item = String;

    fn poll(&mut self) -> Result<Pull<String>, ContainerError> {
        self.script.poll()
    }

    fn feed(&mut self, range: ByteRange, bytes: Bytes) {
        self.script.feed(range, bytes);
    }
}

/// A sample of the track, in our time.
struct Line {
    start_ms: i64,
    duration_ms: i64,
    payload: Bytes,
}

/// How long a line is shown that does not say and is not followed by another, milliseconds.
const SHOWN_MS: i64 = 4_000;

fn write(form: SubtitleForm, format: &TextFormat, lines: &[Line]) -> Result<String, ContainerError> {
    let text = if let (SubtitleForm::WholeAss, TextFormat::Ass(header)) = (form, format) {
        let events = lines.iter().map(|line| ass::Event {
            start_ms: line.start_ms,
            end_ms: line.start_ms.saturating_add(line.duration_ms),
            payload: &line.payload,
        });
        ass::rebuild(header, events)?
    } else {
        let reader = CueReader::new(format);
        let cues: Vec<_> =
            lines.iter().flat_map(|l| reader.cues(l.start_ms, l.duration_ms, &l.payload)).collect();
        let timestamp_map = match form {
            SubtitleForm::Segment(_, SegmentFormat::Ts) => {
                Some(TimestampMap { mpegts: TS_OFFSET.unsigned_abs(), local_ms: 0 })
            }
            _ => None,
        };
        write_vtt(&cues, VttHeader { timestamp_map })
    };
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Which lines are wanted.
struct Lines {
    planned: Planned,
    track: usize,
    intervals: (u32, u32),
    /// Shown at any time of this, milliseconds of our time, half-open.
    shown_ms: (i64, i64),
}

impl Lines {
    async fn read(&self, ask: &Asker) -> Result<Vec<Line>, ContainerError> {
        match &self.planned.movie.index {
            Index::Mp4(_) => self.of_table(ask).await,
            Index::Matroska(index) => {
                let mut seen = if index.cues.iter().any(|c| c.track == self.track) {
                    self.of_cues(ask, index).await?
                } else {
                    self.of_clusters(ask).await?
                };
                seen.sort_by_key(|s| s.ns);
                self.of_blocks(ask, seen).await
            }
        }
    }

    fn is_shown(&self, start_ms: i64, end_ms: i64) -> bool {
        start_ms < self.shown_ms.1 && end_ms > self.shown_ms.0
    }

    async fn of_table(&self, ask: &Asker) -> Result<Vec<Line>, ContainerError> {
        let mut lines = Vec::new();
        let (Some(view), Some(plan)) = (self.planned.table(self.track), self.planned.plan.track(self.track))
        else {
            return Ok(lines);
        };
        let ms = |ticks: i64| plan.timescale.rescale(ticks, Timescale::MILLIS);
        for n in (0..u32::MAX).take_while(|n| view.get(*n).is_some()) {
            let (start, end) = (ms(view.pts(n)), ms(view.end(n)));
            let bytes = view.bytes(n);
            // An empty sample clears the screen: two bytes of length in tx3g.
            if bytes.len() > 2 && bytes.end() <= self.planned.movie.len && self.is_shown(start, end) {
                let payload = ask.read(bytes).await?;
                lines.push(Line { start_ms: start, duration_ms: end.saturating_sub(start), payload });
            }
        }
        Ok(lines)
    }

    fn track(&self) -> Option<&Track> {
        self.planned.movie.tracks.get(self.track)
    }

    /// Our time of a block.
    fn ms(&self, ns: i64) -> i64 {
        let shift = self.planned.plan.track(self.track).map_or(0, |t| t.shift);
        ns.saturating_add(500_000).div_euclid(1_000_000).saturating_add(shift)
    }

    /// Where the file indexes its subtitles: those shown in time, each read where it lies.
    async fn of_cues(&self, ask: &Asker, index: &MatroskaIndex) -> Result<Vec<Seen>, ContainerError> {
        let movie = &self.planned.movie;
        let mut found = Vec::new();
        for cue in index.cues.iter().filter(|c| c.track == self.track).take(limits::SUBTITLES_MAX) {
            let start = self.ms(walk::cue_ns(movie, index, cue));
            let lasts = cue.duration.map(|d| d.saturating_mul(index.timestamp_scale_ns) / 1_000_000);
            let lasts = lasts.and_then(|ms| i64::try_from(ms).ok());
            let end = start.saturating_add(lasts.unwrap_or(i64::from(limits::SUBTITLE_LOOK_BACK_MS)));
            if !self.is_shown(start, end) {
                continue;
            }
            match walk::cued_block(ask, movie, index, cue).await? {
                Some(mut seen) => {
                    seen.duration_ns = lasts.map_or(seen.duration_ns, |ms| ms.unsigned_abs() * 1_000_000);
                    found.push(seen);
                }
                None => found.extend(self.walk_to(ask, index, cue).await?),
            }
        }
        Ok(found)
    }

    async fn walk_to(
        &self,
        ask: &Asker,
        index: &MatroskaIndex,
        cue: &matroska::CuePoint,
    ) -> Result<Option<Seen>, ContainerError> {
        let range = ByteRange::new(cue.cluster, index.clusters_end);
        let ns = walk::cue_ns(&self.planned.movie, index, cue);
        let mut walk = Walk::hop(&self.planned.movie, range);
        for _ in 0..limits::CUE_BLOCKS_MAX {
            match walk.next(ask).await? {
                Some(seen) if seen.cluster != cue.cluster => break,
                Some(seen) if seen.track == self.track && seen.ns == ns => return Ok(Some(seen)),
                Some(_) => {}
                None => break,
            }
        }
        Ok(None)
    }

    /// Else by walking the segment's clusters, and those of a little time before.
    async fn of_clusters(&self, ask: &Asker) -> Result<Vec<Seen>, ContainerError> {
        let plan = &self.planned.plan;
        let back = self.shown_ms.0.saturating_sub(i64::from(limits::SUBTITLE_LOOK_BACK_MS));
        let mut first = self.intervals.0;
        while first > 0
            && plan
                .intervals
                .get(first as usize)
                .is_some_and(|i| plan.clock.rescale(i.start, Timescale::MILLIS) > back)
        {
            first -= 1;
        }
        let mut range = clusters_of(&self.planned, (first, self.intervals.1));
        // Subtitles are muxed a little before or after the pictures they go with.
        let end = range.end().saturating_add(limits::SUBTITLE_AHEAD_BYTES).min(self.planned.clusters().end());
        range = ByteRange::new(range.start(), end);
        let mut walk = Walk::hop(&self.planned.movie, range);
        let mut found = Vec::new();
        while let Some(seen) = walk.next(ask).await? {
            if seen.track == self.track && found.len() < limits::SUBTITLES_MAX {
                found.push(seen);
            }
        }
        Ok(found)
    }

    async fn of_blocks(&self, ask: &Asker, seen: Vec<Seen>) -> Result<Vec<Line>, ContainerError> {
        let Some(track) = self.track() else { return Ok(Vec::new()) };
        let starts: Vec<i64> = seen.iter().map(|s| self.ms(s.ns)).collect();
        let mut lines = Vec::new();
        for (n, seen) in seen.iter().enumerate() {
            let start = starts.get(n).copied().unwrap_or(0);
            let stated = i64::try_from(seen.duration_ns / 1_000_000).unwrap_or(i64::MAX);
            let next = starts.get(n + 1).map_or(SHOWN_MS, |next| next.saturating_sub(start).min(SHOWN_MS));
            let duration = if stated > 0 { stated } else { next };
            if !self.is_shown(start, start.saturating_add(duration)) {
                continue;
            }
            if seen.bytes.len() > limits::SUBTITLE_BYTES_MAX {
                let (value, limit) = (seen.bytes.len(), limits::SUBTITLE_BYTES_MAX);
                let what = "length of a subtitle";
                return Err(ContainerError::limit(Format::Matroska, seen.element, what, value, limit));
            }
            let stored = ask.read(seen.bytes).await?;
            let whole = if track.strip_prefix.is_empty() {
                stored
            } else {
                [&*track.strip_prefix, &*stored].concat().into()
            };
            let payload = if track.deflated { matroska::inflate(&whole, seen.element)? } else { whole };
            lines.push(Line { start_ms: start, duration_ms: duration, payload });
        }
        Ok(lines)
    }
}
