//! The `moov`: movie header, tracks, and everything put together into a [`Movie`].

use super::{
    Mp4Index,
    boxes::{BoxView, limit, malformed},
    edits,
    trak::{self, Trak},
    udta::MovieWords,
};
use crate::{ContainerError, Format, Index, Movie, Rational, Track, TrackKind, limits, mp4::TableSample};

/// What came of a `moov`.
#[derive(Debug)]
#[expect(dead_code, reason = "fragments are read next")]
pub(super) struct Opened {
    pub(super) movie: Movie,
    /// Has `mvex`: fragments may follow.
    pub(super) fragmented: bool,
    pub(super) movie_timescale: u32,
    /// Per track, what its edit list does.
    pub(super) edits: Vec<edits::Applied>,
}

/// Reads a whole `moov`.
pub(super) fn parse(moov: &BoxView<'_>, file_len: u64) -> Result<Opened, ContainerError> {
    let mut words = MovieWords::default();
    let (mut head, mut fragmented, mut traks) = (None, false, Vec::new());
    for child in moov.children() {
        let child = child?;
        match &child.kind {
            b"mvhd" => head = Some(mvhd(&child)?),
            b"trak" => {
                if traks.len() == limits::TRACKS_MAX {
                    let max = limits::TRACKS_MAX as u64;
                    return Err(limit(child.offset, "the number of tracks", max + 1, max));
                }
                traks.extend(trak::parse(&child)?);
            }
            b"mvex" => fragmented = true,
            b"udta" => words.read_udta(&child),
            b"meta" => words.read_meta(&child),
            b"cmov" => {
                return Err(ContainerError::Unsupported {
                    format: Format::Mp4,
                    offset: child.offset,
                    what: "a compressed moov (cmov)".into(),
                });
            }
            _ => {}
        }
    }
    let Some((movie_timescale, duration)) = head else {
        return Err(malformed(moov.offset, "box moov lacks its mvhd"));
    };
    mark_defaults(&mut traks);
    let mut index = Mp4Index { fragmented, ..Mp4Index::default() };
    let (mut tracks, mut edits) = (Vec::new(), Vec::new());
    let mut total = 0;
    for trak in traks {
        let rows = trak.rows(file_len, movie_timescale, fragmented);
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
        index.tables.push(rows.samples);
        index.durations.push(rows.duration);
        index.descriptions.push(trak.descriptions);
        edits.push(edit);
        tracks.push(track);
    }
    let movie = Movie {
        format: Format::Mp4,
        len: file_len,
        title: words.title,
        stated_duration_ns: duration.and_then(|ticks| nanoseconds(ticks, movie_timescale)),
        tracks,
        chapters: words.chapters,
        attachments: Vec::new(),
        index: Index::Mp4(index),
    };
    Ok(Opened { movie, fragmented, movie_timescale, edits })
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

/// States a constant frame duration where all rows but the last agree on it.
pub(super) fn set_rates(track: &mut Track, samples: &[TableSample]) {
    let Some((_, [first, rest @ ..])) = samples.split_last() else { return };
    let ticks = first.duration;
    if ticks == 0 || rest.iter().any(|sample| sample.duration != ticks) {
        return;
    }
    let timescale = track.timescale.get();
    track.default_duration_ns = nanoseconds(ticks.into(), timescale);
    if let Some(video) = &mut track.video {
        let common = gcd(timescale, ticks);
        video.frame_rate = Some(Rational { num: timescale / common, den: ticks / common });
    }
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
