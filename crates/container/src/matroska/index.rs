//! SeekHead, Info, Cues, Chapters and Attachments (RFC 9559, sections 5.1.1, 5.1.2, 5.1.5 to 5.1.7).

use std::collections::BTreeMap;

use byte_source::ByteRange;

use super::{
    CuePoint,
    ebml::{Elements, malformed},
    ids,
};
use crate::{
    Chapter, ContainerError, Format, Track,
    limits::{CHAPTERS_MAX, CUE_POINTS_MAX, DEPTH_MAX},
};

/// What the Info element says.
#[derive(Debug, Default)]
pub(super) struct Info {
    pub(super) timestamp_scale_ns: Option<u64>,
    /// In ticks.
    pub(super) duration: Option<f64>,
    pub(super) title: Option<String>,
}

pub(super) fn info(payload: &[u8], offset: u64) -> Result<Info, ContainerError> {
    let mut info = Info::default();
    for child in Elements::new(payload, offset) {
        let child = child?;
        match child.id {
            ids::TIMESTAMP_SCALE => info.timestamp_scale_ns = Some(child.uint()?).filter(|ns| *ns > 0),
            ids::DURATION => info.duration = Some(child.float()?).filter(|d| d.is_finite() && *d > 0.0),
            ids::TITLE => info.title = Some(child.text()?).filter(|t| !t.is_empty()),
            _ => {}
        }
    }
    Ok(info)
}

/// The IDs and positions (from the Segment's payload) that a SeekHead names.
pub(super) fn seek_head(payload: &[u8], offset: u64) -> Result<Vec<(u32, u64)>, ContainerError> {
    let mut found = Vec::new();
    for seek in Elements::new(payload, offset) {
        let seek = seek?;
        if seek.id != ids::SEEK {
            continue;
        }
        let (mut id, mut position) = (None, None);
        for child in seek.children() {
            let child = child?;
            match child.id {
                ids::SEEK_ID if child.data.len() <= 4 => id = u32::try_from(child.uint()?).ok(),
                ids::SEEK_POSITION => position = Some(child.uint()?),
                _ => {}
            }
        }
        found.extend(id.zip(position));
    }
    Ok(found)
}

/// Reads the payload of Cues. Points at tracks that are not there, or past the end of the segment, are left out.
pub(super) fn cues(
    payload: &[u8],
    offset: u64,
    segment: ByteRange,
    tracks: &[Track],
) -> Result<Vec<CuePoint>, ContainerError> {
    let numbers: BTreeMap<u64, usize> = tracks.iter().enumerate().rev().map(|(n, t)| (t.number, n)).collect();
    // A point takes about 20 bytes, and never fewer than 16.
    let mut cues = Vec::with_capacity((payload.len() / 16).min(CUE_POINTS_MAX));
    for point in Elements::new(payload, offset) {
        let point = point?;
        if point.id != ids::CUE_POINT {
            continue;
        }
        let mut time = None;
        let first = cues.len();
        for child in point.children() {
            let child = child?;
            match child.id {
                ids::CUE_TIME => time = i64::try_from(child.uint()?).ok(),
                ids::CUE_TRACK_POSITIONS => {
                    let (mut number, mut cluster, mut relative, mut duration) = (0, None, None, None);
                    for position in child.children() {
                        let position = position?;
                        match position.id {
                            ids::CUE_TRACK => number = position.uint()?,
                            ids::CUE_CLUSTER_POSITION => {
                                cluster = segment.start().checked_add(position.uint()?)
                            }
                            ids::CUE_RELATIVE_POSITION => relative = Some(position.uint()?),
                            ids::CUE_DURATION => duration = Some(position.uint()?),
                            _ => {}
                        }
                    }
                    let cluster = cluster.filter(|at| segment.contains(*at));
                    if let (Some(track), Some(cluster)) = (numbers.get(&number), cluster) {
                        if cues.len() == CUE_POINTS_MAX {
                            return Err(too_many_cues(child.offset));
                        }
                        cues.push(CuePoint { track: *track, time: 0, cluster, relative, duration });
                    }
                }
                _ => {}
            }
        }
        match time {
            Some(time) => cues[first..].iter_mut().for_each(|cue| cue.time = time),
            None => cues.truncate(first),
        }
    }
    if cues.windows(2).any(|w| w[1].time < w[0].time) {
        cues.sort_by_key(|cue| cue.time);
    }
    Ok(cues)
}

fn too_many_cues(offset: u64) -> ContainerError {
    let limit = CUE_POINTS_MAX as u64;
    ContainerError::limit(Format::Matroska, offset, "number of cue points", limit + 1, limit)
}

/// Reads the payload of Chapters: the visible chapters of the first edition, in time order.
pub(super) fn chapters(payload: &[u8], offset: u64) -> Result<Vec<Chapter>, ContainerError> {
    let mut found = Vec::new();
    for edition in Elements::new(payload, offset) {
        let edition = edition?;
        if edition.id == ids::EDITION_ENTRY {
            atoms(edition.children(), 0, &mut found)?;
            break;
        }
    }
    found.sort_by_key(|chapter: &Chapter| chapter.start_ns);
    Ok(found)
}

fn atoms(elements: Elements<'_>, depth: usize, found: &mut Vec<Chapter>) -> Result<(), ContainerError> {
    for atom in elements {
        let atom = atom?;
        if atom.id != ids::CHAPTER_ATOM {
            continue;
        }
        if depth == DEPTH_MAX {
            return Err(malformed(atom.offset, format!("chapters nested deeper than {DEPTH_MAX}")));
        }
        if found.len() == CHAPTERS_MAX {
            let (count, limit) = (CHAPTERS_MAX as u64 + 1, CHAPTERS_MAX as u64);
            return Err(ContainerError::limit(
                Format::Matroska,
                atom.offset,
                "number of chapters",
                count,
                limit,
            ));
        }
        let mut chapter = Chapter { start_ns: 0, end_ns: None, title: String::new() };
        let mut hidden = false;
        for child in atom.children() {
            let child = child?;
            match child.id {
                ids::CHAPTER_TIME_START => chapter.start_ns = child.uint()?,
                ids::CHAPTER_TIME_END => chapter.end_ns = Some(child.uint()?),
                ids::CHAPTER_FLAG_HIDDEN => hidden = child.uint()? != 0,
                ids::CHAPTER_DISPLAY if chapter.title.is_empty() => {
                    for display in child.children() {
                        let display = display?;
                        if display.id == ids::CHAP_STRING {
                            chapter.title = display.text()?;
                        }
                    }
                }
                _ => {}
            }
        }
        if !hidden {
            found.push(chapter);
        }
        atoms(atom.children(), depth + 1, found)?;
    }
    Ok(())
}
