//! The `moov`: movie header, tracks, and everything put together into a [`Movie`].

use std::sync::Arc;

use super::{
    Mp4Index, TableSample,
    boxes::{BoxView, limit, malformed},
    chapter_track::ChapterTrack,
    fragments::{self, Assembly, Begun},
    trak::{self, Trak},
    udta::MovieWords,
};
use crate::{ContainerError, Format, Index, Movie, Rational, Track, TrackKind, limits};

/// What came of a `moov`.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) movie: Movie,
    /// Where fragments may follow.
    pub(super) assembly: Option<Assembly>,
    /// Chapters that are a track.
    pub(super) chapter_track: Option<ChapterTrack>,
}

/// Reads a whole `moov`.
pub(super) fn parse(moov: &BoxView<'_>, file_len: u64) -> Result<Opened, ContainerError> {
    let mut words = MovieWords::default();
    let (mut head, mut mvex, mut whole, mut traks) = (None, None, None, Vec::new());
    for child in moov.children() {
        let child = child?;
        match &child.kind {
            b"mvhd" => head = Some(mvhd(&child)?),
            b"trak" => {
                if traks.len() == limits::TRACKS_MAX {
                    let max = limits::TRACKS_MAX as u64;
                    return Err(limit(child.offset, "the number of tracks", max + 1, max));
                }
                traks.push(trak::parse(&child)?);
            }
            b"mvex" => {
                mvex = Some(fragments::defaults(&child)?);
                whole = child.child(*b"mehd").map(|mehd| fragments::whole_duration(&mehd)).transpose()?;
            }
            b"udta" => words.read_udta(&child),
            b"meta" => words.read_meta(&child),
            b"cmov" => {
                return Err(ContainerError::Unsupported {
                    format: Format::Mp4,
                    offset: child.offset,
                    what: "a compressed index (cmov)".into(),
                });
            }
            _ => {}
        }
    }
    let Some((movie_timescale, duration)) = head else {
        return Err(malformed(moov.offset, "box moov lacks its mvhd"));
    };
    let chapter_text = mark_chapters(&mut traks);
    mark_defaults(&mut traks);
    let (mut index, mut tracks, mut begun) = (Mp4Index::default(), Vec::new(), Vec::new());
    let mut total = 0;
    for trak in traks {
        let rows = trak.rows(file_len, movie_timescale, mvex.is_some());
        let (rows, edit) = match rows {
            Ok(rows) => rows,
            // Timecodes and hints are not played: what is wrong with them is nobody's loss.
            Err(_) if trak.track.kind == TrackKind::Other => Default::default(),
            Err(error) => return Err(error),
        };
        total += rows.samples.len();
        if total > limits::SAMPLES_MAX {
            let (total, max) = (total as u64, limits::SAMPLES_MAX as u64);
            return Err(limit(moov.offset, "the number of samples", total, max));
        }
        index.truncated |= rows.truncated;
        index.edits_simplified |= edit.simplified;
        let mut track = trak.track;
        set_rates(&mut track, &rows.samples);
        begun.push(Begun {
            number: track.number,
            samples: Arc::clone(&rows.samples),
            duration: rows.duration,
            edit,
            video: track.kind == TrackKind::Video,
            stretch: matches!(track.kind, TrackKind::Video | TrackKind::Audio),
        });
        index.tables.push(rows.samples);
        index.durations.push(rows.duration);
        index.descriptions.push(trak.descriptions);
        tracks.push(track);
    }
    let chapter_track = chapter_text
        .filter(|_| words.chapters.is_empty())
        .and_then(|text| Some(ChapterTrack::new(index.tables.get(text)?, tracks.get(text)?.timescale)));
    // Some writers of fragments forget the `mvex`; without samples there have to be fragments.
    let assembly = (mvex.is_some() || (total == 0 && !index.truncated))
        .then(|| Assembly::new(file_len, begun, mvex.as_deref().unwrap_or_default()));
    let movie = Movie {
        format: Format::Mp4,
        len: file_len,
        title: words.title,
        stated_duration_ns: whole.or(duration).and_then(|ticks| nanoseconds(ticks, movie_timescale)),
        tracks,
        chapters: words.chapters,
        attachments: words.covers,
        index: Index::Mp4(index),
    };
    Ok(Opened { movie, assembly, chapter_track })
}

impl Opened {
    /// Puts the finished tables of the fragments in place.
    pub(super) fn complete(&mut self) {
        let (Some(assembly), Index::Mp4(index)) = (self.assembly.take(), &mut self.movie.index) else {
            return;
        };
        index.fragmented = assembly.fragments > 0;
        index.truncated |= assembly.truncated;
        if !index.fragmented {
            return;
        }
        let places = index.tables.iter_mut().zip(&mut index.durations).zip(&mut self.movie.tracks);
        for ((samples, total), ((table, duration), track)) in assembly.finish().zip(places) {
            set_rates(track, &samples);
            (*table, *duration) = (samples, total);
        }
    }
}

/// Makes tracks of chapters what they are, not played, and finds the one of text.
fn mark_chapters(traks: &mut [Trak<'_>]) -> Option<usize> {
    let referred: Vec<u64> =
        traks.iter().flat_map(|trak| trak.chapters.iter().map(|number| u64::from(*number))).collect();
    let mut text = None;
    for (place, trak) in traks.iter_mut().enumerate() {
        if referred.contains(&trak.track.number) && trak.track.kind != TrackKind::Audio {
            if trak.is_text() {
                text = text.or(Some(place));
            }
            trak.track.kind = TrackKind::Other;
        }
    }
    text
}

/// Timescale, and duration in it where known.
fn mvhd(view: &BoxView<'_>) -> Result<(u32, Option<u64>), ContainerError> {
    let (version, _, mut fields) = view.full()?;
    fields.skip(if version == 1 { 16 } else { 8 })?;
    let timescale = fields.u32()?;
    let duration = fields.u32_or_u64(version)?;
    let unknown = if version == 1 { u64::MAX } else { u32::MAX.into() };
    if timescale == 0 {
        return Err(malformed(view.offset, "box mvhd has timescale 0"));
    }
    Ok((timescale, (duration != 0 && duration != unknown).then_some(duration)))
}

/// An enabled track is a default; of several in one alternate group, the first.
fn mark_defaults(traks: &mut [Trak<'_>]) {
    let mut taken = Vec::new();
    for trak in traks {
        let group = (trak.track.kind, trak.alternate_group);
        trak.track.flags.default = trak.enabled && !(trak.alternate_group != 0 && taken.contains(&group));
        if trak.track.flags.default {
            taken.push(group);
        }
    }
}

/// States a constant frame duration where all rows but the last agree on it, and a frame rate where they agree but for
/// the rounding of the times.
fn set_rates(track: &mut Track, samples: &[TableSample]) {
    let Some((_, frames @ [first, ..])) = samples.split_last() else { return };
    let timescale = track.timescale.get();
    let ticks = first.duration;
    if ticks > 0 && frames.iter().all(|sample| sample.duration == ticks) {
        track.default_duration_ns = nanoseconds(ticks.into(), timescale);
    }
    if let Some(video) = &mut track.video {
        let constant = track.default_duration_ns.map(|_| {
            let common = gcd(timescale, ticks);
            Rational { num: timescale / common, den: ticks / common }
        });
        video.frame_rate = constant.or_else(|| rounded_rate(frames, timescale)).or(video.frame_rate);
    }
}

/// Rates of films.
const USUAL_RATES: [(u32, u32); 16] = [
    (24_000, 1_001),
    (24, 1),
    (25, 1),
    (30_000, 1_001),
    (30, 1),
    (48_000, 1_001),
    (48, 1),
    (50, 1),
    (60_000, 1_001),
    (60, 1),
    (120_000, 1_001),
    (120, 1),
    (100, 1),
    (20, 1),
    (15, 1),
    (10, 1),
];

/// The usual rate that these frames keep to within a millisecond each and all together: their times went through a
/// container that counts milliseconds.
fn rounded_rate(frames: &[TableSample], timescale: u32) -> Option<Rational> {
    let slack = i128::from(timescale) * 11 / 10_000 + 1;
    let total: i128 = frames.iter().map(|sample| i128::from(sample.duration)).sum();
    let error = |(num, den): (u32, u32)| {
        let ideal = i128::from(timescale) * i128::from(den) * i128::try_from(frames.len()).ok()?;
        Some((total - ideal / i128::from(num)).abs())
    };
    let rate = USUAL_RATES.into_iter().min_by_key(|rate| error(*rate))?;
    let frame = i128::from(timescale) * i128::from(rate.1) / i128::from(rate.0);
    let even = frames.iter().all(|sample| (i128::from(sample.duration) - frame).abs() <= slack);
    (even && error(rate)? <= 2 * slack).then_some(Rational { num: rate.0, den: rate.1 })
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Ticks in nanoseconds, rounded to nearest.
pub(super) fn nanoseconds(ticks: u64, timescale: u32) -> Option<u64> {
    let timescale = u128::from(timescale);
    let rounded = (u128::from(ticks) * 1_000_000_000 + timescale / 2).checked_div(timescale)?;
    u64::try_from(rounded).ok()
}
