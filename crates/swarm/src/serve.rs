//! What others ask of us: who is unchoked, requests, blocks from disk, and telling of what we have.

use std::time::Duration;

use metainfo::Block;
use peer_wire::{Message, RawBlock};

use crate::{
    BlockRead, PeerKey, ReadBlock,
    choker::Contender,
    peers::Peer,
    torrent::{Phase, Torrent},
    upload::{REQUEST_MAX, ahead},
};

fn raw(block: Block) -> RawBlock {
    RawBlock { piece: block.piece.0, begin: block.begin, length: block.length }
}

impl Torrent {
    /// Unchokes a peer that wants something, if a slot is free: nobody waits for a round.
    pub(crate) fn unchoke_if_free(&mut self, now: Duration, key: PeerKey) {
        let free = || {
            let taken =
                self.peers.iter().filter(|peer| peer.is_up() && peer.interested && !peer.choked).count();
            taken < self.config.limits.upload_slots_max
        };
        if self.upload && self.phase == Phase::Running && free() {
            self.set_choked(now, key, false);
        }
    }

    /// A slot became free: whoever waits longest gets it.
    pub(crate) fn fill_slots(&mut self, now: Duration) {
        let waiting = self
            .peers
            .iter()
            .filter(|peer| peer.is_up() && peer.interested && peer.choked)
            .min_by_key(|peer| (peer.choke_changed, peer.key))
            .map(|peer| peer.key);
        if let Some(key) = waiting {
            self.unchoke_if_free(now, key);
        }
    }

    fn set_choked(&mut self, now: Duration, key: PeerKey, choked: bool) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if std::mem::replace(&mut peer.choked, choked) == choked {
            return;
        }
        peer.choke_changed = now;
        peer.turn_bytes = 0;
        if !choked {
            return self.send(now, key, Message::Unchoke);
        }
        let allowed = &peer.allowed_out;
        let gone = peer.uploads.clear(|block| allowed.contains(&block.piece));
        let fast = peer.hello.fast;
        self.send(now, key, Message::Choke);
        if fast {
            for block in gone {
                self.send(now, key, Message::Reject(raw(block)));
            }
        }
    }

    /// Decides anew who is unchoked.
    pub(crate) fn choke_round(&mut self, now: Duration) {
        let contenders: Vec<_> =
            self.peers.iter().filter(|peer| peer.is_up()).map(|peer| contender(now, peer)).collect();
        let slots = if self.upload { self.config.limits.upload_slots_max } else { 0 };
        let seeding = self.needs_nothing();
        let chosen = self.choker.round(now, &contenders, slots, seeding, &mut self.rng);
        for peer in &contenders {
            // Whoever is not interested keeps its state: it costs nothing until it is.
            if peer.interested || slots == 0 {
                self.set_choked(now, peer.key, !chosen.contains(&peer.key));
            }
        }
    }

    pub(crate) fn set_upload(&mut self, now: Duration, on: bool) {
        self.upload = on;
        self.choke_round(now);
    }

    pub(crate) fn requested(&mut self, now: Duration, key: PeerKey, asked: RawBlock) {
        let (Some(content), Some(peer)) = (&self.content, self.peers.get_mut(key)) else { return };
        let block = content.layout.request_fits(asked.piece, asked.begin, asked.length, REQUEST_MAX);
        let Some(block) = block else {
            return self.drop_hostile(now, key, "asks for what is no block");
        };
        let served = content.picker.have().has(block.piece)
            && (!peer.choked || self.upload && peer.allowed_out.contains(&block.piece))
            && peer.uploads.push(block);
        if served {
            peer.last_useful = now;
            self.pump(now, key);
        } else if peer.hello.fast {
            self.send(now, key, Message::Reject(asked));
        }
    }

    pub(crate) fn cancelled(&mut self, now: Duration, key: PeerKey, asked: RawBlock) {
        let (Some(content), Some(peer)) = (&self.content, self.peers.get_mut(key)) else { return };
        let block = content.layout.request_fits(asked.piece, asked.begin, asked.length, REQUEST_MAX);
        if let Some(block) = block
            && peer.uploads.cancel(block)
            && peer.hello.fast
        {
            self.send(now, key, Message::Reject(asked));
        }
    }

    /// Reads ahead of the peer's socket.
    fn pump(&mut self, now: Duration, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let ahead = ahead(now, &peer.up_meter, self.uploading);
        while let Some(block) = peer.uploads.next_read(ahead) {
            self.reads.push(ReadBlock { peer: key, block });
        }
    }

    pub(crate) fn blocks_read(&mut self, now: Duration, blocks: Vec<BlockRead>) {
        for BlockRead { peer: key, block, data } in blocks {
            let Some(peer) = self.peers.get_mut(key) else { continue };
            if !peer.uploads.read(block) {
                continue;
            }
            let willing = !peer.choked || peer.allowed_out.contains(&block.piece);
            match data {
                Some(data) if willing && data.len() == block.length as usize => {
                    peer.uploads.handed_over(u64::from(block.length));
                    let piece = Message::Piece { piece: block.piece.0, begin: block.begin, data };
                    self.send(now, key, piece);
                }
                _ if peer.hello.fast => self.send(now, key, Message::Reject(raw(block))),
                _ => {}
            }
        }
    }

    pub(crate) fn sent(&mut self, now: Duration, key: PeerKey, bytes: u64) {
        // Counted even when the connection has ended since: it left.
        self.counters.uploaded += bytes;
        self.up.add(now, bytes);
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.uploads.sent(bytes);
        peer.uploaded += bytes;
        peer.turn_bytes += bytes;
        peer.up_meter.add(now, bytes);
        peer.last_useful = now;
        peer.last_sent = now;
        self.pump(now, key);
    }

    /// Tells peers of new pieces, except those that have them.
    pub(crate) fn tell_news(&mut self, now: Duration) {
        self.news_due = None;
        if self.news.is_empty() {
            return;
        }
        let news = std::mem::take(&mut self.news);
        for key in self.keys_where(Peer::is_up) {
            for piece in &news {
                let has =
                    self.content.as_ref().is_none_or(|content| content.picker.peer_has_piece(key, *piece));
                if !has {
                    self.send(now, key, Message::Have(piece.0));
                }
            }
        }
    }

    /// Super seeding: offers a peer its next pieces.
    pub(crate) fn offer(&mut self, now: Duration, key: PeerKey) {
        let (Some(seed), Some(content)) = (&mut self.super_seed, &self.content) else { return };
        for piece in seed.offer(key, |piece| content.picker.peer_has_piece(key, piece)) {
            self.send(now, key, Message::Have(piece.0));
        }
    }
}

fn contender(now: Duration, peer: &Peer) -> Contender {
    Contender {
        key: peer.key,
        interested: peer.interested,
        choked: peer.choked,
        snubs: peer.pipeline.is_snubbed(),
        gives: peer.down.rate(now, Duration::from_secs(2)),
        takes: peer.up_meter.rate(now, Duration::from_secs(2)),
        changed: peer.choke_changed,
        turn_bytes: peer.turn_bytes,
        connected: peer.since,
    }
}
