//! What is known of one peer: its pieces, the requests that wait with it, and when it is expected to deliver.

use std::{collections::VecDeque, time::Duration};

use metainfo::{BLOCK_LENGTH, BlockIndex, PieceIndex};

use crate::{
    limits::{
        EXPECTED_MAX, GHOSTS_MAX, LATE_SLACK, LATE_SLACK_UNKNOWN, RATE_MAX, REFUSED_FOR, REFUSED_MAX,
        STRANGER_BLOCKS, TRUST_IDLE,
    },
    set::PieceSet,
};

/// A time or a duration as the picker counts: whole microseconds.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}

/// The pieces of a peer.
#[derive(Clone, Debug)]
pub(crate) enum Has {
    All,
    Some(PieceSet),
}

impl Has {
    pub(crate) fn has(&self, piece: PieceIndex) -> bool {
        match self {
            Self::All => true,
            Self::Some(set) => set.has(piece),
        }
    }

    pub(crate) fn set(&self) -> Option<&PieceSet> {
        match self {
            Self::All => None,
            Self::Some(set) => Some(set),
        }
    }
}

/// A request that waits, or (a "ghost") one that was cancelled or lost its race and may come all the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outstanding {
    pub(crate) block: BlockIndex,
    /// When it counts as late, in microseconds.
    pub(crate) due: u64,
    /// `expired` knows of it.
    pub(crate) late: bool,
}

/// One peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) has: Has,
    /// Bytes per second; 0: not known.
    rate: u64,
    round_trip: u64,
    /// It is asked for blocks: neither choking nor idle by decision.
    pub(crate) able: bool,
    /// When it was last asked, sent something or lost requests.
    pub(crate) active: u64,
    /// When something came from it last, or, if nothing waited with it, when it was asked.
    pub(crate) heard: u64,
    /// Blocks that came from it.
    pub(crate) delivered: u32,
    /// A request was late, and nothing has come since.
    pub(crate) stalls: bool,
    /// It had a part in a corrupt piece with others: it gets whole pieces to itself.
    pub(crate) parole: bool,
    /// The piece whose blocks it takes one after the other in bulk.
    pub(crate) current: Option<PieceIndex>,
    /// It began that piece; others help from its end.
    pub(crate) leads: bool,
    /// Each with the time, in microseconds, until which it is not asked for here.
    pub(crate) refused: VecDeque<(PieceIndex, u64)>,
    pub(crate) outstanding: VecDeque<Outstanding>,
    ghosts: VecDeque<Outstanding>,
    /// So many ghosts, the oldest, should have come by now if they come at all.
    ghosts_past: usize,
}

/// When a peer would deliver further blocks: the first `ready + block` from now, then one each `block`. In microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) ready: u64,
    pub(crate) block: u64,
}

impl Pace {
    /// When one more block would be here.
    pub(crate) fn next(self) -> u64 {
        self.ready + self.block
    }

    /// How many further blocks would be here within `time`.
    pub(crate) fn blocks_within(self, time: u64) -> u64 {
        time.saturating_sub(self.ready) / self.block
    }
}

impl Peer {
    pub(crate) fn new(has: Has) -> Self {
        Self {
            has,
            rate: 0,
            round_trip: 0,
            able: false,
            active: 0,
            heard: 0,
            delivered: 0,
            stalls: false,
            parole: false,
            current: None,
            leads: false,
            refused: VecDeque::new(),
            outstanding: VecDeque::new(),
            ghosts: VecDeque::new(),
            ghosts_past: 0,
        }
    }

    pub(crate) fn set_rate(&mut self, bytes_per_s: u64, round_trip: Duration) {
        self.rate = bytes_per_s.min(RATE_MAX);
        self.round_trip = micros(round_trip);
    }

    /// Its measured rate, if it has one.
    pub(crate) fn rate(&self) -> Option<u64> {
        (self.rate > 0).then_some(self.rate)
    }

    /// Whether it may be asked for blocks of `piece`.
    pub(crate) fn offers(&self, piece: PieceIndex) -> bool {
        self.has.has(piece) && !self.refused.iter().any(|(refused, _)| *refused == piece)
    }

    pub(crate) fn refuse(&mut self, piece: PieceIndex, now: u64) {
        self.refused.retain(|(refused, _)| *refused != piece);
        if self.refused.len() == REFUSED_MAX {
            self.refused.pop_front();
        }
        self.refused.push_back((piece, now + micros(REFUSED_FOR)));
    }

    /// What it refused long ago may be asked for again.
    pub(crate) fn forgive(&mut self, now: u64) {
        while self.refused.front().is_some_and(|(_, until)| *until <= now) {
            self.refused.pop_front();
        }
    }

    /// Whether what it was asked for first should have come by now.
    pub(crate) fn is_late(&self, now: u64) -> bool {
        self.outstanding.front().is_some_and(|first| first.due <= now)
    }

    /// Whether it will go on taking requests: it has some, or had a moment ago.
    pub(crate) fn is_busy(&self, now: u64) -> bool {
        !self.outstanding.is_empty() || now.saturating_sub(self.active) <= micros(TRUST_IDLE)
    }

    /// When it would deliver more; `assumed` is its rate if that is not known.
    pub(crate) fn pace(&mut self, now: u64, assumed: u64) -> Pace {
        while self.ghosts.get(self.ghosts_past).is_some_and(|ghost| ghost.due <= now) {
            self.ghosts_past += 1;
        }
        let rate = self.rate().unwrap_or(assumed).max(1);
        let block = (u64::from(BLOCK_LENGTH) * 1_000_000 / rate).max(1);
        let waiting = self.outstanding.len() + self.ghosts.len() - self.ghosts_past;
        let queue = block.saturating_mul(waiting as u64);
        // What is late already says that the rate is not what it was.
        let late = self.outstanding.front().map_or(0, |first| now.saturating_sub(first.due));
        Pace {
            ready: queue.max(self.round_trip).saturating_add(late.saturating_mul(2)).min(u64::MAX / 8),
            block,
        }
    }

    /// Notes a request and says when it is expected and when it counts as late.
    pub(crate) fn ask(&mut self, block: BlockIndex, now: u64, assumed: u64) -> (u64, u64) {
        let takes = self.pace(now, assumed).next().min(micros(EXPECTED_MAX));
        let slack = if self.rate > 0 { LATE_SLACK } else { LATE_SLACK_UNKNOWN };
        let due = now + takes + takes / 2 + micros(slack);
        if self.outstanding.is_empty() {
            self.heard = now;
        }
        self.outstanding.push_back(Outstanding { block, due, late: false });
        (now + takes, due)
    }

    /// When a request is expected by what is known now: a peer may have turned out to be slower than it was taken to be. A stranger
    /// that is silent for longer than a block should take needs at least that long for each; others send in gusts.
    pub(crate) fn expects(&self, block: BlockIndex, now: u64, assumed: u64) -> Option<u64> {
        let place = self.outstanding.iter().position(|request| request.block == block)? as u64;
        let rate = self.rate().unwrap_or(assumed).max(1);
        let silent = if self.delivered < STRANGER_BLOCKS { now.saturating_sub(self.heard) } else { 0 };
        let each = (u64::from(BLOCK_LENGTH) * 1_000_000 / rate).max(silent);
        Some(self.heard.saturating_add(each.saturating_mul(place + 1).min(micros(EXPECTED_MAX))))
    }

    /// Whether a block that was cancelled here may be on its way all the same: asking for it again would bring it twice.
    pub(crate) fn is_haunted(&self, block: BlockIndex) -> bool {
        self.ghosts.range(self.ghosts_past..).any(|ghost| ghost.block == block)
    }

    /// Takes a request off the list.
    pub(crate) fn take(&mut self, block: BlockIndex) -> Option<Outstanding> {
        let at = self.outstanding.iter().position(|request| request.block == block)?;
        self.outstanding.remove(at)
    }

    /// Takes a ghost off the list.
    pub(crate) fn take_ghost(&mut self, block: BlockIndex) -> Option<Outstanding> {
        let at = self.ghosts.iter().position(|request| request.block == block)?;
        self.ghosts_past -= usize::from(at < self.ghosts_past);
        self.ghosts.remove(at)
    }

    /// What was cancelled is not on its way any more, as it choked us since. A late block is still accepted.
    pub(crate) fn forget_ghosts(&mut self) {
        self.ghosts_past = self.ghosts.len();
    }

    /// Remembers a request that is no longer expected.
    pub(crate) fn haunt(&mut self, request: Outstanding) {
        if self.ghosts.len() == GHOSTS_MAX {
            self.ghosts.pop_front();
            self.ghosts_past = self.ghosts_past.saturating_sub(1);
        }
        self.ghosts.push_back(request);
    }
}
