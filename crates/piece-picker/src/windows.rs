//! Readers and their windows: which pieces are urgent, in which order; what gives way when a reader jumps.

use std::{ops::Range, time::Duration};

use metainfo::PieceIndex;

use crate::{
    Demand, PeerKey, Picker, Priority, ReaderKey,
    ledger::Withdrawal,
    limits::{GIVE_WAY, READERS_MAX, SLOW_PEER, WINDOW_PIECES_MAX},
    peer::{Peer, micros},
};

/// What a reader asked for.
#[derive(Debug)]
pub(crate) struct Reader {
    demand: Demand,
    pieces: Range<u32>,
}

/// A missing piece of a window. Ordered by when it is due, then by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Urgent {
    due: u64,
    pub(crate) piece: PieceIndex,
}

impl Reader {
    /// When the reader comes to `piece`, whose first byte is at `offset`.
    fn due(&self, offset: u64) -> u64 {
        let ahead = offset.saturating_sub(self.demand.bytes.start);
        let after = match self.demand.bytes_per_s {
            Some(rate) => {
                u64::try_from(u128::from(ahead) * 1_000_000 / u128::from(rate.max(1))).unwrap_or(u64::MAX)
            }
            None => 0,
        };
        micros(self.demand.deadline).saturating_add(after)
    }
}

impl Picker {
    /// A reader appears. When its window is not on the way already, everything else in flight is cancelled to make way.
    /// More than [`READERS_MAX`](crate::READERS_MAX) readers are ignored; pieces of a window past
    /// [`WINDOW_PIECES_MAX`](crate::WINDOW_PIECES_MAX) are not urgent yet.
    pub fn reader_opened(&mut self, reader: ReaderKey, demand: Demand, now: Duration) {
        self.reader_moved(reader, demand, now);
    }

    /// A reader went on or sought. After a jump, requests that no window covers are cancelled; partial pieces stay.
    pub fn reader_moved(&mut self, reader: ReaderKey, demand: Demand, now: Duration) {
        if self.readers.len() >= READERS_MAX && !self.readers.contains_key(&reader) {
            return;
        }
        self.clock = self.clock.max(micros(now));
        let mut pieces = self.layout.pieces_of(demand.bytes.clone());
        pieces.end = pieces.end.min(pieces.start.saturating_add(WINDOW_PIECES_MAX));
        let head = pieces.clone().map(PieceIndex).find(|piece| !self.have.has(*piece));
        let was_urgent = head.is_none_or(|head| self.windowed.has(head));
        self.readers.insert(reader, Reader { demand, pieces });
        let left = self.rebuild_windows();
        let head_waits =
            head.is_some_and(|head| self.partials.get(&head).is_none_or(|partial| partial.absent() > 0));
        match head.filter(|_| head_waits && (!was_urgent || !left.is_empty())) {
            Some(head) => self.make_way(head, micros(now)),
            None => self.cancel_unwanted(&left),
        }
    }

    /// A reader is gone; requests made only for it are cancelled if others wait or the pieces are not wanted otherwise.
    pub fn reader_closed(&mut self, reader: ReaderKey, now: Duration) {
        self.clock = self.clock.max(micros(now));
        if self.readers.remove(&reader).is_none() {
            return;
        }
        let left = self.rebuild_windows();
        if self.windows.is_empty() {
            self.cancel_unwanted(&left);
        } else {
            self.cancel_where(|picker, piece| {
                left.binary_search(&piece).is_ok() && !picker.windowed.has(piece)
            });
        }
    }

    /// Whether any reader is there: pipelines are to be short.
    #[must_use]
    pub fn watched(&self) -> bool {
        !self.readers.is_empty()
    }

    /// Whether a piece of a window is still missing.
    #[must_use]
    pub fn urgent(&self) -> bool {
        !self.windows.is_empty()
    }

    /// Whether `piece` lies in a window and is missing.
    #[must_use]
    pub fn is_urgent(&self, piece: PieceIndex) -> bool {
        self.windowed.has(piece)
    }

    /// Finds the urgent pieces anew; returns those that were and are no longer, though missing, rising.
    pub(crate) fn rebuild_windows(&mut self) -> Vec<PieceIndex> {
        let before = std::mem::take(&mut self.windows);
        let mut windows = Vec::new();
        for reader in self.readers.values() {
            let missing = reader.pieces.clone().map(PieceIndex).filter(|piece| !self.have.has(*piece));
            windows.extend(missing.map(|piece| Urgent { due: reader.due(self.layout.offset(piece)), piece }));
        }
        windows.sort_unstable();
        self.windowed.clear();
        // The earliest of several readers' times counts.
        windows.retain(|urgent| self.windowed.insert(urgent.piece));
        for urgent in &windows {
            self.need.insert(urgent.piece);
        }
        self.windows = windows;
        let mut left: Vec<PieceIndex> = before
            .into_iter()
            .map(|urgent| urgent.piece)
            .filter(|piece| !self.windowed.has(*piece) && !self.have.has(*piece))
            .collect();
        left.sort_unstable();
        for piece in &left {
            if self.priority(*piece) == Priority::Skip {
                self.need.remove(*piece);
            }
        }
        left
    }

    /// Cancels every request that no window covers, or that is needed much later than `head`; the peers are counted on to take
    /// urgent ones instead.
    fn make_way(&mut self, head: PieceIndex, now: u64) {
        let due = self.windows.iter().find(|urgent| urgent.piece == head).map_or(0, |urgent| urgent.due);
        let soon = due.max(now).saturating_add(micros(GIVE_WAY));
        let mut kept: Vec<PieceIndex> =
            self.windows.iter().take_while(|urgent| urgent.due <= soon).map(|urgent| urgent.piece).collect();
        kept.sort_unstable();
        let slow = self.peers.values().filter_map(Peer::rate).max().unwrap_or(0) / SLOW_PEER;
        let gives_way =
            |peer: &Peer| !peer.outstanding.is_empty() && peer.rate().is_none_or(|rate| rate > slow);
        let keys: Vec<PeerKey> =
            self.peers.iter().filter(|(_, peer)| gives_way(peer)).map(|(key, _)| *key).collect();
        for key in keys {
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.active = now;
            }
            self.withdraw(key, Withdrawal::MadeWay, |_, piece| kept.binary_search(&piece).is_err());
        }
    }

    /// Cancels requests for `pieces` (rising) that nobody wants.
    pub(crate) fn cancel_unwanted(&mut self, pieces: &[PieceIndex]) {
        let unwanted: Vec<PieceIndex> = pieces
            .iter()
            .copied()
            .filter(|piece| !self.need.has(*piece) && self.partials.contains_key(piece))
            .collect();
        if !unwanted.is_empty() {
            self.cancel_where(|_, piece| unwanted.binary_search(&piece).is_ok());
        }
    }
}
