//! What readers need, as windows: from where they are, as far ahead as some seconds at their rate.
//!
//! A short read (an index at the end, a player that looks around) gets its bytes first and no window. A window grows with
//! what the reader has taken, so that one that opens and goes away again costs little. Which blocks these are is
//! `piece-picker`'s affair.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use piece_picker::Demand;

use crate::{
    ReaderAt, ReaderKey, ReaderStats,
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
/// Rates of it are not made of less than this.
const RATE_SPAN_MIN: Duration = Duration::from_millis(500);
/// Over how long it is measured what comes into a reader's window.
const COME_WINDOW: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Reader {
    at: ReaderAt,
    /// Where it began, or came to with its last seek.
    began: u64,
    taken: Meter,
    /// What came into its window.
    came: Meter,
    told: Range<u64>,
}

/// How much all windows may hold together, where bytes have little room.
#[derive(Clone, Copy, Debug)]
struct Room {
    bytes_max: u64,
    piece_length: u64,
}

impl Room {
    /// What one of `windows` gets ahead of its position, so that the pieces it touches fit its share.
    fn ahead(self, windows: usize) -> u64 {
        let share = self.bytes_max / u64::try_from(windows.max(1)).unwrap_or(u64::MAX);
        let pieces = share / self.piece_length.max(1);
        pieces.saturating_sub(1).saturating_mul(self.piece_length).max(1)
    }
}

impl Reader {
    fn new(now: Duration, at: ReaderAt) -> Self {
        let mut taken = Meter::new(RATE_WINDOW);
        taken.restart(now);
        let mut came = Meter::new(COME_WINDOW);
        came.restart(now);
        Self { began: at.wanted.start, at, taken, came, told: 0..0 }
    }

    /// A request so short that it gets no window.
    fn is_probe(&self) -> bool {
        let at = &self.at;
        at.wanted.end.min(at.file.end).saturating_sub(self.began.min(at.wanted.start)) <= PROBE_MAX
    }

    /// What the picker is told; `ahead_max` is how far the window may reach where room is scarce.
    fn demand(&self, now: Duration, ahead_max: u64) -> Demand {
        let start = self.at.wanted.start;
        let wanted = start..self.at.wanted.end.min(self.at.file.end).max(start);
        if self.at.ahead.is_none() && self.is_probe() {
            // Due at once, before what others only read ahead.
            return Demand { bytes: wanted, bytes_per_s: None, deadline: Duration::ZERO };
        }
        let measured = self.taken.rate(now, Duration::from_secs(2));
        let rate = self.at.bytes_per_s.unwrap_or(measured);
        let taken = start.saturating_sub(self.began);
        let ahead = bytes_in(rate, WINDOW_TIME)
            .clamp(WINDOW_MIN, WINDOW_MAX)
            .min(WINDOW_START.saturating_add(taken.saturating_mul(WINDOW_GROWTH)))
            .min(ahead_max);
        let bytes = start..wanted.end.min(start.saturating_add(ahead));
        Demand {
            bytes,
            bytes_per_s: self.at.bytes_per_s.or((measured > 0).then_some(measured)),
            deadline: now + self.at.ahead.unwrap_or_default(),
        }
    }
}

/// The readers of a torrent.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    open: BTreeMap<ReaderKey, Reader>,
    room: Option<Room>,
}

impl Readers {
    /// All windows together touch no more pieces than fit `bytes_max`, where that can be.
    pub(crate) fn set_room(&mut self, bytes_max: Option<u64>, piece_length: u32) {
        self.room = bytes_max.map(|bytes_max| Room { bytes_max, piece_length: piece_length.into() });
    }

    /// Whether one reader's coming or going changes the windows of the others.
    pub(crate) fn share_room(&self) -> bool {
        self.room.is_some() && self.open.len() > 1
    }

    fn ahead_max(&self) -> u64 {
        let windows =
            || self.open.values().filter(|reader| !reader.at.wanted.is_empty() && !reader.is_probe());
        self.room.map_or(u64::MAX, |room| room.ahead(windows().count()))
    }

    /// Bytes came at `offset`: they count for the readers whose window they are in.
    pub(crate) fn came(&mut self, now: Duration, offset: u64, bytes: u64) {
        for reader in self.open.values_mut().filter(|reader| reader.told.contains(&offset)) {
            reader.came.add(now, bytes);
        }
    }

    /// Every reader as numbers.
    pub(crate) fn stats(&self, now: Duration) -> impl Iterator<Item = ReaderStats> + '_ {
        self.open.iter().map(move |(key, reader)| ReaderStats {
            reader: *key,
            at: reader.at.clone(),
            window: reader.told.clone(),
            bytes_per_s: reader.came.rate(now, RATE_SPAN_MIN),
            measured: reader.came.span(now),
        })
    }

    /// A reader opens; what to tell the picker.
    pub(crate) fn opened(&mut self, now: Duration, key: ReaderKey, at: ReaderAt) -> Option<Demand> {
        if self.open.len() >= READERS_MAX && !self.open.contains_key(&key) {
            return None;
        }
        self.open.insert(key, Reader::new(now, cut(at)));
        let ahead_max = self.ahead_max();
        let reader = self.open.get_mut(&key)?;
        let demand = reader.demand(now, ahead_max);
        reader.told = demand.bytes.clone();
        Some(demand)
    }

    /// A reader is elsewhere; what to tell the picker, if its window changed by more than a little.
    pub(crate) fn moved(&mut self, now: Duration, key: ReaderKey, at: ReaderAt) -> Option<Demand> {
        let reader = self.open.get_mut(&key)?;
        let at = cut(at);
        let (old, new) = (reader.at.wanted.start, at.wanted.start);
        let waits = reader.at.ahead.is_none();
        let reads_on = new >= old && new - old <= STEP_MAX && at.file == reader.at.file;
        if reads_on {
            reader.taken.add(now, new - old);
            reader.at = at;
        } else {
            *reader = Reader::new(now, at);
        }
        let ahead_max = self.ahead_max();
        let reader = self.open.get_mut(&key)?;
        let demand = reader.demand(now, ahead_max);
        let told = &reader.told;
        let near = |a: u64, b: u64| a.abs_diff(b) < STEP_MIN;
        // What is wanted to its last byte may be waited for to its last byte: the picker must have heard of that.
        let heard = demand.bytes.end <= told.end || demand.bytes.end < reader.at.wanted.end;
        let small = reads_on
            && heard
            && waits == reader.at.ahead.is_none()
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
        let ahead_max = self.ahead_max();
        let demand = |(key, reader): (&ReaderKey, &mut Reader)| {
            let demand = reader.demand(now, ahead_max);
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
        ReaderAt { file: 0..1_000 * MIB, wanted, bytes_per_s, ahead: None }
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
    fn what_is_only_hinted_is_due_after_what_is_waited_for_however_short() {
        let mut readers = Readers::default();
        let hinted = ReaderAt { ahead: Some(4 * S), ..at(600_000..900_000, Some(100_000)) };
        let hinted = readers.opened(S, ReaderKey(2), hinted).unwrap();
        let waits = readers.opened(S, KEY, at(0..600_000, Some(100_000))).unwrap();
        assert_eq!((waits.deadline, hinted.deadline, hinted.bytes), (S, 5 * S, 600_000..900_000));
        // Once somebody waits for it, it is due.
        let waits = readers.moved(2 * S, ReaderKey(2), at(600_000..900_000, Some(100_000))).unwrap();
        assert_eq!(waits.deadline, Duration::ZERO);
    }

    #[test]
    fn a_few_bytes_more_that_a_read_waits_for_are_heard_of() {
        let mut readers = Readers::default();
        readers.opened(S, KEY, at(0..MIB, Some(MIB)));
        let demand = readers.moved(S, KEY, at(0..MIB + 10_000, Some(MIB))).unwrap();
        assert_eq!(demand.bytes, 0..MIB + 10_000);
        // Reading on within it is not.
        assert!(readers.moved(S, KEY, at(10_000..MIB + 10_000, Some(MIB))).is_none());
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
    fn where_room_is_scarce_all_windows_together_fit_it_in_whole_pieces() {
        let mut readers = Readers::default();
        readers.set_room(Some(12 * MIB), 1 << 20);
        let far = at(0..1_000 * MIB, Some(100 * MIB));
        readers.opened(S, KEY, far.clone());
        let alone = readers.moved(S, KEY, at(15 * MIB + 5..1_000 * MIB, Some(100 * MIB))).unwrap();
        assert_eq!(alone.bytes, 15 * MIB + 5..26 * MIB + 5);
        readers.opened(S, ReaderKey(2), at(500 * MIB..1_000 * MIB, Some(100 * MIB)));
        assert!(readers.share_room());
        let mut pieces = 0;
        for (_, demand) in readers.demands(S) {
            pieces += demand.bytes.end.div_ceil(MIB) - demand.bytes.start / MIB;
        }
        assert!((10..=12).contains(&pieces), "{pieces}");
        // A probe takes nothing from the windows.
        readers.opened(S, ReaderKey(3), at(999 * MIB..999 * MIB + 65_536, None));
        assert_eq!(readers.demands(S)[0].1.bytes, 15 * MIB + 5..20 * MIB + 5);
    }

    #[test]
    fn what_comes_into_a_window_is_its_readers_rate() {
        let mut readers = Readers::default();
        readers.opened(S, KEY, at(0..1_000 * MIB, None));
        readers.opened(S, ReaderKey(2), at(500 * MIB..1_000 * MIB, None));
        for _ in 0..4 {
            readers.came(2 * S, MIB, MIB / 4);
        }
        let rates: Vec<_> = readers.stats(3 * S).map(|reader| reader.bytes_per_s).collect();
        assert!(rates[0].abs_diff(MIB / 2) < MIB / 16 && rates[1] == 0, "{rates:?}");
    }

    #[test]
    fn a_window_stays_within_the_file() {
        let mut readers = Readers::default();
        let at =
            ReaderAt { file: 10 * MIB..11 * MIB, wanted: 10 * MIB..u64::MAX, bytes_per_s: None, ahead: None };
        assert_eq!(readers.opened(S, KEY, at).unwrap().bytes, 10 * MIB..11 * MIB);
    }
}
