//! Sample tables (`stbl`, ISO/IEC 14496-12 sections 8.6 and 8.7): run-length columns made into one row a sample.
//!
//! Columns stay borrowed from the `moov`; nothing is allocated by a count that the box's own bytes do not cover.

use std::sync::Arc;

use super::{
    TableSample,
    boxes::{BoxView, be32, be32x2, limit, malformed},
    edits::Applied,
};
use crate::{ContainerError, limits};

/// The columns of one track.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns<'a> {
    /// Absolute offset of the `stbl`, for errors.
    offset: u64,
    /// `stts`: (samples, ticks each).
    durations: &'a [[u8; 8]],
    /// `ctts`: (samples, composition offset).
    compositions: &'a [[u8; 8]],
    /// `stsc`: (first chunk from 1, samples a chunk, description from 1).
    runs: &'a [[u8; 12]],
    runs_offset: u64,
    sizes: Sizes<'a>,
    chunks: Chunks<'a>,
    /// `stss`; `None` makes every sample a sync sample.
    sync: Option<&'a [[u8; 4]]>,
    /// `stps`: partial sync samples (QuickTime), open GOPs.
    partial_sync: &'a [[u8; 4]],
    /// `sbgp` of type `rap `: (samples, group index, 0 for none).
    random_access: &'a [[u8; 8]],
}

#[derive(Clone, Copy, Debug, Default)]
enum Sizes<'a> {
    #[default]
    None,
    Constant {
        size: u32,
        count: u32,
    },
    Words(&'a [[u8; 4]]),
    Halves(&'a [[u8; 2]]),
    Bytes(&'a [u8]),
    Nibbles {
        bytes: &'a [u8],
        count: usize,
    },
}

impl Sizes<'_> {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Constant { count, .. } => usize::try_from(*count).unwrap_or(usize::MAX),
            Self::Words(sizes) => sizes.len(),
            Self::Halves(sizes) => sizes.len(),
            Self::Bytes(sizes) => sizes.len(),
            Self::Nibbles { count, .. } => *count,
        }
    }

    #[inline]
    fn get(&self, index: usize) -> u32 {
        match self {
            Self::None => 0,
            Self::Constant { size, .. } => *size,
            Self::Words(sizes) => sizes.get(index).map_or(0, |size| be32(*size)),
            Self::Halves(sizes) => sizes.get(index).map_or(0, |size| u16::from_be_bytes(*size).into()),
            Self::Bytes(sizes) => sizes.get(index).map_or(0, |size| u32::from(*size)),
            Self::Nibbles { bytes, .. } => bytes.get(index / 2).map_or(0, |pair| {
                if index.is_multiple_of(2) { u32::from(pair >> 4) } else { u32::from(pair & 15) }
            }),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Chunks<'a> {
    Short(&'a [[u8; 4]]),
    Long(&'a [[u8; 8]]),
}

impl Default for Chunks<'_> {
    fn default() -> Self {
        Self::Short(&[])
    }
}

impl Chunks<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Short(chunks) => chunks.len(),
            Self::Long(chunks) => chunks.len(),
        }
    }

    #[inline]
    fn get(&self, index: usize) -> Option<u64> {
        match self {
            Self::Short(chunks) => chunks.get(index).map(|chunk| be32(*chunk).into()),
            Self::Long(chunks) => chunks.get(index).map(|chunk| u64::from_be_bytes(*chunk)),
        }
    }
}

/// How to read a track's columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// Bytes in the file: samples beyond are dropped.
    pub(super) file_len: u64,
    /// The edit list.
    pub(super) edit: Applied,
    /// Samples before the edit's start are marked hidden (video).
    pub(super) mark_hidden: bool,
    /// Uncompressed sound, whose table counts single audio samples: (bytes, of how many samples). Rows then hold up to
    /// [`PCM_RUN`] of them.
    pub(super) pcm: Option<(u32, u32)>,
}

/// Audio samples of uncompressed sound in one row.
pub(super) const PCM_RUN: u32 = 1024;

/// A track's rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    pub(super) samples: Arc<[TableSample]>,
    /// Sum of all durations, ticks.
    pub(super) duration: u64,
    /// Rows are missing because the file or a table is too short.
    pub(super) truncated: bool,
}

impl<'a> Columns<'a> {
    /// Finds the columns in an `stbl`.
    pub(super) fn parse(stbl: &BoxView<'a>) -> Result<Self, ContainerError> {
        let mut columns = Self { offset: stbl.offset, ..Self::default() };
        for child in stbl.children() {
            let child = child?;
            match &child.kind {
                b"stts" => columns.durations = table(&child)?,
                b"ctts" => columns.compositions = table(&child)?,
                b"stsc" => {
                    columns.runs = table(&child)?;
                    columns.runs_offset = child.offset;
                }
                b"stsz" => columns.sizes = stsz(&child)?,
                b"stz2" => columns.sizes = stz2(&child)?,
                b"stco" => columns.chunks = Chunks::Short(table(&child)?),
                b"co64" => columns.chunks = Chunks::Long(table(&child)?),
                b"stss" => columns.sync = Some(table(&child)?),
                b"stps" => columns.partial_sync = table(&child)?,
                b"sbgp" => {
                    if let Some(groups) = sbgp_rap(&child)? {
                        columns.random_access = groups;
                    }
                }
                _ => {}
            }
        }
        Ok(columns)
    }

    /// Samples that both the size table and the chunks speak of, and whether one speaks of more.
    fn count(&self) -> Result<(usize, bool), ContainerError> {
        let sized = self.sizes.len();
        let chunks = self.chunks.len() as u64;
        let mut placed = 0u64;
        let mut runs = self.runs.iter().map(run).peekable();
        let mut before = 0;
        while let Some((first, per_chunk, _)) = runs.next() {
            if first <= before {
                return Err(malformed(
                    self.runs_offset,
                    format!("box stsc has chunk {first} after chunk {before}"),
                ));
            }
            before = first;
            let next = runs.peek().map_or(chunks + 1, |(next, ..)| u64::from(*next).min(chunks + 1));
            // At most 2^32 chunks of 2^32 samples.
            placed =
                placed.saturating_add(next.saturating_sub(first.into()).saturating_mul(u64::from(per_chunk)));
        }
        let placed = usize::try_from(placed).unwrap_or(usize::MAX);
        Ok((sized.min(placed), sized > placed))
    }

    /// Makes the rows.
    pub(super) fn rows(&self, reading: &Reading) -> Result<Rows, ContainerError> {
        let (mut count, mut truncated) = self.count()?;
        if let (Some((bytes, of_samples)), Sizes::Constant { .. }) = (reading.pcm, self.sizes) {
            return self.pcm_rows(reading, count, bytes, of_samples, truncated);
        }
        if let Sizes::Constant { size, .. } = self.sizes {
            // No byte of the table stands behind this count: the film's bytes have to.
            let fit = reading.file_len.checked_div(u64::from(size)).unwrap_or(0);
            let fit = usize::try_from(fit).unwrap_or(usize::MAX);
            truncated |= count > fit;
            count = count.min(fit);
        }
        check_count(self.offset, count)?;
        let mut walk = Walk::new(self, reading);
        // Collecting a mapped range into an `Arc` writes each row once, in place.
        let samples: Arc<[TableSample]> = (0..count).map(|index| walk.next(index)).collect();
        if let Some(index) = walk.too_long {
            let size = u64::from(self.sizes.get(index));
            return Err(limit(self.offset, "the size of a sample", size, limits::SAMPLE_BYTES_MAX));
        }
        let duration = walk.decode_time.unsigned_abs();
        Ok(finish(samples, duration, truncated, reading))
    }

    /// Rows of uncompressed sound: runs of audio samples that lie together.
    fn pcm_rows(
        &self,
        reading: &Reading,
        count: usize,
        bytes: u32,
        of_samples: u32,
        mut truncated: bool,
    ) -> Result<Rows, ContainerError> {
        let of_samples = of_samples.max(1);
        let run_max = (PCM_RUN / of_samples).max(1).saturating_mul(of_samples);
        // Rows lie apart in a real file: its length bounds them.
        let fit = reading.file_len.checked_div(bytes.into()).unwrap_or(0).saturating_mul(of_samples.into());
        let mut samples = Vec::new();
        let mut left = (count as u64).min(fit);
        truncated |= left < count as u64;
        let mut decode_time = 0i64;
        let mut runs = self.runs.iter().map(run).peekable();
        let delta = self.durations.first().map_or(1, |entry| be32x2(entry).1);
        'table: while let Some((first, per_chunk, description)) = runs.next() {
            let next = runs.peek().map_or(u64::MAX, |(next, ..)| u64::from(*next));
            for chunk in u64::from(first)..next {
                let Some(mut offset) =
                    usize::try_from(chunk - 1).ok().and_then(|chunk| self.chunks.get(chunk))
                else {
                    break;
                };
                let mut in_chunk = u64::from(per_chunk).min(left);
                left -= in_chunk;
                while in_chunk > 0 {
                    let run = u32::try_from(in_chunk).unwrap_or(run_max).min(run_max);
                    in_chunk -= u64::from(run);
                    let (Some(size), Some(duration)) =
                        (run.div_ceil(of_samples).checked_mul(bytes), run.checked_mul(delta))
                    else {
                        return Err(malformed(self.offset, format!("sound of {bytes} bytes a sample")));
                    };
                    let end = offset.saturating_add(u64::from(size));
                    if end > reading.file_len {
                        truncated = true;
                        break 'table;
                    }
                    check_count(self.offset, samples.len() + 1)?;
                    samples.push(TableSample {
                        offset,
                        size,
                        pts: decode_time.saturating_add(reading.edit.shift),
                        duration,
                        sync: true,
                        random_access: false,
                        hidden: false,
                        description: description_index(description),
                    });
                    decode_time += i64::from(duration);
                    offset = end;
                }
                if left == 0 {
                    break 'table;
                }
            }
        }
        Ok(finish(samples.into(), decode_time.unsigned_abs(), truncated, reading))
    }
}

/// Drops what the file does not hold, and what the edit list cuts off the end.
fn finish(samples: Arc<[TableSample]>, duration: u64, truncated: bool, reading: &Reading) -> Rows {
    let inside = |sample: &TableSample| {
        sample.offset.checked_add(sample.size.into()).is_some_and(|end| end <= reading.file_len)
    };
    let held = samples.iter().position(|sample| !inside(sample)).unwrap_or(samples.len());
    let mut keep = held;
    if let Some(end) = reading.edit.end {
        let end = end.saturating_add(reading.edit.shift);
        let shown = samples.get(..keep).unwrap_or_default();
        let slack = reading.edit.slack;
        let begins = |sample: &TableSample| sample.pts + slack.min(i64::from(sample.duration / 2)) < end;
        keep = shown.iter().rposition(begins).map_or(0, |last| last + 1);
    }
    let truncated = truncated || held < samples.len();
    let duration = match samples.get(held..) {
        Some(lost) if !lost.is_empty() => {
            duration.saturating_sub(lost.iter().map(|sample| u64::from(sample.duration)).sum())
        }
        _ => duration,
    };
    let samples = match samples.get(..keep) {
        Some(kept) if keep < samples.len() => kept.into(),
        _ => samples,
    };
    Rows { samples, duration, truncated }
}

fn check_count(offset: u64, count: usize) -> Result<(), ContainerError> {
    if count > limits::SAMPLES_PER_TRACK_MAX {
        let (count, max) = (count as u64, limits::SAMPLES_PER_TRACK_MAX as u64);
        return Err(limit(offset, "the number of samples in a track", count, max));
    }
    Ok(())
}

/// A description index from 0; QuickTime and ISO count from 1.
pub(super) fn description_index(index: u32) -> u16 {
    u16::try_from(index.saturating_sub(1)).unwrap_or(u16::MAX)
}

fn run(entry: &[u8; 12]) -> (u32, u32, u32) {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *entry;
    (be32([a, b, c, d]), be32([e, f, g, h]), be32([i, j, k, l]))
}

/// A place in each column.
struct Walk<'a> {
    columns: &'a Columns<'a>,
    shift: i64,
    /// Samples that begin before this composition time are hidden, if not for less than `slack`.
    hidden_until: i64,
    slack: i64,
    durations: std::slice::Iter<'a, [u8; 8]>,
    duration: (u32, u32),
    compositions: std::slice::Iter<'a, [u8; 8]>,
    composition: (u32, i32),
    /// Index into the runs of the run in force, and chunks until the next one.
    next_run: usize,
    chunks_in_run: u64,
    per_chunk: u32,
    description: u16,
    next_chunk: usize,
    left_in_chunk: u32,
    offset: u64,
    /// Numbers of the next sync sample and what follows.
    sync: Marks<'a>,
    partial_sync: Marks<'a>,
    random_access: std::slice::Iter<'a, [u8; 8]>,
    random: (u32, bool),
    decode_time: i64,
    too_long: Option<usize>,
}

/// A list of sample numbers, taken in turn.
struct Marks<'a> {
    numbers: std::slice::Iter<'a, [u8; 4]>,
    next: u32,
}

impl<'a> Marks<'a> {
    fn new(numbers: &'a [[u8; 4]]) -> Self {
        let mut marks = Self { numbers: numbers.iter(), next: 0 };
        marks.advance();
        marks
    }

    fn advance(&mut self) {
        self.next = self.numbers.next().map_or(0, |number| be32(*number));
    }

    /// Whether sample `number` (from 1) is in the list. Numbers that come out of order are passed over.
    #[inline]
    fn takes(&mut self, number: u32) -> bool {
        while self.next != 0 && self.next < number {
            self.advance();
        }
        self.next == number
    }
}

impl<'a> Walk<'a> {
    fn new(columns: &'a Columns<'a>, reading: &Reading) -> Self {
        let hidden_until = if reading.mark_hidden { reading.edit.start } else { None };
        Self {
            columns,
            shift: reading.edit.shift,
            hidden_until: hidden_until.unwrap_or(i64::MIN),
            slack: reading.edit.slack,
            durations: columns.durations.iter(),
            duration: (0, 0),
            compositions: columns.compositions.iter(),
            composition: (0, 0),
            next_run: 0,
            chunks_in_run: 0,
            per_chunk: 0,
            description: 0,
            next_chunk: 0,
            left_in_chunk: 0,
            offset: 0,
            sync: Marks::new(columns.sync.unwrap_or_default()),
            partial_sync: Marks::new(columns.partial_sync),
            random_access: columns.random_access.iter(),
            random: (0, false),
            decode_time: 0,
            too_long: None,
        }
    }

    /// The row of sample `index`; called for each in turn, never past what [`Columns::count`] found.
    #[inline]
    fn next(&mut self, index: usize) -> TableSample {
        // Counts are under 2^32 by SAMPLES_PER_TRACK_MAX.
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        while self.left_in_chunk == 0 {
            if !self.enter_chunk() {
                break;
            }
        }
        self.left_in_chunk = self.left_in_chunk.saturating_sub(1);
        let duration = self.duration();
        let composition = self.composition();
        let size = self.columns.sizes.get(index);
        if u64::from(size) > limits::SAMPLE_BYTES_MAX {
            self.too_long.get_or_insert(index);
        }
        let offset = self.offset;
        self.offset = offset.saturating_add(u64::from(size));
        let composed = self.decode_time + i64::from(composition);
        let hidden = composed + self.slack.min(i64::from(duration / 2)) < self.hidden_until;
        self.decode_time += i64::from(duration);
        TableSample {
            offset,
            size,
            pts: composed + self.shift,
            duration,
            sync: self.columns.sync.is_none() || self.sync.takes(number),
            random_access: self.random() || self.partial_sync.takes(number),
            hidden,
            description: self.description,
        }
    }

    /// Goes to the next chunk; `false` when there is none.
    fn enter_chunk(&mut self) -> bool {
        let runs = self.columns.runs;
        while self.chunks_in_run == 0 {
            let Some((first, per_chunk, description)) = runs.get(self.next_run).map(run) else {
                return false;
            };
            self.next_run += 1;
            let next = runs.get(self.next_run).map_or(u64::MAX, |entry| run(entry).0.into());
            self.chunks_in_run = next.saturating_sub(first.into());
            self.per_chunk = per_chunk;
            self.description = description_index(description);
            self.next_chunk = usize::try_from(first.saturating_sub(1)).unwrap_or(usize::MAX);
        }
        let Some(offset) = self.columns.chunks.get(self.next_chunk) else { return false };
        self.next_chunk += 1;
        self.chunks_in_run -= 1;
        self.left_in_chunk = self.per_chunk;
        self.offset = offset;
        true
    }

    /// Ticks of the next sample; the last entry goes on where the table is short.
    #[inline]
    fn duration(&mut self) -> u32 {
        while self.duration.0 == 0 {
            let Some(entry) = self.durations.next() else { return self.duration.1 };
            let (count, delta) = be32x2(entry);
            // Some writers patch times with "negative" deltas. Decode times do not run backwards: the least step.
            self.duration = (count, if delta > i32::MAX.unsigned_abs() { 1 } else { delta });
        }
        self.duration.0 -= 1;
        self.duration.1
    }

    /// Presentation minus decode time of the next sample; 0 where the table is short. Signed in every version, as
    /// QuickTime has it: no real film composes by 2^31 ticks.
    #[inline]
    fn composition(&mut self) -> i32 {
        while self.composition.0 == 0 {
            let Some(entry) = self.compositions.next() else { return 0 };
            let (count, offset) = be32x2(entry);
            self.composition = (count, offset.cast_signed());
        }
        self.composition.0 -= 1;
        self.composition.1
    }

    #[inline]
    fn random(&mut self) -> bool {
        while self.random.0 == 0 {
            let Some(entry) = self.random_access.next() else { return false };
            let (count, group) = be32x2(entry);
            self.random = (count, group != 0);
        }
        self.random.0 -= 1;
        self.random.1
    }
}

fn table<'a, const N: usize>(view: &BoxView<'a>) -> Result<&'a [[u8; N]], ContainerError> {
    let (_, _, mut fields) = view.full()?;
    let count = fields.u32()?;
    fields.table(count)
}

fn stsz<'a>(view: &BoxView<'a>) -> Result<Sizes<'a>, ContainerError> {
    let (_, _, mut fields) = view.full()?;
    let (size, count) = (fields.u32()?, fields.u32()?);
    if size == 0 { fields.table(count).map(Sizes::Words) } else { Ok(Sizes::Constant { size, count }) }
}

fn stz2<'a>(view: &BoxView<'a>) -> Result<Sizes<'a>, ContainerError> {
    let (_, _, mut fields) = view.full()?;
    let [.., width] = fields.u32()?.to_be_bytes();
    let count = fields.u32()?;
    match width {
        4 => {
            let bytes = fields.table::<1>(count.div_ceil(2))?.as_flattened();
            Ok(Sizes::Nibbles { bytes, count: (count as usize).min(bytes.len() * 2) })
        }
        8 => fields.table::<1>(count).map(|sizes| Sizes::Bytes(sizes.as_flattened())),
        16 => fields.table(count).map(Sizes::Halves),
        _ => Err(malformed(view.offset, format!("box stz2 has fields of {width} bits"))),
    }
}

pub(super) fn sbgp_rap<'a>(view: &BoxView<'a>) -> Result<Option<&'a [[u8; 8]]>, ContainerError> {
    let (version, _, mut fields) = view.full()?;
    if fields.four_cc()? != *b"rap " {
        return Ok(None);
    }
    if version == 1 {
        fields.skip(4)?;
    }
    let count = fields.u32()?;
    fields.table(count).map(Some)
}
