//! Movie fragments (ISO/IEC 14496-12 section 8.8): `trex` defaults, and each `moof`'s runs made into rows.
//!
//! `sidx` and `mfra` are not needed: every `moof` has to be read for its rows, and each says where the next one begins.

use std::sync::Arc;

use super::{
    TableSample,
    boxes::{BoxView, Fields, limit, malformed},
    edits::{Applied, TICKS_MAX},
    tables::description_index,
};
use crate::{ContainerError, limits};

/// What holds for samples that do not say otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Defaults {
    track: u32,
    /// From 1, as in the file.
    description: u32,
    duration: u32,
    size: u32,
    flags: u32,
}

/// Reads the `trex` boxes of an `mvex`.
pub(super) fn defaults(mvex: &BoxView<'_>) -> Result<Vec<Defaults>, ContainerError> {
    let mut all = Vec::new();
    for child in mvex.children() {
        let child = child?;
        if child.kind == *b"trex" && all.len() < limits::TRACKS_MAX {
            let (_, _, mut fields) = child.full()?;
            all.push(Defaults {
                track: fields.u32()?,
                description: fields.u32()?,
                duration: fields.u32()?,
                size: fields.u32()?,
                flags: fields.u32()?,
            });
        }
    }
    Ok(all)
}

/// The duration of film and fragments that an `mehd` states, in ticks of the movie.
pub(super) fn whole_duration(mehd: &BoxView<'_>) -> Result<u64, ContainerError> {
    let (version, _, mut fields) = mehd.full()?;
    fields.u32_or_u64(version)
}

/// Tables that grow by a fragment at a time.
#[derive(Debug)]
pub(super) struct Assembly {
    file_len: u64,
    tracks: Vec<Growing>,
    /// Rows of all tracks.
    rows: usize,
    pub(super) fragments: usize,
    /// Rows were left out because their bytes lie past the file's end.
    pub(super) truncated: bool,
}

#[derive(Debug)]
struct Growing {
    number: u64,
    rows: Vec<TableSample>,
    /// Decode time after the last row.
    decode_time: i64,
    /// Bytes of all rows.
    bytes: u64,
    edit: Applied,
    /// Marks what the edit list hides.
    video: bool,
    /// A gap in time is filled by the sample before it. Not so for text, which ends when it says.
    stretch: bool,
    defaults: Defaults,
}

/// A track as the `moov` left it.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) number: u64,
    pub(super) samples: Arc<[TableSample]>,
    pub(super) duration: u64,
    pub(super) edit: Applied,
    pub(super) video: bool,
    pub(super) stretch: bool,
}

impl Assembly {
    /// Goes on from what the `moov` held.
    pub(super) fn new(file_len: u64, begun: Vec<Begun>, defaults: &[Defaults]) -> Self {
        let tracks: Vec<_> = begun
            .into_iter()
            .map(|begun| Growing {
                number: begun.number,
                rows: begun.samples.to_vec(),
                decode_time: i64::try_from(begun.duration).unwrap_or(TICKS_MAX).min(TICKS_MAX),
                bytes: begun.samples.iter().map(|sample| u64::from(sample.size)).sum(),
                edit: begun.edit,
                video: begun.video,
                stretch: begun.stretch,
                defaults: defaults
                    .iter()
                    .find(|d| u64::from(d.track) == begun.number)
                    .copied()
                    .unwrap_or_default(),
            })
            .collect();
        let rows = tracks.iter().map(|track| track.rows.len()).sum();
        Self { file_len, tracks, rows, fragments: 0, truncated: false }
    }

    /// Takes in one `moof`.
    pub(super) fn add(&mut self, moof: &BoxView<'_>) -> Result<(), ContainerError> {
        let mut base = moof.offset;
        for child in moof.children() {
            let child = child?;
            if child.kind == *b"traf" {
                self.add_track(moof.offset, &mut base, &child)?;
            }
        }
        self.fragments += 1;
        Ok(())
    }

    /// Takes in one `traf`. `data_end` is where the one before it ended, then where this one does.
    fn add_track(&mut self, moof: u64, data_end: &mut u64, traf: &BoxView<'_>) -> Result<(), ContainerError> {
        let mut head = None;
        let mut random_access: &[[u8; 8]] = &[];
        let mut time = None;
        for child in traf.children() {
            let child = child?;
            match &child.kind {
                b"tfhd" => head = Some(child),
                b"tfdt" => {
                    let (version, _, mut fields) = child.full()?;
                    let ticks = fields.u32_or_u64(version)?;
                    let Some(ticks) = i64::try_from(ticks).ok().filter(|ticks| *ticks <= TICKS_MAX) else {
                        return Err(malformed(child.offset, format!("box tfdt has decode time {ticks}")));
                    };
                    time = Some(ticks);
                }
                b"sbgp" => random_access = super::tables::sbgp_rap(&child)?.unwrap_or(random_access),
                _ => {}
            }
        }
        let Some(head) = head else { return Err(malformed(traf.offset, "box traf lacks its tfhd")) };
        let (_, flags, mut fields) = head.full()?;
        let number = u64::from(fields.u32()?);
        let Some(track) = self.tracks.iter_mut().find(|track| track.number == number) else {
            return Ok(());
        };
        let mut defaults = track.defaults;
        let base = if flags & 1 != 0 {
            fields.u64()?
        } else if flags & 0x2_0000 != 0 {
            moof
        } else {
            *data_end
        };
        for (flag, field) in [
            (0x02, &mut defaults.description),
            (0x08, &mut defaults.duration),
            (0x10, &mut defaults.size),
            (0x20, &mut defaults.flags),
        ] {
            if flags & flag != 0 {
                *field = fields.u32()?;
            }
        }
        if let Some(time) = time {
            track.jump_to(time);
        }
        *data_end = base;
        let mut groups = Groups { entries: random_access.iter(), left: 0, member: false };
        for run in traf.children().map_while(Result::ok).filter(|child| child.kind == *b"trun") {
            let rows = Run::parse(&run, base, *data_end, defaults)?;
            check_rows(&run, track.rows.len(), self.rows, rows.count)?;
            self.rows += track.add_run(rows, &mut groups, self.file_len, data_end, &mut self.truncated)?;
        }
        Ok(())
    }

    /// The finished tables, with the sum of each one's durations.
    pub(super) fn finish(self) -> impl Iterator<Item = (Arc<[TableSample]>, u64)> {
        self.tracks.into_iter().map(|track| {
            let duration = track.rows.iter().map(|row| u64::from(row.duration)).sum();
            (track.rows.into(), duration)
        })
    }
}

fn check_rows(run: &BoxView<'_>, in_track: usize, in_all: usize, more: u32) -> Result<(), ContainerError> {
    let more = u64::from(more);
    for (what, rows, max) in [
        ("the number of samples in a track", in_track, limits::SAMPLES_PER_TRACK_MAX),
        ("the number of samples", in_all, limits::SAMPLES_MAX),
    ] {
        if rows as u64 + more > max as u64 {
            return Err(limit(run.offset, what, rows as u64 + more, max as u64));
        }
    }
    Ok(())
}

/// One `trun`, before its samples are read.
struct Run<'a> {
    offset: u64,
    count: u32,
    flags: u32,
    first_flags: Option<u32>,
    fields: Fields<'a>,
    /// Where its first sample lies.
    data: u64,
    defaults: Defaults,
}

impl<'a> Run<'a> {
    fn parse(
        view: &BoxView<'a>,
        base: u64,
        data_end: u64,
        defaults: Defaults,
    ) -> Result<Self, ContainerError> {
        let (_, flags, mut fields) = view.full()?;
        let count = fields.u32()?;
        let data = if flags & 1 != 0 {
            let offset = fields.i32()?;
            base.checked_add_signed(offset.into()).ok_or_else(|| {
                malformed(view.offset, format!("box trun lies {offset} bytes from byte {base}"))
            })?
        } else {
            data_end
        };
        let first_flags = if flags & 4 != 0 { Some(fields.u32()?) } else { None };
        let per_row = 4 * usize::try_from((flags >> 8 & 15).count_ones()).unwrap_or(4);
        let held = fields.rest().len().checked_div(per_row);
        if held.is_some_and(|held| u64::from(count) > held as u64) {
            let held = held.unwrap_or_default();
            return Err(malformed(view.offset, format!("box trun states {count} samples and holds {held}")));
        }
        Ok(Self { offset: view.offset, count, flags, first_flags, fields, data, defaults })
    }
}

/// Membership in the `rap ` group, sample by sample.
struct Groups<'a> {
    entries: std::slice::Iter<'a, [u8; 8]>,
    left: u32,
    member: bool,
}

impl Groups<'_> {
    fn next(&mut self) -> bool {
        while self.left == 0 {
            let Some(entry) = self.entries.next() else { return false };
            let (count, group) = super::boxes::be32x2(entry);
            (self.left, self.member) = (count, group != 0);
        }
        self.left -= 1;
        self.member
    }
}

impl Growing {
    /// The next sample's decode time is `time`; the last one lasts until then.
    fn jump_to(&mut self, time: i64) {
        let gap = time - self.decode_time;
        self.decode_time = time;
        if let Some(last) = self.rows.last_mut()
            && self.stretch
            && let Ok(duration) = u32::try_from(i64::from(last.duration).saturating_add(gap))
        {
            last.duration = duration;
        }
    }

    /// Appends a run's samples, and gives how many.
    fn add_run(
        &mut self,
        mut run: Run<'_>,
        groups: &mut Groups<'_>,
        file_len: u64,
        data_end: &mut u64,
        truncated: &mut bool,
    ) -> Result<usize, ContainerError> {
        let before = self.rows.len();
        let mut offset = run.data;
        let description = description_index(run.defaults.description);
        for index in 0..run.count {
            let mut field =
                |flag, default| if run.flags & flag != 0 { run.fields.u32() } else { Ok(default) };
            let duration = field(0x100, run.defaults.duration)?;
            let size = field(0x200, run.defaults.size)?;
            let first = run.first_flags.filter(|_| index == 0);
            let flags = field(0x400, run.defaults.flags)?;
            let flags = if run.flags & 0x400 != 0 { flags } else { first.unwrap_or(flags) };
            let composition = field(0x800, 0)?.cast_signed();
            if u64::from(size) > limits::SAMPLE_BYTES_MAX {
                return Err(limit(run.offset, "the size of a sample", size.into(), limits::SAMPLE_BYTES_MAX));
            }
            // Samples lie apart in a real file, which bounds how many a short run may speak of.
            self.bytes = self.bytes.saturating_add(u64::from(size).max(1));
            if self.bytes > file_len {
                return Err(malformed(run.offset, "the samples of a track are larger than the file"));
            }
            let end = offset.saturating_add(size.into());
            if end > file_len {
                *truncated = true;
                break;
            }
            let composed = self.decode_time + i64::from(composition);
            let hidden = self.video
                && self
                    .edit
                    .start
                    .is_some_and(|start| composed + self.edit.slack.min(i64::from(duration / 2)) < start);
            self.decode_time = self.decode_time.saturating_add(duration.into()).min(TICKS_MAX);
            self.rows.push(TableSample {
                offset,
                size,
                pts: composed + self.edit.shift,
                duration,
                sync: flags & 0x0001_0000 == 0 && flags >> 24 & 3 != 1,
                random_access: groups.next(),
                hidden,
                description,
            });
            offset = end;
        }
        *data_end = offset;
        Ok(self.rows.len() - before)
    }
}
