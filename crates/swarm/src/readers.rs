//! What readers need, as windows: from where they are, as far ahead as some seconds at their rate.
//!
//! A short read (an index at the end, a player that looks around) gets its bytes first and no window. A window grows with
//! what the reader has taken, so that one that opens and goes away again costs little. Which blocks these are is
//! `piece-picker`'s affair.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use piece_picker::Demand;

use crate::{
    ReaderAt, ReaderKey,
    rate::{Meter, bytes_in},
};

/// Readers of one torrent at a time; more are not heard.
const READERS_MAX: usize = 256;
/// A request up to this length is a probe: an index, a header.
const PROBE_MAX: u64 = 512 << 10;
/// What a reader gets ahead of its position before it has taken anything.
const WINDOW_START: u64 = 4 << 20;
/// The window grows to this many times what was taken.
const WINDOW_GROWTH: u64 = 4;
/// How far ahead of a reader of known rate the window reaches.
const WINDOW_TIME: Duration = Duration::from_secs(40);
/// No window that is open for long is shorter ...
const WINDOW_MIN: u64 = 8 << 20;
/// ... or longer than this.
const WINDOW_MAX: u64 = 256 << 20;
/// A step of the position up to this is reading on; beyond it is a seek.
const STEP_MAX: u64 = 16 << 20;
/// A window that moves by less is not told to the picker.
const STEP_MIN: u64 = 64 << 10;
/// Over how long a reader's own rate is measured.
const RATE_WINDOW: Duration = Duration::from_secs(8);

#[derive(Debug)]
struct Reader {
    at: ReaderAt,
    /// Where it began, or came to with its last seek.
    began: u64,
    taken: Meter,
    told: Range<u64>,
}

impl Reader {
    fn new(now: Duration, at: ReaderAt) -> Self {
        let mut taken = Meter::new(RATE_WINDOW);
        taken.restart(now);
        Self { began: at.wanted.start, at, taken, told: 0..0 }
    }

    fn demand(&self, now: Duration) -> Demand {
        let start = self.at.wanted.start;
        let wanted = start..self.at.wanted.end.min(self.at.file.end).max(start);
        if wanted.end - self.began.min(start) <= PROBE_MAX {
            // Due at once, before what others only read ahead.
            return Demand { bytes: wanted, bytes_per_s: None, deadline: Duration::ZERO };
        }
        let measured = self.taken.rate(now, Duration::from_secs(2));
        let rate = self.at.bytes_per_s.unwrap_or(measured);
        let taken = start.saturating_sub(self.began);
        let ahead = bytes_in(rate, WINDOW_TIME)
            .clamp(WINDOW_MIN, WINDOW_MAX)
            .min(WINDOW_START.saturating_add(taken.saturating_mul(WINDOW_GROWTH)));
        let bytes = start..wanted.end.min(start.saturating_add(ahead));
        Demand {
            bytes,
            bytes_per_s: self.at.bytes_per_s.or((measured > 0).then_some(measured)),
            deadline: now,
        }
    }
}

/// The readers of a torrent.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    open: BTreeMap<ReaderKey, Reader>,
}

impl Readers {
    /// A reader opens; what to tell the picker.
    pub(crate) fn opened(&mut self, now: Duration, key: ReaderKey, at: ReaderAt) -> Option<Demand> {
        if self.open.len() >= READERS_MAX && !self.open.contains_key(&key) {
            return None;
        }
        let mut reader = Reader::new(now, cut(at));
        let demand = reader.demand(now);
        reader.told = demand.bytes.clone();
        self.open.insert(key, reader);
        Some(demand)
    }

    /// A reader is elsewhere; what to tell the picker, if its window changed by more than a little.
    pub(crate) fn moved(&mut self, now: Duration, key: ReaderKey, at: ReaderAt) -> Option<Demand> {
        let reader = self.open.get_mut(&key)?;
        let at = cut(at);
        let (old, new) = (reader.at.wanted.start, at.wanted.start);
        let reads_on = new >= old && new - old <= STEP_MAX && at.file == reader.at.file;
        if reads_on {
            reader.taken.add(now, new - old);
            reader.at = at;
        } else {
            *reader = Reader::new(now, at);
        }
        let demand = reader.demand(now);
        let told = &reader.told;
        let near = |a: u64, b: u64| a.abs_diff(b) < STEP_MIN;
        let small = reads_on
            && near(told.start, demand.bytes.start)
            && near(told.end, demand.bytes.end)
            && (demand.bytes.end == told.end || demand.bytes.end - demand.bytes.start > 2 * STEP_MIN);
        if small {
            return None;
        }
        reader.told = demand.bytes.clone();
        Some(demand)
    }

    /// A reader is gone; whether it was there.
    pub(crate) fn closed(&mut self, key: ReaderKey) -> bool {
        self.open.remove(&key).is_some()
    }

    /// What every reader needs: for a picker that is new.
    pub(crate) fn demands(&mut self, now: Duration) -> Vec<(ReaderKey, Demand)> {
        let demand = |(key, reader): (&ReaderKey, &mut Reader)| {
            let demand = reader.demand(now);
            reader.told = demand.bytes.clone();
            (*key, demand)
        };
        self.open.iter_mut().map(demand).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The first bytes that each reader waits for or will.
    pub(crate) fn positions(&self) -> impl Iterator<Item = u64> + '_ {
        self.open.values().filter(|reader| !reader.at.wanted.is_empty()).map(|reader| reader.at.wanted.start)
    }
}

/// Within its file, and no range that ends before it begins.
fn cut(mut at: ReaderAt) -> ReaderAt {
    let end = at.wanted.end.min(at.file.end);
    at.wanted = at.wanted.start.min(end)..end;
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const KEY: ReaderKey = ReaderKey(1);
    const S: Duration = Duration::from_secs(1);

    fn at(wanted: Range<u64>, bytes_per_s: Option<u64>) -> ReaderAt {
        ReaderAt { file: 0..1_000 * MIB, wanted, bytes_per_s }
    }

    #[test]
    fn a_probe_gets_its_bytes_and_no_window() {
        let mut readers = Readers::default();
        let demand = readers.opened(S, KEY, at(999 * MIB..999 * MIB + 65_536, None)).unwrap();
        assert_eq!((demand.bytes, demand.deadline), (999 * MIB..999 * MIB + 65_536, Duration::ZERO));
    }

    #[test]
    fn a_window_grows_with_what_was_taken_up_to_seconds_of_the_rate() {
        let mut readers = Readers::default();
        let demand = readers.opened(S, KEY, at(0..1_000 * MIB, Some(MIB))).unwrap();
        assert_eq!(demand.bytes, 0..4 * MIB);
        let demand = readers.moved(2 * S, KEY, at(MIB..1_000 * MIB, Some(MIB))).unwrap();
        assert_eq!(demand.bytes, MIB..9 * MIB);
        let demand = readers.moved(2 * S, KEY, at(16 * MIB..1_000 * MIB, Some(MIB))).unwrap();
        assert_eq!(demand.bytes, 16 * MIB..56 * MIB);
    }

    #[test]
    fn a_seek_begins_again() {
        let mut readers = Readers::default();
        readers.opened(S, KEY, at(0..1_000 * MIB, Some(MIB)));
        readers.moved(S, KEY, at(16 * MIB..1_000 * MIB, Some(MIB)));
        let demand = readers.moved(S, KEY, at(500 * MIB..1_000 * MIB, Some(MIB))).unwrap();
        assert_eq!(demand.bytes, 500 * MIB..504 * MIB);
        assert!(readers.closed(KEY) && !readers.closed(KEY));
    }

    #[test]
    fn a_window_stays_within_the_file() {
        let mut readers = Readers::default();
        let at = ReaderAt { file: 10 * MIB..11 * MIB, wanted: 10 * MIB..u64::MAX, bytes_per_s: None };
        assert_eq!(readers.opened(S, KEY, at).unwrap().bytes, 10 * MIB..11 * MIB);
    }
}
