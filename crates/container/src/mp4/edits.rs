//! Edit lists (`elst`, ISO/IEC 14496-12 section 8.6.6): which part of a track is shown, and when.
//!
//! A film needs one stretch of media, perhaps after some silence: that is applied exactly. What a list may say beyond
//! (several stretches out of order, other speeds, still frames) is reported as simplified.

use super::boxes::{BoxView, limit, malformed};
use crate::{ContainerError, limits};

/// No time of a track lies farther from zero than this: sums of two never overflow.
pub(super) const TICKS_MAX: i64 = 1 << 61;

/// One entry of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    /// In ticks of the movie; 0 is "to the end" in fragmented files.
    pub(super) duration: u64,
    /// First media time shown, ticks of the track; `None` shows nothing.
    pub(super) media_time: Option<i64>,
    /// Speed is 1.
    pub(super) plain_rate: bool,
}

/// What the list does to a track's times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Applied {
    /// Added to composition times.
    pub(super) shift: i64,
    /// Pictures that begin before this composition time are not shown: of the one that the list cuts in two, players
    /// show nothing.
    pub(super) start: Option<i64>,
    /// Media that begins at or after this composition time is not shown.
    pub(super) end: Option<i64>,
    /// One tick of the movie, in ticks of the track: how far `start` and `end` may be off by rounding.
    pub(super) slack: i64,
    /// The list says more than `shift`, `start` and `end` can.
    pub(super) simplified: bool,
}

/// Reads an `elst`.
pub(super) fn parse(elst: &BoxView<'_>) -> Result<Vec<Edit>, ContainerError> {
    let (version, _, mut fields) = elst.full()?;
    let count = fields.u32()?;
    if u64::from(count) > limits::EDITS_MAX as u64 {
        return Err(limit(elst.offset, "the number of edits", count.into(), limits::EDITS_MAX as u64));
    }
    let mut edits = Vec::new();
    for _ in 0..count {
        let at = fields.offset();
        let duration = fields.u32_or_u64(version)?;
        let media_time = if version == 1 { fields.u64()?.cast_signed() } else { i64::from(fields.i32()?) };
        let rate = fields.u32()?;
        if duration > TICKS_MAX.cast_unsigned() || media_time > TICKS_MAX {
            return Err(malformed(at, format!("edit of {duration} ticks at {media_time}")));
        }
        edits.push(Edit {
            duration,
            media_time: (media_time >= 0).then_some(media_time),
            plain_rate: rate == 0x0001_0000,
        });
    }
    Ok(edits)
}

/// Works out what `edits` mean for a track of `timescale` ticks in a movie of `movie_timescale`.
pub(super) fn apply(edits: &[Edit], movie_timescale: u32, timescale: u32, fragmented: bool) -> Applied {
    let to_track = |ticks: u64| rescale(ticks, movie_timescale, timescale);
    let empty = edits
        .iter()
        .take_while(|e| e.media_time.is_none())
        .fold(0u64, |sum, e| sum.saturating_add(e.duration));
    let mut shown = edits.iter().skip_while(|e| e.media_time.is_none());
    let Some((first, start)) = shown.next().and_then(|e| Some((e, e.media_time?))) else {
        // Nothing but empty edits: writers of live fragments leave such; ours is to show the film.
        return Applied { shift: to_track(empty), ..Applied::default() };
    };
    let shift = to_track(empty).saturating_sub(start);
    let slack = to_track(1).max(1);
    let mut simplified = !first.plain_rate;
    let mut end = (first.duration > 0).then(|| start.saturating_add(to_track(first.duration)));
    for edit in shown {
        match (edit.media_time, end) {
            // Joins seamlessly: one stretch in two entries.
            (Some(media_time), Some(stretch_end))
                if edit.plain_rate && media_time.abs_diff(stretch_end) <= slack.unsigned_abs() =>
            {
                end = (edit.duration > 0).then(|| media_time.saturating_add(to_track(edit.duration)));
            }
            (None, _) => {}
            _ => simplified = true,
        }
    }
    // A fragmented file's list was written before its end was known. A simplified list keeps everything it might show.
    let end = if fragmented || simplified { None } else { end };
    Applied { shift: shift.clamp(-TICKS_MAX, TICKS_MAX), start: Some(start), end, slack, simplified }
}

fn rescale(ticks: u64, from: u32, to: u32) -> i64 {
    let from = u128::from(from.max(1));
    let scaled = (u128::from(ticks) * u128::from(to) * 2 + from) / (2 * from);
    i64::try_from(scaled).unwrap_or(TICKS_MAX).min(TICKS_MAX)
}
