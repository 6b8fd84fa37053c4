//! A film from its first byte to its segments: opened, planned, listed, cut, packed.

use byte_source::ByteRange;
use bytes::Bytes;
use container::{
    Index, Movie, MovieOpener, TrackKind,
    codec::CodecConfig,
    matroska::{BlockWalker, Payload, WalkOptions, Walked},
};
use packager::{
    Cutter, PlanOptions, Planned, Planner, RenditionId, SegmentFormat, SegmentIndex, cmaf_layout, dash,
    init_segment,
    playlist::{self, MasterOptions},
    subtitles::{SubtitleForm, SubtitleMaker},
    ts_segment,
};

use crate::drive::{drive, slice};

/// Blocks walked at most: a mutated file may claim as many as it has bytes.
const BLOCKS_MAX: usize = 100_000;

/// How far a film went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// Refused when it was opened.
    Refused,
    /// Its header was read; it could not be planned.
    Opened,
    /// It was planned; no segment could be made.
    Planned,
    /// Segments came out.
    Packed,
}

/// Does with `file` what a server does when somebody watches it: the first, the middle and the last segment of each
/// rendition in each form.
///
/// # Panics
/// When the code under test does.
#[must_use]
pub fn film(file: &Bytes) -> Reached {
    let Ok(movie) = drive(&mut MovieOpener::new(file.len() as u64), file) else { return Reached::Refused };
    look(&movie);
    let Ok(planned) = drive(&mut Planner::new(movie, PlanOptions::default()), file) else {
        return Reached::Opened;
    };
    check(&planned, file);
    list(&planned);
    if pack(&planned, file) { Reached::Packed } else { Reached::Planned }
}

/// Opens `file` and walks its blocks, where it is Matroska: with payload from the first cluster, without from the middle.
///
/// # Panics
/// When the code under test does.
pub fn walk(file: &Bytes) {
    let len = file.len() as u64;
    let Ok(movie) = drive(&mut MovieOpener::new(len), file) else { return };
    look(&movie);
    let Index::Matroska(index) = &movie.index else { return };
    let Some(first) = index.first_cluster.filter(|first| *first < len) else { return };
    for (start, payload, window) in
        [(first, Payload::Whole, 64 << 10), (first.midpoint(len), Payload::None, 16)]
    {
        let options = WalkOptions { range: ByteRange::new(start, len), tracks: Vec::new(), payload, window };
        blocks(&movie, options, file);
    }
}

fn blocks(movie: &Movie, options: WalkOptions, file: &Bytes) {
    let mut walker = BlockWalker::new(movie, options);
    for _ in 0..BLOCKS_MAX {
        let Ok(Walked::Block(block)) = drive(&mut walker, file) else { return };
        assert!(block.sample.bytes.end() <= movie.len, "a block outside the file: {block:?}");
        if let (Some(track), Some(data)) = (movie.tracks.get(block.track), &block.data) {
            frame(&track.codec, data);
        }
    }
}

/// Asks a codec everything that is asked of it about a frame.
pub(crate) fn frame(codec: &CodecConfig, data: &[u8]) {
    let _ = (codec.random_access(data), codec.frame_samples(data));
    let mut codec = codec.clone();
    let _ = codec.complete_from_frame(data);
    ask(&codec);
}

/// Asks a codec everything that is asked of its record.
pub(crate) fn ask(codec: &CodecConfig) {
    let string = codec.rfc6381();
    assert!(
        string.is_none_or(|s| s.is_ascii() && !s.contains(['"', ',', '\n'])),
        "a codec string no playlist can hold"
    );
    let _ = (codec.name(), codec.wants_first_frame(), codec.frame_samples_constant(), codec.reorder_frames());
}

fn look(movie: &Movie) {
    for track in &movie.tracks {
        ask(&track.codec);
    }
    for attachment in &movie.attachments {
        assert!(attachment.bytes.end() <= movie.len, "an attachment outside the file");
    }
}

/// What must be true of every plan, however odd the file.
fn check(planned: &Planned, file: &Bytes) {
    assert_eq!(planned.plan.file_len, file.len() as u64);
    for track in &planned.plan.tracks {
        assert!(!track.segments.is_empty(), "track {} is planned without a segment", track.track);
        for pair in track.segments.windows(2) {
            assert_eq!(
                pair[0].start.checked_add(pair[0].duration),
                Some(pair[1].start),
                "segments do not join"
            );
        }
    }
    let again = Planner::resume((*planned.movie).clone(), (*planned.plan).clone());
    assert!(again.is_ok(), "a plan just made is not taken back: {again:?}");
}

fn list(planned: &Planned) {
    for format in [SegmentFormat::Fmp4, SegmentFormat::Ts] {
        let options = MasterOptions { format, codecs: None };
        let _ = playlist::multivariant(planned, &options);
        let _ = dash::manifest(planned, &options);
        for rendition in renditions(planned) {
            let _ = playlist::media(planned, rendition, format);
        }
    }
}

fn renditions(planned: &Planned) -> Vec<RenditionId> {
    let count = |kind| planned.of_kind(kind).count().min(8);
    [RenditionId::Source, RenditionId::IFrames]
        .into_iter()
        .chain((0..count(TrackKind::Audio)).map(RenditionId::Audio))
        .chain((0..count(TrackKind::Subtitle)).map(RenditionId::Subtitles))
        .collect()
}

fn pack(planned: &Planned, file: &Bytes) -> bool {
    let mut packed = false;
    for rendition in renditions(planned) {
        let _ = init_segment(planned, rendition);
        let count = planned.segments(rendition).map_or(0, <[_]>::len);
        let mut indices = vec![0, count / 2, count.saturating_sub(1), count];
        indices.dedup();
        for index in indices.into_iter().filter_map(|n| Some(SegmentIndex::new(u32::try_from(n).ok()?))) {
            packed |= segment(planned, file, rendition, index);
        }
    }
    for n in 0..planned.of_kind(TrackKind::Subtitle).count().min(8) {
        for form in subtitle_forms() {
            if let Ok(mut maker) = SubtitleMaker::new(planned, n, form) {
                let _ = drive(&mut maker, file);
            }
        }
    }
    packed
}

fn subtitle_forms() -> [SubtitleForm; 4] {
    [
        SubtitleForm::Segment(SegmentIndex::new(0), SegmentFormat::Fmp4),
        SubtitleForm::Segment(SegmentIndex::new(1), SegmentFormat::Ts),
        SubtitleForm::WholeVtt,
        SubtitleForm::WholeAss,
    ]
}

fn segment(planned: &Planned, file: &Bytes, rendition: RenditionId, index: SegmentIndex) -> bool {
    let mut packed = false;
    if let Ok(mut cutter) = Cutter::new(planned, rendition, index)
        && let Ok(cut) = drive(&mut cutter, file)
        && let Ok(layout) = cmaf_layout(&cut)
    {
        let len: u64 = layout
            .parts
            .iter()
            .map(|part| match part {
                packager::Part::Inline(bytes) => bytes.len() as u64,
                packager::Part::Source(range) => slice(file, *range).len() as u64,
            })
            .sum();
        assert_eq!(len, layout.len, "a layout that does not know its length");
        packed = true;
    }
    if let Ok(mut cutter) = Cutter::for_ts(planned, rendition, index)
        && let Ok(mut cut) = drive(&mut cutter, file)
    {
        for range in cut.missing() {
            cut.fill(range, &slice(file, range));
        }
        if let Ok(segment) = ts_segment(planned, &cut) {
            assert_eq!(segment.len() % 188, 0, "a broken packet");
            packed = true;
        }
    }
    packed
}
