//! Chapters kept as a text track (QuickTime File Format, "Chapter lists"): a sample is a chapter, its text the name.

use byte_source::ByteRange;

use super::{TableSample, udta};
use crate::{Chapter, Timescale, limits};

/// Names are fetched only from so short a stretch: elsewhere they lie strewn over the film, and reading them would cost
/// a torrent its start.
const NAMES_BYTES_MAX: u64 = 1 << 20;

/// Chapters whose names are still to be read.
#[derive(Debug)]
pub(super) struct ChapterTrack {
    chapters: Vec<Chapter>,
    names: Vec<ByteRange>,
}

impl ChapterTrack {
    /// The chapters of a text track.
    pub(super) fn new(samples: &[TableSample], timescale: Timescale) -> Self {
        let nanoseconds = |ticks: i64| {
            let ticks = u64::try_from(ticks).unwrap_or(0);
            super::moov::nanoseconds(ticks, timescale.get()).unwrap_or(u64::MAX)
        };
        let samples = samples.get(..limits::CHAPTERS_MAX).unwrap_or(samples);
        let chapters = samples
            .iter()
            .map(|sample| Chapter {
                start_ns: nanoseconds(sample.pts),
                end_ns: Some(nanoseconds(sample.pts.saturating_add(sample.duration.into()))),
                title: String::new(),
            })
            .collect();
        let names = samples.iter().filter_map(|s| ByteRange::at(s.offset, s.size.into())).collect();
        Self { chapters, names }
    }

    /// Where the names lie, if they are worth reading.
    pub(super) fn wanted(&self) -> Option<ByteRange> {
        let hull = self.names.iter().fold(ByteRange::default(), |hull, name| hull.hull(*name));
        (!hull.is_empty() && hull.len() <= NAMES_BYTES_MAX).then_some(hull)
    }

    /// The chapters, named from the bytes that begin at `start`.
    pub(super) fn named(mut self, start: u64, bytes: &[u8]) -> Vec<Chapter> {
        for (chapter, name) in self.chapters.iter_mut().zip(&self.names) {
            let from = name.start().checked_sub(start).and_then(|from| usize::try_from(from).ok());
            let text = from.and_then(|from| {
                let (len, rest) = bytes.get(from..)?.split_first_chunk::<2>()?;
                rest.get(..u16::from_be_bytes(*len).into())
            });
            chapter.title = text.and_then(udta::text).unwrap_or_default();
        }
        self.chapters
    }

    /// The chapters without names.
    pub(super) fn unnamed(self) -> Vec<Chapter> {
        self.chapters
    }
}
