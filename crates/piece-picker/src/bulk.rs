//! Requests outside of windows: a piece belongs to one peer, begun pieces are finished before new ones are begun, and the
//! last blocks are raced.

use metainfo::{BlockIndex, PieceIndex};

use crate::{
    PeerKey, Picker,
    limits::{CANDIDATES_MAX, ENDGAME_SLACK, ENDGAME_SOONER, HELP_AFTER, WALK_MAX},
    partial::Slot,
    peer::{Has, micros},
    rarity::CLASSES,
    set::PieceSet,
};

/// So many requests of the slowest peer are looked at for a race.
const RACE_SCAN_MAX: usize = 64;

impl Picker {
    /// Requests blocks outside of windows until `out` has `end`.
    pub(crate) fn pick_bulk(
        &mut self,
        key: PeerKey,
        now: u64,
        assumed: u64,
        end: usize,
        out: &mut Vec<BlockIndex>,
    ) {
        while out.len() < end {
            let Some((piece, leads)) = self.bulk_piece(key, now, assumed) else { break };
            let before = out.len();
            self.take_absent(key, piece, !leads, now, assumed, end, out);
            if out.len() == before {
                break;
            }
        }
        while out.len() < end {
            let Some(block) = self.endgame_block(key, now, assumed) else { break };
            self.request(key, block, now, assumed);
            out.push(block);
        }
    }

    /// Requests absent blocks of a piece, from its front or its back.
    #[expect(clippy::too_many_arguments, reason = "all of a pick's context")]
    pub(crate) fn take_absent(
        &mut self,
        key: PeerKey,
        piece: PieceIndex,
        from_back: bool,
        now: u64,
        assumed: u64,
        end: usize,
        out: &mut Vec<BlockIndex>,
    ) {
        if !self.partials.contains_key(&piece) {
            self.begin(piece);
        }
        while out.len() < end {
            let Some(partial) = self.partials.get_mut(&piece) else { break };
            let block = if from_back { partial.last_absent() } else { partial.first_absent() };
            let Some(mut block) = block else { break };
            if let Some(peer) = self.peers.get(&key)
                && peer.is_haunted(BlockIndex { piece, block })
            {
                let other = partial
                    .absent_blocks()
                    .find(|block| !peer.is_haunted(BlockIndex { piece, block: *block }));
                block = other.unwrap_or(block);
            }
            let block = BlockIndex { piece, block };
            self.request(key, block, now, assumed);
            out.push(block);
        }
        self.settle(piece);
    }

    /// The piece whose blocks to ask a peer for, and whether from its front.
    fn bulk_piece(&mut self, key: PeerKey, now: u64, assumed: u64) -> Option<(PieceIndex, bool)> {
        let peer = self.peers.get(&key)?;
        if let Some(piece) = peer.current {
            let leads = peer.leads;
            let goes_on = !self.windowed.has(piece)
                && self.class(piece).is_some()
                && self.partials.get(&piece).is_some_and(|partial| partial.absent() > 0)
                && self.may_share(key, piece);
            if goes_on {
                return Some((piece, leads));
            }
            self.drop_current(key);
        }
        let parole = self.peers.get(&key)?.parole;
        let (piece, leads) = if parole {
            let alone = self.begin_piece(key).map(|piece| (piece, true));
            alone.or_else(|| self.help(key, now, assumed, false))?
        } else {
            match self.finish_or_begin(key, now, assumed) {
                Some(found) => found,
                None => self.help(key, now, assumed, false)?,
            }
        };
        if !self.partials.contains_key(&piece) {
            self.begin(piece);
        }
        if let Some(partial) = self.partials.get_mut(&piece) {
            partial.workers += 1;
            if leads {
                partial.owner = Some(key);
                if parole && partial.is_untouched() {
                    partial.sole = Some(key);
                }
            }
        }
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.current = Some(piece);
            peer.leads = leads;
        }
        Some((piece, leads))
    }

    /// By class: a loose piece, one whose owner is very slow, a new one.
    fn finish_or_begin(&mut self, key: PeerKey, now: u64, assumed: u64) -> Option<(PieceIndex, bool)> {
        for class in 0..CLASSES {
            if let Some(piece) = self.loose_piece(key, class) {
                return Some((piece, true));
            }
            if let Some(piece) = self.open_piece(key, class) {
                return Some(self.help(key, now, assumed, true).unwrap_or((piece, true)));
            }
        }
        None
    }

    fn begin_piece(&mut self, key: PeerKey) -> Option<PieceIndex> {
        (0..CLASSES).find_map(|class| self.open_piece(key, class))
    }

    fn loose_piece(&self, key: PeerKey, class: usize) -> Option<PieceIndex> {
        if self.loose.count() == 0 {
            return None;
        }
        let peer = self.peers.get(&key)?;
        self.loose.meet(peer.has.set(), &self.windowed, PieceIndex(0)).find(|piece| {
            self.class(*piece) == Some(class) && peer.offers(*piece) && self.may_share(key, *piece)
        })
    }

    /// A whole absent piece that the peer has: the first, or the rarest.
    fn open_piece(&mut self, key: PeerKey, class: usize) -> Option<PieceIndex> {
        if self.open[class].count() == 0 {
            return None;
        }
        let start = PieceIndex(self.rng.below_u32(self.layout.pieces()));
        if !self.sequential {
            self.mend_rarity();
        }
        let peer = self.peers.get(&key)?;
        let open = &self.open[class];
        let meet = |with: Option<&PieceSet>, start: PieceIndex| -> Vec<PieceIndex> {
            let usable = open.meet(with, &self.windowed, start).filter(|piece| peer.offers(*piece));
            usable.take(if self.sequential { 1 } else { CANDIDATES_MAX }).collect()
        };
        if self.sequential {
            return meet(peer.has.set(), PieceIndex(0)).first().copied();
        }
        let usable = |piece: &PieceIndex| peer.offers(*piece) && !self.windowed.has(*piece);
        if let Some(rarest) = self.by_rarity(class).take(WALK_MAX).find(usable) {
            return Some(rarest);
        }
        let mut candidates = meet(peer.has.set(), start);
        if candidates.is_empty() {
            candidates = meet(peer.has.set(), PieceIndex(0));
        }
        candidates.into_iter().min_by_key(|piece| self.holders(*piece))
    }

    /// A piece that others work on, the one that would take its owner longest for what is absent; with `slow_only`, if that is
    /// very long and this peer is faster.
    fn help(&mut self, key: PeerKey, now: u64, assumed: u64, slow_only: bool) -> Option<(PieceIndex, bool)> {
        if self.worked.count() == 0 {
            return None;
        }
        let peer = self.peers.get(&key)?;
        let candidates: Vec<PieceIndex> = self
            .worked
            .meet(peer.has.set(), &self.windowed, PieceIndex(0))
            .filter(|piece| {
                self.class(*piece).is_some() && peer.offers(*piece) && self.may_share(key, *piece)
            })
            .collect();
        let own = self.pace(key, now, assumed)?.block;
        let mut longest = None;
        for piece in candidates {
            let Some((owner, absent)) =
                self.partials.get(&piece).map(|partial| (partial.owner, partial.absent()))
            else {
                continue;
            };
            let block = owner
                .and_then(|owner| self.pace(owner, now, assumed))
                .map_or(u64::MAX / 8, |pace| pace.block);
            let takes = block.saturating_mul(u64::from(absent));
            let fits = !slow_only || (takes > micros(HELP_AFTER) && block > own.saturating_mul(2));
            if fits && longest.is_none_or(|(longest, _)| takes > longest) {
                longest = Some((takes, piece));
            }
        }
        longest.map(|(_, piece)| (piece, false))
    }

    /// Nothing is absent that this peer has: a block that another peer is late with, or far slower.
    fn endgame_block(&mut self, key: PeerKey, now: u64, assumed: u64) -> Option<BlockIndex> {
        let whole = self.open.iter().map(PieceSet::count).sum::<u32>() + self.loose.count();
        let peer = self.peers.get(&key)?;
        if (whole > 0 && !matches!(peer.has, Has::All)) || peer.is_late(now) || !self.may_race(now) {
            return None;
        }
        let next = self.pace(key, now, assumed)?.next();
        let far = next.saturating_mul(ENDGAME_SOONER).saturating_add(micros(ENDGAME_SLACK));
        let mut slow: Vec<(bool, u64, PeerKey)> = self
            .peers
            .iter_mut()
            .filter(|(other, peer)| **other != key && !peer.outstanding.is_empty())
            .map(|(other, peer)| (peer.is_late(now), peer.pace(now, assumed).ready, *other))
            .filter(|(late, ready, _)| *late || *ready > far)
            .collect();
        slow.sort_unstable_by(|a, b| b.cmp(a));
        let peer = self.peers.get(&key)?;
        let usable = |block: &BlockIndex, from: PeerKey| {
            let asked_alone =
                |slot| matches!(slot, Some(Slot::Requested { by, raced: false, .. }) if by == from);
            !self.windowed.has(block.piece)
                && asked_alone(self.slot(*block))
                && peer.offers(block.piece)
                && self.may_share(key, block.piece)
        };
        for (late, _, other) in slow {
            let requests = &self.peers.get(&other)?.outstanding;
            let blocks = requests.iter().map(|request| request.block);
            let found = if late {
                blocks.take(RACE_SCAN_MAX).find(|block| usable(block, other))
            } else {
                blocks.rev().take(RACE_SCAN_MAX).find(|block| usable(block, other))
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }
}
