//! What we ask for and what comes: requests, blocks, pieces, readers, what is wanted.

use std::{ops::Range, time::Duration};

use bytes::Bytes;
use metainfo::{BlockIndex, PieceIndex, PieceLayout};
use peer_wire::{Message, RawBlock};
use piece_picker::{Contribution, Priority, Received};

use crate::{
    Output, PeerKey, ReaderAt, ReaderKey, WriteBlock,
    torrent::{Phase, REWATCH, Torrent},
};

/// Bytes that a peer may send without having been asked, before it is dropped. Some is normal: cancels cross blocks.
const UNASKED_MAX: u64 = 16 << 20;
/// Blocks that a peer may send before a piece of it was right: a piece, but at least this.
const TRUST_MIN: usize = 16;
/// After waiting this long for a verdict, which others may be holding up, it may send as many again.
const TRUST_WAIT: Duration = Duration::from_millis(400);
/// Pieces that a peer serves while it chokes us are asked for when it has not unchoked us by then: all peers allow the same.
const ALLOWED_AFTER: Duration = Duration::from_secs(2);
/// Of those who sent a corrupt piece together, one fetches it again, and the others wait for the verdict, no longer than this.
const SUSPENDED_MAX: Duration = Duration::from_secs(4);
/// How often the torrent looks after itself while blocks are under way.
pub(crate) const TICK_BUSY: Duration = Duration::from_millis(250);
/// Peers are told of verified pieces together, this long after the first.
const NEWS_DELAY: Duration = Duration::from_millis(60);
/// Ranges of [`Input::Wanted`](crate::Input::Wanted) that are kept.
const WANTED_MAX: usize = 100_000;
/// Pieces that leave between a connection's begin and its extension handshake: seconds of a fast line.
const UNTOLD_MAX: usize = 4_096;
/// Suspect pieces that are fetched before others.
const HURRIED_MAX: usize = 64;

fn place(block: BlockIndex) -> u64 {
    (u64::from(block.piece.0) << 32) | u64::from(block.block)
}

pub(crate) fn raw(layout: &PieceLayout, block: BlockIndex) -> RawBlock {
    let block = layout.block(block);
    RawBlock { piece: block.piece.0, begin: block.begin, length: block.length }
}

impl Torrent {
    /// A block came. The hot path: no allocation but for the growth of `writes`.
    pub(crate) fn block(&mut self, now: Duration, key: PeerKey, piece: u32, begin: u32, data: Bytes) {
        let bytes = data.len() as u64;
        self.counters.downloaded += bytes;
        let (Some(content), Some(peer)) = (&mut self.content, self.peers.get_mut(key)) else {
            self.counters.wasted += bytes;
            return;
        };
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let received = match content.layout.block_at(piece, begin, length) {
            Some(block) if self.phase == Phase::Running && !peer.is_suspended(now) => {
                let received = content.picker.received(key, block, now);
                if received != Received::Unasked {
                    peer.pipeline.received(now, place(block), bytes);
                }
                if let Received::Accepted { .. } = received {
                    let blocks = content.layout.blocks(block.piece);
                    self.blame.received(key, block, blocks, &data);
                    peer.unproven_blocks += usize::from(!peer.proven);
                    content.downloaded = true;
                    if !self.readers.is_empty() {
                        let offset = content.layout.offset(block.piece) + u64::from(begin);
                        self.readers.came(now, offset, bytes);
                    }
                    self.writes.push(WriteBlock { block, data });
                }
                received
            }
            _ => Received::Unasked,
        };
        match received {
            Received::Accepted { .. } => {}
            Received::Duplicate => self.counters.wasted += bytes,
            Received::Unasked => {
                self.counters.wasted += bytes;
                peer.unasked += bytes;
                if peer.unasked > UNASKED_MAX && peer.unasked > peer.downloaded / 4 {
                    self.drop_hostile(now, key, "sends what was not asked for");
                }
            }
        }
    }

    /// A batch brought `bytes` of payload.
    pub(crate) fn blocks_came(&mut self, now: Duration, key: PeerKey, bytes: u64) {
        self.down.add(now, bytes);
        if let Some(peer) = self.peers.get_mut(key) {
            peer.down.add(now, bytes);
            peer.downloaded += bytes;
            peer.last_useful = now;
        }
    }

    /// Offers requests to whoever may have room for them.
    pub(crate) fn refill(&mut self, now: Duration) {
        if std::mem::take(&mut self.refill_all) {
            self.refill.clear();
            for key in self.keys_where(|peer| peer.up) {
                self.request_more(now, key);
            }
        } else {
            for at in 0..self.refill.len() {
                self.request_more(now, self.refill[at]);
            }
            self.refill.clear();
        }
        self.send_cancels(now);
    }

    fn request_more(&mut self, now: Duration, key: PeerKey) {
        if self.phase != Phase::Running {
            return;
        }
        self.update_interest(now, key);
        let watched = self.is_watched(now);
        let (Some(content), Some(peer)) = (&mut self.content, self.peers.get_mut(key)) else { return };
        let in_flight = content.picker.in_flight(key);
        peer.pipeline.settle(now, in_flight, watched);
        let patient = now.saturating_sub(peer.since) < ALLOWED_AFTER;
        if !peer.up || !peer.interesting || peer.choking && (peer.allowed_in.is_empty() || patient) {
            return;
        }
        if peer.is_suspended(now) {
            return;
        }
        // Also when there is no room: what waits with it is judged by it.
        let rate = peer.pipeline.sure_rate(now, watched);
        if rate.abs_diff(peer.told_rate) * 8 > peer.told_rate {
            peer.told_rate = rate;
            content.picker.set_peer_rate(key, rate, peer.pipeline.round_trip().unwrap_or_default());
        }
        let target = peer.pipeline.target(now, watched);
        let trust = trust(peer, &content.layout, in_flight);
        let budget = target.saturating_sub(in_flight).min(trust);
        // Deep queues are topped up an eighth at a time, so that requests go out together.
        if budget == 0 || !watched && in_flight >= 64 && budget < target / 8 && trust > budget {
            if trust == 0 && in_flight == 0 && peer.trust_used_up.is_none() {
                peer.trust_used_up = Some(now);
                self.tick_by(now + TRUST_WAIT);
            }
            return;
        }
        self.picked.clear();
        if peer.choking {
            content.picker.pick_among(key, &peer.allowed_in, now, budget, &mut self.picked);
        } else {
            content.picker.pick(key, now, budget, &mut self.picked);
        }
        if self.picked.len() < budget || trust < target {
            peer.pipeline.unused(now);
        }
        let Some(first) = self.picked.first() else { return };
        peer.pipeline.requested(now, place(*first), in_flight);
        if peer.outbox.is_empty() {
            self.dirty.push_back(key);
        }
        peer.last_sent = now;
        let layout = content.layout;
        peer.outbox.extend(self.picked.iter().map(|block| Message::Request(raw(&layout, *block))));
        self.tick_by(now + TICK_BUSY);
    }

    /// Tells peers what they need no longer send.
    pub(crate) fn send_cancels(&mut self, now: Duration) {
        let Some(content) = &mut self.content else { return };
        let mut cancels = std::mem::take(&mut self.cancels);
        content.picker.take_cancels(&mut cancels);
        let layout = content.layout;
        for (key, block) in cancels.drain(..) {
            self.send(now, key, Message::Cancel(raw(&layout, block)));
            if let Some(peer) = self.peers.get_mut(key) {
                peer.pipeline.cancelled(now);
            }
            self.refill_all = true;
        }
        self.cancels = cancels;
    }

    pub(crate) fn piece_verified(&mut self, now: Duration, piece: PieceIndex) {
        let Some(content) = &mut self.content else { return };
        content.picker.verified(piece);
        let verdict = self.blame.verified(piece);
        for key in verdict.honest {
            if let Some(peer) = self.peers.get_mut(key)
                && !verdict.guilty.contains(&key)
            {
                peer.proven = true;
                peer.trust_used_up = None;
                self.refill.push(key);
            }
        }
        for key in verdict.guilty {
            self.ban(now, key);
        }
        self.decided(piece);
        self.verified.push(piece);
        if self.super_seed.is_none() {
            self.news.push(piece);
            self.news_due.get_or_insert(now + NEWS_DELAY);
        }
    }

    pub(crate) fn piece_corrupt(&mut self, now: Duration, piece: PieceIndex) {
        let Some(content) = &mut self.content else { return };
        self.counters.corrupt += u64::from(content.layout.length(piece));
        let contributions = content.picker.corrupt(piece);
        self.suspect(now, piece, &contributions);
        if let Some(guilty) = self.blame.corrupt(piece, contributions) {
            self.ban(now, guilty);
            self.decided(piece);
        }
        self.refill_all = true;
    }

    /// Several sent a corrupt piece: each has to prove itself anew, the most trusted first, by fetching it again at once.
    fn suspect(&mut self, now: Duration, piece: PieceIndex, contributions: &[Contribution]) {
        if contributions.len() < 2 {
            return;
        }
        let trusted = contributions
            .iter()
            .filter_map(|part| self.peers.get(part.peer))
            .filter(|peer| !peer.choking)
            .max_by_key(|peer| (peer.suspended_until.is_none(), peer.proven, peer.downloaded))
            .map(|peer| peer.key);
        for part in contributions {
            if let Some(peer) = self.peers.get_mut(part.peer) {
                peer.proven = false;
                peer.unproven_blocks = 0;
                peer.trust_blocks = 0;
                peer.suspended_until = (Some(part.peer) != trusted).then_some(now + SUSPENDED_MAX);
            }
        }
        let Some(content) = &mut self.content else { return };
        if let Some(peer) = trusted.and_then(|key| self.peers.get_mut(key)) {
            let piece = content.layout.blocks(piece) as usize;
            peer.trust_blocks = content.picker.in_flight(peer.key) + piece + TRUST_MIN;
        }
        for part in contributions.iter().filter(|part| Some(part.peer) != trusted) {
            content.picker.snubbed(part.peer, now);
        }
        let priority = content.picker.priority(piece);
        if priority != Priority::Skip && self.hurried.len() < HURRIED_MAX {
            self.hurried.entry(piece).or_insert(priority);
            content.picker.set_wanted(piece.0..piece.0 + 1, Priority::High);
        }
        if let Some(trusted) = trusted {
            self.request_more(now, trusted);
        }
    }

    /// A suspect piece is decided: it is no longer hurried, and nobody waits for it.
    fn decided(&mut self, piece: PieceIndex) {
        if let Some(priority) = self.hurried.remove(&piece)
            && let Some(content) = &mut self.content
        {
            content.picker.set_wanted(piece.0..piece.0 + 1, priority);
            for peer in self.peers.iter_mut() {
                peer.suspended_until = None;
            }
            self.refill_all = true;
        }
    }

    pub(crate) fn piece_lost(&mut self, now: Duration, piece: PieceIndex) {
        let Some(content) = &mut self.content else { return };
        let had = content.picker.have().has(piece);
        content.picker.lost(piece);
        self.blame.lost(piece);
        self.news.retain(|new| *new != piece);
        if had {
            for peer in self.peers.iter_mut().filter(|peer| peer.is_up()) {
                if let Some(untold) = peer.untold.as_mut().filter(|untold| untold.len() < UNTOLD_MAX) {
                    untold.push(piece);
                }
            }
            for key in self.keys_where(|peer| peer.is_up() && peer.speaks.dont_have) {
                self.send(now, key, Message::DontHave(piece.0));
            }
        }
        self.refill_all = true;
    }

    pub(crate) fn storage_failed(&mut self, now: Duration, reason: String) {
        if self.phase != Phase::Failed {
            self.stop(now, Phase::Failed);
            let webs = self.keys_where(crate::peers::Peer::is_web);
            if let Some(have) = self.have().cloned() {
                self.renew_picker(now, have, &webs);
            }
            self.outputs.push_back(Output::Failed { reason });
        }
    }

    pub(crate) fn reader_opened(&mut self, now: Duration, key: ReaderKey, at: ReaderAt) {
        let demand = self.readers.opened(now, key, at);
        if let (Some(demand), Some(content)) = (demand, &mut self.content) {
            content.picker.reader_opened(key, demand, now);
        }
        self.share_room(now);
        self.refill_all = true;
    }

    /// Where windows share what room there is, one more or less changes all.
    fn share_room(&mut self, now: Duration) {
        let Some(content) = self.content.as_mut().filter(|_| self.readers.share_room()) else { return };
        for (reader, demand) in self.readers.demands(now) {
            content.picker.reader_moved(reader, demand, now);
        }
    }

    pub(crate) fn reader_moved(&mut self, now: Duration, key: ReaderKey, at: ReaderAt) {
        if let Some(demand) = self.readers.moved(now, key, at) {
            if let Some(content) = &mut self.content {
                content.picker.reader_moved(key, demand, now);
            }
            self.refill_all = true;
        }
    }

    pub(crate) fn reader_closed(&mut self, now: Duration, key: ReaderKey) {
        if self.readers.closed(key) {
            self.watched_until = now + REWATCH;
            if let Some(content) = &mut self.content {
                content.picker.reader_closed(key, now);
            }
            self.share_room(now);
            self.refill_all = true;
        }
    }

    pub(crate) fn set_wanted(&mut self, mut wanted: Vec<(Range<u32>, Priority)>) {
        wanted.truncate(WANTED_MAX);
        self.wanted = wanted;
        self.apply_wanted();
        self.refill_all = true;
    }

    /// Tells the picker; gaps are wanted as usual.
    pub(crate) fn apply_wanted(&mut self) {
        let Some(content) = &mut self.content else { return };
        let mut end = 0;
        for (pieces, priority) in &self.wanted {
            if pieces.start > end {
                content.picker.set_wanted(end..pieces.start, Priority::Normal);
            }
            content.picker.set_wanted(pieces.clone(), *priority);
            end = end.max(pieces.end);
        }
        if end < content.layout.pieces() {
            content.picker.set_wanted(end..content.layout.pieces(), Priority::Normal);
        }
        for (piece, priority) in &mut self.hurried {
            *priority = content.picker.priority(*piece);
        }
    }

    /// Says when everything wanted has come, and when something is missing again.
    pub(crate) fn check_finished(&mut self, now: Duration) {
        self.tell_upload_only(now);
        let Some(content) = &mut self.content else { return };
        let finished = content.picker.progress().is_finished();
        if finished == content.finished {
            return;
        }
        content.finished = finished;
        if finished {
            let whole = content.picker.have().is_full();
            self.outputs.push_back(Output::Finished { downloaded: content.downloaded, whole });
        } else {
            self.candidates.revive(now);
            self.refill_all = true;
        }
        self.tell_news(now);
        if finished {
            for key in self.keys_where(|peer| peer.is_up()) {
                self.drop_if_useless(now, key);
            }
            self.update_super_seed(now);
        }
    }

    /// Says whether we still take anything (BEP 21), when that changes.
    fn tell_upload_only(&mut self, now: Duration) {
        let only = self.needs_nothing();
        let Some(content) = &mut self.content else { return };
        if content.upload_only == only {
            return;
        }
        content.upload_only = only;
        self.tell_news(now);
        for key in self.keys_where(|peer| peer.is_up() && peer.speaks.upload_only) {
            self.send(now, key, Message::UploadOnly(only));
        }
    }
}

/// How many more blocks a peer may send before a piece of it was right.
fn trust(peer: &mut crate::peers::Peer, layout: &PieceLayout, in_flight: usize) -> usize {
    if peer.proven {
        return usize::MAX;
    }
    if peer.trust_blocks == 0 {
        peer.trust_blocks = (layout.blocks_per_piece() as usize).max(TRUST_MIN);
    }
    peer.trust_blocks.saturating_sub(peer.unproven_blocks + in_flight)
}
