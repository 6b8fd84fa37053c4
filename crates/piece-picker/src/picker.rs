//! The picker itself: what happened goes in, blocks to request and to cancel come out.

use std::{ops::Range, time::Duration};

use metainfo::{Bitfield, BlockIndex, PieceIndex, PieceLayout};

use crate::{Availability, Contribution, Demand, PeerKey, Priority, Progress, ReaderKey, Received};

/// One torrent's picker.
///
/// Order of calls: `peer_joined`, then `peer_has`…; `pick` whenever the peer is willing (unchoked) and has room for requests:
/// after a block came, an unchoke, a have, a change of readers or of what is wanted; every block that comes goes
/// through `received`; after each of these, `take_cancels`. At `next_expiry`, `expired`.
/// Unknown peers, and pieces past the end, are ignored by every call.
#[derive(Debug)]
pub struct Picker {
    layout: PieceLayout,
    have: Bitfield,
}

#[expect(unused_variables, clippy::ptr_arg, reason = "signatures first: bodies follow")]
impl Picker {
    /// A picker for a torrent of which the pieces in `have` are verified. Every piece is wanted at [`Priority::Normal`].
    /// `seed` decides random ties. A `have` of another length counts as empty.
    #[must_use]
    pub fn new(layout: PieceLayout, have: Bitfield, seed: u64) -> Self {
        Self { layout, have }
    }

    // Peers.

    /// A peer is there. What it says later replaces what it said before: a second call is for a late bitfield.
    pub fn peer_joined(&mut self, peer: PeerKey, has: &Availability) {}

    /// A peer got a piece (HAVE).
    pub fn peer_has(&mut self, peer: PeerKey, piece: PieceIndex) {}

    /// A peer dropped a piece (BEP 54). What it was asked of it is no longer expected.
    pub fn peer_lost_piece(&mut self, peer: PeerKey, piece: PieceIndex) {}

    /// A peer is gone; its requests are free again. What it sent stays attributed to it.
    pub fn peer_left(&mut self, peer: PeerKey, now: Duration) {}

    /// What a peer is expected to deliver: `bytes_per_s` while requests wait with it (0: not known yet), and the time from
    /// a request to its first byte when it has nothing else to send. Call it whenever the measure changed.
    pub fn set_peer_rate(&mut self, peer: PeerKey, bytes_per_s: u64, round_trip: Duration) {}

    /// A peer choked us: its requests are free again, without cancels. A late block is still accepted. It is not counted on until
    /// `pick` is called for it again.
    pub fn choked(&mut self, peer: PeerKey, now: Duration) {}

    /// A peer stalls: as `choked`, but its requests are cancelled.
    pub fn snubbed(&mut self, peer: PeerKey, now: Duration) {}

    /// A peer refuses a request (BEP 6). It is not asked for that piece again until it announces it or `choked` was called.
    pub fn rejected(&mut self, peer: PeerKey, block: BlockIndex, now: Duration) {}

    /// Whether the peer has a piece that is wanted (or in a reader's window) and not yet ours.
    #[must_use]
    pub fn is_interesting(&self, peer: PeerKey) -> bool {
        false
    }

    /// How many requests wait with a peer. Cancelled ones are not counted.
    #[must_use]
    pub fn in_flight(&self, peer: PeerKey) -> usize {
        0
    }

    /// The requests that wait with a peer, oldest first.
    pub fn requests(&self, peer: PeerKey) -> impl Iterator<Item = BlockIndex> + '_ {
        std::iter::empty()
    }

    /// Whether the peer has `piece`.
    #[must_use]
    pub fn peer_has_piece(&self, peer: PeerKey, piece: PieceIndex) -> bool {
        false
    }

    /// How many pieces a peer has.
    #[must_use]
    pub fn peer_pieces(&self, peer: PeerKey) -> u32 {
        0
    }

    /// How many peers have `piece`.
    #[must_use]
    pub fn availability(&self, piece: PieceIndex) -> u32 {
        0
    }

    // What is wanted.

    /// Changes the priority of `pieces` (cut to the torrent). Requests for pieces that became [`Priority::Skip`] and are in no window are
    /// cancelled.
    pub fn set_wanted(&mut self, pieces: Range<u32>, priority: Priority) {}

    /// The priority of `piece`.
    #[must_use]
    pub fn priority(&self, piece: PieceIndex) -> Priority {
        Priority::Normal
    }

    /// Outside of windows: pieces in order instead of rarest first.
    pub fn set_sequential(&mut self, sequential: bool) {}

    // Readers.

    /// A reader appears. When its window is not on the way already, everything else in flight is cancelled to make way.
    pub fn reader_opened(&mut self, reader: ReaderKey, demand: Demand, now: Duration) {
        self.reader_moved(reader, demand, now);
    }

    /// A reader went on or sought. After a jump, requests that no window covers are cancelled; partial pieces stay.
    pub fn reader_moved(&mut self, reader: ReaderKey, demand: Demand, now: Duration) {}

    /// A reader is gone; requests made only for it are cancelled.
    pub fn reader_closed(&mut self, reader: ReaderKey, now: Duration) {}

    /// Whether any reader is there: pipelines are to be short.
    #[must_use]
    pub fn watched(&self) -> bool {
        false
    }

    /// Whether a piece of a window is still missing.
    #[must_use]
    pub fn urgent(&self) -> bool {
        false
    }

    // Requests.

    /// Chooses at most `budget_blocks` blocks to request from a willing peer and marks them requested; appends to `out` in the order
    /// in which to ask.
    pub fn pick(&mut self, peer: PeerKey, now: Duration, budget_blocks: usize, out: &mut Vec<BlockIndex>) {}

    /// As `pick`, out of `pieces` only: for a peer that chokes us but allows these (BEP 6, allowed fast).
    pub fn pick_among(
        &mut self,
        peer: PeerKey,
        pieces: &[PieceIndex],
        now: Duration,
        budget_blocks: usize,
        out: &mut Vec<BlockIndex>,
    ) {
    }

    /// A block came in (its place and length already checked against the layout).
    pub fn received(&mut self, peer: PeerKey, block: BlockIndex, now: Duration) -> Received {
        Received::Unasked
    }

    /// Marks requests past their expected time, which others may now be asked for too, within the waste budget; appends
    /// them to `out`, each once. Offer `pick` to the other peers after it. Requests long past it are taken away from their peer and
    /// cancelled.
    pub fn expired(&mut self, now: Duration, out: &mut Vec<(PeerKey, BlockIndex)>) {}

    /// When `expired` has something to say, unless more happens before.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Duration> {
        None
    }

    /// The requests to cancel since the last call, in order: stale after a seek, losers of a race.
    pub fn take_cancels(&mut self, out: &mut Vec<(PeerKey, BlockIndex)>) {}

    // Pieces.

    /// A complete piece has the right hash. Returns who sent which blocks when an earlier copy was corrupt (to be compared
    /// with that one), else nothing.
    pub fn verified(&mut self, piece: PieceIndex) -> Vec<Contribution> {
        Vec::new()
    }

    /// A complete piece has a wrong hash: it is wanted again. Returns who sent which blocks: one alone is guilty; several are each
    /// given whole pieces to themselves until they proved honest.
    pub fn corrupt(&mut self, piece: PieceIndex) -> Vec<Contribution> {
        Vec::new()
    }

    /// A piece is gone from the store (evicted, or failed to be written): it is wanted again as its priority says.
    pub fn lost(&mut self, piece: PieceIndex) {}

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
        Progress::default()
    }
}
