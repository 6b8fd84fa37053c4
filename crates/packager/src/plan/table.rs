//! An MP4 sample table as the plan sees it: our time, hidden samples moved out of the way.

use byte_source::ByteRange;
use container::mp4::TableSample;

use super::{Clock, TrackPlan};

/// A table with the plan's view of its times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableView<'a> {
    samples: &'a [TableSample],
    factor: i64,
    shift: i64,
    moved: &'a [(u32, i64)],
}

impl<'a> TableView<'a> {
    /// The view of a finished plan.
    pub(crate) fn of(samples: &'a [TableSample], plan: &'a TrackPlan) -> Self {
        let factor = match plan.clock {
            Clock::Table { factor } => i64::from(factor),
            Clock::Grid { .. } | Clock::Stored => 1,
        };
        Self { samples, factor, shift: plan.shift, moved: &plan.moved }
    }

    /// The view while the plan is made: no shift yet.
    pub(crate) fn unshifted(samples: &'a [TableSample], factor: u32, moved: &'a [(u32, i64)]) -> Self {
        Self { samples, factor: i64::from(factor), shift: 0, moved }
    }

    /// The same view with this shift.
    pub(crate) fn shifted(self, shift: i64) -> Self {
        Self { shift, ..self }
    }

    /// Presentation time of sample `n`, ticks; 0 past the table's end.
    pub(crate) fn pts(&self, n: u32) -> i64 {
        let stored = match self.moved.binary_search_by_key(&n, |(at, _)| *at) {
            Ok(at) => self.moved.get(at).map_or(0, |(_, pts)| *pts),
            Err(_) => self.get(n).map_or(0, |s| s.pts.saturating_mul(self.factor)),
        };
        stored.saturating_add(self.shift)
    }

    /// End of sample `n`, ticks.
    pub(crate) fn end(&self, n: u32) -> i64 {
        let duration = self.get(n).map_or(0, |s| i64::from(s.duration).saturating_mul(self.factor));
        self.pts(n).saturating_add(duration)
    }

    /// Where its payload lies.
    pub(crate) fn bytes(&self, n: u32) -> ByteRange {
        self.get(n).and_then(|s| ByteRange::at(s.offset, u64::from(s.size))).unwrap_or_default()
    }

    /// Bytes of payload of samples `from..to`.
    pub(crate) fn payload(&self, from: u32, to: u32) -> u64 {
        self.run(from, to).iter().map(|s| u64::from(s.size)).sum()
    }

    /// The entry itself.
    pub(crate) fn get(&self, n: u32) -> Option<&'a TableSample> {
        self.samples.get(n as usize)
    }

    fn run(&self, from: u32, to: u32) -> &'a [TableSample] {
        self.samples.get(from as usize..to as usize).unwrap_or_default()
    }
}

/// Hidden samples of a video table and the times they are given: one tick each, right before the first shown picture
/// that follows them in decoding order. Decoders need them, viewers should not wait for them.
///
/// Hidden and shown pictures alternate around an edit, so a stretch ends only where this many are shown in a row.
const SHOWN_RUN: usize = 64;

/// Beyond this the edit list is not a pre-roll and the samples keep their times.
const MOVED_MAX: usize = 20_000;

/// See [`SHOWN_RUN`]. Times are in `factor` ticks per tick of the table, before the shift.
pub(crate) fn move_hidden(samples: &[TableSample], factor: u32) -> Vec<(u32, i64)> {
    if samples.iter().filter(|s| s.hidden).count() > MOVED_MAX {
        return Vec::new();
    }
    let mut moved = Vec::new();
    let mut at = 0;
    while let Some(first) = samples[at..].iter().position(|s| s.hidden).map(|n| at + n) {
        let (mut to, mut shown) = (first, 0);
        while to < samples.len() && shown < SHOWN_RUN {
            shown = if samples[to].hidden { 0 } else { shown + 1 };
            to += 1;
        }
        let stretch = &samples[first..to];
        let mut hidden: Vec<usize> = (0..stretch.len()).filter(|n| stretch[*n].hidden).collect();
        if let Some(anchor) = stretch.iter().filter(|s| !s.hidden).map(|s| s.pts).min() {
            let anchor = anchor.saturating_mul(i64::from(factor));
            hidden.sort_by_key(|n| stretch[*n].pts);
            for (back, n) in (1i64..).zip(hidden.iter().rev()) {
                moved.push((u32::try_from(first + n).unwrap_or(u32::MAX), anchor.saturating_sub(back)));
            }
        }
        at = to;
    }
    moved.sort_unstable();
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn sample(pts: i64, hidden: bool) -> TableSample {
        TableSample {
            offset: 0,
            size: 1,
            pts,
            duration: 10,
            sync: false,
            random_access: false,
            hidden,
            description: 0,
        }
    }

    #[test]
    fn pre_roll_is_one_tick_each_before_the_first_shown_picture() {
        let table: Vec<_> = [(-30, true), (0, false), (-20, true), (-10, true), (10, false)]
            .map(|(pts, hidden)| sample(pts, hidden))
            .into();
        assert_eq!(move_hidden(&table, 1), [(0, -3), (2, -2), (3, -1)]);
    }

    #[test]
    fn a_slow_timescale_is_made_finer_so_that_pre_roll_stays_short() {
        let table: Vec<_> = [(-1, true), (0, false)].map(|(pts, hidden)| sample(pts, hidden)).into();
        let moved = move_hidden(&table, 1_000);
        let view = TableView::unshifted(&table, 1_000, &moved);
        assert_eq!((view.pts(0), view.pts(1), view.end(1)), (-1, 0, 10_000));
    }
}
