//! What peers say of themselves: choking, interest, what they have.

use core::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use metainfo::{Bitfield, PieceIndex};
use peer_wire::{Message, RawBlock};
use piece_picker::Availability;

use crate::{Output, PeerKey, Privacy, Reason, candidates::End, torrent::Torrent};

/// Pieces remembered that a peer serves while it chokes us.
const ALLOWED_MAX: usize = 32;
/// Pieces that peers are told of one by one, when the disk turns out to hold more than they were told at first.
const HAVES_MAX: u32 = 2_000;

impl Torrent {
    pub(crate) fn they_choke(&mut self, now: Duration, key: PeerKey) {
        let watched = self.is_watched(now);
        let Some(peer) = self.peers.get_mut(key) else { return };
        if std::mem::replace(&mut peer.choking, true) {
            return;
        }
        peer.pipeline.choked(now, watched);
        if let Some(content) = &mut self.content {
            self.refill_all |= content.picker.in_flight(key) > 0;
            content.picker.choked(key, now);
        }
    }

    pub(crate) fn they_unchoke(&mut self, key: PeerKey) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.choking = false;
        }
    }

    pub(crate) fn they_are_interested(&mut self, now: Duration, key: PeerKey, interested: bool) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if std::mem::replace(&mut peer.interested, interested) == interested {
            return;
        }
        if interested {
            self.unchoke_if_free(now, key);
            self.tick_by(now + Duration::from_secs(1));
        } else if !peer.choked {
            self.fill_slots(now);
        }
    }

    pub(crate) fn they_have(&mut self, now: Duration, key: PeerKey, number: u32) {
        let Some(content) = &mut self.content else {
            if let Some(peer) = self.peers.get_mut(key) {
                peer.early.have(number);
            }
            return self.show_interest_early(now, key);
        };
        let Some(piece) = content.layout.piece(number) else {
            return self.drop_hostile(now, key, "has a piece past the end");
        };
        content.picker.peer_has(key, piece);
        let freed = self.super_seed.as_mut().map_or_else(Vec::new, |seed| seed.seen(key, piece));
        for freed in freed {
            self.offer(now, freed);
        }
        self.update_interest(now, key);
        self.drop_if_useless(now, key);
    }

    pub(crate) fn their_bitfield(&mut self, now: Duration, key: PeerKey, bits: Bytes) {
        let Some(content) = &mut self.content else {
            if let Some(peer) = self.peers.get_mut(key) {
                peer.early.bitfield = Some(bits);
            }
            return self.show_interest_early(now, key);
        };
        let Some(has) = Bitfield::from_bytes(&bits, content.layout.pieces()) else {
            return self.drop_hostile(now, key, "bitfield of another length");
        };
        content.picker.peer_joined(key, &Availability::Some(has));
        self.availability_known(now, key);
    }

    pub(crate) fn they_have_all(&mut self, now: Duration, key: PeerKey) {
        let Some(content) = &mut self.content else {
            if let Some(peer) = self.peers.get_mut(key) {
                peer.early.all = true;
            }
            return self.show_interest_early(now, key);
        };
        content.picker.peer_joined(key, &Availability::All);
        self.availability_known(now, key);
    }

    fn availability_known(&mut self, now: Duration, key: PeerKey) {
        if !self.drop_if_useless(now, key) {
            self.update_interest(now, key);
        }
    }

    /// A magnet: whoever has anything will be asked for it, so that the unchoke comes while the metadata does.
    fn show_interest_early(&mut self, now: Duration, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if !peer.interesting && peer.early.is_some() {
            peer.interesting = true;
            self.send(now, key, Message::Interested);
        }
    }

    pub(crate) fn they_lost(&mut self, key: PeerKey, number: u32) {
        if let Some(content) = &mut self.content
            && let Some(piece) = content.layout.piece(number)
        {
            content.picker.peer_lost_piece(key, piece);
            self.refill_all = true;
        }
    }

    pub(crate) fn rejected(&mut self, now: Duration, key: PeerKey, raw: RawBlock) {
        let Some(content) = &mut self.content else { return };
        if let Some(block) = content.layout.block_at(raw.piece, raw.begin, raw.length) {
            content.picker.rejected(key, block, now);
            self.refill_all = true;
        }
    }

    pub(crate) fn they_allow(&mut self, key: PeerKey, number: u32) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let piece = PieceIndex(number);
        let known = self.content.as_ref().is_none_or(|content| content.layout.piece(number).is_some());
        if known
            && peer.hello.fast
            && peer.allowed_in.len() < ALLOWED_MAX
            && !peer.allowed_in.contains(&piece)
        {
            peer.allowed_in.push(piece);
        }
    }

    pub(crate) fn their_dht_port(&mut self, key: PeerKey, port: u16) {
        if self.config.privacy == Privacy::Public
            && port != 0
            && let Some(addr) = self.peers.get(key).and_then(|peer| peer.addr)
        {
            self.outputs.push_back(Output::DhtNode(SocketAddr::new(addr.ip(), port)));
        }
    }

    pub(crate) fn they_only_upload(&mut self, now: Duration, key: PeerKey, only: bool) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.upload_only = only;
            self.drop_if_useless(now, key);
        }
    }

    /// The info dictionary has come: what peers said before can be understood.
    pub(crate) fn content_known(&mut self, now: Duration) {
        let have = self.have().map_or(0, Bitfield::count);
        if have > HAVES_MAX {
            // Said in one bitfield when they are met again.
            for key in self.keys_where(|peer| peer.is_up()) {
                self.disconnect(now, key, Reason::Stopped, End::Ours);
            }
        }
        for key in self.keys_where(|peer| peer.is_up()) {
            let (Some(content), Some(peer)) = (&mut self.content, self.peers.get_mut(key)) else { return };
            let early = std::mem::take(&mut peer.early);
            let layout = content.layout;
            peer.allowed_in.retain(|piece| layout.piece(piece.0).is_some());
            let has = match early.bitfield {
                _ if early.all => Some(Availability::All),
                Some(bits) => Bitfield::from_bytes(&bits, layout.pieces()).map(Availability::Some),
                None => Some(Availability::None),
            };
            let haves: Option<Vec<_>> = early.haves.iter().map(|number| layout.piece(*number)).collect();
            let (Some(has), Some(haves)) = (has, haves) else {
                self.drop_hostile(now, key, "has pieces past the end");
                continue;
            };
            content.picker.peer_joined(key, &has);
            for piece in haves {
                content.picker.peer_has(key, piece);
            }
            let ours: Vec<_> = content.picker.have().iter().collect();
            for piece in ours {
                self.send(now, key, Message::Have(piece.0));
            }
            self.availability_known(now, key);
        }
        self.update_super_seed(now);
        self.refill_all = true;
    }

    /// Says so when a peer has become interesting. That it no longer is waits for a tick: it may have more in a moment.
    pub(crate) fn update_interest(&mut self, now: Duration, key: PeerKey) {
        let (Some(content), Some(peer)) = (&self.content, self.peers.get_mut(key)) else { return };
        if !peer.interesting && content.picker.is_interesting(key) {
            peer.interesting = true;
            self.send(now, key, Message::Interested);
        }
    }
}
