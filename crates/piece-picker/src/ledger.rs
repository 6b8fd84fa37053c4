//! The block ledger: the only place where a block changes its state. A request stands in its peer's list exactly as long as the
//! block's slot, or a race, names that peer.

use std::time::Duration;

use metainfo::{BlockIndex, PieceIndex};

use crate::{
    PeerKey, Picker, Received,
    limits::{REPORTS_MAX, REVOKE_AFTER, WASTE_FLOOR, WASTE_PERCENT},
    partial::{Partial, Slot},
    peer::{Outstanding, micros},
};

/// A block that a second peer was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Race {
    pub(crate) block: BlockIndex,
    /// The second one.
    pub(crate) by: PeerKey,
    expected: u64,
}

/// Why a peer's requests are taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Withdrawal {
    /// It will not answer them, and is told nothing: it choked us, dropped the piece, left.
    Void,
    /// It stalls; cancelled.
    Stalled,
    /// Something else is wanted; cancelled, and its answer may be on its way.
    MadeWay,
}

impl Picker {
    /// A block came in (its place and length already checked against the layout).
    pub fn received(&mut self, peer: PeerKey, block: BlockIndex, now: Duration) -> Received {
        self.clock = self.clock.max(micros(now));
        let Some(sender) = self.peers.get_mut(&peer) else { return Received::Unasked };
        if sender.take(block).is_some() {
            self.in_flight -= 1;
        } else if sender.take_ghost(block).is_none() {
            return Received::Unasked;
        } else {
            self.strays.answered(peer, block);
        }
        (sender.active, sender.heard, sender.stalls) = (micros(now), micros(now), false);
        sender.delivered = sender.delivered.saturating_add(1);
        let length = u64::from(self.layout.block(block).length);
        if self.have.has(block.piece) {
            self.wasted_bytes += length;
            return Received::Duplicate;
        }
        if !self.partials.contains_key(&block.piece) {
            self.begin(block.piece);
        }
        let slot = self.slot(block);
        match slot {
            None | Some(Slot::Received { .. }) => {
                self.wasted_bytes += length;
                return Received::Duplicate;
            }
            Some(Slot::Requested { by, raced, .. }) => {
                if by != peer {
                    self.lose(by, block);
                }
                if raced {
                    while let Some(at) = self.races.iter().position(|race| race.block == block) {
                        let race = self.races.swap_remove(at);
                        if race.by != peer {
                            self.lose(race.by, block);
                        }
                    }
                }
            }
            Some(Slot::Absent) => {}
        }
        self.received_bytes += length;
        let mut piece_complete = false;
        if let Some(partial) = self.partials.get_mut(&block.piece) {
            partial.put(block.block, Slot::Received { from: peer });
            piece_complete = partial.is_complete();
        }
        if slot == Some(Slot::Absent) {
            self.settle(block.piece);
        }
        Received::Accepted { piece_complete }
    }

    /// Blocks of a piece that a former run received and that storage has. Some block of it has to be missing: without one nobody would
    /// complete it. Of a piece that is begun or verified nothing changes.
    pub fn restored(&mut self, piece: PieceIndex, blocks: &[u32]) {
        let known = self.have.has(piece) || self.partials.contains_key(&piece);
        if known || piece.0 >= self.layout.pieces() || blocks.is_empty() {
            return;
        }
        self.begin(piece);
        if let Some(partial) = self.partials.get_mut(&piece) {
            for block in blocks {
                partial.put(*block, Slot::Received { from: PeerKey::NOBODY });
            }
        }
        self.settle(piece);
    }

    /// The pieces that are begun: some of their blocks are here or asked for, and they are not verified. In order.
    pub fn begun(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.partials.keys().copied()
    }

    /// Marks requests past their expected time, which others may now be asked for too, within the waste budget; appends
    /// them to `out`, each once. Offer `pick` to the other peers after it. Requests long past it are taken away from their peer and
    /// cancelled.
    pub fn expired(&mut self, now: Duration, out: &mut Vec<(PeerKey, BlockIndex)>) {
        self.mark_late(micros(now));
        out.append(&mut self.reports);
    }

    /// When `expired` has something to say, unless more happens before.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Duration> {
        (self.next_late < u64::MAX).then(|| Duration::from_micros(self.next_late))
    }

    /// The requests to cancel since the last call, in order: stale after a seek, losers of a race.
    pub fn take_cancels(&mut self, out: &mut Vec<(PeerKey, BlockIndex)>) {
        let peers = &self.peers;
        out.extend(self.cancels.drain(..).filter(|(peer, _)| peers.contains_key(peer)));
    }

    pub(crate) fn slot(&self, block: BlockIndex) -> Option<Slot> {
        self.partials.get(&block.piece)?.slot(block.block)
    }

    /// A piece gets a ledger of its own.
    pub(crate) fn begin(&mut self, piece: PieceIndex) {
        self.partials.insert(piece, Partial::new(self.layout.blocks(piece)));
        self.close(piece);
        self.loose.insert(piece);
    }

    /// Marks a block as requested from `peer`; as a race when it is requested already.
    pub(crate) fn request(&mut self, key: PeerKey, block: BlockIndex, now: u64, assumed: u64) {
        if !self.partials.contains_key(&block.piece) {
            self.begin(block.piece);
        }
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let Some(partial) = self.partials.get_mut(&block.piece) else { return };
        let due = match partial.slot(block.block) {
            Some(Slot::Absent) => {
                self.strays.asked(key, block);
                let (expected, due) = peer.ask(block, now, assumed);
                partial.put(block.block, Slot::Requested { by: key, raced: false, late: false, expected });
                due
            }
            Some(Slot::Requested { by, raced: false, late, expected: first }) if by != key => {
                let (expected, due) = peer.ask(block, now, assumed);
                partial.put(block.block, Slot::Requested { by, raced: true, late, expected: first });
                self.races.push(Race { block, by: key, expected });
                due
            }
            _ => return,
        };
        self.in_flight += 1;
        self.next_late = self.next_late.min(due);
    }

    /// Whether one more block may be asked for twice.
    pub(crate) fn may_race(&self, now: u64) -> bool {
        let blocks = (self.races.len() + self.strays.risked(now) + 1) as u64;
        let risked = self.wasted_bytes + blocks * u64::from(metainfo::BLOCK_LENGTH);
        risked <= WASTE_FLOOR.max(self.received_bytes / 100 * WASTE_PERCENT)
    }

    /// A request, already off its peer's list, will not be answered as far as we know: the block is free again, or the other
    /// peer's alone.
    pub(crate) fn release(&mut self, key: PeerKey, block: BlockIndex) {
        let race = self.races.iter().position(|race| race.block == block);
        let Some(partial) = self.partials.get_mut(&block.piece) else { return };
        let Some(Slot::Requested { by, late, expected, .. }) = partial.slot(block.block) else { return };
        match race.map(|at| (at, self.races[at])) {
            Some((at, race)) if race.by == key => {
                self.races.swap_remove(at);
                partial.put(block.block, Slot::Requested { by, raced: false, late, expected });
            }
            Some((at, race)) if by == key => {
                self.races.swap_remove(at);
                let request =
                    Slot::Requested { by: race.by, raced: false, late: false, expected: race.expected };
                partial.put(block.block, request);
            }
            None if by == key => {
                partial.put(block.block, Slot::Absent);
                self.settle(block.piece);
            }
            _ => {}
        }
    }

    /// A peer lost a race for a block that is ours now: it is cancelled and becomes a ghost.
    fn lose(&mut self, key: PeerKey, block: BlockIndex) {
        if let Some(peer) = self.peers.get_mut(&key)
            && let Some(request) = peer.take(block)
        {
            peer.haunt(request);
            self.in_flight -= 1;
            self.cancels.push((key, block));
            self.strays.cancelled(key, block, self.clock, false, true);
        }
    }

    /// A peer answered a cancel with a refusal; whether there was one to answer.
    pub(crate) fn cancel_answered(&mut self, key: PeerKey, block: BlockIndex) -> bool {
        let answered = self.peers.get_mut(&key).is_some_and(|peer| peer.take_ghost(block).is_some());
        if answered {
            self.strays.answered(key, block);
        }
        answered
    }

    /// Takes every request from a peer that `of` names; they become ghosts.
    pub(crate) fn withdraw(&mut self, key: PeerKey, how: Withdrawal, of: impl Fn(&Self, PieceIndex) -> bool) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let all = std::mem::take(&mut peer.outstanding);
        let (gone, kept) = all
            .into_iter()
            .partition::<std::collections::VecDeque<Outstanding>, _>(|request| of(self, request.block.piece));
        self.in_flight -= gone.len();
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.outstanding = kept;
            for request in &gone {
                peer.haunt(*request);
            }
            if how == Withdrawal::Void {
                peer.forget_ghosts();
                self.strays.forget(key);
            }
        }
        for request in gone {
            self.release(key, request.block);
            if how != Withdrawal::Void {
                let awaited = how == Withdrawal::MadeWay;
                self.cancels.push((key, request.block));
                self.strays.cancelled(key, request.block, self.clock, awaited, false);
            }
        }
    }

    /// Cancels the requests of all peers for the pieces that `of` names.
    pub(crate) fn cancel_where(&mut self, of: impl Fn(&Self, PieceIndex) -> bool) {
        let keys: Vec<PeerKey> =
            self.peers.iter().filter(|(_, peer)| !peer.outstanding.is_empty()).map(|(key, _)| *key).collect();
        for key in keys {
            self.withdraw(key, Withdrawal::MadeWay, &of);
        }
    }

    /// Keeps `loose`, `worked` and the whole absent pieces in step with a piece whose blocks or workers changed.
    pub(crate) fn settle(&mut self, piece: PieceIndex) {
        let (mut loose, mut worked) = (false, false);
        if let Some(partial) = self.partials.get(&piece) {
            if partial.is_untouched() && partial.workers == 0 {
                self.partials.remove(&piece);
                self.reopen(piece);
            } else if partial.absent() > 0 {
                (loose, worked) = (partial.workers == 0, partial.workers > 0);
            }
        }
        self.loose.set(piece, loose);
        self.worked.set(piece, worked);
    }

    /// A peer no longer takes the blocks of a piece one after the other.
    pub(crate) fn drop_current(&mut self, key: PeerKey) {
        if let Some(peer) = self.peers.get_mut(&key)
            && let Some(piece) = peer.current.take()
        {
            if let Some(partial) = self.partials.get_mut(&piece) {
                partial.workers -= 1;
            }
            self.settle(piece);
        }
    }

    /// Ends a partial piece: verified, corrupt or failed to be written.
    pub(crate) fn end(&mut self, piece: PieceIndex) -> Option<Partial> {
        for peer in self.peers.values_mut() {
            if peer.current == Some(piece) {
                peer.current = None;
            }
        }
        // A complete piece has no requests; one that ends early has.
        if self.partials.get(&piece).is_some_and(|partial| partial.requested() > 0) {
            self.cancel_where(|_, other| other == piece);
        }
        let partial = self.partials.remove(&piece);
        self.settle(piece);
        partial
    }

    /// Finds the requests that should have come by `now` and takes away those that are long past it.
    pub(crate) fn mark_late(&mut self, now: u64) {
        if now < self.next_late {
            return;
        }
        let (mut revoked, mut overtaken) = (Vec::new(), Vec::new());
        self.next_late = u64::MAX;
        for (key, peer) in &mut self.peers {
            let revoke_before = now.saturating_sub(micros(REVOKE_AFTER));
            for request in peer.outstanding.iter_mut().take_while(|request| request.due <= now) {
                if request.due <= revoke_before {
                    revoked.push((*key, request.block));
                } else if !request.late {
                    (request.late, peer.stalls) = (true, true);
                    if self.reports.len() < REPORTS_MAX {
                        self.reports.push((*key, request.block));
                    }
                    let partial = self.partials.get_mut(&request.block.piece);
                    if let Some(partial) = partial
                        && let Some(Slot::Requested { by, raced, expected, late }) =
                            partial.slot(request.block.block)
                    {
                        if by == *key {
                            partial.put(
                                request.block.block,
                                Slot::Requested { by, raced, late: true, expected },
                            );
                        } else if late {
                            // Both are late: the first is given up, so that a third may be asked.
                            revoked.push((by, request.block));
                            overtaken.push((by, request.block));
                        }
                    }
                }
            }
            if let Some(first) = peer.outstanding.iter().find(|request| request.due > revoke_before) {
                let first_late = first.due.saturating_add(micros(REVOKE_AFTER));
                let next =
                    peer.outstanding.iter().find(|request| !request.late && request.due > revoke_before);
                let next = next.map_or(first_late, |next| next.due.max(now + 1).min(first_late));
                self.next_late = self.next_late.min(next);
            }
        }
        for (key, block) in revoked {
            if let Some(peer) = self.peers.get_mut(&key)
                && let Some(request) = peer.take(block)
            {
                peer.haunt(request);
                self.in_flight -= 1;
                self.release(key, block);
                self.cancels.push((key, block));
                self.strays.cancelled(key, block, now, false, false);
            }
        }
        for (key, block) in overtaken {
            self.strays.cancelled(key, block, now, false, true);
            if let Some(partial) = self.partials.get_mut(&block.piece)
                && let Some(Slot::Requested { by, raced: false, expected, .. }) = partial.slot(block.block)
            {
                partial.put(block.block, Slot::Requested { by, raced: false, late: true, expected });
            }
        }
    }
}
