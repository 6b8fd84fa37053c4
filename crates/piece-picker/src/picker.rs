//! The picker itself: what is known of peers and pieces. Requests are chosen in `urgent` and `bulk`, their states kept in `ledger`,
//! readers in `windows`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use metainfo::{Bitfield, BlockIndex, PieceIndex, PieceLayout};
use seeded::Rng;

use crate::{
    Availability, Contribution, PeerKey, Priority, Progress, ReaderKey,
    ledger::{Race, Withdrawal},
    limits::{MEND_MAX, RATE_ASSUMED, RATE_DOUBTED},
    partial::Partial,
    peer::{Has, Pace, Peer, micros},
    rarity::{CLASSES, Rarity},
    set::PieceSet,
    strays::Strays,
    windows::{Reader, Urgent},
};

/// One torrent's picker.
///
/// Order of calls: `peer_joined`, then `peer_has`…; `pick` whenever the peer is willing (unchoked) and has room for requests:
/// after a block came, an unchoke, a have, a change of readers or of what is wanted; every block that comes goes
/// through `received`; after each of these, `take_cancels`. At `next_expiry`, `expired`.
/// Unknown peers, and pieces past the end, are ignored by every call.
#[derive(Debug)]
pub struct Picker {
    pub(crate) layout: PieceLayout,
    pub(crate) have: Bitfield,
    /// Nothing, as long as every piece is [`Priority::Normal`].
    pub(crate) priorities: Vec<Priority>,
    pub(crate) sequential: bool,
    pub(crate) rng: Rng,

    pub(crate) peers: BTreeMap<PeerKey, Peer>,
    /// How many peers have everything.
    pub(crate) seeders: u32,
    /// How many others have each piece; nothing, as long as there were none.
    pub(crate) holders: Vec<u16>,

    /// Wanted whole absent pieces, by class, and the same in order of rarity.
    pub(crate) open: [PieceSet; CLASSES],
    pub(crate) rarity: Rarity,
    pub(crate) rarity_stale: bool,
    /// Missing and wanted, or in a window.
    pub(crate) need: PieceSet,
    /// Pieces that are begun and not verified.
    pub(crate) partials: BTreeMap<PieceIndex, Partial>,
    /// Of these, with absent blocks: those that no peer works on, and the others.
    pub(crate) loose: PieceSet,
    pub(crate) worked: PieceSet,
    pub(crate) races: Vec<Race>,
    pub(crate) strays: Strays,
    /// Pieces of which a copy was corrupt.
    pub(crate) accused: BTreeSet<PieceIndex>,

    pub(crate) readers: BTreeMap<ReaderKey, Reader>,
    pub(crate) windows: Vec<Urgent>,
    pub(crate) windowed: PieceSet,

    pub(crate) cancels: Vec<(PeerKey, BlockIndex)>,
    pub(crate) reports: Vec<(PeerKey, BlockIndex)>,
    pub(crate) next_late: u64,
    /// The latest time that was told, in microseconds.
    pub(crate) clock: u64,
    /// Requests that wait with any peer.
    pub(crate) in_flight: usize,
    /// Peers of known rate.
    pub(crate) rates_known: usize,
    pub(crate) received_bytes: u64,
    pub(crate) wasted_bytes: u64,
    pub(crate) verified_bytes: u64,
    pub(crate) wanted_pieces_left: u32,
    pub(crate) wanted_bytes_left: u64,
}

impl Picker {
    /// A picker for a torrent of which the pieces in `have` are verified. Every piece is wanted at [`Priority::Normal`].
    /// `seed` decides random ties. A `have` of another length counts as empty.
    #[must_use]
    pub fn new(layout: PieceLayout, have: Bitfield, seed: u64) -> Self {
        let pieces = layout.pieces();
        let have = if have.len() == pieces { have } else { Bitfield::none(pieces) };
        let mut missing = PieceSet::all(pieces);
        let mut verified_bytes = 0;
        for piece in have.iter() {
            missing.remove(piece);
            verified_bytes += u64::from(layout.length(piece));
        }
        let none = PieceSet::none(pieces);
        Self {
            priorities: Vec::new(),
            sequential: false,
            rng: Rng::new(seed),
            peers: BTreeMap::new(),
            seeders: 0,
            holders: Vec::new(),
            rarity: Rarity::default(),
            rarity_stale: true,
            partials: BTreeMap::new(),
            loose: none.clone(),
            worked: none.clone(),
            races: Vec::new(),
            strays: Strays::default(),
            clock: 0,
            accused: BTreeSet::new(),
            readers: BTreeMap::new(),
            windows: Vec::new(),
            windowed: none.clone(),
            cancels: Vec::new(),
            reports: Vec::new(),
            next_late: u64::MAX,
            in_flight: 0,
            rates_known: 0,
            received_bytes: 0,
            wasted_bytes: 0,
            verified_bytes,
            wanted_pieces_left: missing.count(),
            wanted_bytes_left: layout.total() - verified_bytes,
            need: missing.clone(),
            open: [none.clone(), missing, none],
            have,
            layout,
        }
    }

    // Peers.

    /// A peer is there. What it says later replaces what it said before: a second call is for a late bitfield.
    pub fn peer_joined(&mut self, peer: PeerKey, has: &Availability) {
        let pieces = self.layout.pieces();
        let has = match has {
            Availability::All => Has::All,
            Availability::Some(field) if field.len() == pieces && field.is_full() => Has::All,
            Availability::Some(field) if field.len() == pieces => Has::Some(PieceSet::of(field)),
            Availability::Some(_) | Availability::None => Has::Some(PieceSet::none(pieces)),
        };
        self.count_holder(&has, true);
        match self.peers.get_mut(&peer) {
            Some(known) => {
                let before = std::mem::replace(&mut known.has, has);
                self.count_holder(&before, false);
                self.drop_current(peer);
                let has = self.peers[&peer].has.clone();
                self.withdraw(peer, Withdrawal::Void, |_, piece| !has.has(piece));
            }
            None => {
                self.peers.insert(peer, Peer::new(has));
            }
        }
    }

    /// A peer got a piece (HAVE).
    pub fn peer_has(&mut self, peer: PeerKey, piece: PieceIndex) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        known.refused.retain(|(refused, _)| *refused != piece);
        if let Has::Some(set) = &mut known.has
            && set.insert(piece)
        {
            self.count_piece(piece, true);
        }
    }

    /// A peer dropped a piece (BEP 54). What it was asked of it is no longer expected.
    pub fn peer_lost_piece(&mut self, peer: PeerKey, piece: PieceIndex) {
        let Some(known) = self.peers.get_mut(&peer) else { return };
        if piece.0 >= self.layout.pieces() || !known.has.has(piece) {
            return;
        }
        if let Has::All = known.has {
            let all = Has::Some(PieceSet::all(self.layout.pieces()));
            known.has = all.clone();
            self.count_holder(&Has::All, false);
            self.count_holder(&all, true);
        }
        let Some(known) = self.peers.get_mut(&peer) else { return };
        if let Has::Some(set) = &mut known.has {
            set.remove(piece);
        }
        if known.current == Some(piece) {
            self.drop_current(peer);
        }
        self.count_piece(piece, false);
        self.withdraw(peer, Withdrawal::Void, |_, asked| asked == piece);
    }

    /// A peer is gone; its requests are free again. What it sent stays attributed to it.
    pub fn peer_left(&mut self, peer: PeerKey, _now: Duration) {
        self.drop_current(peer);
        self.withdraw(peer, Withdrawal::Void, |_, _| true);
        if let Some(known) = self.peers.remove(&peer) {
            self.rates_known -= usize::from(known.rate().is_some());
            self.count_holder(&known.has, false);
        }
    }

    /// What a peer is expected to deliver: `bytes_per_s` while requests wait with it (0: not known yet; such a peer gets only a few
    /// urgent blocks to measure it), and the time from a request to its block when nothing else waits with it. Call it whenever the
    /// measure changed.
    pub fn set_peer_rate(&mut self, peer: PeerKey, bytes_per_s: u64, round_trip: Duration) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            self.rates_known -= usize::from(peer.rate().is_some());
            peer.set_rate(bytes_per_s, round_trip);
            self.rates_known += usize::from(peer.rate().is_some());
        }
    }

    /// A peer choked us: its requests are free again, without cancels. A late block is still accepted. It is not counted on until
    /// `pick` is called for it again.
    pub fn choked(&mut self, peer: PeerKey, _now: Duration) {
        self.put_off(peer, Withdrawal::Void);
    }

    /// A peer stalls: as `choked`, but its requests are cancelled.
    pub fn snubbed(&mut self, peer: PeerKey, now: Duration) {
        self.clock = self.clock.max(micros(now));
        self.put_off(peer, Withdrawal::Stalled);
    }

    fn put_off(&mut self, key: PeerKey, how: Withdrawal) {
        self.drop_current(key);
        self.withdraw(key, how, |_, _| true);
        if let Some(peer) = self.peers.get_mut(&key) {
            (peer.able, peer.stalls) = (false, false);
            peer.refused.clear();
        }
    }

    /// A peer refuses a request (BEP 6). It is not asked for that piece again for a while, or until it announces it or `choked` was
    /// called. Of a block that was cancelled and asked for again, it is the cancelled request that is refused: peers answer in order.
    pub fn rejected(&mut self, peer: PeerKey, block: BlockIndex, now: Duration) {
        if self.cancel_answered(peer, block) {
            return;
        }
        let Some(known) = self.peers.get_mut(&peer) else { return };
        if known.take(block).is_none() {
            return;
        }
        self.in_flight -= 1;
        known.refuse(block.piece, micros(now));
        if known.current == Some(block.piece) {
            self.drop_current(peer);
        }
        self.release(peer, block);
    }

    /// Whether the peer has a piece that is wanted (or in a reader's window) and not yet ours.
    #[must_use]
    pub fn is_interesting(&self, peer: PeerKey) -> bool {
        self.peers.get(&peer).is_some_and(|peer| match &peer.has {
            Has::All => self.need.count() > 0,
            Has::Some(set) => set.intersects(&self.need),
        })
    }

    /// How many requests wait with a peer. Cancelled ones are not counted.
    #[must_use]
    pub fn in_flight(&self, peer: PeerKey) -> usize {
        self.peers.get(&peer).map_or(0, |peer| peer.outstanding.len())
    }

    /// The requests that wait with a peer, oldest first.
    pub fn requests(&self, peer: PeerKey) -> impl Iterator<Item = BlockIndex> + '_ {
        self.peers
            .get(&peer)
            .into_iter()
            .flat_map(|peer| peer.outstanding.iter().map(|request| request.block))
    }

    /// Whether the peer has `piece`.
    #[must_use]
    pub fn peer_has_piece(&self, peer: PeerKey, piece: PieceIndex) -> bool {
        piece.0 < self.layout.pieces() && self.peers.get(&peer).is_some_and(|peer| peer.has.has(piece))
    }

    /// How many pieces a peer has.
    #[must_use]
    pub fn peer_pieces(&self, peer: PeerKey) -> u32 {
        self.peers.get(&peer).map_or(0, |peer| peer.has.set().map_or(self.layout.pieces(), PieceSet::count))
    }

    /// How many peers have `piece`.
    #[must_use]
    pub fn availability(&self, piece: PieceIndex) -> u32 {
        if piece.0 < self.layout.pieces() { self.seeders + u32::from(self.holders(piece)) } else { 0 }
    }

    /// Counts the pieces of a peer that came or left.
    fn count_holder(&mut self, has: &Has, came: bool) {
        match has {
            Has::All if came => self.seeders += 1,
            Has::All => self.seeders -= 1,
            Has::Some(set) => {
                if set.count() > MEND_MAX {
                    self.rarity_stale = true;
                }
                for piece in set.iter() {
                    self.count_piece(piece, came);
                }
            }
        }
    }

    fn count_piece(&mut self, piece: PieceIndex, came: bool) {
        if self.holders.is_empty() {
            self.holders = vec![0; self.layout.pieces() as usize];
        }
        let holders = &mut self.holders[piece.as_usize()];
        *holders = if came { holders.saturating_add(1) } else { holders.saturating_sub(1) };
        let holders = *holders;
        if let (false, Some(class)) = (self.rarity_stale, self.class(piece)) {
            self.rarity.shift(piece, class, holders, &mut self.rng);
        }
    }

    // Requests.

    /// Chooses at most `budget_blocks` blocks to request from a willing peer and marks them requested; appends to `out` in the order
    /// in which to ask.
    pub fn pick(&mut self, peer: PeerKey, now: Duration, budget_blocks: usize, out: &mut Vec<BlockIndex>) {
        let now = micros(now);
        self.clock = self.clock.max(now);
        let Some(known) = self.peers.get_mut(&peer) else { return };
        known.able = true;
        known.active = now;
        known.forgive(now);
        let end = out.len().saturating_add(budget_blocks);
        if budget_blocks == 0 {
            return;
        }
        self.mark_late(now);
        let assumed = self.assumed_rate();
        let Some(known) = self.peers.get(&peer) else { return };
        if known.stalls {
            // It shows that it goes on with a block that nobody waits for, if there is one.
            let end = if known.outstanding.is_empty() { out.len() + 1 } else { return };
            self.pick_bulk(peer, now, assumed, end, out);
            if out.len() < end {
                self.pick_urgent(peer, now, assumed, end, out);
            }
        } else if self.pick_urgent(peer, now, assumed, end, out) {
            self.pick_bulk(peer, now, assumed, end, out);
        }
    }

    /// As `pick`, out of `pieces` only: for a peer that chokes us but allows these (BEP 6, allowed fast).
    pub fn pick_among(
        &mut self,
        peer: PeerKey,
        pieces: &[PieceIndex],
        now: Duration,
        budget_blocks: usize,
        out: &mut Vec<BlockIndex>,
    ) {
        let now = micros(now);
        let end = out.len().saturating_add(budget_blocks);
        self.mark_late(now);
        let assumed = self.assumed_rate();
        for piece in pieces.iter().copied() {
            let offers = self.peers.get(&peer).is_some_and(|peer| peer.offers(piece));
            if offers && self.need.has(piece) && self.may_share(peer, piece) {
                self.take_absent(peer, piece, false, now, assumed, end, out);
            }
        }
    }

    /// What a peer of unknown rate is taken to deliver: little, unless nobody's rate is known.
    pub(crate) fn assumed_rate(&self) -> u64 {
        if self.rates_known > 0 { RATE_DOUBTED } else { RATE_ASSUMED }
    }

    /// When `key` would deliver more.
    pub(crate) fn pace(&mut self, key: PeerKey, now: u64, assumed: u64) -> Option<Pace> {
        self.peers.get_mut(&key).map(|peer| peer.pace(now, assumed))
    }

    // Pieces.

    /// A complete piece has the right hash. Returns who sent which blocks when an earlier copy was corrupt (to be compared
    /// with that one), else nothing.
    pub fn verified(&mut self, piece: PieceIndex) -> Vec<Contribution> {
        if piece.0 >= self.layout.pieces() || self.have.has(piece) {
            return Vec::new();
        }
        let partial = self.end(piece);
        self.close(piece);
        self.have.insert(piece);
        self.need.remove(piece);
        let length = u64::from(self.layout.length(piece));
        self.verified_bytes += length;
        if self.priority(piece) != Priority::Skip {
            self.wanted_pieces_left -= 1;
            self.wanted_bytes_left -= length;
        }
        if self.windowed.remove(piece) {
            self.windows.retain(|urgent| urgent.piece != piece);
        }
        if self.need.count() == 0 {
            self.rest();
        }
        let was_accused = self.accused.remove(&piece);
        let contributions = partial.map(|partial| partial.contributions()).unwrap_or_default();
        if let [alone] = &contributions[..]
            && let Some(peer) = self.peers.get_mut(&alone.peer)
        {
            peer.parole = false;
        }
        if was_accused { contributions } else { Vec::new() }
    }

    /// Nothing is missing: what is kept to choose with is given back. A thousand seeding torrents are to cost little.
    fn rest(&mut self) {
        self.rarity = Rarity::default();
        self.rarity_stale = true;
        let sets = self.open.iter_mut().chain([
            &mut self.need,
            &mut self.loose,
            &mut self.worked,
            &mut self.windowed,
        ]);
        sets.for_each(PieceSet::rest);
    }

    /// A complete piece has a wrong hash: it is wanted again. Returns who sent which blocks: one alone is guilty; several are each
    /// given whole pieces to themselves until they proved honest. Nobody is when a part is a former run's.
    pub fn corrupt(&mut self, piece: PieceIndex) -> Vec<Contribution> {
        if self.have.has(piece) {
            return Vec::new();
        }
        let Some(partial) = self.end(piece) else { return Vec::new() };
        self.reopen(piece);
        if partial.is_restored() {
            return Vec::new();
        }
        self.accused.insert(piece);
        let contributions = partial.contributions();
        if contributions.len() > 1 {
            for contribution in &contributions {
                if let Some(peer) = self.peers.get_mut(&contribution.peer) {
                    peer.parole = true;
                }
            }
        }
        contributions
    }

    /// A piece is gone from the store (evicted, or failed to be written): it is wanted again as its priority says.
    pub fn lost(&mut self, piece: PieceIndex) {
        if piece.0 >= self.layout.pieces() {
            return;
        }
        self.end(piece);
        if self.have.remove(piece) {
            let length = u64::from(self.layout.length(piece));
            self.verified_bytes -= length;
            if self.priority(piece) != Priority::Skip {
                self.wanted_pieces_left += 1;
                self.wanted_bytes_left += length;
                self.need.insert(piece);
            }
            self.rebuild_windows();
        }
        self.reopen(piece);
    }

    /// The verified pieces.
    #[must_use]
    pub fn have(&self) -> &Bitfield {
        &self.have
    }

    /// How the torrent is cut.
    #[must_use]
    pub fn layout(&self) -> &PieceLayout {
        &self.layout
    }

    /// How far the torrent is. Constant time.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            pieces: self.have.count(),
            bytes: self.verified_bytes,
            wanted_pieces_left: self.wanted_pieces_left,
            wanted_bytes_left: self.wanted_bytes_left,
            received_bytes: self.received_bytes,
            wasted_bytes: self.wasted_bytes,
            partial_pieces: u32::try_from(self.partials.len()).unwrap_or(u32::MAX),
            requests: u32::try_from(self.in_flight).unwrap_or(u32::MAX),
        }
    }
}
