//! Requests for readers: each block of a window comes from the peer that is expected to deliver it soonest.
//!
//! A peer that could have its next block here at time *t* leaves to the others as many of the window's first absent blocks as
//! they would have delivered clearly before *t*, and takes the one after: fast peers serve the reader's position, slow ones what
//! the reader will come to when they have delivered. The one that is soonest never leaves anything, so nobody waits for nobody.

use metainfo::{BlockIndex, PieceIndex};

use crate::{
    PeerKey, Picker,
    limits::{HURRY_PIECES, HURRY_SLACK, HURRY_SOONER, PROBE_BLOCKS},
    partial::{Partial, Slot},
    peer::{Pace, micros},
};

/// Another peer that could deliver blocks of windows.
struct Helper {
    key: PeerKey,
    pace: Pace,
}

impl Picker {
    /// Requests blocks of windows from a peer until `out` has `end`; whether there is room left for others.
    pub(crate) fn pick_urgent(
        &mut self,
        key: PeerKey,
        now: u64,
        assumed: u64,
        end: usize,
        out: &mut Vec<BlockIndex>,
    ) -> bool {
        if self.windows.is_empty() {
            return out.len() < end;
        }
        let helpers = self.helpers(key, now, assumed);
        // Windows before it have nothing to ask for.
        let mut from = 0;
        while out.len() < end {
            let Some(peer) = self.peers.get(&key) else { return false };
            if peer.rate().is_none() && peer.outstanding.len() >= PROBE_BLOCKS {
                return false;
            }
            match self.urgent_block(key, &helpers, &mut from, now, assumed) {
                Some(block) => {
                    self.request(key, block, now, assumed);
                    self.settle(block.piece);
                    self.claim_alone(key, block.piece);
                    out.push(block);
                }
                None => return true,
            }
        }
        false
    }

    /// The others that are asked for blocks and do deliver.
    fn helpers(&mut self, key: PeerKey, now: u64, assumed: u64) -> Vec<Helper> {
        self.peers
            .iter_mut()
            .filter(|(other, peer)| **other != key && peer.able && !peer.parole)
            .filter(|(_, peer)| !peer.stalls && !peer.is_late(now) && peer.is_busy(now))
            .map(|(other, peer)| Helper { key: *other, pace: peer.pace(now, assumed) })
            .collect()
    }

    /// The block of the windows to ask this peer for next.
    fn urgent_block(
        &mut self,
        key: PeerKey,
        helpers: &[Helper],
        from: &mut usize,
        now: u64,
        assumed: u64,
    ) -> Option<BlockIndex> {
        let next = self.pace(key, now, assumed)?.next();
        // "Clearly sooner": equals do not wait for each other.
        let sooner = next - next / 16;
        let fast: Vec<(PeerKey, u64)> = helpers
            .iter()
            .map(|helper| (helper.key, helper.pace.blocks_within(sooner)))
            .filter(|(_, blocks)| *blocks > 0)
            .collect();
        let may_race = self.may_race(now) && !self.peers.get(&key)?.is_late(now);
        let mut left_to_others = 0u64;
        let mut unfinished = 0;
        for at in *from..self.windows.len() {
            let piece = self.windows[at].piece;
            let partial = self.partials.get(&piece);
            let absent = partial.map_or_else(|| self.layout.blocks(piece), Partial::absent);
            let late = partial.map_or(0, Partial::late);
            let requested = partial.map_or(0, Partial::requested);
            if absent == 0 && requested == 0 {
                if at == *from {
                    *from += 1;
                }
                continue;
            }
            unfinished += 1;
            if absent == 0 && late == 0 && unfinished > HURRY_PIECES {
                continue;
            }
            if self.peers.get(&key)?.offers(piece) && self.may_share_urgent(key, piece) {
                let others: u64 = fast
                    .iter()
                    .filter(|(other, _)| self.peers.get(other).is_some_and(|peer| peer.offers(piece)))
                    .map(|(_, blocks)| blocks)
                    .sum::<u64>()
                    .saturating_sub(left_to_others);
                if let Some(nth) = usize::try_from(others).ok().filter(|_| others < u64::from(absent)) {
                    let may_race = may_race || unfinished == 1;
                    if let Some(block) = self.nth_absent(key, piece, nth, now, may_race) {
                        return Some(block);
                    }
                }
                // Who is sooner and has no absent block left to ask for races.
                let may_race = may_race && others < u64::from(absent + late.max(1));
                if let Some(block) = (may_race && late > 0).then(|| self.late_block(key, piece)).flatten() {
                    return Some(block);
                }
                if may_race && requested > 0 && unfinished <= HURRY_PIECES {
                    let far = now + next.saturating_mul(HURRY_SOONER) + micros(HURRY_SLACK);
                    if let Some(block) = self.far_block(key, piece, far, now, assumed) {
                        return Some(block);
                    }
                }
            }
            left_to_others += u64::from(absent);
        }
        None
    }

    /// The absent block of `piece` after `nth` others, or one of the next that is not on its way already, although it was cancelled.
    /// What comes from another peer is asked for only if it `may_race`; what comes from this one, if nothing else is absent.
    fn nth_absent(
        &self,
        key: PeerKey,
        piece: PieceIndex,
        nth: usize,
        now: u64,
        may_race: bool,
    ) -> Option<BlockIndex> {
        let index = |block| BlockIndex { piece, block };
        let Some(partial) = self.partials.get(&piece) else {
            return u32::try_from(nth).ok().map(index);
        };
        let peer = self.peers.get(&key)?;
        let absent = || partial.absent_blocks().skip(nth).map(index);
        let alone = |block: &BlockIndex| may_race || !self.strays.comes_from_another(key, *block, now);
        absent().find(|block| !peer.is_haunted(*block) && alone(block)).or_else(|| absent().find(alone))
    }

    /// The first block of `piece` that is late with another peer only.
    fn late_block(&self, key: PeerKey, piece: PieceIndex) -> Option<BlockIndex> {
        let late = |slot| matches!(slot, Slot::Requested { by, raced: false, late: true, .. } if by != key);
        let (block, _) = self.partials.get(&piece)?.slots().find(|(_, slot)| late(*slot))?;
        Some(BlockIndex { piece, block })
    }

    /// The block of `piece` that is to come last from another peer only, if that is after `time`, by what was thought when it
    /// was asked for or by what is known of its peer now.
    fn far_block(
        &self,
        key: PeerKey,
        piece: PieceIndex,
        time: u64,
        now: u64,
        assumed: u64,
    ) -> Option<BlockIndex> {
        let far = self.partials.get(&piece)?.slots().filter_map(|(block, slot)| match slot {
            Slot::Requested { by, raced: false, expected, .. } if by != key => {
                let known = self.peers.get(&by)?.expects(BlockIndex { piece, block }, now, assumed)?;
                let expected = expected.max(known);
                (expected > time).then_some((expected, block))
            }
            _ => None,
        });
        let (_, block) = far.max()?;
        Some(BlockIndex { piece, block })
    }

    /// Whether a suspect alone fetches this piece, and it is another one.
    fn taken_by_suspect(&self, key: PeerKey, partial: &Partial) -> bool {
        partial.requested() > 0
            && partial.late() == 0
            && partial.sole.is_some_and(|sole| sole != key && self.peers.contains_key(&sole))
    }

    /// Whether blocks of this piece may be asked from this peer, as far as suspicion goes.
    pub(crate) fn may_share(&self, key: PeerKey, piece: PieceIndex) -> bool {
        self.partials.get(&piece).is_none_or(|partial| !self.taken_by_suspect(key, partial))
    }

    /// As `may_share`; a suspect gets an urgent piece only for itself or when no honest peer has it.
    fn may_share_urgent(&self, key: PeerKey, piece: PieceIndex) -> bool {
        if !self.may_share(key, piece) {
            return false;
        }
        if self.peers.get(&key).is_none_or(|peer| !peer.parole) {
            return true;
        }
        !self.peers.values().any(|peer| peer.able && !peer.parole && peer.offers(piece))
    }

    /// A suspect that is alone with a piece stays alone with it.
    fn claim_alone(&mut self, key: PeerKey, piece: PieceIndex) {
        if self.peers.get(&key).is_some_and(|peer| peer.parole)
            && let Some(partial) = self.partials.get_mut(&piece)
            && partial.slots().all(|(_, slot)| match slot {
                Slot::Absent => true,
                Slot::Requested { by, .. } => by == key,
                Slot::Received { from } => from == key,
            })
        {
            partial.sole = Some(key);
        }
    }
}
